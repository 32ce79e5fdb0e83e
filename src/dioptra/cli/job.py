"""`dioptra job`: what waits, runs and ran, and what it printed."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from dioptra.cli._print import json_option, note, print_json
from dioptra.cli._table import show_table
from dioptra.cli._unheard import warn_unheard
from dioptra.cli._values import pairs
from dioptra.cli.completion import complete_experiments, complete_jobs, complete_queues
from dioptra.errors import RefusedError
from dioptra.records import JobStatus

if TYPE_CHECKING:
    from dioptra.records import Job
    from dioptra.testbed import Testbed

__all__ = ["job"]

_HEADINGS = ("job", "status", "queue", "experiment", "entry", "started (UTC)", "seconds", "parameters")
_EXIT = {JobStatus.FINISHED: 0, JobStatus.CANCELLED: 1, JobStatus.FAILED: 1, JobStatus.LOST: 9}
_TIMED_OUT = 8
_LOOK = 0.2  # seconds between two looks at a log that grows

_job: Callable[[Any], Any] = click.argument("job_id", metavar="JOB", shell_complete=complete_jobs)


@click.group()
def job() -> None:
    """List jobs, show, await, cancel and repeat one, read its log.

    A job is named by its id or by any unique beginning of it.
    """


@job.command("list")
@click.option("--status", multiple=True, type=click.Choice([str(each) for each in JobStatus]), help="Only these.")
@click.option("--queue", default="", help="Only in this queue.", shell_complete=complete_queues)
@click.option("--experiment", default="", help="Only in this experiment.", shell_complete=complete_experiments)
@click.option("--tag", "tags", multiple=True, help="Only with all of these tags.")
@click.option("-P", "parameters", multiple=True, metavar="NAME=VALUE", help="Only with all of these values.")
@click.option("--limit", type=click.IntRange(0), default=200, show_default=True, help="The newest ones only; 0: all.")
@json_option
def list_jobs(
    status: tuple[str, ...],
    queue: str,
    experiment: str,
    tags: tuple[str, ...],
    parameters: tuple[str, ...],
    limit: int,
    as_json: bool,
) -> None:
    """List jobs, newest first."""
    from dioptra.testbed import Testbed

    testbed = Testbed()
    jobs = testbed.jobs(
        limit=limit or None,
        status=[JobStatus(each) for each in status],
        queue=queue,
        experiment=experiment,
        tags=tags,
        parameters=pairs("-P", parameters),
    )[::-1]
    if as_json:
        print_json({"jobs": [entry.to_dict() for entry in jobs]})
    elif not jobs:
        click.echo("no such jobs" if testbed.tally("status") else "no jobs yet; `dioptra demo` makes some")
    else:
        show_table(_HEADINGS, [_row(entry) for entry in jobs])
        warn_unheard(testbed, jobs)
    if jobs and len(jobs) == limit:
        note(f"these are the newest {limit}; --limit 0 lists all")


@job.command()
@_job
@json_option
def show(job_id: str, as_json: bool) -> None:
    """Show what is known of a job, and of its attempts."""
    from dioptra.testbed import Testbed

    testbed = Testbed()
    found = testbed.job(job_id)
    attempts = testbed.database.jobs.attempts(found.id)
    if as_json:
        rows = [{"attempt": each.number, "status": each.status, "reason": each.reason} for each in attempts]
        print_json(found.to_dict() | {"attempts": rows, "environment": _environment(testbed, found)})
        return
    for name, value in (found.to_dict() | {"folder": str(testbed.paths(found).folder)}).items():
        if name != "request":
            click.echo(f"{name:<12} {_text(name, value)}".rstrip())
    if "python_env" in (around := _environment(testbed, found)):
        said = f"{around['python_env'][:12]}, {around['python']}, {len(around['packages'])} packages; all are in --json"
        click.echo(f"{'python_env':<12} {said}")
    pins = testbed.plugins.used(found)
    for name, sha256 in pins.hashes.items():
        click.echo(
            f"{'plugins':<12} {name} {sha256[:12]}" + (f" from {pins.sources[name]}" if name in pins.sources else "")
        )
    for each in attempts if len(attempts) > 1 else ():
        click.echo(f"attempt {each.number}    {each.status}{f' ({each.reason})' if each.reason else ''}, {each.worker}")
    warn_unheard(testbed, [found])


@job.command()
@_job
@click.option("-f", "--follow", is_flag=True, help="Go on until the job has ended.")
@json_option
def logs(job_id: str, follow: bool, as_json: bool) -> None:
    """Print what a job's script printed."""
    from dioptra.testbed import Testbed

    testbed = Testbed()
    found = testbed.job(job_id)
    if follow:
        warn_unheard(testbed, [found])
    with _told_that_it_goes_on([found]):
        found = _print_log(testbed, found, follow=follow, quiet=as_json)
    if as_json:
        log_file = testbed.paths(found).log_file
        text = log_file.read_bytes().decode(errors="replace") if log_file.exists() else ""
        print_json({"job": found.id, "attempt": found.attempt, "status": found.status, "log": text})


