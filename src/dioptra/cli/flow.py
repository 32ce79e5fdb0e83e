"""`dioptra flow`: the graph of tasks that an entry point runs, or that a job ran."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dioptra.cli._print import json_option, note, print_json
from dioptra.cli._table import show_table
from dioptra.cli._values import pairs
from dioptra.cli.completion import complete_entry_points, complete_jobs, complete_parameters
from dioptra.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from threading import Event

    from dioptra.flow.graphs import Description

__all__ = ["flow"]


@click.group()
def flow() -> None:
    """See the graphs of flows."""


@flow.command()
@click.argument("entry_point", metavar="[ENTRY]", required=False, shell_complete=complete_entry_points)
@click.option("--project", metavar="PROJECT", type=click.Path(), help="The project's folder; by default this one.")
@click.option(
    "-P",
    "parameters",
    multiple=True,
    metavar="NAME=VALUE",
    help="A parameter's value; give as many as needed.",
    shell_complete=complete_parameters,
)
@click.option("--job", "job_id", metavar="JOB", help="Show what this job ran instead.", shell_complete=complete_jobs)
@click.option("--svg", "svg_file", metavar="FILE", type=click.Path(), help="Draw it into this file, too.")
@json_option
@click.pass_obj
def show(
    interruption: Event,
    entry_point: str | None,
    project: str | None,
    parameters: tuple[str, ...],
    job_id: str | None,
    svg_file: str | None,
    as_json: bool,
) -> None:
    """Show the tasks of the flow that the entry point ENTRY (by default `main`) runs, and what each takes.

    The script is started and ends at its first `flow.run`: no task runs, and nothing is stored. With --job, show the
    flows of a job, with what became of their tasks.
    """
    if svg_file is not None and Path(svg_file).name == ".svg":
        raise UsageError(f"--svg {svg_file!r} has no name before .svg", hint="write flow.svg")
    if svg_file is not None and not svg_file.endswith(".svg"):
        raise UsageError(f"--svg {svg_file!r} does not end in .svg", hint=f"write {Path(svg_file).stem}.svg")
    if job_id is None:
        graphs = [_planned(project or ".", entry_point or "main", parameters, interruption)]
    elif entry_point is not None or project is not None or parameters:
        raise UsageError("--job goes without an entry point, a project and values", hint="the job has its own")
    else:
        graphs = _run_by(job_id)
    for graph in () if as_json else graphs:
        _show(graph)
    if as_json:
        print_json({"flows": [graph.to_dict() for graph in graphs]})
    if svg_file is not None:
        _draw(graphs, Path(svg_file))


def _planned(project: str, entry_point: str, parameters: Sequence[str], interruption: Event) -> Description:
    from dioptra.testbed import Testbed

    values = pairs("-P", parameters)
    return Testbed().flow(project, entry_point, values, on_build=note, on_output=_pass_to_stderr, cancel=interruption)


def _pass_to_stderr(output: bytes) -> None:
    click.echo(output.rstrip() + b"\n" if output.strip() else b"", err=True, nl=False)


def _run_by(job_id: str) -> list[Description]:
    from dioptra.testbed import Testbed

    testbed = Testbed()
    found = testbed.job(job_id)
    graphs = testbed.flows(found)
    if not graphs:
        raise NotFoundError(f"job {found.id[:8]} {found.status}, and no flow of it is known")
    return graphs


def _show(graph: Description) -> None:
    table = graph.table()
    click.echo(click.style(table.title, bold=True))
    if not graph.steps and graph.size:
        note("its graph is not known: it is a flow of Prefect, or too large, or from before graphs were kept")
        return
    if table.parameters:
        click.echo(f"parameters: {', '.join(table.parameters)}")
    if table.rows:
        show_table(table.headings, table.rows, wrap=True)
    for message in table.messages:
        click.echo(message)


def _draw(graphs: Sequence[Description], file: Path) -> None:
    """Draw the first flow into the file, and further ones beside it."""
    drawn = [graph for graph in graphs if graph.can_be_drawn]
    for number, graph in enumerate(drawn, start=1):
        place = file if number == 1 else file.with_stem(f"{file.stem}-{number}")
        graph.drawing().save(place)
        note(f"drawn: {place}")
