"""`dioptra experiment`: the lines of work of the home."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dioptra.cli._print import json_option, note, print_json
from dioptra.cli._table import show_table
from dioptra.cli.completion import complete_experiments

if TYPE_CHECKING:
    from dioptra.experiment import Experiment

__all__ = ["experiment"]


@click.group()
def experiment() -> None:
    """List experiments and show one."""


@experiment.command("list")
@json_option
def list_experiments(as_json: bool) -> None:
    """List the experiments of the home."""
    from dioptra.testbed import Testbed

    testbed = Testbed()
    found = list(testbed.library.load_experiments().values())
    broken = testbed.library.broken()
    for sentence in broken.values():
        note(f"Warning: {sentence}")
    jobs = testbed.tally("experiment")
    rows = [_summary(entry, jobs) for entry in found]
    if as_json:
        print_json({"experiments": rows, "broken": broken})
    elif not rows:
        click.echo("no experiments yet; the first `dioptra run` makes one")
    else:
        headings = ("experiment", "snapshots", "jobs", "last snapshot")
        show_table(headings, [["" if value is None else str(value) for value in row.values()] for row in rows])


@experiment.command()
@click.argument("name", shell_complete=complete_experiments)
@json_option
def show(name: str, as_json: bool) -> None:
    """Show what is known of an experiment."""
    from dioptra.testbed import Testbed

    testbed = Testbed()
    found = testbed.library.get_experiment(name)
    for file in found.broken():
        note(f"Warning: the record {file} cannot be read and is left out")
    values = _summary(found, testbed.tally("experiment")) | {"folder": str(found.path), "code": str(found.code.git_dir)}
    if as_json:
        print_json(values | {"names": [snapshot.name for snapshot in found.snapshots()]})
        return
    for key, value in values.items():
        click.echo(f"{key:<14} {'' if value is None else value}")


def _summary(experiment: Experiment, jobs: dict[str, int]) -> dict[str, object]:
    snapshots = experiment.snapshots()
    return {
        "experiment": experiment.name,
        "snapshots": len(snapshots),
        "jobs": jobs.get(experiment.name, 0),
        "last": snapshots[-1].name if snapshots else None,
    }
