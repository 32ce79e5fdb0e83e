"""A stand-in for the task classes, for tests of past versions: all that an import needs to know of them."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dioptra.experiment._live import current_import


class Task:
    """What a script makes and calls `main` of."""

    def main(self) -> None:
        """Hand this task to an import that waits for the task of the calling script."""
        context = current_import()
        if context is not None and sys._getframe(1).f_globals["__name__"] == context.module_name:
            context.accept(self)


@dataclass(frozen=True)
class Process:
    """What an import must leave as it is; modules are compared by identity."""

    modules: dict[str, int] = field(
        default_factory=lambda: {name: id(module) for name, module in sys.modules.copy().items()}
    )
    path: tuple[str, ...] = field(default_factory=lambda: tuple(sys.path))
    path_id: int = field(default_factory=lambda: id(sys.path))
    meta_path: tuple[Any, ...] = field(default_factory=lambda: tuple(sys.meta_path))
    folder: int = field(default_factory=lambda: Path().stat().st_ino)

    def is_as_before(self) -> bool:
        """Tell whether all that was there is there, and nothing new has come but the process's own modules."""
        now = Process()
        kept = {name: now.modules.get(name) for name in self.modules}
        strange = [name for name in now.modules.keys() - self.modules.keys() if _is_strange(name)]
        others = (now.path, now.path_id, now.meta_path, now.folder)
        return kept == self.modules and not strange and others == (self.path, self.path_id, self.meta_path, self.folder)


def _is_strange(name: str) -> bool:
    spec = getattr(sys.modules.get(name), "__spec__", None)
    return spec is None or name.startswith("dioptra_snapshot") or "<code>" in str(spec.origin)
