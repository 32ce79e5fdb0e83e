"""The command's door: parses, runs a verb, and turns every error into one sentence and an exit code."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
from typing import NoReturn

import click

from dioptra.cli._print import guard_streams, print_error
from dioptra.cli.completion import completion
from dioptra.cli.demo import demo
from dioptra.cli.doctor import doctor
from dioptra.cli.experiment import experiment
from dioptra.cli.flow import flow
from dioptra.cli.init import init
from dioptra.cli.job import job
from dioptra.cli.plugin import plugin
from dioptra.cli.queue import queue
from dioptra.cli.run import run
from dioptra.cli.snapshot import snapshot
from dioptra.cli.submit import submit
from dioptra.cli.worker import worker
from dioptra.errors import DioptraError, UsageError

__all__ = ["cli", "main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="dioptra-testbed", message="dioptra %(version)s")
def cli() -> None:
    """\b
    A testbed for trustworthy machine learning.
    dioptra demo                            a robustness curve, in about a minute
    dioptra init mine --example digits      a project of your own; then `dioptra run mine -e train`
    """


for command in (completion, demo, doctor, experiment, flow, init, job, plugin, queue, run, snapshot, submit, worker):
    cli.add_command(command)


class _Interruption(KeyboardInterrupt):
    """What signals raise here: Python ends itself by SIGINT when a bare KeyboardInterrupt hits code that is compiled
    from text, as MLflow's imports do, even if it is caught."""


def main() -> NoReturn:
    """Run the command and leave with its exit code."""
    guard_streams()
    code = _run(_interruption())
    gc.freeze()  # the modules need no last look by the collector: the process ends 0.2 s sooner
    sys.exit(code)


def _interruption() -> threading.Event:
    """Return an event that Ctrl-C, TERM and a closed terminal set, besides interrupting what is going on.

    The event is what counts: an exception that a signal raises is lost when it hits a callback of the collector.
    """
    event = threading.Event()

    def interrupt(number: int, frame: object) -> NoReturn:
        event.set()
        raise _Interruption

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, interrupt)
    return event


def _run(interruption: threading.Event) -> int:
    try:
        code = cli.main(standalone_mode=False, prog_name="dioptra", obj=interruption)
        sys.stdout.flush()
    except DioptraError as error:
        print_error(error)
        return error.exit_code
    except click.ClickException as error:
        error.show()
        print_error(UsageError(error.format_message()), quiet=True)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return 130
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        print_error(DioptraError(f"{error.strerror or error}" + (f": {error.filename!r}" if error.filename else "")))
        return 1
    return code if isinstance(code, int) else 0
