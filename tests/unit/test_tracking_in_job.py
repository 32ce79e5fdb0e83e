"""The wrapped functions of MLflow, with a module that stands for MLflow's."""

from __future__ import annotations

import os
import threading
from types import ModuleType
from typing import Any

import pytest

from dioptra.tracking import join_job


@pytest.mark.parametrize("name", ["start_run", "end_run"])
def test_the_script_finds_its_run_while_a_thread_does_not(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("DIOPTRA_RUN_ID", "job-run")
    monkeypatch.setenv("MLFLOW_RUN_ID", "job-run")
    began, go_on = threading.Event(), threading.Event()
    seen: dict[str, str | None] = {}

    def call(who: str) -> None:
        seen[who] = os.environ.get("MLFLOW_RUN_ID")
        if who == "thread":
            began.set()
            go_on.wait(5)

    fluent: Any = ModuleType("fluent")
    fluent._get_or_start_run = fluent.active_run = fluent.set_experiment = fluent.start_run = fluent.end_run = call
    fluent.MlflowClient = type("Client", (), {"create_run": lambda self: None})
    join_job(fluent)

    thread = threading.Thread(target=getattr(fluent, name), args=("thread",))
    thread.start()
    assert began.wait(5)
    threading.Timer(0.2, go_on.set).start()
    getattr(fluent, name)("script")
    thread.join()

    assert seen == {"thread": None, "script": "job-run"}
    assert os.environ["MLFLOW_RUN_ID"] == "job-run"
