"""Fit a classifier to the handwritten digits, measure its accuracy and register it."""

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
@click.option(
    "--model-name", type=click.STRING, default="digits", help="Name to register the model under; '' for none."
)
@click.option("--c", type=click.FLOAT, default=1.0, help="Inverse strength of the regularization, above 0.")
@click.option("--seed", type=click.INT, default=-1, help="Seed of all random choices; -1 draws one and logs it.")
def train(model_name: str, c: float, seed: int) -> Any:
    """Fit a logistic regression to the training images and register it under a name."""
    with mlflow.start_run() as active_run:
        flow = init_flow()
        return flow.run(parameters={"active_run": active_run, "model_name": model_name, "c": c, "seed": seed})


def init_flow() -> Flow:
    """Build the graph of tasks; nothing runs before `flow.run`."""
    with Flow("Train a classifier on handwritten digits") as flow:
        active_run, model_name, c = Parameter("active_run"), Parameter("model_name"), Parameter("c")

        seed, rng = pyplugs.call_task(f"{_PLUGINS_IMPORT_PATH}.random", "rng", "init_rng", seed=Parameter("seed"))
        model_seed = pyplugs.call_task(f"{_PLUGINS_IMPORT_PATH}.random", "sample", "draw_random_integer", rng=rng)
        pyplugs.call_task(
            f"{_PLUGINS_IMPORT_PATH}.tracking",
            "mlflow",
            "log_parameters",
            parameters={"entry_point_seed": seed, "model_seed": model_seed},
        )

        x_training, y_training = pyplugs.call_task(
            f"{_PLUGINS_IMPORT_PATH}.data", "digits", "load_digits", subset="training"
        )
        x_testing, y_testing = pyplugs.call_task(
            f"{_PLUGINS_IMPORT_PATH}.data", "digits", "load_digits", subset="testing"
        )

        classifier = pyplugs.call_task(
            f"{_PLUGINS_IMPORT_PATH}.estimators",
            "sklearn",
            "init_classifier",
            classifier="logistic_regression",
            seed=model_seed,
            classifier_kwargs={"C": c},
        )
        fitted = pyplugs.call_task(
            f"{_PLUGINS_IMPORT_PATH}.estimators", "sklearn", "fit", estimator=classifier, x=x_training, y=y_training
        )
        y_predicted = pyplugs.call_task(
            f"{_PLUGINS_IMPORT_PATH}.estimators", "sklearn", "predict", estimator=fitted, x=x_testing
        )

        metrics_list = pyplugs.call_task(
            f"{_PLUGINS_IMPORT_PATH}.metrics",
            "performance",
            "get_performance_metric_list",
            request=[{"name": "accuracy", "func": "accuracy"}],
        )
        performance = pyplugs.call_task(
            f"{_PLUGINS_IMPORT_PATH}.metrics",
            "performance",
            "measure_performance",
            y_true=y_testing,
            y_pred=y_predicted,
            performance_metrics_list=metrics_list,
        )
        pyplugs.call_task(f"{_PLUGINS_IMPORT_PATH}.tracking", "mlflow", "log_metrics", metrics=performance)

        logged = pyplugs.call_task(
            f"{_PLUGINS_IMPORT_PATH}.tracking", "mlflow", "log_sklearn_estimator", estimator=fitted, model_dir="model"
        )
        pyplugs.call_task(
            f"{_PLUGINS_IMPORT_PATH}.registry",
            "mlflow",
            "add_model_to_registry",
            active_run=active_run,
            name=model_name,
            model_dir="model",
            upstream_tasks=[logged],
        )
    return flow


if __name__ == "__main__":
    as_json = settings.flag("job_log_as_json")
    clear_logger_handlers()
    attach_stdout_stream_handler(as_json)
    set_logging_level(settings.get("job_log_level"))
    configure_structlog()

    with plugin_dirs(), StdoutLogStream(as_json), StderrLogStream(as_json):
        _ = train()
