"""Binds values to the parameters of an entry point, each checked at the door."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Container, Mapping
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from dioptra.errors import InvalidParameterError, did_you_mean
from dioptra.mlproject._model import EntryPoint, Parameter
from dioptra.storage import is_remote, local_path

__all__ = ["CREDENTIAL", "MAX_VALUE_BYTES", "bind", "is_number", "remote_inputs"]

MAX_VALUE_BYTES = 100_000
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_INFINITY = re.compile(r"[+-]?inf(inity)?", re.IGNORECASE)
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_INTEGER = re.compile(r"[+-]?\d+", re.ASCII)
_BOOLEANS = frozenset(["true", "false", "yes", "no", "on", "off", "t", "f", "y", "n", "1", "0"])
CREDENTIAL = re.compile(r"signature|^sig$|token|passw|secret|credential|(api|access)_?key", re.IGNORECASE)
_EXTRA_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,249}")  # 250 characters is what MLflow keeps


def bind(
    entry: EntryPoint,
    given: Mapping[str, str],
    *,
    cwd: Path | None = None,
    otherwise: Path | None = None,
    promised: Container[str] = (),
) -> dict[str, str]:
    """Return the values of all parameters: the declared ones first, then the undeclared in the order given.

    A relative path that was given starts at `cwd` (by default the current folder), one that is a default at the
    project's folder, and if there is nothing at the folder `otherwise`. A parameter that is `promised` gets its value
    later, and then its check; what is given for it now stays as it is.

    Raises:
        InvalidParameterError: Values are missing (all are named at once), or one does not fit its type.
    """
    missing = [p for p in entry.parameters.values() if p.default is None and p.name not in given]
    if missing:
        raise _missing(entry, missing, given)
    bases = (cwd or Path.cwd(), entry.file.parent, otherwise or entry.file.parent)
    values = {
        p.name: given[p.name] if p.name in promised else _value(entry, p, given.get(p.name), bases)
        for p in entry.parameters.values()
    }
    extra = {name: value for name, value in given.items() if name not in entry.parameters}
    for name, value in extra.items():
        _check_extra(entry, name, value)
    return values | extra


def remote_inputs(entry: EntryPoint, values: Mapping[str, str]) -> dict[str, str]:
    """Return the values that have to be fetched before the entry point can start: paths that are URIs."""
    return {p.name: values[p.name] for p in entry.parameters.values() if p.type == "path" and is_remote(values[p.name])}


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


def _value(entry: EntryPoint, parameter: Parameter, given: str | None, bases: tuple[Path, Path, Path]) -> str:
    cwd, project, otherwise = bases
    text = parameter.default or "" if given is None else given
    _check_text(entry, parameter.name, text)
    base = cwd if given is not None else project if _is_in(project, parameter, text) else otherwise
    return _CHECKS[parameter.type](entry, parameter, text, base)


def _is_in(project: Path, parameter: Parameter, text: str) -> bool:
    """Tell whether a default is to be looked up in the project: unless it leads out of it, or is not there."""
    if parameter.type not in ("path", "uri"):
        return True
    path = os.path.normpath(project / local_path(text))
    inside = path == str(project) or path.startswith(f"{project}{os.sep}")
    return inside and os.path.lexists(path)


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


def _integer(entry: EntryPoint, parameter: Parameter, text: str, base: Path) -> str:
    if not _INTEGER.fullmatch(text):
        raise _invalid(entry, parameter.name, f"{_short(text)} is not a whole number", "give one such as 3 or -1")
    return text


def _boolean(entry: EntryPoint, parameter: Parameter, text: str, base: Path) -> str:
    if text.lower() not in _BOOLEANS:
        raise _invalid(entry, parameter.name, f"{_short(text)} is neither true nor false", "give true or false")
    return text


def _path(entry: EntryPoint, parameter: Parameter, text: str, base: Path) -> str:
    if is_remote(text):
        return _without_password(entry, parameter, text)
    if text.lower().startswith("file://") and urlsplit(text).netloc not in ("", "localhost"):
        raise _invalid(entry, parameter.name, f"{_short(text)} names another machine", "give file:///path, or a path")
    path = os.path.abspath(base / local_path(text))  # noqa: PTH100 - a link stays what it is
    if not text or not os.path.exists(path):  # noqa: PTH110 - never raises, however odd the text
        raise _invalid(entry, parameter.name, f"there is no file or folder {_short(path)}", "give one that exists")
    return path


def _uri(entry: EntryPoint, parameter: Parameter, text: str, base: Path) -> str:
    if _URI.match(text):
        return _without_password(entry, parameter, text)
    return os.path.abspath(base / text)  # noqa: PTH100 - a link stays what it is


def _without_password(entry: EntryPoint, parameter: Parameter, uri: str) -> str:
    """Refuse credentials in an address, which would be kept in records and shown on pages."""
    hint = "give credentials in the environment or a profile"
    try:
        parts = urlsplit(uri)
        password = parts.password
    except ValueError as error:
        raise _invalid(entry, parameter.name, f"{_short(uri)} is not an address ({error})", "correct it") from error
    if password:
        raise _invalid(entry, parameter.name, "holds a password, which records would keep", hint)
    for name, _ in parse_qsl(parts.query):
        if CREDENTIAL.search(name):
            raise _invalid(entry, parameter.name, f"holds {name!r}, a credential that records would keep", hint)
    return uri


def _invalid(entry: EntryPoint, name: str, message: str, hint: str) -> InvalidParameterError:
    return InvalidParameterError(f"parameter {name!r}: {message}", where=entry.where, hint=hint)


def _short(text: str, limit: int = 80) -> str:
    return repr(text) if len(text) <= limit else f"{text[:limit]!r}..."


_CHECKS: dict[str, Callable[[EntryPoint, Parameter, str, Path], str]] = {
    "string": _string,
    "float": _float,
    "integer": _integer,
    "boolean": _boolean,
    "path": _path,
    "uri": _uri,
}
