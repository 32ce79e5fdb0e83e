"""`dioptra worker`: runs the jobs of queues."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import click

from dioptra.cli._print import note
from dioptra.cli.completion import complete_queues

if TYPE_CHECKING:
    from dioptra.worker import Worker

__all__ = ["worker"]


@click.command()
@click.option(
    "--queue",
    "queues",
    multiple=True,
    help="A queue to listen to, the most wanted one first; by default the one called default.",
    shell_complete=complete_queues,
)
@click.option("--slots", type=click.IntRange(1, 1000), default=1, show_default=True, help="Jobs that run at once.")
@click.option("--burst", is_flag=True, help="End when there is nothing to do.")
@click.option("--name", default="", help="What to call it; by default this machine's name.")
def worker(queues: tuple[str, ...], slots: int, burst: bool, name: str) -> int:
    """Run the jobs of queues until it is stopped.

    Ctrl-C or TERM lets the running jobs finish; a second one cancels them, and the exit code is 130.
    """
    from dioptra.testbed import Testbed
    from dioptra.worker import hide_process

    made = Testbed().worker(queues=queues or ("default",), slots=slots, burst=burst, name=name, on_event=note)
    hide_process()
    asked = _stop_by_signals(made)
    made.run()
    return 130 if len(asked) > 1 else 0


def _stop_by_signals(made: Worker) -> list[int]:
    """Let signals stop a worker; the list gets each that has come."""
    asked: list[int] = []

    def hear(number: int, frame: object) -> None:
        asked.append(number)
        if len(asked) == 1:
            made.stop()
        else:
            made.cancel()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, hear)
    return asked
