"""Builds the argument list of an entry point: tokens first, then values, so that a value can never become syntax."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping

from dioptra.errors import InvalidProjectError, suggest
from dioptra.mlproject._model import EntryPoint
from dioptra.mlproject._shell import shell_argv
from dioptra.mlproject._words import is_shell_syntax, take_apart

__all__ = ["build_argv"]

_BRACES = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


def build_argv(entry: EntryPoint, values: Mapping[str, str]) -> list[str]:
    """Return the argument list that starts an entry point.

    The command is split as a POSIX shell splits words; then `{name}` in each word is filled with the value, and
    undeclared parameters are appended as `--name value`. `{{` and `}}` stand for braces. A command that uses operators,
    variables or several lines is run by bash instead, with the values as positional arguments.

    Raises:
        InvalidProjectError: The command cannot be split, or names a parameter that is not declared.
    """
    tokens = take_apart(entry.command)
    if is_shell_syntax(tokens):
        return shell_argv(entry, tokens, values)
    argv = [_fill(entry, word, values) for word in _split(entry, "".join(token.text for token in tokens))]
    for name, value in values.items():
        if name not in entry.parameters:
            argv += [f"--{name}", value]
    return argv


def _split(entry: EntryPoint, command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError as error:
        raise _invalid(entry, f"the command cannot be split into words ({error})", "close the quotes") from error


def _fill(entry: EntryPoint, word: str, values: Mapping[str, str]) -> str:
    def replace(match: re.Match[str]) -> str:
        if match[0] in ("{{", "}}"):
            return match[0][0]
        name = match[1]
        if name is None or name not in entry.parameters:
            raise _unknown(entry, match[0], name)
        return values[name]

    return _BRACES.sub(replace, word)


def _unknown(entry: EntryPoint, text: str, name: str | None) -> InvalidProjectError:
    braces = "" if name else "write {name}, or {{ and }} for braces "
    hint = braces + suggest(name or "", entry.parameters)
    return _invalid(entry, f"the command uses {text}, which is not a parameter", hint)


def _invalid(entry: EntryPoint, message: str, hint: str) -> InvalidProjectError:
    return InvalidProjectError(message, where=entry.where, hint=hint)
