"""`dioptra demo`: from nothing to a robustness curve."""

from __future__ import annotations

import dataclasses
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dioptra.cli._print import json_option, note, print_json
from dioptra.errors import UsageError

if TYPE_CHECKING:
    from threading import Event

    from dioptra.records import Job
    from dioptra.results import RobustnessCurve

__all__ = ["demo"]

_LEAST_WIDTH = 80  # a narrower terminal breaks lines, but no number is cut off


@click.command()
@click.option(
    "--report",
    default="dioptra-demo.html",
    show_default=True,
    type=click.Path(path_type=Path),
    help="The report to write.",
)
@json_option
@click.pass_obj
def demo(interruption: Event, report: Path, as_json: bool) -> None:
    """See the accuracy of a classifier fall as an attack grows stronger.

    Trains a classifier on real handwritten digits, attacks it with the fast gradient method at six strengths, and
    measures what is left: a table here, and a report with the curve and the images.
    """
    _check_report(report)
    from dioptra.testbed import Demo, Testbed, write_demo_report

    started = time.monotonic()
    testbed = Testbed()
    note(f"Train a classifier on handwritten digits, then attack it ({Demo(testbed).job_count} jobs).")
    with _progress(Demo(testbed).job_count) as on_job:
        result = Demo(testbed, on_job=on_job, cancel=interruption).run()
    write_demo_report(result, report)
    if as_json:
        print_json(_as_dict(result.curve, report))
        return
    _show_table(result.curve)
    seconds = time.monotonic() - started
    click.echo(f"\nReport with the curve and the images: {report.absolute()}")
    click.echo(f"{len(result.jobs)} jobs in {seconds:.0f} s, kept in {testbed.home.path}; see `{_own_name()} job list`")


def _check_report(report: Path) -> None:
    """See that a file can be made where the report is to be, before a minute has been spent on it."""
    hint = "name a file in a folder that you can write to"
    if report.is_dir():
        raise UsageError(f"the report cannot be written to {str(report)!r}, which is a folder", hint=hint)
    try:
        tempfile.TemporaryFile(dir=report.absolute().parent).close()
    except OSError as error:
        raise UsageError(f"the report cannot be written to {str(report)!r} ({error.strerror})", hint=hint) from error


def _own_name() -> str:
    """Return what to type for this command: its name, or its path where the name is not on the PATH."""
    program = Path(sys.argv[0])
    if shutil.which("dioptra") or program.name != "dioptra":
        return "dioptra"
    return os.path.relpath(program)


@contextmanager
def _progress(total: int) -> Iterator[Callable[[Job], object]]:
    """Show a bar in a terminal, and elsewhere a line for each job."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description:<20}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("train", total=total)

        def on_job(job: Job) -> None:
            what = f"{job.entry_point} eps={job.parameters['eps']}" if "eps" in job.parameters else job.entry_point
            bar.update(task, advance=1, description=what)
            if not console.is_terminal:
                note(f"job {job.id[:8]} {job.status}: {what} ({job.seconds or 0:.1f} s)")

        yield on_job


def _show_table(curve: RobustnessCurve) -> None:
    from rich.console import Console
    from rich.table import Table

    from dioptra.results import TABLE_HEADER, table_rows

    model = f"{curve.model_name} version {curve.model_version}"
    title = f"{curve.attack} on {model}, {curve.points[0].samples} test images, 95% intervals"
    table = Table(title=title, title_justify="left", title_style="bold")
    for heading in TABLE_HEADER:
        table.add_column(heading, justify="right", no_wrap=True)
    for row in table_rows(curve):
        table.add_row(*row)
    console = Console()
    Console(width=max(console.width, _LEAST_WIDTH)).print(table)


def _as_dict(curve: RobustnessCurve, report: Path) -> dict[str, object]:
    points = [
        dataclasses.asdict(point) | {"clean_interval": point.clean_interval, "robust_interval": point.robust_interval}
        for point in curve.points
    ]
    return {
        "model_name": curve.model_name,
        "model_version": curve.model_version,
        "report": str(report.absolute()),
        "points": points,
    }
