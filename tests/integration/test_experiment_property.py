"""Any tree comes back as it was, and what is captured never depends on what was captured before."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dioptra.errors import CaptureError
from dioptra.experiment import Experiment, Library
from tests.integration.repositories import contents, git, taker, write

EXAMPLES = int(os.environ.get("CAPTURE_EXAMPLES", "40"))
RARELY = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize="CAPTURE_EXAMPLES" not in os.environ,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
NEW = itertools.count()

# --- Any tree -------------------------------------------------------------------------------------------------------

SPECIAL = (
    b"-rf", b"*", b"?", b"[a]", b":", b":(top)x", b":!x", b"\\", b'"', b"'", b"\n", b"\r", b"\t", b" ", b"a ", b"#",
    b"!", b"git~1", b".gitattributes", b"con", b"a\r\n", b"x\xff\xfe", "é".encode(), b"\x01", b"\x7f", b"%s",
    b"~", b"$HOME", b"HEAD", b"refs", b"n" * 250, b"...", b".gitmodules", b"index.lock",
)  # fmt: skip
NEVER = (b".dioptra", b".venv", b"__pycache__", b"mlruns")


def is_captured(name: bytes) -> bool:
    return name not in (b".", b"..", b".gitignore", b".dioptraignore", b"dioptra.toml", *NEVER) and not name.startswith(
        (b".env", b"mlflow.db")
    )


def is_name(name: bytes) -> bool:
    return is_captured(name) and name.lower() != b".git"


ATTRIBUTES = (
    b"* text=auto\n", b"* eol=crlf\n", b"* ident\n", b"* working-tree-encoding=UTF-16\n", b"* filter=lfs\n",
    b"[attr]all text ident eol=crlf filter=x\n* all\n", b"* export-ignore export-subst\n", b"* binary\n",
)  # fmt: skip
NAMES = st.one_of(
    st.sampled_from(SPECIAL),
    st.binary(min_size=1, max_size=12).map(lambda name: name.translate(None, b"/\0") or b"x"),
).filter(is_name)
TEXTS = (b"", b"\n", b"a\r\nb\n", b"\r", b"\xef\xbb\xbfbom\r\n", b"$Id$ $Format:%H$\n", b"\0\1\0", b"x" * 5_000,
         "ü".encode("utf-16"), b"version https://git-lfs.github.com/spec/v1\n")  # fmt: skip
FILES = st.tuples(
    st.sampled_from(["file", "program"]), st.one_of(*map(st.sampled_from, (TEXTS, ATTRIBUTES)), st.binary())
)
LINKS = st.tuples(st.just("link"), st.tuples(st.integers(0, 3), st.lists(NAMES, max_size=2)))
TREES: st.SearchStrategy[dict[bytes, Any]] = st.recursive(
    st.dictionaries(NAMES, st.one_of(FILES, FILES, LINKS), max_size=4),
    lambda inner: st.dictionaries(NAMES, st.one_of(FILES, LINKS, inner), max_size=4),
    max_leaves=12,
)


def plant(folder: bytes, tree: dict[bytes, Any], depth: int = 0) -> None:
    """Write a tree into a new folder."""
    os.mkdir(folder)  # noqa: PTH102 - names are bytes
    for name, node in tree.items():
        full = folder + b"/" + name
        if isinstance(node, dict):
            plant(full, node, depth + 1)
        elif node[0] == "link":
            if b".gitmodules" in full.split(b"/"):  # git keeps no such link, nor one below
                continue
            up, parts = node[1]
            os.symlink(b"/".join([b".."] * min(up, depth) + parts) or b".", full)  # noqa: PTH211
        else:
            kind, content = node
            Path(os.fsdecode(full)).write_bytes(content)
            os.chmod(full, 0o755 if kind == "program" else 0o640)  # noqa: PTH101


@RARELY
@given(tree=TREES, is_repository=st.booleans(), staged=st.booleans())
def test_any_tree_comes_back_as_it_was(
    tmp_path: Path, tree: dict[bytes, Any], is_repository: bool, staged: bool
) -> None:
    place = tmp_path / f"{next(NEW)}"
    project = place / "project"
    place.mkdir()
    plant(bytes(project), tree)
    if is_repository:
        git(project, "init", "-q")
        git(project, "add", "-A", ok=(0, 1, 128)) if staged else None
    expected = {path: content for path, content in contents(project).items() if not path.startswith(".git/")}
    take = taker(Library(tmp_path / "library").open_experiment("x"), place)
    try:
        if expected:
            assert take(project) == expected
            assert take(project) == expected  # this time, the index has a say
    finally:
        shutil.rmtree(place)


# --- Any history ----------------------------------------------------------------------------------------------------

FOLDERS = ("", "a/", "a/b/", "c/", "vendor/")
PATHS = st.builds(str.__add__, st.sampled_from(FOLDERS), st.sampled_from(("f", "g.log", "a", "b", "c", "vendor")))
RULES = st.lists(
    st.sampled_from(("*.log", "!*.log", "*", "!f", "/a", "b/", "c", "f", ".gitignore", "vendor/", "")), max_size=3
)
Step = tuple[Callable[..., object], *tuple[Any, ...]]  # a function, and what it is called with after the project


def clear(project: Path, name: str) -> Path:
    """Make way for a file: whatever is there goes, and files where folders have to be."""
    path = project / name
    for above in [*reversed(path.parents)]:
        if above.is_symlink() or above.is_file():
            above.unlink()
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def put(project: Path, name: str, content: str, in_place: bool) -> None:
    path = project / name
    if not (in_place and path.is_file() and project in path.resolve().parents):
        clear(project, name)
    path.write_text(content)


def link(project: Path, name: str, target: str) -> None:
    clear(project, name).symlink_to("../" * name.count("/") + target)


def rename(project: Path, name: str, to: str) -> None:
    if os.path.lexists(project / name) and not f"{to}/".startswith(f"{name}/") and not name.startswith(f"{to}/"):
        clear(project, to)
        if os.path.lexists(project / name):
            (project / name).rename(project / to)


def chmod(project: Path, name: str, mode: int) -> None:
    if (project / name).is_file():
        (project / name).chmod(mode)


def touch(project: Path, name: str) -> None:
    if (project / name).is_file():
        os.utime(project / name)


def rules(project: Path, name: str, lines: list[str]) -> None:
    put(project, name, "\n".join(lines) + "\n", True)


def by_git(project: Path, *args: str) -> None:
    git(project, *args, ok=(0, 1, 128))


def nest(project: Path, name: str) -> None:
    """Make a repository of a folder."""
    if (project / name).is_dir():
        git(project / name, "init", "-q")
        git(project / name, "add", "-A", ok=(0, 1, 128))


def free(project: Path, name: str) -> None:
    shutil.rmtree(project / name / ".git", ignore_errors=True)


CONTENTS = st.sampled_from(["1\n", "2\n", "3\n", "longer\n"])
IGNORE_FILES = st.sampled_from([*(f"{folder}.gitignore" for folder in FOLDERS), ".dioptraignore", ".git/info/exclude"])
COMMANDS = ("add -A", "commit -qm x", "rm -rq --cached .", "reset -q --hard", "stash -q", "checkout -qb x")
STEPS: st.SearchStrategy[Step] = st.one_of(
    st.tuples(st.just(put), PATHS, CONTENTS, st.booleans()),
    st.tuples(st.just(put), PATHS, CONTENTS, st.booleans()),
    st.tuples(st.just(link), PATHS, PATHS),
    st.tuples(st.just(clear), PATHS),
    st.tuples(st.just(rename), PATHS, PATHS),
    st.tuples(st.just(chmod), PATHS, st.sampled_from([0o755, 0o644])),
    st.tuples(st.just(touch), PATHS),
    st.tuples(st.just(rules), IGNORE_FILES, RULES),
    st.tuples(st.just(by_git), st.sampled_from(["add", "rm"]), st.just("-f"), st.just("--"), PATHS),
    st.sampled_from([(by_git, *command.split()) for command in COMMANDS]),
    st.tuples(st.just(nest), st.sampled_from(["a", "a/b", "vendor"])),
    st.tuples(st.just(free), st.sampled_from(["a", "a/b", "vendor"])),
)


def found(experiment: Experiment, project: Path) -> object:
    """Return what a capture gives, or why it is refused."""
    try:
        captured = experiment.capture(project, conditions=dict)
    except CaptureError as error:
        return str(error)
    repository = captured.repository or {}
    return captured.snapshot.tree, repository.get("head"), repository.get("branch"), repository.get("dirty")


@RARELY
@pytest.mark.parametrize("place", ["", "inner"])
@given(steps=st.lists(st.tuples(STEPS, st.booleans()), min_size=2, max_size=10))
def test_what_is_captured_does_not_depend_on_what_was_captured_before(
    tmp_path: Path, place: str, steps: list[tuple[Step, bool]]
) -> None:
    top = tmp_path / f"{next(NEW)}"
    project = top / "top" / place
    project.mkdir(parents=True)
    git(top / "top", "init", "-q")
    write(project, {"f": "1\n", "g.log": "1\n", "a/f": "1\n", "a/b/f": "1\n", "c/g.log": "1\n"})
    git(top / "top", "add", "-A")
    git(top / "top", "commit", "-qm", "first")
    old = Library(top / "library").add_experiment("old")
    try:
        found(old, project)
        for step, is_looked_at in [*steps, ((touch, "f"), True)]:
            step[0](project, *step[1:])
            if is_looked_at:
                new = Library(top / "library").add_experiment(f"new-{next(NEW)}")
                assert found(old, project) == found(new, project)
    finally:
        shutil.rmtree(top)
