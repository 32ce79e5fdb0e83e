"""The data of a snapshot: what is kept, what is refused, and what a damaged file does."""

from __future__ import annotations

import enum
import json
import logging
import math
import os
import pickle
import stat
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dioptra.errors import RefusedError, UsageError
from dioptra.experiment._data import Block, Data, DataFolder
from dioptra.experiment._snapshot import DummySnapshot, Snapshot, SnapshotRecord

RECORD = SnapshotRecord(
    name="20260102-030405-abcdefgh",
    uid="abcdefgh",
    commit="1" * 40,
    tree="2" * 40,
    created_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    conditions={"python": "3.11", "packages": {"numpy": "2"}},
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / RECORD.name


@pytest.fixture
def snapshot(folder: Path) -> Snapshot:
    return Snapshot.create(folder, RECORD)


@pytest.fixture(params=["folder", "memory"])
def data(request: pytest.FixtureRequest, tmp_path: Path) -> Data:
    return DataFolder(tmp_path) if request.param == "folder" else DummySnapshot()


def keep(data: Data, name: str, value: Any) -> Any:
    with data.custom_storage() as storage:
        storage.store(name, value)
    return data.custom_data[name]


def fill(block: AbstractContextManager[Block], *steps: tuple[str, str, Any]) -> None:
    with block as storage:
        for verb, name, value in steps:
            getattr(storage, verb)(name, value)


class Tensor:
    """Has what a tensor has."""

    def __init__(self, content: Any) -> None:
        self.content = content

    def tolist(self) -> Any:
        return self.content


class Color(str, enum.Enum):  # noqa: UP042 - prints otherwise than a StrEnum
    RED = "red"


VALUES = [
    (None, None),
    (True, True),
    (3, 3),
    (0.1 + 0.2, 0.1 + 0.2),
    (math.inf, math.inf),
    (-math.inf, -math.inf),
    ("é\ud800\n", "é\ud800\n"),
    (Color.RED, "red"),
    ((1, (2, 3)), [1, [2, 3]]),
    ({"a": {"b": [1, None]}}, {"a": {"b": [1, None]}}),
    (np.float32(0.5), 0.5),
    (np.float64(0.5), 0.5),
    (np.int64(7), 7),
    (np.bool_(True), True),
    (np.str_("text"), "text"),
    (np.array([[1, 2], [3, 4]], dtype=np.uint8), [[1, 2], [3, 4]]),
    (np.array(2.5), 2.5),
    ([np.float32(1.5), {"x": np.arange(2)}], [1.5, {"x": [0, 1]}]),
    (Tensor([[0.5]]), [[0.5]]),
    (Tensor(0.5), 0.5),
]


@pytest.mark.parametrize(("value", "kept"), VALUES, ids=lambda value: repr(value)[:30])
def test_values_are_kept_as_plain_ones(data: Data, value: Any, kept: Any) -> None:
    found = keep(data, "x", value)

    assert found == kept
    assert type(found) is type(kept)


def test_nan_is_kept(data: Data) -> None:
    assert math.isnan(keep(data, "x", [math.nan])[0])


def contains_itself() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


REFUSED = [
    (object(), "object"),
    ({1, 2}, "set"),
    (b"bytes", "bytes"),
    (1j, "complex"),
    (np.array([1j]), "complex"),
    (np.array([object()]), "object"),
    (np.datetime64("2026-01-01"), "date"),
    (np.float64, "type"),
    ({1: 2}, "key 1 of type int"),
    ([{"a": {None: 2}}], "key None of type NoneType"),
    (Tensor(Tensor(1)), "Tensor"),
    (contains_itself(), "contains itself"),
]


@pytest.mark.parametrize(("value", "word"), REFUSED, ids=lambda value: type(value).__name__)
def test_other_values_are_refused_before_anything_is_written(data: Data, value: Any, word: str) -> None:
    with pytest.raises(UsageError, match=rf"(?s){word}") as caught:
        fill(data.test_storage(), ("store", "fine", 1), ("store", "odd one", value))

    assert "'odd one'" in caught.value.message
    assert not data.test_data


@pytest.mark.parametrize("name", ["", None, 3])
def test_a_name_is_text(data: Data, name: Any) -> None:
    with pytest.raises(UsageError, match="no name"), data.train_storage() as storage:
        storage.append(name, 1)


def test_each_kind_has_its_own_names(data: Data) -> None:
    blocks = [data.train_storage, data.val_storage, data.test_storage, data.custom_storage]
    for number, block in enumerate(blocks):
        with block() as storage:
            storage.store("x", number)

    assert [data.train_data["x"], data.val_data["x"], data.test_data["x"], data.custom_data["x"]] == [0, 1, 2, 3]


def test_store_replaces_and_append_grows(data: Data) -> None:
    for n in range(3):
        with data.train_storage() as storage:
            storage.store("last", n)
            storage.append("all", n)
            storage.append("all", [n])

    assert data.train_data == {"last": 2, "all": [0, [0], 1, [1], 2, [2]]}


def test_append_goes_on_with_a_stored_list(data: Data) -> None:
    keep(data, "x", (1, 2))
    with data.custom_storage() as storage:
        storage.append("x", 3)

    assert data.custom_data["x"] == [1, 2, 3]


@pytest.mark.parametrize("before", [5, None, "text", {"a": [1]}])
def test_append_to_what_is_no_list_is_refused_with_the_whole_block(data: Data, before: Any) -> None:
    keep(data, "x", before)
    with pytest.raises(UsageError, match="custom data 'x' is not a list"):
        fill(data.custom_storage(), ("store", "y", 1), ("append", "x", 2))

    assert data.custom_data == {"x": before}


def test_append_follows_a_store_of_the_same_block(data: Data) -> None:
    keep(data, "x", 5)
    fill(data.custom_storage(), ("store", "x", []), ("append", "x", 1))
    with pytest.raises(UsageError, match="not a list"):
        fill(data.custom_storage(), ("store", "x", 6), ("append", "x", 1))

    assert data.custom_data == {"x": [1]}


def test_nothing_of_a_block_that_raises_is_written(data: Data) -> None:
    def fail() -> None:
        with data.train_storage() as storage:
            storage.store("x", 1)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()

    assert not data.train_data


def test_a_block_that_has_ended_takes_nothing(data: Data) -> None:
    with data.train_storage() as storage:
        storage.store("x", 1)
    with pytest.raises(UsageError, match="has ended"):
        storage.store("y", 2)

    assert data.train_data == {"x": 1}


def test_values_cannot_be_changed_from_outside(data: Data) -> None:
    given: dict[str, Any] = {"deep": [1]}
    with data.custom_storage() as storage:
        storage.store("x", given)
        storage.store("y", [given])
        given["deep"].append(2)
    view = data.custom_data
    view["x"]["deep"].append(3)
    view["y"].append(4)
    view["y"][0]["deep"].append(5)

    assert view == data.custom_data == {"x": {"deep": [1]}, "y": [{"deep": [1]}]}
    assert not hasattr(view, "__setitem__")


def test_a_view_stays_as_it_was(data: Data) -> None:
    keep(data, "x", [1])
    view = data.custom_data
    with data.custom_storage() as storage:
        storage.append("x", 2)
        storage.store("y", 1)

    assert view == {"x": [1]}
    assert repr(view) == "{'x': [1]}"
    assert "y" in data.custom_data


def test_the_model_file_registered_last_is_the_last(data: Data) -> None:
    for name in ("a.pt", "b.pt", "a.pt"):
        data.register_model_file(name)

    assert data.model_files == ("b.pt", "a.pt")


def test_reset_drops_data_and_model_files(data: Data) -> None:
    keep(data, "x", 1)
    data.register_model_file("a.pt")
    view = data.custom_data
    data.reset()

    assert not data.custom_data
    assert data.model_files == ()
    assert view == {"x": 1}


def test_the_last_model_file_that_exists_is_fetched(snapshot: Snapshot) -> None:
    assert snapshot.fetch_last_model_file() is None
    for name in ("a.pt", "b.pt", "c.pt"):
        snapshot.make_path(name).write_bytes(b"")
        snapshot.register_model_file(name)
    snapshot.make_path("c.pt").unlink()

    assert snapshot.fetch_last_model_file() == snapshot.folder / "b.pt"


def test_reset_removes_the_model_files_and_nothing_else(snapshot: Snapshot) -> None:
    for name in ("gone.pt", "model.pt", "mine.txt"):
        snapshot.make_path(name).write_bytes(b"")
    snapshot.register_model_file("gone.pt")
    snapshot.register_model_file("model.pt")
    snapshot.make_path("gone.pt").unlink()
    snapshot.reset()

    assert sorted(path.name for path in snapshot.folder.iterdir()) == ["data.jsonl", "mine.txt", "snapshot.json"]
    assert Snapshot.load(snapshot.folder).record == RECORD


def test_a_model_file_that_cannot_be_removed_leaves_the_data(snapshot: Snapshot) -> None:
    snapshot.register_model_file("model.pt")
    keep(snapshot, "x", 1)
    snapshot.make_path("model.pt").mkdir()
    with pytest.raises(RefusedError, match=r"model\.pt' cannot be removed"):
        snapshot.reset()

    assert snapshot.custom_data == {"x": 1}


def test_a_folder_is_no_model_file(snapshot: Snapshot) -> None:
    snapshot.make_path("models").mkdir()
    with pytest.raises(UsageError, match="is a folder"):
        snapshot.register_model_file("models")


BAD_NAMES = ["", ".", "..", "/etc/x", "../x", "a/../../x", "a/../x", "x\0y", "snapshot.json", "./data.jsonl"]


@pytest.mark.parametrize("name", BAD_NAMES)
@pytest.mark.parametrize("verb", ["make_path", "register_model_file"])
def test_a_path_stays_in_the_folder(snapshot: Snapshot, name: str, verb: str) -> None:
    with pytest.raises(UsageError):
        getattr(snapshot, verb)(name)

    assert snapshot.model_files == ()


def test_a_path_may_lie_deeper(snapshot: Snapshot) -> None:
    assert snapshot.make_path(Path("models") / "a.pt") == snapshot.folder / "models" / "a.pt"
    snapshot.register_model_file("./models//a.pt")
    assert snapshot.model_files == ("models/a.pt",)


def test_a_model_file_named_by_a_foreign_hand_is_not_removed(snapshot: Snapshot, tmp_path: Path) -> None:
    outside = tmp_path / "precious"
    outside.write_bytes(b"")
    step = {"do": "model", "name": "../precious"}
    (snapshot.folder / "data.jsonl").write_text(json.dumps({"operations": [step]}) + "\n")
    with pytest.raises(UsageError, match="precious"):
        snapshot.reset()

    assert outside.exists()


def test_a_dummy_has_no_folder() -> None:
    dummy = DummySnapshot()
    with pytest.raises(RefusedError, match=r"no folder for 'final\.pt'"):
        dummy.make_path("final.pt")

    assert (dummy.name, dummy.commit, dummy.tree, dummy.fetch_last_model_file()) == ("", "", "", None)


@pytest.mark.parametrize("make", [lambda folder: Snapshot(folder, RECORD), lambda folder: DummySnapshot()])
def test_it_can_be_sent_to_another_process(make: Callable[[Path], Data], tmp_path: Path) -> None:
    data = make(tmp_path)
    keep(data, "x", 1)

    assert pickle.loads(pickle.dumps(data)).custom_data == {"x": 1}  # noqa: S301 - ours, of this line


def test_another_object_sees_what_is_written(folder: Path, snapshot: Snapshot) -> None:
    other = Snapshot.load(folder)
    for n in range(3):
        writer, reader = (snapshot, other) if n % 2 else (other, snapshot)
        with writer.train_storage() as storage:
            storage.append("x", n)
        assert reader.train_data["x"] == list(range(n + 1))


def test_it_may_lie_in_a_folder_named_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    data = DataFolder(Path())
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    keep(data, "x", 1)

    assert DataFolder(tmp_path).custom_data == {"x": 1}


def test_the_files_are_closed_to_others(snapshot: Snapshot) -> None:
    keep(snapshot, "x", 1)
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (snapshot.folder, *snapshot.folder.iterdir())]

    assert modes == [0o700, 0o600, 0o600]


