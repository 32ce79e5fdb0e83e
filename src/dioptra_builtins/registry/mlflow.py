"""MLflow's registry of models: add the model of a run under a name, load it again by name and version."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from dioptra import pyplugs

from .._dependencies import require_tensorflow
from .exceptions import ModelNotFoundError, UnsafeModelError

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion
    from sklearn.base import ClassifierMixin

__all__ = [
    "add_model_to_registry",
    "get_experiment_name",
    "load_sklearn_classifier",
    "load_tensorflow_keras_classifier",
    "resolve_version",
]

_NEWEST = ("", "none", "latest")
_ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")


@pyplugs.register
def add_model_to_registry(active_run: mlflow.ActiveRun, name: str, model_dir: str) -> ModelVersion | None:
    """Register a model of a run as the next version of a name, which is made where it does not exist yet.

    Args:
        active_run: Run that logged the model.
        name: Name of the registered model; a blank one registers nothing.
        model_dir: Name of a model logged by the run, or path of a folder of its artifacts with an `MLmodel` file.

    Returns:
        The new version, or None for a blank name.

    Raises:
        ModelNotFoundError: The run has neither such a model nor such a folder.
    """
    if not name.strip():
        return None
    client = MlflowClient()
    run_id = active_run.info.run_id
    model_id = _logged_model_id(client, run_id, model_dir)
    source = f"models:/{model_id}" if model_id else _artifact_source(client, run_id, model_dir)
    _make_registered_model(client, name)
    return client.create_model_version(name, source, run_id=run_id, model_id=model_id)


def _logged_model_id(client: MlflowClient, run_id: str, name: str) -> str | None:
    """Return the id of the newest model that the run logged under a name."""
    outputs = client.get_run(run_id).outputs
    models = [client.get_logged_model(output.model_id) for output in (outputs.model_outputs if outputs else [])]
    named = [model for model in models if model.name == name]
    return max(named, key=lambda model: model.creation_timestamp).model_id if named else None


def _artifact_source(client: MlflowClient, run_id: str, model_dir: str) -> str:
    wanted = f"{model_dir.strip('/')}/MLmodel"
    try:
        found = any(entry.path == wanted for entry in client.list_artifacts(run_id, model_dir))
    except MlflowException:  # a path that cannot be one of an artifact, such as `../x`
        found = False
    if not found:
        raise ModelNotFoundError(
            f"the run has no model '{model_dir}'",
            where=f"run {run_id}",
            hint="log one under that name, or a folder with an MLmodel file",
        )
    return f"{client.get_run(run_id).info.artifact_uri}/{model_dir.strip('/')}"


def _make_registered_model(client: MlflowClient, name: str) -> None:
    try:
        client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        _create_unless_there(client, name)


def _create_unless_there(client: MlflowClient, name: str) -> None:
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":  # another job was faster
            raise


@pyplugs.register
def get_experiment_name(active_run: mlflow.ActiveRun) -> str:
    """Return the name of the experiment that a run belongs to.

    Args:
        active_run: Run of the job.
    """
    return str(MlflowClient().get_experiment(active_run.info.experiment_id).name)


@pyplugs.register
def resolve_version(name: str, version: int | str | None = None) -> int:
    """Return the number of a version of a registered model, the newest where none is given.

    Args:
        name: Name of the registered model.
        version: Number of the version; None, `none` and `latest` mean the newest.

    Raises:
        ModelNotFoundError: There is no such model or version.
    """
    client = MlflowClient()
    newest = _newest_version(client, name)
    number = str(version).strip().lower() if version is not None else "latest"
    if number in _NEWEST:
        return newest
    try:
        return int(client.get_model_version(name, number).version)
    except MlflowException as error:
        if error.error_code not in _ABSENT:
            raise
        raise ModelNotFoundError(
            f"registered model '{name}' has no version '{version}'",
            hint=f"its newest is {newest}; 'latest' means that one",
        ) from error


def _newest_version(client: MlflowClient, name: str) -> int:
    try:
        versions = [int(entry.version) for entry in client.get_registered_model(name).latest_versions]
    except MlflowException as error:
        if error.error_code not in _ABSENT:
            raise
        raise ModelNotFoundError(f"there is no registered model '{name}'", hint="train one first") from error
    if not versions:
        raise ModelNotFoundError(f"registered model '{name}' has no versions", hint="train one first")
    return max(versions)


@pyplugs.register
def load_sklearn_classifier(name: str, version: int | str | None = None) -> ClassifierMixin:
    """Load a registered scikit-learn classifier by name and version, from the skops format only.

    Args:
        name: Name of the registered model.
        version: Number of the version; None, `none` and `latest` mean the newest.

    Raises:
        ModelNotFoundError: There is no such model or version.
        UnsafeModelError: The model is stored as a pickle, or holds types that are not known to be harmless.

    Source: https://skops.readthedocs.io/en/stable/persistence.html
    """
    number = resolve_version(name, version)
    # Not `models:/name/version`, for which MLflow writes a file of its own into the stored model.
    uri = MlflowClient().get_model_version_download_uri(name, str(number))
    folder = Path(mlflow.artifacts.download_artifacts(artifact_uri=uri))
    return _load_skops(folder, where=f"model '{name}' version {number}")


def _load_skops(folder: Path, where: str) -> ClassifierMixin:
    """Load a model of harmless types only; MLflow would let the model itself say which types to trust."""
    import skops.io
    from mlflow.models import Model

    flavor = Model.load(str(folder)).flavors.get("sklearn", {})
    if flavor.get("serialization_format") != "skops":
        raise UnsafeModelError(
            "the model is not stored in the skops format and is not loaded",
            where=where,
            hint="log it with tracking.mlflow.log_sklearn_estimator",
        )
    path = folder / str(flavor.get("pickled_model"))
    if unknown := skops.io.get_untrusted_types(file=path):
        raise UnsafeModelError(
            f"the model holds types that skops does not know to be harmless ({', '.join(sorted(unknown))})", where=where
        )
    return skops.io.load(path, trusted=[])


@pyplugs.register
def load_tensorflow_keras_classifier(name: str, version: int | str | None = None) -> Any:
    """Load a registered Keras classifier that runs on TensorFlow, by name and version.

    Args:
        name: Name of the registered model.
        version: Number of the version; None, `none` and `latest` mean the newest.

    Raises:
        ModelNotFoundError: There is no such model or version.
        TensorflowDependencyError: TensorFlow is not installed.
    """
    require_tensorflow("loading a Keras model")
    import mlflow.tensorflow

    return mlflow.tensorflow.load_model(f"models:/{name}/{resolve_version(name, version)}")
