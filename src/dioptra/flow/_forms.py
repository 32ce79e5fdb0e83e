"""How the tasks that nobody called by name were written: `x[0]`, `x + 1`, `[x, y]`, `{'a': x}`.

A form is the text around what the task takes: `("", "[0]")` for `x[0]`, `("[", ", ", "]")` for `[x, y]`. Text among the
values may be a secret; only the keys of dictionaries and of `x['key']`, which are names, are shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, groupby
from typing import Any

from dioptra.flow._collection import CollectionTask
from dioptra.flow._task import OperatorTask, Task

__all__ = ["form_of", "label_of", "links_of"]

_SIGNS = {
    "Add": "+",
    "And": "and",
    "Div": "/",
    "Equal": "==",
    "FloorDiv": "//",
    "GreaterThan": ">",
    "GreaterThanOrEqual": ">=",
    "LessThan": "<",
    "LessThanOrEqual": "<=",
    "Mod": "%",
    "Mul": "*",
    "NotEqual": "!=",
    "Or": "or",
    "Pow": "**",
    "Sub": "-",
}
_BRACKETS: Mapping[type, tuple[str, str]] = {
    list: ("[", "]"),
    tuple: ("(", ")"),
    set: ("{", "}"),
    frozenset: ("{", "}"),
    dict: ("{", "}"),
}
_ELSE = "…"  # stands for plain values
_SHOWN = 2  # plain values in a row that are shown one by one
_KEY = 40  # characters of a key
_BITS = 64  # of a number

Inputs = Mapping[str, Any]
Tokens = list[str | None]  # None stands for something taken


def form_of(task: Task, inputs: Inputs) -> tuple[str, ...]:
    """Return the text before, between and behind what an operator or a collection takes; of other tasks, nothing."""
    if isinstance(task, OperatorTask):
        return _merged(_operator(task.name, list(inputs.values())))
    if isinstance(task, CollectionTask):
        opening, closing = _BRACKETS[task.kind]
        tail = "," if task.kind is tuple and len(inputs) == 1 else ""
        return _merged([opening, *_separated(_items(task.kind, list(inputs.values()))), tail + closing])
    return ()


def label_of(task: Task, form: Sequence[str]) -> str:
    """Return what stands in a small box for an operator or a collection: `[0]`, `+ 1`, `+`, `dict`."""
    if isinstance(task, CollectionTask):
        return task.kind.__name__
    if len(form) == 2:
        return "·".join(form).removeprefix("·").strip()
    return "[·]" if form[-1:] == ("]",) else "".join(form).strip()


def links_of(task: Task, inputs: Inputs) -> Iterator[tuple[Task, str]]:
    """Give the tasks that a task takes something from, each with the name of what it takes, if that has one."""
    values = list(inputs.values())
    for place, (name, value) in enumerate(inputs.items()):
        if isinstance(value, Task):
            yield value, _name(task, name, values, place)


def _name(task: Task, name: str, values: Sequence[Any], place: int) -> str:
    if isinstance(task, CollectionTask):
        in_dict = task.kind is dict and place % 2 and isinstance(values[place - 1], str)
        return _cut(values[place - 1]) if in_dict else ""
    return "" if isinstance(task, OperatorTask) else name


def _operator(name: str, values: Sequence[Any]) -> Tokens:
    if name == "Not":
        return ["not ", *map(_token, values)]
    if len(values) != 2:  # somebody bound it to more than it takes
        return [name, "(", *_separated([_token(value)] for value in values), ")"]
    left, right = values
    if name in _SIGNS:
        return [_token(left), f" {_SIGNS[name]} ", _token(right)]
    return [_token(left), "[", None if isinstance(right, Task) else _index(right), "]"]


def _items(kind: type, values: Sequence[Any]) -> Iterator[Tokens]:
    """Give what each item of a collection looks like; of many plain ones in a row, one mark for all."""
    pairs = list(zip(values[::2], values[1::2], strict=True)) if kind is dict else [(value,) for value in values]
    for plain, group in groupby(pairs, lambda pair: not any(isinstance(value, Task) for value in pair)):
        run = list(group)
        if plain and len(run) > _SHOWN:
            yield [_ELSE]
        else:
            yield from (_pair(*pair) if len(pair) == 2 else [_token(pair[0])] for pair in run)


def _pair(key: Any, value: Any) -> Tokens:
    return [None if isinstance(key, Task) else _key(key), ": ", _token(value)]


def _separated(items: Iterable[Tokens]) -> Iterator[str | None]:
    return chain.from_iterable([", ", *item] if place else item for place, item in enumerate(items))


def _token(value: Any) -> str | None:
    return None if isinstance(value, Task) else _number(value)


def _number(value: Any) -> str:
    plain = value is None or type(value) in (bool, float) or (type(value) is int and value.bit_length() <= _BITS)
    return repr(value) if plain else _ELSE


def _index(value: Any) -> str:
    if type(value) is not slice:
        return _key(value)
    start, stop, step = ("" if each is None else _number(each) for each in (value.start, value.stop, value.step))
    return f"{start}:{stop}:{step}" if step else f"{start}:{stop}"


def _key(value: Any) -> str:
    return repr(_cut(value)) if isinstance(value, str) else _number(value)


def _cut(key: str) -> str:
    return key if len(key) <= _KEY else key[:_KEY] + _ELSE


def _merged(tokens: Iterable[str | None]) -> tuple[str, ...]:
    form = [""]
    for token in tokens:
        if token is None:
            form.append("")
        else:
            form[-1] += token
    return tuple(form)
