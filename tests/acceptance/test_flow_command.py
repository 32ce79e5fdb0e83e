"""`dioptra flow show`, and the pictures that jobs leave, with real scripts and a real store."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dioptra import Flow
from dioptra.errors import FlowError, InvalidProjectError
from dioptra.records import Job
from dioptra.testbed import Testbed
from tests.acceptance.test_doctor import complete
from tests.acceptance.workbench import Workbench, own_environment, wait_for
from tests.pictures import boxes

MLPROJECT = """\
name: seen
entry_points:
  main:
    parameters:
      size: {type: int, default: 3}
      how: {type: string, default: well}
    command: python seen.py {size} {how}
  two: {command: python two.py}
  none: {command: python none.py}
  fails: {command: python fails.py}
  catches: {command: python catches.py}
  sleeps: {command: python sleeps.py}
  logs: {command: python logs.py}
  large: {command: python large.py}
  gone: {command: python gone.py}
"""
SEEN = """\
import os, signal, sys, time
from pathlib import Path
import beside  # a module of the project: it leaves no compiled file
from dioptra import Flow, Parameter, task

@task
def load(size):
    Path("ran").touch()
    return list(range(size))

@task(max_retries=2)
def measure(images, how):
    if how == "badly":
        raise ValueError("the images are too few")
    if how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "cancelled":
        print("ready", flush=True)
        time.sleep(60)
    return len(images)

with Flow("measure images") as flow:
    measured = measure(load(Parameter("size"))[:2], how=Parameter("how"))
    measure([measured], "well")

print("before")
flow.run(size=int(sys.argv[1]), how=sys.argv[2])
print("after")
"""
TWO = """\
from dioptra import Flow, task

@task
def load(): ...

try:
    with Flow("first") as flow:
        load()
    flow.run()
except SystemExit:
    pass
with Flow("second </svg>") as flow:
    load()
    load()
flow.run()
"""
LOGS = """\
import mlflow, os, tempfile
from pathlib import Path
from dioptra import Flow, task

@task
def load(): ...

with mlflow.start_run() as run:
    mlflow.log_metric("a", 1)
    Path(os.environ["DIOPTRA_OUTPUT_DIR"], "file").touch()
    assert not {"DIOPTRA_JOB_ID", "DIOPTRA_RUN_ID", "MLFLOW_RUN_ID", "MLFLOW_REGISTRY_URI"} & set(os.environ)
    with Flow(os.environ["DIOPTRA_HOME"]) as flow:
        load()
    flow.run()
"""
LARGE = """\
from dioptra import Flow, task

@task
def load(): ...

with Flow("large") as flow:
    for _ in range(1001):
        load()
