"""The base classes of errors, at the path that plugins of Dioptra 0.x import."""

from dioptra.errors import (
    BaseGenericsRegistryError,
    BaseOptionalDependencyError,
    BasePyPlugsException,
    BaseTaskPluginError,
)
from dioptra.errors import DioptraError as BaseDioptraError

__all__ = [
    "BaseDioptraError",
    "BaseGenericsRegistryError",
    "BaseOptionalDependencyError",
    "BasePyPlugsException",
    "BaseTaskPluginError",
]
