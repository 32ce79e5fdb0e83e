"""`dioptra job`: what ran, and what it printed."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING

import click

from dioptra.cli._print import json_option, note, print_json
from dioptra.cli._table import show_table
from dioptra.cli.completion import complete_jobs

if TYPE_CHECKING:
    from dioptra.records import Job

__all__ = ["job"]

_HEADINGS = ("job", "status", "experiment", "entry", "started (UTC)", "seconds", "parameters")


@click.group()
def job() -> None:
    """List jobs, show one, read its log. A job is named by its id or by any unique beginning of it."""


@job.command("list")
@json_option
def list_jobs(as_json: bool) -> None:
    """List the jobs of the home, newest first."""
    from dioptra.testbed import Testbed

    home = Testbed().home
    jobs = home.jobs()[::-1]
    for record in home.damaged():
        note(f"Warning: the record {record} cannot be read and is left out")
    if as_json:
        print_json({"jobs": [entry.to_dict() for entry in jobs]})
    elif not jobs:
        click.echo("no jobs yet; `dioptra demo` makes some")
    else:
        show_table(_HEADINGS, [_row(entry) for entry in jobs])


@job.command()
@click.argument("job_id", metavar="JOB", shell_complete=complete_jobs)
@json_option
def show(job_id: str, as_json: bool) -> None:
    """Show what is known of a job."""
    from dioptra.testbed import Testbed

    testbed = Testbed()
    found = testbed.job(job_id)
    if as_json:
        print_json(found.to_dict())
        return
    for name, value in (found.to_dict() | {"folder": str(testbed.paths(found).folder)}).items():
        click.echo(f"{name:<12} {_text(name, value)}")


@job.command()
@click.argument("job_id", metavar="JOB", shell_complete=complete_jobs)
def logs(job_id: str) -> None:
    """Print what a job's script printed."""
    from dioptra.testbed import Testbed

    testbed = Testbed()
    log_file = testbed.paths(testbed.job(job_id)).log_file
    if log_file.exists():
        sys.stdout.buffer.write(log_file.read_bytes())


def _row(job: Job) -> tuple[str, ...]:
    started = f"{job.started_at:%Y-%m-%d %H:%M:%S}" if job.started_at else ""
    seconds = "" if job.seconds is None else f"{job.seconds:.1f}"
    values = " ".join(f"{name}={value}" for name, value in job.parameters.items())
    entry = f"{job.entry_point}, verifies {job.verifies[:8]}" if job.verifies else job.entry_point
    return job.id[:8], job.status, job.experiment, entry, started, seconds, values


def _text(name: str, value: object) -> str:
    if isinstance(value, tuple | list):
        return shlex.join(value)
    if isinstance(value, dict):
        return " ".join(f"{key}={shlex.quote(str(item))}" for key, item in value.items())
    return "" if value is None else str(value)
