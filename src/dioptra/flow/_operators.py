"""Operators between tasks: each makes a task that computes them when the flow runs."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dioptra.flow._task import Task

__all__ = ["Operators"]


def _and(x: Any, y: Any) -> Any:
    return x and y


def _or(x: Any, y: Any) -> Any:
    return x or y


def _shown(key: Any) -> str:
    """Show a key in the name of a task, which is the same in every run."""
    if isinstance(key, Operators):
        return key.name
    return repr(key) if key is None or isinstance(key, (int, float, str)) else type(key).__name__


class Operators:
    """What `task + 1`, `task[0]` and their like mean; `==` stays identity."""

    __slots__ = ()

    if TYPE_CHECKING:
        name: str

        def _apply(self, name: str, fn: Callable[..., Any], *args: Any) -> Task: ...

    def __add__(self, other: object) -> Task:
        return self._apply("Add", operator.add, self, other)

    def __radd__(self, other: object) -> Task:
        return self._apply("Add", operator.add, other, self)

    def __sub__(self, other: object) -> Task:
        return self._apply("Sub", operator.sub, self, other)

    def __rsub__(self, other: object) -> Task:
        return self._apply("Sub", operator.sub, other, self)

    def __mul__(self, other: object) -> Task:
        return self._apply("Mul", operator.mul, self, other)

    def __rmul__(self, other: object) -> Task:
        return self._apply("Mul", operator.mul, other, self)

    def __truediv__(self, other: object) -> Task:
        return self._apply("Div", operator.truediv, self, other)

    def __rtruediv__(self, other: object) -> Task:
        return self._apply("Div", operator.truediv, other, self)

    def __floordiv__(self, other: object) -> Task:
        return self._apply("FloorDiv", operator.floordiv, self, other)

    def __rfloordiv__(self, other: object) -> Task:
        return self._apply("FloorDiv", operator.floordiv, other, self)

    def __mod__(self, other: object) -> Task:
        return self._apply("Mod", operator.mod, self, other)

    def __rmod__(self, other: object) -> Task:
        return self._apply("Mod", operator.mod, other, self)

    def __pow__(self, other: object) -> Task:
        return self._apply("Pow", operator.pow, self, other)

    def __rpow__(self, other: object) -> Task:
        return self._apply("Pow", operator.pow, other, self)

    def __and__(self, other: object) -> Task:
        return self._apply("And", _and, self, other)

    def __rand__(self, other: object) -> Task:
        return self._apply("And", _and, other, self)

    def __lt__(self, other: object) -> Task:
        return self._apply("LessThan", operator.lt, self, other)

    def __le__(self, other: object) -> Task:
        return self._apply("LessThanOrEqual", operator.le, self, other)

    def __gt__(self, other: object) -> Task:
        return self._apply("GreaterThan", operator.gt, self, other)

    def __ge__(self, other: object) -> Task:
        return self._apply("GreaterThanOrEqual", operator.ge, self, other)

    def __getitem__(self, key: object) -> Task:
        return self._apply(f"{self.name}[{_shown(key)}]", operator.getitem, self, key)

    def is_equal(self, other: object) -> Task:
        """Compare with `==` when the flow runs."""
        return self._apply("Equal", operator.eq, self, other)

    def is_not_equal(self, other: object) -> Task:
        """Compare with `!=` when the flow runs."""
        return self._apply("NotEqual", operator.ne, self, other)

    def not_(self) -> Task:
        """Negate when the flow runs."""
        return self._apply("Not", operator.not_, self)

    def or_(self, other: object) -> Task:
        """Take the first of both that is true when the flow runs (`|` means an order, not this)."""
        return self._apply("Or", _or, self, other)
