"""Commands that need a shell: bash runs them, and a value is one word all the same."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from dioptra.errors import EntryPointNotFoundError, InvalidProjectError
from dioptra.mlproject import EntryPoint, Parameter, Project, build_argv

FILE = Path("/project/MLproject")
PRINT = shlex.quote(sys.executable) + " -c 'import json, sys; print(json.dumps(sys.argv[1:]))'"


def entry(command: str, *names: str) -> EntryPoint:
    return EntryPoint("main", command, {name: Parameter(name, "string", None, 1) for name in names}, 3, FILE)


@pytest.mark.parametrize(
    ("command", "script"),
    [
        ("a {x} && b {y} {x}", 'a "${1}" && b "${2}" "${1}"'),
        ("a --k={x} | tee log", 'a --k="${1}" | tee log'),
        ("a {x} > out; b", 'a "${1}" > out; b'),
        ("cd sub\nrun {x}", 'cd sub\nrun "${1}"'),
        ('echo "$HOME" {x}', 'echo "$HOME" "${1}"'),
        ("echo $HOME", "echo $HOME"),
        ("echo ${{HOME}} {x}", 'echo ${HOME} "${1}"'),
        ("PYTHONPATH=. python a.py {x}", 'PYTHONPATH=. python a.py "${1}"'),
        ("(a {x})", '(a "${1}")'),
        ("a 'it {{is}}' && b # {{don't}} {x}", "a 'it {is}' && b "),
        ("a # don't\nb {x} # won't", 'a \nb "${1}" '),
        ("a {x} 2>&1 | tee log", 'a "${1}" 2>&1 | tee log'),
        ("a {x} &> {y}", 'a "${1}" &> "${2}"'),
        ("for i in 1 2; do a {x}; done", 'for i in 1 2; do a "${1}"; done'),
        ("if a {x}; then b; else c {y}; fi", 'if a "${1}"; then b; else c "${2}"; fi'),
        ("set -eo pipefail\na {x} | b", 'set -eo pipefail\na "${1}" | b'),
        ("GPU={x} python a.py {y}", 'GPU="${1}" python a.py "${2}"'),
        ("(cd sub && a {x}) > {y}", '(cd sub && a "${1}") > "${2}"'),
        ("a \\'{x} && b", 'a \\\'"${1}" && b'),
        ("a $(date) {x}", 'a $(date) "${1}"'),
        ("a *.txt {x}", 'a *.txt "${1}"'),
        ("a ~/x", "a ~/x"),
        ("echo \"it's\" $HOME 'x'", "echo \"it's\" $HOME 'x'"),
    ],
)
def test_the_script_that_bash_gets(command: str, script: str) -> None:
    names = ("x", "y")

    assert build_argv(entry(command, *names), {"x": "X", "y": "Y"})[:4] == ["bash", "-c", script, "dioptra"]


def test_values_follow_in_the_order_of_their_first_use_and_the_undeclared_at_the_end() -> None:
    argv = build_argv(entry("a {y} && b {x} {y}", "x", "y"), {"x": "X", "y": "Y", "more": "M"})

    assert argv == ["bash", "-c", 'a "${1}" && b "${2}" "${1}" --more "${3}"', "dioptra", "Y", "X", "M"]


def test_more_than_nine_values() -> None:
    names = [f"p{n}" for n in range(12)]
    command = "true && " + PRINT.replace("{", "{{").replace("}", "}}") + "".join(f" {{{name}}}" for name in names)

    argv = build_argv(entry(command, *names), {name: name.upper() for name in names})

    assert json.loads(subprocess.check_output(argv)) == [name.upper() for name in names]


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("a '{x}' && b", r"uses \{x\} inside quotes; take the quotes away: a value is always one word"),
        ('a "{x}" && b', r"uses \{x\} inside quotes"),
        ('a "$(b {x})"', r"uses \{x\} inside quotes"),
        ('a "$(b "{x}")"', "could read a value as syntax"),
        ("a {z} && b", r"uses \{z\}, which is not a parameter \(have: x\)"),
        (
            "a ${HOME}",
            r"uses \{HOME\}, which is not a parameter; write \$\{\{HOME\}\} for the variable HOME; \(have: x\)",
        ),
        ("a {x.y} && b", r"uses \{x.y\}, which is not a parameter"),
        ("{ a; }", r"which is not a parameter"),
        *[
            (command, "could read a value as syntax; put it in a script")
            for command in [
                "a $(({x} + 1))",
                "[[ {x} -eq 1 ]] && b",
                "cat <<END\n{x}\nEND",
                "eval {x}; b",
                "a `b {x}`",
                "echo $[{x}+1] && true",
                "A=hello; echo ${{A:{x}}}",
                "a[{x}]=1; b",
                "test -v {x} || a",
                "[ {x} -eq 1 ] || a",
                "printf -v {x} hi; a",
                "trap {x} EXIT; a",
                "true && bash -c {x}",
                "true && /bin/sh -c {x}",
                "true && \\eval {x}",
                "true && 'eval' {x}",
                "true && {x} a",
                "true && $RUN {x}",
                "read {x} < f",
                ". {x} && a",
                "export {x} && a",
                "unset {x}; a",
                "X={x}; export $X",
                "X={x}; let Y=X",
                "declare -i N; N={x}; a",
                "env bash -c {x} && a",
                'a "$(b)" {x} | c',
                "a {x} $(test -v {x})",
                "if test -v {x}; then a; fi",
                "f() {{ eval $1; }}; f {x}",
                "> f eval {x}",
            ]
        ],
    ],
)
def test_where_a_value_could_become_syntax_it_is_refused(command: str, message: str) -> None:
    with pytest.raises(InvalidProjectError, match=message):
        build_argv(entry(command, "x"), {"x": "1"})


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=100), min_size=1, max_size=5
    )
)
@example(["; touch owned", "$(touch owned)", "`touch owned`", "a[$(touch owned)]", "'", '"', "\n", "*", "~", "\\", ""])
def test_bash_passes_values_on_byte_for_byte(values: list[str]) -> None:
    names = [f"p{n}" for n in range(len(values))]
    command = f"true; X=1 {PRINT}" + "".join(f" {{{name}}}" for name in names)

    argv = build_argv(entry(command, *names), dict(zip(names, values, strict=True)))

    assert json.loads(subprocess.check_output(argv)) == values
    assert not Path("owned").exists()


def test_a_script_that_is_not_declared_is_run_by_its_ending(tmp_path: Path) -> None:
    project = Project("p", tmp_path / "MLproject", {})
    for name in ("a.py", "b c.sh", "d{}.py", "e.txt"):
        (tmp_path / name).touch()
    (tmp_path / "out.py").symlink_to(os.devnull)

    assert build_argv(project.entry_point("a.py"), {"x": "1"}) == ["python", "a.py", "--x", "1"]
    assert build_argv(project.entry_point("b c.sh"), {}) == ["bash", "b c.sh"]
    assert build_argv(project.entry_point("d{}.py"), {}) == ["python", "d{}.py"]
    for name in ("e.txt", "gone.py", "../" + tmp_path.name + "/../x.py", "out.py", "/etc/passwd", ""):
        with pytest.raises(EntryPointNotFoundError):
            project.entry_point(name)


@pytest.mark.parametrize("command", ["for i in 1; do a; done", "a {x} & wait", "a; b", "(a)", "a\nb"])
def test_an_undeclared_value_is_not_appended_where_no_arguments_end(command: str) -> None:
    with pytest.raises(
        InvalidProjectError, match=r"undeclared parameter 'more' cannot be appended to it; declare more"
    ):
        build_argv(entry(command, "x"), {"x": "1", "more": "2"})


@pytest.mark.parametrize("command", ["a # b", "a # it's", "a  # {{ {nothing}"])
def test_a_comment_falls_away_before_anything_is_appended(command: str) -> None:
    assert build_argv(entry(command), {"more": "1"}) == ["a", "--more", "1"]


EVIL = ["a[$(touch owned)]", "touch owned", "x; touch owned", "$(touch owned)", "-v", "}; touch owned; {"]


@pytest.mark.parametrize("value", EVIL)
@pytest.mark.parametrize(
    "command",
    [
        "true && echo {x}",
        "X={x}; echo $X",
        "X={x} true; echo ${{X}} | cat",
        "for i in 1; do echo {x}; done",
        "(echo {x}) > out; true",
        "echo $(echo {x})",
        "if true {x}; then echo {x}; fi",
    ],
)
def test_no_value_runs_where_it_is_taken(tmp_path: Path, command: str, value: str) -> None:
    subprocess.run(build_argv(entry(command, "x"), {"x": value}), cwd=tmp_path, check=False, capture_output=True)

    assert not (tmp_path / "owned").exists()
