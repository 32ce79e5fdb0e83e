"""The home: the folder that holds jobs and stores, and the paths of everything in it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from dioptra import settings
from dioptra.errors import JobNotFoundError, RefusedError, UsageError
from dioptra.records import Job

__all__ = ["PROJECT_HOME", "AttemptPaths", "Home", "find_home", "make_home", "write_aside"]

PROJECT_HOME = ".dioptra"


def find_home(start: Path | None = None, environ: Mapping[str, str] | None = None) -> Home:
    """Return the home to use: `DIOPTRA_HOME`, else the nearest `.dioptra` upward, else the user's data folder."""
    if chosen := settings.get("home", environ):
        return Home(Path(chosen).expanduser().absolute())
    start = (start or Path.cwd()).absolute()
    for folder in (start, *start.parents):
        if (folder / PROJECT_HOME).is_dir():
            return Home(folder / PROJECT_HOME)
    import platformdirs

    return Home(platformdirs.user_data_path("dioptra", appauthor=False))


def make_home(folder: Path) -> Home:
    """Make `.dioptra` in a folder, ignored by git, so that work below the folder is kept there."""
    home = Home(folder.absolute() / PROJECT_HOME)
    home.make()
    write_aside(home.path / ".gitignore", b"*\n")
    return home


def write_aside(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Write a file whole or not at all: aside first, then moved into place.

    Args:
        path: The file.
        content: What it is to hold.
        durable: Wait until it is on disk; without that, a power cut may leave it empty.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


@dataclass(frozen=True)
class AttemptPaths:
    """The paths of one attempt of a job."""

    folder: Path

    @property
    def log_file(self) -> Path:
        """What the entry point printed."""
        return self.folder / "log.txt"

    @property
    def flow_file(self) -> Path:
        """What each task of its flows did, one JSON object a line."""
        return self.folder / "flow.jsonl"

    def drawing_file(self, number: int) -> Path:
        """The picture of one of its flows; the first one has number 1."""
        return self.folder / (f"flow-{number}.svg" if number > 1 else "flow.svg")

    @property
    def code_dir(self) -> Path:
        """The snapshot, laid out: the folder that the entry point runs in."""
        return self.folder / "code"

    @property
    def conditions_file(self) -> Path:
        """What the attempt ran with: values, seeds, environment, hashes of plugins and inputs."""
        return self.folder / "conditions.json"

    @property
    def held_file(self) -> Path:
        """The file that the process which runs the attempt here and now holds a lock on."""
        return self.folder / "held"

    @property
    def plugin_dir(self) -> Path:
        """The folder with packages of plugins that are not any more what is installed."""
        return self.folder / "plugins"

    @property
    def input_dir(self) -> Path:
        """The folder for what was fetched for the script, one folder for each parameter."""
        return self.folder / "inputs"

    @property
    def output_dir(self) -> Path:
        """The folder for files of the script."""
        return self.folder / "outputs"

    def make(self) -> None:
        """Make the folders, closed to other users."""
        self.folder.mkdir(parents=True, mode=0o700)
        self.output_dir.mkdir()


@dataclass(frozen=True)
class Home:
    """The folder that holds jobs and stores."""

    path: Path

    @property
    def tracking_file(self) -> Path:
        """MLflow's database."""
        return self.path / "mlflow.db"

    @property
    def artifacts_dir(self) -> Path:
        """The folder with the artifacts of MLflow's runs."""
        return self.path / "artifacts"

    @property
    def experiments_dir(self) -> Path:
        """The folder with a folder for each experiment: its code and its snapshots."""
        return self.path / "experiments"

    @property
    def hashes_dir(self) -> Path:
        """The folder that remembers the hashes of data, so that only what has changed is read again."""
        return self.path / "cache" / "hashes"

    @property
    def plugins_dir(self) -> Path:
        """The folder with all task plugins that jobs were submitted with, by the hash of their content."""
        return self.path / "plugins"

    @property
    def listings_dir(self) -> Path:
        """The folder that remembers what lay elsewhere, so that only what has changed is fetched again."""
        return self.path / "cache" / "listings"

    @property
    def collections_dir(self) -> Path:
        """The folder with a folder for each collection of task plugins that no setting names another place for."""
        return self.path / "collections"

    @property
    def envs_dir(self) -> Path:
        """The folder with the environments that projects ask for, by the hash of all that decides on each."""
        return self.path / "envs"

    @property
    def database_file(self) -> Path:
        """The database of jobs, queues and workers."""
        return self.path / "testbed.db"

    @property
    def server_file(self) -> Path:
        """The file with the name of the database of jobs, where that is not the one in the home."""
        return self.path / "database"

    @property
    def jobs_dir(self) -> Path:
        """The folder with a folder for each job."""
        return self.path / "jobs"

    def make(self) -> None:
        """Make the folder; a home that cannot be written is an error that names it."""
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise UsageError(
                f"the home {str(self.path)!r} cannot be made ({error.strerror})",
                hint="set DIOPTRA_HOME to a folder that you can write to",
            ) from error
        if not os.access(self.path, os.W_OK | os.X_OK):
            raise UsageError(
                f"the home {str(self.path)!r} cannot be written to",
                hint="set DIOPTRA_HOME to a folder that you can write to",
            )

    def attempt(self, job_id: str, number: int = 1) -> AttemptPaths:
        """Return the paths of an attempt."""
        return AttemptPaths(self.jobs_dir / job_id / f"attempt-{number}")

    def save(self, job: Job) -> None:
        """Keep the record of a job in the job's folder; the database is what outlives a power cut."""
        self._record(job.id).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_aside(self._record(job.id), json.dumps(job.to_dict(), indent=2).encode() + b"\n", durable=False)

    def forget(self, job: Job) -> None:
        """Remove the folder of a job that never started."""
        shutil.rmtree(self.jobs_dir / job.id, ignore_errors=True)
        with contextlib.suppress(OSError):  # not empty: other jobs are there
            self.jobs_dir.rmdir()

    @contextlib.contextmanager
    def holding(self, job: Job) -> Iterator[None]:
        """Show, for as long as the block runs and the process lives, that an attempt is run by this process."""
        file = self.attempt(job.id, job.attempt).held_file
        with file.open("wb") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            try:
                yield
            finally:
                file.unlink(missing_ok=True)

    def is_held(self, job: Job) -> bool:
        """Tell whether a process runs the job's attempt here and now."""
        try:
            with self.attempt(job.id, job.attempt).held_file.open("rb") as held:
                fcntl.flock(held, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except OSError:  # it is held, or somebody else's
            return True
        return False

    def drop_record(self, job: Job) -> None:
        """Remove the record of a job that was not submitted; what an attempt has made of it stays."""
        self._record(job.id).unlink(missing_ok=True)
        for folder in (self._record(job.id).parent, self.jobs_dir):
            with contextlib.suppress(OSError):  # not empty, or not there
                folder.rmdir()

    def jobs(self) -> list[Job]:
        """Return all jobs whose record can be read, oldest first; `damaged` names the others."""
        found = [self._try_to_load(job_id) for job_id in self._ids()]
        return sorted((job for job in found if job is not None), key=lambda job: job.created_at)

    def damaged(self) -> list[Path]:
        """Return the records that cannot be read."""
        return sorted(self._record(job_id) for job_id in self._ids() if self._try_to_load(job_id) is None)

    def job(self, prefix: str) -> Job:
        """Return the job with an id or a unique prefix of one.

        Raises:
            JobNotFoundError: No job's id starts so.
            UsageError: Several do.
            RefusedError: Its record cannot be read.
        """
        ids = sorted(name for name in self._ids() if prefix and name.startswith(prefix.lower()))
        if not ids:
            raise JobNotFoundError(f"no job {prefix!r} in {self.path}", hint="see `dioptra job list`")
        if len(ids) > 1:
            raise UsageError(f"job {prefix!r} is ambiguous", hint=f"write more of it: {', '.join(ids[:4])}")
        return self._load(ids[0])

    def _ids(self) -> Iterator[str]:
        if self.jobs_dir.is_dir():
            yield from (entry.parent.name for entry in self.jobs_dir.glob("*/job.json"))

    def _record(self, job_id: str) -> Path:
        return self.jobs_dir / job_id / "job.json"

    def _load(self, job_id: str) -> Job:
        try:
            return Job.from_dict(json.loads(self._record(job_id).read_bytes()))
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise RefusedError(
                f"the record {str(self._record(job_id))!r} cannot be read ({type(error).__name__}: {error})",
                hint="what the job left lies beside it",
            ) from error

    def _try_to_load(self, job_id: str) -> Job | None:
        try:
            return self._load(job_id)
        except RefusedError:
            return None
