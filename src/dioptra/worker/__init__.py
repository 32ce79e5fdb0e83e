"""Runs attempts: plans and prepares them, starts commands, streams what they print, and ends all that they started."""

from dioptra.worker._attempt import Attempt
from dioptra.worker._collections import BUILTINS, CUSTOM, Collection, collections
from dioptra.worker._conditions import Conditions, conditions_of_plan, draw_hash_seed
from dioptra.worker._descendants import sweep
from dioptra.worker._endings import Ending
from dioptra.worker._environment import hide_process, job_environment, resolve_program
from dioptra.worker._lease import Lease
from dioptra.worker._lost import end_runs, take_back
from dioptra.worker._plan import LOCAL, Plan, make_plan
from dioptra.worker._plugins import Pins, bundle_of, pin_plugins
from dioptra.worker._prepare import OnFetch, Prepared, Request, prepare
from dioptra.worker._process import run_command
from dioptra.worker._python_env import BuiltEnv, WantedEnv, build_env
from dioptra.worker._runner import Runner
from dioptra.worker._supervised import Supervised
from dioptra.worker._uv import find_uv
from dioptra.worker._worker import Worker

__all__ = [
    "BUILTINS",
    "CUSTOM",
    "LOCAL",
    "Attempt",
    "BuiltEnv",
    "Collection",
    "Conditions",
    "Ending",
    "Lease",
    "OnFetch",
    "Pins",
    "Plan",
    "Prepared",
    "Request",
    "Runner",
    "Supervised",
    "WantedEnv",
    "Worker",
    "build_env",
    "bundle_of",
    "collections",
    "conditions_of_plan",
    "draw_hash_seed",
    "end_runs",
    "find_uv",
    "hide_process",
    "job_environment",
    "make_plan",
    "pin_plugins",
    "prepare",
    "resolve_program",
    "run_command",
    "sweep",
    "take_back",
]
