"""One run on a cluster: all is handed over at once, and each task is settled when it has come back."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from typing import Any
from uuid import uuid4

from dioptra.errors import StoreUnreachableError
from dioptra.executors._calls import pack_values
from dioptra.executors._cluster import distributed
from dioptra.executors._code import Code, collect_code
from dioptra.executors._on_worker import Common, dioptra_version, end_tasks, run_task
from dioptra.executors._parcel import Outcome, outcome_of, state_of
from dioptra.flow import Failed, Run, State, Success, Task
from dioptra.flow._attempt import describe
from dioptra.flow._parameter import Parameter
from dioptra.tracking import ScriptRuns

__all__ = ["Driving"]


class Driving:
    """One run on a cluster."""

    def __init__(self, run: Run, client: Any, calls: Sequence[bytes]) -> None:
        """Prepare it.

        Args:
            run: The run.
            client: Of the cluster.
            calls: What `pack_tasks` has made of the run's tasks.
        """
        self.run = run
        self.client = client
        self.place = client.scheduler.address
        self.name = uuid4().hex[:12]
        self.places = {task: index for index, task in enumerate(run.order)}
        self.calls = calls
        self.versions: Counter[int] = Counter()  # how often a task was handed over
        self.futures: list[Any] = [None] * len(run.order)  # of each task, what its downstream waits for
        self.waiting: dict[Any, int] = {}  # keys of futures, of tasks that have not settled
        self.lost: dict[int, Failed] = {}  # tasks that came back with an error of Dask, and what that says
        self.common: Any = None
        self.needed = Counter(self.places[source] for task in run.order for source in self._upstream(task))

    def drive(self) -> None:
        """Hand all tasks over, and settle each when it has come back."""
        try:
            self.common = self._share(self._common())
            completed = distributed().as_completed(loop=self.client.loop)
            self._hand_over_what_is_left(completed)
            while self.waiting:
                self._settle(completed.next_batch())
                if self.lost and not self.waiting:
                    self._try_each_alone(completed)
        except BaseException as error:
            self._end()
            if isinstance(error, OSError) or (isinstance(error, Exception) and self.client.status != "running"):
                raise self._gone() from error
            raise

    def _share(self, common: Common) -> Any:
        """Put on each worker what all tasks need: Dask sends a task first of all where something of its input is."""
        future = self.client.submit(_give, common, key=f"dioptra-run-{self.name}", pure=False)
        if self.client.scheduler_info(n_workers=1)["workers"]:
            self.client.replicate([future])
        return future

    def _common(self) -> Common:
        inside = self.place.startswith("inproc")
        mlflow = None if inside else ScriptRuns().describe()
        return Common(
            run=self.name,
            version=dioptra_version(),
            python=sys.version_info[:2],
            flow=self.run.flow.name,
            values=pack_values(self.run),
            code=None if inside else _code_for(mlflow),
            mlflow=mlflow,
        )

    def _hand_over(self, index: int, completed: Any) -> None:
        task = self.run.order[index]
        if isinstance(task, Parameter):
            self._settle_here(index, Success(result=self.run.values[task.name]))
            return
        upstream = [self.futures[self.places[source]] for source in self._upstream(task)]
        future = self.client.submit(
            run_task,
            self.calls[index],
            self.common,
            *upstream,
            key=self._key(index),
            pure=False,
            resources=dict(task.resources) or None,
        )
        self.futures[index] = future
        self.waiting[future.key] = index
        completed.add(future)

    def _settle_here(self, index: int, state: State) -> None:
        """Settle a task, and put what became of it on the cluster for those that wait for it."""
        outcome = outcome_of(state)
        self.futures[index] = self.client.submit(_give, outcome, key=self._key(index), pure=False)
        self._note(index, outcome)

    def _key(self, index: int) -> tuple[str, int, int]:
        """Return the name of a task on the cluster; tasks of one name are a group there, which is spread evenly."""
        self.versions[index] += 1
        return f"{self.run.order[index].name}-{self.name}", index, self.versions[index]

    def _hand_over_what_is_left(self, completed: Any) -> None:
        for index, task in enumerate(self.run.order):
            if task not in self.run.states:
                self._hand_over(index, completed)

    def _settle(self, batch: list[Any]) -> None:
        ended = [future for future in batch if future.key in self.waiting]
        good = [future for future in ended if future.status == "finished"]
        outcomes = dict(zip((future.key for future in good), self.client.gather(good), strict=True))
        for future in ended:
            index = self.waiting.pop(future.key)
            if future.key in outcomes:
                self._note(index, outcomes[future.key])
            else:
                self.lost[index] = self._lost(future)

    def _try_each_alone(self, completed: Any) -> None:
        """Try those that workers died with once more, one at a time: only one of them need have been the cause.

        What waits for them has come back with the same error, and is handed over anew when it is known what they are.
        """
        lost, self.lost = self.lost, {}
        behind = self._behind(lost)
        for index in sorted(lost.keys() - behind):
            self._hand_over(index, completed)
            while self.waiting:
                self._settle(completed.next_batch())
            if state := self.lost.pop(index, None):
                self._settle_here(index, state)
        self._hand_over_what_is_left(completed)

    def _note(self, index: int, outcome: Outcome) -> None:
        task = self.run.order[index]
        if outcome.ends_the_run:
            raise outcome.result.open()
        for retried in outcome.retried:
            again = state_of(Outcome(Failed, retried.message, retried.result))
            self.run.announce_retry(task, again, retried.attempt)
        self.run.settle(task, state_of(outcome), outcome.seconds, outcome.attempts)
        for place in [self.places[source] for source in self._upstream(task)]:
            self.needed[place] -= 1
            self._release(place)
        self._release(index)

    def _release(self, index: int) -> None:
        """Let the cluster forget a result that nobody there needs any more."""
        future = self.futures[index]
        if future is not None and not self.needed[index] and self.run.order[index] in self.run.states:
            future.release()
            self.futures[index] = None

    def _upstream(self, task: Task) -> list[Task]:
        return list(dict.fromkeys(self.run.flow.node(task).upstream()))

    def _lost(self, future: Any) -> Failed:
        """Say why a task did not come back: workers died while they ran it, or the cluster is gone."""
        if future.status != "error":
            raise self._gone()
        error = future.exception()
        return Failed(describe(error), error)

    def _gone(self) -> StoreUnreachableError:
        return StoreUnreachableError(
            f"the Dask cluster at {self.place} is gone, and flow {self.run.flow.name!r} with it"
        )

    def _behind(self, places: Iterable[int]) -> set[int]:
        """Return the tasks that depend on some, directly or not."""
        found, behind = set(places), set[int]()
        for index, task in enumerate(self.run.order):
            if any(self.places[source] in found for source in self._upstream(task)):
                found.add(index)
                behind.add(index)
        return behind

    def _end(self) -> None:
        """End what still runs on the cluster."""
        with suppress(Exception):
            self.client.cancel([future for future in self.futures if future is not None], force=True)
        with suppress(Exception):
            self.client.run(end_tasks, self.name, wait=False)


def _code_for(mlflow: Mapping[str, str] | None) -> Code:
    """Return the code that is sent; a process works for one code and one store of MLflow at a time."""
    code = collect_code()
    turn = f"{code.sha256} {mlflow['tracking_uri'] if mlflow else ''}"
    return code._replace(sha256=sha256(turn.encode()).hexdigest())


def _give(value: Any) -> Any:
    return value
