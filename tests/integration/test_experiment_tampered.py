"""Code that was tampered with in its store: refused when it is laid out, and nothing is written outside."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dioptra.errors import DioptraError, GitError, RefusedError
from dioptra.experiment import Experiment, Library
from dioptra.experiment._blobs import store_loose
from dioptra.records import now
from tests.integration.repositories import contents, write


@pytest.fixture
def experiment(tmp_path: Path) -> Experiment:
    return Library(tmp_path / "library").open_experiment("x")


FILE, PROGRAM, LINK, FOLDER, MODULE = b"100644", b"100755", b"120000", b"40000", b"160000"
Nodes = dict[bytes, tuple[bytes, object]] | list[tuple[bytes, tuple[bytes, object]]]


def plant(git_dir: Path, nodes: Nodes) -> str:
    """Store a tree as git never would."""
    raw = b""
    for name, (mode, content) in nodes.items() if isinstance(nodes, dict) else nodes:
        if isinstance(content, dict | list):
            oid = plant(git_dir, content)
        elif isinstance(content, bytes):
            oid = store_loose(git_dir, b"blob", content)
        else:
            oid = "12" * 20  # there is no such object
        raw += mode + b" " + name + b"\0" + bytes.fromhex(oid)
    return store_loose(git_dir, b"tree", raw)


X = (FILE, b"x")
WELL = (b"train.py", X)
OUTSIDE: dict[str, Nodes] = {
    "up": {b"..": (FOLDER, {b"evil": X})},
    "up with a slash": {b"../evil": X},
    "deep": {b"a": (FOLDER, {b"..": (FOLDER, {b"..": (FOLDER, {b"evil": X})})})},
    "absolute": {b"/tmp/evil": X},
    "itself": {b".": (FOLDER, {b"evil": X})},
    "git": {b".git": (FOLDER, {b"hooks": (FOLDER, {b"post-checkout": (PROGRAM, b"x")})})},
    "GIT": {b"a": (FOLDER, {b".GIT": (FOLDER, {b"config": X})})},
    "a submodule": {b"lib": (MODULE, None)},
    "a link out": {b"link": (LINK, b"../evil")},
    "a link to a file": {b"link": (LINK, b"/etc/passwd")},
    "a deep link": {b"a": (FOLDER, {b"link": (LINK, b"../../evil")})},
    "a winding link": {b"a": (FOLDER, {b"link": (LINK, b"x/../../../evil")})},
    "a link to nothing": {b"link": (LINK, b"")},
    "a link with a zero": {b"link": (LINK, b"a\0b")},
    "through a link": [(b"a", (LINK, b".")), (b"a", (FOLDER, {b"evil": X}))],
    "through a link to a link": [(b"a", (LINK, b"b")), (b"a", (FOLDER, {b"evil": (LINK, b"x")}))],
    "a file and a folder": [(b"a", X), (b"a", (FOLDER, {b"evil": X}))],
    "twice": [(b"a", X), (b"a", (PROGRAM, b"y"))],
}


@pytest.mark.parametrize("nodes", OUTSIDE.values(), ids=OUTSIDE)
def test_what_would_leave_its_folder_is_refused_before_anything_is_written(
    experiment: Experiment, tmp_path: Path, nodes: Nodes
) -> None:
    items = list(nodes.items()) if isinstance(nodes, dict) else nodes
    commit = experiment.code.commit(plant(experiment.code.git_dir, [*items, WELL]), "x", now())
    place = tmp_path / "jobs/1/code"
    place.parent.mkdir(parents=True)

    with pytest.raises(RefusedError, match="the snapshot holds "):
        experiment.code.lay_out(commit, place)

    assert contents(tmp_path / "jobs") == {}
    assert not Path("/tmp/evil").exists()  # noqa: S108


BROKEN: dict[str, Nodes] = {
    "a missing file": {b"a": (FILE, None)},
    "a missing link": {b"a": (LINK, None)},
    "a missing folder": {b"a": (FOLDER, None)},
    "a folder as file": {b"a": (FILE, {b"b": X})},
    "a file as folder": {b"a": (FOLDER, b"x")},
    "no name": {b"": X},
    "a name too long": {b"n" * 300: X},
}


@pytest.mark.parametrize("nodes", BROKEN.values(), ids=BROKEN)
def test_what_is_broken_is_one_sentence(
    experiment: Experiment, tmp_path: Path, nodes: dict[bytes, tuple[bytes, object]]
) -> None:
    commit = experiment.code.commit(plant(experiment.code.git_dir, nodes), "x", now())

    with pytest.raises(DioptraError):
        experiment.code.lay_out(commit, tmp_path / "place")

    assert contents(tmp_path / "place") == {}


@pytest.mark.parametrize(
    "damage", [lambda content: content[: len(content) // 2], lambda content: b"x" + content, lambda _: b""]
)
def test_a_damaged_object_is_noticed(experiment: Experiment, tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    project = write(tmp_path / "project", {"train.py": bytes(range(256)) * 50})
    snapshot = experiment.capture(project).snapshot
    (object_,) = (p for p in experiment.code.git_dir.glob("objects/??/*") if p.stat().st_size > 300)
    object_.chmod(0o644)
    object_.write_bytes(damage(object_.read_bytes()))

    with pytest.raises(GitError, match="train.py"):
        experiment.lay_out(snapshot, tmp_path / "place")


@pytest.mark.parametrize("name", ["--help", "HEAD", "refs/code", "last", "a" * 39, "A" * 40, "a" * 40 + "\n", "-" * 40])
def test_only_whole_hashes_reach_git(experiment: Experiment, tmp_path: Path, name: str) -> None:
    with pytest.raises(GitError, match="is not the name of a commit"):
        experiment.code.lay_out(name, tmp_path / "place")