flow.run()
"""


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workbench]:
    folder = tmp_path_factory.mktemp("flows")
    with own_environment():
        yield Workbench(folder / "home", folder)


@pytest.fixture(scope="module")
def project(bench: Workbench) -> Path:
    return bench.project(
        "project",
        MLproject=MLPROJECT,
        seen_py=SEEN,
        beside_py="",
        two_py=TWO,
        none_py="print('no flow here')",
        fails_py="import sys\nprint('first words')\nsys.exit('last \\x1b[31mwords')",
        catches_py=TWO.replace("SystemExit", "BaseException"),
        sleeps_py="import time\nprint('asleep', flush=True)\ntime.sleep(60)",
        logs_py=LOGS,
        large_py=LARGE,
    )


def names(svg: str) -> list[list[str]]:
    """What stands in each box of a picture."""
    return [list(box.words) for box in boxes(svg)]


def last_words(svg: str) -> dict[str, str]:
    return {name: more[-1] for name, *more in names(svg) if more}


def files_below(folder: Path) -> set[Path]:
    return {each for each in folder.rglob("*") if each.is_file()}


class TestAnEntryPoint:
    def test_what_it_would_run(self, bench: Workbench, project: Path, tmp_path: Path) -> None:
        before = files_below(project)

        said = bench.dioptra("flow", "show", cwd=project, DIOPTRA_HOME=str(tmp_path / "home"), TMPDIR=str(tmp_path))

        assert (said.code, said.err) == (0, "")
        assert said.out.splitlines() == [
            "measure images: 7 tasks",
            "parameters: size, how",
            "task       options    takes",
            "load-1                size",
            "measure-1  2 retries  images=load-1[:2], how",
            "measure-2  2 retries  images=[measure-1]",
        ]
        assert files_below(project) == before
        assert list(tmp_path.iterdir()) == []

    def test_as_json_and_as_a_picture(self, bench: Workbench, project: Path, tmp_path: Path) -> None:
        file = tmp_path / "a.svg"

        said = bench.dioptra(
            "flow", "show", "two", "--project", str(project), "--json", "--svg", str(file), cwd=tmp_path
        )

        assert said.json == {"flows": [{"flow": "first", "size": 1, "tasks": [{"slug": "load-1"}]}]}
        assert said.err == f"drawn: {file}\n"
        assert names(file.read_text()) == [["load-1"]]
        assert [each.name for each in tmp_path.iterdir()] == ["a.svg"]

    def test_a_picture_that_cannot_be_written_loses_nothing_else(self, bench: Workbench, project: Path) -> None:
        said = bench.dioptra("flow", "show", "two", "--json", "--svg", "missing/a.svg", cwd=project)

        first, last = map(json.loads, said.out.splitlines())
        assert first["flows"][0]["flow"] == "first"
        assert last["error"]["code"] == "flow"
        assert said.code == 1
        assert "the picture cannot be written to 'missing/a.svg': No such file" in said.err

    def test_only_the_first_flow_is_shown_whatever_the_script_catches(self, bench: Workbench, project: Path) -> None:
        assert bench.testbed.flow(project, "catches").flow == "first"

    def test_what_the_script_logs_and_writes_is_thrown_away(
        self, bench: Workbench, project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/own.db")
        monkeypatch.setenv("MLFLOW_REGISTRY_URI", f"sqlite:///{tmp_path}/own.db")
        monkeypatch.setenv("MLFLOW_RUN_ID", "a" * 32)

        found = Testbed(tmp_path / "home").flow(project, "logs")

        assert not Path(found.flow).exists()  # the home that the script was given
        assert found.flow not in (str(tmp_path / "home"), str(bench.home))
        assert list(tmp_path.iterdir()) == []

    def test_a_large_one_is_shown_and_not_drawn(self, bench: Workbench, project: Path) -> None:
        found = bench.testbed.flow(project, "large")

        assert len(found.table().rows) == 1_001
        assert "one with more than 1000 is not drawn" in found.drawing().svg

    def test_values(self, bench: Workbench, project: Path) -> None:
        bad = bench.dioptra("flow", "show", "main", "-P", "size=many", cwd=project)

        assert bad.code == 7
        assert "parameter 'size': 'many' is not " in bad.err
        assert bench.testbed.flow(project, "main", {"size": "5"}).size == 7


class TestWhatCannotBeShown:
    def test_a_script_that_fails_first(self, bench: Workbench, project: Path) -> None:
        said = bench.dioptra("flow", "show", "fails", "--project", str(project), "--json")

        assert said.code == 7
        assert said.err.splitlines()[:2] == ["first words", "last \x1b[31mwords"]
        error = said.json["error"]
        assert error["code"] == "invalid-project"
        assert error["message"].startswith("the script ended before it ran a flow (exit code 1: last ")
        assert error["where"].endswith("MLproject line 10, entry point 'fails'")

    @pytest.mark.parametrize(
        ("entry_point", "sentence"),
        [
            (
                "none",
                "entry point 'none': the script ended without running a flow; it is run up to its first `flow.run`",
            ),
            ("gone", "ended before it ran a flow .exit code 2: .*can't open file .*gone.py"),
        ],
    )
    def test_a_script_without_a_flow(self, bench: Workbench, project: Path, entry_point: str, sentence: str) -> None:
        with pytest.raises(InvalidProjectError, match=sentence):
            bench.testbed.flow(project, entry_point)

    def test_a_script_that_takes_too_long(
        self, bench: Workbench, project: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("dioptra.testbed._show_flow._SECONDS", 0.3)
        heard: list[bytes] = []

        with pytest.raises(InvalidProjectError, match=r"entry point 'sleeps': the script ran no flow within 0\.3 s"):
            bench.testbed.flow(project, "sleeps", on_output=heard.append)

        assert heard in ([b"asleep\n"], [b""])  # as far as it came

    def test_an_interruption_ends_the_script(self, bench: Workbench, project: Path, tmp_path: Path) -> None:
        process = bench.start("flow", "show", "sleeps", "--project", str(project), TMPDIR=str(tmp_path))
        until = time.monotonic() + 60
        while not any(file.read_text() for file in tmp_path.glob("dioptra-flow-*/log.txt")):
            assert time.monotonic() < until
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)

        assert (process.returncode, out, err.strip()) == (130, "", "interrupted")
        assert list(tmp_path.iterdir()) == []

    def test_a_cancellation_from_another_thread(self, bench: Workbench, project: Path) -> None:
        cancel = threading.Event()
        threading.Timer(0.5, cancel.set).start()

        with pytest.raises(KeyboardInterrupt):
            bench.testbed.flow(project, "sleeps", cancel=cancel)

    @pytest.mark.parametrize("name", ["", ".svg", "folder/.svg"])
    def test_a_picture_needs_a_name(self, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        with pytest.raises(FlowError, match=r"^a flow cannot be drawn to .*, which names no file; write flow.svg$"):
            Flow("unnamed").visualize(filename=name)
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(
        ("args", "code", "sentence"),
        [
            (("nothing",), 3, "no entry point 'nothing'"),
            (("--project", "missing"), 7, "missing"),
            (("-P", "size"), 2, "-P 'size' is not a parameter"),
            (("--svg", "a.png"), 2, "--svg 'a.png' does not end in .svg; write a.svg"),
            (("--svg", ".svg"), 2, "--svg '.svg' has no name before .svg; write flow.svg"),
            (("--svg", "folder/.svg"), 2, "--svg 'folder/.svg' has no name before .svg"),
            (("--job", "123", "main"), 2, "--job goes without an entry point, a project and values"),
            (("--job", "123", "-P", "a=b"), 2, "--job goes without an entry point, a project and values"),
            (("--job", "123"), 3, "no job '123'"),
        ],
    )
    def test_wrong_use(self, args: tuple[str, ...], code: int, sentence: str, bench: Workbench, project: Path) -> None:
        said = bench.dioptra("flow", "show", *args, cwd=project)

        assert said.code == code, said.err
        assert sentence in said.err
        assert "Traceback" not in said.err


def artifacts(bench: Workbench, job: Job, into: Path) -> dict[str, str]:
    """Return the pictures among the artifacts of a job's run."""
    folder = bench.testbed.tracking.download(str(job.run_id), "flow", into)
    return {each.name: each.read_text() for each in sorted(folder.iterdir())}


