"""Reads an MLproject file as YAML 1.2, keeping the text of every value and the line it stands on."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dioptra.errors import InvalidProjectError, ProjectNotFoundError, did_you_mean
from dioptra.mlproject._model import EntryPoint, Parameter, Project, ProjectWarning
from dioptra.mlproject._script import is_script, script_project

if TYPE_CHECKING:
    from ruamel.yaml.nodes import MappingNode, Node, ScalarNode

__all__ = ["TYPES", "read_project"]

TYPES = {
    "string": "string",
    "str": "string",
    "float": "float",
    "int": "integer",
    "integer": "integer",
    "bool": "boolean",
    "boolean": "boolean",
    "path": "path",
    "uri": "uri",
}
MAX_BYTES = 256_000
MAX_VALUES = 10_000
MAX_DEPTH = 20
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,249}")
_TOP_KEYS = ("name", "entry_points", "conda_env", "python_env", "docker_env")
_ENTRY_KEYS = ("parameters", "command")
_PARAMETER_KEYS = ("type", "default")
_NULL = "tag:yaml.org,2002:null"


def read_project(path: Path) -> Project:
    """Read the MLproject file of a folder.

    Args:
        path: The folder, or the file itself, or a Python script that is a project by itself.

    Raises:
        ProjectNotFoundError: There is no such folder, or no MLproject file in it.
        InvalidProjectError: The file is not valid; the message names file, line and what would be right.
    """
    found = _find(path)
    return script_project(found) if is_script(found) else _Reader(found).project()


def _find(path: Path) -> Path:
    path = path.absolute()
    try:
        if path.is_file():
            return path
        if not path.is_dir():
            raise ProjectNotFoundError(f"there is no folder {str(path)!r}")
        return _find_in(path)
    except OSError as error:
        raise ProjectNotFoundError(f"the folder {str(path)[:200]!r} cannot be read ({error.strerror})") from error


def _find_in(path: Path) -> Path:
    found = sorted(entry for entry in path.iterdir() if entry.name.casefold() == "mlproject" and entry.is_file())
    exact = [entry for entry in found if entry.name == "MLproject"]
    if not found:
        raise ProjectNotFoundError(
            f"no MLproject file in {str(path)!r}", hint="name the folder of a project: dioptra run FOLDER"
        )
    return (exact or found)[0]


class _Reader:
    """Walks the YAML nodes of one file; every error names the file and the line."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.warnings: list[ProjectWarning] = []
        self._reading = ""  # the entry point that is being read

    def project(self) -> Project:
        root = self._compose(self._text())
        top = self._mapping(root, "the file", _TOP_KEYS)
        name = self._text_of(top["name"], "name") if "name" in top else None
        points = self._mapping(top["entry_points"], "entry_points") if "entry_points" in top else {}
        entry_points = {}
        for self._reading, node in points.items():
            entry_points[self._reading] = self._entry_point(self._reading, node)
        return Project(name or self.file.parent.name, self.file, entry_points, tuple(self.warnings))

    def _entry_point(self, name: str, node: Node) -> EntryPoint:
        path = f"entry_points.{name}"
        keys = self._mapping(node, path, _ENTRY_KEYS)
        if "command" not in keys:
            raise self._error(node, f"{path} has no command", "write `command: python ...`")
        command = self._text_of(keys["command"], f"{path}.command")
        if not (command or "").strip():
            raise self._error(keys["command"], f"{path}.command is empty", "write `command: python ...`")
        declared = self._mapping(keys["parameters"], f"{path}.parameters") if "parameters" in keys else {}
        parameters = {key: self._parameter(f"{path}.parameters", key, value) for key, value in declared.items()}
        return EntryPoint(name, command or "", parameters, _line(node), self.file)

    def _parameter(self, path: str, name: str, node: Node) -> Parameter:
        path = f"{path}.{name}"
        if not _NAME.fullmatch(name):
            raise self._error(node, f"{path}: {name!r} cannot be a parameter's name", "use letters, digits, _ and -")
        if _is_mapping(node):
            keys = self._mapping(node, path, _PARAMETER_KEYS)
            type_name = self._text_of(keys["type"], f"{path}.type") if "type" in keys else "string"
            default = self._text_of(keys["default"], f"{path}.default") if "default" in keys else None
        else:
            type_name, default = self._text_of(node, path), None
        return Parameter(name, self._type(node, path, type_name or "string"), default, _line(node))

    def _type(self, node: Node, path: str, name: str) -> str:
        if name not in TYPES:
            guess = did_you_mean(name, TYPES)
            note = f"{self._place(node)}: type {name!r} of {path} is not known and is taken as string"
            self._warn(f"{note}; {guess}" if guess else f"{note}; known are {', '.join(TYPES)}")
        return TYPES.get(name, "string")

    def _mapping(self, node: Node, path: str, known: tuple[str, ...] = ()) -> dict[str, Node]:
        if _is_null(node):
            return {}
        if not _is_mapping(node):
            raise self._error(node, f"{path} must be a mapping, got {_kind(node)}", "write `key: value` lines")
        result: dict[str, Node] = {}
        for key_node, value in _pairs(node):
            key = self._text_of(key_node, f"a key of {path}") or ""
            if known and key not in known:
                guess = did_you_mean(key, known) or f"known are {', '.join(known)}"
                self._warn(f"{self._place(key_node)}: {key!r} means nothing in {path}; {guess}")
            result[key] = value
        return result

    def _text_of(self, node: Node, path: str) -> str | None:
        """Return the text of a scalar as it was written; None for a null."""
        if not _is_scalar(node):
            raise self._error(node, f"{path} must be one value, got {_kind(node)}", "put it in quotes")
        return None if _is_null(node) else str(node.value)

    def _text(self) -> str:
        try:
            with self.file.open("rb") as stream:
                data = stream.read(MAX_BYTES + 1)
        except OSError as error:
            raise InvalidProjectError(f"cannot be read ({error.strerror})", where=str(self.file)) from error
        if len(data) > MAX_BYTES:
            raise InvalidProjectError(f"is larger than the limit of {MAX_BYTES:,} bytes", where=str(self.file))
        try:
            return data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise InvalidProjectError(
                f"is not UTF-8 (byte 0x{data[error.start]:02x} at {error.start})",
                where=str(self.file),
                hint="save it as UTF-8",
            ) from error

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
            raise InvalidProjectError("is empty", where=str(self.file), hint="declare entry_points")
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
                raise self._error(node, f"is too large when aliases are unfolded (limit {limit})")
            if _is_mapping(node):
                self._check_keys(node)

    def _check_keys(self, node: Node) -> None:
        seen: dict[str, int] = {}
        for key, _ in _pairs(node):
            text = str(key.value)
            if text in seen:
                raise self._error(key, f"{text!r} is given twice (lines {seen[text]} and {_line(key)})", "keep one")
            seen[text] = _line(key)

    def _warn(self, sentence: str) -> None:
        self.warnings.append(ProjectWarning(sentence, self._reading))

    def _place(self, node: Node) -> str:
        return f"{self.file} line {_line(node)}"

    def _error(self, node: Node, message: str, hint: str = "") -> InvalidProjectError:
        return InvalidProjectError(message, where=self._place(node), hint=hint)


