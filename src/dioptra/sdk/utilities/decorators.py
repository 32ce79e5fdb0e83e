"""Decorators for task plugins."""

from __future__ import annotations

import functools
import importlib
import logging
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from dioptra.errors import BaseOptionalDependencyError

__all__ = ["require_package"]

P = ParamSpec("P")
R = TypeVar("R")

logger = logging.getLogger("dioptra.sdk")


def require_package(
    name: str, exc_message: str | None = None, exc_type: type[Exception] = BaseOptionalDependencyError
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let a function be called only where a package is installed; a decorator.

    Args:
        name: The name by which the package is imported.
        exc_message: What the error says, in place of the package's name and the function's.
        exc_type: The error to raise.

    Raises:
        BaseOptionalDependencyError: Or `exc_type`, when the function is called and the package is not there. An error
            of the package itself, such as one that it needs and lacks, is raised as it is.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def checked(*args: P.args, **kwargs: P.kwargs) -> R:
            _check(name, exc_message or f'The package "{name}" is required to use {function.__name__}', exc_type)
            return function(*args, **kwargs)

        return checked

    return decorate


def _check(name: str, message: str, exc_type: type[Exception]) -> None:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        if not f"{name}.".startswith(f"{error.name}."):
            raise
        logger.error("%s", message)
        raise exc_type(message) from error
