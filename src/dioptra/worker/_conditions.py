"""What a job runs with: values, seeds, environment, and the hashes of plugins and inputs."""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Container, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Self

from dioptra.errors import DioptraError, RefusedError
from dioptra.experiment import environment
from dioptra.storage import AttemptPaths, Home, hash_content, is_remote, write_aside
from dioptra.worker._plan import Plan
from dioptra.worker._plugins import Pins

__all__ = ["Conditions", "conditions_of_plan", "draw_hash_seed", "input_hashes", "seeds"]

_SEED_NAME = re.compile(r"(.*[_-])?seed")
_HASH_SEED = "PYTHONHASHSEED"


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What an attempt ran with, kept beside its log."""

    project_file: str  # the name of the MLproject file
    entry_point: str
    given: dict[str, str]  # the values that were given, without those that are defaults
    parameters: dict[str, str]
    argv: list[str]
    seeds: dict[str, str]  # parameters that are seeds, and the seed of Python's hashes
    environment: dict[str, Any] = field(default_factory=environment)
    env_manager: str = "local"  # what gave it its environment
    plugins: dict[str, str] = field(default_factory=dict)  # sha256 by collection, or folder of packages
    plugin_sources: dict[str, str] = field(default_factory=dict)  # where each came from, without credentials
    inputs: dict[str, dict[str, Any]] = field(default_factory=dict)  # path, sha256, files, bytes by parameter
    shared: dict[str, dict[str, Any]] = field(default_factory=dict)  # the same by shared folder
    repository: dict[str, Any] | None = None  # of the user, at the moment of the capture

    @property
    def hash_seed(self) -> str:
        """The seed of Python's hashes, which decides on the order of sets of text."""
        return self.seeds.get(_HASH_SEED, "0")

    def to_dict(self) -> dict[str, Any]:
        """Return the conditions as values that JSON can hold."""
        return asdict(self)

    def save(self, paths: AttemptPaths) -> None:
        """Keep the conditions in the attempt's folder."""
        write_aside(paths.conditions_file, json.dumps(self.to_dict(), indent=2).encode() + b"\n")

    @classmethod
    def load(cls, paths: AttemptPaths) -> Self:
        """Return the conditions of an attempt.

        Raises:
            RefusedError: They were not kept, or are damaged.
        """
        try:
            return cls(**_known(cls, json.loads(paths.conditions_file.read_bytes())))
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise RefusedError(
                f"what the job ran with cannot be read from {str(paths.conditions_file)!r} "
                f"({type(error).__name__}: {error})"
            ) from error


def conditions_of_plan(home: Home, plan: Plan, hash_seed: str, plugins: Pins) -> dict[str, Any]:
    """Return what a new snapshot is first run with; inputs that lie elsewhere are not there yet."""
    local = {name for name in plan.parameters if not is_remote(plan.parameters[name])}
    return {
        "entry_point": plan.entry_point.name,
        "argv": plan.argv,
        "parameters": plan.parameters,
        "seeds": seeds(plan.parameters, hash_seed),
        "environment": plan.wanted_env.describe(home) if plan.wanted_env else environment(),
        "plugins": plugins.hashes,
        "inputs": input_hashes(home, plan, {}, local),
    }


def _known(kind: type[Conditions], values: dict[str, Any]) -> dict[str, Any]:
    """Return the values of fields, each of the kind that it should be; a newer version may have kept more."""
    kinds = {"project_file": str, "entry_point": str, "argv": list, "env_manager": str}
    known = {entry.name: values[entry.name] for entry in fields(kind) if values.get(entry.name) is not None}
    for name, value in known.items():
        if not isinstance(value, kinds.get(name, dict)):
            raise TypeError(f"{name} is {value!r}")
    for found in (*known.get("inputs", {}).values(), *known.get("shared", {}).values()):
        if not isinstance(found, dict) or "sha256" not in found:
            raise TypeError(f"{found!r} tells no hash")
    return known


def seeds(parameters: Mapping[str, str], hash_seed: str) -> dict[str, str]:
    """Return the parameters that are seeds by their name, and the seed of Python's hashes."""
    return {name: value for name, value in parameters.items() if _SEED_NAME.fullmatch(name)} | {_HASH_SEED: hash_seed}


def draw_hash_seed(environ: Mapping[str, str] = os.environ) -> str:
    """Return the seed of Python's hashes that the user has set, else a new one."""
    given = environ.get(_HASH_SEED, "random")
    return str(secrets.randbelow(2**32)) if given in ("", "random") else given


def input_hashes(
    home: Home, plan: Plan, fetched: Mapping[str, str], only: Container[str] | None = None
) -> dict[str, dict[str, Any]]:
    """Return path and hash of each input of a plan: files and folders that parameters of type path name.

    Args:
        home: Where hashes are remembered.
        plan: What is run.
        fetched: The local paths of those that lie elsewhere.
        only: The parameters to look at; by default all.
    """
    found = {}
    for name, parameter in plan.entry_point.parameters.items():
        if parameter.type == "path" and (only is None or name in only):
            local = Path(fetched.get(name, plan.parameters[name]))
            cache = None if local.is_relative_to(home.jobs_dir) else home.hashes_dir
            found[name] = {"path": plan.parameters[name], **_hashed(name, local, cache)}
    return found


def _hashed(name: str, path: Path, cache: Path | None) -> dict[str, Any]:
    try:
        return hash_content(path, cache=cache).to_dict()
    except OSError as error:
        raise DioptraError(f"the input {name!r} cannot be read ({error})") from error
