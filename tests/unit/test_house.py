"""Rules of the house that can be read off the source."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from dioptra.errors import BaseOptionalDependencyError

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "src").rglob("*.py"))

# what: (the module that gives it, who alone may import it)
ONLY = {
    "starts a command": ({"subprocess", "multiprocessing", "pty"}, ("dioptra/worker/", "dioptra/experiment/")),
    "unpacks an archive": ({"tarfile", "zipfile"}, ("dioptra/storage/", "dioptra_builtins/artifacts/mlflow.py")),
    "speaks SQL": ({"sqlite3", "sqlalchemy", "psycopg"}, ("dioptra/tracking/", "dioptra/database/")),
    "loads what can run code": (
        {"pickle", "cloudpickle", "joblib", "dill", "marshal", "shelve"},
        ("dioptra/executors/",),  # a cluster is inside the trust line
    ),
}
CALLS = {"eval", "exec", "system", "popen", "fork", "create_subprocess_exec", "create_subprocess_shell"}


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

    imported = {module.partition(".")[0] for module in imports(path)}
    for what, (modules, allowed) in ONLY.items():
        if modules & imported:
            assert name.startswith(allowed), f"{name} {what}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT / "src")))
def test_no_shell_and_no_evaluation(path: Path) -> None:
    for call in calls(path):
        assert not any(keyword.arg == "shell" for keyword in call.keywords), path
        if isinstance(call.func, ast.Attribute) and ast.unparse(call.func.value) == "self":
            continue  # a method of the class itself, such as a task's eval
        name = call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")
        assert name not in CALLS or (path.name, name) == ("_supervisor.py", "fork"), path
        if path.name != "_supervisor.py":  # which is small, so that each attempt can have one
            assert not name.startswith(("spawn", "posix_spawn", "execv", "execl")), path


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT / "src")))
def test_every_file_says_what_it_is_and_stays_readable(path: Path) -> None:
    text = path.read_text()

    assert ast.get_docstring(ast.parse(text)), f"{path} has no docstring"
    assert text.count("\n") <= 400, f"{path} is long: is it one noun?"


PACKAGES = (ROOT / "src" / "dioptra").glob("*/__init__.py")
PARTS = sorted(path.parent.name for path in PACKAGES if path.parent.name not in ("examples", "sdk"))


@pytest.mark.parametrize("part", PARTS)
def test_every_part_says_what_is_public(part: str) -> None:
    module = importlib.import_module(f"dioptra.{part}")
    ours = {
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and str(getattr(value, "__module__", "")).startswith("dioptra.")
    }

    assert ours <= set(module.__all__)
    assert all(is_there(module, name) for name in module.__all__)


def is_there(module: ModuleType, name: str) -> bool:
    try:
        return hasattr(module, name)
    except BaseOptionalDependencyError:  # what it stands on is not installed
        return True
