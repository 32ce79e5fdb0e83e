"""The example of the digits: its three scripts, in processes of their own as a job starts them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient

from dioptra.storage import read_arrays

EXAMPLE = Path(__file__).parents[2] / "examples" / "digits"


@dataclass(frozen=True)
class Done:
    """A script that has ended, with the MLflow run that it made."""

    code: int
    log: str
    outputs: Path
    data: Any
    run_id: str

    def artifact(self, name: str) -> Path:
        return Path(mlflow.artifacts.download_artifacts(run_id=self.run_id, artifact_path=name))


Script = Callable[..., Done]


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Script]:
    """Run a script of the example in an empty folder, with a run and an output folder of its own."""
    store = tmp_path_factory.mktemp("digits")
    before = mlflow.get_tracking_uri()
    uri = f"sqlite:///{store}/mlflow.db"
    mlflow.set_tracking_uri(uri)
    experiment = mlflow.create_experiment("digits", artifact_location=f"{store}/artifacts")

    def call(name: str, **options: object) -> Done:
        run_id = MlflowClient().create_run(experiment).info.run_id
        outputs, here = tmp_path_factory.mktemp("outputs"), tmp_path_factory.mktemp("here")
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("DIOPTRA_", "MLFLOW_"))}
        done = subprocess.run(
            [sys.executable, EXAMPLE / f"{name}.py", *(f"--{key.replace('_', '-')}={options[key]}" for key in options)],
            cwd=here,
            env=kept | {"MLFLOW_TRACKING_URI": uri, "MLFLOW_RUN_ID": run_id, "DIOPTRA_OUTPUT_DIR": str(outputs)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert list(here.iterdir()) == [], "nothing is written where the script runs"
        return Done(done.returncode, done.stdout + done.stderr, outputs, MlflowClient().get_run(run_id).data, run_id)

    yield call
    mlflow.set_tracking_uri(before)


@pytest.fixture(scope="module")
def trained(script: Script) -> Done:
    return script("train", seed=7)


@pytest.fixture(scope="module")
def attacked(script: Script, trained: Done) -> Done:
    return script("fgm", model_version=1, eps=0.3, norm="inf", batch_size=100)


def test_training_gives_a_registered_model_that_is_right_nine_times_in_ten(trained: Done) -> None:
    assert trained.code == 0, trained.log
    assert trained.data.metrics["accuracy"] > 0.9
    assert trained.data.params["entry_point_seed"] == "7"
    assert MlflowClient().get_model_version("digits", "1").run_id == trained.run_id


def test_the_same_seed_gives_the_same_accuracy_and_model_seed(script: Script, trained: Done) -> None:
    again = script("train", seed=7, model_name="again")

    assert again.data.metrics == trained.data.metrics
    assert again.data.params == trained.data.params


def test_attacking_keeps_the_images_with_their_distances(attacked: Done) -> None:
    assert attacked.code == 0, attacked.log
    arrays = read_arrays(attacked.artifact("adversarial.npz"))
    distances = pd.read_csv(attacked.artifact("distances.csv"), index_col="image")

    assert {name: array.shape for name, array in arrays.items()} == {
        "x_clean": (599, 8, 8, 1),
        "x_adv": (599, 8, 8, 1),
        "y": (599,),
    }
    change = (arrays["x_adv"] - arrays["x_clean"]).reshape(599, -1).astype(np.float64)
    assert distances["l_2_norm"].to_numpy() == pytest.approx(np.linalg.norm(change, axis=1))
    assert attacked.data.metrics["l_inf_norm_mean"] == pytest.approx(0.3, abs=1e-4)
    assert attacked.data.metrics["l_2_norm_mean"] == pytest.approx(distances["l_2_norm"].mean())
    assert attacked.data.params["attacked_model_version"] == "1"
    assert {path.name for path in attacked.outputs.iterdir()} == {"adversarial.npz", "distances.csv"}


def test_measuring_finds_little_left_at_the_strongest_attack(script: Script, trained: Done, attacked: Done) -> None:
    measured = script("infer", run_id=attacked.run_id, model_version="latest")

    assert measured.code == 0, measured.log
    assert measured.data.metrics["samples"] == 599
    assert measured.data.metrics["clean_accuracy"] == trained.data.metrics["accuracy"]
    assert measured.data.metrics["robust_accuracy"] < 0.1
    assert measured.data.params["measured_model_version"] == "1"


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("fgm", {"eps": -1}, "eps must be a number of at least 0, got -1.0"),
        ("infer", {"run_id": "0000"}, "run 0000: artifact 'adversarial.npz' cannot be downloaded"),
        ("train", {"seed": "x"}, "Invalid value for '--seed'"),
    ],
)
def test_a_mistake_ends_the_script_with_a_sentence(
    script: Script, trained: Done, name: str, options: dict[str, Any], sentence: str
) -> None:
    done = script(name, **options)

    assert done.code != 0
    assert sentence in done.log
    assert done.data.metrics == {}
