"""The errors that task plugins and entry-point scripts raise and catch; they are defined in `dioptra.errors`."""

from dioptra.errors import (
    ARTDependencyError,
    BaseGenericsRegistryError,
    BaseOptionalDependencyError,
    BasePyPlugsException,
    BaseTaskPluginError,
    CryptographyDependencyError,
    EstimatorPredictGenericPredTypeError,
    PrefectDependencyError,
    TensorflowDependencyError,
    UnknownPackageError,
    UnknownPluginError,
    UnknownPluginFunctionError,
)
from dioptra.sdk.exceptions.base import BaseDioptraError

__all__ = [
    "ARTDependencyError",
    "BaseDioptraError",
    "BaseGenericsRegistryError",
    "BaseOptionalDependencyError",
    "BasePyPlugsException",
    "BaseTaskPluginError",
    "CryptographyDependencyError",
    "EstimatorPredictGenericPredTypeError",
    "PrefectDependencyError",
    "TensorflowDependencyError",
    "UnknownPackageError",
    "UnknownPluginError",
    "UnknownPluginFunctionError",
]
