"""Binding values and building argument lists."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from dioptra.errors import InvalidParameterError, InvalidProjectError
from dioptra.mlproject import EntryPoint, Parameter, bind, build_argv, remote_inputs

FILE = Path("/project/MLproject")


def entry(command: str = "run", **types: str | tuple[str, str]) -> EntryPoint:
    """Make an entry point; a pair is a type and a default."""
    parameters = {}
    for name, given_type in types.items():
        kind, default = given_type if isinstance(given_type, tuple) else (given_type, None)
        parameters[name] = Parameter(name, kind, default, 1)
    return EntryPoint("main", command, parameters, 3, FILE)


def test_declared_first_then_the_undeclared_in_the_order_given() -> None:
    values = bind(entry(a="string", b=("float", "1e-3")), {"z": "1", "a": "x", "y": "2"})

    assert list(values.items()) == [("a", "x"), ("b", "1e-3"), ("z", "1"), ("y", "2")]


def test_all_missing_parameters_are_named_at_once_with_a_guess() -> None:
    with pytest.raises(InvalidParameterError) as caught:
        bind(entry(batch_size="float", name="string", c=("string", "")), {"bacth_size": "1"})

    assert str(caught.value) == (
        "/project/MLproject line 3, entry point 'main': missing parameters 'batch_size' (float), 'name' (string); "
        "give -P batch_size=... -P name=...; 'bacth_size': did you mean 'batch_size'?"
    )


@pytest.mark.parametrize("text", ["0", "-1", "+.5", "1.", "1e-3", "0.30", "inf", "-inf", "Infinity"])
def test_a_float_is_passed_on_as_it_was_written(text: str) -> None:
    assert bind(entry(a="float"), {"a": text}) == {"a": text}


@pytest.mark.parametrize(
    "text", ["", "abc", "nan", "1_000", " 1", "1 ", "0x10", "1e999", "--1", "1,5", "1\n", "e5", "\u0661", ".inf"]
)
def test_what_is_not_a_number_is_refused(text: str) -> None:
    with pytest.raises(InvalidParameterError, match="parameter 'a': .* is not a number; give one such as"):
        bind(entry(a="float"), {"a": text})


def test_a_path_is_made_absolute_and_must_exist(tmp_path: Path) -> None:
    (tmp_path / "here.txt").touch()

    assert bind(entry(a="path"), {"a": "here.txt"}, cwd=tmp_path) == {"a": str(tmp_path / "here.txt")}
    with pytest.raises(InvalidParameterError, match="there is no file or folder"):
        bind(entry(a="path"), {"a": "gone.txt"}, cwd=tmp_path)
    with pytest.raises(InvalidParameterError, match="there is no file or folder"):
        bind(entry(a="path"), {"a": ""}, cwd=tmp_path)
    uri = (tmp_path / "here.txt").as_uri()
    assert bind(entry(a="path"), {"a": uri}, cwd=tmp_path) == {"a": str(tmp_path / "here.txt")}


def test_a_path_that_lies_elsewhere_is_fetched_later(tmp_path: Path) -> None:
    point = entry(a="path", b="path", c="uri")
    (tmp_path / "x").touch()

    values = bind(point, {"a": "s3://bucket/x", "b": "x", "c": "s3://bucket/y"}, cwd=tmp_path)

    assert values["a"] == "s3://bucket/x"
    assert remote_inputs(point, values) == {"a": "s3://bucket/x"}


@pytest.mark.parametrize("kind", ["path", "uri"])
def test_a_password_in_an_address_is_refused(kind: str) -> None:
    with pytest.raises(InvalidParameterError, match="'a': holds a password, which records would keep; give") as caught:
        bind(entry(a=kind), {"a": "https://user:s3cret@host/x"})

    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("name", ["X-Amz-Signature", "sig", "token", "api_key", "AWSAccessKeyId", "client_secret"])
def test_a_credential_in_a_query_is_refused(name: str) -> None:
    with pytest.raises(InvalidParameterError, match=f"holds '{name}', a credential that records would keep") as caught:
        bind(entry(a="path"), {"a": f"https://host/x?a=1&{name}=s3cret"})

    assert "s3cret" not in str(caught.value)


def test_a_file_of_another_machine_is_refused() -> None:
    with pytest.raises(InvalidParameterError, match="names another machine"):
        bind(entry(a="path"), {"a": "file://host/etc/passwd"})


@pytest.mark.parametrize(
    ("kind", "good", "bad", "message"),
    [
        ("integer", ["0", "-1", "+12", "007"], ["", "1.0", "1e3", "a", "1_0", " 1", "\u0661"], "is not a whole number"),
        ("boolean", ["true", "False", "YES", "0", "off"], ["", "2", "maybe", "truee"], "is neither true nor false"),
    ],
)
def test_whole_numbers_and_booleans(kind: str, good: list[str], bad: list[str], message: str) -> None:
    for text in good:
        assert bind(entry(a=kind), {"a": text}) == {"a": text}
    for text in bad:
        with pytest.raises(InvalidParameterError, match=message):
            bind(entry(a=kind), {"a": text})


def test_a_default_path_starts_at_the_project_and_a_given_one_at_the_current_folder(tmp_path: Path) -> None:
    for folder in ("project", "elsewhere"):
        (tmp_path / folder / "data").mkdir(parents=True)
    point = EntryPoint("main", "run", {"a": Parameter("a", "path", "data", 1)}, 1, tmp_path / "project" / "MLproject")

    assert bind(point, {}, cwd=tmp_path / "elsewhere") == {"a": str(tmp_path / "project/data")}
    assert bind(point, {"a": "data"}, cwd=tmp_path / "elsewhere") == {"a": str(tmp_path / "elsewhere/data")}


@pytest.mark.parametrize("uri", ["s3://b/x y", "models:/m/1", "file:///x", "https://h/p?q={a}"])
def test_a_uri_is_not_touched(uri: str, tmp_path: Path) -> None:
    assert bind(entry(a="uri"), {"a": uri}, cwd=tmp_path) == {"a": uri}


def test_a_relative_uri_is_made_absolute_and_need_not_exist(tmp_path: Path) -> None:
    assert bind(entry(a="uri"), {"a": "x/y"}, cwd=tmp_path) == {"a": str(tmp_path / "x/y")}


@pytest.mark.parametrize("name", ["declared", "extra"])
@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("a\0b", "holds a zero byte"),
        ("a\udc80b", "is not a character"),
        ("é" * 50_001, "is 100002 bytes; the limit is 100000"),
    ],
)
def test_what_no_argument_list_can_carry_names_the_parameter(name: str, value: str, message: str) -> None:
    with pytest.raises(InvalidParameterError, match=f"parameter '{name}': .*{message}"):
        bind(entry(declared=("string", "")), {name: value})


@pytest.mark.parametrize("name", ["", "a b", "k; echo x #", "-x", "a=b", "1a"])
def test_a_bad_name_of_an_undeclared_parameter_is_refused(name: str) -> None:
    with pytest.raises(InvalidParameterError, match="cannot be a parameter's name"):
        bind(entry(), {name: "1"})


@pytest.mark.parametrize(
    ("command", "argv"),
    [
        ("python train.py --a {a}", ["python", "train.py", "--a", "V"]),
        ("python  'x y.py'  --a={a}", ["python", "x y.py", "--a=V"]),
        ("run '{a}' \"{a}{a}\"", ["run", "V", "VV"]),
        ('run "{{\\"k\\": 1}}" {{{a}}}', ["run", '{"k": 1}', "{V}"]),
        ("run 'a;b|c' \"x > y\" 'it costs $HOME'", ["run", "a;b|c", "x > y", "it costs $HOME"]),
        ("run \\\n --a {a}", ["run", "--a", "V"]),
        ('run 5$ a~ "*"', ["run", "5$", "a~", "*"]),
    ],
)
def test_tokens_first_then_values(command: str, argv: list[str]) -> None:
    assert build_argv(entry(command, a="string"), {"a": "V"}) == argv


@pytest.mark.parametrize("value", ["a b", "'", '"', "; rm -rf ~", "$(id)", "{a}", "{", "\n", "", "--x", "🦊"])
def test_a_value_is_never_syntax(value: str) -> None:
    argv = build_argv(entry("run --a {a} '{a}'", a="string"), {"a": value, "extra": value})

    assert argv == ["run", "--a", value, value, "--extra", value]


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("run {b}", r"uses \{b\}, which is not a parameter \(have: alpha\)"),
        ("run {alhpa}", r"uses \{alhpa\}, which is not a parameter; did you mean 'alpha'\? \(have: alpha\)"),
        ("run {alpha.__class__}", r"uses \{alpha.__class__\}, which is not"),
        ("run {alpha!r}", r"uses \{alpha!r\}, which is not"),
        ("run {0}", r"uses \{0\}, which is not"),
        ("run {}", r"uses \{\}, which is not a parameter; write \{name\}"),
        ("run {", r"uses \{, which is not a parameter; write \{name\}"),
        ("run }", r"uses \}, which is not"),
        ("run 'x", "cannot be split into words"),
    ],
)
def test_a_bad_command_is_one_sentence(command: str, message: str) -> None:
    with pytest.raises(InvalidProjectError, match=message) as caught:
        build_argv(entry(command, alpha="string"), {"alpha": "V"})

    assert str(caught.value).startswith("/project/MLproject line 3, entry point 'main': the command ")


PRINT_ARGV = "import json, os, sys; print(json.dumps([os.fsencode(a).hex() for a in sys.argv[1:]]))"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=200), max_size=8))
@example(["; rm -rf ~", "$(id)", "`id`", "'", '"', "\n", "*", "~", "%PATH%", "🦊", "\u202e", "{a}", "", "--", "-c"])
@example(["é" * 50_000])
def test_the_child_gets_the_values_byte_for_byte(values: list[str]) -> None:
    names = [f"p{n}" for n in range(len(values))]
    command = " ".join(["python", "-c", "CODE", *(f"{{{name}}}" for name in names)])
    point = entry(command, **dict.fromkeys(names, "string"))
    argv = build_argv(point, bind(point, dict(zip(names, values, strict=True))))

    done = subprocess.run([sys.executable, "-c", PRINT_ARGV, *argv[3:]], capture_output=True, check=True)

    assert json.loads(done.stdout) == [value.encode().hex() for value in values]
