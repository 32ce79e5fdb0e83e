"""`dioptra completion`, and what the shell can complete: entry points, parameters, jobs, examples."""

from __future__ import annotations

from pathlib import Path

import click
from click.shell_completion import CompletionItem, get_completion_class

__all__ = ["complete_entry_points", "complete_jobs", "complete_parameters", "completion"]


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
    from dioptra.errors import DioptraError
    from dioptra.mlproject import read_project

    try:
        project = read_project(Path(context.params.get("project") or "."))
    except DioptraError:
        return []
    return [CompletionItem(name) for name in project.entry_points if name.startswith(typed)]


def complete_parameters(context: click.Context, parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """Offer the parameters of the entry point that has been typed, as `name=`."""
    from dioptra.errors import DioptraError
    from dioptra.mlproject import read_project

    try:
        project = read_project(Path(context.params.get("project") or "."))
        entry = project.entry_point(context.params.get("entry_point") or "main")
    except DioptraError:
        return []
    found = [each for each in entry.parameters.values() if each.name.startswith(typed)]
    return [CompletionItem(f"{each.name}=", help=each.type) for each in found]


def complete_jobs(context: click.Context, parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """Offer the newest jobs whose ids begin so."""
    from dioptra.storage import find_home

    jobs = [job for job in find_home().jobs()[::-1] if job.id.startswith(typed)]
    return [CompletionItem(job.id[:8], help=f"{job.status}, {job.entry_point}") for job in jobs[:50]]
