"""A script written to the convention of 0.x runs unchanged, with and without a real Prefect."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from dioptra.prefect import STAND_IN_DIR, failed_flow
from dioptra.testbed import Testbed
from tests.conftest import Command
from tests.environments import PREFECT_1, PREFECT_3, python_with

ROOT = Path(__file__).parents[2]
FOR_A_JOB = ("mlflow-skinny", "sqlalchemy", "alembic", "structlog", "numpy", "click")

MLPROJECT = """\
name: classic
entry_points:
  train:
    parameters:
      image_size: {{type: string, default: "28,28,1"}}
      seed: {{type: float, default: -1}}
      broken: {{type: string, default: "false"}}
    command: >
      {python} train.py --image-size {{image_size}} --seed {{seed}} --broken {{broken}}
  other: {{command: "{python} other.py"}}
"""

TASKS = """\
from prefect import task


@task
def scale(size):
    return [side * 2 for side in size]
"""

PLUGIN = '''\
from __future__ import annotations

import structlog

from dioptra import pyplugs

LOGGER = structlog.stdlib.get_logger()


@pyplugs.register
@pyplugs.task_nout(2)
def measure(size: list[int], broken: bool) -> tuple[int, int]:
    """Return the number of pixels, and that of channels."""
    if broken:
        raise ValueError("broken as asked")
    LOGGER.info("measured", size=size)
    return size[0] * size[1], size[2]
'''

TRAIN = """\
#!/usr/bin/env python
import os

import click
import mlflow
import structlog
from prefect import Flow, Parameter
from prefect.utilities.logging import get_logger as get_prefect_logger
from structlog.stdlib import BoundLogger
from tasks import scale

from dioptra import pyplugs
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
_CUSTOM_PLUGINS_IMPORT_PATH = "dioptra_custom"
LOGGER: BoundLogger = structlog.stdlib.get_logger()


def _coerce_comma_separated_ints(ctx, param, value):
    return tuple(int(x.strip()) for x in value.split(","))


@click.command()
@click.option("--image-size", type=click.STRING, callback=_coerce_comma_separated_ints)
@click.option("--seed", type=click.FLOAT)
@click.option("--broken", type=click.BOOL)
def train(image_size, seed, broken):
    LOGGER.info("Execute MLFlow entry point", entry_point="train", image_size=image_size, seed=seed)
    with mlflow.start_run() as active_run:
        flow = init_train_flow()
        state = flow.run(parameters=dict(active_run=active_run, image_size=image_size, seed=int(seed), broken=broken))
    return state


def init_train_flow():
    with Flow("Train") as flow:
        active_run, image_size, seed, broken = (
            Parameter("active_run"),
            Parameter("image_size"),
            Parameter("seed"),
            Parameter("broken"),
        )
        seed, rng = pyplugs.call_task(f"{_PLUGINS_IMPORT_PATH}.random", "rng", "init_rng", seed=seed)
        dataset_seed = pyplugs.call_task(f"{_PLUGINS_IMPORT_PATH}.random", "sample", "draw_random_integer", rng=rng)
        log_parameters = pyplugs.call_task(
            f"{_PLUGINS_IMPORT_PATH}.tracking",
            "mlflow",
            "log_parameters",
            parameters=dict(entry_point_seed=seed, dataset_seed=dataset_seed + 1),
        )
        pixels, channels = pyplugs.call_task(
            f"{_CUSTOM_PLUGINS_IMPORT_PATH}.sizes",
            "images",
            "measure",
            size=scale(image_size),
            broken=broken,
            upstream_tasks=[log_parameters],
        )
        pyplugs.call_task(
            f"{_PLUGINS_IMPORT_PATH}.tracking",
            "mlflow",
            "log_metrics",
            metrics=dict(pixels=pixels, channels=channels),
            upstream_tasks=[active_run],
        )
    return flow


if __name__ == "__main__":
    log_level = os.getenv("DIOPTRA_JOB_LOG_LEVEL", default="INFO")
    as_json = True if os.getenv("DIOPTRA_JOB_LOG_AS_JSON") else False
    clear_logger_handlers(get_prefect_logger())
    attach_stdout_stream_handler(as_json)
    set_logging_level(log_level)
    configure_structlog()
    with plugin_dirs(), StdoutLogStream(as_json), StderrLogStream(as_json):
        _ = train()
