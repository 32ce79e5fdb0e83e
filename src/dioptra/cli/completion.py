"""`dioptra completion`, and what the shell can complete: entry points, parameters, jobs, examples."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem, get_completion_class

if TYPE_CHECKING:
    from dioptra.mlproject import Project

__all__ = [
    "complete_entry_points",
    "complete_examples",
    "complete_experiments",
    "complete_jobs",
    "complete_parameters",
    "complete_plugins",
    "complete_queues",
    "complete_snapshots",
    "completion",
]

_OPTIONS_WITH_VALUES = (
    *("-e", "--entry-point", "-P", "--experiment", "--from", "--queue", "--depends-on"),
    *("--timeout", "--priority", "--retries", "--name", "--tag", "--key", "--project", "--svg", "--job"),
)
_OPTIONS_OF_INTEREST = {"-e": "entry_point", "--entry-point": "entry_point", "--project": "project"}


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the script with which SHELL completes commands, entry points, parameters and jobs.

    \b
    bash:  dioptra completion bash > ~/.local/share/bash-completion/completions/dioptra
    zsh:   dioptra completion zsh > "${fpath[1]}/_dioptra"
    fish:  dioptra completion fish > ~/.config/fish/completions/dioptra.fish
    """
    found = get_completion_class(shell)
    assert found is not None  # noqa: S101 - the choice above is of the shells that click knows
    root = click.get_current_context().find_root().command
    click.echo(found(root, {}, "dioptra", "_DIOPTRA_COMPLETE").source())


def complete_entry_points(context: click.Context, parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """Offer the entry points of the project that has been typed."""
    project = _typed_project()
    found = project.entry_points if project else ()
    return [CompletionItem(name) for name in found if name.startswith(typed)]


def complete_parameters(context: click.Context, parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """Offer the parameters of the entry point that has been typed, as `name=`."""
    project = _typed_project()
    name = _typed_words()[1]
    if project is None or name not in project.entry_points:
        return []
    found = [each for each in project.entry_points[name].parameters.values() if each.name.startswith(typed)]
    return [CompletionItem(f"{each.name}=", help=each.type) for each in found]


def complete_examples(context: click.Context, parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """Offer the examples that come with Dioptra."""
    from dioptra.testbed import example_names

    return [CompletionItem(name) for name in example_names() if name.startswith(typed)]


def complete_plugins(context: click.Context, parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """Offer the names of collections and of the task plugins in those that lie here."""
    from dioptra.testbed import Testbed

    return [CompletionItem(name) for name in Testbed().plugins.names() if name.startswith(typed)]


def _typed_project() -> Project | None:
    from dioptra.errors import DioptraError
    from dioptra.mlproject import read_project

    try:
        return read_project(Path(_typed_words()[0]))
    except DioptraError:
        return None


def _typed_words() -> tuple[str, str]:
    """Return project and entry point as they stand on the line that is being typed.

    click forgets arguments when the option that is completed has no value yet, so the line is read again here.
    """
    typed = os.environ.get("COMP_WORDS", "").split()[1:]
    found = {"project": ".", "entry_point": "main"}
    place = "entry_point" if typed[:1] == ["flow"] else "project"  # what stands without an option before it
    words = iter(typed[2 if place == "entry_point" else 1 :])
    for word in words:
        if word in _OPTIONS_WITH_VALUES:
            name = _OPTIONS_OF_INTEREST.get(word, "")
            found[name] = next(words, "") or found.get(name, "")
        elif not word.startswith("-"):
            found[place] = word
    return str(Path(found["project"]).expanduser()), found["entry_point"]


def complete_jobs(context: click.Context, parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """Offer the newest jobs whose ids begin so."""
    from dioptra.storage import find_home

    jobs = [job for job in find_home().jobs()[::-1] if job.id.startswith(typed)]
    length = 8 if len(typed) <= 8 else None
    return [CompletionItem(job.id[:length], help=f"{job.status}, {job.entry_point}") for job in jobs[:50]]


def complete_queues(context: click.Context, parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """Offer the queues."""
    from dioptra.testbed import Testbed

    return [CompletionItem(each.name) for each in Testbed().database.queues.list() if each.name.startswith(typed)]


def complete_snapshots(context: click.Context, parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """Offer the newest snapshots whose ids begin so, and `last`."""
    from dioptra.experiment import Library

    found = [entry for experiment in Library().load_experiments().values() for entry in experiment.snapshots()]
    newest = sorted(found, key=lambda snapshot: snapshot.created_at, reverse=True)
    items = [CompletionItem(entry.uid, help=f"{entry.created_at:%Y-%m-%d %H:%M}") for entry in newest[:50]]
    return [item for item in (CompletionItem("last"), *items) if str(item.value).startswith(typed)]


def complete_experiments(context: click.Context, parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """Offer the experiments of the home."""
    from dioptra.experiment import Library

    return [CompletionItem(name) for name in Library().names() if name.startswith(typed)]
