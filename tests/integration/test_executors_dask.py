"""Flows on a Dask cluster: a real scheduler, and real workers that are killed."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from distributed import Client, LocalCluster
from distributed.utils import get_ip

from dioptra.errors import FlowError, FlowFailed, RefusedError, StoreUnreachableError
from dioptra.executors import Dask
from dioptra.flow import (
    Context,
    Event,
    Failed,
    Flow,
    FlowSettled,
    Parameter,
    TaskRetrying,
    TaskSettled,
    TimedOut,
    TriggerFailed,
    context,
    listen,
    signals,
    task,
    triggers,
)
from tests.integration.attempts import is_alive, wait_until
from tests.integration.clusters import Cluster, wait_for


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    cluster.add_worker("plain")
    cluster.add_worker("other", {"GPU": 1})
    yield cluster
    cluster.close()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """A cluster whose processes a test may kill."""
    own = Cluster(tmp_path)
    yield own
    own.close()


def plus_one(x: int) -> int:
    return x + 1


def where(seconds: float = 0.0) -> int:
    """Return the process that it runs in, after a while."""
    time.sleep(seconds)
    return os.getpid()


def noted(folder: str, name: str) -> int:
    """Note that a task runs, in a file for each time; return how often it has run."""
    place = Path(folder)
    number = len(list(place.glob(f"{name}.*"))) + 1
    (place / f"{name}.{number}").write_text(str(os.getpid()))
    return number


def once(file: Path, act: Callable[[], None]) -> threading.Thread:
    """Do something in another thread once a file is there."""

    def wait() -> None:
        wait_for(file)
        act()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


@contextmanager
def when_said(words: str, act: Callable[[], object]) -> Iterator[None]:
    """Do something, in another thread and a moment later, once the log says something."""

    class Hearing(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if words in record.getMessage():
                threading.Timer(0.3, act).start()

    handler = Hearing()
    logging.getLogger("dioptra.executors").addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger("dioptra.executors").removeHandler(handler)


class TestWhatFlowsMean:
    def test_results_come_back(self, shared: Cluster) -> None:
        with Flow("sums") as flow:
            x = Parameter("x")
            first = task(plus_one)(x)
            both = task(lambda a, b: a + b)(first, task(plus_one)(first))
            listed = task(sum)([first, both, x])
        state = flow.run(x=1, executor=shared.address)
        assert [state.result[each].result for each in (x, first, both, listed)] == [1, 2, 5, 8]
        assert list(state.result) == list(flow.sorted_tasks())

    def test_tasks_run_at_the_same_time_in_other_processes(self, shared: Cluster) -> None:
        with Flow("where") as flow:
            made = [task(where)(0.5) for _ in range(4)]
        state = flow.run(executor=shared.address)
        found = {state.result[each].result for each in made}
        assert found == {process.pid for process in shared.workers.values()}

    def test_failures_skips_and_triggers(self, shared: Cluster) -> None:
        def skip() -> Any:
            raise signals.SKIP("none", result=None)

        with Flow("ends") as flow:
            fails = task(lambda: dict[str, int]()["key"], name="look")()
            never = task(plus_one)(fails)
            skipped = task(plus_one)(task(skip)())
            after = task(lambda x: type(x).__name__, trigger=triggers.any_failed)(fails)
            asked = task(lambda: "yes", trigger=lambda states: len(states) == 1)(upstream_tasks=[after])
        state = flow.run(executor=shared.address, raise_on_failure=False)
        assert type(state.result[fails]) is Failed
        assert isinstance(state.result[fails].result, KeyError)
        assert type(state.result[never]) is TriggerFailed
        assert state.result[never].message == "not run, because task 'look-1' failed"
        assert state.result[skipped].is_skipped()
        assert (state.result[after].result, state.result[asked].result) == ("KeyError", "yes")

    def test_a_failure_shows_where_it_was(self, shared: Cluster) -> None:
        def deep(x: int) -> float:
            return 1 / x

        with Flow("fails") as flow:
            task(deep)(0)
        with pytest.raises(FlowFailed, match="deep-1: ZeroDivisionError: division by zero") as caught:
            flow.run(executor=shared.address)
        cause = caught.value.__cause__
        assert cause is not None
        assert "return 1 / x" in "".join(traceback.format_exception(cause))

    def test_retries_and_their_events(self, shared: Cluster, tmp_path: Path) -> None:
        def flaky() -> int:
            if (number := noted(str(tmp_path), "flaky")) < 3:
                raise ConnectionError(f"try {number}")
            return number

        heard: list[Event] = []
        with Flow("again") as flow:
            again = task(flaky, max_retries=3, retry_delay=0.2, retry_backoff=2)()
        with listen(heard.append):
            state = flow.run(executor=shared.address)
        assert state.result[again].result == 3
        retries = [event for event in heard if isinstance(event, TaskRetrying)]
        assert [(event.attempt, str(event.state.result)) for event in retries] == [(1, "try 1"), (2, "try 2")]
        (settled,) = (event for event in heard if isinstance(event, TaskSettled))
        assert (settled.attempts, settled.seconds > 0.6, settled.slug) == (3, True, "flaky-1")

    def test_a_worker_runs_others_while_a_task_waits_to_be_tried_again(self, cluster: Cluster, tmp_path: Path) -> None:
        cluster.add_worker("only")

        def flaky() -> float:
            if noted(str(tmp_path), "flaky") == 1:
                raise ValueError("once more")
            return time.time()

        with Flow("meanwhile") as flow:
            again = task(flaky, max_retries=1, retry_delay=3)()
            other = task(lambda: time.time())()
        state = flow.run(executor=cluster.address)
        assert state.result[other].result < state.result[again].result - 1

    def test_timeouts(self, shared: Cluster, tmp_path: Path) -> None:
        def spin() -> Any:
            try:
                while True:
                    time.sleep(0.001)
            finally:
                noted(str(tmp_path), "left")

        with Flow("late") as flow:
            late = task(spin, timeout=0.3)()
        state = flow.run(executor=shared.address, raise_on_failure=False)
        assert type(state.result[late]) is TimedOut
        assert isinstance(state.result[late].result, TimeoutError)
        wait_for(tmp_path / "left.1")

    def test_the_context(self, shared: Cluster) -> None:
        with Flow("seen") as flow:
            seen = task(lambda: context(), name="look")(upstream_tasks=[Parameter("x")])
        assert flow.run(x=[1], executor=shared.address).result[seen].result == Context(
            "seen", "look", "look-1", 1, {"x": [1]}
        )

    def test_large_arrays(self, shared: Cluster) -> None:
        with Flow("arrays") as flow:
            made = task(lambda seed: np.random.default_rng(seed).random((1000, 1000)), name="make")
            x, y = made(0), made(1)
            product = task(lambda a, b: a @ b)(x, y)
        state = flow.run(executor=shared.address)
        expected = np.random.default_rng(0).random((1000, 1000)) @ np.random.default_rng(1).random((1000, 1000))
        assert np.allclose(state.result[product].result, expected)

    def test_arrays_keep_their_order_and_are_each_tasks_own(self, cluster: Cluster) -> None:
        cluster.add_worker("only")

        def change(x: Any) -> tuple[float, bool]:
            x += 1
            return float(x.sum()), bool(x.flags.f_contiguous)

        with Flow("changed") as flow:
            made = task(lambda: np.asfortranarray(np.arange(6.0).reshape(2, 3)), name="make")()
            changed = [task(change)(made) for _ in range(3)]
        state = flow.run(executor=cluster.address)
        assert [state.result[each].result for each in changed] == [(21.0, True)] * 3
        assert state.result[made].result.tolist() == [[0, 1, 2], [3, 4, 5]]

    def test_a_flow_inside_a_task(self, shared: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
        def inner(x: int, executor: str | None) -> Any:
            with Flow("inner") as flow:
                made = task(plus_one)(task(plus_one)(x))
            return flow.run(executor=executor).result[made].result

        with Flow("outer") as flow:
            plain = [task(inner)(x, None) for x in range(4)]
            threads = task(inner)(5, "threads:2")
            refused = task(inner)(6, shared.address)
        monkeypatch.setenv("DIOPTRA_EXECUTOR", shared.address)
        state = flow.run(raise_on_failure=False)
        assert [state.result[each].result for each in [*plain, threads]] == [2, 3, 4, 5, 7]
        assert "flow 'inner' is run by a task on a cluster, and would wait" in state.result[refused].message

    @pytest.mark.parametrize("kind", [KeyboardInterrupt, GeneratorExit])
    def test_an_interruption_by_a_task_ends_the_flow_and_no_worker(self, shared: Cluster, kind: Any) -> None:
        def stop() -> None:
            raise kind("enough")

        with Flow("stopped") as flow:
            task(plus_one, trigger=triggers.always_run)(task(stop, name="stop")()[0])
        heard: list[Event] = []
        with listen(heard.append), pytest.raises(kind, match="enough"):
            flow.run(executor=shared.address)
        assert isinstance(heard[-1], FlowSettled)
        assert all(process.poll() is None for process in shared.workers.values())

    def test_a_client_is_used_and_stays_open(self, shared: Cluster) -> None:
        with Flow("client") as flow:
            made = task(plus_one)(1)
        with Client(shared.address, set_as_default=False) as client:
            assert flow.run(executor=client).result[made].result == 2
            assert client.submit(plus_one.__class__, plus_one.__code__, {}).status != "error"
            assert flow.run(executor=Dask(client)).result[made].result == 2

    def test_workers_in_threads_of_this_process(self) -> None:
        with Flow("here") as flow:
            here = task(lambda: os.getpid())()
        with Client(processes=False, n_workers=1, threads_per_worker=2, dashboard_address=None) as client:
            assert flow.run(executor=client).result[here].result == os.getpid()


class TestWhatCannotBeSent:
    def test_a_task(self, shared: Cluster, tmp_path: Path) -> None:
        lock = threading.Lock()
        with Flow("locked") as flow:
            task(lambda: noted(str(tmp_path), "ran"))()
            task(lambda: lock.locked(), name="look")()
        with pytest.raises(FlowError, match="task 'look-1' cannot be sent to a cluster: TypeError: cannot pickle"):
            flow.run(executor=shared.address)
        assert not list(tmp_path.iterdir())

    def test_a_parameter(self, shared: Cluster) -> None:
        with Flow("locked") as flow:
            task(lambda x: bool(x))(Parameter("lock"))
        with pytest.raises(FlowError, match=r"parameters of flow 'locked' \(lock\) cannot be sent to a cluster"):
            flow.run(lock=threading.Lock(), executor=shared.address)

    def test_a_result(self, shared: Cluster) -> None:
        with Flow("locked") as flow:
            made = task(lambda: threading.Lock(), name="make")()
            after = task(lambda x: str(x), trigger=triggers.always_run)(made)
        state = flow.run(executor=shared.address, raise_on_failure=False)
        assert type(state.result[made]) is Failed
        assert re.match(
            "its result, of type lock, cannot be sent to another process: TypeError: ", state.result[made].message
        )
        assert state.result[after].result == state.result[made].message

    def test_an_exception(self, shared: Cluster) -> None:
        class Odd(Exception):
            def __init__(self, first: int, second: int) -> None:
                super().__init__(f"{first} and {second}")
                self.first = first

        def fail() -> None:
            raise Odd(1, 2) from ValueError("the cause")

        with Flow("odd") as flow:
            made = task(fail)()
        state = flow.run(executor=shared.address, raise_on_failure=False)
        assert state.result[made].message == "Odd: 1 and 2"
        found = state.result[made].result
        assert (type(found).__name__, str(found), found.first) == ("Odd", "1 and 2", 1)
        assert str(found.__cause__) == "the cause"

    def test_an_exception_that_holds_what_cannot_be_sent_leaves_its_words(self, shared: Cluster) -> None:
        def fail() -> None:
            raise ValueError("no", threading.Lock())

        with Flow("locked") as flow:
            made = task(fail)()
            seen = task(lambda x: type(x).__name__, trigger=triggers.any_failed)(made)
        state = flow.run(executor=shared.address, raise_on_failure=False)
        assert isinstance(state.result[made].result, RuntimeError)
        assert "ValueError: ('no', <unlocked _thread.lock" in str(state.result[made].result)
        assert state.result[seen].result == "RuntimeError"


class TestResources:
    def test_a_task_runs_where_they_are(self, shared: Cluster) -> None:
        with Flow("on a gpu") as flow:
            made = [task(where, resources={"GPU": 1})() for _ in range(4)]
        state = flow.run(executor=shared.address)
        assert {state.result[each].result for each in made} == {shared.workers["other"].pid}

    def test_of_a_cluster_of_its_own(self) -> None:
        with Flow("on a gpu") as flow:
            made = task(plus_one, resources={"GPU": 1})(1)
        assert flow.run(executor=Dask(workers=1, resources={"GPU": 1})).result[made].result == 2
        with pytest.raises(
            FlowError, match=r"no worker at .* has \{'GPU': 1.0\} for task 'plus_one-1'; write Dask\(res"
        ):
            flow.run(executor="dask:1")

    def test_what_nobody_has_is_said(self, shared: Cluster, caplog: pytest.LogCaptureFixture) -> None:
        with Flow("waits") as flow:
            task(plus_one, resources={"TPU": 1})(1)
        with when_said("waits for one", lambda: signal.raise_signal(signal.SIGINT)), pytest.raises(KeyboardInterrupt):
            flow.run(executor=shared.address)
        assert (
            f"no worker at {shared.address} has {{'TPU': 1.0}} for task 'plus_one-1': it waits for one" in caplog.text
        )

    def test_no_worker_at_all_is_said(self, cluster: Cluster, caplog: pytest.LogCaptureFixture) -> None:
        with Flow("waits") as flow:
            made = task(plus_one)(1)
        with when_said("no worker listens", lambda: cluster.add_worker("late")):
            assert flow.run(executor=cluster.address).result[made].result == 2
        assert f"no worker listens at {cluster.address}: flow 'waits' waits for one" in caplog.text


class TestWhatDies:
    def test_a_worker_its_tasks_run_again(self, cluster: Cluster, tmp_path: Path) -> None:
        victim = cluster.add_worker("victim")

        def work() -> str:
            if noted(str(tmp_path), "work") == 1:
                time.sleep(60)
            return "done"

        with Flow("killed") as flow:
            made = task(work)()
        killer = threading.Thread(target=self.kill_once, args=(cluster, victim, tmp_path / "work.1"))
        killer.start()
        assert flow.run(executor=cluster.address).result[made].result == "done"
        killer.join()
        assert len(list(tmp_path.glob("work.*"))) == 2

    def kill_once(self, cluster: Cluster, victim: int, file: Path) -> None:
        wait_for(file)
        cluster.add_worker("heir")
        os.kill(victim, signal.SIGKILL)

    def test_so_do_those_whose_results_only_it_held(self, cluster: Cluster, tmp_path: Path) -> None:
        victim = cluster.add_worker("victim")

        def first() -> str:
            noted(str(tmp_path), "first")
            return "held"

        def second(x: str) -> str:
            if noted(str(tmp_path), "second") == 1:
                time.sleep(60)
            return x

        with Flow("held") as flow:
            made = task(second)(task(first)())
        killer = threading.Thread(target=self.kill_once, args=(cluster, victim, tmp_path / "second.1"))
        killer.start()
        heard: list[Event] = []
        with listen(heard.append):
            assert flow.run(executor=cluster.address).result[made].result == "held"
        killer.join()
        assert [len(list(tmp_path.glob(f"{name}.*"))) for name in ("first", "second")] == [2, 2]
        assert [event.slug for event in heard if isinstance(event, TaskSettled)] == ["first-1", "second-1"]

    def test_a_task_that_kills_each_worker_has_failed_and_the_flow_goes_on(self, tmp_path: Path) -> None:
        def deadly() -> None:
            noted(str(tmp_path), "deadly")
            os.kill(os.getpid(), signal.SIGKILL)

        with Flow("deadly") as flow:
            dies = task(deadly)()
            never = task(lambda x: x)(dies)
            after = task(lambda x: type(x).__name__, trigger=triggers.always_run)(dies)
            last = task(lambda x: x * 2)(after)
            other = task(plus_one)(1)
        state = flow.run(executor="dask:1", raise_on_failure=False)
        assert type(state.result[dies]) is Failed
        assert "KilledWorker" in state.result[dies].message
        assert type(state.result[never]) is TriggerFailed
        assert (state.result[after].result, state.result[last].result) == ("KilledWorker", "KilledWorker" * 2)
        assert state.result[other].result == 2
        assert len(list(tmp_path.glob("deadly.*"))) == 8  # four workers, and four again where it is alone

    def test_the_scheduler(self, cluster: Cluster, tmp_path: Path) -> None:
        cluster.add_worker("only")

        def wait() -> None:
            noted(str(tmp_path), "wait")
            time.sleep(60)

        with Flow("gone") as flow:
            task(wait)()
        killer = once(tmp_path / "wait.1", cluster.scheduler.kill)
        with pytest.raises(StoreUnreachableError, match="the Dask cluster at .* is gone, and flow 'gone' with it"):
            flow.run(executor=cluster.address)
        killer.join()

    def test_the_script_is_interrupted(self, shared: Cluster, tmp_path: Path) -> None:
        def spin() -> Any:
            noted(str(tmp_path), "spin")
            try:
                while True:
                    time.sleep(0.001)
            finally:
                noted(str(tmp_path), "left")

        with Flow("interrupted") as flow:
            task(plus_one)(task(spin)())
        stop = once(tmp_path / "spin.1", lambda: signal.raise_signal(signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            flow.run(executor=shared.address)
        stop.join()
        wait_for(tmp_path / "left.1")
        with Flow("next") as flow:
            made = [task(plus_one)(x) for x in range(4)]
        state = flow.run(executor=shared.address)
        assert [state.result[each].result for each in made] == [1, 2, 3, 4]


class TestAddresses:
    @pytest.mark.parametrize(
        "address", ["tcp://10.1.2.3:8786", "tcp://scheduler:8786", "ws://10.1.2.3:80", "tcp://:8786"]
    )
    def test_of_a_network_without_tls_are_refused(self, address: str) -> None:
        with Flow("refused") as flow:
            task(plus_one)(1)
        words = "is on a network and not encrypted: .* give it TLS .*, or say that the network is your own: insecure"
        with pytest.raises(RefusedError, match=words):
            flow.run(executor=address)
        with pytest.raises(RefusedError, match=words):
            Dask(address)

    @pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "tcp://localhost:1", "tcp://[::1]:1", "tls://10.1.2.3:1"])
    def test_of_this_machine_and_with_tls_are_not(self, address: str) -> None:
        assert repr(Dask(address)) == f"Dask({address!r})"

    def test_a_plain_word_allows_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert repr(Dask("tcp://10.1.2.3:1", insecure=True)) == "Dask('tcp://10.1.2.3:1')"
        with Flow("tried") as flow:
            task(plus_one)(1)
        monkeypatch.setenv("DIOPTRA_EXECUTOR", "insecure+tcp://127.0.0.1:1")
        with pytest.raises(StoreUnreachableError, match="no Dask scheduler answers at 'tcp://127.0.0.1:1'"):
            flow.run()

    def test_the_plain_word_in_front_allows_it(self) -> None:
        assert repr(Dask("insecure+tcp://10.1.2.3:1")) == "Dask('tcp://10.1.2.3:1')"

    @pytest.mark.parametrize(
        "address",
        ["127.0.0.1:8786", "localhost:8786", "", "threads:0", "foo://bar", "tcp://", "10.1.2.3://", "insecure+a"],
    )
    def test_what_is_none(self, address: str) -> None:
        place = address.removeprefix("insecure+")
        with pytest.raises(FlowError, match=f"^{place!r} is no address of a Dask cluster; write it like tcp://127.0.0"):
            Dask(address)

    def test_a_client_of_a_network(self) -> None:
        class Elsewhere(Client):  # type: ignore[misc]  # Dask has no types
            class scheduler:  # noqa: N801
                address = "tcp://10.1.2.3:8786"

            def __init__(self) -> None:
                """Connect to nothing."""

        with Flow("refused") as flow:
            task(plus_one)(1)
        for run in (Dask, lambda client: flow.run(executor=client)):
            with pytest.raises(RefusedError, match="'tcp://10.1.2.3:8786' is on a network"):
                run(Elsewhere())

    def test_an_asynchronous_client(self, shared: Cluster) -> None:
        """Its answers are awaited, and nobody would do so while the flow runs."""
        with Flow("refused") as flow:
            task(plus_one)(1)

        async def refused() -> None:
            async with Client(shared.address, asynchronous=True, set_as_default=False) as client:
                with pytest.raises(FlowError, match="make it without asynchronous=True, or give its address"):
                    flow.run(executor=client)

        asyncio.run(refused())

    def test_a_closed_client(self, shared: Cluster) -> None:
        with Client(shared.address, set_as_default=False) as client:
            pass
        with pytest.raises(FlowError, match="is not connected to a Dask cluster; give one that is open"):
            Dask(client)

    def test_what_looks_after_a_cluster(self) -> None:
        with Flow("looked after") as flow:
            made = task(plus_one)(1)
        with LocalCluster(processes=False, n_workers=1, dashboard_address=None) as cluster:
            assert flow.run(executor=cluster).result[made].result == 2
            assert flow.run(executor=Dask(cluster)).result[made].result == 2
            assert cluster.status.name == "running"
        with pytest.raises(StoreUnreachableError, match="no Dask scheduler answers at 'inproc://.* closed"):
            flow.run(executor=cluster)

    def test_what_looks_after_a_cluster_on_a_network(self) -> None:
        class Elsewhere:
            scheduler_address = "tcp://10.1.2.3:8786"

        with Flow("refused") as flow:
            task(plus_one)(1)
        for run in (Dask, lambda cluster: flow.run(executor=cluster)):
            with pytest.raises(RefusedError, match="'tcp://10.1.2.3:8786' is on a network"):
                run(Elsewhere())

    def test_a_worker_on_a_network_shows_that_the_scheduler_is_open(self, cluster: Cluster) -> None:
        with Flow("refused") as flow:
            task(plus_one)(1)
        place = get_ip()
        if place.startswith("127."):
            pytest.skip("this machine has no other address")
        options = ("--name", "elsewhere", "--no-nanny", "--no-dashboard", "--host", place)
        cluster.workers["elsewhere"] = cluster._start("worker", cluster.address, *options)
        with Client(cluster.address, set_as_default=False) as client:
            client.wait_for_workers(1, timeout=60)
        words = (
            f"'{cluster.address}' has a worker at 'tcp://{place}:[0-9]+', on a network and not encrypted: .* insecure"
        )
        with pytest.raises(RefusedError, match=words):
            flow.run(executor=cluster.address)

    def test_something_else_listens_there(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def garbage(*args: Any, **options: Any) -> Any:
            raise MemoryError("16 EiB")

        monkeypatch.setattr("distributed.client.connect", garbage)
        with Flow("alone") as flow:
            task(plus_one)(1)
        with pytest.raises(StoreUnreachableError, match=r"no Dask scheduler answers at 'tcp://127.0.0.1:1' \(16 EiB\)"):
            flow.run(executor=Dask("tcp://127.0.0.1:1", timeout=1))

    def test_scratch_of_its_own_cluster_and_of_those_that_were_killed_is_removed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TMPDIR", str(tmp_path))
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        dead = subprocess.Popen([sys.executable, "-c", ""])
        dead.wait()
        here = socket.gethostname()
        for name in (f"{here}-{dead.pid}-a", f"{here}-1-b", f"other{here}-{dead.pid}-c", f"{here}-x-d"):
            (tmp_path / f"dioptra-dask-{name}" / "dask-scratch-space").mkdir(parents=True)
        (tmp_path / f"dioptra-dask-{here}-{dead.pid}-e").symlink_to(tmp_path / f"dioptra-dask-{here}-1-b")
        with Flow("scratch") as flow:
            made = task(lambda: sorted(path.name for path in tmp_path.iterdir()), name="look")()
        during = flow.run(executor="dask:1").result[made].result
        left = sorted(path.name for path in tmp_path.iterdir())
        expected = (f"{here}-1-b", f"{here}-{dead.pid}-e", f"{here}-x-d", f"other{here}-{dead.pid}-c")
        assert left == sorted(f"dioptra-dask-{name}" for name in expected)
        (own,) = set(during) - set(left)
        assert own.startswith(f"dioptra-dask-{here}-{os.getpid()}-")

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"workers": 0}, "0 is not a number of workers; write Dask"),
            ({"workers": "2"}, "'2' is not a number of workers"),
            ({"cluster": 3}, "3 is no Dask cluster; give an address, or a distributed.Client"),
            ({"cluster": "tcp://127.0.0.1:1", "workers": 2}, "has its own workers and resources"),
            ({"cluster": "tcp://127.0.0.1:1", "resources": {}}, "has its own workers and resources"),
            ({"timeout": -1}, "-1 is not a number of seconds above 0; write Dask.timeout=10."),
            ({"timeout": "x"}, "'x' is not a number of seconds above 0"),
            ({"timeout": float("nan")}, "nan is not a number of seconds above 0"),
            ({"resources": 3}, "3 does not say how much of each resource a worker has; write Dask.resources="),
            ({"resources": {"GPU": "x"}}, "{'GPU': 'x'} does not say how much of each resource a worker has"),
            ({"resources": {"GPU": True}}, "{'GPU': True} does not say"),
        ],
    )
    def test_what_makes_no_sense(self, options: dict[str, Any], words: str) -> None:
        with pytest.raises(FlowError, match=words):
            Dask(**options)

    def test_nobody_answers(self) -> None:
        with Flow("alone") as flow:
            task(plus_one)(1)
        with pytest.raises(
            StoreUnreachableError, match="no Dask scheduler answers at 'tcp://127.0.0.1:1'.*dask scheduler"
        ):
            flow.run(executor=Dask("tcp://127.0.0.1:1", timeout=1))


def test_a_cluster_of_its_own_leaves_nothing(tmp_path: Path) -> None:
    with Flow("own") as flow:
        made = [task(where)(0.3) for _ in range(4)]
    before = logging.getLogger("distributed").level
    state = flow.run(executor="dask:2")
    found = {state.result[each].result for each in made}
    assert len(found) == 2
    assert os.getpid() not in found
    assert wait_until(lambda: not any(map(is_alive, found)))
    assert logging.getLogger("distributed").level == before


def test_a_cluster_forgets_what_nobody_needs_any_more(shared: Cluster, tmp_path: Path) -> None:
    """Else a long flow would hold all of its results in the workers' memory."""

    def hold() -> None:
        (tmp_path / "held").touch()
        wait_for(tmp_path / "go")

    with Flow("long") as flow:
        named = task(plus_one, name="looked_at")
        task(hold)(upstream_tasks=[named(named(named(0)))])
    with Client(shared.address, set_as_default=False) as looking:

        def count(dask_scheduler: Any) -> int:
            kept = [each for each in dask_scheduler.tasks.values() if "looked_at" in str(each.key)]
            return sum(1 for each in kept if each.state == "memory" and each.who_wants)

        found: list[bool] = []

        def look() -> None:
            wait_for(tmp_path / "held")
            found.append(wait_until(lambda: looking.run_on_scheduler(count) == 1, 20))  # the last result
            (tmp_path / "go").touch()

        watcher = threading.Thread(target=look)
        watcher.start()
        flow.run(executor=shared.address)
        watcher.join()
    assert found == [True]
