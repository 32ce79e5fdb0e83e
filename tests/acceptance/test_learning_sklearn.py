"""Scikit-learn tasks as their users run them: the example, and types of their own in past versions."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest

from dioptra.experiment import DataFolder, Library
from tests.conftest import clean_environment
from tests.docs.blocks import Reader

PARTS = """
from sklearn.base import BaseEstimator, TransformerMixin


class Scale(TransformerMixin, BaseEstimator):
    def __init__(self, by=FACTOR):
        self.by = by

    def fit(self, x, y=None):
        return self

    def transform(self, x):
        return x * FACTOR
"""
SCRIPT = """
import numpy as np
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline

from dioptra.learning import SklearnTask
from parts import Scale


class Shift(Scale):
    def transform(self, x):
        return x + 1


class Line(SklearnTask):
    trusted_types = ("parts.Scale", "__main__.Shift")

    def get_training_data(self):
        return np.array([[0.0], [1.0]]), np.array([0.0, 1.0])

    get_testing_data = get_training_data


task = Line(make_pipeline(Scale(), Shift(), LinearRegression()))
task.main()
"""

EXAMPLE = Path(__file__).parents[2] / "examples" / "digits_sklearn"


def test_the_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))  # the reader's HOME moves with its folder
    shutil.copytree(EXAMPLE, tmp_path / EXAMPLE.name)
    Reader(tmp_path).follow(EXAMPLE / "README.md")


def test_types_of_ones_own_in_past_versions(tmp_path: Path, made_store: Path) -> None:
    folder, home = tmp_path / "line", tmp_path / "home"
    folder.mkdir()
    home.mkdir()
    shutil.copy(made_store, home / "mlflow.db")
    (folder / "line.py").write_text(SCRIPT)
    for factor in (2, 3):
        (folder / "parts.py").write_text(PARTS.replace("FACTOR", str(factor)))
        argv = [sys.executable, "line.py", "train"]
        subprocess.run(argv, cwd=folder, env=clean_environment(DIOPTRA_HOME=str(home)), check=True)
    experiment = Library(home / "experiments").get_experiment("line")

    for number, (snapshot, factor) in enumerate(zip(experiment.snapshots(), (2, 3), strict=True)):
        task = experiment.import_snapshot(snapshot)
        task.snapshot = snapshot
        task.load_model()
        assert task.predict(np.array([[5.0]]))[0] == pytest.approx(5.0)
        scale, shift, _ = [step for _, step in task.estimator.steps]
        assert shift.transform(scale.transform(np.array([[5.0]])))[0, 0] == 5.0 * factor + 1

        (tmp_path / str(number)).mkdir()
        task.snapshot = DataFolder(tmp_path / str(number))  # what a past version saves, anybody's code can load
        task.train()
        names = ZipFile(tmp_path / str(number) / "final.skops").read("schema.json").decode()
        assert '"parts"' in names
        assert "dioptra_snapshot" not in names
        task.load_model()
    assert "parts" not in sys.modules
