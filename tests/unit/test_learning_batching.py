"""Batches: which requests share one, whose answer is whose, and what happens when the model fails."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dioptra.errors import DioptraError, InvalidParameterError
from dioptra.learning._batching import Batcher

Array = NDArray[Any]


class Model:
    """Doubles its inputs, one call at a time; the first call can be held up until `go` is set."""

    def __init__(self, *, is_held: bool = False, seconds: float = 0) -> None:
        self.batches: list[list[float]] = []
        self.go = threading.Event()
        self.called = threading.Event()
        self._seconds = seconds
        self._calls = 0
        if not is_held:
            self.go.set()

    def __call__(self, samples: Array) -> Array:
        self._calls += 1
        assert self._calls == 1, "called by two threads at once"
        self.batches.append(samples.reshape(len(samples), -1)[:, 0].tolist() if samples.size else [])
        self.called.set()
        assert self.go.wait(10)
        time.sleep(self._seconds)
        self._calls -= 1
        return samples * 2

    async def has_begun(self) -> None:
        assert await asyncio.to_thread(self.called.wait, 10)


def samples(*values: float) -> Array:
    return np.array(values, dtype="float64")


def use(
    work: Callable[[Batcher], Awaitable[object]],
    predict: Callable[[Array], Any],
    max_batch: int = 64,
    max_wait: float = 0.05,
    queue_limit: int = 256,
) -> None:
    async def main() -> None:
        batcher = Batcher(predict, max_batch=max_batch, max_wait=max_wait, queue_limit=queue_limit)
        batcher.start()
        try:
            await asyncio.wait_for(work(batcher), 20)
        finally:
            batcher.close()

    asyncio.run(main())


async def ask(batcher: Batcher, *values: float) -> list[float]:
    return list((await batcher.submit(samples(*values)).answer).tolist())


def test_requests_that_come_while_the_model_is_busy_share_one_call() -> None:
    model = Model(is_held=True)

    async def work(batcher: Batcher) -> None:
        first = asyncio.create_task(ask(batcher, 0))
        await model.has_begun()
        others = [asyncio.create_task(ask(batcher, value)) for value in range(1, 31)]
        await asyncio.sleep(0)
        model.go.set()
        assert await asyncio.gather(first, *others) == [[value * 2] for value in range(31)]

    use(work, model)
    assert model.batches == [[0], list(range(1, 31))]


def test_a_request_waits_for_others_only_when_there_were_others_and_not_for_long() -> None:
    model = Model()
    took: list[float] = []

    async def work(batcher: Batcher) -> None:
        for clients in (1, 1, 2, 1, 1):
            started = time.perf_counter()
            await asyncio.gather(*(ask(batcher, value) for value in range(clients)))
            took.append(time.perf_counter() - started)

    use(work, model, max_wait=0.4)
    assert model.batches == [[0], [0], [0, 1], [0], [0]]
    assert max(took[:3] + took[4:]) < 0.3
    assert 0.3 < took[3] < 2  # the one after the pair, which waits for a second and learns that there is none


def test_no_batch_is_larger_than_the_largest() -> None:
    model = Model(is_held=True)

    async def work(batcher: Batcher) -> None:
        waiting = [asyncio.create_task(ask(batcher, *[value] * 3)) for value in range(20)]
        await model.has_begun()
        model.go.set()
        assert await asyncio.gather(*waiting) == [[value * 2] * 3 for value in range(20)]

    use(work, model, max_batch=8)
    assert max(map(len, model.batches)) <= 8
    assert len(model.batches) <= 11


def test_a_request_larger_than_a_batch_is_split_and_joined_in_order() -> None:
    model = Model()

    async def work(batcher: Batcher) -> None:
        assert await ask(batcher, *range(21)) == [value * 2 for value in range(21)]

    use(work, model, max_batch=8)
    assert [len(batch) for batch in model.batches] == [8, 8, 5]


def test_a_small_request_does_not_wait_for_the_end_of_a_large_one() -> None:
    model = Model(is_held=True)

    async def work(batcher: Batcher) -> None:
        large = asyncio.create_task(ask(batcher, *[7.0] * 800))
        await model.has_begun()
        small = asyncio.create_task(ask(batcher, 1))
        await asyncio.sleep(0)
        model.go.set()
        assert await small == [2]
        assert await large == [14] * 800

    use(work, model, max_batch=8)
    assert next(index for index, batch in enumerate(model.batches) if 1 in batch) <= 2


def test_requests_are_served_in_the_order_they_came() -> None:
    model = Model(is_held=True)

    async def work(batcher: Batcher) -> None:
        first = asyncio.create_task(ask(batcher, -1))
        await model.has_begun()
        others = [asyncio.create_task(ask(batcher, *[value] * (1 + value % 3))) for value in range(12)]
        await asyncio.sleep(0)
        model.go.set()
        await asyncio.gather(first, *others)

    use(work, model, max_batch=4)
    seen = [value for batch in model.batches for value in batch]
    assert seen == sorted(seen)


def test_a_full_line_refuses_more_until_there_is_room() -> None:
    model = Model(is_held=True)

    async def work(batcher: Batcher) -> None:
        first = asyncio.create_task(ask(batcher, 0))
        await model.has_begun()
        waiting = [asyncio.create_task(ask(batcher, value, value)) for value in (1, 2)]
        await asyncio.sleep(0)
        assert batcher.waiting == 4
        with pytest.raises(DioptraError, match="4 samples wait already, and at most 5 may; try again") as caught:
            await ask(batcher, 3, 3)
        assert (caught.value.http_status, caught.value.code) == (503, "busy")
        model.go.set()
        await asyncio.gather(first, *waiting)
        assert batcher.waiting == 0
        assert await ask(batcher, 3, 3) == [6, 6]

    use(work, model, queue_limit=5)


def test_a_request_larger_than_the_line_is_taken_when_the_line_is_empty() -> None:
    async def work(batcher: Batcher) -> None:
        assert len(await ask(batcher, *range(100))) == 100

    use(work, Model(), max_batch=8, queue_limit=4)


def test_a_client_that_has_gone_is_not_predicted() -> None:
    model = Model(is_held=True)

    async def work(batcher: Batcher) -> None:
        first = asyncio.create_task(ask(batcher, 0))
        await model.has_begun()
        gone = batcher.submit(samples(*[666] * 20))
        stays = batcher.submit(samples(1))
        batcher.drop(gone)
        batcher.drop(gone)
        assert batcher.waiting == 1
        model.go.set()
        assert (await stays.answer).tolist() == [2]
        await first
        assert gone.answer.cancelled()

    use(work, model, max_batch=8)
    assert model.batches == [[0], [1]]


def test_a_client_that_goes_between_two_pieces_gets_no_more_of_them() -> None:
    model = Model(is_held=True)

    async def work(batcher: Batcher) -> None:
        gone = batcher.submit(samples(*range(80)))
        await model.has_begun()
        batcher.drop(gone)
        model.go.set()
        assert await ask(batcher, 1) == [2]
        assert batcher.waiting == 0

    use(work, model, max_batch=8)
    assert len(model.batches) == 2


def test_samples_of_different_shapes_share_no_batch() -> None:
    model = Model(is_held=True)

    async def work(batcher: Batcher) -> None:
        first = batcher.submit(np.zeros((1, 1)))
        await model.has_begun()
        turns = [batcher.submit(np.full((1, width), float(width))) for width in (2, 3, 2, 3, 2, 4)]
        model.go.set()
        for turn, width in zip(turns, (2, 3, 2, 3, 2, 4), strict=True):
            assert (await turn.answer).tolist() == [[width * 2.0] * width]
        await first.answer

    use(work, model)
    assert model.batches == [[0], [2, 2, 2], [3, 3], [4]]


def fails_on_negatives(values: Array) -> Array:
    if (values == -2).any():
        raise SystemExit("this must not end the thread")
    if (values == -3).any():
        raise InvalidParameterError("-3 is refused by the model")
    if (values < 0).any():
        raise ValueError("inner words, /home/someone")
    values *= 2  # a failed batch must not be tried again with what is left of it
    return values


@pytest.mark.parametrize(
    ("value", "words", "status"),
    [
        (-1.0, "the model failed on these inputs with ValueError; the server's log says where", 500),
        (-2.0, "the model failed on these inputs with SystemExit; the server's log says where", 500),
        (-3.0, "-3 is refused by the model", 422),
    ],
)
def test_a_bad_request_fails_alone_and_in_words(
    value: float, words: str, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def work(batcher: Batcher) -> None:
        turns = [batcher.submit(samples(each)) for each in (1, 2, value, 3)]
        outcomes = await asyncio.gather(*(turn.answer for turn in turns), return_exceptions=True)
        bad = outcomes.pop(2)
        assert [each.tolist() for each in outcomes if isinstance(each, np.ndarray)] == [[2], [4], [6]]
        assert isinstance(bad, DioptraError)
        assert (str(bad), bad.http_status) == (words, status)

    use(work, fails_on_negatives)
    assert ("Traceback" in caplog.text) == (status == 500)


def test_a_large_request_that_fails_on_the_way_is_out_of_the_line() -> None:
    async def work(batcher: Batcher) -> None:
        with pytest.raises(DioptraError, match="failed on these inputs"):
            await ask(batcher, *range(10), -1, *range(50))
        assert batcher.waiting == 0
        assert await ask(batcher, 4) == [8]

    use(work, fails_on_negatives, max_batch=4)


@pytest.mark.parametrize(
    ("outputs", "words"),
    [
        (lambda batch: batch[:-1], "the model gave 1 for 2 samples; one output each"),
        (lambda batch: 5, "the model gave a single value for 2 samples"),
        (lambda batch: None, "not an array of numbers or text"),
        (lambda batch: [object(), object()], "not an array of numbers or text"),
        (lambda batch: [[1, 2], [3]], "failed on these inputs with ValueError"),
    ],
)
def test_outputs_that_are_not_one_for_each_sample_are_an_error(outputs: Callable[[Array], Any], words: str) -> None:
    async def work(batcher: Batcher) -> None:
        with pytest.raises(DioptraError, match=words) as caught:
            await ask(batcher, 1, 2)
        assert caught.value.http_status == 500

    use(work, outputs)


def test_pieces_whose_outputs_do_not_fit_together_are_an_error() -> None:
    async def work(batcher: Batcher) -> None:
        with pytest.raises(DioptraError, match="different shapes"):
            await ask(batcher, *range(5))

    use(work, lambda batch: np.zeros((len(batch), len(batch))), max_batch=4)


def test_labels_may_be_text_also_when_they_are_objects() -> None:
    async def work(batcher: Batcher) -> None:
        answer = await batcher.submit(samples(1, 2)).answer
        assert answer.tolist() == ["cat", "dog"]
        assert answer.dtype.kind == "U"

    use(work, lambda batch: np.array(["cat", "dog"], dtype=object))


def test_a_model_may_return_the_same_memory_every_time() -> None:
    memory = np.zeros(1)

    def predict(batch: Array) -> Array:
        memory[:] = batch
        return memory

    async def work(batcher: Batcher) -> None:
        first = await batcher.submit(samples(1)).answer
        second = await batcher.submit(samples(2)).answer
        assert (first.tolist(), second.tolist()) == ([1], [2])

    use(work, predict)


def test_a_model_may_write_into_its_batch() -> None:
    async def work(batcher: Batcher) -> None:
        values = samples(1, 2)
        values.flags.writeable = False  # as what comes out of an npz file
        assert (await batcher.submit(values).answer).tolist() == [2, 4]

    use(work, fails_on_negatives)


def test_many_clients_at_once_get_their_own_answers() -> None:
    model = Model(seconds=0.001)

    async def client(batcher: Batcher, number: int) -> None:
        for turn in range(20):
            value = number * 1000 + turn
            assert await ask(batcher, *[value] * (1 + value % 5)) == [value * 2] * (1 + value % 5)

    async def work(batcher: Batcher) -> None:
        await asyncio.gather(*(client(batcher, number) for number in range(50)))

    use(work, model, max_batch=32, max_wait=0.002)
    assert len(model.batches) < 500  # of 1,000 requests


def test_whoever_waits_at_the_end_is_told() -> None:
    model = Model(is_held=True)

    async def main() -> None:
        batcher = Batcher(model, max_batch=4, max_wait=0.01, queue_limit=10)
        batcher.start()
        turns = [batcher.submit(samples(1))]
        await model.has_begun()
        turns.append(batcher.submit(samples(2)))
        batcher.close(seconds=0.05)
        with pytest.raises(DioptraError, match="the server is stopping"):
            await turns[1].answer
        with pytest.raises(DioptraError, match="the server is stopping"):
            batcher.submit(samples(3))
        model.go.set()
        assert (await turns[0].answer).tolist() == [2]

    asyncio.run(main())
