"""Task plugins that speak to MLflow, on a real store: artifacts, tracking and the registry of models."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient

from dioptra.errors import BaseTaskPluginError, TensorflowDependencyError
from dioptra_builtins.artifacts import mlflow as artifacts
from dioptra_builtins.artifacts.exceptions import UnsupportedDataFrameFileFormatError
from dioptra_builtins.artifacts.utils import extract_tarfile
from dioptra_builtins.data.digits import load_digits
from dioptra_builtins.estimators.sklearn import fit, init_classifier, predict
from dioptra_builtins.registry import mlflow as registry
from dioptra_builtins.registry.exceptions import ModelNotFoundError, UnsafeModelError
from dioptra_builtins.tracking import mlflow as tracking


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A store of its own for this module, which opens it once."""
    folder = tmp_path_factory.mktemp("store")
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    mlflow.create_experiment("builtins", artifact_location=f"{folder}/artifacts")
    mlflow.set_experiment("builtins")
    yield folder
    mlflow.set_tracking_uri(before)


@pytest.fixture
def run(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[mlflow.ActiveRun]:
    monkeypatch.setenv("DIOPTRA_OUTPUT_DIR", str(tmp_path / "outputs"))
    with mlflow.start_run() as active_run:
        yield active_run


@pytest.fixture(scope="module")
def classifier() -> Any:
    x, y = load_digits("training")
    return fit(init_classifier(seed=1), x[:400], y[:400])


def artifact(run: mlflow.ActiveRun, path: str) -> Path:
    return Path(mlflow.artifacts.download_artifacts(run_id=run.info.run_id, artifact_path=path))


def logged(run: mlflow.ActiveRun) -> Any:
    return MlflowClient().get_run(run.info.run_id).data


# artifacts


@pytest.mark.parametrize(
    ("file_format", "file_name", "read", "options"),
    [
        ("csv", "distances.csv", pd.read_csv, {"index": False}),
        ("csv.bz2", "distances.csv.bz2", pd.read_csv, {"index": False}),
        ("csv.gz", "distances.csv.gz", pd.read_csv, {"index": False}),
        ("csv.xz", "distances.csv.xz", pd.read_csv, {"index": False}),
        ("feather", "distances.feather", pd.read_feather, None),
        ("json", "distances.json", pd.read_json, None),
        ("pickle", "distances.pkl", pd.read_pickle, None),
    ],
)
def test_a_data_frame_is_kept_in_every_format(
    run: mlflow.ActiveRun, tmp_path: Path, file_format: str, file_name: str, read: Any, options: dict[str, Any] | None
) -> None:
    table = pd.DataFrame({"l_2_norm": [0.25, 0.5], "label": [3, 7]})
    path = artifacts.upload_data_frame_artifact(table, "distances.txt", file_format, options)

    assert path == tmp_path / "outputs" / file_name
    pd.testing.assert_frame_equal(read(artifact(run, file_name)), table)


def test_a_format_that_is_none_is_refused(run: mlflow.ActiveRun, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedDataFrameFileFormatError, match="no file format 'xlsx' .* have: csv, csv.bz2"):
        artifacts.upload_data_frame_artifact(pd.DataFrame(), "a", "xlsx")
    with pytest.raises(BaseTaskPluginError, match="does not name a file"):
        artifacts.upload_data_frame_artifact(pd.DataFrame(), "../a", "csv", working_dir=tmp_path / "inside")


@pytest.mark.parametrize(("mode", "name"), [("w:gz", "images.tar.gz"), ("w:xz", "images.tar.xz"), ("w", "images.tar")])
def test_a_folder_is_packed_kept_and_unpacked_again(
    run: mlflow.ActiveRun, tmp_path: Path, mode: str, name: str
) -> None:
    folder = tmp_path / "images"
    (folder / "0").mkdir(parents=True)
    (folder / "0" / "a.png").write_bytes(b"pixels")
    (folder / "0" / "b.png").hardlink_to(folder / "0" / "a.png")
    artifacts.upload_directory_as_tarball_artifact(folder, name, mode, working_dir=folder)

    read_mode = {"w:gz": "r:gz", "w:xz": "r:xz", "w": "r:"}[mode]
    unpacked = extract_tarfile(artifact(run, name), read_mode, output_dir=tmp_path / "again")
    files = {str(path.relative_to(unpacked)): path.read_bytes() for path in unpacked.rglob("*") if path.is_file()}
    assert files == {"images/0/a.png": b"pixels", "images/0/b.png": b"pixels"}


def test_what_cannot_be_unpacked_safely_is_not_packed(run: mlflow.ActiveRun, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "link").symlink_to("/etc/passwd")

    with pytest.raises(BaseTaskPluginError, match=r"images/link is neither file nor folder"):
        artifacts.upload_directory_as_tarball_artifact(tmp_path / "images", "a.tar.gz")
    with pytest.raises(BaseTaskPluginError, match=r"no folder .*absent to pack"):
        artifacts.upload_directory_as_tarball_artifact(tmp_path / "absent", "a.tar.gz")
    assert MlflowClient().list_artifacts(run.info.run_id) == []


def test_a_file_of_one_run_is_downloaded_by_the_next(run: mlflow.ActiveRun, tmp_path: Path) -> None:
    (tmp_path / "adversarial.npz").write_bytes(b"arrays")
    artifacts.upload_file_as_artifact(tmp_path / "adversarial.npz")

    path = artifacts.download_all_artifacts_in_run(run.info.run_id, "adversarial.npz")
    there = artifacts.download_all_artifacts_in_run(run.info.run_id, "adversarial.npz", str(tmp_path / "new" / "there"))

    assert Path(path) == tmp_path / "outputs" / f"run-{run.info.run_id}" / "adversarial.npz"
    assert Path(there) == tmp_path / "new" / "there" / "adversarial.npz"
    assert Path(path).read_bytes() == Path(there).read_bytes() == b"arrays"


def test_a_file_a_run_or_an_artifact_that_is_not_there_is_named(run: mlflow.ActiveRun, tmp_path: Path) -> None:
    with pytest.raises(BaseTaskPluginError, match=r"no file .*absent\.npz to upload"):
        artifacts.upload_file_as_artifact(tmp_path / "absent.npz")
    with pytest.raises(BaseTaskPluginError, match=f"run {run.info.run_id}: artifact 'a' cannot be downloaded"):
        artifacts.download_all_artifacts_in_run(run.info.run_id, "a")
    with pytest.raises(BaseTaskPluginError, match="run 0000: artifact 'a' cannot be downloaded"):
        artifacts.download_all_artifacts_in_run("0000", "a")
    with pytest.raises(BaseTaskPluginError, match="cannot be downloaded"):
        artifacts.download_all_artifacts_in_run(run.info.run_id, "../../mlflow.db")


# tracking


def test_metrics_of_any_number_type_are_logged(run: mlflow.ActiveRun) -> None:
    tracking.log_metrics({"accuracy": np.float32(0.5), "samples": 3, "loss": np.float64("inf")})

    assert logged(run).metrics["accuracy"] == 0.5
    assert logged(run).metrics["samples"] == 3


def test_parameters_may_be_logged_again_with_the_same_value(run: mlflow.ActiveRun) -> None:
    mlflow.log_params({"eps": "0.30", "norm": "inf", "model_name": "digits", "c": "nan"})
    tracking.log_parameters({"eps": 0.3, "norm": np.inf, "model_name": "digits", "c": np.nan, "seed": 2**127})

    assert logged(run).params == {
        "eps": "0.30",
        "norm": "inf",
        "model_name": "digits",
        "c": "nan",
        "seed": str(2**127),
    }


@pytest.mark.parametrize(("before", "after"), [("0.3", 0.31), ("-1", 7), ("digits", "letters"), ("", "x"), ("True", 1)])
def test_a_parameter_with_another_value_is_one_sentence_and_logs_nothing(
    run: mlflow.ActiveRun, before: str, after: Any
) -> None:
    mlflow.log_param("given", before)
    with pytest.raises(BaseTaskPluginError) as caught:
        tracking.log_parameters({"new": 1, "given": after})

    assert str(caught.value) == (
        f"run {run.info.run_id}: parameter 'given' is already logged as '{before}' and cannot become '{after}'; "
        "log it under another name"
    )
    assert logged(run).params == {"given": before}


def test_a_logged_classifier_holds_no_pickle_and_says_what_it_needs(run: mlflow.ActiveRun, classifier: Any) -> None:
    uri = tracking.log_sklearn_estimator(classifier, model_dir="classifier")
    assert uri == f"runs:/{run.info.run_id}/classifier"
    folder = Path(mlflow.artifacts.download_artifacts(uri))

    assert {path.name for path in folder.iterdir()} >= {"MLmodel", "model.skops", "requirements.txt"}
    assert not list(folder.rglob("*.pkl"))
    requirements = (folder / "requirements.txt").read_text()
    assert "scikit-learn==" in requirements
    assert "skops==" in requirements
    assert mlflow.models.get_model_info(uri).signature.inputs.to_dict()[0]["tensor-spec"]["shape"] == (-1, 64)


def test_tensorflow_is_asked_for_in_one_sentence(run: mlflow.ActiveRun) -> None:
    with pytest.raises(
        TensorflowDependencyError, match="logging a Keras model needs TensorFlow, which is not installed"
    ):
        tracking.log_tensorflow_keras_estimator(object(), "model")
    with pytest.raises(
        TensorflowDependencyError, match="loading a Keras model needs TensorFlow, which is not installed"
    ):
        registry.load_tensorflow_keras_classifier("digits", 1)


# registry


def test_a_logged_model_is_registered_and_loaded_by_name_and_version(run: mlflow.ActiveRun, classifier: Any) -> None:
    tracking.log_sklearn_estimator(classifier, "model")
    version = registry.add_model_to_registry(run, "first", "model")
    x, _ = load_digits("testing")

    assert version is not None
    assert (version.name, int(version.version), version.run_id) == ("first", 1, run.info.run_id)
    loaded = registry.load_sklearn_classifier("first", 1)
    assert np.array_equal(predict(loaded, x), predict(classifier, x))
    assert type(loaded) is type(classifier)


def test_the_newest_of_several_models_of_one_name_is_registered(run: mlflow.ActiveRun, classifier: Any) -> None:
    other = fit(init_classifier(classifier_kwargs={"C": 0.01}), *load_digits("testing"))
    tracking.log_sklearn_estimator(classifier, "model")
    tracking.log_sklearn_estimator(other, "model")
    registry.add_model_to_registry(run, "newest", "model")

    assert registry.load_sklearn_classifier("newest").C == 0.01


def test_a_folder_of_artifacts_with_an_mlmodel_file_is_registered_too(
    run: mlflow.ActiveRun, classifier: Any, tmp_path: Path
) -> None:
    mlflow.sklearn.save_model(
        classifier, tmp_path / "saved", pip_requirements=["scikit-learn"], serialization_format="skops"
    )
    mlflow.log_artifacts(str(tmp_path / "saved"), "deep/model")
    version = registry.add_model_to_registry(run, "folder", "deep/model")

    assert version is not None
    assert version.source == f"{run.info.artifact_uri}/deep/model"
    assert registry.load_sklearn_classifier("folder", "1").C == classifier.C


def test_loading_leaves_the_stored_model_as_it_was(run: mlflow.ActiveRun, classifier: Any, store: Path) -> None:
    tracking.log_sklearn_estimator(classifier, "model")
    registry.add_model_to_registry(run, "untouched", "model")
    before = sorted((store / "artifacts").rglob("*"))
    registry.load_sklearn_classifier("untouched")

    assert sorted((store / "artifacts").rglob("*")) == before


@pytest.mark.parametrize("name", ["", "  "])
def test_a_blank_name_registers_nothing(run: mlflow.ActiveRun, name: str) -> None:
    assert registry.add_model_to_registry(run, name, "absent") is None


@pytest.mark.parametrize("model_dir", ["absent", "plain", "", "../..", "plain/notes.txt"])
def test_a_model_that_the_run_does_not_have_is_one_error_and_registers_nothing(
    run: mlflow.ActiveRun, model_dir: str
) -> None:
    mlflow.log_text("no model", "plain/notes.txt")
    with pytest.raises(ModelNotFoundError, match=f"run {run.info.run_id}: the run has no model '{model_dir}'; log one"):
        registry.add_model_to_registry(run, "never", model_dir)

    assert MlflowClient().search_registered_models("name='never'") == []


@pytest.mark.parametrize("newest", [None, "none", "None", "latest", " Latest ", ""])
def test_versions_are_numbers_or_the_newest(run: mlflow.ActiveRun, classifier: Any, newest: str | None) -> None:
    name = f"versions {newest!r}"
    tracking.log_sklearn_estimator(classifier, "model")
    for _ in range(11):  # 11 is newer than 9, though not as text
        registry.add_model_to_registry(run, name, "model")

    assert [registry.resolve_version(name, version) for version in (1, "1", "9", newest)] == [1, 1, 9, 11]
    MlflowClient().delete_model_version(name, "11")
    assert registry.resolve_version(name, newest) == 10
    for absent in (11, "12", "1.5", "x", -1):
        with pytest.raises(ModelNotFoundError, match=f"'{absent}'; its newest is 10; 'latest' means that one"):
            registry.resolve_version(name, absent)


def test_the_newest_version_may_be_in_any_stage(run: mlflow.ActiveRun, classifier: Any) -> None:
    tracking.log_sklearn_estimator(classifier, "model")
    for _ in range(3):
        registry.add_model_to_registry(run, "staged", "model")
    for version in ("1", "3"):
        with pytest.warns(FutureWarning, match="stages"):
            MlflowClient().transition_model_version_stage("staged", version, "Production")
        assert registry.resolve_version("staged") == 3


@pytest.mark.parametrize("name", ["absent", "it's", "a/b", ""])
def test_a_name_that_is_not_registered_is_named(store: Path, name: str) -> None:
    with pytest.raises(ModelNotFoundError, match=f"there is no registered model '{name}'; train one first"):
        registry.load_sklearn_classifier(name, "latest")


def test_a_name_is_looked_up_exactly(run: mlflow.ActiveRun, classifier: Any) -> None:
    tracking.log_sklearn_estimator(classifier, "model")
    for name in ("it's exact", "it's exactly"):
        registry.add_model_to_registry(run, name, "model")
    registry.add_model_to_registry(run, "it's exact", "model")

    assert registry.resolve_version("it's exact") == 2
    assert registry.resolve_version("it's exactly") == 1


def test_a_pickled_model_is_not_loaded(run: mlflow.ActiveRun, tmp_path: Path) -> None:
    (tmp_path / "trap").mkdir()
    (tmp_path / "trap" / "model.pkl").write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    (tmp_path / "trap" / "MLmodel").write_text(
        "flavors:\n  sklearn:\n    pickled_model: model.pkl\n    serialization_format: pickle\n"
    )
    mlflow.log_artifacts(str(tmp_path / "trap"), "model")
    registry.add_model_to_registry(run, "pickled", "model")

    with pytest.raises(
        UnsafeModelError, match="model 'pickled' version 1: the model is not stored in the skops format"
    ):
        registry.load_sklearn_classifier("pickled")
    assert not (tmp_path / "sprung").exists()


def test_a_model_cannot_vouch_for_its_own_types(run: mlflow.ActiveRun, tmp_path: Path) -> None:
    import skops.io

    (tmp_path / "trap").mkdir()
    skops.io.dump(Trap(tmp_path / "sprung"), tmp_path / "trap" / "model.skops")
    (tmp_path / "trap" / "MLmodel").write_text(
        "flavors:\n  sklearn:\n    pickled_model: model.skops\n    serialization_format: skops\n"
        f"    skops_trusted_types: [{Trap.__module__}.Trap]\n"
    )
    mlflow.log_artifacts(str(tmp_path / "trap"), "model")
    registry.add_model_to_registry(run, "vouching", "model")

    with pytest.raises(UnsafeModelError, match=r"types that skops does not know to be harmless \(.*Trap"):
        registry.load_sklearn_classifier("vouching")


class Trap:
    """An object that touches a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_the_experiment_of_a_run_has_a_name(run: mlflow.ActiveRun) -> None:
    assert registry.get_experiment_name(run) == "builtins"


REGISTER = """
import sys, mlflow
from dioptra_builtins.registry.mlflow import add_model_to_registry
mlflow.set_tracking_uri(sys.argv[1])
run = mlflow.ActiveRun(mlflow.MlflowClient().get_run(sys.argv[2]))
print("ready", flush=True)
sys.stdin.readline()
print(add_model_to_registry(run, "raced for", "model").version)
"""


def test_jobs_that_register_one_name_at_once_all_get_a_version(run: mlflow.ActiveRun, classifier: Any) -> None:
    tracking.log_sklearn_estimator(classifier, "model")
    command = [sys.executable, "-c", REGISTER, mlflow.get_tracking_uri(), run.info.run_id]
    jobs = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for job in jobs:
        assert job.stdout is not None
        assert job.stdout.readline() == "ready\n"
    for job in jobs:
        assert job.stdin is not None
        job.stdin.write("go\n")
        job.stdin.flush()

    assert sorted(job.communicate(timeout=60)[0].strip() for job in jobs) == ["1", "2"]
