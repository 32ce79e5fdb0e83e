"""Takes a command apart as a POSIX shell would: words, quotes, operators, placeholders; comments fall away."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Token", "is_shell_syntax", "take_apart"]

_TOKEN = re.compile(
    r"""
    (?P<escape>\\.)
    | (?P<single>'[^']*')
    | (?P<double>"(?:\\.|[^"\\])*")
    | (?P<comment>(?<![^\s;&|()])\#[^\n]*)
    | (?P<open>['"])
    | (?P<braces>\{\{ | \}\} | \{[^{}]*\} | [{}])
    | (?P<operator>&& | \|\| | &> | [<>]&? | [|;&()\n])
    | (?P<space>[ \t\r]+)
    | (?P<text>(?:[^\\'"{}|;<>&()\n \t\r\#] | (?<=[^\s;&|()])\#)+ | .)
    """,
    re.VERBOSE | re.DOTALL,
)
_EXPANSION = re.compile(r"`|\$[A-Za-z_({*@#?\[]")


@dataclass(frozen=True)
class Token:
    """One piece of a command, with the name of its kind in the pattern above."""

    kind: str
    text: str

    @property
    def placeholder(self) -> str | None:
        """The name inside single braces; None for anything else."""
        return (
            self.text[1:-1] if self.kind == "braces" and len(self.text) > 1 and self.text not in ("{{", "}}") else None
        )


def take_apart(command: str) -> list[Token]:
    """Return the tokens of a command, without comments and without blanks at either end."""
    joined = command.strip().replace("\\\n", "")
    tokens = [Token(str(match.lastgroup), match[0]) for match in _TOKEN.finditer(joined)]
    return [token for token in tokens if token.kind != "comment"]


def is_shell_syntax(tokens: list[Token]) -> bool:
    """Tell whether only a shell understands a command: operators, expansions, patterns, or an assignment in front."""
    return any(_needs_shell(tokens)) or bool(tokens and re.match(r"[A-Za-z_][A-Za-z0-9_]*=", tokens[0].text))


def _needs_shell(tokens: list[Token]) -> Iterator[bool]:
    before = Token("space", " ")
    for token in tokens:
        if token.kind == "operator":
            yield True
        elif token.kind == "double":
            yield bool(_EXPANSION.search(re.sub(r"\\.", "", token.text[1:-1])))
        elif token.kind == "braces":
            yield before.kind == "text" and before.text.endswith("$")
        elif token.kind == "text":
            yield bool(_EXPANSION.search(token.text) or re.search(r"[*?]", token.text))
            yield before.kind == "space" and token.text.startswith("~")
        before = token
