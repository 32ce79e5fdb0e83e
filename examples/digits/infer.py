"""Measure the accuracy of a registered classifier on the adversarial images of an earlier run."""

from __future__ import annotations

from typing import Any

import click
import mlflow

from dioptra import Flow, Parameter, pyplugs, settings
from dioptra.sdk.utilities.contexts import plugin_dirs
from dioptra.sdk.utilities.logging import (
    StderrLogStream,
    StdoutLogStream,
    attach_stdout_stream_handler,
    clear_logger_handlers,
    configure_structlog,
    set_logging_level,
)

_PLUGINS_IMPORT_PATH = "dioptra_builtins"


@click.command()
@click.option("--run-id", type=click.STRING, required=True, help="MLflow run that made the adversarial images.")
@click.option("--model-name", type=click.STRING, default="digits", help="Name of the registered model to measure.")
@click.option("--model-version", type=click.STRING, default="latest", help="Its version: a number, or 'latest'.")
def infer(run_id: str, model_name: str, model_version: str) -> Any:
    """Let the classifier label the clean and the adversarial images, and log how often it is right."""
    with mlflow.start_run():
        flow = init_flow()
        return flow.run(parameters={"run_id": run_id, "model_name": model_name, "model_version": model_version})


def init_flow() -> Flow:
    """Build the graph of tasks; nothing runs before `flow.run`."""
    with Flow("Measure a classifier on adversarial digits") as flow:
        run_id, model_name = Parameter("run_id"), Parameter("model_name")

        model_version = pyplugs.call_task(
            f"{_PLUGINS_IMPORT_PATH}.registry",
            "mlflow",
            "resolve_version",
            name=model_name,
            version=Parameter("model_version"),
        )
        pyplugs.call_task(
            f"{_PLUGINS_IMPORT_PATH}.tracking",
            "mlflow",
            "log_parameters",
            parameters={"measured_model_version": model_version},
        )
        classifier = pyplugs.call_task(
            f"{_PLUGINS_IMPORT_PATH}.registry",
            "mlflow",
            "load_sklearn_classifier",
            name=model_name,
            version=model_version,
        )

        file = pyplugs.call_task(
            f"{_PLUGINS_IMPORT_PATH}.artifacts",
            "mlflow",
            "download_all_artifacts_in_run",
            run_id=run_id,
            artifact_path="adversarial.npz",
        )
        images = pyplugs.call_task(f"{_PLUGINS_IMPORT_PATH}.data", "npz", "load_arrays", filepath=file)

        y_clean = pyplugs.call_task(
            f"{_PLUGINS_IMPORT_PATH}.estimators", "sklearn", "predict", estimator=classifier, x=images["x_clean"]
        )
        y_adv = pyplugs.call_task(
            f"{_PLUGINS_IMPORT_PATH}.estimators", "sklearn", "predict", estimator=classifier, x=images["x_adv"]
        )
        robustness = pyplugs.call_task(
            f"{_PLUGINS_IMPORT_PATH}.metrics",
            "robustness",
            "measure_robustness",
            y_true=images["y"],
            y_pred_clean=y_clean,
            y_pred_adv=y_adv,
        )
        pyplugs.call_task(f"{_PLUGINS_IMPORT_PATH}.tracking", "mlflow", "log_metrics", metrics=robustness)
    return flow


if __name__ == "__main__":
    as_json = settings.flag("job_log_as_json")
    clear_logger_handlers()
    attach_stdout_stream_handler(as_json)
    set_logging_level(settings.get("job_log_level"))
    configure_structlog()

    with plugin_dirs(), StdoutLogStream(as_json), StderrLogStream(as_json):
        _ = infer()
