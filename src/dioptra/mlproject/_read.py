"""Reads an MLproject file: its entry points, their parameters, and what it says of an environment."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from dioptra.errors import ProjectNotFoundError, did_you_mean
from dioptra.mlproject._model import ENVIRONMENTS, DeclaredEnvironment, EntryPoint, Parameter, Project
from dioptra.mlproject._script import is_script, script_project
from dioptra.mlproject._yaml import YamlFile, is_mapping, is_scalar, line_of

if TYPE_CHECKING:
    from ruamel.yaml.nodes import Node

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
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,249}")
_TOP_KEYS = ("name", "entry_points", *ENVIRONMENTS)
_ENTRY_KEYS = ("parameters", "command")
_PARAMETER_KEYS = ("type", "default")


def read_project(path: Path) -> Project:
    """Read the MLproject file of a folder.

    Args:
        path: The folder, or the file itself, or a Python script that is a project by itself.

    Raises:
        ProjectNotFoundError: There is no such folder, or no MLproject file in it.
        InvalidProjectError: The file is not valid; the message names file, line and what would be right.
    """
    found = _find(path)
    return script_project(found) if is_script(found) else _Reader(found, declares="entry_points").project()


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


class _Reader(YamlFile):
    """Reads an MLproject file."""

    def project(self) -> Project:
        root = self.root()
        top = self.mapping(root, "the file", _TOP_KEYS)
        name = self.text_of(top["name"], "name") if "name" in top else None
        points = self.mapping(top["entry_points"], "entry_points") if "entry_points" in top else {}
        entry_points = {}
        for self._reading, node in points.items():
            entry_points[self._reading] = self._entry_point(self._reading, node)
        declared = tuple(self._declared(kind, top[kind]) for kind in ENVIRONMENTS if kind in top)
        return Project(name or self.file.parent.name, self.file, entry_points, tuple(self.warnings), declared)

    def _declared(self, kind: str, node: Node) -> DeclaredEnvironment:
        """Return what is said of an environment; whether it is right matters only to a job that is to have one."""
        return DeclaredEnvironment(kind, str(node.value) if is_scalar(node) else None, line_of(node))

    def _entry_point(self, name: str, node: Node) -> EntryPoint:
        path = f"entry_points.{name}"
        keys = self.mapping(node, path, _ENTRY_KEYS)
        if "command" not in keys:
            raise self.error(node, f"{path} has no command", "write `command: python ...`")
        command = self.text_of(keys["command"], f"{path}.command")
        if not (command or "").strip():
            raise self.error(keys["command"], f"{path}.command is empty", "write `command: python ...`")
        declared = self.mapping(keys["parameters"], f"{path}.parameters") if "parameters" in keys else {}
        parameters = {key: self._parameter(f"{path}.parameters", key, value) for key, value in declared.items()}
        return EntryPoint(name, command or "", parameters, line_of(node), self.file)

    def _parameter(self, path: str, name: str, node: Node) -> Parameter:
        path = f"{path}.{name}"
        if not _NAME.fullmatch(name):
            raise self.error(node, f"{path}: {name!r} cannot be a parameter's name", "use letters, digits, _ and -")
        if is_mapping(node):
            keys = self.mapping(node, path, _PARAMETER_KEYS)
            type_name = self.text_of(keys["type"], f"{path}.type") if "type" in keys else "string"
            default = self.text_of(keys["default"], f"{path}.default") if "default" in keys else None
        else:
            type_name, default = self.text_of(node, path), None
        return Parameter(name, self._type(node, path, type_name or "string"), default, line_of(node))

    def _type(self, node: Node, path: str, name: str) -> str:
        if name not in TYPES:
            guess = did_you_mean(name, TYPES)
            note = f"{self.place(node)}: type {name!r} of {path} is not known and is taken as string"
            self.warn(f"{note}; {guess}" if guess else f"{note}; known are {', '.join(TYPES)}")
        return TYPES.get(name, "string")
