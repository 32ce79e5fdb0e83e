"""A Python script as a project by itself."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from dioptra.errors import EntryPointNotFoundError, InvalidParameterError, ProjectNotFoundError
from dioptra.mlproject import bind, build_argv, read_project


@pytest.fixture
def script(tmp_path: Path) -> Path:
    folder = tmp_path / "means"
    folder.mkdir()
    (folder / "mean.py").write_text("print('never run')\n")
    return folder / "mean.py"


def test_its_entry_points_are_the_commands_of_a_task(script: Path) -> None:
    project = read_project(script)

    assert (project.name, project.folder, project.file) == ("means", script.parent, script)
    assert sorted(project.entry_points) == ["eval", "main", "status", "test", "train"]
    assert build_argv(project.entry_point("train"), {}) == ["python", "mean.py", "train"]
    assert build_argv(project.entry_point("main"), {}) == ["python", "mean.py"]


def test_evaluating_takes_two_files(script: Path, tmp_path: Path) -> None:
    (tmp_path / "in.txt").touch()
    entry = read_project(script).entry_point("eval")

    values = bind(entry, {"infile": "in.txt", "outfile": "out.txt"}, cwd=tmp_path)

    assert build_argv(entry, values)[2:] == ["eval", str(tmp_path / "in.txt"), str(tmp_path / "out.txt")]
    with pytest.raises(InvalidParameterError, match="missing parameters 'infile' .*, 'outfile'"):
        bind(entry, {})


@pytest.mark.parametrize("name", ["a b.py", "a'b.py", "{x}.py", "$(id).py", "-v.py"])
def test_odd_names_stay_one_word(script: Path, name: str) -> None:
    odd = script.rename(script.with_name(name))

    argv = build_argv(read_project(odd).entry_point("train"), {})

    assert argv == ["python", f"./{name}" if name.startswith("-") else name, "train"]
    assert shlex.split(shlex.join(argv)) == argv


def test_a_script_that_is_not_there(script: Path) -> None:
    with pytest.raises(ProjectNotFoundError):
        read_project(script.with_name("gone.py"))
    with pytest.raises(EntryPointNotFoundError, match="did you mean 'train'"):
        read_project(script).entry_point("trian")
