"""Scripts that run their flows on a Dask cluster: the code that is sent, MLflow, TLS, and what is left of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import mlflow
import pytest

from tests.integration.attempts import is_alive, wait_until
from tests.integration.certificates import certificate_of_ones_own
from tests.integration.clusters import SOURCES, Cluster, wait_for


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    cluster.add_worker("one", threads=2)
    yield cluster
    cluster.close()


def write(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(textwrap.dedent(text))


def environment(executor: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("DIOPTRA_", "MLFLOW_"))}
    return kept | {"PYTHONPATH": str(SOURCES), "DIOPTRA_EXECUTOR": executor, "PYTHONDONTWRITEBYTECODE": "1"}


def run(folder: Path, executor: str, *argv: str) -> str:
    done = subprocess.run(
        [sys.executable, "script.py", *argv],
        cwd=folder,
        env=environment(executor),
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


PROJECT = {
    "script.py": """
        import sys, time
        from dioptra import Flow, Parameter, pyplugs, task
        from dioptra.sdk.utilities.contexts import plugin_dirs
        import helper

        class Own:
            def __init__(self, x): self.x = x

        @task
        def make(x):
            return Own(x)

        @task
        def look(own, seconds=0.0):
            time.sleep(seconds)
            return helper.describe(own.x), __name__

        with Flow("project") as flow:
            with plugin_dirs():
                counted = pyplugs.call_task("my_plugins", "count", "count", x=Parameter("x"))
                typed = pyplugs.call_task("my_plugins", "count", "typed", x=1)
                again = pyplugs.call_task("my_plugins", "count", "twice", counted=typed)
            seen = look(make(counted), float(sys.argv[1]) if sys.argv[1:] else 0.0)
        state = flow.run(x=3)
        print(state.result[counted].result, state.result[seen].result, state.result[again].result)
        print(type(state.result[typed].result) is sys.modules["my_plugins.count"].Counted)
    """,
    "helper.py": """
        def describe(x):
            from later import WORD
            return f"{WORD} {x}"
    """,
    "later.py": "WORD = 'first'\n",
    "my_plugins/count.py": """
        from pathlib import Path
        from dioptra import pyplugs
        from ._numbers import VERSION

        class Counted:
            def __init__(self, x): self.x = x

        @pyplugs.register
        def count(x):
            return f"{VERSION}{Path(__file__).with_name('data.txt').read_text()}{x}"

        @pyplugs.register
        def typed(x):
            return Counted(x)

        @pyplugs.register
        def twice(counted):
            assert isinstance(counted, Counted)
            return counted.x * 2
    """,
    "my_plugins/_numbers.py": "VERSION = 'v1'\n",
    "my_plugins/data.txt": "-data-",
}


def test_plugins_and_modules_that_the_workers_lack_are_sent(shared: Cluster, tmp_path: Path) -> None:
    write(tmp_path, PROJECT)
    assert run(tmp_path, shared.address) == "v1-data-3 ('first v1-data-3', '__main__') 2\nTrue\n"


def test_each_run_has_the_code_of_its_own_moment(shared: Cluster, tmp_path: Path) -> None:
    write(tmp_path, PROJECT)
    assert "v1-data-3 ('first" in run(tmp_path, shared.address)
    write(tmp_path, {"my_plugins/_numbers.py": "VERSION = 'v2'\n", "later.py": "WORD = 'second'\n"})
    assert "v2-data-3 ('second v2-data-3'" in run(tmp_path, shared.address)


def test_two_versions_at_the_same_time(shared: Cluster, tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path / name, PROJECT)
        write(tmp_path / name, {"my_plugins/_numbers.py": f"VERSION = {name!r}\n", "later.py": f"WORD = 'of {name}'\n"})
    argv = [sys.executable, "script.py", "0.3"]
    names = "ab" * 3
    running = [
        subprocess.Popen(argv, cwd=tmp_path / name, env=environment(shared.address), stdout=subprocess.PIPE, text=True)
        for name in names
    ]
    for name, process in zip(names, running, strict=True):
        out, _ = process.communicate(timeout=100)
        assert out == f"{name}-data-3 ('of {name} {name}-data-3', '__main__') 2\nTrue\n"


def test_code_takes_its_turn_while_a_task_waits_to_be_tried_again(tmp_path: Path) -> None:
    script = """
        import sys, time
        from pathlib import Path
        from dioptra import Flow, task
        import helper

        def once(name):
            if not Path(name).exists():
                Path(name).touch()
                raise ValueError(name)
            return helper.WORD

        with Flow("turns") as flow:
            made = task(once, max_retries=1, retry_delay=float(sys.argv[1]))(sys.argv[2])
        print(flow.run().result[made].result)
    """
    cluster = Cluster(tmp_path)
    try:
        cluster.add_worker("only")
        running = []
        for name in ("a", "b"):
            write(tmp_path / name, {"script.py": script, "helper.py": f"WORD = {name!r}\n"})
            argv = [sys.executable, "script.py", "3", str(tmp_path / f"{name}.mark")]
            running.append(
                subprocess.Popen(
                    argv, cwd=tmp_path / name, env=environment(cluster.address), stdout=subprocess.PIPE, text=True
                )
            )
        assert [process.communicate(timeout=60)[0] for process in running] == ["a\n", "b\n"]
    finally:
        cluster.close()


def test_files_that_are_changed_meanwhile_do_not_count(shared: Cluster, tmp_path: Path) -> None:
    script = """
        from pathlib import Path
        from dioptra import Flow, task
        import early

        def edit():
            Path(early.__file__).with_name("late.py").write_text("WORD = 'edited'")

        def look():
            import late
            return late.WORD

        with Flow("edited") as flow:
            edited = task(edit)()
            seen = task(look)(upstream_tasks=[edited])
        print(flow.run().result[seen].result)
    """
    write(tmp_path, {"script.py": script, "early.py": "", "late.py": "WORD = 'as it was'\n"})
    assert run(tmp_path, shared.address).strip() == "as it was"


def test_a_version_that_this_machine_has_is_used_in_place(shared: Cluster, tmp_path: Path) -> None:
    script = """
        from dioptra import Flow, task
        import here
        with Flow("here") as flow:
            where = task(here.where)()
        print(flow.run().result[where].result)
    """
    write(tmp_path, {"script.py": script, "here.py": "def where():\n    return __file__\n"})
    assert run(tmp_path, shared.address).strip() == str(tmp_path / "here.py")


def test_code_is_read_when_the_flow_starts(shared: Cluster, tmp_path: Path) -> None:
    script = """
        from pathlib import Path
        from dioptra import Flow, task
        import here
        Path("here.py").write_text("def where():\\n    return 'changed'\\n")
        with Flow("here") as flow:
            where = task(here.where)()
        print(flow.run().result[where].result)
    """
    write(tmp_path, {"script.py": script, "here.py": "def where():\n    return 'at first'\n"})
    assert run(tmp_path, shared.address).strip() == "changed"


def test_a_worker_of_another_version_says_so(shared: Cluster, tmp_path: Path) -> None:
    script = """
        from importlib import metadata
        metadata.version = lambda name: "99.0"
        from dioptra import Flow, task
        with Flow("old") as flow:
            made = task(lambda: 1, name="one")()
        print(flow.run(raise_on_failure=False).result[made].message)
    """
    write(tmp_path, {"script.py": script})
    assert "the script has Dioptra 99.0 on Python 3." in run(tmp_path, shared.address)


def test_too_much_code_is_refused(shared: Cluster, tmp_path: Path) -> None:
    script = """
        from dioptra import Flow, task
        import heavy
        with Flow("heavy") as flow:
            task(heavy.f)()
        try:
            flow.run()
        except Exception as error:
            print(error)
    """
    write(tmp_path, {"script.py": script, "heavy/__init__.py": "def f(): return 1\n"})
    with (tmp_path / "heavy" / "weights.bin").open("wb") as file:
        file.truncate(70 * 2**20)
    assert "are 70 MiB, and 64 MiB in 10,000 files are sent to a cluster at most; keep data out of the packages" in run(
        tmp_path, shared.address
    )


MLFLOW = """
    import mlflow, sys
    from dioptra import Flow, task

    def log(name):
        mlflow.log_metric(name, 1.0)
        return mlflow.active_run() is not None

    mlflow.set_tracking_uri(f"sqlite:///{sys.argv[1]}")
    with Flow("logged") as flow:
        logged = [task(log)(name) for name in "abc"] + [task(log, timeout=60)("d")]
    with mlflow.start_run() as run:
        state = flow.run()
    print(run.info.run_id, *(state.result[each].result for each in logged))
