"""The `dioptra` command: one file a noun. Nothing heavy is imported before a verb needs it."""

from dioptra.cli._main import main

__all__ = ["main"]
