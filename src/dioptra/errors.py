"""The error tree: every mistake that Dioptra can name, with its code, HTTP status and exit code.

    DioptraError                          1
    ├── UsageError                        2   wrong use of a command or a function
    ├── NotFoundError                     3
    │   ├── EntryPointNotFoundError
    │   ├── ExperimentNotFoundError
    │   ├── JobNotFoundError
    │   ├── SnapshotNotFoundError
    │   └── ProjectNotFoundError          7   (there is no project to look into)
    ├── RefusedError                      4   refused in this state
    ├── StoreUnreachableError             6   the tracking store or a server cannot be reached
    │   └── RunNotEndedError              carries the job that has ended
    ├── InvalidProjectError               7   the MLproject file
    │   └── InvalidParameterError         7   a value given to an entry point
    ├── CaptureError                      7   what of a project cannot be captured
    ├── GitError                          6   git is missing, or the code it keeps cannot be read
    ├── FlowError                         1
    │   ├── NoActiveFlowError             (also ValueError, as scripts of 0.x expect)
    │   ├── FlowParameterError            (also ValueError)
    │   ├── TaskDefinitionError           (also ValueError)
    │   ├── TaskNotIterableError          (also TypeError)
    │   ├── TaskTypeError                 (also TypeError)
    │   └── FlowFailed                    carries the state of the flow that failed
    ├── BasePyPlugsException              1
    │   ├── UnknownPackageError
    │   ├── UnknownPluginError
    │   ├── UnknownPluginFunctionError
    │   └── PluginDefinitionError     (also TypeError)
    ├── BaseTaskPluginError               1   raised by task plugins
    ├── BaseOptionalDependencyError       1   a package that is not installed is needed
    │   ├── ARTDependencyError
    │   ├── CryptographyDependencyError
    │   ├── DaskDependencyError
    │   ├── PrefectDependencyError
    │   └── TensorflowDependencyError
    ├── BaseGenericsRegistryError         1   a generic function is extended or called wrongly
    │   └── EstimatorPredictGenericPredTypeError
    └── ArchiveError                      7   an archive that cannot be unpacked safely

A message is one sentence: what is wrong, where, the value, what would be right.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

__all__ = [
    "ARTDependencyError",
    "ArchiveError",
    "BaseGenericsRegistryError",
    "BaseOptionalDependencyError",
    "BasePyPlugsException",
    "BaseTaskPluginError",
    "CaptureError",
    "CryptographyDependencyError",
    "DaskDependencyError",
    "DioptraError",
    "EntryPointNotFoundError",
    "EstimatorPredictGenericPredTypeError",
    "ExperimentNotFoundError",
    "FlowError",
    "FlowFailed",
    "FlowParameterError",
    "GitError",
    "InvalidParameterError",
    "InvalidProjectError",
    "JobNotFoundError",
    "NoActiveFlowError",
    "NotFoundError",
    "PluginDefinitionError",
    "PrefectDependencyError",
    "ProjectNotFoundError",
    "RefusedError",
    "RunNotEndedError",
    "SnapshotNotFoundError",
    "StoreUnreachableError",
    "TaskDefinitionError",
    "TaskNotIterableError",
    "TaskTypeError",
    "TensorflowDependencyError",
    "UnknownPackageError",
    "UnknownPluginError",
    "UnknownPluginFunctionError",
    "UsageError",
    "did_you_mean",
    "suggest",
]


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return "did you mean 'x'?" when a known word is near, else nothing."""
    from difflib import get_close_matches

    near = get_close_matches(word, list(known), n=1, cutoff=0.7)
    return f"did you mean {near[0]!r}?" if near else ""


def suggest(word: str, known: Iterable[str]) -> str:
    """Return what would be right in place of a word: the nearest one, if there is one, and all that there are."""
    have = sorted(known)
    return f"{did_you_mean(word, have)} (have: {', '.join(have) or 'none'})".lstrip()


class DioptraError(Exception):
    """Something went wrong that Dioptra can name."""

    code = "error"
    http_status = 500
    exit_code = 1

    def __init__(self, message: str | None = None, *, where: str = "", hint: str = "") -> None:
        """Describe the mistake.

        Args:
            message: What is wrong, with the value; the first line of the class's docstring by default.
            where: The place, such as `MLproject line 3`.
            hint: What would be right.
        """
        self.message = message or (type(self).__doc__ or "").partition("\n")[0]
        self.where = where
        self.hint = hint
        super().__init__(str(self))

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        join = " " if self.hint.startswith("(") else "; "
        return place + self.message + (join + self.hint if self.hint else "")

    def to_dict(self) -> dict[str, Any]:
        """Return the error in the one shape that commands and servers print."""
        return {"code": self.code, "message": self.message, "where": self.where, "hint": self.hint}


class UsageError(DioptraError):
    """The command or function was used wrongly."""

    code, http_status, exit_code = "usage", 400, 2