"""

Run = Callable[..., tuple[Any, list[dict[str, Any]]]]


@pytest.fixture
def run(dioptra: Command, tmp_path: Path, shared_home: Path) -> Run:
    """Run an entry point with an interpreter; return the job and the lines of its flow's journal."""
    plugins = tmp_path / "plugins" / "dioptra_custom" / "sizes"
    plugins.mkdir(parents=True)
    (plugins / "images.py").write_text(PLUGIN)

    def call(
        python: str, entry_point: str, *values: str, name: str = "project", **files: str
    ) -> tuple[Any, list[dict[str, Any]]]:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "MLproject").write_text(MLPROJECT.format(python=python))
        for stem, text in {"train": TRAIN, "tasks": TASKS, **files}.items():
            (folder / f"{stem}.py").write_text(text)
        said = dioptra(
            *("run", str(folder), "-e", entry_point, "--json", *values),
            PYTHONPATH=str(ROOT / "src"),
            DIOPTRA_PLUGIN_DIR=str(tmp_path / "plugins"),
            DIOPTRA_JOB_LOG_AS_JSON="1",
            PREFECT_HOME=str(tmp_path / "prefect"),
            PREFECT_SERVER_ANALYTICS_ENABLED="false",
            DO_NOT_TRACK="1",
        )
        testbed = Testbed(shared_home)
        job = testbed.job(said.json["job"])
        assert said.code == (0 if job.status == "finished" else 1)
        assert testbed.tracking.run(job.run_id or "").status == {"finished": "FINISHED"}.get(job.status, "FAILED")
        journal = testbed.paths(job).folder / "flow.jsonl"
        return job, [json.loads(line) for line in journal.read_text().splitlines()] if journal.exists() else []

    return call


@pytest.fixture(scope="session")
def prefect_1() -> str:
    return str(python_with((*PREFECT_1, "-c", str(ROOT / "constraints.txt"), *FOR_A_JOB)))


@pytest.fixture(scope="session")
def prefect_3() -> str:
    return str(python_with(PREFECT_3, beside=True))


def logged(home: Path, job: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Testbed(home).paths(job).log_file.read_text().splitlines()]


def check_good_run(home: Path, job: Any, lines: list[dict[str, Any]]) -> None:
    assert (job.status, job.reason) == ("finished", "")
    assert Testbed(home).tracking.run(job.run_id).metrics == {"pixels": 64, "channels": 6}
    assert Testbed(home).tracking.run(job.run_id).parameters["entry_point_seed"] == "7"
    assert [line["event"] for line in lines] == ["flow-started", *["task"] * (len(lines) - 2), "flow-ended"]
    assert {line["flow"] for line in lines} == {"Train"}
    ended = {line["slug"]: line["state"] for line in lines if line["event"] == "task"}
    assert {"seed", "init_rng-1", "draw_random_integer-1", "scale-1", "measure-1", "log_metrics-1"} <= ended.keys()
    assert set(ended.values()) == {"Success"}
    records = logged(home, job)
    assert [record["event"] for record in records].count("measured") == 1
    assert any(record["event"] == "Execute MLFlow entry point" for record in records)


GOOD = ("-P", "image_size=4,4,3", "-P", "seed=7")