"""


@pytest.mark.parametrize("executor", ["sequential", "threads:3", "dask:2", "address"])
def test_what_tasks_log_reaches_the_run_of_the_script(executor: str, shared: Cluster, tmp_path: Path) -> None:
    write(tmp_path, {"script.py": MLFLOW})
    out = run(tmp_path, shared.address if executor == "address" else executor, str(tmp_path / "mlflow.db"))
    run_id, *active = out.split()
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    assert set(client.get_run(run_id).data.metrics) == set("abcd")
    assert active == ["True"] * 4
    assert client.get_run(run_id).info.status == "FINISHED"
    assert len(client.search_runs(["0"])) == 1


def test_threads_of_a_script_without_a_run_share_one(tmp_path: Path) -> None:
    script = MLFLOW.replace(
        "with mlflow.start_run() as run:\n        state = flow.run()", "state = flow.run()"
    ).replace("run.info.run_id", "mlflow.active_run().info.run_id")
    write(tmp_path, {"script.py": script})
    run_id, *_ = run(tmp_path, "threads:4", str(tmp_path / "mlflow.db")).split()
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    assert set(client.get_run(run_id).data.metrics) == set("abcd")
    assert len(client.search_runs(["0"])) == 1


def test_runs_inside_the_run_of_the_script_stay_apart_in_threads(tmp_path: Path) -> None:
    script = """
        import mlflow, sys, threading
        from dioptra import Flow, task

        meeting = threading.Barrier(2)

        def log(name):
            with mlflow.start_run(nested=True, run_name=name):
                meeting.wait(20)
                mlflow.log_metric(name, 1.0)
                meeting.wait(20)

        mlflow.set_tracking_uri(f"sqlite:///{sys.argv[1]}")
        with Flow("nested") as flow:
            for name in "ab":
                task(log)(name)
        with mlflow.start_run() as run:
            flow.run(executor="threads:2")
            assert mlflow.active_run().info.run_id == run.info.run_id
        print(run.info.run_id)
    """
    write(tmp_path, {"script.py": script})
    parent = run(tmp_path, "threads", str(tmp_path / "mlflow.db")).strip()
    found = mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlflow.db").search_runs(["0"])
    inner = {each.info.run_name: each for each in found if each.info.run_id != parent}
    assert {name: set(each.data.metrics) for name, each in inner.items()} == {"a": {"a"}, "b": {"b"}}
    assert {each.data.tags["mlflow.parentRunId"] for each in inner.values()} == {parent}


def test_a_store_that_the_worker_does_not_have_is_said(shared: Cluster, tmp_path: Path) -> None:
    script = """
        import mlflow, sys, os
        from dioptra import Flow, task

        def log():
            mlflow.log_metric("x", 1.0)

        mlflow.set_tracking_uri(f"sqlite:///{sys.argv[1]}")
        with Flow("logged") as flow:
            free = task(lambda: 1, name="free")()
            logged = task(log)()
        with mlflow.start_run() as run:
            os.rename(sys.argv[1], sys.argv[1] + ".away")
            state = flow.run(raise_on_failure=False)
            os.rename(sys.argv[1] + ".away", sys.argv[1])
        print(state.result[free].result, state.result[logged].message)
    """
    write(tmp_path, {"script.py": script})
    out = run(tmp_path, shared.address, str(tmp_path / "mlflow.db"))
    assert out.startswith("1 StoreUnreachableError: the tracking store sqlite:///")
    assert "is a file that this worker of the cluster does not have; use a server" in out


def test_a_script_needs_no_guard_and_its_cluster_ends_with_it(tmp_path: Path) -> None:
    script = """
        import os, time
        from pathlib import Path
        from dioptra import Flow, task

        def wait(name):
            Path(name).write_text(str(os.getpid()))
            time.sleep(60)

        with Flow("killed") as flow:
            for name in "ab":
                task(wait)(name)
        flow.run(executor="dask:2")
    """
    write(tmp_path, {"script.py": script})
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT):
        process = subprocess.Popen(
            [sys.executable, "script.py"],
            cwd=tmp_path,
            env=environment(""),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for name in "ab":
            wait_for(tmp_path / name)
        time.sleep(0.3)  # the file is there before its content
        workers = [int((tmp_path / name).read_text()) for name in "ab"]
        assert process.poll() is None
        process.send_signal(number)
        assert process.wait(30) == -number
        assert wait_until(lambda: not any(map(is_alive, workers)), 20)  # noqa: B023
        for name in "ab":
            (tmp_path / name).unlink()


def test_with_tls(tmp_path: Path) -> None:
    certificate, key = certificate_of_ones_own(tmp_path, is_authority=True)
    words = ["--tls-ca-file", str(certificate), "--tls-cert", str(certificate), "--tls-key", str(key)]
    cluster = Cluster(tmp_path, tls=words)
    try:
        cluster.add_worker("one")
        script = f"""
            from distributed import Security
            from dioptra import Flow, task
            from dioptra.executors import Dask
            keys = dict(tls_ca_file={str(certificate)!r}, tls_client_cert={str(certificate)!r})
            security = Security(tls_client_key={str(key)!r}, require_encryption=True, **keys)
            with Flow("safe") as flow:
                made = task(lambda: "safe", name="say")()
            print(flow.run(executor=Dask({cluster.address!r}, security=security)).result[made].result)
            try:
                flow.run(executor=Dask({cluster.address!r}, timeout=2))
            except Exception as error:
                print(type(error).__name__)
        """
        write(tmp_path / "project", {"script.py": script})
        assert cluster.address.startswith("tls://")
        assert run(tmp_path / "project", "sequential") == "safe\nStoreUnreachableError\n"
    finally:
        cluster.close()
