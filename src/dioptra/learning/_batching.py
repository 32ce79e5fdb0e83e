"""Joins the requests of many clients into batches, for a model that one thread calls."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dioptra.errors import DioptraError
from dioptra.learning._wire import failure

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Batcher", "Turn"]

logger = logging.getLogger(__name__)


@dataclass(eq=False)
class Turn:
    """One request that waits for the model; a large one is predicted in pieces, and stands in line again for each."""

    samples: NDArray[Any]
    answer: asyncio.Future[NDArray[Any]]
    since: float = field(default_factory=time.monotonic)
    taken: int = 0
    outputs: list[NDArray[Any]] = field(default_factory=list)

    def left(self, most: int) -> int:
        """Return how many samples its next piece has."""
        return min(len(self.samples) - self.taken, most)

    def take(self, most: int) -> NDArray[Any]:
        """Return its next piece."""
        piece = self.samples[self.taken : self.taken + most]
        self.taken += len(piece)
        return piece

    @property
    def is_taken(self) -> bool:
        """Whether no piece is left."""
        return self.taken >= len(self.samples)


Batch = Sequence[tuple[Turn, "NDArray[Any]"]]


class Batcher:
    """A line of requests, and the thread that predicts them batch by batch, first come, first served.

    A batch starts when it is full, when its first request has waited for `max_wait`, or when as many requests wait as
    the last batch had: a lone client never waits, and many clients wait for each other. Samples of different shapes
    never share a batch. What is offered to the event loop (`start`, `submit`, `drop`, `close`) is called on it only.
    """

    def __init__(
        self, predict: Callable[[NDArray[Any]], Any], *, max_batch: int, max_wait: float, queue_limit: int
    ) -> None:
        """Say how to predict.

        Args:
            predict: Takes a batch (n, ...) and returns n outputs; called by one thread.
            max_batch: Samples in a batch, at most.
            max_wait: Seconds that a request waits for others, at most.
            queue_limit: Samples that may wait; a request larger than a batch counts as one batch.
        """
        self._predict = predict
        self._max_batch = max_batch
        self._max_wait = max_wait
        self._queue_limit = queue_limit
        self._changed = threading.Condition()
        self._line: deque[Turn] = deque()
        self._waiting = 0
        self._expected = 1
        self._is_idle = False
        self._is_closed = False
        self._thread = threading.Thread(target=self._run, name="dioptra-predict", daemon=True)

    @property
    def waiting(self) -> int:
        """The number of samples that wait, a request larger than a batch counted as one batch."""
        return self._waiting

    def start(self) -> None:
        """Start the thread; its answers go to the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    def submit(self, samples: NDArray[Any]) -> Turn:
        """Put a request in line, whose answer can be awaited.

        Raises:
            DioptraError: The line is full (503), or the server is stopping (503); the answer raises one too.
        """
        turn = Turn(samples, self._loop.create_future())
        size = turn.left(self._max_batch)
        with self._changed:
            if self._is_closed:
                raise failure(503, "stopping", "the server is stopping")
            if self._line and self._waiting + size > self._queue_limit:
                message = f"{self._waiting} samples wait already, and at most {self._queue_limit} may"
                raise failure(503, "busy", message, hint="try again in a second")
            self._line.append(turn)
            self._waiting += size
            if self._is_idle or self._is_enough():
                self._changed.notify()
        return turn

    def drop(self, turn: Turn) -> None:
        """Take a request out of the line, whose client has gone."""
        turn.answer.cancel()
        self._leave(turn)

    def close(self, seconds: float = 1.0) -> None:
        """End the thread; a prediction that goes on for longer is left alone, and who still waits gets an error."""
        with self._changed:
            self._is_closed = True
            left, self._line, self._waiting = list(self._line), deque(), 0
            self._changed.notify()
        self._settle([(turn, failure(503, "stopping", "the server is stopping")) for turn in left])
        self._thread.join(seconds)

    def _leave(self, turn: Turn) -> None:
        with self._changed:
            if turn in self._line:
                self._line.remove(turn)
                self._waiting -= turn.left(self._max_batch)

    def _is_enough(self) -> bool:
        return self._is_closed or self._waiting >= self._max_batch or len(self._line) >= self._expected

    def _run(self) -> None:
        while batch := self._next():
            self._answer(batch)

    def _next(self) -> Batch:
        """Wait for a batch; an empty one is the end."""
        with self._changed:
            while not self._is_closed:
                self._is_idle = True
                self._changed.wait_for(lambda: self._line or self._is_closed)
                self._is_idle = False
                if self._line:
                    over = self._line[0].since + self._max_wait
                    self._changed.wait_for(self._is_enough, timeout=max(0.0, over - time.monotonic()))
                if self._line:  # those that were waited for may have gone
                    return self._take()
        return []

    def _take(self) -> Batch:
        """Take the first request and those after it that fit, in their order; what is left of a large one goes last."""
        shape, room = self._line[0].samples.shape[1:], self._max_batch
        batch, passed = [], deque[Turn]()
        while self._line and room:
            turn = self._line.popleft()
            size = turn.left(self._max_batch)
            if turn.samples.shape[1:] != shape:
                passed.append(turn)
            elif size > room:
                self._line.appendleft(turn)
                break
            else:
                batch.append((turn, turn.take(self._max_batch)))
                room -= size
        self._line.extendleft(reversed(passed))
        self._line.extend(turn for turn, _ in batch if not turn.is_taken)
        self._waiting = sum(turn.left(self._max_batch) for turn in self._line)
        self._expected = len(batch)
        return batch

    def _answer(self, batch: Batch) -> None:
        """Predict a batch; when it fails, each request by itself, so that a bad one fails alone."""
        try:
            outputs = self._call([piece for _, piece in batch])
        except BaseException as error:  # the thread must outlive even a predict that calls sys.exit
            if len(batch) > 1:
                for one in batch:
                    self._answer([one])
            else:
                self._fail(batch[0][0], error)
            return
        done, at = [], 0
        for turn, piece in batch:
            turn.outputs.append(outputs[at : at + len(piece)])
            at += len(piece)
            if turn.is_taken:
                done.append((turn, _join(turn.outputs)))
        self._send(done)

    def _call(self, pieces: list[NDArray[Any]]) -> NDArray[Any]:
        import numpy as np

        samples = np.concatenate(pieces)  # always a copy: predict may write into it, and is called again if it fails
        count = len(samples)
        outputs = np.array(self._predict(samples))  # a copy again: a model may return the same memory every time
        if outputs.dtype.kind == "O":
            outputs = np.array(outputs.tolist())
        if outputs.dtype.kind in "OV":
            raise failure(500, "predict-failed", "the model's outputs are not an array of numbers or text")
        if outputs.ndim == 0 or len(outputs) != count:
            found = len(outputs) if outputs.ndim else "a single value"
            raise failure(500, "predict-failed", f"the model gave {found} for {count} samples", hint="one output each")
        return outputs

    def _fail(self, turn: Turn, error: BaseException) -> None:
        if not isinstance(error, DioptraError) or error.http_status >= 500:
            logger.error("the model failed on a request of shape %s", turn.samples.shape, exc_info=error)
        if not isinstance(error, DioptraError):
            message = f"the model failed on these inputs with {type(error).__name__}"
            error = failure(500, "predict-failed", message, hint="the server's log says where")
        self._leave(turn)
        self._send([(turn, error)])

    def _send(self, done: list[tuple[Turn, Any]]) -> None:
        if done and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._settle, done)

    @staticmethod
    def _settle(done: list[tuple[Turn, Any]]) -> None:
        for turn, outcome in done:
            if turn.answer.done():
                continue
            if isinstance(outcome, DioptraError):
                turn.answer.set_exception(outcome)
            else:
                turn.answer.set_result(outcome)


def _join(outputs: list[NDArray[Any]]) -> Any:
    """Return the outputs of one request, or the error that its pieces do not fit together."""
    import numpy as np

    try:
        return outputs[0] if len(outputs) == 1 else np.concatenate(outputs)
    except ValueError:
        shapes = sorted({each.shape[1:] for each in outputs})
        return failure(500, "predict-failed", f"the model's outputs have different shapes: {shapes}")
