"""What can be said of a task beside its name: when it runs, how often it is tried, how long it may take."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from math import inf
from typing import Any, Final, NamedTuple, TypedDict

from dioptra.errors import TaskDefinitionError, suggest
from dioptra.flow.triggers import Trigger, all_successful, manual_only

__all__ = ["Option", "Options", "Policy", "check_known", "policy_of"]


class Options(TypedDict, total=False):
    """The options of a task that have a meaning in a local run, and those that have none and are let pass."""

    max_retries: int | None
    retry_delay: timedelta | float | None
    retry_backoff: float | None
    retry_on: type[Exception] | Iterable[type[Exception]] | None
    resources: Mapping[str, float] | None
    timeout: timedelta | float | None
    trigger: Trigger | None
    skip_on_upstream_skip: bool
    cache_key: Any
    cache_validator: Any
    checkpoint: Any
    log_stdout: Any
    result: Any
    task_run_name: Any


_IGNORED: Final = frozenset({"cache_key", "cache_validator", "checkpoint", "log_stdout", "result", "task_run_name"})
_REFUSED: Final = {
    "cache_for": "results are not kept between runs; keep them in a file",
    "on_failure": "use a task with trigger=any_failed, or dioptra.flow.listen",
    "state_handlers": "use dioptra.flow.listen",
    "target": "let the task look for its file itself",
}


class Policy(NamedTuple):
    """When a task runs, how often, and for how long; most tasks share one."""

    trigger: Trigger = all_successful
    skip_on_upstream_skip: bool = True
    max_retries: int = 0
    retry_delay: timedelta = timedelta()
    retry_backoff: float = 1.0  # what the delay is multiplied with after each further attempt
    retry_on: tuple[type[Exception], ...] = ()  # nothing means everything
    timeout: float | None = None  # seconds
    resources: Mapping[str, float] = {}  # of a worker of a cluster; never changed

    def may_retry(self, attempt: int, cause: Any) -> bool:
        """Tell whether a task that failed in this attempt is tried again."""
        return attempt <= self.max_retries and (not self.retry_on or isinstance(cause, self.retry_on))

    def delay_after(self, attempt: int) -> float:
        """Return how many seconds to wait after an attempt has failed; the first one is number 1."""
        try:
            delay = self.retry_delay.total_seconds() * self.retry_backoff ** (attempt - 1)
        except OverflowError:
            delay = _LONGEST
        return min(delay, _LONGEST)


_LONGEST = 86_400.0  # seconds between two attempts, however they grow
_PLAIN: Final = Policy()


class Option:
    """An attribute of a task that stands in its policy, and is checked when it is set."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, task: Any, owner: type | None = None) -> Any:
        return self if task is None else getattr(task._policy, self._name)

    def __set__(self, task: Any, value: Any) -> None:
        task._policy = task._policy._replace(**{self._name: _checked(task.name, self._name, value)})


def policy_of(task: str, options: Mapping[str, Any]) -> Policy:
    """Return the policy that the options of a task say.

    Raises:
        TypeError: There is no such option.
        TaskDefinitionError: A value does not fit, or an option of Prefect has no meaning here.
    """
    if not options:
        return _PLAIN
    chosen = {}
    for name, value in options.items():
        check_known(task, name, value)
        if name in Policy._fields:
            chosen[name] = _checked(task, name, value)
    if options.get("retry_delay") is not None and not chosen.get("max_retries"):
        raise TaskDefinitionError(f"task {task!r} has a retry_delay and no max_retries", hint="write max_retries=3")
    if chosen.get("retry_backoff") and not chosen.get("retry_delay"):
        raise TaskDefinitionError(f"task {task!r} has retry_backoff and no retry_delay", hint="write retry_delay=1")
    if chosen.get("retry_on") and not chosen.get("max_retries"):
        raise TaskDefinitionError(f"task {task!r} has retry_on and no max_retries", hint="write max_retries=3")
    return Policy(**chosen)


def check_known(task: str, name: str, value: Any) -> None:
    """Raise unless an option is one that can be given."""
    if name in _REFUSED:
        if value:
            raise TaskDefinitionError(f"task {task!r} cannot have {name}", hint=_REFUSED[name])
    elif name not in Policy._fields and name not in _IGNORED:
        raise TypeError(f"task {task!r} has no option {name!r}; {suggest(name, [*Policy._fields, *_IGNORED])}")


def _checked(task: str, name: str, value: Any) -> Any:
    if value is None:
        return _PLAIN._asdict()[name]
    try:
        return _CHECKS[name](value)
    except (TypeError, ValueError) as error:
        raise TaskDefinitionError(f"task {task!r} cannot have {name}={value!r}; {error}") from None


def _trigger(value: Any) -> Trigger:
    if value is manual_only or not callable(value):
        raise TypeError("use one of dioptra.flow.triggers, or a function of the upstream states")
    return value  # type: ignore[no-any-return]


def _retries(value: Any) -> int:
    if not isinstance(value, int) or value < 0:
        raise ValueError("it is a number of further attempts: 0, 1, 2 ...")
    return int(value)


def _delay(value: Any) -> timedelta:
    delay = value if isinstance(value, timedelta) else timedelta(seconds=value)
    if delay < timedelta():
        raise ValueError("it is a number of seconds, or a timedelta")
    return delay


def _factor(value: Any) -> float:
    factor = float(value)
    if not 1 <= factor < inf:
        raise ValueError("it is a factor of at least 1; 2 doubles the delay after each attempt")
    return factor


def _resources(value: Any) -> Mapping[str, float]:
    amounts = {str(name): float(amount) for name, amount in dict(value).items()}
    if not all(0 < amount < inf for amount in amounts.values()):
        raise ValueError("it says how much of each a worker must have free, such as {'GPU': 1}")
    return amounts


def _seconds(value: Any) -> float:
    seconds = _delay(value).total_seconds()
    if not seconds:
        raise ValueError("it is a number of seconds above 0, or a timedelta")
    return seconds


def _kinds(value: Any) -> tuple[type[Exception], ...]:
    kinds = (value,) if isinstance(value, type) else tuple(value)
    if not all(isinstance(kind, type) and issubclass(kind, Exception) for kind in kinds):
        raise TypeError("it is a class of exceptions, or a list of them")
    return kinds


_CHECKS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "trigger": _trigger,
    "skip_on_upstream_skip": bool,
    "max_retries": _retries,
    "retry_delay": _delay,
    "retry_backoff": _factor,
    "retry_on": _kinds,
    "timeout": _seconds,
    "resources": _resources,
}
