"""Log metrics, parameters and models to the run of the job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, SupportsFloat

import mlflow
from mlflow import MlflowClient

from dioptra import pyplugs
from dioptra.errors import BaseTaskPluginError

from .._dependencies import require_tensorflow

__all__ = ["log_metrics", "log_parameters", "log_sklearn_estimator", "log_tensorflow_keras_estimator"]


@pyplugs.register
def log_metrics(metrics: Mapping[str, SupportsFloat]) -> None:
    """Log numbers that were measured to the run of the job.

    Args:
        metrics: Value of each metric by its name.
    """
    mlflow.log_metrics({name: float(value) for name, value in metrics.items()})


@pyplugs.register
def log_parameters(parameters: Mapping[str, Any]) -> None:
    """Log what the job was run with; a parameter that is already logged with the same value stays as it is.

    Args:
        parameters: Value of each parameter by its name.

    Raises:
        BaseTaskPluginError: A parameter is already logged with another value, which MLflow never changes.
    """
    run = mlflow.active_run() or mlflow.start_run()
    known = MlflowClient().get_run(run.info.run_id).data.params
    for name in parameters.keys() & known.keys():
        if not _same(known[name], str(parameters[name])):
            raise BaseTaskPluginError(
                f"parameter '{name}' is already logged as '{known[name]}' and cannot become '{parameters[name]}'",
                where=f"run {run.info.run_id}",
                hint="log it under another name",
            )
    mlflow.log_params({name: value for name, value in parameters.items() if name not in known})


def _same(logged: str, value: str) -> bool:
    """Tell whether two texts mean one value: `0.30` on the command line is `0.3` in the script."""
    if logged == value:
        return True
    try:
        return float(logged) == float(value)
    except ValueError:
        return False


@pyplugs.register
def log_sklearn_estimator(estimator: Any, model_dir: str = "model") -> str:
    """Log a fitted scikit-learn classifier as a model of the run, in the skops format, which holds no pickle.

    Args:
        estimator: Classifier that was fitted with `estimators.sklearn.fit`.
        model_dir: Name of the model in the run, to be given to `registry.mlflow.add_model_to_registry`.

    Returns:
        The URI of the logged model, which names it by the run and its name: `runs:/<run>/<name>`.

    Source: https://skops.readthedocs.io/en/stable/persistence.html
    """
    import mlflow.sklearn
    import sklearn
    import skops

    # Requirements are given, since MLflow would start a process that loads the model to find them out.
    model = mlflow.sklearn.log_model(
        estimator,
        name=model_dir,
        serialization_format=mlflow.sklearn.SERIALIZATION_FORMAT_SKOPS,
        signature=_signature(estimator.n_features_in_),
        pip_requirements=[f"scikit-learn=={sklearn.__version__}", f"skops=={skops.__version__}"],
    )
    return _uri(model, model_dir)


def _uri(model: Any, name: str) -> str:
    """Return a URI that is equal in two runs but for the run's id; MLflow's own holds another id, drawn at random."""
    return f"runs:/{model.run_id}/{name}" if model.run_id else str(model.model_uri)


def _signature(features: int) -> Any:
    """Return the shapes that a classifier of this package takes and gives: flat float32 images, int64 labels."""
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    images = Schema([TensorSpec(np.dtype("float32"), (-1, features))])
    return ModelSignature(images, Schema([TensorSpec(np.dtype("int64"), (-1,))]))


@pyplugs.register
def log_tensorflow_keras_estimator(estimator: Any, model_dir: str) -> str:
    """Log a Keras model that runs on TensorFlow as a model of the run.

    Args:
        estimator: Keras model.
        model_dir: Name of the model in the run, to be given to `registry.mlflow.add_model_to_registry`.

    Returns:
        The URI of the logged model, which names it by the run and its name: `runs:/<run>/<name>`.

    Raises:
        TensorflowDependencyError: TensorFlow is not installed.
    """
    require_tensorflow("logging a Keras model")
    import mlflow.tensorflow

    return _uri(mlflow.tensorflow.log_model(estimator, name=model_dir), model_dir)
