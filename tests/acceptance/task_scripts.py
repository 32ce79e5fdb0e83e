"""A task that needs nothing but the standard library, and the real command line of its script."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conftest import Spoken, clean_environment

SCRIPT = '''
"""Predicts the mean of what it was trained on."""
import os
import time
from pathlib import Path

import numpy as np

from dioptra.learning import BaseTask

DATA = [1.0, 2.0, 6.0]


class Mean(BaseTask):
    """Predicts one number, the mean of its data, whatever it is given."""

    def __init__(self):
        self.mean = None

    def parameters(self):
        return {"samples": len(DATA)}

    def train(self):
        if os.environ.get("FAIL"):
            raise ValueError("no luck")
        for epoch, share in enumerate((0.5, 1.0), start=1):
            self.mean = sum(DATA) / len(DATA) * share
            if os.environ.get("SLOW"):
                Path(os.environ["SLOW"], f"epoch{epoch}").touch()
                while epoch == 2 and not Path(os.environ["SLOW"], "go").exists():
                    time.sleep(0.01)
            with self.snapshot.train_storage() as storage:
                storage.append("loss", 1 - share)
            self.record.epoch(epoch, 2, {"loss": 1 - share})
            if hasattr(self.snapshot, "folder"):
                self.snapshot.make_path(f"epoch{epoch}.txt").write_text(str(self.mean))
                self.snapshot.register_model_file(f"epoch{epoch}.txt")

    def test(self):
        if os.environ.get("SLOW_TEST"):
            Path(os.environ["SLOW_TEST"], "testing").touch()
            while not Path(os.environ["SLOW_TEST"], "go").exists():
                time.sleep(0.01)
        with self.snapshot.test_storage() as storage:
            storage.store("error", abs(self.mean - 3.0))
        self.record.tested({"error": abs(self.mean - 3.0)})

    def load_model(self, filename=None):
        print("loading the model")
        self.mean = float(self.models.fetch_last_model_file().read_text())

    def eval_path(self, input_path, output_path):
        output_path.write_text(f"{input_path.read_text().strip()}: {self.mean}\\n")

    def predict(self, batch):
        return np.full(len(batch), self.mean)


task = Mean()
task.main("from the script")
'''


@dataclass
class TaskFolder:
    """A folder with a task's script, and a home."""

    folder: Path
    home: Path

    def environment(self, **more: str) -> dict[str, str]:
        return clean_environment(**{"DIOPTRA_HOME": str(self.home)} | more)

    def run(self, *args: str, script: str = "mean.py", **environment: str) -> Spoken:
        done = subprocess.run(
            [sys.executable, script, *args],
            cwd=self.folder,
            env=self.environment(**environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return Spoken(done.returncode, done.stdout, done.stderr)

    def start(self, *args: str, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "mean.py", *args],
            cwd=self.folder,
            env=self.environment(**environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def status(self) -> Any:
        return json.loads(self.run("status", "--json").out)

    def change(self, data: str = "[2.0, 8.0]") -> None:
        text = SCRIPT.replace("DATA = [1.0, 2.0, 6.0]", f"DATA = {data}")
        (self.folder / "mean.py").write_text(text)


def make_task_folder(place: Path, store: Path, name: str = "means") -> TaskFolder:
    """Make the folder of the task in a place, and a home with a copy of a tracking store."""
    folder = place / name
    folder.mkdir()
    (place / "home").mkdir()
    shutil.copy(store, place / "home" / "mlflow.db")
    (folder / "mean.py").write_text(SCRIPT)
    return TaskFolder(folder, place / "home")