def _walk(root: Node) -> Iterator[tuple[int, Node]]:
    stack = [(0, root)]
    while stack:
        depth, node = stack.pop()
        yield depth, node
        if not _is_scalar(node):
            children = [part for pair in _pairs(node) for part in pair] if _is_mapping(node) else node.value
            stack.extend((depth + 1, child) for child in children)


def _pairs(node: Node) -> list[tuple[ScalarNode, Node]]:
    pairs: list[tuple[ScalarNode, Node]] = node.value
    return pairs


def _is_mapping(node: Node | MappingNode) -> bool:
    return str(getattr(node, "id", "")) == "mapping"


def _is_scalar(node: Node) -> bool:
    return str(getattr(node, "id", "")) == "scalar"


def _is_null(node: Node) -> bool:
    return _is_scalar(node) and str(node.tag) == _NULL


def _kind(node: Node) -> str:
    return "a mapping" if _is_mapping(node) else repr(str(node.value)) if _is_scalar(node) else "a list"


def _line(node: Node) -> int:
    return int(node.start_mark.line) + 1


def _problem(problem: str | None, text: str, mark: object) -> str:
    line = text.splitlines()[getattr(mark, "line", 0)] if text and mark else ""
    if line[: len(line) - len(line.lstrip())].count("\t"):
        return "a tab cannot indent YAML; use spaces"
    return f"is not YAML ({problem or 'unknown problem'})"


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
