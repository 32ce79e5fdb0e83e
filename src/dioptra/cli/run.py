"""`dioptra run`: an entry point, here and now."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import click

from dioptra.cli._print import PassThrough, json_option, note, print_error, print_json
from dioptra.cli._progress import fetch_progress
from dioptra.cli._values import pairs
from dioptra.cli.completion import complete_entry_points, complete_experiments, complete_parameters
from dioptra.errors import RunNotEndedError

if TYPE_CHECKING:
    from threading import Event

    from dioptra.records import Job
    from dioptra.testbed import Testbed

__all__ = ["run"]


@click.command()
@click.argument("project", default=".", type=click.Path())
@click.option(
    "-e",
    "--entry-point",
    default="main",
    show_default=True,
    help="The entry point to run.",
    shell_complete=complete_entry_points,
)
@click.option(
    "-P",
    "parameters",
    multiple=True,
    metavar="NAME=VALUE",
    help="A parameter's value; give as many as needed.",
    shell_complete=complete_parameters,
)
@click.option(
    "--experiment",
    help="The experiment to record it in; by default the project's name.",
    shell_complete=complete_experiments,
)
@click.option(
    "--env-manager",
    type=click.Choice(["uv", "local"]),
    default=None,
    help="local: not the project's python_env.",
)
@click.option("--dry-run", is_flag=True, help="Check everything and show the argument list; run nothing.")
@json_option
@click.pass_obj
def run(
    interruption: Event,
    project: str,
    entry_point: str,
    parameters: tuple[str, ...],
    experiment: str | None,
    env_manager: str | None,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Run an entry point of the PROJECT folder (by default this one).

    What the script prints appears as it is printed and is kept in the job's log. The exit code is 0 when the job
    finished, 1 when it failed, 130 when it was interrupted.
    """
    from dioptra.testbed import Testbed

    testbed = Testbed()
    values = pairs("-P", parameters)
    plan = testbed.plan(project, entry_point, values, experiment=experiment, env_manager=env_manager or "")
    for warning in plan.warnings:
        note(f"Warning: {warning}")
    if dry_run:
        _show_plan(plan.argv, plan.parameters, as_json)
        return 0
    output = PassThrough()
    try:
        job = testbed.execute(
            plan,
            on_fetch=fetch_progress,
            on_build=note,
            on_start=_show_start,
            on_output=output,
            cancel=interruption,
        )
    except RunNotEndedError as error:
        output.end_line()
        print_error(error, _as_dict(error.job))
        return error.exit_code
    if as_json:
        output.end_line()
    _show_end(testbed, job, as_json)
    return {"finished": 0, "cancelled": 130}.get(job.status, 1)


def _show_plan(argv: list[str], parameters: dict[str, str], as_json: bool) -> None:
    if as_json:
        print_json({"argv": argv, "parameters": parameters})
    else:
        click.echo(shlex.join(argv))


def _show_start(job: Job) -> None:
    note(f"job {job.id[:8]}: {job.entry_point} of {job.experiment}, snapshot {job.snapshot}, run {job.run_id}")


def _show_end(testbed: Testbed, job: Job, as_json: bool) -> None:
    note(f"job {job.id[:8]} {job.outcome} after {job.seconds or 0:.1f} s; log: {testbed.paths(job).log_file}")
    if as_json:
        print_json(_as_dict(job))


def _as_dict(job: Job) -> dict[str, object]:
    return {
        "job": job.id,
        "status": job.status,
        "run_id": job.run_id,
        "exit_code": job.exit_code,
        "snapshot": job.snapshot,
    }