class TestWithoutPrefect:
    """The stand-in is found."""

    def test_a_script_runs_unchanged(self, run: Run, shared_home: Path) -> None:
        job, lines = run(sys.executable, "train", *GOOD)

        check_good_run(shared_home, job, lines)
        assert not any("engine" in line for line in lines)

    def test_a_failed_flow_fails_the_script(self, run: Run) -> None:
        job, lines = run(sys.executable, "train", *GOOD, "-P", "broken=true")

        assert (job.status, job.reason, job.exit_code) == ("failed", "exit code 1", 1)
        assert lines[-1]["state"] == "Failed"

    def test_a_failed_flow_that_the_script_lets_pass_does_not(self, run: Run) -> None:
        other = """
            from prefect import Flow, task

            @task
            def fail():
                raise ValueError

            with Flow("tried") as flow:
                fail()
            print(flow.run(raise_on_failure=False).message)
        """
        job, lines = run(sys.executable, "other", other=dedent(other))

        assert (job.status, lines[-1]["state"]) == ("finished", "Failed")

    @pytest.mark.parametrize(
        ("call", "status", "reason"),
        [
            ("flow.run()", "failed", "exit code 1"),
            ("in_a_thread(flow.run)", "failed", "flow 'leaving' ended failed"),
            ("in_a_thread(careful)", "finished", ""),
            ("careful()", "finished", ""),
        ],
    )
    def test_a_failed_flow_fails_the_job_unless_it_is_caught(
        self, call: str, status: str, reason: str, run: Run
    ) -> None:
        other = """
            import sys
            import threading
            from prefect import Flow, task
            from dioptra import FlowFailed

            @task
            def leave():
                sys.exit(0)

            with Flow("leaving") as flow:
                leave()

            def careful():
                try:
                    flow.run()
                except FlowFailed as error:
                    print(error)

            def in_a_thread(function):
                thread = threading.Thread(target=function)
                thread.start()
                thread.join()

        """
        job, lines = run(sys.executable, "other", other=dedent(other) + call)

        assert (job.status, job.reason) == (status, reason)
        assert [line["message"] for line in lines if line["event"] == "task"] == ["SystemExit: 0"]


