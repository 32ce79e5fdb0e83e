"""The errors that task plugins and entry-point scripts raise and catch; they are defined in `dioptra.errors`."""

from dioptra.errors import (
    ARTDependencyError,
    BaseOptionalDependencyError,
    BasePyPlugsException,
    BaseTaskPluginError,
    TensorflowDependencyError,
    UnknownPackageError,
    UnknownPluginError,
    UnknownPluginFunctionError,
)
from dioptra.sdk.exceptions.base import BaseDioptraError

__all__ = [
    "ARTDependencyError",
    "BaseDioptraError",
    "BaseOptionalDependencyError",
    "BasePyPlugsException",
    "BaseTaskPluginError",
    "TensorflowDependencyError",
    "UnknownPackageError",
    "UnknownPluginError",
    "UnknownPluginFunctionError",
]
