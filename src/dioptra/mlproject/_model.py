"""What an MLproject file declares."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from pathlib import Path

from dioptra.errors import EntryPointNotFoundError, suggest

__all__ = [
    "ENVIRONMENTS",
    "DeclaredEnvironment",
    "EntryPoint",
    "Parameter",
    "Project",
    "ProjectWarning",
    "PythonEnv",
    "Requirements",
]

ENVIRONMENTS = ("conda_env", "python_env", "docker_env")  # the keys of an MLproject file that may ask for one


@dataclass(frozen=True)
class Parameter:
    """A declared parameter of an entry point."""

    name: str
    type: str
    default: str | None
    line: int


@dataclass(frozen=True)
class EntryPoint:
    """A command, paired with the parameters that it takes."""

    name: str
    command: str
    parameters: dict[str, Parameter]
    line: int
    file: Path

    @property
    def where(self) -> str:
        """Return the place of the declaration, for messages."""
        line = f" line {self.line}" if self.line else ""
        return f"{self.file}{line}, entry point {self.name!r}"


@dataclass(frozen=True)
class ProjectWarning:
    """Something odd in a project's file; it names the entry point that it is about, or none."""

    sentence: str
    entry_point: str = ""


@dataclass(frozen=True)
class DeclaredEnvironment:
    """That a project asks for an environment: how, and the value as it was written; None when it is not one value."""

    kind: str
    value: str | None
    line: int


@dataclass(frozen=True)
class Requirements:
    """Lines of a requirements file, without comments; those of the files that it names stand in their place."""

    lines: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()  # they limit versions, and install nothing


@dataclass(frozen=True)
class PythonEnv:
    """The environment that a project asks for with `python_env`."""

    file: Path
    python: str  # a version such as 3.12; nothing for that of the testbed
    build_dependencies: Requirements
    dependencies: Requirements
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Project:
    """A folder with an MLproject file."""

    name: str
    file: Path
    entry_points: dict[str, EntryPoint]
    warnings: tuple[ProjectWarning, ...] = field(default=())
    declared: tuple[DeclaredEnvironment, ...] = ()

    @property
    def folder(self) -> Path:
        """Return the folder that commands run in."""
        return self.file.parent

    def entry_point(self, name: str) -> EntryPoint:
        """Return the entry point of that name, or one that runs the script of that name with python or bash.

        Raises:
            EntryPointNotFoundError: There is none; the message names the near and the existing ones.
        """
        if name in self.entry_points:
            return self.entry_points[name]
        if program := self._interpreter(name):
            command = f"{program} {shlex.quote(name)}".replace("{", "{{").replace("}", "}}")
            return EntryPoint(name, command, {}, 0, self.file)
        raise EntryPointNotFoundError(
            f"no entry point {name!r}", where=str(self.file), hint=suggest(name, self.entry_points)
        )

    def _interpreter(self, name: str) -> str:
        """Return what runs a script of the project that is not declared; nothing for any other name."""
        script = self.folder / name
        inside = script.is_file() and script.resolve().is_relative_to(self.folder.resolve())
        return {".py": "python", ".sh": "bash"}.get(script.suffix, "") if inside else ""
