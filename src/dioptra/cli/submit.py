"""`dioptra submit`: an entry point, put into a queue for a worker."""

from __future__ import annotations

import click

from dioptra.cli._print import json_option, note, print_json
from dioptra.cli._unheard import warn_unheard
from dioptra.cli._values import pairs
from dioptra.cli.completion import (
    complete_entry_points,
    complete_experiments,
    complete_jobs,
    complete_parameters,
    complete_queues,
)

__all__ = ["submit"]


@click.command()
@click.argument("project", default=".", type=click.Path())
@click.option(
    "-e",
    "--entry-point",
    default="main",
    show_default=True,
    help="The entry point.",
    shell_complete=complete_entry_points,
)
@click.option(
    "-P",
    "parameters",
    multiple=True,
    metavar="NAME=VALUE",
    help="A parameter's value; may be repeated.",
    shell_complete=complete_parameters,
)
@click.option(
    "--from",
    "takes",
    multiple=True,
    metavar="NAME=JOB.OUTCOME",
    help="Another job's id, run_id, snapshot or output_dir.",
)
@click.option(
    "--experiment",
    help="The experiment; by default the project's name.",
    shell_complete=complete_experiments,
)
@click.option(
    "--env-manager",
    type=click.Choice(["uv", "local"]),
    default=None,
    help="local: not the project's python_env.",
)
@click.option("--queue", default="default", show_default=True, help="The queue.", shell_complete=complete_queues)
@click.option(
    "--depends-on",
    "depends_on",
    multiple=True,
    metavar="JOB",
    help="A job that must finish first; may be repeated.",
    shell_complete=complete_jobs,
)
@click.option("--timeout", metavar="TIME", help="The longest that it may run, such as 90s or 2h.")
@click.option("--priority", type=int, default=0, help="Higher ones are run first.")
@click.option(
    "--retries", type=click.IntRange(0), metavar="COUNT", default=0, help="Starts again when its worker is lost."
)
@click.option("--name", default="", help="What to call it.")
@click.option("--tag", "tags", multiple=True, help="A word to find it by; may be repeated.")
@click.option("--key", default="", help="Two submissions with the same key are one job.")
@click.option("--plugins-at-start", is_flag=True, help="Take the task plugins of its start, not of now.")
@json_option
def submit(
    project: str,
    entry_point: str,
    parameters: tuple[str, ...],
    takes: tuple[str, ...],
    experiment: str | None,
    env_manager: str | None,
    queue: str,
    depends_on: tuple[str, ...],
    timeout: str | None,
    priority: int,
    retries: int,
    name: str,
    tags: tuple[str, ...],
    key: str,
    plugins_at_start: bool,
    as_json: bool,
) -> None:
    """Put an entry point of PROJECT into a queue, and print the job's id.

    PROJECT is a folder (by default this one), a task's script or an archive of a folder. A worker will run it as it
    is now, with the task plugins of now.
    """
    from dioptra.testbed import Submission, Testbed, parse_duration

    testbed = Testbed()
    how = Submission(
        queue=queue,
        depends_on=depends_on,
        takes=pairs("--from", takes),
        timeout=parse_duration(timeout) if timeout is not None else None,
        priority=priority,
        retries=retries,
        name=name,
        tags=tags,
        key=key,
        plugins_at_start=plugins_at_start,
    )
    job = testbed.submit(
        project,
        entry_point,
        pairs("-P", parameters),
        experiment=experiment,
        env_manager=env_manager or "",
        submission=how,
    )
    waiting = f", {len(job.waits_for)} to wait for" if job.status == "deferred" else ""
    note(f"job {job.id[:8]} {job.outcome} in {job.queue}: {job.entry_point} of {job.experiment}{waiting}")
    warn_unheard(testbed, [job])
    if as_json:
        print_json(job.to_dict())
    else:
        click.echo(job.id)
