"""The commands of a task's script: train, test, eval, server, amend, status."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from dioptra.errors import DioptraError, InvalidParameterError, UsageError
from dioptra.learning._job import JobSession, is_in_job
from dioptra.learning._session import Session
from dioptra.learning._task import BaseTask

__all__ = ["run_command"]

_Open = Session | JobSession


def run_command(task: BaseTask, script: Path, args: list[str], message: str | None) -> int:
    """Run a script's command line, and return its exit code."""
    session = JobSession(task, script) if is_in_job() else Session(task, script)
    commands = _commands(session, message)
    try:
        commands.main(args, prog_name=f"python {script.name}", standalone_mode=False)
    except DioptraError as error:
        click.echo(click.style("Error: ", fg="red", bold=True) + " ".join(str(error).splitlines()), err=True)
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return 130
    return 0


def _commands(session: _Open, message: str | None) -> click.Group:
    group = click.Group(help=type(session.task).__doc__, context_settings={"help_option_names": ["-h", "--help"]})
    for make in (_train, _test, _eval, _server, _amend, _status):
        group.add_command(make(session, message))
    return group


_ignore: Callable[[Any], Any] = click.option(
    "--ignore", is_flag=True, help="Use the last snapshot though the code has changed."
)
_message: Callable[[Any], Any] = click.option("-m", "--message", help="What to say about the snapshot.")


def _train(session: _Open, default: str | None) -> click.Command:
    @click.command("train")
    @click.option("--retrain", is_flag=True, help="Reset the last snapshot, and train it again.")
    @click.option("--force", is_flag=True, help="Make a new snapshot though the code has not changed.")
    @_message
    def train(retrain: bool, force: bool, message: str | None) -> None:
        """Train the model; changed code makes a new snapshot."""
        if retrain and force:
            raise UsageError("--retrain and --force exclude each other", hint="give one of them")
        _say(session.train(message or default, retrain=retrain, force=force), "trained")

    return train


def _test(session: _Open, default: str | None) -> click.Command:
    @click.command("test")
    @_ignore
    @click.option("--retest", is_flag=True, help="Test again.")
    def test(ignore: bool, retest: bool) -> None:
        """Test the model of the last snapshot."""
        _say(session.test(ignore=ignore, retest=retest), "tested")

    return test


def _eval(session: _Open, default: str | None) -> click.Command:
    @click.command("eval")
    @click.argument("infile", type=click.Path(path_type=Path))
    @click.argument("outfile", type=click.Path(path_type=Path))
    @_ignore
    def evaluate(infile: Path, outfile: Path, ignore: bool) -> None:
        """Evaluate the model of the last snapshot on INFILE, and write the result to OUTFILE."""
        _check_files(infile, outfile)
        session.load("eval", ignore=ignore)
        session.task.eval_path(infile, outfile)
        click.echo(f"evaluated {infile}; the result is in {outfile}")

    return evaluate


def _server(session: _Open, default: str | None) -> click.Command:
    @click.command("server")
    @click.option("--host", default="127.0.0.1", show_default=True, help="Elsewhere than here only with a token.")
    @click.option("--port", type=click.IntRange(0, 65535), default=0, help="By default a free one.")
    @click.option("--socket", type=click.Path(path_type=Path), help="A Unix socket in place of host and port.")
    @click.option("--token-file", type=click.Path(path_type=Path), help="A file with the token that clients must give.")
    @click.option("--snapshot", "address", metavar="ID", help="Serve this one, with its own code.")
    @_ignore
    def server(
        host: str, port: int, socket: Path | None, token_file: Path | None, address: str | None, ignore: bool
    ) -> None:
        """Serve the model's predictions to other programs."""
        from dioptra.learning._serving import Door, serve_snapshot, serve_task

        door = Door(host, port, socket, _token(token_file))
        if address is not None:
            serve_snapshot(session, address, door)
        else:
            serve_task(session.task, session.load("server", ignore=ignore), door)

    return server


def _amend(session: _Open, default: str | None) -> click.Command:
    @click.command("amend")
    @_message
    def amend(message: str | None) -> None:
        """Let the last snapshot stand for the code as it is now; its model and data stay."""
        _say(session.amend(message), "amended")

    return amend


def _status(session: _Open, default: str | None) -> click.Command:
    @click.command("status")
    @click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
    def status(as_json: bool) -> None:
        """Say where the script stands: its last snapshot, and what has changed since."""
        found = session.status()
        if as_json:
            click.echo(json.dumps(found))
            return
        for name, value in found.items():
            text = " ".join(value) if isinstance(value, list) else value
            click.echo(f"{name:<11} {'' if text is None else text}".rstrip())

    return status


def _say(place: Any, what: str) -> None:
    click.echo(f"{what} {getattr(place, 'name', place.folder)}", err=True)


def _check_files(infile: Path, outfile: Path) -> None:
    """Check both files before anything is loaded."""
    if not infile.exists():
        raise InvalidParameterError(f"there is no file {str(infile)!r} to evaluate", hint="name one that exists")
    if not os.access(infile, os.R_OK):
        raise InvalidParameterError(f"{str(infile)!r} cannot be read", hint="see who may read it")
    if outfile.is_dir():
        raise InvalidParameterError(f"{str(outfile)!r} is a folder", hint="name the file to write")
    if not outfile.absolute().parent.is_dir():
        raise InvalidParameterError(
            f"there is no folder {str(outfile.absolute().parent)!r} to write to", hint="make it"
        )
    if not os.access(outfile if outfile.exists() else outfile.absolute().parent, os.W_OK):
        raise InvalidParameterError(f"{str(outfile)!r} cannot be written", hint="name another file")
    if outfile.exists() and outfile.samefile(infile):
        raise InvalidParameterError(f"{str(outfile)!r} would be written over itself", hint="name another file")


def _token(file: Path | None) -> str:
    if file is None:
        return ""
    try:
        token = file.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise InvalidParameterError(f"the token file {str(file)!r} cannot be read", hint="see the file") from error
    if not token:
        raise InvalidParameterError(f"the token file {str(file)!r} is empty", hint="write a token into it")
    return token
