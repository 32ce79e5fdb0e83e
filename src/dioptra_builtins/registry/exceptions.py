"""What can go wrong with registered models."""

from __future__ import annotations

from dioptra.errors import BaseTaskPluginError

__all__ = ["ModelNotFoundError", "UnsafeModelError"]


class ModelNotFoundError(BaseTaskPluginError):
    """There is no such model."""

    code, http_status, exit_code = "model-not-found", 404, 3


class UnsafeModelError(BaseTaskPluginError):
    """The model is stored in a form that can run code when it is loaded."""

    code = "unsafe-model"