@pytest.mark.own_environment
class TestWithPrefect1:
    """The real one is installed."""

    def test_a_script_runs_unchanged(self, run: Run, prefect_1: str, shared_home: Path) -> None:
        job, lines = run(prefect_1, "train", *GOOD)

        check_good_run(shared_home, job, lines)
        assert {line["engine"] for line in lines} == {"prefect 1.4.1"}
        loggers = {record["logger"] for record in logged(shared_home, job)}
        assert {"prefect.FlowRunner", "prefect.TaskRunner"} <= loggers

    def test_a_flow_that_ends_failed_fails_the_job_although_the_script_does_not(self, run: Run, prefect_1: str) -> None:
        job, lines = run(prefect_1, "train", *GOOD, "-P", "broken=true")

        assert (job.status, job.reason, job.exit_code) == ("failed", "flow 'Train' ended failed", 0)
        states = {line.get("slug"): line["state"] for line in lines if line["event"] != "flow-started"}
        assert states["measure-1"] == states[None] == "Failed"
        assert states["log_metrics-1"] == "TriggerFailed"

    def test_local_tasks_alone(self, run: Run, prefect_1: str, shared_home: Path) -> None:
        other = """
            import prefect
            from prefect import Flow, task
            from prefect.executors import LocalDaskExecutor

            @task
            def half(x):
                prefect.context.get("logger").info("halving")
                return 1 / x

            with Flow("good") as good:
                half.map([1, 2])
            with Flow("bad", executor=LocalDaskExecutor(scheduler="processes", num_workers=1)) as bad:
                half(0)
            assert good.run().is_successful()
            assert bad.run().is_failed()
        """
        job, lines = run(prefect_1, "other", other=dedent(other))

        assert (job.status, job.reason, job.exit_code) == ("failed", "flow 'bad' ended failed", 0)
        assert {line["slug"]: line["state"] for line in lines if "slug" in line} == {
            "half-1": "Failed",
            "half-1[0]": "Success",
            "half-1[1]": "Success",
        }
        assert "halving" in Testbed(shared_home).paths(job).log_file.read_text()

    def test_retries_are_journaled_as_those_of_dioptra_are(self, run: Run, prefect_1: str) -> None:
        other = """
            import datetime, sys
            if sys.argv[1:]:
                from dioptra import Flow, task
            else:
                from prefect import Flow, task

            tried = []

            @task(max_retries=2, retry_delay=datetime.timedelta(milliseconds=1))
            def third_time():
                tried.append(1)
                if len(tried) < 3:
                    raise ValueError("once more")

            @task(max_retries=1, retry_delay=datetime.timedelta(milliseconds=1))
            def never():
                raise ValueError

            with Flow("tried") as flow:
                third_time()
            assert flow.run().is_successful()
            with Flow("in vain") as flow:
                never()
            flow.run()
        """
        _, lines = run(prefect_1, "other", other=dedent(other))
        _, ours = run(sys.executable, "other", name="ours", other=dedent(other).replace("sys.argv[1:]", "True"))

        for line in [*lines, *ours]:
            for varying in ("at", "seconds", "message", "engine", "result", "graph"):
                line.pop(varying, None)
        assert lines == ours
        assert [line.get("attempt", line.get("attempts")) for line in lines] == [None, 1, 2, 3, None, None, 1, 2, None]

    def test_each_call_joins_the_flow_that_is_being_built(self, run: Run, prefect_1: str) -> None:
        other = """
            import dioptra
            import prefect
            from dioptra import pyplugs
            from dioptra.errors import NoActiveFlowError, TaskDefinitionError
            from dioptra.sdk import plugin_dirs

            def raised(error, **kwargs):
                try:
                    call(size=[1, 2, 3], **kwargs)
                except error as raised:
                    return str(raised)

            address = "dioptra_custom.sizes", "images", "measure"
            with plugin_dirs():
                call = lambda **kwargs: pyplugs.call_task(*address, **kwargs)
                assert isinstance(early := pyplugs.get_task(*address), prefect.Task)
                with prefect.Flow("theirs") as theirs:
                    pixels, channels = call(size=[1, 2, 3], broken=False)
                    assert isinstance(channels, prefect.Task)
                    again, _ = early([4, 5, 6], broken=False, upstream_tasks=[pixels])
                    assert "a task of Dioptra" in raised(TaskDefinitionError, broken=dioptra.Parameter("b"))
                    try:
                        call(sise=1)
                        assert False
                    except TypeError:
                        pass
                with dioptra.Flow("ours") as ours:
                    pixels_of_ours, _ = call(size=[7, 8, 9], broken=False)
                    assert isinstance(pyplugs.get_task(*address), dioptra.flow.Task)
                    assert "a task of Prefect" in raised(TaskDefinitionError, broken=prefect.Parameter("b"))
                    late = call(size=[9, 9, 9], broken=False, flow=theirs)
                assert "was called outside of any flow" in raised(NoActiveFlowError, broken=False)
            state = theirs.run()
            assert [state.result[each].result for each in (pixels, channels, again, late)] == [2, 3, 20, (81, 9)]
            assert ours.run().result[pixels_of_ours].result == 56
        """
        job, lines = run(prefect_1, "other", other=dedent(other))

        assert (job.status, job.reason) == ("finished", "")
        assert {line["flow"]: line.get("engine") for line in lines} == {"theirs": "prefect 1.4.1", "ours": None}

    def test_parameters_that_do_not_fit_are_prefects_own_error(
        self, run: Run, prefect_1: str, shared_home: Path
    ) -> None:
        other = 'from prefect import Flow\nwith Flow("empty") as flow: pass\nflow.run(parameters={"x": 1})\n'
        job, _ = run(prefect_1, "other", other=other)

        assert (job.status, job.reason) == ("failed", "exit code 1")
        assert "unexpected parameters: x" in Testbed(shared_home).paths(job).log_file.read_text()


