"""The demonstration: a real classifier, real digits, a real attack, and what is left of the accuracy."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dioptra.records import JobStatus
from dioptra.results import CurvePoint, RobustnessCurve, monotone
from dioptra.testbed import DEMO_EPSILONS, Demo, Testbed
from tests.conftest import Command, Spoken


@dataclass(frozen=True)
class Shown:
    """One demonstration, run once for all tests of this file."""

    said: Spoken
    home: Path
    folder: Path

    @property
    def points(self) -> list[dict[str, Any]]:
        points: list[dict[str, Any]] = self.said.json["points"]
        return points


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    import subprocess
    import sys

    from tests.conftest import clean_environment

    folder = tmp_path_factory.mktemp("empty")
    home = folder.parent / "demo home"
    done = subprocess.run(
        [sys.executable, "-m", "dioptra", "demo", "--json"],
        cwd=folder,
        env=clean_environment(DIOPTRA_HOME=str(home)),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Shown(Spoken(done.returncode, done.stdout, done.stderr), home, folder)


def test_accuracy_falls_as_it_should(shown: Shown) -> None:
    points = [
        CurvePoint(
            epsilon=point["epsilon"],
            clean_accuracy=point["clean_accuracy"],
            robust_accuracy=point["robust_accuracy"],
            samples=point["samples"],
        )
        for point in shown.points
    ]

    assert [point.epsilon for point in points] == list(DEMO_EPSILONS)
    assert all(point.clean_accuracy > 0.9 for point in points)
    assert monotone(RobustnessCurve(points=tuple(points)))
    assert points[-1].epsilon == 0.3
    assert points[-1].robust_accuracy < 0.1
    assert points[0].robust_accuracy > points[-1].robust_accuracy + 0.5


def test_distances_are_what_the_attack_was_allowed(shown: Shown) -> None:
    for point in shown.points:
        assert point["mean_linf"] == pytest.approx(point["epsilon"], rel=0.02)
        assert point["mean_linf"] < point["mean_l2"] <= point["epsilon"] * 8  # 64 pixels


def test_all_jobs_are_there_with_their_evidence(shown: Shown) -> None:
    testbed = Testbed(shown.home)
    jobs = testbed.jobs()

    assert sorted(job.entry_point for job in jobs) == ["fgm"] * 6 + ["infer"] * 6 + ["train"]
    assert all(job.status is JobStatus.FINISHED for job in jobs)
    for job in jobs:
        entries = [json.loads(line) for line in testbed.paths(job).flow_file.read_text().splitlines()]
        assert {entry["state"] for entry in entries if entry["event"] == "task"} == {"Success"}
        assert testbed.tracking.run(str(job.run_id)).status == "FINISHED"


def test_the_report_stands_alone(shown: Shown) -> None:
    report = shown.folder / "dioptra-demo.html"
    page = report.read_text(encoding="utf-8")

    assert shown.said.json["report"] == str(report)
    assert [path.name for path in shown.folder.iterdir()] == ["dioptra-demo.html"]
    assert "data:image/svg+xml;base64," in page
    for outside in ('src="http', 'href="http', "<script", "@import", "url(http"):
        assert outside not in page
    for command in ("-e train -P seed=20", "-e fgm -P eps=0.3 -P seed=20", "-e infer -P run_id=RUN"):
        assert f"dioptra run {command}" in page
    for job in Testbed(shown.home).jobs():
        assert job.id in page
        assert str(job.run_id) in page


def test_progress_is_told_line_by_line_where_there_is_no_terminal(shown: Shown) -> None:
    lines = shown.said.err.splitlines()

    assert sum("finished:" in line for line in lines) == 13
    assert "Downloading" not in shown.said.err
    assert len(shown.said.out.splitlines()) == 1


def test_the_same_seed_gives_the_same_numbers(shown: Shown) -> None:
    again = Demo(Testbed(shown.home), epsilons=(0.1,)).run()

    (point,) = again.curve.points
    (before,) = [entry for entry in shown.points if entry["epsilon"] == 0.1]
    assert point.robust_accuracy == before["robust_accuracy"]
    assert point.mean_l2 == before["mean_l2"]
    assert again.curve.model_version == "2"


def test_a_report_that_cannot_be_written_is_said_before_anything_runs(dioptra: Command, tmp_path: Path) -> None:
    for place in ("nowhere/report.html", "."):
        said = dioptra("demo", "--report", place, home=tmp_path / "home")

        assert said.code == 2
        assert "the report cannot be written to" in said.err
    assert not (tmp_path / "home").exists()
