"""Values on their way between processes: packed where they were made, opened where they are needed.

Inside a cluster all is pickled, and so a cluster belongs to those who trust each other. A parcel is opened by
the code of this part alone, once the modules that it may need are there: the cluster itself passes on bytes.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Self

import cloudpickle  # inside the trust line: see above

from dioptra.flow import Failed, State
from dioptra.flow._attempt import describe

__all__ = ["Outcome", "Parcel", "Retried", "outcome_of", "pack_error", "state_of"]

_PROTOCOL = 5  # large buffers, as those of arrays, are not copied


class Parcel:
    """A value that was packed; in the process that packed it, the value itself is at hand."""

    __slots__ = ("_buffers", "_data", "_opened", "_value")

    def __init__(self, data: bytes, buffers: list[Any]) -> None:
        self._data = data
        self._buffers = buffers
        self._opened = False
        self._value: Any = None

    @classmethod
    def of(cls, value: Any) -> Self:
        """Pack a value.

        Raises:
            Exception: It cannot be packed; of any kind, because classes decide how they are packed.
        """
        buffers: list[Any] = []
        parcel = cls(cloudpickle.dumps(value, protocol=_PROTOCOL, buffer_callback=buffers.append), buffers)
        parcel._opened, parcel._value = True, value
        return parcel

    def open(self) -> Any:
        """Return the value; it raises what unpacking raises."""
        if not self._opened:
            value = cloudpickle.loads(self._data, buffers=self._buffers)
            self._value = value.whole() if isinstance(value, _Error) else value
            self._opened = True
        return self._value

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        if protocol < _PROTOCOL:  # whoever packs it this way has no word for buffers
            return Parcel, (self._data, [bytes(buffer) for buffer in self._buffers])
        return Parcel, (self._data, self._buffers)

    def __sizeof__(self) -> int:
        return len(self._data) + sum(memoryview(buffer).nbytes for buffer in self._buffers)


class _Error(NamedTuple):
    """An exception with its traceback, which pickle leaves behind."""

    error: BaseException
    traceback: dict[str, Any] | None

    def whole(self) -> BaseException:
        from tblib import Traceback  # comes with Dask

        return self.error.with_traceback(Traceback.from_dict(self.traceback).as_traceback() if self.traceback else None)


class Retried(NamedTuple):
    """An attempt that failed and was followed by another one."""

    message: str
    result: Parcel
    attempt: int


class Outcome(NamedTuple):
    """What became of a task, as it travels."""

    state: type[State]
    message: str
    result: Parcel
    seconds: float = 0.0
    attempts: int = 1
    retried: tuple[Retried, ...] = ()

    def __sizeof__(self) -> int:
        return self.result.__sizeof__()


def outcome_of(state: State, seconds: float = 0.0, attempts: int = 1, retried: tuple[Retried, ...] = ()) -> Outcome:
    """Pack a state; a result that cannot leave its process makes it a failure."""
    try:
        packed = pack_error(state.result) if isinstance(state.result, BaseException) else Parcel.of(state.result)
    except Exception as error:
        kind = type(state.result).__qualname__
        state = Failed(f"its result, of type {kind}, cannot be sent to another process: {describe(error)}")
        packed = pack_error(TypeError(state.message))
    return Outcome(type(state), state.message, packed, seconds, attempts, retried)


def state_of(outcome: Outcome) -> State:
    """Unpack a state; a result that cannot be unpacked here makes it a failure."""
    try:
        return outcome.state(outcome.message, outcome.result.open())
    except Exception as error:
        message = f"its result cannot be read in this process: {describe(error)}"
        return Failed(message, TypeError(message))


def pack_error(error: BaseException) -> Parcel:
    """Pack an exception with its traceback; one that cannot be packed and unpacked again leaves its words."""
    from tblib import Traceback

    trace = Traceback(error.__traceback__).as_dict() if error.__traceback__ else None
    try:
        parcel = Parcel.of(_Error(error, trace))
        cloudpickle.loads(parcel._data, buffers=parcel._buffers)
    except Exception:
        parcel = Parcel.of(_Error(RuntimeError(describe(error)), trace))
    parcel._value = error
    return parcel
