"""Binds values to the parameters of an entry point, each checked at the door."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from dioptra.errors import InvalidParameterError, did_you_mean
from dioptra.mlproject._model import EntryPoint, Parameter

__all__ = ["MAX_VALUE_BYTES", "bind", "is_number"]

MAX_VALUE_BYTES = 100_000
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_INFINITY = re.compile(r"[+-]?inf(inity)?", re.IGNORECASE)
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_EXTRA_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")


def bind(entry: EntryPoint, given: Mapping[str, str], *, cwd: Path | None = None) -> dict[str, str]:
    """Return the values of all parameters: the declared ones first, then the undeclared in the order given.

    A relative path that was given starts at `cwd` (by default the current folder), one that is a default at the
    project's folder.

    Raises:
        InvalidParameterError: Values are missing (all are named at once), or one does not fit its type.
    """
    missing = [p for p in entry.parameters.values() if p.default is None and p.name not in given]
    if missing:
        raise _missing(entry, missing, given)
    values = {p.name: _value(entry, p, given.get(p.name), cwd or Path.cwd()) for p in entry.parameters.values()}
    extra = {name: value for name, value in given.items() if name not in entry.parameters}
    for name, value in extra.items():
        _check_extra(entry, name, value)
    return values | extra


def is_number(text: str) -> bool:
    """Tell whether a text is a number, as Python and most programs read one; infinity is one."""
    if _INFINITY.fullmatch(text):
        return True
    return bool(_NUMBER.fullmatch(text)) and abs(float(text)) != float("inf")


def _missing(entry: EntryPoint, missing: list[Parameter], given: Mapping[str, str]) -> InvalidParameterError:
    names = ", ".join(f"{p.name!r} ({p.type})" for p in missing)
    undeclared = [name for name in given if name not in entry.parameters]
    guesses = [f"{name!r}: {guess}" for name in undeclared if (guess := did_you_mean(name, [p.name for p in missing]))]
    hint = "give " + " ".join(f"-P {p.name}=..." for p in missing)
    return InvalidParameterError(
        f"missing parameter{'s' if len(missing) > 1 else ''} {names}",
        where=entry.where,
        hint="; ".join([hint, *guesses]),
    )


def _value(entry: EntryPoint, parameter: Parameter, given: str | None, cwd: Path) -> str:
    text = parameter.default or "" if given is None else given
    _check_text(entry, parameter.name, text)
    base = entry.file.parent if given is None else cwd
    return _CHECKS[parameter.type](entry, parameter, text, base)


def _check_text(entry: EntryPoint, name: str, text: str) -> None:
    """Refuse what no argument list can carry."""
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        raise _invalid(entry, name, f"holds {text[error.start]!r}, which is not a character", "use UTF-8") from error
    if "\0" in text:
        raise _invalid(entry, name, "holds a zero byte", "remove it")
    if size > MAX_VALUE_BYTES:
        raise _invalid(entry, name, f"is {size} bytes; the limit is {MAX_VALUE_BYTES}", "put it in a file")


def _check_extra(entry: EntryPoint, name: str, text: str) -> None:
    if not _EXTRA_NAME.fullmatch(name):
        raise _invalid(entry, name, "cannot be a parameter's name", "use letters, digits, _ . and -")
    _check_text(entry, name, text)


def _string(entry: EntryPoint, parameter: Parameter, text: str, base: Path) -> str:
    return text


def _float(entry: EntryPoint, parameter: Parameter, text: str, base: Path) -> str:
    if not is_number(text):
        raise _invalid(entry, parameter.name, f"{_short(text)} is not a number", "give one such as 0.3, 1e-3 or inf")
    return text


def _path(entry: EntryPoint, parameter: Parameter, text: str, base: Path) -> str:
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", text):
        raise _invalid(entry, parameter.name, f"{_short(text)} is not a local path", "fetch it first and give its path")
    path = base / text
    if not text or not path.exists():
        raise _invalid(entry, parameter.name, f"there is no file or folder {_short(str(path))}", "give one that exists")
    return str(path.resolve())


def _uri(entry: EntryPoint, parameter: Parameter, text: str, base: Path) -> str:
    return text if _URI.match(text) else str((base / text).resolve())


def _invalid(entry: EntryPoint, name: str, message: str, hint: str) -> InvalidParameterError:
    return InvalidParameterError(f"parameter {name!r}: {message}", where=entry.where, hint=hint)


def _short(text: str, limit: int = 80) -> str:
    return repr(text) if len(text) <= limit else f"{text[:limit]!r}..."


_CHECKS: dict[str, Callable[[EntryPoint, Parameter, str, Path], str]] = {
    "string": _string,
    "float": _float,
    "path": _path,
    "uri": _uri,
}