class TestAJob:
    def test_one_that_finished(self, bench: Workbench, project: Path, tmp_path: Path) -> None:
        job = bench.job(project)
        kept = bench.testbed.paths(job).drawing_file(1)

        said = bench.dioptra("flow", "show", "--job", job.id[:8])

        assert artifacts(bench, job, tmp_path) == {"flow.svg": kept.read_text()}
        words = last_words(kept.read_text())
        assert words["load-1"].startswith("Success, ")
        assert words["measure-2"].startswith("Success, ")
        lines = said.out.splitlines()
        assert lines[0].startswith("measure images: 7 tasks, Success, ")
        assert lines[2].split() == ["task", "state", "seconds", "options", "takes"]
        assert [line.split()[:2] for line in lines[3:]] == [
            ["load-1", "Success"],
            ["measure-1", "Success"],
            ["measure-2", "Success"],
        ]

    def test_one_that_failed(self, bench: Workbench, project: Path, tmp_path: Path) -> None:
        job = bench.job(project, how="badly")

        (svg,) = artifacts(bench, job, tmp_path).values()
        said = bench.dioptra("flow", "show", "--job", job.id)

        assert job.status == "failed"
        words = last_words(svg)
        assert words["measure-1"].startswith("Failed, ")
        assert words["measure-1"].endswith(", 3 attempts")
        assert words["measure-2"] == "TriggerFailed"
        assert said.out.splitlines()[-2:] == [
            "1 of 7 tasks failed, 2 were not run",
            "measure-1: ValueError: the images are too few",
        ]

    def test_one_that_was_killed_in_the_middle(self, bench: Workbench, project: Path, tmp_path: Path) -> None:
        job = bench.job(project, how="killed")

        (svg,) = artifacts(bench, job, tmp_path).values()

        assert job.status == "failed"
        words = last_words(svg)
        assert words["load-1"].startswith("Success, ")
        assert words["measure-1"] == words["measure-2"] == "not settled"
        assert "7 tasks, not ended" in svg

    def test_one_that_was_cancelled(self, bench: Workbench, project: Path, tmp_path: Path) -> None:
        cancel = threading.Event()

        def listen(chunk: bytes) -> None:
            if b"ready" in chunk:
                cancel.set()

        job = bench.testbed.run(project, parameters={"how": "cancelled"}, on_output=listen, cancel=cancel)

        assert job.status == "cancelled"
        (svg,) = artifacts(bench, job, tmp_path).values()
        assert ["measure-2", "2 retries", "not settled"] in names(svg)

    def test_several_flows(self, bench: Workbench, project: Path, tmp_path: Path) -> None:
        job = bench.job(project, "two")

        said = bench.dioptra("flow", "show", "--job", job.id, "--svg", str(tmp_path / "a.svg"), "--json")

        kept = artifacts(bench, job, tmp_path)
        assert list(kept) == ["flow-2.svg", "flow.svg"]
        assert [(each["flow"], each["state"]) for each in said.json["flows"]] == [
            ("first", "Success"),
            ("second </svg>", "Success"),
        ]
        assert (tmp_path / "a.svg").read_text() == kept["flow.svg"]
        assert (tmp_path / "a-2.svg").read_text() == kept["flow-2.svg"]

    def test_a_large_flow_leaves_a_sentence(self, bench: Workbench, project: Path, tmp_path: Path) -> None:
        job = bench.job(project, "large")

        said = bench.dioptra("flow", "show", "--job", job.id)

        assert "one with more than 1000 is not drawn" in artifacts(bench, job, tmp_path)["flow.svg"]
        assert said.out.startswith("large: 1001 tasks, Success, ")
        assert "its graph is not known" in said.err

    def test_a_job_without_a_flow_pays_and_leaves_nothing(self, bench: Workbench, project: Path) -> None:
        job = bench.job(project, "none")

        said = bench.dioptra("flow", "show", "--job", job.id)

        assert (said.code, said.out) == (3, "")
        assert f"job {job.id[:8]} finished, and no flow of it is known" in said.err
        assert not bench.testbed.paths(job).drawing_file(1).exists()

    def test_a_worker_imports_no_flows_for_it(self, bench: Workbench, project: Path) -> None:
        script = (
            "import sys\nfrom dioptra.testbed import Testbed\n"
            f"job = Testbed({str(bench.home)!r}).run({str(project)!r}, 'none')\n"
            "print(job.status, [name for name in sys.modules if name.startswith('dioptra.flow')])"
        )

        said = subprocess.check_output([sys.executable, "-c", script], env=bench.environment(), text=True)

        assert said == "finished []\n"

    def test_pictures_that_cannot_be_kept_do_not_fail_the_job(
        self, bench: Workbench, caplog: pytest.LogCaptureFixture
    ) -> None:
        spoiler = "import os\nos.mkdir(os.environ['DIOPTRA_ATTEMPT_DIR'] + '/flow.svg')\n" + TWO
        project = bench.project("spoiled", MLproject="entry_points: {main: {command: python a.py}}", a_py=spoiler)

        job = bench.run(project)

        assert job.status == "finished"
        assert "cannot be drawn: the picture cannot be written to " in caplog.text

    def test_artifacts_that_cannot_be_stored_do_not_fail_the_job(
        self, bench: Workbench, project: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def refuse(*_: object) -> None:
            raise ConnectionError("the bucket is gone")

        monkeypatch.setattr("dioptra.tracking.Tracking.log_file", refuse)

        job = bench.run(project, "two")

        assert job.status == "finished"
        assert bench.testbed.tracking.run(str(job.run_id)).status == "FINISHED"
        assert "are not among the artifacts" in caplog.text
        assert bench.testbed.paths(job).drawing_file(2).exists()

    def test_a_journal_that_is_a_pipe_does_not_hold_the_worker_up(self, bench: Workbench) -> None:
        script = "import os\nos.mkfifo(os.environ['DIOPTRA_ATTEMPT_DIR'] + '/flow.jsonl')"
        project = bench.project("piped", MLproject="entry_points: {main: {command: python a.py}}", a_py=script)

        assert bench.run(project).status == "finished"

    def test_a_verification_is_not_disturbed(self, bench: Workbench, project: Path) -> None:
        job = bench.job(project, size="4")
        file = bench.testbed.paths(job).flow_file
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        file.write_text("".join(json.dumps({k: v for k, v in x.items() if k != "graph"}) + "\n" for x in lines))

        said = bench.dioptra("snapshot", "verify", job.id, "--json")  # against a journal from before there were graphs

        assert said.code == 0, said.err
        assert said.json["jobs"][0]["compared"]["tasks"] == 7

    def test_the_demonstration_shows_its_flows(self, bench: Workbench, tmp_path: Path) -> None:
        found = bench.testbed.flow(Path(__file__).parents[2] / "examples" / "digits", "train")

        assert found.flow == "Train a classifier on handwritten digits"
        assert names(found.drawing().svg)[:2] == [["seed"], ["init_rng-1"]]


def test_on_a_terminal_long_rows_go_on_in_the_next_line(bench: Workbench, project: Path) -> None:
    written = bench.in_terminal("flow", "show", "--project", str(project), columns=42)

    assert "\x1b[1mmeasure images: 7 tasks\x1b[0m" in written
    assert "images=load-1[:2],\n" in written
    assert "\n                        how\n" in written


def test_the_shell_completes_entry_points_values_and_jobs(bench: Workbench, project: Path) -> None:
    job = bench.job(project)

    assert complete("dioptra flow show mai", project, bench.home) == ["main"]
    assert complete(f"dioptra flow show --project {project} tw", project.parent, bench.home) == ["two"]
    assert complete("dioptra flow show main -P s", project, bench.home) == ["size="]
    assert complete(f"dioptra flow show --project {project} main -P h", project.parent, bench.home) == ["how="]
    assert complete(f"dioptra flow show --job {job.id[:6]}", project, bench.home) == [job.id[:8]]
    assert complete("dioptra flow s", project, bench.home) == ["show"]


def test_a_script_that_is_a_project_by_itself(bench: Workbench) -> None:
    folder = bench.project("alone", alone_py=TWO)
    environment = {name: value for name, value in os.environ.items() if name != "DIOPTRA_SHOW_FLOW"}

    assert bench.testbed.flow(folder / "alone.py").flow == "first"
    assert os.environ == environment  # nothing of it is left in this process


def test_waiting(bench: Workbench, project: Path) -> None:
    """A job that still runs can be looked at."""
    process = bench.start("run", str(project), "-P", "how=cancelled", "--experiment", "running")
    assert process.stdout is not None
    while "ready" not in process.stdout.readline():
        pass
    (job,) = bench.testbed.jobs(experiment="running")
    assert wait_for(bench.testbed.paths(job).flow_file)

    (found,) = bench.testbed.flows(job)

    assert {step.slug: step.state for step in found.steps if step.kind == "task"} == {
        "load-1": "Success",
        "measure-1": "",
        "measure-2": "",
    }
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
