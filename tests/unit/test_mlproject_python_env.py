"""Reading what a project asks for with python_env: lines as they are installed, errors with the file and the line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dioptra.errors import InvalidProjectError
from dioptra.mlproject import PythonEnv, Requirements, read_project, read_python_env

PROJECT = "python_env: python_env.yaml\nentry_points: {main: {command: ls}}\n"


def read(folder: Path, text: str, mlproject: str = PROJECT, **files: str) -> PythonEnv | None:
    (folder / "MLproject").write_text(mlproject)
    (folder / "python_env.yaml").write_text(text)
    for stem, content in files.items():
        (folder / f"{stem}.txt").write_text(content)
    return read_python_env(read_project(folder))


def test_all_keys_are_read_as_they_were_written(tmp_path: Path) -> None:
    text = "python: 3.10\nbuild_dependencies: [pip, 'wheel<1']\ndependencies:\n  - six  # old\n  - numpy>=2\n"

    found = read(tmp_path, text)

    assert found == PythonEnv(
        tmp_path / "python_env.yaml", "3.10", Requirements(("pip", "wheel<1")), Requirements(("six", "numpy>=2"))
    )


def test_files_are_replaced_by_their_lines(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        "dependencies: ['-r requirements.txt', --requirement=more.txt, six]",
        requirements="# a comment\n\nnumpy>=2 \\\n  --hash=sha256:12\n-c limits.txt\n  -rmore.txt # once more\nsix\n",
        more="rich   [x] ; python_version > '3'\n--extra-index-url https://example.org/simple\n",
        limits="pandas<3\n-r more_limits.txt\n",
        more_limits="scipy<2",
    )

    assert found is not None
    assert found.dependencies == Requirements(
        (
            "numpy>=2 --hash=sha256:12",
            "rich [x] ; python_version > '3'",
            "--extra-index-url https://example.org/simple",
            "six",
        ),
        ("pandas<3", "scipy<2"),
    )


@pytest.mark.parametrize(
    "line",
    [
        "git+ssh://git@github.com/a/b",
        "a @ https://${USER}:${TOKEN}@example.org/a.whl",
        "/opt/wheels/a.whl",
        "a @ file:///opt/a.whl",
        "-e /opt/a",
    ],
)
def test_a_place_that_all_jobs_can_reach_is_a_requirement(tmp_path: Path, line: str) -> None:
    found = read(tmp_path, f"dependencies: ['{line}']")

    assert found is not None
    assert found.dependencies.lines == (line,)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("dependencies: six", "python_env.yaml line 1: dependencies must be a list, got 'six'"),
        (
            "\ndependencies:\n- {a: b}",
            "python_env.yaml line 3: an entry of dependencies must be one value, got a mapping",
        ),
        ("python: three", "line 1: python: 'three' is no version of Python; write one such as 3.12"),
        ("python: '3'", "line 1: python: '3' is no version"),
        ("dependencies:\n- six\n- 'six=='", "python_env.yaml line 3: 'six==' is no requirement"),
        ("dependencies: [--target /x]", "'--target /x' is no requirement"),
        ("dependencies: [./a]", "line 1: './a' lies in the project"),
        ("dependencies: [-e .]", "'-e .' lies in the project"),
        ("dependencies: [wheels/a.whl]", "'wheels/a.whl' lies in the project"),
        ("dependencies: [-r ../other.txt]", "the file '../other.txt' lies outside of the project"),
        ("dependencies: [-r gone.txt]", "the file 'gone.txt' is not there"),
        ("dependencies: [-r bad.txt]", "bad.txt line 3: '=' is no requirement"),
        ("dependencies: [-r loop.txt]", "loop.txt line 1: the file 'loop.txt' names itself"),
        ("dependencies: ['a @ https://me:word@example.org/a']", "https://example.org is given with credentials"),
        ("dependencies: ['--index-url https://word@example.org']", "https://example.org is given with credentials"),
        ("dependencies: ['-i https://example.org/?token=word']", "https://example.org is given with credentials"),
        ("dependencies: !!python/tuple [a]", "YAML tags are not allowed"),
        ("", "python_env.yaml: is empty; declare dependencies"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path.parent / "other.txt").touch()

    with pytest.raises(InvalidProjectError) as caught:
        read(tmp_path, text, bad="six\n\n=\n", loop="-r loop.txt")

    assert sentence in str(caught.value)
    assert "word" not in str(caught.value)


def test_a_key_that_means_nothing_is_a_warning(tmp_path: Path) -> None:
    found = read(tmp_path, "dependancies: [six]")

    assert found is not None
    assert "line 1: 'dependancies' means nothing in the file; did you mean 'dependencies'?" in found.warnings[0]


@pytest.mark.parametrize(
    ("declared", "sentence"),
    [
        ("python_env: {python: 3.11}", "MLproject line 1: python_env must be the path of a YAML file"),
        ("python_env: [a]", "python_env must be the path of a YAML file"),
        ("python_env:", "python_env must be the path of a YAML file"),
        ("python_env: gone.yaml", "'gone.yaml' is not there"),
        ("python_env: .", "'.' is not a plain file"),
        ("python_env: pipe", "'pipe' is not a plain file"),
        ("python_env: /etc/hosts", "'/etc/hosts' lies outside of the project"),
        ("python_env: leads_out", "'leads_out' lies outside of the project"),
        ("name: x\nconda_env: conda.yaml", "MLproject line 2: conda_env is not an environment that can be built here"),
        (
            "docker_env: {image: x}",
            "MLproject line 1: docker_env is not an environment that can be built here; use python_",
        ),
        ("python_env: python_env.yaml\nconda_env: c.yaml", "line 2: conda_env is not an environment"),
    ],
)
def test_an_environment_that_cannot_be_had_is_refused(tmp_path: Path, declared: str, sentence: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "leads_out").symlink_to("/etc/hosts")

    with pytest.raises(InvalidProjectError) as caught:
        read(tmp_path, "dependencies: [six]", declared)

    assert sentence in str(caught.value)


def test_a_project_need_not_ask_for_one(tmp_path: Path) -> None:
    assert read(tmp_path, "", "name: x") is None