@job.command()
@click.argument("job_ids", metavar="JOB...", nargs=-1, required=True, shell_complete=complete_jobs)
@click.option("--timeout", help="The longest to wait, such as 90s, 30m or 2h.")
@json_option
def wait(job_ids: tuple[str, ...], timeout: str | None, as_json: bool) -> int:
    """Wait until jobs have ended.

    The exit code is 0 when all have finished, 1 when one has failed or was cancelled, 9 when one is lost, 8 when the
    time is over.
    """
    from dioptra.testbed import Testbed, parse_duration

    testbed = Testbed()
    until = time.monotonic() + (parse_duration(timeout) if timeout is not None else float("inf"))
    ended, jobs = [], [testbed.job(job_id) for job_id in job_ids]
    warn_unheard(testbed, jobs)
    with _told_that_it_goes_on(jobs):
        for found in jobs:
            left = until - time.monotonic()
            ended.append(testbed.wait(found, None if left == float("inf") else max(left, 0.0)))
    for each in ended:
        note(f"job {each.id[:8]} {each.outcome}")
    if as_json:
        print_json({"jobs": [each.to_dict() for each in ended]})
    return max(_EXIT.get(each.status, _TIMED_OUT) for each in ended)


@job.command()
@_job
@json_option
def cancel(job_id: str, as_json: bool) -> None:
    """Cancel a job: at once if it waits; if it runs, all that it has started is ended."""
    from dioptra.testbed import Testbed

    testbed = Testbed()
    found = testbed.cancel(testbed.job(job_id))
    is_over = found.status.is_final
    note(f"job {found.id[:8]} {found.status}" if is_over else f"job {found.id[:8]} is being cancelled by its worker")
    if as_json:
        print_json(found.to_dict())


@job.command()
@_job
@json_option
def retry(job_id: str, as_json: bool) -> None:
    """Put a job that has ended into its queue once more, as a new job; prints its id."""
    from dioptra.testbed import Testbed

    testbed = Testbed()
    found = testbed.retry(testbed.job(job_id))
    note(f"job {found.id[:8]} {found.outcome} in {found.queue}, once more for {found.retry_of[:8]}")
    if as_json:
        print_json(found.to_dict())
    else:
        click.echo(found.id)


@job.command()
@click.argument("job_ids", metavar="JOB...", nargs=-1, required=True, shell_complete=complete_jobs)
@json_option
def rm(job_ids: tuple[str, ...], as_json: bool) -> None:
    """Remove jobs that have ended, with their files; their runs in MLflow stay."""
    from dioptra.testbed import Testbed

    testbed = Testbed()
    jobs = {found.id: found for found in map(testbed.job, job_ids)}
    for found in jobs.values():
        if not found.status.is_final:
            raise RefusedError(f"job {found.id[:8]} {found.status}: it has not ended", hint="cancel it first, or wait")
    for found in jobs.values():
        testbed.remove(found)
    if as_json:
        print_json({"removed": list(jobs)})


def _print_log(testbed: Testbed, found: Job, *, follow: bool, quiet: bool) -> Job:
    """Print a log, until the job has ended if it is to be followed, and return the job as it is then."""
    place, attempt = 0, found.attempt
    while True:
        if found.attempt != attempt:
            place, attempt = 0, found.attempt
        if not quiet:
            place = _print_from(testbed, found, place)
        if not follow or found.status.is_final:
            return found
        time.sleep(_LOOK)
        found = testbed.job(found.id)


@contextmanager
def _told_that_it_goes_on(jobs: list[Job]) -> Iterator[None]:
    """Say, when a wait is interrupted, that this ends none of the jobs."""
    try:
        yield
    except KeyboardInterrupt:
        for each in jobs:
            if not each.status.is_final:
                note(f"job {each.id[:8]} is not ended by this: see `dioptra job cancel`")
        raise


def _print_from(testbed: Testbed, found: Job, place: int) -> int:
    """Print what a log holds from a place on, and return the next one."""
    log_file = testbed.paths(found).log_file
    if not log_file.exists():
        return place
    with log_file.open("rb") as file:
        file.seek(place)
        while chunk := file.read(1 << 16):
            sys.stdout.buffer.write(chunk)
            place += len(chunk)
    sys.stdout.buffer.flush()
    return place


def _row(job: Job) -> tuple[str, ...]:
    started = f"{job.started_at:%Y-%m-%d %H:%M:%S}" if job.started_at else ""
    seconds = "" if job.seconds is None else f"{job.seconds:.1f}"
    values = " ".join(f"{name}={value}" for name, value in job.parameters.items())
    entry = f"{job.entry_point}, verifies {job.verifies[:8]}" if job.verifies else job.entry_point
    return job.id[:8], job.status, job.queue, job.experiment, entry, started, seconds, values


def _environment(testbed: Testbed, job: Job) -> dict[str, Any]:
    """Return what the last attempt of a job had around it; nothing when that is not known."""
    from dioptra.worker import Conditions

    try:
        return Conditions.load(testbed.paths(job)).environment
    except RefusedError:  # it has not been started yet
        return {}


def _text(name: str, value: object) -> str:
    if name == "waits_for" and isinstance(value, list | tuple):
        return " ".join(
            f"{each['parameter']}={each['job'][:8]}.{each['outcome']}".lstrip("=").rstrip(".") for each in value
        )
    if isinstance(value, tuple | list):
        return shlex.join(map(str, value))
    if isinstance(value, dict):
        return " ".join(f"{key}={shlex.quote(str(item))}" for key, item in value.items())
    return "" if value is None else str(value)
