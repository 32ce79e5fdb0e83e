"""Runs attempts: starts an entry point's command, streams what it prints, and ends all that it started."""

from dioptra.worker._environment import job_environment, resolve_program
from dioptra.worker._process import Ending, run_command

__all__ = ["Ending", "job_environment", "resolve_program", "run_command"]
