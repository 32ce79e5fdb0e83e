"""Experiments: the exact code of every run, kept in git, with what it ran with and what it produced."""

from dioptra.experiment._data import Data, DataFolder
from dioptra.experiment._environment import environment
from dioptra.experiment._experiment import Capture, Changes, Experiment
from dioptra.experiment._library import Library
from dioptra.experiment._live import ImportContext, current_import, version_of
from dioptra.experiment._logger import Logger
from dioptra.experiment._settings import SETTINGS_FILE, ProjectSettings, read_settings
from dioptra.experiment._snapshot import DummySnapshot, Snapshot, SnapshotRecord

__all__ = [
    "SETTINGS_FILE",
    "Capture",
    "Changes",
    "Data",
    "DataFolder",
    "DummySnapshot",
    "Experiment",
    "ImportContext",
    "Library",
    "Logger",
    "ProjectSettings",
    "Snapshot",
    "SnapshotRecord",
    "current_import",
    "environment",
    "read_settings",
    "version_of",
]
