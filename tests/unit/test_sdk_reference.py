"""The reference has a heading for every public name of flows, plugins and the sdk, and for no other name."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType

import pytest

from dioptra import executors, flow, pyplugs
from dioptra.flow import graphs
from dioptra.pyplugs import source as pyplugs_source
from dioptra.sdk import exceptions, generics
from dioptra.sdk.utilities import contexts, decorators, logging, paths, s3

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
TEXT = {
    "Without importing",
    "Calling a task",
    "Executors",
    "Options of a task",
    "Pictures",
    "Running a flow",
    "The journal of a job",
    "Types",
    "With the package fixed",
    "Errors",
}
TEXT |= {"Contexts", "Logging", "Exceptions", "Decorators", "Paths", "S3", "Generics"}


@pytest.mark.parametrize(
    ("page", "modules"),
    [
        ("flow", [flow, graphs, executors]),
        ("pyplugs", [pyplugs, pyplugs_source]),
        ("sdk", [contexts, decorators, logging, paths, s3, generics, exceptions]),
    ],
)
def test_every_public_name_has_its_heading(page: str, modules: list[ModuleType]) -> None:
    headings = re.findall(r"^##+ (.+)$", (REFERENCE / f"{page}.md").read_text(encoding="utf-8"), re.MULTILINE)
    names = {name for module in modules for name in module.__all__}
    assert set(headings) - TEXT == names
    assert len(headings) == len(set(headings))
