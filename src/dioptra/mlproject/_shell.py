"""Commands that need a shell: bash gets the command as it was written, and the values as positional arguments.

A placeholder becomes `"${1}"`, so that a value is one word. There are places where bash reads even such a word as
syntax: quotes, arithmetic, subscripts, `eval` and other builtins. So a command with placeholders may hold only what
never does: programs with their arguments, pipes, lists, redirections, loops, `$NAME`, `$(...)`, harmless builtins.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from dioptra.errors import InvalidProjectError, suggest
from dioptra.mlproject._model import EntryPoint
from dioptra.mlproject._words import Token

__all__ = ["shell_argv"]

_BRACES = re.compile(r"\{\{|\}\}|\{[^{}]*\}|[{}]")
_REDIRECTIONS = frozenset(["<", ">", ">&", "<&", "&>"])
_ENDS_APPENDING = frozenset([";", "&", "(", ")", "\n"])
_PREFIXES = frozenset(["!", "do", "elif", "else", "exec", "if", "nohup", "then", "time", "until", "while"])
_HARMLESS_WITHOUT_VALUES = frozenset(["done", "export", "fi", "for", "return", "set", "shift", "umask", "wait"])
_READS_SYNTAX = _HARMLESS_WITHOUT_VALUES | set(
    """
    . [ [[ { } alias bash bind builtin caller case command compgen complete compopt coproc csh dash declare dirs disown
    enable env esac eval fc fg bg function getopts hash help history jobs ksh let local logout mapfile popd printf pushd
    read readarray readonly select sh shopt source ssh su sudo suspend test times trap type typeset ulimit unalias unset
    xargs zsh
    """.split()  # noqa: SIM905 - readable as it stands
)
_PROGRAM = re.compile(r"[A-Za-z0-9_./+:@!-]+")
_READS_WORDS = re.compile(r"<<|\(\(|\[\[|`|\$\[|\w\[|\$\{(?!\w+\})")
_WITHIN_QUOTES = re.compile(r"`|\$\(|\$\[|\$\{(?!\w+\})")


def shell_argv(entry: EntryPoint, tokens: list[Token], values: Mapping[str, str]) -> list[str]:
    """Return the argument list that runs a command in bash; undeclared values are appended as `--name value`.

    Raises:
        InvalidProjectError: A placeholder is not a parameter, or stands where a value could become syntax.
    """
    filling = _Filling(entry)
    script = "".join(filling.fill(token, before) for before, token in _with_text_before(tokens))
    extra = [name for name in values if name not in entry.parameters]
    if extra:
        _check_appending(entry, tokens, extra[0])
    if filling.used or extra:
        _check_harmless(entry, tokens)
    script += "".join(f" --{name} {filling.position(name)}" for name in extra)
    return ["bash", "-c", script, "dioptra", *(values[name] for name in filling.used)]


def _with_text_before(tokens: list[Token]) -> Iterator[tuple[str, Token]]:
    before = ""
    for token in tokens:
        yield before, token
        before = token.text


class _Filling:
    """Gives each parameter that a command uses its position."""

    def __init__(self, entry: EntryPoint) -> None:
        self._entry = entry
        self.used: list[str] = []

    def fill(self, token: Token, before: str) -> str:
        if token.kind in ("single", "double"):
            return _BRACES.sub(self._within_quotes, token.text)
        if token.kind != "braces":
            return token.text
        if token.text in ("{{", "}}"):
            return token.text[0]
        return self.position(self._known(token.text, after_dollar=before.endswith("$")))

    def position(self, name: str) -> str:
        """Return the text that stands for a value, as one word."""
        if name not in self.used:
            self.used.append(name)
        return f'"${{{self.used.index(name) + 1}}}"'

    def _within_quotes(self, match: re.Match[str]) -> str:
        if match[0] in ("{{", "}}"):
            return match[0][0]
        self._known(match[0])
        raise _error(self._entry, f"uses {match[0]} inside quotes", "take the quotes away: a value is always one word")

    def _known(self, text: str, *, after_dollar: bool = False) -> str:
        name = text.strip("{}")
        if name in self._entry.parameters:
            return name
        hint = suggest(name, self._entry.parameters)
        if after_dollar:
            hint = f"write ${{{{{name}}}}} for the variable {name}; {hint}"
        hint = hint if name else f"write {{{{ for a brace {hint}"
        raise _error(self._entry, f"uses {text}, which is not a parameter", hint)


def _check_appending(entry: EntryPoint, tokens: list[Token], name: str) -> None:
    """Refuse an undeclared value where the end of the command is not the end of a program's arguments."""
    for token in tokens:
        if token.kind == "operator" and token.text in _ENDS_APPENDING:
            raise _error(
                entry,
                f"has {token.text!r}, so that the undeclared parameter {name!r} cannot be appended to it",
                f"declare {name} and write {{{name}}} where it belongs",
            )


def _check_harmless(entry: EntryPoint, tokens: list[Token]) -> None:
    """Refuse values in a command that could read a word as syntax."""
    plain = "".join(_plain(token) for token in tokens)
    quoted = [found for token in tokens if token.kind == "double" and (found := _WITHIN_QUOTES.search(token.text))]
    found = _READS_WORDS.search(plain) or next(iter(quoted), None)
    if found:
        raise _error(entry, f"takes values and uses {found[0]!r}, which could read a value as syntax")
    for words in _simple_commands(tokens):
        program = _program(words)
        if program is not None and not _is_harmless(program, words):
            text = "".join(token.text for token in program)
            raise _error(entry, f"takes values and runs {text!r}, which could read a value as syntax")


def _plain(token: Token) -> str:
    """Return what bash reads as syntax; a quoted piece is a mere Q, a placeholder a mere V."""
    if token.kind == "braces":
        return token.text[0] if token.text in ("{{", "}}") else "V"
    return "Q" if token.kind in ("single", "double", "escape") else token.text


def _simple_commands(tokens: list[Token]) -> Iterator[list[list[Token]]]:
    """Give each simple command as its words, without the targets of redirections."""
    outer: list[tuple[list[list[Token]], list[Token] | None]] = []
    words: list[list[Token]] = []
    word: list[Token] | None = None  # the one that goes on
    is_target = False
    for token in tokens:
        if token.kind == "space":
            word = None
        elif token.kind != "operator":
            if word is None:
                word = []
                words += [] if is_target else [word]
                is_target = False
            word.append(token)
        elif token.text in _REDIRECTIONS:
            word, is_target = None, True
        elif token.text == "(":
            outer.append((words, word))
            words, word, is_target = [], None, False
        else:
            yield words
            words, word = outer.pop() if token.text == ")" and outer else ([], None)
            is_target = False
    yield words


def _program(words: list[list[Token]]) -> list[Token] | None:
    """Return the word that names what a simple command runs, behind keywords and assignments."""
    for word in words:
        text = word[0].text
        is_keyword = len(word) == 1 and text in _PREFIXES
        is_assignment = word[0].kind == "text" and re.match(r"[A-Za-z_][A-Za-z0-9_]*=", text)
        if not is_keyword and not is_assignment:
            return word
    return None


def _is_harmless(program: list[Token], words: list[list[Token]]) -> bool:
    if len(program) != 1 or program[0].kind != "text" or not _PROGRAM.fullmatch(program[0].text):
        return False
    name = program[0].text.rpartition("/")[2] or program[0].text
    if name in _HARMLESS_WITHOUT_VALUES:
        return not any(token.placeholder or "$" in token.text for word in words for token in word)
    return name not in _READS_SYNTAX


def _error(entry: EntryPoint, message: str, hint: str = "put it in a script") -> InvalidProjectError:
    return InvalidProjectError(f"the command {message}", where=entry.where, hint=hint)
