"""What importing costs: nothing heavy before it is needed."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {"mlflow", "sqlalchemy", "fastapi", "numpy", "pandas", "matplotlib", "art", "sklearn", "jinja2", "rich"}


def loaded(code: str) -> set[str]:
    code += "\nimport sys; print(' '.join({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "code",
    [
        "import dioptra",
        "import dioptra.pyplugs",
        "import dioptra.flow",
        "from dioptra import Flow, Parameter, task, pyplugs",
        "import dioptra.cli",
        "from dioptra.testbed import Testbed; Testbed('/nowhere')",
    ],
)
def test_an_import_loads_nothing_heavy(code: str) -> None:
    assert not HEAVY & loaded(code)


@pytest.mark.parametrize("code", ["import dioptra.testbed, dioptra.results", "import dioptra.tracking"])
def test_the_command_imports_no_learning_library(code: str) -> None:
    assert not {"art", "sklearn", "torch", "mlflow"} & loaded(code)
