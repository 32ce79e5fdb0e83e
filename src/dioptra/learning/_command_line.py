"""The commands of a task's script: train, test, eval, server, amend, status."""

from __future__ import annotations

import json
import math
import shlex
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import click

from dioptra.errors import DioptraError, InvalidParameterError, UsageError
from dioptra.learning._job import JobSession, is_in_job
from dioptra.learning._session import Session
from dioptra.learning._task import BaseTask

__all__ = ["run_command"]

_Open = Session | JobSession


def run_command(task: BaseTask, script: Path, args: list[str], message: str | None) -> int:
    """Run a script's command line, and return its exit code."""
    if not script.is_file():
        hint = "write it to one, and run `python FILE`"
        return _say_error(UsageError("the task's main() was not called by a script in a file", hint=hint))
    session = JobSession(task, script) if is_in_job() else Session(task, script)
    if not args and isinstance(session, JobSession):
        hint = f"name what to do: `dioptra run {shlex.quote(script.name)} -e train`"
        return _say_error(UsageError(f"{script.name} was given no command", hint=hint))
    commands = _commands(session, message)
    if isinstance(session, Session):  # a job is ended by whoever runs it
        signal.signal(signal.SIGTERM, _end)
    try:
        commands.main(args, prog_name=f"python {script.name}", standalone_mode=False)
    except DioptraError as error:
        return _say_error(error)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return 130
    return 0


def _end(number: int, _: FrameType | None) -> NoReturn:
    """End as by an exception, so that what was begun is ended too, such as its run."""
    raise SystemExit(128 + number)


def _say_error(error: DioptraError) -> int:
    click.echo(click.style("Error: ", fg="red", bold=True) + " ".join(str(error).splitlines()), err=True)
    return error.exit_code


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
        _say(session.train(message, default, retrain=retrain, force=force), "trained")

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
        session.task.check_files(infile, outfile)
        session.load("eval", ignore=ignore)
        session.task.eval_path(infile, outfile)
        click.echo(f"evaluated {infile}; the result is in {outfile}")

    return evaluate


def _server(session: _Open, default: str | None) -> click.Command:
    @click.command("server")
    @click.option("--host", help="By default 127.0.0.1; elsewhere than here only with a token.")
    @click.option("--port", type=click.IntRange(0, 65535), help="By default a free one.")
    @click.option("--socket", type=click.Path(path_type=Path), help="A Unix socket in place of host and port.")
    @click.option("--token-file", type=click.Path(path_type=Path), help="A file with the token that clients must give.")
    @click.option("--snapshot", "address", metavar="ID", help="Serve this one, with its own code.")
    @click.option("--max-batch", type=click.IntRange(1), default=64, show_default=True, help="Samples in a batch.")
    @click.option(
        "--max-wait", type=click.FloatRange(0, 60_000), default=2.0, show_default=True, help="Milliseconds for a batch."
    )
    @click.option(
        "--queue-limit", type=click.IntRange(1), default=256, show_default=True, help="Samples that may wait; else 503."
    )
    @_ignore
    def server(
        host: str | None,
        port: int | None,
        socket: Path | None,
        token_file: Path | None,
        address: str | None,
        max_batch: int,
        max_wait: float,
        queue_limit: int,
        ignore: bool,
    ) -> None:
        """Serve the model's predictions to other programs."""
        from dioptra.learning._serving import Door, serve_snapshot, serve_task

        if socket and (host is not None or port is not None):
            raise UsageError("--socket takes the place of --host and --port", hint="give one or the other")
        limits = {"max_batch": max_batch, "max_wait": max_wait / 1000, "queue_limit": queue_limit}
        door = Door(host or "127.0.0.1", port or 0, socket, _token(token_file), limits)
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
            measured = {"measured": _finite(found["measured"])} if "measured" in found else {}
            click.echo(json.dumps(found | measured, allow_nan=False))
            return
        for name, value in found.items():
            click.echo(f"{name:<11} {_as_text(value)}".rstrip())

    return status


def _finite(values: Mapping[str, float]) -> dict[str, float | None]:
    """Return numbers as JSON has them, which knows neither NaN nor infinity."""
    return {name: value if math.isfinite(value) else None for name, value in values.items()}


def _as_text(value: object) -> str:
    if isinstance(value, list):
        return " ".join(value)
    if isinstance(value, dict):
        return ", ".join(f"{name} {number:.4g}" for name, number in value.items())
    return "" if value is None else str(value)


def _say(place: Any, what: str) -> None:
    click.echo(f"{what} {getattr(place, 'name', place.folder)}", err=True)


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
