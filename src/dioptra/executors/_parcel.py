"""Values on their way between processes: packed where they were made, opened where they are needed.

Inside a cluster all is pickled, and so a cluster belongs to those who trust each other. A parcel is opened by
the code of this part alone, once the modules that it may need are there: the cluster itself passes on bytes.
"""

from __future__ import annotations

from pickle import PickleBuffer
from typing import Any, NamedTuple, Self

import cloudpickle  # inside the trust line: see above

from dioptra.flow import Failed, State
from dioptra.flow._attempt import describe

__all__ = ["Outcome", "Parcel", "Retried", "outcome_of", "pack_error", "state_of"]

_PROTOCOL = 5  # large buffers, as those of arrays, are not copied when they are packed
_CHAIN = 10  # causes of an exception that are packed with it


class Parcel:
    """A value that was packed."""

    __slots__ = ("_buffers", "_data")

    def __init__(self, data: bytes, buffers: list[Any]) -> None:
        self._data = data
        self._buffers = buffers

    @classmethod
    def of(cls, value: Any) -> Self:
        """Pack a value.

        Raises:
            Exception: It cannot be packed; of any kind, because classes decide how they are packed.
        """
        buffers: list[Any] = []
        return cls(cloudpickle.dumps(value, protocol=_PROTOCOL, buffer_callback=buffers.append), buffers)

    def open(self) -> Any:
        """Return the value, each time another copy: what one task does to it, no other one sees.

        Raises:
            Exception: It cannot be unpacked here; of any kind, as above.
        """
        value = cloudpickle.loads(self._data, buffers=[bytearray(_raw(each)) for each in self._buffers])
        return value.whole() if isinstance(value, _Error) else value

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        if protocol < _PROTOCOL:  # whoever packs it this way has no word for buffers
            return Parcel, (self._data, [bytes(_raw(each)) for each in self._buffers])
        return Parcel, (self._data, self._buffers)

    def __sizeof__(self) -> int:
        return len(self._data) + sum(_raw(each).nbytes for each in self._buffers)


def _raw(buffer: Any) -> memoryview:
    """Return the bytes of a buffer as they lie in memory, in whatever order the array has its axes."""
    return buffer.raw() if isinstance(buffer, PickleBuffer) else memoryview(buffer)


class _Made(NamedTuple):
    """An exception of a class that pickle cannot make again, because it is made with other arguments than it keeps."""

    kind: type[BaseException]
    args: tuple[Any, ...]
    attributes: dict[str, Any]

    def again(self) -> BaseException:
        error = self.kind.__new__(self.kind, *self.args)
        error.args = self.args
        error.__dict__.update(self.attributes)
        return error


class _Error(NamedTuple):
    """An exception, with what pickle leaves behind: its traceback and its causes."""

    error: BaseException | _Made
    traceback: dict[str, Any] | None
    cause: _Error | None
    explicit: bool  # whether it was raised `from` its cause

    def whole(self) -> BaseException:
        from tblib import Traceback  # comes with Dask

        error = self.error.again() if isinstance(self.error, _Made) else self.error
        cause = self.cause.whole() if self.cause else None
        if self.explicit:
            error.__cause__ = cause
        else:
            error.__context__ = cause
        traceback = Traceback.from_dict(self.traceback).as_traceback() if self.traceback else None
        return error.with_traceback(traceback)


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
    ends_the_run: bool = False  # its result is no failure of the task, but ends the flow, as a KeyboardInterrupt

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
    """Pack an exception with its traceback and its causes; of one that cannot be packed, its words remain."""
    return Parcel.of(_kept(error, _CHAIN))


def _kept(error: BaseException, left: int) -> _Error:
    from tblib import Traceback

    trace = Traceback(error.__traceback__).as_dict() if error.__traceback__ else None
    shown = None if error.__suppress_context__ else error.__context__
    cause = error.__cause__ or shown
    kept = _kept(cause, left - 1) if cause is not None and left else None
    return _Error(_portable(error), trace, kept, error.__cause__ is not None)


def _portable(error: BaseException) -> BaseException | _Made:
    """Return what can be packed and unpacked of an exception by itself."""
    made = _Made(type(error), error.args, error.__dict__)
    for candidate in (error, made):
        try:
            again = cloudpickle.loads(cloudpickle.dumps(candidate, protocol=_PROTOCOL))
            again = again.again() if isinstance(again, _Made) else again
            if str(again) == str(error):
                return candidate
        except Exception:  # noqa: S112  # as its class decides
            continue
    return RuntimeError(describe(error))
