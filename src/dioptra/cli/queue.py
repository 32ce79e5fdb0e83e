"""`dioptra queue`: the queues that jobs wait in."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import click

from dioptra.cli._print import json_option, print_json
from dioptra.cli._table import show_table
from dioptra.cli._unheard import note_unheard
from dioptra.cli.completion import complete_queues

__all__ = ["queue"]

_name: Callable[[Any], Any] = click.argument("name", metavar="QUEUE", shell_complete=complete_queues)


@click.group()
def queue() -> None:
    """List, add, lock, unlock and remove queues. There is always one that is called default."""


@queue.command("list")
@json_option
def list_queues(as_json: bool) -> None:
    """List the queues: what waits in them, and how many workers listen."""
    from dioptra.testbed import Testbed

    found = Testbed().database.queues.list()
    if as_json:
        print_json({"queues": [dataclasses.asdict(each) for each in found]})
        return
    headings = ("queue", "workers", "queued", "started", "")
    show_table(
        headings,
        [(q.name, str(q.workers), str(q.queued), str(q.started), "locked" if q.locked else "") for q in found],
    )
    for each in found:
        if each.queued and not each.workers:
            note_unheard(each.name)


@queue.command()
@_name
@json_option
def add(name: str, as_json: bool) -> None:
    """Add a queue."""
    from dioptra.testbed import Testbed

    Testbed().database.queues.add(name)
    if as_json:
        print_json({"added": name})


@queue.command()
@_name
@json_option
def lock(name: str, as_json: bool) -> None:
    """Let a queue take no new jobs; those that wait are still run."""
    from dioptra.testbed import Testbed

    Testbed().database.queues.lock(name)
    if as_json:
        print_json({"locked": name})


@queue.command()
@_name
@json_option
def unlock(name: str, as_json: bool) -> None:
    """Let a queue take new jobs again."""
    from dioptra.testbed import Testbed

    Testbed().database.queues.unlock(name)
    if as_json:
        print_json({"unlocked": name})


@queue.command()
@_name
@json_option
def rm(name: str, as_json: bool) -> None:
    """Remove a queue in which nothing waits."""
    from dioptra.testbed import Testbed

    Testbed().database.queues.remove(name)
    if as_json:
        print_json({"removed": name})
