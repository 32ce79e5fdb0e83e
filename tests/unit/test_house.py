"""Rules of the house that can be read off the source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "src").rglob("*.py"))

# what: (the module that gives it, who alone may import it)
ONLY = {
    "starts a command": ("subprocess", ("dioptra/worker/", "dioptra/mlproject/", "dioptra/experiment/")),
    "unpacks an archive": ("tarfile", ("dioptra/storage/", "dioptra_builtins/artifacts/mlflow.py")),
    "speaks SQL": ("sqlite3", ("dioptra/tracking/", "dioptra/database/")),
    "loads what can run code": ("pickle", ()),
}


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module or ""


def calls(path: Path) -> Iterator[ast.Call]:
    yield from (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT / "src")))
def test_who_may_do_what(path: Path) -> None:
    name = str(path.relative_to(ROOT / "src"))

    for what, (module, allowed) in ONLY.items():
        if module in imports(path):
            assert name.startswith(allowed), f"{name} {what}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT / "src")))
def test_no_shell_and_no_evaluation(path: Path) -> None:
    for call in calls(path):
        assert not any(keyword.arg == "shell" for keyword in call.keywords), path
        name = call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")
        assert name not in {"eval", "exec", "system", "popen"}, path


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT / "src")))
def test_every_file_says_what_it_is_and_stays_readable(path: Path) -> None:
    text = path.read_text()

    assert ast.get_docstring(ast.parse(text)), f"{path} has no docstring"
    assert text.count("\n") <= 400, f"{path} is long: is it one noun?"


def test_every_part_says_what_is_public() -> None:
    parts = [path for path in SOURCES if path.name == "__init__.py" and path.parent.parent == ROOT / "src" / "dioptra"]

    assert len(parts) > 5
    for path in parts:
        assert "__all__" in path.read_text(), path
