"""What the annotations of a function say of its arguments and of its result."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import lru_cache, partial
from types import SimpleNamespace
from typing import Any, get_type_hints
from weakref import ref

__all__ = ["Hints"]

_LRU_CACHE = type(lru_cache(len))


class Hints(dict[str | None, Any]):
    """The types of a function's arguments by name, and under None that of its result.

    Each is resolved when it is first asked for, and by itself. What has no annotation is `Any`, and so is what has one
    that says nothing here, such as a name that only type checkers import. A function that a decorator has wrapped has
    the annotations of the one inside, and both take and return what the decorator likes.
    """

    def __init__(self, fn: Any, signature: inspect.Signature, var_keyword: str | None) -> None:
        """Look at a function, which lives no longer because of it.

        Args:
            fn: The function.
            signature: Its signature, as a flow calls it.
            var_keyword: The name of its `**kwargs`.
        """
        super().__init__()
        function = _annotated(fn)
        self._signature = inspect.Signature() if _annotated(_called(function)) is None else signature
        self._var_keyword = var_keyword
        self._function = _weakly(function)

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
        return function if isinstance(function, type) else self._resolved(self._signature.return_annotation)

    def _resolved(self, annotation: Any, *, optional: bool = False) -> Any:
        if annotation is inspect.Parameter.empty:
            return Any
        holder = SimpleNamespace(__annotations__={"it": annotation})
        try:
            hint = get_type_hints(holder, _namespace(self._function()))["it"]
            return hint | None if optional and hint is not Any else hint
        except Exception:  # whatever evaluating it raises
            return Any


def _annotated(fn: Any) -> Any:
    """Return the function or class whose annotations hold for another, which is often itself; None if none need to."""
    while fn is not None:
        if isinstance(fn, partial) and getattr(fn, "__wrapped__", fn.func) is fn.func:
            fn = fn.func
        elif not hasattr(fn, "__wrapped__"):
            return fn
        else:
            fn = fn.__wrapped__ if _changes_nothing(fn) else None
    return None


def _changes_nothing(wrapper: Any) -> bool:
    """Tell whether a wrapper is known to pass on arguments and result as they are."""
    module = getattr(wrapper, "__globals__", {}).get("__name__")  # `__module__` is that of the wrapped function
    return isinstance(wrapper, (_LRU_CACHE, staticmethod)) or module == "dioptra.sdk.utilities.decorators"


def _called(fn: Any) -> Any:
    """Return the function that runs when a function, a class or an object is called."""
    if hasattr(fn, "__globals__"):
        return fn
    return getattr(fn, "__init__" if isinstance(fn, type) else "__call__", None)


def _weakly(fn: Any) -> Callable[[], Any]:
    try:
        return ref(fn)
    except TypeError:
        return lambda: fn


def _namespace(fn: Any) -> dict[str, Any]:
    """Return what the annotations of a function, a class or an object that can be called may name."""
    return getattr(_annotated(_called(fn)), "__globals__", {})
