"""Running a snapshot again, and saying whether it gives what it gave."""

from __future__ import annotations

import fnmatch
import math
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dioptra.errors import DioptraError, NotFoundError, RefusedError, StoreUnreachableError, UsageError
from dioptra.experiment import Snapshot, environment
from dioptra.records import Job, JobStatus
from dioptra.results import Difference, TaskDifference, differences, first_difference
from dioptra.testbed._diff import flat_environment
from dioptra.testbed._subject import Subject
from dioptra.worker import LOCAL, Conditions, Pins, Prepared, Request, pin_plugins

if TYPE_CHECKING:
    from dioptra.testbed._testbed import Testbed

__all__ = ["Verdict", "Verification", "Verifier", "worst"]


class Verdict(StrEnum):
    """What a repetition shows."""

    VERIFIED = "verified"
    DRIFTED = "drifted"
    BROKEN = "broken"

    @property
    def exit_code(self) -> int:
        """The exit code of the command."""
        return {Verdict.VERIFIED: 0, Verdict.DRIFTED: 10, Verdict.BROKEN: 1}[self]


@dataclass(frozen=True, kw_only=True)
class Verification:
    """What the repetition of one job showed."""

    job: Job
    verdict: Verdict
    rerun: Job | None = None
    why: str = ""  # of a broken one
    metrics: tuple[Difference, ...] = ()
    task: TaskDifference | None = None  # the first one whose result differs
    metric_count: int = 0
    ignored: tuple[str, ...] = ()  # names of metrics that were not compared
    task_count: int = 0
    environment: tuple[Difference, ...] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        """Return the verification as values that JSON can hold."""
        return {
            "job": self.job.id,
            "entry_point": self.job.entry_point,
            "verdict": self.verdict,
            "rerun": self.rerun.id if self.rerun else None,
            "why": self.why,
            "metrics": [entry.to_dict() for entry in self.metrics],
            "task": self.task.to_dict() if self.task else None,
            "compared": {"metrics": self.metric_count, "tasks": self.task_count},
            "ignored": list(self.ignored),
            "environment": [entry.to_dict() for entry in self.environment],
        }


def worst(found: Sequence[Verification]) -> Verdict:
    """Return the verdict on all: broken if one is broken, else drifted if one is."""
    return max((entry.verdict for entry in found), key=list(Verdict).index)


