"""`dioptra init`: a home for the work below a folder, and an example to begin with."""

from __future__ import annotations

from pathlib import Path

import click

from dioptra.cli.completion import complete_examples

__all__ = ["init"]


@click.command()
@click.argument("folder", default=".", type=click.Path(path_type=Path))
@click.option(
    "--example",
    metavar="NAME",
    help="Copy this example into the folder; it must be new or empty.",
    shell_complete=complete_examples,
)
def init(folder: Path, example: str | None) -> None:
    """Keep the jobs and results of FOLDER (by default this one) in FOLDER/.dioptra."""
    from dioptra.errors import UsageError
    from dioptra.storage import make_home
    from dioptra.testbed import copy_example

    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{str(folder)!r} is not a folder", hint="name a folder")
    if example is not None:
        copy_example(example, folder)
        click.echo(f"copied the example {example!r} to {folder}")
    home = make_home(folder)
    click.echo(f"jobs and results of {folder} are kept in {home.path}")
