"""What is run of a snapshot, and its laying out in the attempt's folder."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dioptra.errors import DioptraError, InvalidParameterError, InvalidProjectError, NotFoundError
from dioptra.experiment import Experiment, ProjectSettings, Snapshot, environment, read_settings
from dioptra.mlproject import build_argv, remote_inputs
from dioptra.records import Job
from dioptra.storage import AttemptPaths, Home, Progress, fetch, hash_content, is_remote
from dioptra.worker._conditions import Conditions, input_hashes, seeds
from dioptra.worker._environment import job_environment, resolve_program
from dioptra.worker._plan import LOCAL, Plan, make_plan
from dioptra.worker._plugins import Pins, pin_plugins, plugin_path
from dioptra.worker._python_env import BuiltEnv, build_env

__all__ = ["OnFetch", "Prepared", "Request", "prepare"]

_CAPTURED = "only what was captured is there when a job runs: see .gitignore and .dioptraignore"

OnFetch = Callable[[str], AbstractContextManager[Progress]]


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is to be run of a snapshot, and with what."""

    experiment: str
    project_dir: Path  # where the snapshot was taken: defaults and shared folders are looked up there
    project_file: str  # the name of the MLproject file in it
    entry_point: str
    given: dict[str, str]
    hash_seed: str
    repository: dict[str, Any] | None
    plugins: Pins  # those that were pinned
    plugins_at_start: bool = False  # take those of the moment when it starts, as in 0.x
    env_manager: str = LOCAL  # what gives it its environment
    verifies: str = ""

    @classmethod
    def of(cls, plan: Plan, repository: dict[str, Any] | None, hash_seed: str, plugins: Pins) -> Request:
        """Return the request that a plan stands for; relative paths that were given have become absolute in it."""
        return cls(
            experiment=plan.experiment,
            project_dir=plan.project.folder,
            project_file=plan.project.file.name,
            entry_point=plan.entry_point.name,
            given={name: value for name, value in plan.parameters.items() if name in plan.given},
            hash_seed=hash_seed,
            repository=repository,
            plugins=plugins,
            env_manager=plan.env_manager,
        )

    @classmethod
    def of_job(cls, job: Job) -> Request:
        """Return the request that a job in a queue stands for; see `to_dict`."""
        more = job.request
        return cls(
            experiment=job.experiment,
            project_dir=Path(job.project_dir),
            project_file=more["project_file"],
            entry_point=job.entry_point,
            given={name: job.parameters[name] for name in more["given"]},
            hash_seed=more["hash_seed"],
            repository=more["repository"],
            plugins=Pins(more["plugins"], more.get("plugin_sources", {})),
            plugins_at_start=more.get("plugins_at_start", False),
            env_manager=more.get("env_manager", LOCAL),
            verifies=job.verifies,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return what a job in a queue keeps of it besides its own fields."""
        return {
            "project_file": self.project_file,
            "given": list(self.given),
            "hash_seed": self.hash_seed,
            "repository": self.repository,
            "plugins": self.plugins.hashes,
            "plugin_sources": self.plugins.sources,
            "plugins_at_start": self.plugins_at_start,
            "env_manager": self.env_manager,
        }


@dataclass(frozen=True)
class Prepared:
    """An attempt whose folder is ready."""

    plan: Plan
    conditions: Conditions
    settings: ProjectSettings
    request: Request
    home: Home
    plugin_path: str  # the folders that it takes task plugins from, separated by colons
    env: BuiltEnv | None = None  # its own environment; None for that of the testbed

    def changed_data(self) -> str:
        """Say which shared folder is not what it was when the attempt began; nothing when all are."""
        now = self.settings.hash_shared(self.request.project_dir, self.home.hashes_dir)
        for name, content in now.items():
            if content.sha256 != self.conditions.shared[name]["sha256"]:
                return f"the shared folder {name!r} was changed while the job ran; what it read is not known"
        return ""

    def changed_inputs(self) -> str:
        """Name the inputs of the user that are not what they were when the attempt began.

        The job may be meant to change them, as a folder that it writes into.
        """
        changed = [name for name, found in self.conditions.inputs.items() if self._has_changed(found)]
        return f"changed while it ran: {', '.join(changed)}" if changed else ""

    def _has_changed(self, found: Mapping[str, Any]) -> bool:
        path = Path(found["path"])
        if is_remote(found["path"]) or path.is_relative_to(self.home.jobs_dir):
            return False
        try:
            return bool(hash_content(path, cache=self.home.hashes_dir).sha256 != found["sha256"])
        except (DioptraError, OSError):
            return True


def prepare(
    home: Home,
    experiment: Experiment,
    snapshot: Snapshot,
    request: Request,
    paths: AttemptPaths,
    on_fetch: OnFetch,
    *,
    on_build: Callable[[str], object] = lambda sentence: None,
    cancel: threading.Event | None = None,
) -> Prepared:
    """Lay a snapshot out in an attempt's folder, check the request against it, and keep what it will run with.

    Raises:
        KeyboardInterrupt: It was cancelled while its environment was built.
    """
    experiment.lay_out(snapshot, paths.code_dir)
    settings = read_settings(paths.code_dir)
    settings.link_shared(request.project_dir, paths.code_dir)
    plan = _plan(request, paths.code_dir)
    env = _env(home, plan, request, paths.code_dir, on_build, cancel)
    fetched = _fetch(plan, paths, on_fetch)
    plugins = pin_plugins(home) if request.plugins_at_start else request.plugins
    conditions = Conditions(
        project_file=request.project_file,
        entry_point=plan.entry_point.name,
        given=request.given,
        parameters=plan.parameters,
        argv=build_argv(plan.entry_point, plan.parameters | fetched),
        seeds=seeds(plan.parameters, request.hash_seed),
        environment=env.describe() if env else environment(),
        env_manager=plan.env_manager,
        plugins=plugins.hashes,
        plugin_sources=plugins.sources,
        inputs=input_hashes(home, plan, fetched),
        shared={name: c.to_dict() for name, c in settings.hash_shared(request.project_dir, home.hashes_dir).items()},
        repository=request.repository,
    )
    conditions.save(paths)
    plugins_at = plugin_path(home, plugins.hashes, paths, apart=env is not None)
    return Prepared(plan, conditions, settings, request, home, plugins_at, env)


def _plan(request: Request, code_dir: Path) -> Plan:
    file = code_dir / request.project_file
    if not file.is_file():
        raise InvalidProjectError(
            f"{request.project_file} is not part of what was captured of {str(request.project_dir)!r}",
            hint="see .gitignore and .dioptraignore",
        )
    with _naming_the_project(request, code_dir, _CAPTURED):
        return make_plan(
            file,
            request.entry_point,
            request.given,
            request.experiment,
            otherwise=request.project_dir,
            env_manager=request.env_manager,
        )


@contextmanager
def _naming_the_project(request: Request, code_dir: Path, note: str = "") -> Iterator[None]:
    """Let errors name the project, which stays, in place of the copy, which is removed."""
    try:
        yield
    except DioptraError as error:
        for part in ("where", "message"):
            setattr(error, part, getattr(error, part).replace(str(code_dir), str(request.project_dir)))
        if note:
            error.add_note(note)
        raise


def _env(
    home: Home,
    plan: Plan,
    request: Request,
    code_dir: Path,
    on_build: Callable[[str], object],
    cancel: threading.Event | None,
) -> BuiltEnv | None:
    """Return the environment that a plan asks for, once it is built and has the program that is to be started."""
    if plan.wanted_env is None:
        return None
    with _naming_the_project(request, code_dir):
        env = build_env(home, plan.wanted_env, on_build=on_build, cancel=cancel)
        where = plan.entry_point.where
        resolve_program(plan.argv, folder=code_dir, environment=job_environment({}, env=env), where=where)
    return env


def _fetch(plan: Plan, paths: AttemptPaths, on_fetch: OnFetch) -> dict[str, str]:
    """Fetch what lies elsewhere, and return the local path of each parameter's value."""
    fetched = {}
    for name, uri in remote_inputs(plan.entry_point, plan.parameters).items():
        try:
            with on_fetch(uri) as progress:
                fetched[name] = str(fetch(uri, paths.input_dir / name, progress))
        except NotFoundError as error:
            raise InvalidParameterError(f"parameter {name!r}: {error}", where=plan.entry_point.where) from error
    return fetched
