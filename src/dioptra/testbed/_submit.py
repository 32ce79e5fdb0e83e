"""Submitting: what is to run is checked, captured and pinned now, and put into a queue last."""

from __future__ import annotations

import re
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dioptra.errors import ProjectNotFoundError, UsageError
from dioptra.experiment import Library, Snapshot
from dioptra.records import OUTCOMES, Dependency, Job, JobStatus
from dioptra.storage import Home, is_archive, unpack
from dioptra.worker import Conditions, Pins, Plan, Request, conditions_of_plan, draw_hash_seed, make_plan, pin_plugins

__all__ = ["Submission", "again", "dependencies", "plan_of", "project_of", "submitted"]

_LONGEST = 200  # characters of a name, a tag, a key
_OUTCOME = re.compile(r"(?P<job>[0-9A-Fa-f-]+)\.(?P<outcome>\w+)")


@dataclass(frozen=True, kw_only=True)
class Submission:
    """How a job is to wait, and to be run.

    Args:
        queue: The queue that it waits in.
        depends_on: The jobs that must finish first, by id or unique prefix of one.
        takes: Parameters whose values are outcomes of other jobs, such as `JOB.run_id`; it waits for these jobs too.
        timeout: Seconds that an attempt may take; None for any.
        priority: Higher ones are run first.
        retries: How often it is started again when its worker is lost.
        name: What to call it.
        tags: Words to find it by.
        key: Two submissions with the same key are one job.
        plugins_at_start: It takes the task plugins that are there when it starts, as in 0.x, not those of now.
    """

    queue: str = "default"
    depends_on: Sequence[str] = ()
    takes: Mapping[str, str] = field(default_factory=dict)
    timeout: float | None = None
    priority: int = 0
    retries: int = 0
    name: str = ""
    tags: Sequence[str] = ()
    key: str = ""
    plugins_at_start: bool = False

    def check(self) -> None:
        """Raise UsageError when one of its words is longer than lists and indexes can take."""
        for what, text in (("name", self.name), ("key", self.key), *(("tag", tag) for tag in self.tags)):
            if len(text) > _LONGEST:
                raise UsageError(f"the {what} {text[:20]!r}... has {len(text)} characters", hint=f"{_LONGEST} at most")


@contextmanager
def project_of(path: Path) -> Iterator[Path]:
    """Give the folder of a project; an archive of one is unpacked for as long as the block runs.

    Raises:
        ArchiveError: The archive cannot be unpacked safely.
        ProjectNotFoundError: It holds no MLproject file, or several.
    """
    if not is_archive(path) or path.is_dir():
        yield path
        return
    if not path.is_file():
        raise ProjectNotFoundError(f"there is no archive {str(path)!r}", hint="name a project's folder or archive")
    with tempfile.TemporaryDirectory(prefix="dioptra-") as place:
        yield _only_project(unpack(path, Path(place) / "project"), path)


def check_no_archive(path: Path) -> None:
    """Refuse an archive where the folder itself is needed.

    Raises:
        ProjectNotFoundError: It is one.
    """
    if is_archive(path) and path.is_file():
        raise ProjectNotFoundError(f"{str(path)!r} is an archive", hint="unpack it, or use `dioptra submit`")


def _only_project(folder: Path, archive: Path) -> Path:
    found = sorted((file for file in folder.rglob("*") if file.name == "MLproject"), key=lambda file: len(file.parts))
    if not found:
        raise ProjectNotFoundError(f"there is no MLproject file in {str(archive)!r}", hint="pack one with it")
    nearest = [file for file in found if len(file.parts) == len(found[0].parts)]
    if len(nearest) > 1:
        names = ", ".join(str(file.relative_to(folder)) for file in nearest[:3])
        raise ProjectNotFoundError(f"there are several projects in {str(archive)!r}: {names}", hint="pack one of them")
    return nearest[0].parent


def dependencies(submission: Submission, find: Callable[[str], Job]) -> tuple[Dependency, ...]:
    """Return what a job waits for, and what it takes from there.

    Args:
        submission: What was asked for.
        find: Gives the job with an id or a unique prefix of one.

    Raises:
        JobNotFoundError: There is no such job.
        UsageError: What it takes is no outcome.
    """
    taken = [_taken(parameter, text, find) for parameter, text in submission.takes.items()]
    known = {each.job for each in taken}
    waited = [find(prefix).id for prefix in submission.depends_on]
    return (*taken, *(Dependency(job=job) for job in dict.fromkeys(waited) if job not in known))


