"""Reading MLproject files: good ones give entry points, bad ones one sentence with the line and what is right."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dioptra.errors import EntryPointNotFoundError, InvalidProjectError, ProjectNotFoundError
from dioptra.mlproject import Parameter, read_project

GOOD = """\
name: Digits
entry_points:
  train:
    parameters:
      seed: {type: float, default: -1}
      rate: { default: 1e-3, type: float }
      norm: {type: float, default: inf}
      data: path
      note:
        type: string
        default: no
    command: >
      python train.py --seed {seed}
      --rate {rate}
  bare:
    command: "true"
"""


def write(folder: Path, text: str | bytes, name: str = "MLproject") -> Path:
    file = folder / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def test_an_entry_point_keeps_the_text_that_was_written(tmp_path: Path) -> None:
    project = read_project(write(tmp_path, GOOD))

    assert project.name == "Digits"
    assert project.folder == tmp_path
    assert list(project.entry_points) == ["train", "bare"]
    assert project.entry_point("train").command == "python train.py --seed {seed} --rate {rate}\n"
    assert list(project.entry_point("train").parameters.values()) == [
        Parameter("seed", "float", "-1", 5),
        Parameter("rate", "float", "1e-3", 6),
        Parameter("norm", "float", "inf", 7),
        Parameter("data", "path", None, 8),
        Parameter("note", "string", "no", 10),
    ]
    assert project.entry_point("bare").parameters == {}
    assert project.warnings == ()


def test_the_name_of_the_folder_is_the_name_of_a_project_that_has_none(tmp_path: Path) -> None:
    write(tmp_path, "entry_points: {main: {command: ls}}")

    assert read_project(tmp_path).name == tmp_path.name


def test_the_file_is_found_in_any_case_and_the_exact_name_wins(tmp_path: Path) -> None:
    write(tmp_path, "name: other", "mlproject")
    assert read_project(tmp_path).name == "other"

    write(tmp_path, "name: exact", "MLproject")
    assert read_project(tmp_path).name == "exact"


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    assert read_project(write(tmp_path, b"\xef\xbb\xbfname: x")).name == "x"


@pytest.mark.parametrize("default", ["", "~", "null"])
def test_a_null_is_no_default(tmp_path: Path, default: str) -> None:
    text = f"entry_points: {{main: {{command: ls, parameters: {{a: {{type: string, default: {default}}}}}}}}}"

    assert read_project(write(tmp_path, text)).entry_point("main").parameters["a"].default is None


def test_an_empty_text_is_a_default(tmp_path: Path) -> None:
    text = 'entry_points: {main: {command: ls, parameters: {a: {type: string, default: ""}}}}'

    assert read_project(write(tmp_path, text)).entry_point("main").parameters["a"].default == ""


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        ("nmae: x", r"line 1: 'nmae' means nothing in the file; did you mean 'name'\?"),
        ("entry_points: {main: {command: ls, comand: x}}", r"'comand' means nothing .* did you mean 'command'\?"),
        (
            "entry_points: {main: {command: ls, parameters: {a: {type: float, default 1}}}}",
            r"'default 1' means nothing in entry_points.main.parameters.a; did you mean 'default'\?",
        ),
        ("entry_points: {main: {command: ls, parameters: {a: flaot}}}", r"'flaot' .* string; did you mean 'float'\?"),
        (
            "entry_points: {main: {command: ls, parameters: {a: xyz}}}",
            "known are string, str, float, int, integer, bool, boolean, path, uri",
        ),
    ],
)
def test_what_means_nothing_is_said(tmp_path: Path, text: str, warning: str) -> None:
    (said,) = read_project(write(tmp_path, text)).warnings

    assert re.search(warning, said.sentence)
    assert said.entry_point == ("main" if "main" in text else "")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("entry_points:\n\tmain: x", "line 2, column 1: a tab cannot indent YAML; use spaces"),
        ("a: [1", r"line 1, column \d+: is not YAML"),
        ("", "is empty; declare entry_points"),
        ("- a", "line 1: the file must be a mapping, got a list"),
        ("entry_points: x", "line 1: entry_points must be a mapping, got 'x'"),
        ("entry_points:\n  main: 5", "line 2: entry_points.main must be a mapping, got '5'"),
        ("entry_points:\n  main: {}", "line 2: entry_points.main has no command"),
        ("entry_points: {main: {command: ' '}}", "entry_points.main.command is empty"),
        ("entry_points: {main: {command: [a]}}", "entry_points.main.command must be one value, got a list; put it in"),
        ("entry_points: {main: {command: ls, parameters: 3}}", "main.parameters must be a mapping, got '3'"),
        ("entry_points: {main: {command: ls, parameters: {a: [1]}}}", "main.parameters.a must be one value, got a"),
        ("entry_points: {main: {command: ls, parameters: {a b: x}}}", "'a b' cannot be a parameter's name"),
        (
            "entry_points: {main: {command: ls, parameters: {a: {default: [28, 28]}}}}",
            "parameters.a.default must be one value, got a list; put it in quotes",
        ),
        ("name: a\nx: 1\nname: b", r"line 3: 'name' is given twice \(lines 1 and 3\); keep one"),
        ("name: !!python/object/apply:os.system ['true']", "YAML tags are not allowed .*python/object"),
        ("name: !mine x", "YAML tags are not allowed .*!mine"),
        ("a: 1\nname: !!float 3", "line 2: YAML tags are not allowed .*float"),
        (b"name: \xff", r"is not UTF-8 \(byte 0xff at 6\)"),
        ("name: x".encode("utf-16"), "is not UTF-8"),
        ("name: a\0b", "is not YAML"),
        ("x: " + "a" * 300_000, "is larger than the limit of 256,000 bytes"),
        ("x: " + "[" * 40 + "]" * 40, r"line 1: is nested too deep \(limit 20 levels\)"),
        ("x: " + "[" * 100_000, r"line 1: is nested too deep \(limit 20 levels\)"),
    ],
)
def test_a_bad_file_is_one_sentence(tmp_path: Path, text: str | bytes, message: str) -> None:
    file = write(tmp_path, text)

    with pytest.raises(InvalidProjectError, match=message) as caught:
        read_project(file)

    assert str(caught.value).startswith(str(file))
    assert "\n" not in str(caught.value)


def test_aliases_cannot_blow_up(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    file = write(tmp_path, "\n".join(lines))
    started = time.monotonic()

    with pytest.raises(InvalidProjectError, match="too large when aliases are unfolded"):
        read_project(file)

    assert time.monotonic() - started < 5


def test_an_alias_of_itself_ends(tmp_path: Path) -> None:
    with pytest.raises(InvalidProjectError, match="too large"):
        read_project(write(tmp_path, "a: &a [*a]"))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: folder / "nothing", "there is no folder"),
        (lambda folder: folder, "no MLproject file in"),
    ],
)
def test_no_project(tmp_path: Path, make: Callable[[Path], Path], message: str) -> None:
    with pytest.raises(ProjectNotFoundError, match=message):
        read_project(make(tmp_path))


def test_an_unknown_entry_point_names_the_near_and_the_existing(tmp_path: Path) -> None:
    project = read_project(write(tmp_path, GOOD))

    with pytest.raises(EntryPointNotFoundError) as caught:
        project.entry_point("trian")

    assert "no entry point 'trian'; did you mean 'train'? (have: bare, train)" in str(caught.value)
