"""The life of one trained version: initialized, trained, tested; and whether it is being trained right now."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Any

from dioptra.errors import RefusedError
from dioptra.records import now
from dioptra.storage import write_aside

__all__ = ["LIFE_DIR", "Life", "LifeState"]

LIFE_DIR = "life"


class LifeState(StrEnum):
    """How far a version has come."""

    INITIALIZED = "initialized"
    TRAINED = "trained"
    TESTED = "tested"


class Life:
    """What is known of a version besides its data: each fact a file of its own, so that none can be half true.

    Args:
        folder: The folder of its data.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / LIFE_DIR

    @property
    def state(self) -> LifeState:
        """How far it has come."""
        if not self.mark:
            return LifeState.INITIALIZED
        return LifeState.TESTED if self.tested_mark == self.mark else LifeState.TRAINED

    @property
    def mark(self) -> str:
        """What tells one training that came to its end from another; empty when none did."""
        return str(self._read(LifeState.TRAINED).get("at", ""))

    @property
    def tested_mark(self) -> str:
        """The mark of the training whose model was tested last."""
        return str(self._read(LifeState.TESTED).get("of", ""))

    @property
    def is_training(self) -> bool:
        """Whether a process trains it at this moment."""
        try:
            with (self._folder / "training.lock").open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False

    @property
    def run_id(self) -> str:
        """The MLflow run that it logs to; empty when there is none yet."""
        file = self._folder / "run.json"
        return str(json.loads(file.read_bytes())["run_id"]) if file.exists() else ""

    @run_id.setter
    def run_id(self, run_id: str) -> None:
        self._write("run.json", run_id=run_id)

    @contextmanager
    def training(self, typed: str = "") -> Iterator[None]:
        """Train inside the block, once `forget` was called; at its end the version is trained.

        Args:
            typed: What to type when it cannot be trained now.

        Raises:
            RefusedError: Another process trains it.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / "training.lock").open("ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                hint = f"wait for its end, or end it and type `{typed}`" if typed else "wait for its end, or end it"
                raise RefusedError(
                    f"snapshot {self._folder.parent.name} is being trained by another process", hint=hint
                ) from error
            yield
            self._write(f"{LifeState.TRAINED}.json", at=now().isoformat())

    def forget(self) -> None:
        """Forget an earlier training, with its run."""
        for name in (f"{LifeState.TRAINED}.json", f"{LifeState.TESTED}.json", "run.json"):
            (self._folder / name).unlink(missing_ok=True)

    def tested(self, mark: str) -> None:
        """Remember that the model of the training with this mark has been tested; without one, there is nothing to."""
        if mark:
            self._write(f"{LifeState.TESTED}.json", at=now().isoformat(), of=mark)

    def _read(self, state: LifeState) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads((self._folder / f"{state}.json").read_bytes())
        except FileNotFoundError:
            return {}
        return found

    def _write(self, name: str, **values: str) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        write_aside(self._folder / name, json.dumps(values | {"process": os.getpid()}).encode() + b"\n")
