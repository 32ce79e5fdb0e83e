"""What is imported when: the package itself, and the sdk, load next to nothing."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import dioptra
from dioptra import errors, flow, sdk
from dioptra.sdk import exceptions
from dioptra.sdk.exceptions import base
from dioptra.sdk.utilities import contexts
from dioptra.sdk.utilities import logging as sdk_logging

HEAVY = ["mlflow", "sqlalchemy", "fastapi", "numpy", "pandas", "structlog", "click", "difflib", "importlib.metadata"]
HEAVY += ["prefect", "boto3"]


def loaded_by(code: str) -> set[str]:
    script = (
        f"import json, sys\nbefore = set(sys.modules)\n{code}\nprint(json.dumps(sorted(set(sys.modules) - before)))"
    )
    return set(json.loads(subprocess.check_output([sys.executable, "-c", script], text=True)))


@pytest.mark.parametrize(
    "code",
    [
        "import dioptra",
        "import dioptra.pyplugs",
        "from dioptra import Flow, FlowFailed, Parameter, State, pyplugs, task",
        "from dioptra.sdk import plugin_dirs; import dioptra.sdk.utilities.logging, dioptra.sdk.exceptions",
        "import dioptra.sdk.generics",
        "from dioptra.sdk.utilities import contexts, decorators, paths, s3",
        "import dioptra.prefect",
    ],
)
def test_nothing_heavy_is_loaded(code: str) -> None:
    assert loaded_by(code) & set(HEAVY) == set()


def test_the_package_alone_loads_only_itself() -> None:
    assert {name for name in loaded_by("import dioptra") if name.startswith("dioptra")} == {"dioptra"}


def test_public_names_of_the_package() -> None:
    assert {name: getattr(dioptra, name) for name in dioptra.__all__}.keys() == set(dioptra.__all__)
    assert set(dioptra.__all__) <= set(dir(dioptra))
    assert dioptra.Flow is flow.Flow
    assert dioptra.__version__[0].isdigit()
    with pytest.raises(AttributeError, match="no attribute 'flows'"):
        dioptra.flows  # type: ignore[attr-defined]  # noqa: B018


def test_public_names_of_the_sdk() -> None:
    assert sdk.plugin_dirs is contexts.plugin_dirs
    assert contexts.__all__ == ["plugin_dirs", "redirect_print", "sys_path_dirs"]
    assert all(callable(getattr(sdk_logging, name)) for name in sdk_logging.__all__)
    with pytest.raises(AttributeError, match="no attribute 'plugin_dir'"):
        sdk.plugin_dir  # type: ignore[attr-defined]  # noqa: B018


def test_the_errors_are_those_of_the_tree() -> None:
    assert exceptions.BaseDioptraError is errors.DioptraError
    for module in (exceptions, base):
        for name in set(module.__all__) - {"BaseDioptraError"}:
            assert getattr(module, name) is getattr(errors, name)
            assert issubclass(getattr(module, name), exceptions.BaseDioptraError)
