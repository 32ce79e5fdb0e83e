"""What decides on an environment, what uv runs with, and what of its words may be kept."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.metadata import PathDistribution
from pathlib import Path

import pytest

from dioptra.errors import BaseOptionalDependencyError, InvalidProjectError, UsageError
from dioptra.mlproject import PythonEnv, Requirements
from dioptra.records import Job, JobStatus
from dioptra.storage import Home
from dioptra.worker import BuiltEnv, Request, WantedEnv, find_uv, job_environment, make_plan
from dioptra.worker._own_requirement import own_requirement
from dioptra.worker._uv import asks_for_no_index, uv_environment, without_credentials

DECLARED = PythonEnv(Path("/x/python_env.yaml"), "3.11", Requirements(("wheel",)), Requirements(("six",), ("numpy<3",)))
WANTED = WantedEnv(DECLARED, testbed="")


def test_projects_that_want_the_same_share_one() -> None:
    moved = replace(DECLARED, file=Path("/elsewhere/env.yaml"), warnings=("odd",))

    assert WANTED.sha256 == WantedEnv(moved, testbed="").sha256
    assert len(WANTED.sha256) == 64


@pytest.mark.parametrize(
    "other",
    [
        WantedEnv(replace(DECLARED, python="3.12"), testbed=""),
        WantedEnv(replace(DECLARED, dependencies=Requirements(("six==1",), ("numpy<3",))), testbed=""),
        WantedEnv(replace(DECLARED, dependencies=Requirements(("six",), ("numpy<2",))), testbed=""),
        WantedEnv(replace(DECLARED, dependencies=Requirements(("six", "numpy<3"))), testbed=""),
        WantedEnv(replace(DECLARED, build_dependencies=Requirements()), testbed=""),
        WantedEnv(DECLARED, testbed="dioptra-testbed==1"),
    ],
)
def test_all_that_decides_makes_another_one(other: WantedEnv) -> None:
    assert other.sha256 != WANTED.sha256


def test_another_testbed_in_the_same_folder_makes_another_one(monkeypatch: pytest.MonkeyPatch) -> None:
    before = WantedEnv(DECLARED).sha256
    monkeypatch.setattr("dioptra.worker._python_env.own_needs", lambda: ["2.0", "new-package"])

    assert WantedEnv(DECLARED).sha256 != before


def test_another_platform_makes_another_one(monkeypatch: pytest.MonkeyPatch) -> None:
    before = WANTED.sha256
    monkeypatch.setattr("sysconfig.get_platform", lambda: "linux-other")

    assert WANTED.sha256 != before


@pytest.mark.parametrize(
    "line", ["dioptra-testbed", "Dioptra_Testbed[s3]>=0.1", "dioptra.testbed @ https://example.org/x"]
)
def test_the_testbed_is_added_unless_it_is_named(line: str) -> None:
    named = replace(DECLARED, dependencies=Requirements((line,)))
    other = replace(DECLARED, dependencies=Requirements(("dioptra-testbed-plugins",)))

    assert WantedEnv(named, testbed="dioptra-testbed==1").lines == (line,)
    assert WantedEnv(other, testbed="dioptra-testbed==1").lines == ("dioptra-testbed-plugins", "dioptra-testbed==1")


@pytest.mark.parametrize(
    ("origin", "line"),
    [
        (None, "dioptra-testbed==1.5"),
        ({"url": "file://{here}", "dir_info": {"editable": True}}, "-e {here}"),
        ({"url": "file://{here}", "dir_info": {}}, "dioptra-testbed @ file://{here}"),
        ({"url": "file:///not/there.whl", "archive_info": {}}, "dioptra-testbed==1.5"),
        ({"url": "https://example.org/a.whl", "archive_info": {}}, "dioptra-testbed @ https://example.org/a.whl"),
        (
            {"url": "https://example.org/a", "vcs_info": {"vcs": "git", "commit_id": "12ab"}},
            "dioptra-testbed @ git+https://example.org/a@12ab",
        ),
        ("damaged", "dioptra-testbed==1.5"),
    ],
)
def test_the_testbed_comes_from_where_it_was_installed(tmp_path: Path, origin: object, line: str) -> None:
    about = tmp_path / "dioptra_testbed-1.5.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: dioptra-testbed\nVersion: 1.5\n")
    if origin is not None:
        (about / "direct_url.json").write_text(json.dumps(origin).replace("{here}", str(tmp_path)))

    assert own_requirement(PathDistribution(about)) == line.replace("{here}", str(tmp_path))


def test_pips_settings_are_used_where_uvs_are_not_set() -> None:
    of_pip = {
        "PIP_INDEX_URL": "https://a/",
        "PIP_EXTRA_INDEX_URL": "https://b/",
        "PIP_FIND_LINKS": "x y",
        "PIP_NO_INDEX": "1",
    }

    found = uv_environment(of_pip)
    own = uv_environment({**of_pip, "UV_INDEX_URL": "https://c/", "UV_FIND_LINKS": "z"})

    assert found["UV_DEFAULT_INDEX"] == "https://a/"
    assert found["UV_INDEX"] == "https://b/"
    assert found["UV_FIND_LINKS"] == "x,y"
    assert asks_for_no_index(of_pip)
    assert not asks_for_no_index({**of_pip, "UV_INDEX_URL": "https://c/"})
    assert not asks_for_no_index({"PIP_NO_INDEX": "0"})
    assert (own["UV_INDEX_URL"], own["UV_FIND_LINKS"]) == ("https://c/", "z")
    assert "UV_DEFAULT_INDEX" not in own


@pytest.mark.parametrize(
    "variable", ["VIRTUAL_ENV", "UV_PYTHON", "UV_TARGET", "PYTHONPATH", "PYTHONHOME", "DIOPTRA_DATABASE_URL"]
)
def test_nothing_leads_uv_astray(variable: str) -> None:
    assert variable not in uv_environment({variable: "x"})


def test_what_uv_builds_sees_no_secret_of_the_testbed() -> None:
    url = {"DIOPTRA_DATABASE_URL": "postgresql://u:p@h/d", "PGPASSWORD": "p", "MLFLOW_FLASK_SERVER_SECRET_KEY": "k"}
    assert uv_environment(url | {"HOME": "/h"}) == {"HOME": "/h", "NO_COLOR": "1", "UV_NO_PROGRESS": "1"}


def test_what_uv_says_loses_its_credentials() -> None:
    environ = {"UV_INDEX_URL": "https://me:sec%40ret@example.org/simple", "UV_INDEX_OWN_PASSWORD": "pass-word"}
    said = "cannot fetch https://me:sec%40ret@example.org/simple/six/?token=abc (sec@ret, pass-word)"

    assert without_credentials(said, environ) == "cannot fetch https://example.org/simple/six/ (****, ****)"


def test_a_job_finds_its_own_environment_first() -> None:
    base = {"PATH": "/usr/bin", "PYTHONHOME": "/x", "VIRTUAL_ENV": "/of/the/user"}

    found = job_environment({}, base, BuiltEnv(Path("/home/envs/a")))

    assert found["PATH"] == "/home/envs/a/bin:/usr/bin"
    assert found["VIRTUAL_ENV"] == "/home/envs/a"
    assert "PYTHONHOME" not in found
    assert job_environment({}, base)["VIRTUAL_ENV"] == "/of/the/user"


def test_uv_is_looked_for_beside_the_testbed_and_then_on_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Path(find_uv({"PATH": str(tmp_path)})).name == "uv"
    monkeypatch.setitem(__import__("sys").modules, "uv", None)
    with pytest.raises(BaseOptionalDependencyError, match="pip install 'dioptra-testbed\\[envs\\]'"):
        find_uv({"PATH": str(tmp_path)})
    (tmp_path / "uv").touch(mode=0o755)
    assert find_uv({"PATH": str(tmp_path)}) == str(tmp_path / "uv")


@pytest.fixture
def asking(tmp_path: Path) -> Path:
    (tmp_path / "MLproject").write_text("python_env: e.yaml\nentry_points: {main: {command: only-there}}\n")
    (tmp_path / "e.yaml").write_text("dependencies: [six]\nodd: 1")
    return tmp_path


def test_a_program_that_the_environment_may_bring_is_not_refused(asking: Path) -> None:
    plan = make_plan(asking, "main", {}, None)

    assert plan.env_manager == "uv"
    assert plan.wanted_env is not None
    assert any("'odd' means nothing" in sentence for sentence in plan.warnings)
    assert plan.wanted_env.describe(Home(asking / "none"))["python_env"] == plan.wanted_env.sha256
    with pytest.raises(InvalidProjectError, match="'only-there' was not found on the PATH"):
        make_plan(asking, "main", {}, None, env_manager="local")


def test_local_takes_no_notice_of_what_is_declared(tmp_path: Path) -> None:
    (tmp_path / "MLproject").write_text(
        "python_env: {a: b}\nconda_env: x\ndocker_env: {}\nentry_points: {main: {command: ls}}"
    )

    assert make_plan(tmp_path, "main", {}, None, env_manager="local").env_manager == "local"
    with pytest.raises(InvalidProjectError, match="docker_env"):
        make_plan(tmp_path, "main", {}, None)


def test_what_gives_no_environment_is_refused(tmp_path: Path) -> None:
    (tmp_path / "MLproject").write_text("entry_points: {main: {command: ls}}")

    assert make_plan(tmp_path, "main", {}, None).env_manager == "local"
    with pytest.raises(InvalidProjectError, match="no python_env is declared"):
        make_plan(tmp_path, "main", {}, None, env_manager="uv")
    with pytest.raises(UsageError, match="'conda' gives no environment; give uv or local"):
        make_plan(tmp_path, "main", {}, None, env_manager="conda")


def test_a_job_from_before_there_were_environments_runs_as_it_was_meant() -> None:
    request: dict[str, object] = {
        "project_file": "MLproject",
        "given": [],
        "hash_seed": "0",
        "repository": None,
        "plugins": {},
    }
    old = Job(
        id="1",
        experiment="old",
        project_dir="/x",
        entry_point="main",
        parameters={},
        argv=(),
        status=JobStatus.QUEUED,
        request=request,
    )

    assert Request.of_job(old).env_manager == "local"
    assert Request.of_job(old.changed(request={**request, "env_manager": "uv"})).to_dict()["env_manager"] == "uv"
