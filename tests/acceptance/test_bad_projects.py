"""Every bad project of the catalogue, B1 to B17, through the command: one sentence, an exit code, nothing stored."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Command

HEAD = "entry_points:\n  main:\n    parameters:\n"
COMMAND = "    command: python -c pass {a}\n"


def declared(line: str) -> str:
    return f"{HEAD}      a: {line}\n{COMMAND}"


@pytest.mark.parametrize(
    ("case", "content", "args", "code", "sentence"),
    [
        ("B1", None, [], 7, "no MLproject file in"),
        ("B2", "entry_points:\n\tmain: x", [], 7, "MLproject line 2, column 1: a tab cannot indent YAML"),
        ("B3", "- a", [], 7, "the file must be a mapping, got a list"),
        ("B3", "entry_points: x", [], 7, "entry_points must be a mapping, got 'x'"),
        ("B3", "entry_points: {main: {command: x, parameters: 5}}", [], 7, "entry_points.main.parameters must be a ma"),
        ("B4", f"{HEAD}      a: float\n      a: path\n{COMMAND}", [], 7, "'a' is given twice (lines 4 and 5)"),
        ("B7", "name: !!python/object/apply:os.system ['touch owned']", [], 7, "YAML tags are not allowed"),
        ("B8", "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9)),
         [], 7, "too large when aliases are unfolded"),
        ("B8", "#" * 256_001, [], 7, "is larger than the limit of 256,000 bytes"),
        ("B9", b"name: \xff", [], 7, "is not UTF-8 (byte 0xff at 6)"),
        ("B9", b"name: a\x00b", [], 7, "is not YAML"),
        ("B10", declared("{default: 1}"), ["-e", "mian"], 3, "no entry point 'mian'; did you mean 'main'?"),
        ("B11", declared("float"), [], 7, "missing parameter 'a' (float); give -P a=..."),
        *[("B12", declared("float"), ["-P", f"a={value}"], 7, f"{value!r} is not a number")
          for value in ("abc", "nan", "1_000", " 1", "0x10", "1e999")],
        ("B13", declared("string"), ["-P", "a=" + "x" * 100_001], 7, "is 100001 bytes; the limit is 100000"),
        ("B15", "entry_points: {main: {command: 'x {b}'}}", [], 7, "the command uses {b}, which is not a parameter"),
        ("B15", "entry_points: {main: {command: 'x {a.__class__}'}}", [], 7, "uses {a.__class__}, which is not"),
        ("B15", "entry_points: {main: {command: 'x {0} {} {'}}", [], 7, "uses {0}, which is not a parameter"),
        ("B16", "entry_points: {main: {command: ''}}", [], 7, "entry_points.main.command is empty"),
        ("B16", "entry_points: {main: {command: '   '}}", [], 7, "entry_points.main.command is empty"),
        ("B16", "entry_points: {main: {command: pyhton x}}", [], 7, "the program 'pyhton' was not found on the PATH"),
        ("B17", declared("string").replace("{a}", "'{a}' | cat"), ["-P", "a=1"], 7, "uses {a} inside quotes"),
    ],
)  # fmt: skip
def test_a_bad_project_is_one_sentence(
    dioptra: Command, tmp_path: Path, case: str, content: str | bytes | None, args: list[str], code: int, sentence: str
) -> None:
    (tmp_path / "bad").mkdir()
    if content is not None:
        data = content if isinstance(content, bytes) else content.encode()
        (tmp_path / "bad" / "MLproject").write_bytes(data)

    said = dioptra("run", "bad", *args, home=tmp_path / "home")

    assert said.code == code, f"{case}: {said}"
    assert sentence in said.err.splitlines()[-1], case
    assert "Traceback" not in said.err
    assert said.out == ""
    assert not (tmp_path / "home").exists()
    assert not list(tmp_path.rglob("owned"))


@pytest.mark.parametrize("text", ["on", "no", "yes", "010", "2024-01-01", "0.30", "1e-3", "~x"])
def test_b5_and_b6_a_default_is_the_text_that_was_written(dioptra: Command, tmp_path: Path, text: str) -> None:
    kind = "float" if text in ("0.30", "1e-3", "010") else "string"
    (tmp_path / "MLproject").write_text(declared(f"{{type: {kind}, default: {text}}}"))

    assert dioptra("run", str(tmp_path), "--dry-run", "--json").json["parameters"] == {"a": text}


VALUES = ["x; rm -rf ~", "$(id)", "`id`", "'", '"', "a\nb", "*", "~", "%PATH%", "🦊", "\u202e", "--help", "-rf", "{a}"]


@pytest.mark.parametrize("shell", ["", "true && "])
def test_b14_any_value_reaches_the_script_byte_for_byte(dioptra: Command, tmp_path: Path, shell: str) -> None:
    (tmp_path / "show.py").write_text("import sys; print(sys.argv[1:])")
    parameters = "".join(f"      p{n}: string\n" for n in range(len(VALUES)))
    names = " ".join(f"{{p{n}}}" for n in range(len(VALUES)))
    (tmp_path / "MLproject").write_text(f"name: b14\n{HEAD}{parameters}    command: '{shell}python show.py {names}'\n")
    args = [word for n, value in enumerate(VALUES) for word in ("-P", f"p{n}={value}")]

    said = dioptra("run", str(tmp_path), *args)

    assert said.out == f"{VALUES}\n"


@pytest.mark.parametrize(
    ("command", "printed"),
    [
        ("echo one && echo two | tr a-z A-Z", "one\nTWO\n"),
        ("|\n      echo one\n      X=2\n      echo $X", "one\n2\n"),
        ("echo $GREETING {a}", "hello a  b\n"),
        ("printf '%s\\n' *.txt", "1.txt\n2.txt\n"),
    ],
)
def test_b17_a_command_that_needs_a_shell_gets_one(
    dioptra: Command, tmp_path: Path, command: str, printed: str
) -> None:
    for name in ("1.txt", "2.txt"):
        (tmp_path / name).touch()
    text = f"name: b17\nentry_points:\n  main:\n    parameters: {{a: {{default: 'a  b'}}}}\n    command: {command}\n"
    (tmp_path / "MLproject").write_text(text)

    said = dioptra("run", str(tmp_path), GREETING="hello")

    assert (said.code, said.out) == (0, printed), said.err


def test_a_script_that_is_not_declared_runs_by_its_ending(dioptra: Command, tmp_path: Path) -> None:
    (tmp_path / "MLproject").write_text("name: undeclared")
    (tmp_path / "show.py").write_text("import sys; print(sys.argv[1:])")
    (tmp_path / "show.sh").write_text('echo "$@"')

    assert dioptra("run", str(tmp_path), "-e", "show.py", "-P", "x=a b").out == "['--x', 'a b']\n"
    assert dioptra("run", str(tmp_path), "-e", "show.sh", "-P", "x=1").out == "--x 1\n"
    assert dioptra("run", str(tmp_path), "-e", "gone.py").code == 3
