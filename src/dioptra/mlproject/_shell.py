"""Commands that need a shell: bash gets the command as it was written, and the values as positional arguments.

A placeholder becomes `"${1}"`, so that a value is one word and never syntax. Where bash would look into a word all the
same - inside quotes, arithmetic, `[[ ]]`, here-documents, `eval` - a placeholder is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from dioptra.errors import InvalidProjectError, suggest
from dioptra.mlproject._model import EntryPoint

__all__ = ["shell_argv", "shell_syntax"]

_OPERATOR = re.compile(r"&&|\|\||[|;<>&()\n*?]|(?:^|(?<=\s))~")
_EXPANSION = re.compile(r"`|\$[A-Za-z_({*@#?]")
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
_LITERAL = r"\\.|'[^']*'"  # what bash takes as it is
_QUOTED = r'"(?:\\.|[^"\\])*"'
_QUOTES = re.compile(f"{_LITERAL}|{_QUOTED}", re.DOTALL)
_COMMENT = r"(?:(?<=\s)|^)#[^\n]*"
_BRACES = re.compile(r"\{\{|\}\}|\{[^{}]*\}|[{}]")
_PIECE = re.compile(f"(?P<quoted>{_COMMENT}|{_LITERAL}|{_QUOTED})|{_BRACES.pattern}", re.DOTALL)
_LOOKS_INTO_WORDS = re.compile(r"<<|\(\(|\[\[|`|(?:^|[\s;&|(])(?:eval|let|declare|typeset|source)\s")


def shell_syntax(command: str) -> str:
    """Return the first piece of a command that only a shell would understand, else nothing."""
    unquoted = _QUOTES.sub("", command)
    expanded = _QUOTES.sub(lambda match: re.sub(r"\\.", "", match[0]) if match[0].startswith('"') else "", command)
    found = _OPERATOR.search(unquoted) or _EXPANSION.search(expanded) or _ASSIGNMENT.match(unquoted)
    return found[0] if found else ""


def shell_argv(entry: EntryPoint, command: str, values: Mapping[str, str]) -> list[str]:
    """Return the argument list that runs a command in bash; undeclared values are appended as `--name value`.

    Raises:
        InvalidProjectError: A placeholder is not a parameter, or stands where a value could become syntax.
    """
    filling = _Filling(entry, command)
    script = _PIECE.sub(filling.replace, command)
    extra = [name for name in values if name not in entry.parameters]
    script += "".join(f" --{name} {filling.position(name)}" for name in extra)
    return ["bash", "-c", script, "dioptra", *(values[name] for name in filling.used)]


class _Filling:
    """Gives each parameter that a command uses its position."""

    def __init__(self, entry: EntryPoint, command: str) -> None:
        self._entry = entry
        self._looks = _LOOKS_INTO_WORDS.search(command)
        self.used: list[str] = []

    def replace(self, match: re.Match[str]) -> str:
        if match["quoted"] is not None:
            return match[0] if match[0].startswith("#") else _BRACES.sub(self._within_quotes, match[0])
        if match[0] in ("{{", "}}"):
            return match[0][0]
        name = self._known(match[0], after_dollar=match.string[: match.start()].endswith("$"))
        if self._looks:
            found = self._looks[0].strip()
            raise self._error(f"uses {match[0]} together with {found!r}, which could read the value as syntax")
        return self.position(name)

    def position(self, name: str) -> str:
        """Return the text that stands for a value, as one word."""
        if name not in self.used:
            self.used.append(name)
        return f'"${{{self.used.index(name) + 1}}}"'

    def _within_quotes(self, match: re.Match[str]) -> str:
        if match[0] in ("{{", "}}"):
            return match[0][0]
        self._known(match[0])
        raise self._error(f"uses {match[0]} inside quotes", "take the quotes away: a value is always one word")

    def _known(self, text: str, *, after_dollar: bool = False) -> str:
        name = text.strip("{}")
        if name in self._entry.parameters:
            return name
        hint = suggest(name, self._entry.parameters)
        if after_dollar:
            hint = f"write ${{{{{name}}}}} for the variable {name}; {hint}"
        raise self._error(f"uses {text}, which is not a parameter", hint if name else f"write {{{{ for a brace {hint}")

    def _error(self, message: str, hint: str = "put it in a script") -> InvalidProjectError:
        return InvalidProjectError(f"the command {message}", where=self._entry.where, hint=hint)
