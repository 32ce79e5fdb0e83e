"""The command's door: parses, runs a verb, and turns every error into one sentence and an exit code."""

from __future__ import annotations

import gc
import os
import signal
import sys
from typing import NoReturn

import click

from dioptra.cli._print import print_error
from dioptra.cli.demo import demo
from dioptra.cli.init import init
from dioptra.cli.job import job
from dioptra.cli.run import run
from dioptra.errors import DioptraError

__all__ = ["cli", "main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="dioptra-testbed", message="dioptra %(version)s")
def cli() -> None:
    """A testbed for trustworthy machine learning.

    Run the entry points of a project, attack models, measure what is left of their accuracy, and keep the evidence.

    \b
    Begin with:
      dioptra demo                            a robustness curve, in about a minute
      dioptra init mine --example digits      a project of your own to change
      dioptra run mine -e train               run one of its entry points
    """


for command in (demo, init, job, run):
    cli.add_command(command)


def main() -> NoReturn:
    """Run the command and leave with its exit code."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    code = _run()
    gc.freeze()  # the modules need no last look by the collector: the process ends 0.2 s sooner
    sys.exit(code)


def _interrupt(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


def _run() -> int:
    try:
        code = cli.main(standalone_mode=False, prog_name="dioptra")
        sys.stdout.flush()
    except DioptraError as error:
        print_error(error)
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return 130
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code if isinstance(code, int) else 0