def _taken(parameter: str, text: str, find: Callable[[str], Job]) -> Dependency:
    match = _OUTCOME.fullmatch(text)
    if not match or match["outcome"] not in OUTCOMES:
        raise UsageError(
            f"{text!r} is no outcome of a job that {parameter!r} could take",
            hint=f"write JOB.NAME, where NAME is one of: {', '.join(OUTCOMES)}",
        )
    return Dependency(job=find(match["job"]).id, parameter=parameter, outcome=match["outcome"])


def plan_of(
    project: Path,
    entry_point: str,
    parameters: Mapping[str, str],
    experiment: str | None,
    waits_for: Sequence[Dependency],
    env_manager: str = "",
) -> Plan:
    """Check what is to run, as far as it can be known before the jobs that it waits for have ended.

    Raises:
        UsageError: A parameter is given a value and takes one too.
    """
    promised = {each.parameter: f"<{each.outcome} of job {each.job[:8]}>" for each in waits_for if each.parameter}
    if twice := [name for name in promised if name in parameters]:
        raise UsageError(f"parameter {twice[0]!r} is given and taken from a job", hint="do one of them")
    values = {**parameters, **promised}
    return make_plan(project, entry_point, values, experiment, promised=promised.keys(), env_manager=env_manager)


def submitted(
    home: Home, library: Library, plan: Plan, submission: Submission, waits_for: Sequence[Dependency], place: Path
) -> Job:
    """Capture the project and pin the plugins, and return the job that is to be put into a queue.

    Args:
        home: Where bundles are kept.
        library: Where the code is kept.
        plan: What is to run.
        submission: How.
        waits_for: What it waits for.
        place: The folder that defaults and shared data are looked up in when it runs.
    """
    home.make()
    snapshot, request = captured(home, library, plan, plugins_at_start=submission.plugins_at_start)
    return _job(snapshot, request, submission, waits_for, place)


def captured(home: Home, library: Library, plan: Plan, *, plugins_at_start: bool = False) -> tuple[Snapshot, Request]:
    """Capture the project and pin the plugins, and return the snapshot and what is to be run of it."""
    home.make()
    hash_seed, plugins = draw_hash_seed(), Pins() if plugins_at_start else pin_plugins(home)
    found = library.open_experiment(plan.experiment).capture(
        plan.project.folder,
        script=plan.project.file.name if plan.project.file.suffix == ".py" else plan.entry_point.name,
        conditions=lambda: conditions_of_plan(home, plan, hash_seed, plugins),
        left_out=(home.path.resolve(),),
    )
    request = Request.of(plan, found.repository, hash_seed, plugins)
    return found.snapshot, replace(request, plugins_at_start=plugins_at_start)


def again(home: Home, job: Job) -> Job:
    """Return a new job that does what another one did.

    Raises:
        RefusedError: What it ran with is not known.
    """
    request = job.request or _request_of(home, job)
    given = {name: value for name, value in job.parameters.items() if name in request["given"]}
    return job.changed(
        id=str(uuid.uuid4()),
        retry_of=job.id,
        parameters=given,
        argv=(),
        request=request,
        run_id=None,
        waits_for=() if job.attempt else job.waits_for,  # one that never ran waits for the same ones again
    )


def _request_of(home: Home, job: Job) -> dict[str, Any]:
    """Return the request of a job that never waited in a queue, from what its attempt ran with."""
    conditions = Conditions.load(home.attempt(job.id, job.attempt))
    plugins = pin_plugins(home)
    return {
        "project_file": conditions.project_file,
        "given": list(conditions.given),
        "hash_seed": conditions.hash_seed,
        "env_manager": conditions.env_manager,
        "repository": conditions.repository,
        "plugins": plugins.hashes,
        "plugin_sources": plugins.sources,
    }


def _job(
    snapshot: Snapshot, request: Request, submission: Submission, waits_for: Sequence[Dependency], place: Path
) -> Job:
    promised = {each.parameter for each in waits_for}
    return Job(
        id=str(uuid.uuid4()),
        experiment=request.experiment,
        project_dir=str(place),
        entry_point=request.entry_point,
        parameters={name: value for name, value in request.given.items() if name not in promised},
        argv=(),
        status=JobStatus.DEFERRED if waits_for else JobStatus.QUEUED,
        attempt=0,
        snapshot=snapshot.name,
        queue=submission.queue,
        name=submission.name,
        tags=tuple(submission.tags),
        priority=submission.priority,
        timeout=submission.timeout,
        retries=submission.retries,
        waits_for=tuple(waits_for),
        request=request.to_dict(),
    )
