"""What would run: an entry point with all its values, checked before anything is stored."""

from __future__ import annotations

import os
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from dioptra.errors import DioptraError, InvalidParameterError, InvalidProjectError, UsageError, did_you_mean
from dioptra.mlproject import EntryPoint, Project, bind, build_argv, read_project, read_python_env
from dioptra.tracking import check_experiment_name
from dioptra.worker._environment import job_environment, resolve_program
from dioptra.worker._python_env import WantedEnv

__all__ = ["LOCAL", "UV", "Plan", "make_plan"]

LOCAL, UV = "local", "uv"  # what gives a job its environment: nothing but the testbed's own, or uv builds one


@dataclass(frozen=True)
class Plan:
    """What would run."""

    project: Project
    entry_point: EntryPoint
    parameters: dict[str, str]
    argv: list[str]
    experiment: str
    given: frozenset[str]  # names of the parameters whose values were given, not taken from defaults
    wanted_env: WantedEnv | None = None  # the environment that it is to have; None for that of the testbed

    @property
    def warnings(self) -> tuple[str, ...]:
        """Return what is odd about the file, this entry point and the values given, in sentences."""
        about = ("", self.entry_point.name)
        said = [warning.sentence for warning in self.project.warnings if warning.entry_point in about]
        of_env = self.wanted_env.declared.warnings if self.wanted_env else ()
        return (*said, *of_env, *_mistyped(self.entry_point, self.parameters))

    @property
    def env_manager(self) -> str:
        """Return what gives it its environment."""
        return UV if self.wanted_env else LOCAL


def make_plan(
    project: Path,
    entry_point: str,
    parameters: Mapping[str, str],
    experiment: str | None,
    *,
    otherwise: Path | None = None,
    promised: Container[str] = (),
    env_manager: str = "",
) -> Plan:
    """Check a project, an entry point, values, the program and the name of the experiment.

    Defaults that are paths are looked up in the project, then in the folder `otherwise`. Values of parameters that are
    `promised` are not known yet; what `parameters` holds for them is shown in their place. A program that an
    environment of its own may bring is looked for when that is built.
    """
    found = read_project(project)
    try:
        entry = found.entry_point(entry_point)
        values = bind(entry, parameters, otherwise=otherwise, promised=promised)
        argv = build_argv(entry, values)
        wanted = _wanted_env(found, env_manager)
        if wanted is None or not argv or os.sep in argv[0]:
            resolve_program(argv, folder=found.folder, environment=job_environment({}), where=entry.where)
        return Plan(found, entry, values, argv, _experiment(found, experiment), frozenset(parameters), wanted)
    except DioptraError as error:
        for warning in found.warnings:  # what is odd about the file may be the reason
            if warning.entry_point in ("", entry_point):
                error.add_note(warning.sentence)
        raise


def _wanted_env(project: Project, env_manager: str) -> WantedEnv | None:
    if env_manager not in ("", UV, LOCAL):
        raise UsageError(f"{env_manager!r} gives no environment", hint=f"give {UV} or {LOCAL}")
    if env_manager == LOCAL:
        return None
    declared = read_python_env(project)
    if declared is None and env_manager == UV:
        raise InvalidProjectError(
            "no python_env is declared that uv could build",
            where=str(project.file),
            hint=f"declare one, or give {LOCAL}",
        )
    return WantedEnv(declared) if declared else None


def _mistyped(entry: EntryPoint, values: Mapping[str, str]) -> Iterator[str]:
    """Say which undeclared parameters look like declared ones; they are passed on all the same."""
    for name in values:
        if name not in entry.parameters and (guess := did_you_mean(name, entry.parameters)):
            yield f"{entry.where}: {name!r} is not declared and is passed on as --{name}; {guess}"


def _experiment(project: Project, given: str | None) -> str:
    if given is not None:
        return check_experiment_name(given)
    try:
        return check_experiment_name(project.name)
    except InvalidParameterError as error:
        raise InvalidParameterError(
            f"the project's name {project.name!r} cannot be an experiment's name",
            where=str(project.file),
            hint="change `name:`, or give another with --experiment",
        ) from error
