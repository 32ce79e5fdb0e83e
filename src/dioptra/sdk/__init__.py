"""What entry-point scripts import: the public paths of Dioptra 0.x."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dioptra.sdk.utilities.contexts import plugin_dirs

__all__ = ["plugin_dirs"]


if not TYPE_CHECKING:  # a type checker knows the name above, and no others

    def __getattr__(name: str) -> object:
        """Fetch a public name on its first use."""
        if name != "plugin_dirs":
            raise AttributeError(f"module 'dioptra.sdk' has no attribute {name!r}")
        from dioptra.sdk.utilities.contexts import plugin_dirs

        return plugin_dirs
