"""Reads the file that `python_env` names: the version of Python and the packages that a project asks for.

The format is MLflow's: https://mlflow.org/docs/latest/ml/projects/#python-environments
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from dioptra.errors import InvalidProjectError
from dioptra.mlproject._model import DeclaredEnvironment, Project, PythonEnv, Requirements
from dioptra.mlproject._requirements import RequirementReader, file_within
from dioptra.mlproject._yaml import YamlFile, is_mapping, is_null, is_scalar, kind_of

if TYPE_CHECKING:
    from ruamel.yaml.nodes import Node

__all__ = ["read_python_env"]

_KEYS = ("python", "build_dependencies", "dependencies")
_VERSION = re.compile(r"[1-9]\d*\.\d+(\.\d+)?", re.ASCII)
_LOCAL = "use python_env, or run it where dioptra is installed with --env-manager local, as 0.x did"


def read_python_env(project: Project) -> PythonEnv | None:
    """Return the environment that a project asks for, or None when it asks for none.

    Raises:
        InvalidProjectError: It asks for one of another kind, or its file is not in order; the message names the line.
    """
    kinds = {each.kind: each for each in project.declared}
    for kind in ("docker_env", "conda_env"):
        if kind in kinds:
            raise InvalidProjectError(
                f"{kind} is not an environment that can be built here", where=_place(project, kinds[kind]), hint=_LOCAL
            )
    return _read(project, kinds["python_env"]) if "python_env" in kinds else None


def _read(project: Project, declared: DeclaredEnvironment) -> PythonEnv:
    place = _place(project, declared)
    if not declared.value:
        raise InvalidProjectError(
            "python_env must be the path of a YAML file", where=place, hint="write `python_env: python_env.yaml`"
        )
    file = file_within(project.folder, project.folder, declared.value, place, f"python_env: {declared.value!r}")
    return _Reader(file, project.folder).python_env()


def _place(project: Project, declared: DeclaredEnvironment) -> str:
    return f"{project.file} line {declared.line}"


class _Reader(YamlFile):
    """Reads the file that declares an environment."""

    def __init__(self, file: Path, project: Path) -> None:
        super().__init__(file, declares="dependencies")
        self._project = project

    def python_env(self) -> PythonEnv:
        keys = self.mapping(self.root(), "the file", _KEYS)
        return PythonEnv(
            file=self.file,
            python=self._python(keys["python"]) if "python" in keys else "",
            build_dependencies=self._requirements(keys, "build_dependencies"),
            dependencies=self._requirements(keys, "dependencies"),
            warnings=tuple(warning.sentence for warning in self.warnings),
        )

    def _python(self, node: Node) -> str:
        version = (self.text_of(node, "python") or "").strip()
        if version and not _VERSION.fullmatch(version):
            raise self.error(node, f"python: {version!r} is no version of Python", "write one such as 3.12 or 3.12.4")
        return version

    def _requirements(self, keys: dict[str, Node], key: str) -> Requirements:
        reader = RequirementReader(self._project)
        for node in self._items(keys[key], key) if key in keys else ():
            reader.add(self.text_of(node, f"an entry of {key}") or "", self.file, self.place(node))
        return reader.found()

    def _items(self, node: Node, key: str) -> Iterator[Node]:
        if is_null(node):
            return
        if is_scalar(node) or is_mapping(node):
            raise self.error(node, f"{key} must be a list, got {kind_of(node)}", "write `- name` lines")
        yield from node.value
