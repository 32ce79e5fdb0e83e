"""What is run of a snapshot, and its laying out in the attempt's folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dioptra.errors import DioptraError, InvalidParameterError, InvalidProjectError, NotFoundError
from dioptra.experiment import Experiment, ProjectSettings, Snapshot, read_settings
from dioptra.mlproject import build_argv, remote_inputs
from dioptra.records import Job
from dioptra.storage import AttemptPaths, Home, Progress, fetch, hash_content, is_remote
from dioptra.worker._conditions import Conditions, input_hashes, seeds
from dioptra.worker._plan import Plan, make_plan
from dioptra.worker._plugins import plugin_path

__all__ = ["OnFetch", "Prepared", "Request", "prepare"]

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
    plugins: dict[str, str]  # SHA-256 of those that were pinned, by package or folder
    verifies: str = ""

    @classmethod
    def of(cls, plan: Plan, repository: dict[str, Any] | None, hash_seed: str, plugins: Mapping[str, str]) -> Request:
        """Return the request that a plan stands for; relative paths that were given have become absolute in it."""
        return cls(
            experiment=plan.experiment,
            project_dir=plan.project.folder,
            project_file=plan.project.file.name,
            entry_point=plan.entry_point.name,
            given={name: value for name, value in plan.parameters.items() if name in plan.given},
            hash_seed=hash_seed,
            repository=repository,
            plugins=dict(plugins),
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
            plugins=more["plugins"],
            verifies=job.verifies,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return what a job in a queue keeps of it besides its own fields."""
        return {
            "project_file": self.project_file,
            "given": list(self.given),
            "hash_seed": self.hash_seed,
            "repository": self.repository,
            "plugins": self.plugins,
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
    home: Home, experiment: Experiment, snapshot: Snapshot, request: Request, paths: AttemptPaths, on_fetch: OnFetch
) -> Prepared:
    """Lay a snapshot out in an attempt's folder, check the request against it, and keep what it will run with."""
    experiment.lay_out(snapshot, paths.code_dir)
    settings = read_settings(paths.code_dir)
    settings.link_shared(request.project_dir, paths.code_dir)
    plan = _plan(request, paths.code_dir)
    fetched = _fetch(plan, paths, on_fetch)
    conditions = Conditions(
        project_file=request.project_file,
        entry_point=plan.entry_point.name,
        given=request.given,
        parameters=plan.parameters,
        argv=build_argv(plan.entry_point, plan.parameters | fetched),
        seeds=seeds(plan.parameters, request.hash_seed),
        plugins=request.plugins,
        inputs=input_hashes(home, plan, fetched),
        shared={name: c.to_dict() for name, c in settings.hash_shared(request.project_dir, home.hashes_dir).items()},
        repository=request.repository,
    )
    conditions.save(paths)
    return Prepared(plan, conditions, settings, request, home, plugin_path(home, request.plugins, paths))


def _plan(request: Request, code_dir: Path) -> Plan:
    file = code_dir / request.project_file
    if not file.is_file():
        raise InvalidProjectError(
            f"{request.project_file} is not part of what was captured of {str(request.project_dir)!r}",
            hint="see .gitignore and .dioptraignore",
        )
    try:
        return make_plan(file, request.entry_point, request.given, request.experiment, otherwise=request.project_dir)
    except DioptraError as error:
        for part in ("where", "message"):  # the copy is removed, the project stays
            setattr(error, part, getattr(error, part).replace(str(code_dir), str(request.project_dir)))
        error.add_note("only what was captured is there when a job runs: see .gitignore and .dioptraignore")
        raise


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
