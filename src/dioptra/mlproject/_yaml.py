"""A file of a project, read as YAML 1.2: the text of every value and the line it stands on are kept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dioptra.errors import InvalidProjectError, did_you_mean
from dioptra.mlproject._model import ProjectWarning

if TYPE_CHECKING:
    from ruamel.yaml.nodes import MappingNode, Node, ScalarNode

__all__ = ["YamlFile", "is_mapping", "is_null", "is_scalar", "kind_of", "line_of", "text_of_file"]

MAX_BYTES = 256_000
MAX_VALUES = 10_000
MAX_DEPTH = 20
_NULL = "tag:yaml.org,2002:null"


class YamlFile:
    """Walks the YAML nodes of one file; every error names the file and the line."""

    def __init__(self, file: Path, *, declares: str) -> None:
        """Take a file.

        Args:
            file: It.
            declares: What it is there for, which an empty one lacks.
        """
        self.file = file
        self.warnings: list[ProjectWarning] = []
        self._declares = declares
        self._reading = ""  # the entry point that is being read

    def root(self) -> Node:
        """Return the outermost node.

        Raises:
            InvalidProjectError: The file cannot be read, is no YAML, or is more than a project needs.
        """
        return self._compose(text_of_file(self.file))

    def mapping(self, node: Node, path: str, known: tuple[str, ...] = ()) -> dict[str, Node]:
        """Return the values of a mapping by key; one that is not among the known ones is a warning."""
        if is_null(node):
            return {}
        if not is_mapping(node):
            raise self.error(node, f"{path} must be a mapping, got {kind_of(node)}", "write `key: value` lines")
        result: dict[str, Node] = {}
        for key_node, value in _pairs(node):
            key = self.text_of(key_node, f"a key of {path}") or ""
            if known and key not in known:
                guess = did_you_mean(key, known) or f"known are {', '.join(known)}"
                self.warn(f"{self.place(key_node)}: {key!r} means nothing in {path}; {guess}")
            result[key] = value
        return result

    def text_of(self, node: Node, path: str) -> str | None:
        """Return the text of a scalar as it was written; None for a null."""
        if not is_scalar(node):
            raise self.error(node, f"{path} must be one value, got {kind_of(node)}", "put it in quotes")
        return None if is_null(node) else str(node.value)

    def _compose(self, text: str) -> Node:
        from ruamel.yaml import YAML
        from ruamel.yaml.error import MarkedYAMLError, YAMLError

        try:
            self._refuse_tokens(YAML(typ="safe", pure=True).scan(text))
            root: Node | None = YAML(typ="safe", pure=True).compose(text)
        except MarkedYAMLError as error:
            mark = error.problem_mark
            place = f"{self.file} line {mark.line + 1}, column {mark.column + 1}" if mark else str(self.file)
            raise InvalidProjectError(_problem(error.problem, text, mark), where=place) from error
        except (YAMLError, RecursionError) as error:
            raise InvalidProjectError(f"is not YAML ({_first_line(error)})", where=str(self.file)) from error
        if root is None:
            raise InvalidProjectError("is empty", where=str(self.file), hint=f"declare {self._declares}")
        self._check(root)
        return root

    def _refuse_tokens(self, tokens: Iterable[Any]) -> None:
        """Refuse tags, and levels over levels, whose reading would take minutes."""
        depth = 0
        for token in tokens:
            kind = type(token).__name__
            depth += kind.endswith("StartToken") - kind.endswith("EndToken")
            if depth > MAX_DEPTH + 1:
                place = f"{self.file} line {token.start_mark.line + 1}"
                raise InvalidProjectError(f"is nested too deep (limit {MAX_DEPTH} levels)", where=place)
            if kind == "TagToken":
                tag = "".join(str(part) for part in token.value if part)
                place = f"{self.file} line {token.start_mark.line + 1}"
                raise InvalidProjectError(f"YAML tags are not allowed ({tag})", where=place, hint="write plain values")

    def _check(self, root: Node) -> None:
        """Refuse keys given twice, and trees that are too large once aliases are unfolded."""
        for count, (depth, node) in enumerate(_walk(root), start=1):
            if count > MAX_VALUES or depth > MAX_DEPTH:
                limit = f"{MAX_VALUES:,} values, {MAX_DEPTH} levels"
                raise self.error(node, f"is too large when aliases are unfolded (limit {limit})")
            if is_mapping(node):
                self._check_keys(node)

    def _check_keys(self, node: Node) -> None:
        seen: dict[str, int] = {}
        for key, _ in _pairs(node):
            text = str(key.value)
            if text in seen:
                raise self.error(key, f"{text!r} is given twice (lines {seen[text]} and {line_of(key)})", "keep one")
            seen[text] = line_of(key)

    def warn(self, sentence: str) -> None:
        """Keep a warning."""
        self.warnings.append(ProjectWarning(sentence, self._reading))

    def place(self, node: Node) -> str:
        """Return the place of a node, for messages."""
        return f"{self.file} line {line_of(node)}"

    def error(self, node: Node, message: str, hint: str = "") -> InvalidProjectError:
        """Return an error that names the place of a node."""
        return InvalidProjectError(message, where=self.place(node), hint=hint)


def text_of_file(file: Path) -> str:
    """Return the text of a file that is not too large.

    Raises:
        InvalidProjectError: It cannot be read, is too large, or is not UTF-8.
    """
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise InvalidProjectError(f"cannot be read ({error.strerror})", where=str(file)) from error
    if len(data) > MAX_BYTES:
        raise InvalidProjectError(f"is larger than the limit of {MAX_BYTES:,} bytes", where=str(file))
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidProjectError(
            f"is not UTF-8 (byte 0x{data[error.start]:02x} at {error.start})",
            where=str(file),
            hint="save it as UTF-8",
        ) from error


def _walk(root: Node) -> Iterator[tuple[int, Node]]:
    stack = [(0, root)]
    while stack:
        depth, node = stack.pop()
        yield depth, node
        if not is_scalar(node):
            children = [part for pair in _pairs(node) for part in pair] if is_mapping(node) else node.value
            stack.extend((depth + 1, child) for child in children)


def _pairs(node: Node) -> list[tuple[ScalarNode, Node]]:
    pairs: list[tuple[ScalarNode, Node]] = node.value
    return pairs


def is_mapping(node: Node | MappingNode) -> bool:
    """Tell whether a node is a mapping."""
    return str(getattr(node, "id", "")) == "mapping"


def is_scalar(node: Node) -> bool:
    """Tell whether a node is one value."""
    return str(getattr(node, "id", "")) == "scalar"


def is_null(node: Node) -> bool:
    """Tell whether a node is no value."""
    return is_scalar(node) and str(node.tag) == _NULL


def kind_of(node: Node) -> str:
    """Say what a node is."""
    return "a mapping" if is_mapping(node) else repr(str(node.value)) if is_scalar(node) else "a list"


def line_of(node: Node) -> int:
    """Return the line that a node begins on, counted from 1."""
    return int(node.start_mark.line) + 1


def _problem(problem: str | None, text: str, mark: object) -> str:
    line = text.splitlines()[getattr(mark, "line", 0)] if text and mark else ""
    if line[: len(line) - len(line.lstrip())].count("\t"):
        return "a tab cannot indent YAML; use spaces"
    return f"is not YAML ({problem or 'unknown problem'})"


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