class NotFoundError(DioptraError):
    """What was asked for does not exist."""

    code, http_status, exit_code = "not-found", 404, 3


class EntryPointNotFoundError(NotFoundError):
    """The project has no entry point of that name."""

    code = "entry-point-not-found"


class ExperimentNotFoundError(NotFoundError):
    """There is no experiment of that name."""

    code = "experiment-not-found"


class SnapshotNotFoundError(NotFoundError):
    """There is no snapshot of that name, id or prefix."""

    code = "snapshot-not-found"


class JobNotFoundError(NotFoundError):
    """There is no job with that id or prefix."""

    code = "job-not-found"


class ProjectNotFoundError(NotFoundError):
    """The folder holds no project."""

    code, http_status, exit_code = "project-not-found", 422, 7


class RefusedError(DioptraError):
    """The request is refused in the present state."""

    code, http_status, exit_code = "refused", 409, 4


class StoreUnreachableError(DioptraError):
    """The tracking store or the database of jobs cannot be reached."""

    code, http_status, exit_code = "store-unreachable", 503, 6


class RunNotEndedError(StoreUnreachableError):
    """A job has ended, but the tracking store could not be told."""

    code = "run-not-ended"

    def __init__(self, message: str | None = None, *, job: Any = None) -> None:
        super().__init__(message, hint="its record and its log are in the home")
        self.job = job


class InvalidProjectError(DioptraError):
    """The MLproject file is not valid."""

    code, http_status, exit_code = "invalid-project", 422, 7


class InvalidParameterError(InvalidProjectError):
    """A parameter's value is missing or does not fit its type."""

    code = "invalid-parameter"


class CaptureError(DioptraError):
    """The project holds something that cannot be captured."""

    code, http_status, exit_code = "capture", 422, 7


class GitError(DioptraError):
    """Git is missing, or the code that it keeps cannot be read."""

    code, http_status, exit_code = "git", 503, 6


class ArchiveError(DioptraError):
    """The archive cannot be unpacked safely."""

    code, http_status, exit_code = "invalid-archive", 422, 7


class FlowError(DioptraError):
    """A flow is built or run wrongly."""

    code, http_status, exit_code = "flow", 422, 1


class NoActiveFlowError(FlowError, ValueError):
    """A task was called outside of any flow."""

    code = "no-active-flow"


class FlowParameterError(FlowError, ValueError):
    """A flow was run with missing or unexpected parameters."""

    code = "flow-parameter"


class TaskDefinitionError(FlowError, ValueError):
    """A function cannot be used as a task."""

    code = "task-definition"


class TaskNotIterableError(FlowError, TypeError):
    """A task was unpacked although the number of its results is not known."""

    code = "task-not-iterable"


class TaskTypeError(FlowError, TypeError):
    """A task would be given the result of another task, which is of a type that it does not take."""

    code = "task-type"


class FlowFailed(FlowError):
    """A flow ended failed."""

    code = "flow-failed"

    def __init__(self, message: str | None = None, *, state: Any = None) -> None:
        super().__init__(message)
        self.state = state


class BasePyPlugsException(DioptraError):
    """A task plugin cannot be found or imported."""

    code, http_status = "plugin", 422


class UnknownPackageError(BasePyPlugsException):
    """The package of a task plugin does not exist."""

    code = "unknown-package"


class UnknownPluginError(BasePyPlugsException):
    """The package has no task plugin of that name."""

    code = "unknown-plugin"


class UnknownPluginFunctionError(BasePyPlugsException):
    """The task plugin has no registered function of that name."""

    code = "unknown-plugin-function"


class PluginDefinitionError(BasePyPlugsException, TypeError):
    """Something that is not a function was registered as a task plugin."""

    code = "plugin-definition"


class BaseTaskPluginError(DioptraError):
    """A task plugin was given something that it cannot work with."""

    code, http_status = "task-plugin", 422


class BaseOptionalDependencyError(DioptraError):
    """A package that is not installed is needed."""

    code, http_status = "missing-dependency", 422


class ARTDependencyError(BaseOptionalDependencyError):
    """The Adversarial Robustness Toolbox is needed."""

    code = "missing-art"


class CryptographyDependencyError(BaseOptionalDependencyError):
    """The package cryptography is needed."""

    code = "missing-cryptography"


class DaskDependencyError(BaseOptionalDependencyError):
    """The package distributed, of Dask, is needed."""

    code = "missing-dask"


class PrefectDependencyError(BaseOptionalDependencyError):
    """Prefect is needed."""

    code = "missing-prefect"


class TensorflowDependencyError(BaseOptionalDependencyError):
    """TensorFlow is needed."""

    code = "missing-tensorflow"


class BaseGenericsRegistryError(DioptraError):
    """A generic function was extended or called with something that it cannot work with."""

    code, http_status = "generics", 422


class EstimatorPredictGenericPredTypeError(BaseGenericsRegistryError):
    """There is no such type of prediction."""

    code = "prediction-type"
