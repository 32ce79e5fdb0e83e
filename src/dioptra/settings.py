"""The settings: one table with name, environment variable, default and what each means."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["SETTINGS", "Setting", "flag", "get"]


@dataclass(frozen=True)
class Setting:
    """One setting, read from an environment variable."""

    name: str
    variable: str
    default: str
    sentence: str
    set_by: str = "user"  # or "testbed": set for the process of a job, never read from a user


SETTINGS: tuple[Setting, ...] = (
    Setting("home", "DIOPTRA_HOME", "", "Folder that holds jobs and the tracking store."),
    Setting("plugin_dir", "DIOPTRA_PLUGIN_DIR", "", "Folders with task plugins, separated by colons."),
    Setting("plugins", "DIOPTRA_PLUGINS", "", "Collections of task plugins, NAME=PLACE, separated by commas."),
    Setting("plugins_s3_uri", "DIOPTRA_PLUGINS_S3_URI", "", "Place of the collection `dioptra_builtins`."),
    Setting("custom_plugins_s3_uri", "DIOPTRA_CUSTOM_PLUGINS_S3_URI", "", "Place of the collection `dioptra_custom`."),
    Setting("executor", "DIOPTRA_EXECUTOR", "sequential", "Where the tasks of a flow run, unless the script says it."),
    Setting("job_log_level", "DIOPTRA_JOB_LOG_LEVEL", "INFO", "Level at which an entry point's script logs."),
    Setting("job_log_as_json", "DIOPTRA_JOB_LOG_AS_JSON", "", "Any text makes an entry point's script log JSON."),
    Setting("database_url", "DIOPTRA_DATABASE_URL", "", "Database of jobs to use instead of the one in the home."),
    Setting("tracking_uri", "MLFLOW_TRACKING_URI", "", "MLflow store to use instead of the one in the home."),
    Setting("job_id", "DIOPTRA_JOB_ID", "", "Id of the job that the process belongs to.", "testbed"),
    Setting("run_id", "DIOPTRA_RUN_ID", "", "MLflow run of the attempt.", "testbed"),
    Setting("experiment", "DIOPTRA_EXPERIMENT", "", "Name of the experiment that the run is in.", "testbed"),
    Setting("worker_pid", "DIOPTRA_WORKER_PID", "", "Id of the process that runs the attempt.", "testbed"),
    Setting("attempt", "DIOPTRA_ATTEMPT", "", "Job and number of the attempt that the process belongs to.", "testbed"),
    Setting("attempt_dir", "DIOPTRA_ATTEMPT_DIR", "", "Folder of the job's attempt.", "testbed"),
    Setting("snapshot", "DIOPTRA_SNAPSHOT", "", "Name of the snapshot that the job runs.", "testbed"),
    Setting("output_dir", "DIOPTRA_OUTPUT_DIR", "", "Folder of the attempt for files of the script.", "testbed"),
    Setting("show_flow", "DIOPTRA_SHOW_FLOW", "", "File that takes the first flow's graph; no flow is run.", "testbed"),
)


def get(name: str, environ: Mapping[str, str] | None = None) -> str:
    """Return the value of a setting, its default when the variable is unset or empty."""
    setting = next(entry for entry in SETTINGS if entry.name == name)
    return (os.environ if environ is None else environ).get(setting.variable) or setting.default


def flag(name: str, environ: Mapping[str, str] | None = None) -> bool:
    """Tell whether a setting is on: any text that is not empty is."""
    return bool(get(name, environ))
