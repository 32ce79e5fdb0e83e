"""A script as a project: a task's script needs no MLproject file, because its commands are always the same."""

from __future__ import annotations

import shlex
from pathlib import Path

from dioptra.mlproject._model import EntryPoint, Parameter, Project

__all__ = ["is_script", "script_project"]

_INFILE, _OUTFILE = Parameter("infile", "path", None, 0), Parameter("outfile", "uri", None, 0)
_COMMANDS: dict[str, tuple[str, tuple[Parameter, ...]]] = {
    "main": ("", ()),
    "train": ("train", ()),
    "test": ("test", ()),
    "eval": ("eval {infile} {outfile}", (_INFILE, _OUTFILE)),
    "status": ("status", ()),
}


def is_script(path: Path) -> bool:
    """Tell whether a path names a Python script, not a folder or an MLproject file."""
    return path.suffix == ".py" and path.is_file()


def script_project(file: Path) -> Project:
    """Return the project that a script is by itself: its folder, with the commands of a task as entry points."""
    name = f"./{file.name}" if file.name.startswith("-") else file.name  # python would take it for an option
    program = f"python {shlex.quote(name)}".replace("{", "{{").replace("}", "}}")
    points = {
        point: EntryPoint(point, f"{program} {command}".rstrip(), {p.name: p for p in parameters}, 0, file)
        for point, (command, parameters) in _COMMANDS.items()
    }
    return Project(file.parent.name, file, points)
