"""`dioptra snapshot`: the exact code of every run, kept, compared and run again."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dioptra.cli._differences import show_diff, show_environment, show_verification
from dioptra.cli._print import json_option, note, print_json
from dioptra.cli._table import show_table, visible
from dioptra.cli.completion import complete_experiments, complete_snapshots
from dioptra.errors import RefusedError, UsageError

if TYPE_CHECKING:
    from threading import Event

    from dioptra.experiment import Snapshot
    from dioptra.records import Job
    from dioptra.results import Difference
    from dioptra.testbed import Subject, Testbed, Verification

__all__ = ["snapshot"]

_experiment_option: Callable[[Any], Any] = click.option(
    "--experiment",
    metavar="NAME",
    help="Look only in this experiment; by default in all.",
    shell_complete=complete_experiments,
)


@click.group()
def snapshot() -> None:
    """List, show, compare, lay out and verify the code of runs.

    \b
    ID is one of
      a snapshot's name or the eight letters at its end
      any unique beginning of one of them, or of its commit
      last, last~1, last~2 ...       counted from the newest
      a job's id, or any unique beginning of it
    """


@snapshot.command("list")
@_experiment_option
@json_option
def list_snapshots(experiment: str | None, as_json: bool) -> None:
    """List snapshots, newest first."""
    from dioptra.testbed import Testbed

    testbed = Testbed()
    found = _all(testbed, experiment)
    counts = Counter(testbed.tally("snapshot"))
    if as_json:
        print_json({"snapshots": [_as_dict(testbed, entry) | {"jobs": counts[entry.name]} for entry in found]})
    elif not found:
        click.echo("no snapshots yet; the first `dioptra run` makes one")
    else:
        headings = ("snapshot", "experiment", "jobs", "commit", "HEAD", "comment")
        show_table(headings, [_row(testbed, entry, counts[entry.name]) for entry in found])


@snapshot.command()
@click.argument("address", metavar="ID", shell_complete=complete_snapshots)
@_experiment_option
@json_option
def show(address: str, experiment: str | None, as_json: bool) -> None:
    """Show what is known of a snapshot: where it comes from, and the jobs that ran it."""
    from dioptra.testbed import Testbed

    testbed = Testbed()
    found = testbed.subject(address, experiment).snapshot
    jobs = testbed.jobs(snapshot=found.name)
    values = _as_dict(testbed, found) | {"folder": str(found.folder)}
    if as_json:
        print_json(values | {"conditions": found.conditions, "jobs": [job.to_dict() for job in jobs]} | _data(found))
        return
    for name, value in values.items():
        for place, text in _lines(name, value):
            click.echo(f"{place:<12} {text}")
    if measured := found.latest():
        click.echo(f"{'measured':<12} {', '.join(f'{name} {value:.4g}' for name, value in measured.items())}")
    _show_environment(found.conditions.get("environment", {}))
    if jobs:
        click.echo()
        show_table(("job", "status", "entry", "run", "parameters"), [_job_row(job) for job in jobs])


@snapshot.command()
@click.argument("before", metavar="A", shell_complete=complete_snapshots)
@click.argument("after", metavar="B", shell_complete=complete_snapshots)
@_experiment_option
@json_option
def diff(before: str, after: str, experiment: str | None, as_json: bool) -> None:
    """Show how A and B differ: code, parameters, environment, inputs and metrics.

    Of two snapshots the last finished job of each entry point is compared; two jobs are compared with one another.
    """
    from dioptra.testbed import Testbed

    testbed = Testbed()
    found = testbed.diff(testbed.subject(before, experiment), testbed.subject(after, experiment))
    if as_json:
        print_json(found.to_dict())
    else:
        show_diff(found)


@snapshot.command()
@click.argument("address", metavar="ID", shell_complete=complete_snapshots)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@_experiment_option
@json_option
def checkout(address: str, folder: Path, experiment: str | None, as_json: bool) -> None:
    """Lay the files of a snapshot out in DIR, which must be new or empty."""
    from dioptra.experiment import read_settings
    from dioptra.testbed import Testbed

    testbed = Testbed()
    found = testbed.subject(address, experiment).snapshot
    testbed.library.experiment_of(found).lay_out(found, folder)
    for name in read_settings(folder).share:
        note(f"Warning: {name} is shared data, and no part of the snapshot; it is in {found.project_dir}")
    if as_json:
        print_json({"snapshot": found.name, "folder": str(folder.absolute())})
    else:
        click.echo(f"laid out {found.name} in {folder}")


@snapshot.command()
@click.argument("address", metavar="ID", shell_complete=complete_snapshots)
@click.option("-e", "--entry-point", help="Only the jobs of this one.")
@click.option(
    "--tolerance",
    type=click.FloatRange(0, 1),
    default=0.0,
    help="How far a metric may be off, relative to its size, such as 1e-6; then only metrics decide.",
)
@click.option("--ignore", multiple=True, metavar="METRIC", help="Leave out metrics such as times; * is allowed.")
@_experiment_option
@json_option
@click.pass_obj
def verify(
    interruption: Event,
    address: str,
    entry_point: str | None,
    tolerance: float,
    ignore: tuple[str, ...],
    experiment: str | None,
    as_json: bool,
) -> int:
    """Run a snapshot again, with the same values and seeds, and say whether it gives the same.

    Of a snapshot, the last finished job of each entry point and values is run again; of a job, that one. The exit
    code is 0 when all are verified, 10 when one has drifted, 1 when one is broken.
    """
    from dioptra.testbed import Testbed, Verifier, worst

    testbed = Testbed()
    subject = testbed.subject(address, experiment)
    verifier = Verifier(
        testbed, tolerance=tolerance, ignore=ignore, on_begin=_begin, on_output=_quiet, cancel=interruption
    )
    jobs = verifier.jobs(subject, entry_point)
    note(f"snapshot {subject.snapshot.name}: {_jobs(len(jobs))} to run again")
    found = []
    for job in jobs:
        found.append(verifier.verify(subject.snapshot, job))
        show_verification(found[-1], note if as_json else click.echo)
    verdict = worst(found)
    if as_json:
        print_json({"snapshot": subject.snapshot.name, "verdict": verdict, "jobs": [e.to_dict() for e in found]})
    else:
        click.echo(f"snapshot {subject.snapshot.name} {verdict}{_counts(found)}")
    return verdict.exit_code


@snapshot.command("rm")
@click.argument("addresses", metavar="ID...", nargs=-1, required=True, shell_complete=complete_snapshots)
@click.option("--force", is_flag=True, help="Also if jobs ran it; they can then not be verified any more.")
@_experiment_option
@json_option
def remove(addresses: tuple[str, ...], force: bool, experiment: str | None, as_json: bool) -> None:
    """Remove snapshots with the data in them; `gc` frees what their code took."""
    from dioptra.testbed import Testbed

    testbed = Testbed()
    found = [testbed.subject(address, experiment) for address in addresses]
    for address, subject in zip(addresses, found, strict=True):
        _check_removable(testbed, address, subject, force=force)
    names = list(dict.fromkeys(subject.snapshot.name for subject in found))
    for entry in {subject.snapshot.name: subject.snapshot for subject in found}.values():
        testbed.library.experiment_of(entry).remove(entry)
    counts = testbed.tally("snapshot")
    if copies := sum(counts.get(name, 0) for name in names):
        note(f"Warning: {_jobs(copies)} still {'has' if copies == 1 else 'have'} the code in {testbed.home.jobs_dir}")
    if as_json:
        print_json({"removed": names})
    else:
        click.echo(f"removed {', '.join(names)}; `dioptra snapshot gc` frees what their code took")


@snapshot.command()
@json_option
def gc(as_json: bool) -> int:
    """Free the space of code that no snapshot needs any more."""
    from dioptra.testbed import Testbed

    library = Testbed().library
    freed: dict[str, int] = {}
    refused = library.broken()
    for name, entry in library.load_experiments().items():
        try:
            freed[name] = entry.collect()
        except RefusedError as error:
            refused[name] = str(error)
    for sentence in refused.values():
        note(f"Warning: {sentence}")
    if as_json:
        print_json({"freed": freed, "refused": refused})
    else:
        click.echo(f"freed {_size(sum(freed.values()))} in {len(freed)} experiment{'' if len(freed) == 1 else 's'}")
    return RefusedError.exit_code if refused else 0


def _all(testbed: Testbed, experiment: str | None) -> list[Snapshot]:
    library = testbed.library
    chosen = library.load_experiments() if experiment is None else {experiment: library.get_experiment(experiment)}
    for sentence in library.broken().values() if experiment is None else ():
        note(f"Warning: {sentence}")
    for entry in chosen.values():
        for file in entry.broken():
            note(f"Warning: the record {file} cannot be read and is left out")
    found = [snapshot for entry in chosen.values() for snapshot in entry.snapshots()]
    return sorted(found, key=lambda snapshot: snapshot.created_at, reverse=True)


def _check_removable(testbed: Testbed, address: str, subject: Subject, *, force: bool) -> None:
    if subject.job is not None:
        raise UsageError(f"{address!r} is a job", hint=f"name its snapshot, {subject.snapshot.name}")
    jobs = testbed.jobs(snapshot=subject.snapshot.name)
    if jobs and not force:
        which = f"job {jobs[0].id[:8]}" if len(jobs) == 1 else f"{len(jobs)} jobs, {jobs[-1].id[:8]} for one,"
        raise RefusedError(
            f"snapshot {subject.snapshot.name} is what {which} ran",
            hint="give --force to remove it all the same; then nothing of it can be verified any more",
        )


def _row(testbed: Testbed, snapshot: Snapshot, jobs: int) -> tuple[str, ...]:
    from dioptra.experiment import SnapshotRecord

    repository = snapshot.repository or {}
    head = (repository.get("head") or "")[:7]
    head += "+" if head and repository.get("dirty") else ""
    experiment = testbed.library.experiment_of(snapshot).name
    comment = "" if snapshot.comment == SnapshotRecord.comment else snapshot.comment
    return snapshot.name, experiment, str(jobs), snapshot.commit[:7], head, comment


def _job_row(job: Job) -> tuple[str, ...]:
    values = " ".join(f"{name}={value}" for name, value in job.parameters.items())
    status = f"{job.status}, verifies {job.verifies[:8]}" if job.verifies else str(job.status)
    return job.id[:8], status, job.entry_point, str(job.run_id)[:8], values


def _as_dict(testbed: Testbed, snapshot: Snapshot) -> dict[str, Any]:
    record = snapshot.record.to_dict()
    shown = ("name", "commit", "tree", "created_at", "script", "comment", "project_dir", "repository")
    return {"experiment": testbed.library.experiment_of(snapshot).name} | {name: record[name] for name in shown}


def _lines(name: str, value: Any) -> list[tuple[str, str]]:
    if isinstance(value, dict):
        return [(key, "" if item is None else str(item)) for key, item in value.items()]
    return [(name, str(value))] if value else []


def _show_environment(found: dict[str, Any]) -> None:
    for name in ("python", "platform", "python_env"):
        if name in found:
            click.echo(f"{name:<12} {found[name]}")
    if packages := found.get("packages"):
        click.echo(f"{'packages':<12} {len(packages)}; all are in --json")


def _data(snapshot: Snapshot) -> dict[str, Any]:
    kinds = ("train_data", "val_data", "test_data", "custom_data")
    return {kind: dict(getattr(snapshot, kind)) for kind in kinds} | {"model_files": list(snapshot.model_files)}


def _begin(job: Job, environment: tuple[Difference, ...]) -> None:
    values = " ".join(f"{name}={shlex.quote(value)}" for name, value in job.parameters.items())
    show_environment(environment, note)
    note(f"job {job.id[:8]}, once more: {job.entry_point} {visible(values)}".rstrip())


def _quiet(chunk: bytes) -> None:
    """What the script prints is in the log of the repetition."""


def _jobs(number: int) -> str:
    return "1 job" if number == 1 else f"{number} jobs"


def _counts(found: list[Verification]) -> str:
    """Say how many jobs got which verdict, where one verdict does not say it."""
    counts = Counter(str(entry.verdict) for entry in found)
    return f": {', '.join(f'{_jobs(count)} {word}' for word, count in counts.items())}" if len(counts) > 1 else ""


def _size(number: float) -> str:
    for unit in ("bytes", "kB", "MB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "bytes" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} GB"
