"""Packages that some task plugins need and that need not be installed."""

from __future__ import annotations

from importlib.util import find_spec

from dioptra.errors import TensorflowDependencyError

__all__ = ["require_tensorflow"]


def require_tensorflow(purpose: str) -> None:
    """Refuse to go on without TensorFlow, and say what it was needed for."""
    if find_spec("tensorflow") is None:
        raise TensorflowDependencyError(
            f"{purpose} needs TensorFlow, which is not installed", hint="pip install tensorflow"
        )
