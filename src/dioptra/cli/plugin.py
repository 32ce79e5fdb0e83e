"""`dioptra plugin`: task plugins, looked at without importing them, and brought to the place of their collection."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dioptra.cli._print import json_option, note, print_json
from dioptra.cli._table import show_table, visible
from dioptra.cli.completion import complete_plugins

if TYPE_CHECKING:
    from dioptra.pyplugs.source import PluginSource, Problem
    from dioptra.records import Job
    from dioptra.testbed import PluginCollection

__all__ = ["plugin"]

_SHORT = 12  # letters of a version
_SHOWN_JOBS = 5  # of one version

_version: Callable[[Any], Any] = click.option(
    "--version", default="", metavar="SHA256", help="As some job got it: the beginning of its hash."
)
_to: Callable[[Any], Any] = click.option(
    "--to",
    default="",
    metavar="NAME",
    help="collection or collection.package; by default the folder's name, in dioptra_custom unless it is a collection.",
)


@click.group()
def plugin() -> None:
    """List, show, check, push and pull task plugins; none is imported.

    They lie in collections: packages such as dioptra_builtins and dioptra_custom, each in its place.
    """


@plugin.command("list")
@click.argument("name", default="", shell_complete=complete_plugins)
@json_option
def list_plugins(name: str, as_json: bool) -> None:
    """List the task plugins that a job submitted now would get: all, or those whose names begin with NAME."""
    from dioptra.testbed import Testbed

    found = [each for each in Testbed().plugins.collections() if _below(name, each.name) or _below(each.name, name)]
    functions = [entry for each in found for entry in each.plugins.functions if _below(name, entry.name)]
    if as_json:
        rows = [each.to_dict() | {"plugins": len(each.plugins.functions)} for each in found]
        print_json({"collections": rows, "plugins": [entry.to_dict() for entry in functions]})
        return
    if functions:
        show_table(("task plugin", "description"), [(entry.name, entry.description) for entry in functions])
    else:
        click.echo(f"no task plugins {name!r}" if name else "no task plugins")
    for each in found:
        note(f"{each.name} {each.sha256[:_SHORT]} from {each.source}")
        _warn(each.plugins.problems)


@plugin.command()
@click.argument("name", shell_complete=complete_plugins)
@_version
@json_option
def show(name: str, version: str, as_json: bool) -> None:
    """Show a task plugin: signature, description, source, where it came from, which jobs used which version.

    NAME is a function's name, whole or an end of it that only one has.
    """
    from dioptra.testbed import Testbed

    plugins = Testbed().plugins
    collection, found = plugins.find(name, version)
    jobs = plugins.jobs(collection.name)
    if as_json:
        used = {sha256: [job.id for job in each] for sha256, each in jobs.items()}
        print_json(found.to_dict() | collection.to_dict() | {"jobs": used})
        return
    _show(collection, found, jobs)


@plugin.command()
@click.argument("source", type=click.Path(path_type=Path))
@_to
@click.option("--replace", is_flag=True, help="Remove what lies there and is not in SOURCE.")
@click.option("--unchecked", is_flag=True, help="Push it whatever is wrong with it.")
@click.option("--resume", is_flag=True, help="A push to this place was cut off, and this one takes its place.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@json_option
def push(source: Path, to: str, replace: bool, unchecked: bool, resume: bool, dry_run: bool, as_json: bool) -> None:
    """Bring SOURCE, a folder or an archive, to the place of its collection; the next submit sees it.

    It is a collection, or a package of one, and is checked first.
    """
    from dioptra.testbed import Testbed

    plugins = Testbed().plugins
    done = plugins.push(source, to, remove=replace, unchecked=unchecked, resume=resume, only_say=dry_run)
    _warn(done.problems)
    if as_json:
        print_json(done.to_dict())
        return
    if dry_run:
        for sign, names in (("+", done.changes.sent), ("-", done.changes.removed)):
            for each in names:
                click.echo(f"{sign} {visible(each)}")
    counts = f"{_count(len(done.changes.sent), 'file')} new or changed, {len(done.changes.removed)} removed"
    version = (
        f": version {done.sha256[:_SHORT]} of {done.name.partition('.')[0]}" if done.sha256 else ", if it were done"
    )
    note(f"{done.name} at {done.place}: {counts}{version}")


@plugin.command()
@click.argument("collection", shell_complete=complete_plugins)
@click.argument("folder", type=click.Path(path_type=Path), required=False)
@_version
@json_option
def pull(collection: str, folder: Path | None, version: str, as_json: bool) -> None:
    """Copy COLLECTION into FOLDER, which must be new; by default one of its name here."""
    from dioptra.testbed import Testbed

    into = folder or Path(collection)
    found = Testbed().plugins.pull(collection, into, version)
    note(f"{found.name} {found.sha256[:_SHORT]} from {found.source} is in {into}")
    if as_json:
        print_json(found.to_dict() | {"folder": str(into)})


@plugin.command()
@click.argument("source", type=click.Path(path_type=Path))
@_to
@json_option
def check(source: Path, to: str, as_json: bool) -> int:
    """Say what is wrong with SOURCE, a folder or an archive: syntax, names, imports, what it registers.

    The exit code is 1 when something is.
    """
    from dioptra.testbed import Testbed

    name, problems = Testbed().plugins.check(source, to)
    wrong = sum(each.is_error for each in problems)
    if as_json:
        print_json({"name": name, "problems": [each.to_dict() for each in problems]})
    else:
        for each in problems:
            click.echo(f"{'error' if each.is_error else 'warning'}: {visible(str(each))}")
    counts = f"{_count(wrong, 'error')}, {_count(len(problems) - wrong, 'warning')}"
    note(f"{name}: {counts}" if problems else f"{name} is in order")
    return int(wrong > 0)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _below(start: str, name: str) -> bool:
    return not start or name == start or name.startswith(f"{start}.")


def _warn(problems: Sequence[Problem]) -> None:
    for each in problems:
        note(f"Warning: {visible(str(each))}")


def _show(collection: PluginCollection, found: PluginSource, jobs: dict[str, list[Job]]) -> None:
    click.echo(click.style(found.name + found.declaration.removeprefix(found.func), bold=True))
    if found.doc:
        click.echo("\n" + textwrap.indent(found.doc, "    "))
    click.echo(f"\nfrom     {collection.source}")
    click.echo(f"file     {found.file}, line {found.line}")
    click.echo(f"version  {collection.sha256}")
    if found.signature.nout:
        click.echo(f"gives    {found.signature.nout} values")
    for number, (sha256, users) in enumerate(jobs.items()):
        more = f" and {len(users) - _SHOWN_JOBS} more" if len(users) > _SHOWN_JOBS else ""
        ids = ", ".join(job.id[:8] for job in users[:_SHOWN_JOBS])
        click.echo(f"{'used by' if number == 0 else '':<8} {sha256[:_SHORT]}: jobs {ids}{more}")
    click.echo("\n" + textwrap.indent(found.source, "    "))
