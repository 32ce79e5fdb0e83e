"""Attack a registered classifier with the fast gradient method and keep the adversarial images."""

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
_DISTANCE_METRICS = [
    {"name": "l_inf_norm", "func": "l_inf_norm"},
    {"name": "l_1_norm", "func": "l_1_norm"},
    {"name": "l_2_norm", "func": "l_2_norm"},
    {"name": "cosine_similarity", "func": "paired_cosine_similarities"},
    {"name": "wasserstein_distance", "func": "paired_wasserstein_distances"},
]


@click.command()
@click.option("--model-name", type=click.STRING, default="digits", help="Name of the registered model to attack.")
@click.option("--model-version", type=click.STRING, default="latest", help="Its version: a number, or 'latest'.")
@click.option("--eps", type=click.FLOAT, default=0.3, help="Length of the step, where pixels run from 0 to 1.")
@click.option("--norm", type=click.Choice(["inf", "1", "2"]), default="inf", help="Norm that eps is measured in.")
@click.option("--batch-size", type=click.INT, default=32, help="Number of images attacked at once.")
@click.option("--seed", type=click.INT, default=-1, help="Seed of all random choices; -1 draws one and logs it.")
def fgm(model_name: str, model_version: str, eps: float, norm: str, batch_size: int, seed: int) -> Any:
    """Change the testing images so that the classifier errs, and keep them with their distances."""
    with mlflow.start_run():
        flow = init_flow()
        return flow.run(
            parameters={
                "model_name": model_name,
                "model_version": model_version,
                "eps": eps,
                "norm": norm,
                "batch_size": batch_size,
                "seed": seed,
            }
        )


def init_flow() -> Flow:
    """Build the graph of tasks; nothing runs before `flow.run`."""
    with Flow("Attack a classifier of handwritten digits") as flow:
        model_name, eps, norm = Parameter("model_name"), Parameter("eps"), Parameter("norm")

        # This attack draws nothing at random; the seed is here for one that does and takes its place.
        seed, _ = pyplugs.call_task(f"{_PLUGINS_IMPORT_PATH}.random", "rng", "init_rng", seed=Parameter("seed"))
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
            parameters={"entry_point_seed": seed, "attacked_model_version": model_version},
        )

        classifier = pyplugs.call_task(
            f"{_PLUGINS_IMPORT_PATH}.registry",
            "mlflow",
            "load_sklearn_classifier",
            name=model_name,
            version=model_version,
        )
        x_clean, y = pyplugs.call_task(f"{_PLUGINS_IMPORT_PATH}.data", "digits", "load_digits", subset="testing")
        x_adv = pyplugs.call_task(
            f"{_PLUGINS_IMPORT_PATH}.attacks",
            "fgm",
            "create_adversarial_images",
            classifier=classifier,
            x=x_clean,
            y=y,
            eps=eps,
            norm=norm,
            batch_size=Parameter("batch_size"),
        )

        file = pyplugs.call_task(
            f"{_PLUGINS_IMPORT_PATH}.data",
            "npz",
            "save_arrays",
            arrays={"x_clean": x_clean, "x_adv": x_adv, "y": y},
            file_name="adversarial.npz",
        )
        pyplugs.call_task(f"{_PLUGINS_IMPORT_PATH}.artifacts", "mlflow", "upload_file_as_artifact", artifact_path=file)

        metrics_list = pyplugs.call_task(
            f"{_PLUGINS_IMPORT_PATH}.metrics", "distance", "get_distance_metric_list", request=_DISTANCE_METRICS
        )
        distances = pyplugs.call_task(
            f"{_PLUGINS_IMPORT_PATH}.metrics",
            "distance",
            "measure_distances",
            x_clean=x_clean,
            x_adv=x_adv,
            distance_metrics_list=metrics_list,
        )
        summary = pyplugs.call_task(
            f"{_PLUGINS_IMPORT_PATH}.metrics", "distance", "summarize_distances", distances=distances
        )
        pyplugs.call_task(f"{_PLUGINS_IMPORT_PATH}.tracking", "mlflow", "log_metrics", metrics=summary)
        pyplugs.call_task(
            f"{_PLUGINS_IMPORT_PATH}.artifacts",
            "mlflow",
            "upload_data_frame_artifact",
            data_frame=distances,
            file_name="distances.csv",
            file_format="csv",
            file_format_kwargs={"index_label": "image"},
        )
    return flow


if __name__ == "__main__":
    as_json = settings.flag("job_log_as_json")
    clear_logger_handlers()
    attach_stdout_stream_handler(as_json)
    set_logging_level(settings.get("job_log_level"))
    configure_structlog()

    with plugin_dirs(), StdoutLogStream(as_json), StderrLogStream(as_json):
        _ = fgm()
