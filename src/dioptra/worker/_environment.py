"""The environment and the program of an attempt."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from dioptra.errors import InvalidProjectError
from dioptra.prefect import STAND_IN_DIR
from dioptra.tracking import IN_JOB_DIR
from dioptra.worker._supervisor import prctl

if TYPE_CHECKING:
    from dioptra.worker._python_env import BuiltEnv

__all__ = ["for_jobs", "hide_process", "job_environment", "resolve_program"]

_FOR_JOBS = {  # of the variables of the testbed, all that a job may see; the others belong to its server and workers
    "DIOPTRA_EXECUTOR",
    "DIOPTRA_HOME",
    "DIOPTRA_JOB_LOG_AS_JSON",
    "DIOPTRA_JOB_LOG_LEVEL",
    "DIOPTRA_PLUGIN_DIR",
}
_PR_SET_DUMPABLE = 4
_OF_POSTGRESQL = {  # which the testbed's own database may be reached with
    *("PGDATABASE", "PGHOST", "PGHOSTADDR", "PGOPTIONS", "PGPASSFILE", "PGPASSWORD", "PGPORT", "PGSERVICE"),
    *("PGSERVICEFILE", "PGSSLCERT", "PGSSLKEY", "PGSSLPASSWORD", "PGUSER"),
}
_OF_SERVERS = {"MLFLOW_BACKEND_STORE_URI", "MLFLOW_FLASK_SERVER_SECRET_KEY"}  # read by `mlflow server` only


def job_environment(
    additions: Mapping[str, str], base: Mapping[str, str] | None = None, env: BuiltEnv | None = None
) -> dict[str, str]:
    """Return the environment of an attempt: that of this process, without what is the testbed's own.

    `python` is the interpreter that runs dioptra, or that of the project's own environment: its folder comes first on
    the path. Python's output is not held back, so that it can be followed as it is printed. `import prefect` finds the
    stand-in, behind the user's modules.
    """
    environment = for_jobs(os.environ if base is None else base)
    path = environment.get("PATH", os.defpath)
    environment["PATH"] = os.pathsep.join([str(env.bin_dir if env else Path(sys.executable).parent), path])
    if env:
        environment["VIRTUAL_ENV"] = str(env.folder)
        environment.pop("PYTHONHOME", None)
    ours = [str(IN_JOB_DIR), str(STAND_IN_DIR)]
    given = [entry for entry in environment.get("PYTHONPATH", "").split(os.pathsep) if entry and entry not in ours]
    environment["PYTHONPATH"] = os.pathsep.join([ours[0], *given, ours[1]])
    environment["PYTHONUNBUFFERED"] = "1"
    environment.setdefault("GIT_PYTHON_REFRESH", "quiet")
    return environment | dict(additions)


def for_jobs(base: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of an environment that are not the testbed's own, which code of projects may see."""
    hidden = _OF_POSTGRESQL if "DIOPTRA_DATABASE_URL" in base else ()
    return {name: value for name, value in base.items() if _is_for_jobs(name) and name not in hidden}


def _is_for_jobs(variable: str) -> bool:
    if variable.startswith("DIOPTRA_"):
        return variable in _FOR_JOBS
    return variable not in _OF_SERVERS


def hide_process() -> None:
    """Keep this process's memory and environment from other processes of the same user, such as jobs; root sees all."""
    prctl(_PR_SET_DUMPABLE, 0)


def resolve_program(argv: list[str], *, folder: Path, environment: Mapping[str, str], where: str) -> None:
    """Check that the program of a command is there and can be executed, before anything is started.

    Raises:
        InvalidProjectError: It is not.
    """
    if not argv or not argv[0]:
        raise InvalidProjectError("the command names no program", where=where, hint="write `command: python ...`")
    program = argv[0]
    if os.sep in program:
        if not os.access(folder / program, os.X_OK) or (folder / program).is_dir():
            problem = "cannot be executed" if (folder / program).exists() else f"was not found in {str(folder)!r}"
            raise InvalidProjectError(f"the program {program!r} {problem}", where=where, hint="see `chmod +x`")
    elif shutil.which(program, path=environment.get("PATH")) is None:
        raise InvalidProjectError(
            f"the program {program!r} was not found on the PATH", where=where, hint="install it, or correct its name"
        )
