"""The example of a scikit-learn task does what its page says."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.docs.blocks import Reader

EXAMPLE = Path(__file__).parents[2] / "examples" / "digits_sklearn"


def test_the_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))  # the reader's HOME moves with its folder
    shutil.copytree(EXAMPLE, tmp_path / EXAMPLE.name)
    Reader(tmp_path).follow(EXAMPLE / "README.md")