def test_a_journal_is_read_only_where_it_is_new(snapshot: Snapshot) -> None:
    keep(snapshot, "x", 1)
    file = snapshot.folder / "data.jsonl"
    first = file.read_bytes()
    keep(snapshot, "y", 2)
    # What was read is not looked at again: were it, this damage would show.
    file.write_bytes(b"#" * (len(first) - 1) + file.read_bytes()[len(first) - 1 :])
    keep(snapshot, "z", 3)

    assert snapshot.custom_data == {"x": 1, "y": 2, "z": 3}
    assert DataFolder(snapshot.folder).custom_data == {"y": 2, "z": 3}


def replaced_by_shorter(file: Path, other: bytes) -> None:
    file.write_bytes(other.splitlines(keepends=True)[0])


def replaced_by_longer(file: Path, other: bytes) -> None:
    file.unlink()
    file.write_bytes(other)


def moved_over(file: Path, other: bytes) -> None:
    file.with_suffix(".new").write_bytes(other)
    file.with_suffix(".new").replace(file)


@pytest.mark.parametrize("replace", [replaced_by_shorter, replaced_by_longer, moved_over])
@pytest.mark.parametrize("write_first", [False, True])
def test_a_file_that_was_replaced_is_read_anew(
    tmp_path: Path, replace: Callable[[Path, bytes], None], write_first: bool
) -> None:
    (tmp_path / "other").mkdir()
    other, data = DataFolder(tmp_path / "other"), DataFolder(tmp_path)
    keep(data, "old", 1)
    for n in range(4):
        keep(other, "new", n)
    replace(tmp_path / "data.jsonl", (tmp_path / "other" / "data.jsonl").read_bytes())
    if write_first:
        keep(data, "mine", 1)

    assert "old" not in data.custom_data
    assert "new" in data.custom_data
    assert data.custom_data == DataFolder(tmp_path).custom_data


