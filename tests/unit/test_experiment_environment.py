"""What a run has around it, read in milliseconds."""

from __future__ import annotations

import json
import os
import platform
import sys
from importlib.metadata import distributions
from pathlib import Path

from dioptra.experiment import environment
from dioptra.experiment._environment import packages


def test_the_present_one() -> None:
    found = environment()

    assert found["python"] == f"CPython {platform.python_version()}"
    assert found["platform"].split()[0] == os.uname().sysname
    assert found["packages"]["numpy"] == __import__("numpy").__version__
    assert json.loads(json.dumps(found)) == found


def test_all_packages_that_the_library_finds() -> None:
    expected = {d.metadata["Name"].lower().replace("_", "-").replace(".", "-"): d.version for d in distributions()}

    assert packages(sys.path) == dict(sorted(expected.items()))


def test_the_first_one_on_the_path_counts(tmp_path: Path) -> None:
    for folder, name in (
        ("a", "My.Pack_age-1.0.dist-info"),
        ("b", "my_pack_age-2.0.dist-info"),
        ("b", "old-0.1-py3.11.egg-info"),
    ):
        (tmp_path / folder / name).mkdir(parents=True)
    (tmp_path / "a" / "not-one").mkdir()

    found = packages([str(tmp_path / "gone"), str(tmp_path / "a"), str(tmp_path / "b")])

    assert found == {"my-pack-age": "1.0", "old": "0.1"}