@pytest.mark.own_environment
class TestWithPrefect3:
    """A Prefect is installed that means something else by a flow."""

    def test_the_line_to_change_is_named_and_all_else_is_its_own(
        self, run: Run, prefect_3: str, shared_home: Path, tmp_path: Path
    ) -> None:
        other = """
            import importlib.util, os, sys

            def refusal(line):
                try:
                    exec(line)
                except ImportError as error:
                    return str(error)

            print(refusal("from prefect import Flow, Parameter"))
            print(refusal("from prefect.utilities.logging import get_logger as get_prefect_logger"))
            assert refusal("import prefect.triggers") == refusal("from prefect import triggers")
            assert refusal("from prefect import nonsense").startswith("cannot import name 'nonsense' from 'prefect'")

            import prefect
            from dioptra import pyplugs
            from prefect import flow, task
            from prefect.states import Completed

            assert prefect.__version__ == "3.8.8" and not any("stand_in" in folder for folder in sys.path)
            assert not hasattr(prefect, "Parameter") and not hasattr(prefect, "triggers")
            assert task(lambda x: x + 1, name="more").fn(1) == 2

            @flow
            def whole(x):
                return task(lambda x: x + 1, name="more")(x)

            assert whole(1) == 2
            import dioptra
            with dioptra.Flow("ours") as ours:
                pyplugs.get_task
            assert ours.run().is_successful()
            sys.stdout.flush()
            os._exit(0)  # so that Prefect does not end its server
        """
        job, _ = run(prefect_3, "other", other=dedent(other))

        log = Testbed(shared_home).paths(job).log_file.read_text()
        assert job.status == "finished", log
        assert log.splitlines()[:2] == [
            "Prefect 3.8.8 has no 'prefect.Parameter', which was part of Prefect 1; "
            "change the line to `from dioptra import Flow, Parameter`",
            "Prefect 3.8.8 has no 'prefect.utilities.logging', which was part of Prefect 1; "
            "remove the line and `clear_logger_handlers(get_prefect_logger())`",
        ]
        assert processes_that_know(tmp_path / "prefect") == []

    def test_a_flow_that_fails_fails_the_job(self, run: Run, prefect_3: str, shared_home: Path, tmp_path: Path) -> None:
        other = """
            from dioptra import pyplugs
            from dioptra.sdk import plugin_dirs
            from dioptra.sdk.utilities.logging import attach_stdout_stream_handler, clear_logger_handlers
            from dioptra.sdk.utilities.logging import configure_structlog, set_logging_level
            from prefect import flow

            clear_logger_handlers()
            attach_stdout_stream_handler(as_json=True)
            set_logging_level("INFO")
            configure_structlog()

            @flow
            def measured(broken):
                call = pyplugs.call_task_factory("dioptra_custom.sizes")
                pixels, channels = call("images", "measure", size=[4, 4, 3], broken=False)
                return call("images", "measure", size=[pixels, 1, channels], broken=broken).result()

            with plugin_dirs():
                measured(True)
        """
        job, _ = run(prefect_3, "other", other=dedent(other))

        assert (job.status, job.reason) == ("failed", "exit code 1")
        log = Testbed(shared_home).paths(job).log_file.read_text()
        assert log.count('"event": "measured"') == 1
        assert log.count("Finished in state Completed()") == 3  # of the first call and its two items
        assert "\nValueError: broken as asked\n" in log
        assert processes_that_know(tmp_path / "prefect") == []


def processes_that_know(home: Path) -> list[str]:
    """Return the processes that have a folder in their environment."""
    found = []
    for environ in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if str(home).encode() in environ.read_bytes():
                found.append(environ.parent.name)
    return found


def test_the_stand_in_comes_last_on_the_path_of_the_user(run: Run, shared_home: Path) -> None:
    job, _ = run(sys.executable, "other", other="import sys; print(sys.path)")

    path = Testbed(shared_home).paths(job).log_file.read_text()
    assert 0 < path.index(str(ROOT / "src")) < path.index(str(STAND_IN_DIR))


def test_the_journal_is_read_whatever_stands_in_it(tmp_path: Path) -> None:
    def ended(flow: str, state: str, **more: str) -> str:
        return json.dumps({"event": "flow-ended", "flow": flow, "state": state} | more)

    engine = {"engine": "prefect 1.4.1"}
    assert failed_flow(tmp_path) == ""
    for lines, sentence in [
        ([ended("a", "Failed")], ""),
        ([ended("a", "Success", **engine)], ""),
        (
            [ended("a", "Failed"), ended("b", "Failed", **engine), ended("c", "Failed", **engine)],
            "flow 'b' ended failed",
        ),
        ([ended("b", "Cancelled", **engine)], "flow 'b' ended cancelled"),
        ([json.dumps({"event": "task", "state": "Failed"} | engine)], ""),
        ([ended("a", "Failed"), json.dumps({"event": "flow-uncaught", "flow": "a"})], "flow 'a' ended failed"),
        ([json.dumps({"event": "task", "slug": '"event": "flow-uncaught"'})], ""),
        ([ended("b", "Failed", **engine)[:-1], '["engine": "prefect"]', '"\\xff", "engine": "prefect'], ""),
    ]:
        (tmp_path / "flow.jsonl").write_text("\n".join(lines))
        assert failed_flow(tmp_path) == sentence