def test_a_file_that_is_gone_is_empty(snapshot: Snapshot) -> None:
    keep(snapshot, "x", 1)
    (snapshot.folder / "data.jsonl").unlink()

    assert not snapshot.custom_data


DAMAGE = [
    b"not json",
    b"\0\0\0\xff",
    b"[]",
    b"3",
    b'{"operations": 3}',
    b'{"operations": [{"do": "burn"}]}',
    b'{"operations": [{"do": "store", "kind": "train", "name": "x", "value": 0}, {"do": "store", "kind": "nowhere"}]}',
    b'{"operations": [{"do": "store", "kind": "train", "name": ["x"]}]}',
    b'{"operations": [{"do": "model", "name": ["x"]}]}',
    b'{"operations": [{"do": "store", "kind": "train", "name": "x", "value": 5}, '
    b'{"do": "append", "kind": "train", "name": "x"}]}',
    b"[" * 100_000,
]


@pytest.mark.parametrize("line", DAMAGE, ids=lambda line: repr(line)[:40])
def test_a_damaged_line_is_passed_over_and_said(
    snapshot: Snapshot, line: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    keep(snapshot, "x", 1)
    with (snapshot.folder / "data.jsonl").open("ab") as file:
        file.write(line + b"\n")
    keep(snapshot, "y", 2)

    assert snapshot.custom_data == {"x": 1, "y": 2}
    assert not snapshot.train_data
    assert snapshot.model_files == ()
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert str(snapshot.folder / "data.jsonl") in caplog.text


@pytest.mark.parametrize("cut", [1, 10, 60])
def test_a_torn_last_line_is_passed_over(snapshot: Snapshot, cut: int, caplog: pytest.LogCaptureFixture) -> None:
    keep(snapshot, "x", 1)
    keep(snapshot, "lost", 2)
    file = snapshot.folder / "data.jsonl"
    os.truncate(file, file.stat().st_size - cut)
    reader = DataFolder(snapshot.folder)

    assert reader.custom_data == {"x": 1}
    assert not caplog.records
    keep(DataFolder(snapshot.folder), "y", 3)
    keep(reader, "z", 4)
    seen = [reader.custom_data, DataFolder(snapshot.folder).custom_data]
    # A line that lacks nothing but its end was written whole.
    assert seen == [{"x": 1, "lost": 2, "y": 3, "z": 4} if cut == 1 else {"x": 1, "y": 3, "z": 4}] * 2


class Interrupting(logging.Handler):
    """Interrupts like a key that is pressed while something is said."""

    def emit(self, record: logging.LogRecord) -> None:
        logging.getLogger("dioptra.experiment").removeHandler(self)
        raise KeyboardInterrupt


def test_an_interrupt_while_reading_leaves_nothing_taken_twice(snapshot: Snapshot) -> None:
    reader = DataFolder(snapshot.folder)
    with snapshot.train_storage() as storage:
        storage.append("x", 1)
    with (snapshot.folder / "data.jsonl").open("ab") as file:
        file.write(b"damaged\n")
    logging.getLogger("dioptra.experiment").addHandler(Interrupting())
    with pytest.raises(KeyboardInterrupt):
        _ = reader.train_data

    assert reader.train_data == {"x": [1]}


def test_a_folder_that_is_gone_is_named(tmp_path: Path) -> None:
    data = DataFolder(tmp_path / "gone")

    assert not data.train_data
    with pytest.raises(RefusedError, match=r"gone/data\.jsonl' cannot be written"):
        keep(data, "x", 1)


def test_a_journal_that_cannot_be_read_is_named(snapshot: Snapshot) -> None:
    (snapshot.folder / "data.jsonl").mkdir()
    with pytest.raises(RefusedError, match=r"data\.jsonl' cannot be read"):
        _ = snapshot.train_data


def test_a_snapshot_is_loaded_as_it_was_made(folder: Path, snapshot: Snapshot) -> None:
    loaded = Snapshot.load(folder)

    assert loaded.record == RECORD
    assert loaded == snapshot
    assert len({loaded, snapshot}) == 1
    assert loaded != Snapshot(folder.parent, RECORD)
    assert (loaded.id, loaded.uid, loaded.timestamp, loaded.comment) == (
        "abcdefgh",
        "abcdefgh",
        RECORD.created_at,
        "(no comment)",
    )
    assert repr(loaded) == "<Snapshot 20260102-030405-abcdefgh, commit 1111111, (no comment)>"
    loaded.conditions["packages"].clear()
    assert loaded.conditions == RECORD.conditions


def test_a_snapshot_is_not_made_twice(folder: Path, snapshot: Snapshot) -> None:
    with pytest.raises(RefusedError, match=f"{folder.name}' cannot be made"):
        Snapshot.create(folder, RECORD)

    assert Snapshot.load(folder) == snapshot


def changed(**changes: Any) -> bytes:
    values = RECORD.to_dict() | changes
    return json.dumps({name: value for name, value in values.items() if value is not ...}).encode()


BAD_RECORDS = [
    b"",
    b"{",
    b"[]",
    b"\xff\xfe",
    b"[" * 100_000,
    changed(name=...),
    changed(created_at=...),
    changed(created_at=3),
    changed(created_at="yesterday"),
    changed(created_at="2026-01-02T03:04:05"),
    changed(commit=5),
    changed(conditions=[]),
    changed(repository="x"),
]


@pytest.mark.parametrize("content", BAD_RECORDS, ids=lambda content: repr(content)[:30])
def test_a_damaged_record_is_named(folder: Path, snapshot: Snapshot, content: bytes) -> None:
    (folder / "snapshot.json").write_bytes(content)
    with pytest.raises(RefusedError, match=r"snapshot\.json' cannot be read"):
        Snapshot.load(folder)


def test_a_record_of_another_version_can_be_read(folder: Path, snapshot: Snapshot) -> None:
    (folder / "snapshot.json").write_bytes(changed(later="more", comment=...))

    assert Snapshot.load(folder).record == RECORD
