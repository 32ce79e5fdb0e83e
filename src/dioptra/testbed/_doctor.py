"""What is installed, where the home is, and what is wrong."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from dioptra import settings
from dioptra.errors import DioptraError, did_you_mean
from dioptra.storage import PROJECT_HOME
from dioptra.testbed._testbed import Testbed
from dioptra.worker import find_uv

__all__ = ["Finding", "examine"]

_OPTIONAL = ("torch", "tensorflow", "prefect", "obstore", "gcsfs")
_MEGABYTES_TO_WORK = 500
# Variables of Dioptra 0.x whose part here is played by something else, or by nothing.
_OF_0X = frozenset(
    """
    DIOPTRA_BASE_URL DIOPTRA_CORS_ORIGIN DIOPTRA_CUSTOM_PLUGINS_S3_URI DIOPTRA_DEPLOY_SECRET_KEY
    DIOPTRA_MLFLOW_RUN_LOG_AS_JSON DIOPTRA_MLFLOW_RUN_LOG_LEVEL DIOPTRA_MLFLOW_TRACKING_DATABASE_URI
    DIOPTRA_PLUGINS_BUCKET DIOPTRA_PLUGINS_S3_URI DIOPTRA_RESTAPI_DATABASE_URI DIOPTRA_RESTAPI_DEV_DATABASE_URI
    DIOPTRA_RESTAPI_ENV DIOPTRA_RESTAPI_LOG_AS_JSON DIOPTRA_RESTAPI_LOG_LEVEL DIOPTRA_RESTAPI_TEST_DATABASE_URI
    DIOPTRA_RESTAPI_URI DIOPTRA_RQ_JOB_ID DIOPTRA_RQ_WORKER_LOG_AS_JSON DIOPTRA_RQ_WORKER_LOG_LEVEL
    DIOPTRA_SWAGGER_PATH DIOPTRA_WORKDIR
    """.split()  # noqa: SIM905 - readable as it stands
)


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    name: str
    state: str  # "ok", "note" or "wrong"
    sentence: str


def examine(testbed: Testbed, environ: Mapping[str, str] | None = None) -> list[Finding]:
    """Look at everything a job needs, and say what is found; nothing is made."""
    environ = os.environ if environ is None else environ
    return [
        Finding("python", "ok", f"{platform.python_version()} at {sys.executable}"),
        *_packages(),
        *_programs(environ),
        _uv(environ),
        _home(testbed, environ),
        _store(testbed),
        _database(testbed),
        *_kept(testbed),
        *_variables(environ),
    ]


def _packages() -> Iterator[Finding]:
    """Compare what is installed with what Dioptra declares that it needs."""
    from packaging.requirements import Requirement

    yield Finding("dioptra", "ok", version("dioptra-testbed"))
    for text in requires("dioptra-testbed") or ():
        need = Requirement(text)
        if need.marker is None or need.marker.evaluate({"extra": ""}):
            yield _package(need.name, str(need.specifier))
    for name in _OPTIONAL:
        found = _version(name)
        yield Finding(name, "note", found or "not installed; only some projects need it")


def _package(name: str, specifier: str) -> Finding:
    from packaging.specifiers import SpecifierSet

    found = _version(name)
    if found is None:
        return Finding(name, "wrong", f"not installed; pip install '{name}{specifier}'")
    if not SpecifierSet(specifier).contains(found, prereleases=True):
        return Finding(
            name, "wrong", f"{found} is installed, but {specifier} is needed; pip install '{name}{specifier}'"
        )
    return Finding(name, "ok", found)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _programs(environ: Mapping[str, str]) -> Iterator[Finding]:
    needed = (("git", "the code of runs is kept with it; install it", "wrong"),
              ("bash", "commands with shell operators need it", "note"))  # fmt: skip
    for name, use, state in needed:
        place = shutil.which(name, path=environ.get("PATH"))
        yield Finding(name, "ok" if place else state, place or f"not found on the PATH; {use}")


def _uv(environ: Mapping[str, str]) -> Finding:
    try:
        return Finding("uv", "ok", find_uv(environ))
    except DioptraError:
        return Finding("uv", "note", "not installed; only projects with a python_env need it")


def _home(testbed: Testbed, environ: Mapping[str, str]) -> Finding:
    path = testbed.home.path
    how = "named by DIOPTRA_HOME" if settings.get("home", environ) else "found as described in the reference"
    existing = next(folder for folder in (path, *path.parents) if folder.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        return Finding(
            "home", "wrong", f"{path} cannot be written to; set DIOPTRA_HOME to a folder that you can write to"
        )
    free = shutil.disk_usage(existing).free // 1_000_000
    state = "ok" if free >= _MEGABYTES_TO_WORK else "wrong"
    return Finding("home", state, f"{path}, {how}; {free:,} MB free")


def _database(testbed: Testbed) -> Finding:
    """Say what is in the database of jobs, and whether anybody would run one."""
    if not testbed.has_jobs:
        return Finding("jobs", "ok", "none yet; the first one makes their database")
    try:
        name, counts = testbed.database.name, testbed.tally("status")
        alive = [worker for worker in testbed.database.workers.list() if worker.is_alive]
    except DioptraError as error:
        return Finding("jobs", "wrong", str(error))
    return Finding("jobs", "ok", f"{name}; {sum(counts.values())} jobs, {len(alive)} workers")


def _kept(testbed: Testbed) -> Iterator[Finding]:
    """Name what lies in the home and cannot be read."""
    for name, sentence in testbed.library.broken().items():
        yield Finding(f"experiment {name}", "wrong", sentence)
    damaged = [file for entry in testbed.library.load_experiments().values() for file in entry.broken()]
    for file in (*damaged, *testbed.home.damaged()):
        yield Finding(file.parent.name, "wrong", f"the record {file} cannot be read; repair it, or move it away")


def _store(testbed: Testbed) -> Finding:
    tracking = testbed.tracking
    try:
        tracking.check_place()
        if tracking.file is not None and not tracking.file.exists():
            return _store_to_be(tracking.name, tracking.file)
        count = tracking.count_experiments()
    except DioptraError as error:
        return Finding("tracking store", "wrong", str(error))
    return Finding("tracking store", "ok", f"{tracking.name}; it answers, {count} experiments")


def _store_to_be(name: str, file: Path) -> Finding:
    if file.parent.exists() or file.parent.name == PROJECT_HOME or not settings.get("tracking_uri"):
        return Finding("tracking store", "ok", f"{name}; the first job makes it")
    return Finding("tracking store", "wrong", f"{name} lies in a folder that does not exist; check MLFLOW_TRACKING_URI")


def _variables(environ: Mapping[str, str]) -> Iterator[Finding]:
    known = {setting.variable: setting for setting in settings.SETTINGS}
    for name in sorted(name for name in environ if name.startswith("DIOPTRA_")):
        if name in known:
            yield _known_variable(known[name], environ[name])
        elif name in _OF_0X:
            yield Finding(name, "note", "belongs to Dioptra 0.x and means nothing here")
        else:
            yield Finding(name, "wrong", f"is not a setting; {did_you_mean(name, known) or 'see the reference'}")


def _known_variable(setting: settings.Setting, value: str) -> Finding:
    if setting.name == "plugin_dir":
        gone = [entry for entry in value.split(":") if entry and not Path(entry).is_dir()]
        if gone:
            return Finding(setting.variable, "wrong", f"{', '.join(gone)} is not a folder; correct it or leave it out")
    return Finding(setting.variable, "ok", _without_secrets(value) if setting.name == "database_url" else value)


def _without_secrets(url: str) -> str:
    from dioptra.database import Database

    try:
        return Database(url).name
    except DioptraError:
        return "is no address of a database"
