"""Tasks that do not depend on each other run at the same time, in threads of this process."""

from __future__ import annotations

import os
import threading
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from heapq import heappop, heappush
from queue import Empty, SimpleQueue
from time import monotonic, perf_counter

from dioptra.errors import FlowError
from dioptra.flow import Pending, Run, State, Task
from dioptra.flow._collection import CollectionTask
from dioptra.flow._interrupt import RUNNING, Running
from dioptra.flow._parameter import Parameter
from dioptra.tracking import ScriptRuns

__all__ = ["Threads", "cores"]

_PATIENCE = 1.0  # seconds that interrupted tasks have to clean up
_INLINE = (Parameter, CollectionTask)  # they cost less than the way to another thread


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Threads:
    """Runs tasks at the same time, in threads of this process: each after what it depends on.

    Python lets one thread at a time execute Python code. NumPy, torch and what waits for a disk or a network let others
    go on meanwhile.
    """

    def __init__(self, threads: int | None = None) -> None:
        """Choose how many tasks run at the same time.

        Args:
            threads: The number; by default one for each core that this process may use.

        Raises:
            FlowError: It is no number of threads.
        """
        if threads is not None and (isinstance(threads, bool) or not isinstance(threads, int) or threads < 1):
            raise FlowError(
                f"{threads!r} is not a number of threads", hint="write Threads(4), or Threads() for one a core"
            )
        self.threads = threads or cores()

    def drive(self, run: Run) -> None:
        """Settle each task of a run once, after what it depends on."""
        coordinator = _Coordinator(run, self.threads)
        try:
            coordinator.drive()
        except BaseException:
            coordinator.pool.interrupt()
            raise
        coordinator.pool.close()

    def __repr__(self) -> str:
        return f"Threads({self.threads})"


@dataclass(slots=True)
class _Call:
    """One task on its way: tried once in a thread, then looked at by the coordinator, and perhaps tried again."""

    index: int
    task: Task
    number: int = 1  # of the attempt
    start: float = 0.0
    seconds: float = (
        0.0  # since it was first tried, without the waits for a thread before and for the coordinator after
    )
    state: State = field(default_factory=Pending)
    final: bool = False
    error: BaseException | None = None  # of what is no failure of the task, as an interruption

    def attempt(self, run: Run) -> None:
        """Try the task."""
        if self.number == 1:
            self.start = perf_counter()
        try:
            self.state, self.final = run.attempt(self.task, self.number)
        except BaseException as error:
            self.error = error
        self.seconds = perf_counter() - self.start


class _Pool:
    """Threads that try tasks; each is started when there is something for it."""

    def __init__(self, run: Run, size: int) -> None:
        self.done: SimpleQueue[_Call] = SimpleQueue()
        self._run = run
        self._size = size
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._running = Running(around=RUNNING.get())
        self._runs = ScriptRuns()
        token = RUNNING.set(self._running)
        self._context = copy_context()
        RUNNING.reset(token)
        self._busy = 0

    def try_out(self, call: _Call) -> None:
        """Let a thread try a task; what comes of it lies in `done` later."""
        self._busy += 1
        if len(self._threads) < min(self._busy, self._size):
            self._threads.append(threading.Thread(target=self._work, daemon=True, name="tasks of a flow"))
            self._threads[-1].start()
        self._calls.put(call)

    def next(self, seconds: float | None) -> _Call | None:
        """Wait for a task that has been tried, for so many seconds at most."""
        try:
            call = self.done.get(timeout=seconds)
        except Empty:
            return None
        self._busy -= 1
        return call

    def close(self) -> None:
        """Let the threads go."""
        for _ in self._threads:
            self._calls.put(None)
        self._running.close()
        self._runs.hand_back()

    def interrupt(self) -> None:
        """End the tasks that run: their Python code, once it is executed; the process may end before they have."""
        self._running.interrupt()
        self.close()
        deadline = monotonic() + _PATIENCE
        for thread in self._threads:
            thread.join(max(deadline - monotonic(), 0))

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            context: Context = self._context.copy()
            context.run(self._try_out, call)
            self.done.put(call)

    def _try_out(self, call: _Call) -> None:
        try:
            with self._runs.joined():
                self._running.call(lambda: call.attempt(self._run))
        except BaseException as error:
            call.error = error


class _Coordinator:
    """Sees to it that each task is tried when its turn has come; all but the tasks themselves happens in one thread."""

    def __init__(self, run: Run, threads: int) -> None:
        self.run = run
        self.pool = _Pool(run, threads)
        self._due: list[tuple[float, int, _Call]] = []  # what is to be tried again, and when
        self._left = len(run.order)
        self._downstream: list[list[int]] = [[] for _ in run.order]
        self._waits_for = [0] * len(run.order)
        places = {task: index for index, task in enumerate(run.order)}
        for index, task in enumerate(run.order):
            for source in run.flow.node(task).upstream():
                self._downstream[places[source]].append(index)
                self._waits_for[index] += 1

    def drive(self) -> None:
        """Settle all tasks."""
        self._begin([index for index, count in enumerate(self._waits_for) if not count])
        while self._left:
            call = self.pool.next(max(self._due[0][0] - monotonic(), 0) if self._due else None)
            if call is None:
                self.pool.try_out(heappop(self._due)[2])
            else:
                self._look_at(call)

    def _begin(self, ready: list[int]) -> None:
        """Try tasks whose upstream has settled, and what becomes ready because one need not be tried."""
        ready.reverse()
        while ready:
            index = ready.pop()
            task = self.run.order[index]
            node = self.run.flow.node(task)
            call = _Call(index, task)
            state = self.run.stopped(task, node)
            if state is None and isinstance(task, _INLINE):
                call.attempt(self.run)
                if call.error is not None:
                    raise call.error
                state = call.state
            if state is None:
                self.pool.try_out(call)
            else:
                ready.extend(reversed(self._settle(call, state)))

    def _look_at(self, call: _Call) -> None:
        if call.error is not None:
            raise call.error
        delay = None if call.final else self.run.retry(call.task, call.state, call.number)
        if delay is None:
            self._begin(self._settle(call, call.state))
        else:
            call.number += 1
            heappush(self._due, (monotonic() + delay, call.index, call))

    def _settle(self, call: _Call, state: State) -> list[int]:
        """Note what became of a task, and return those whose turn has come by that."""
        self.run.settle(call.task, state, call.seconds, call.number)
        self._left -= 1
        ready = []
        for index in self._downstream[call.index]:
            self._waits_for[index] -= 1
            if not self._waits_for[index]:
                ready.append(index)
        return ready
