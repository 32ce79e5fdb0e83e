"""What the annotations of a function say of its arguments and of its result."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any, get_type_hints
from weakref import ref

__all__ = ["Hints"]


class Hints(dict[str | None, Any]):
    """The types of a function's arguments by name, and under None that of its result.

    Each is resolved when it is first asked for, and by itself. What has no annotation is `Any`, and so is what has one
    that says nothing here, such as a name that only type checkers import.
    """

    def __init__(self, fn: Any, signature: inspect.Signature, var_keyword: str | None) -> None:
        """Look at a function, which lives no longer because of it.

        Args:
            fn: The function.
            signature: Its signature, as a flow calls it.
            var_keyword: The name of its `**kwargs`.
        """
        super().__init__()
        self._signature = signature
        self._var_keyword = var_keyword
        self._function = _weakly(_innermost(fn))
        self._is_turned = _is_generator(self._function()) and not _is_generator(fn)

    def __missing__(self, name: str | None) -> Any:
        if name is None:
            hint = self._result()
        elif parameter := self._signature.parameters.get(name):
            hint = self._resolved(parameter.annotation, optional=parameter.default is None)
        else:  # one of any number, which are not all kept
            return self[self._var_keyword] if self._var_keyword else Any
        self[name] = hint
        return hint

    def __reduce__(self) -> Any:
        """Know nothing elsewhere: types are checked where the flow is built."""
        return Hints, (None, inspect.Signature(), None)

    def _result(self) -> Any:
        function = self._function()
        if isinstance(function, type):
            return function
        # A decorator has made something else of a generator, such as a context manager.
        return Any if self._is_turned else self._resolved(self._signature.return_annotation)

    def _resolved(self, annotation: Any, *, optional: bool = False) -> Any:
        if annotation is inspect.Parameter.empty:
            return Any
        holder = SimpleNamespace(__annotations__={"it": annotation})
        try:
            hint = get_type_hints(holder, _namespace(self._function()))["it"]
            return hint | None if optional and hint is not Any else hint
        except Exception:  # whatever evaluating it raises
            return Any


def _innermost(fn: Any) -> Any:
    """Return the function or class whose annotations the signature shows, without what is wrapped around it."""
    while isinstance(fn, partial) or hasattr(fn, "__wrapped__"):
        fn = inspect.unwrap(fn.func if isinstance(fn, partial) else fn)
    return fn


def _is_generator(fn: Any) -> bool:
    return inspect.isgeneratorfunction(fn)


def _weakly(fn: Any) -> Callable[[], Any]:
    try:
        return ref(fn)
    except TypeError:
        return lambda: fn


def _namespace(fn: Any) -> dict[str, Any]:
    """Return what the annotations of a function, a class or an object that can be called may name."""
    if not hasattr(fn, "__globals__"):
        fn = getattr(fn, "__init__" if isinstance(fn, type) else "__call__", None)
    return getattr(fn, "__globals__", {})
