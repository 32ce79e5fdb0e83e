"""The demonstration: train a classifier, attack it ever more strongly, and measure what is left of its accuracy."""

from __future__ import annotations

import os
import platform
import tempfile
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dioptra.errors import DioptraError
from dioptra.records import Job, JobStatus
from dioptra.results import CurvePoint, JobLine, Provenance, RobustnessCurve, gallery_rows, write_report
from dioptra.storage import read_arrays
from dioptra.testbed._examples import example_dir
from dioptra.testbed._testbed import Testbed

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["DEMO_EPSILONS", "Demo", "DemoResult", "write_demo_report"]

DEMO_EPSILONS = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3)
_EXPERIMENT = "digits"
_SEED = "20"
_PACKAGES = ("dioptra-testbed", "mlflow", "numpy", "scikit-learn", "adversarial-robustness-toolbox")


@dataclass(frozen=True)
class DemoResult:
    """What the demonstration measured, with the jobs that show it."""

    curve: RobustnessCurve
    data_sets: dict[float, dict[str, NDArray[Any]]]
    jobs: tuple[Job, ...]


class Demo:
    """One run of the demonstration.

    Args:
        testbed: Where its jobs run.
        epsilons: The strengths of the attack.
        on_job: Called with each job that has finished.
        cancel: An event that ends the jobs when it is set.
    """

    def __init__(
        self,
        testbed: Testbed,
        *,
        epsilons: Sequence[float] = DEMO_EPSILONS,
        on_job: Callable[[Job], object] = lambda job: None,
        cancel: threading.Event | None = None,
    ) -> None:
        self._testbed = testbed
        self._epsilons = tuple(epsilons)
        self._on_job = on_job
        self._cancel = cancel or threading.Event()
        self._project = example_dir("digits")

    @property
    def job_count(self) -> int:
        """Return how many jobs the demonstration consists of."""
        return 1 + 2 * len(self._epsilons)

    def run(self) -> DemoResult:
        """Run all jobs, two at a time where the machine can, and return what they measured.

        Raises:
            DioptraError: A job did not finish; the message names its log.
            KeyboardInterrupt: The demonstration was interrupted; its jobs have been ended.
        """
        train = self._job("train", {"seed": _SEED})
        model = self._testbed.tracking.registered_version(str(train.run_id))
        with ThreadPoolExecutor(max_workers=min(len(self._epsilons), os.cpu_count() or 1)) as pool:
            try:
                futures = [pool.submit(self._point, epsilon, *model) for epsilon in self._epsilons]
                measured = [future.result() for future in futures]
            except BaseException:
                self._cancel.set()
                pool.shutdown(cancel_futures=True)
                raise
        return DemoResult(
            curve=RobustnessCurve(
                points=tuple(point for point, _, _ in measured),
                model_name=model[0],
                model_version=model[1],
                dataset="scikit-learn's handwritten digits (8 x 8 pixels)",
            ),
            data_sets={point.epsilon: arrays for point, arrays, _ in measured},
            jobs=(train, *(job for _, _, jobs in measured for job in jobs)),
        )

    def _point(
        self, epsilon: float, model_name: str, model_version: str
    ) -> tuple[CurvePoint, dict[str, NDArray[Any]], tuple[Job, Job]]:
        """Attack with one strength, measure, and return the point with its images."""
        model = {"model_name": model_name, "model_version": model_version}
        attack = self._job("fgm", {**model, "eps": f"{epsilon:g}", "seed": _SEED})
        infer = self._job("infer", {**model, "run_id": str(attack.run_id)})
        tracking = self._testbed.tracking
        distances = tracking.run(str(attack.run_id)).metrics
        accuracy = tracking.run(str(infer.run_id)).metrics
        point = CurvePoint(
            epsilon=epsilon,
            clean_accuracy=accuracy["clean_accuracy"],
            robust_accuracy=accuracy["robust_accuracy"],
            samples=int(accuracy["samples"]),
            mean_l2=distances["l_2_norm_mean"],
            mean_linf=distances["l_inf_norm_mean"],
            run_id=str(infer.run_id),
            job_id=infer.id,
        )
        with tempfile.TemporaryDirectory() as folder:
            arrays = read_arrays(tracking.download(str(attack.run_id), "adversarial.npz", Path(folder)))
        return point, arrays, (attack, infer)

    def _job(self, entry_point: str, parameters: dict[str, str]) -> Job:
        job = self._testbed.run(self._project, entry_point, parameters, experiment=_EXPERIMENT, cancel=self._cancel)
        if job.status is JobStatus.CANCELLED:
            raise KeyboardInterrupt
        if job.status is not JobStatus.FINISHED:
            raise DioptraError(
                f"job {job.id[:8]} ({entry_point}) {job.status} ({job.reason})",
                hint=f"see its log: {self._testbed.paths(job).log_file}",
            )
        self._on_job(job)
        return job


def write_demo_report(result: DemoResult, path: Path) -> Path:
    """Write the demonstration's report to one HTML file, and return its path."""
    return write_report(
        path,
        result.curve,
        title="How robust is a classifier of handwritten digits?",
        gallery=gallery_rows(result.data_sets),
        provenance=Provenance(
            experiment=_EXPERIMENT,
            seed=int(_SEED),
            jobs=[JobLine(entry_point=job.entry_point, parameters=job.parameters, job_id=job.id, run_id=str(job.run_id))
                  for job in result.jobs],
            versions={"Python": platform.python_version()} | {name: version(name) for name in _PACKAGES},
            commands=_commands(result),
        ),
    )  # fmt: skip


def _commands(result: DemoResult) -> list[str]:
    """Return the commands that give the strongest attack's numbers again, from an empty folder."""
    train, attack = result.jobs[0].parameters, result.jobs[-2].parameters
    return [
        "dioptra init mine --example digits",
        "cd mine",
        f"dioptra run -e train -P seed={train['seed']}",
        f"dioptra run -e fgm -P eps={attack['eps']} -P seed={attack['seed']}",
        "dioptra run -e infer -P run_id=RUN   # RUN: the run that fgm has just printed",
    ]