class Verifier:
    """Runs jobs again and compares.

    Args:
        testbed: Where they ran.
        tolerance: How far a metric may be off, relative to the larger of both values; above 0 the metrics alone decide.
        ignore: Names of metrics that are not compared, such as times; `*` stands for anything.
        on_begin: Called with each job and how the environment differs from the recorded one, before it runs again.
        on_output: Called with each piece of what a script prints.
        cancel: An event that ends it when it is set.
    """

    def __init__(
        self,
        testbed: Testbed,
        *,
        tolerance: float = 0.0,
        ignore: Sequence[str] = (),
        on_begin: Callable[[Job, tuple[Difference, ...]], object] = lambda job, environment: None,
        on_output: Callable[[bytes], object] = lambda chunk: None,
        cancel: threading.Event | None = None,
    ) -> None:
        if not 0 <= tolerance <= 1:
            raise UsageError(f"the tolerance {tolerance!r} is not a number from 0 to 1", hint="give one such as 1e-6")
        self._testbed = testbed
        self._tolerance = tolerance
        self._ignore = tuple(ignore)
        self._on_begin = on_begin
        self._on_output = on_output
        self._cancel = cancel or threading.Event()
        self._environment: tuple[Difference, ...] = ()
        self._ignored: set[str] = set()

    def jobs(self, subject: Subject, entry_point: str | None = None) -> tuple[Job, ...]:
        """Return the jobs of a subject that can be verified.

        Raises:
            RefusedError: There is none.
        """
        found = tuple(job for job in subject.jobs if entry_point in (None, job.entry_point))
        unfinished = [job for job in found if job.status is not JobStatus.FINISHED]
        if unfinished:
            raise RefusedError(
                f"job {unfinished[0].id[:8]} {unfinished[0].status}: only a finished job can be verified"
            )
        if not found:
            which = f" of entry point {entry_point!r}" if entry_point else ""
            raise RefusedError(
                f"snapshot {subject.snapshot.name} has no finished job{which}, so there is nothing to verify",
                hint="see `dioptra snapshot show`",
            )
        return found

    def verify(self, snapshot: Snapshot, job: Job) -> Verification:
        """Run a job again, from the same code with the same values and seeds, and compare what it gave.

        Raises:
            KeyboardInterrupt: It was cancelled.
        """
        self._environment = ()
        self._ignored = set()
        try:
            conditions = Conditions.load(self._testbed.paths(job))
            before = self._metrics(job)
            plugins = pin_plugins(self._testbed.home)
            if conditions.env_manager == LOCAL:  # else it is known when it is built
                self._begin(job, conditions, environment(), plugins)
            rerun = self._run_again(snapshot, job, conditions, plugins)
        except StoreUnreachableError:  # says nothing about the job
            raise
        except DioptraError as error:
            return self._broken(job, None, str(error))
        try:
            if rerun.status is JobStatus.CANCELLED:
                raise KeyboardInterrupt
            return self._compared(job, before, rerun)
        finally:
            self._testbed.tracking.forget_registered(str(rerun.run_id))

    def _begin(self, job: Job, before: Conditions, around: Mapping[str, Any], plugins: Pins) -> None:
        """Say how the environment and the plugins differ from those that a job had."""
        self._environment = (
            *differences(flat_environment(before.environment), flat_environment(around)),
            *differences(_plugins(before.plugins), _plugins(plugins.hashes)),
        )
        self._on_begin(job, self._environment)

    def _run_again(self, snapshot: Snapshot, job: Job, conditions: Conditions, plugins: Pins) -> Job:
        request = Request(
            experiment=job.experiment,
            project_dir=Path(job.project_dir),
            project_file=conditions.project_file,
            entry_point=conditions.entry_point,
            given=conditions.given,
            hash_seed=conditions.hash_seed,
            repository=conditions.repository,
            plugins=plugins,
            env_manager=conditions.env_manager,
            verifies=job.id,
        )

        def check(prepared: Prepared) -> None:
            if prepared.env is not None:
                self._begin(job, conditions, prepared.conditions.environment, plugins)
            _check_data(conditions, prepared.conditions)

        return self._testbed.execute_request(
            snapshot,
            request,
            on_build=lambda sentence: self._on_output(f"{sentence}\n".encode()),
            on_prepared=check,
            on_output=self._on_output,
            cancel=self._cancel,
        )

    def _compared(self, job: Job, before: Mapping[str, float], rerun: Job) -> Verification:
        paths = self._testbed.paths(rerun)
        if rerun.status is not JobStatus.FINISHED:
            return self._broken(job, rerun, f"run again, it {rerun.status} ({rerun.reason}); see {paths.log_file}")
        before_file = self._testbed.paths(job).flow_file
        after = self._metrics(rerun)
        metrics = tuple(entry for entry in differences(before, after) if not self._is_near(entry))
        task = first_difference(before_file, paths.flow_file)
        drifted = metrics or (task and not (self._tolerance and before))  # without metrics, tasks have to decide
        return Verification(
            job=job,
            rerun=rerun,
            verdict=Verdict.DRIFTED if drifted else Verdict.VERIFIED,
            metrics=metrics,
            task=task,
            metric_count=len(before.keys() | after.keys()),
            ignored=tuple(sorted(self._ignored)),
            task_count=_task_count(before_file),
            environment=self._environment,
        )

    def _metrics(self, job: Job) -> Mapping[str, float]:
        try:
            found = self._testbed.tracking.run(str(job.run_id)).metrics
        except NotFoundError as error:
            raise NotFoundError(f"its metrics cannot be read ({error.message})") from error
        left_out = {name for name in found if any(fnmatch.fnmatchcase(name, each) for each in self._ignore)}
        self._ignored |= left_out
        return {name: value for name, value in found.items() if name not in left_out}

    def _is_near(self, entry: Difference) -> bool:
        if entry.before is None or entry.after is None:
            return False
        return math.isclose(entry.before, entry.after, rel_tol=self._tolerance, abs_tol=0.0)

    def _broken(self, job: Job, rerun: Job | None, why: str) -> Verification:
        return Verification(job=job, rerun=rerun, verdict=Verdict.BROKEN, why=why, environment=self._environment)


def _check_data(before: Conditions, after: Conditions) -> None:
    """Refuse to run with other data than the job had."""
    for kind, was, now in (("input", before.inputs, after.inputs), ("shared folder", before.shared, after.shared)):
        for name, found in was.items():
            if found["sha256"] != now.get(name, {}).get("sha256"):
                place = f" ({found['path']})" if "path" in found else ""
                raise RefusedError(f"the {kind} {name!r}{place} is not what it was: its content has another hash")


def _plugins(hashes: Mapping[str, str]) -> dict[str, str]:
    return {f"plugins {name}": sha256[:12] for name, sha256 in hashes.items()}


def _task_count(journal: Path) -> int:
    """Return how many tasks of flows a job ran."""
    from dioptra.flow._journal_lines import journal_lines  # a worker needs no flows

    return sum(line.get("event") == "task" for line in journal_lines(journal, [b'"task"']))
