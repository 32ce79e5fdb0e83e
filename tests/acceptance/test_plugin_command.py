"""Task plugins in collections: listed, shown, checked, pushed, pulled, and used by jobs, with the real command line."""

from __future__ import annotations

import json
import os
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest

from dioptra.testbed import Submission
from tests.acceptance.workbench import Workbench
from tests.conftest import Spoken

MLPROJECT = "name: toys\nentry_points:\n  main: {command: python toy.py}\n"
TOY = """
from dioptra import pyplugs
from dioptra.sdk.utilities.contexts import plugin_dirs
with plugin_dirs():
    print("answer", pyplugs.call("dioptra_custom.sums", "ops", "add", x=40))
"""
OPS = '''"""Sums."""
from dioptra import pyplugs
from .more import AMOUNT

@pyplugs.register
def add(x: int, y: int = AMOUNT) -> int:
    """Add two numbers.

    Carefully.
    """
    return x + y
'''


@pytest.fixture
def bench(tmp_path: Path, made_store: Path) -> Workbench:
    (tmp_path / "home").mkdir()
    (tmp_path / "work").mkdir()
    shutil.copy(made_store, tmp_path / "home" / "mlflow.db")
    return Workbench(tmp_path / "home", tmp_path / "work")


def sums(folder: Path, amount: int = 2) -> Path:
    """Write a package of plugins."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ops.py").write_text(OPS)
    (folder / "more.py").write_text(f"AMOUNT = {amount}\n")
    return folder


def toys(bench: Workbench) -> Path:
    return bench.project("toys", MLproject=MLPROJECT, toy_py=TOY)


def log(bench: Workbench, job_id: str) -> str:
    return bench.testbed.paths(bench.testbed.job(job_id)).log_file.read_text()


def last(said: Spoken) -> Any:
    assert said.code == 0, said
    return json.loads(said.out.splitlines()[-1])


def ran(bench: Workbench, **environment: str) -> str:
    said = bench.dioptra("run", "toys", cwd=None, **environment)
    assert said.code == 0, said
    return said.out


class TestWithoutSettings:
    def test_pushed_and_used(self, bench: Workbench) -> None:
        toys(bench)
        sums(bench.folder / "sums")

        pushed = bench.dioptra("plugin", "push", "sums")
        assert (pushed.code, pushed.out) == (0, ""), pushed
        assert "2 files new or changed, 0 removed: version " in pushed.err
        assert (bench.home / "collections" / "dioptra_custom" / "sums" / "ops.py").read_text() == OPS
        assert "answer 42" in ran(bench)

    def test_listed(self, bench: Workbench) -> None:
        sums(bench.folder / "sums")
        bench.dioptra("plugin", "push", "sums")
        said = bench.dioptra("plugin", "list")
        assert "dioptra_custom.sums.ops.add " in said.out
        assert "dioptra_builtins.data.digits.load_digits " in said.out
        some = bench.dioptra("plugin", "list", "dioptra_custom.sums")
        assert some.out.splitlines()[1:] == ["dioptra_custom.sums.ops.add  Add two numbers."]
        assert some.err.startswith("dioptra_custom ")
        found = last(bench.dioptra("plugin", "list", "dioptra_custom", "--json"))
        assert [each["name"] for each in found["plugins"]] == ["dioptra_custom.sums.ops.add"]
        assert found["collections"][0]["plugins"] == 1
        assert bench.dioptra("plugin", "list", "nothing").out == "no task plugins 'nothing'\n"

    def test_shown_with_the_jobs_that_used_it(self, bench: Workbench) -> None:
        toys(bench)
        bench.dioptra("plugin", "push", str(sums(bench.folder / "sums")))
        ran(bench)
        bench.dioptra("plugin", "push", str(sums(bench.folder / "sums", 3)))
        assert "answer 43" in ran(bench)
        first, second = bench.testbed.jobs()

        said = bench.dioptra("plugin", "show", "ops.add").out
        assert said.startswith(
            "dioptra_custom.sums.ops.add(x: int, y: int = AMOUNT) -> int\n\n    Add two numbers.\n\n    Carefully.\n"
        )
        assert f"from     {bench.home}/collections/dioptra_custom\n" in said
        assert "file     sums/ops.py, line 5\n" in said
        assert said.index(second.id[:8]) < said.index(first.id[:8])
        assert "    @pyplugs.register\n    def add(x: int, y: int = AMOUNT) -> int:\n" in said
        found = last(bench.dioptra("plugin", "show", "dioptra_custom.sums.ops.add", "--json"))
        assert list(found["jobs"].values()) == [[second.id], [first.id]]
        assert found["parameters"][1] == {"name": "y", "annotation": "int", "default": "AMOUNT", "required": False}

    def test_pulled_as_a_job_had_it(self, bench: Workbench) -> None:
        toys(bench)
        bench.dioptra("plugin", "push", str(sums(bench.folder / "sums")))
        ran(bench)
        bench.dioptra("plugin", "push", str(sums(bench.folder / "sums", 3)))
        (then,) = bench.testbed.plugins.jobs("dioptra_custom")

        now, before = (last(bench.dioptra("plugin", "pull", *args, "--json")) for args in (
            ("dioptra_custom",), ("dioptra_custom", "before", "--version", then[:9]),
        ))  # fmt: skip
        assert (bench.folder / "dioptra_custom" / "sums" / "more.py").read_text() == "AMOUNT = 3\n"
        assert (bench.folder / "before" / "sums" / "more.py").read_text() == "AMOUNT = 2\n"
        assert now["sha256"] != before["sha256"] == then
        (bench.folder / "before" / "sums" / "more.py").write_text("it can be written to")
        again = bench.dioptra("plugin", "pull", "dioptra_custom")
        assert (again.code, "is there already" in again.err) == (4, True)
        gone = bench.dioptra("plugin", "pull", "dioptra_custom", "x", "--version", "0000")
        assert "used version '0000' of 'dioptra_custom'" in gone.err
        assert not (bench.folder / "x").exists()

    def test_an_archive(self, bench: Workbench) -> None:
        toys(bench)
        with tarfile.open(bench.folder / "sums.tar.gz", "w:gz") as archive:
            archive.add(sums(bench.folder / "somewhere" / "sums"), "sums")
        assert bench.dioptra("plugin", "push", "sums.tar.gz").code == 0
        assert "answer 42" in ran(bench)
        (bench.folder / "bad.zip").write_bytes(b"no zip")
        assert "the archive is damaged" in bench.dioptra("plugin", "push", "bad.zip").err

    def test_nothing_is_removed_unless_asked(self, bench: Workbench) -> None:
        bench.dioptra("plugin", "push", str(sums(bench.folder / "sums")))
        more = sums(bench.folder / "new" / "sums")
        (more / "extra.py").touch()
        (more / "ops.py").write_text(OPS.replace("from .more import AMOUNT", "AMOUNT = 5"))
        (more / "more.py").unlink()

        refused = bench.dioptra("plugin", "push", str(more))
        assert (refused.code, "add --replace" in refused.err) == (4, True)
        assert "1 of the files of dioptra_custom.sums are not in 'sums': more.py" in refused.err
        dry = bench.dioptra("plugin", "push", str(more), "--replace", "--dry-run")
        assert dry.out == "+ extra.py\n+ ops.py\n- more.py\n"
        place = bench.home / "collections" / "dioptra_custom" / "sums"
        assert (place / "more.py").exists()
        assert bench.dioptra("plugin", "push", str(more), "--replace").code == 0
        assert sorted(each.name for each in place.iterdir()) == ["extra.py", "ops.py"]

    def test_what_is_wrong_is_refused(self, bench: Workbench) -> None:
        folder = sums(bench.folder / "sums")
        (folder / "more.py").unlink()
        checked = bench.dioptra("plugin", "check", "sums")
        assert (checked.code, "error: sums/ops.py line 3: " in checked.out) == (1, True), checked
        refused = bench.dioptra("plugin", "push", "sums")
        assert (refused.code, "sums/ops.py line 3" in refused.err) == (4, True), refused
        assert not (bench.home / "collections").exists()
        assert bench.dioptra("plugin", "push", "sums", "--unchecked").code == 0
        assert last(bench.dioptra("plugin", "list", "dioptra_custom", "--json"))["plugins"] != []

    def test_a_link_that_leads_out_is_not_followed(self, bench: Workbench) -> None:
        (bench.folder / "secret.py").write_text("SECRET = 1\n")
        (sums(bench.folder / "sums") / "linked.py").symlink_to(bench.folder / "secret.py")
        for verb in ("check", "push"):
            said = bench.dioptra("plugin", verb, "sums")
            assert said.code != 0
            assert "sums/linked.py: " in said.out + said.err
        assert not (bench.home / "collections").exists()

    def test_after_a_push_that_was_cut_off(self, bench: Workbench) -> None:
        toys(bench)
        bench.dioptra("plugin", "push", str(sums(bench.folder / "sums")))
        place = bench.home / "collections" / "dioptra_custom"
        (place / ".dioptra-upload").write_text(f"{place}/sums\nsomebody")
        for args in (("run", "toys"), ("plugin", "list"), ("plugin", "push", "sums")):
            said = bench.dioptra(*args)
            assert said.code != 0
            assert "is not whole: something is being pushed there" in said.err
        sums(bench.folder / "sums", 6)
        assert bench.dioptra("plugin", "push", "sums", "--resume").code == 0
        assert "answer 46" in ran(bench)

    def test_an_empty_package_is_doubtful(self, bench: Workbench) -> None:
        (bench.folder / "nothing").mkdir()
        (bench.folder / "nothing" / "a.py").touch()
        said = bench.dioptra("plugin", "check", "nothing")
        assert said.out.startswith(
            "warning: 'dioptra_custom.nothing' registers no task plugin; write @pyplugs.register"
        )
        assert (said.code, said.err) == (0, "dioptra_custom.nothing: 0 errors, 1 warning\n")

    def test_an_import_from_another_package_of_the_collection_is_seen(self, bench: Workbench) -> None:
        bench.dioptra("plugin", "push", str(sums(bench.folder / "sums")))
        other = bench.folder / "other"
        other.mkdir()
        text = (
            "from dioptra import pyplugs\nfrom ..sums.more import AMOUNT\n@pyplugs.register\ndef f(): return AMOUNT\n"
        )
        (other / "f.py").write_text(text)
        assert "is in order" in bench.dioptra("plugin", "check", "other").err
        (other / "f.py").write_text(text.replace("more", "less"))
        assert bench.dioptra("plugin", "check", "other").code == 1

    def test_installed_ones_take_no_push(self, bench: Workbench) -> None:
        sums(bench.folder / "sums")
        said = bench.dioptra("plugin", "push", "sums", "--to", "dioptra_builtins.sums")
        assert (said.code, "'dioptra_builtins' is an installed package" in said.err) == (4, True), said

    @pytest.mark.parametrize(
        ("args", "said"),
        [
            (("show", "ad"), "there is no task plugin 'ad'"),
            (("show", "load_digit"), "there is no task plugin 'load_digit'; did you mean 'load_digits'?"),
            (("pull", "dioptra_costum"), "there is no collection 'dioptra_costum' of task plugins"),
            (("push", "nowhere"), "there is no folder and no archive 'nowhere'"),
            (("push", "toy.py"), "'toy.py' is neither a folder nor an archive"),
            (("push", ".", "--to", "a-b.c"), "'a-b.c' cannot be the name of task plugins"),
        ],
    )
    def test_refusals(self, bench: Workbench, args: tuple[str, ...], said: str) -> None:
        (bench.folder / "toy.py").touch()
        refused = bench.dioptra("plugin", *args)
        assert refused.code != 0
        assert said in refused.err
        assert "Traceback" not in refused.err


class TestPlaces:
    def test_a_setting_names_them(self, bench: Workbench) -> None:
        toys(bench)
        sums(bench.folder / "here" / "mine" / "sums")
        sums(bench.home / "collections" / "dioptra_custom" / "sums", 9)  # which does not count then
        setting = f"dioptra_custom={bench.folder}/here/mine , file://{bench.folder}/here/mine/"
        assert "answer 42" in ran(bench, DIOPTRA_PLUGINS=setting)
        names = bench.dioptra("plugin", "list", DIOPTRA_PLUGINS=setting).out
        assert "\ndioptra_custom.sums.ops.add " in names
        assert "\nmine.sums.ops.add " in names
        (job,) = bench.testbed.jobs()
        shown = bench.dioptra("job", "show", job.id).out
        assert (
            f"plugins      dioptra_custom {job.request['plugins']['dioptra_custom'][:12]} from {bench.folder}/here"
            in shown
        )
        assert job.request["plugin_sources"]["dioptra_custom"] == f"{bench.folder}/here/mine"

    def test_a_folder_of_packages(self, bench: Workbench) -> None:
        toys(bench)
        sums(bench.folder / "root" / "dioptra_custom" / "sums")
        setting = str(bench.folder / "root")
        assert "answer 42" in ran(bench, DIOPTRA_PLUGIN_DIR=setting)
        sums(bench.folder / "sums", 4)
        pushed = bench.dioptra("plugin", "push", "sums", DIOPTRA_PLUGIN_DIR=setting)
        assert f"at {setting}/dioptra_custom: 1 file new or changed" in pushed.err
        assert "answer 44" in ran(bench, DIOPTRA_PLUGIN_DIR=setting)
        jobs = last(bench.dioptra("plugin", "show", "ops.add", "--json", DIOPTRA_PLUGIN_DIR=setting))["jobs"]
        assert len(jobs) == 2

    def test_an_installed_package_that_says_so(self, bench: Workbench) -> None:
        site = bench.folder / "site"
        sums(site / "acme_plugins" / "sums")
        (site / "acme_plugins" / "__init__.py").write_text("open('imported', 'w')")
        info = site / "acme-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[dioptra.plugins]\nacme = acme_plugins\n")
        bench.project("toys", MLproject=MLPROJECT, toy_py=TOY.replace("dioptra_custom", "acme_plugins"))

        named = bench.dioptra("plugin", "show", "ops.add", PYTHONPATH=str(site))
        assert named.out.startswith("acme_plugins.sums.ops.add("), named
        assert not (bench.folder / "imported").exists()
        job = bench.dioptra("submit", "toys", PYTHONPATH=str(site)).out.strip()
        sums(site / "acme_plugins" / "sums", 50)
        assert bench.dioptra("worker", "--burst", PYTHONPATH=str(site)).code == 0
        assert "answer 42" in log(bench, job)  # as it was, though another is installed

    @pytest.mark.parametrize(
        ("setting", "said"),
        [
            ("a-b=/srv", "'a-b' cannot be the name of a collection, as DIOPTRA_PLUGINS has it in 'a-b=/srv'"),
            ("a=x/y", "DIOPTRA_PLUGINS names 'x/y', which is neither a URI nor an absolute path"),
            ("a=/x,a=/y", "DIOPTRA_PLUGINS names the collection 'a' twice"),
            ("a=/x/nowhere", "task plugins 'a' of DIOPTRA_PLUGINS: there is nothing at '/x/nowhere'"),
            ("class=/x", "'class' cannot be the name of a collection"),
        ],
    )
    def test_settings_that_cannot_be_meant(self, bench: Workbench, setting: str, said: str) -> None:
        toys(bench)
        for command in (("run", "toys"), ("submit", "toys"), ("plugin", "list")):
            refused = bench.dioptra(*command, DIOPTRA_PLUGINS=setting)
            assert refused.code != 0
            assert said in refused.err
        assert not list(bench.home.glob("jobs/*"))


class TestVersions:
    def test_a_job_gets_those_of_its_submission(self, bench: Workbench) -> None:
        folder = bench.home / "collections" / "dioptra_custom" / "sums"
        sums(folder)
        job = bench.testbed.submit(toys(bench))
        sums(folder, 3)
        shutil.rmtree(folder.parent)
        bench.testbed.worker(burst=True).run()
        assert "answer 42" in log(bench, job.id)

        sums(folder, 5)
        again = bench.testbed.retry(bench.testbed.job(job.id))
        bench.testbed.worker(burst=True).run()
        assert "answer 42" in log(bench, again.id)

    def test_or_those_of_its_start(self, bench: Workbench) -> None:
        folder = bench.home / "collections" / "dioptra_custom" / "sums"
        sums(folder)
        toys(bench)
        job = bench.dioptra("submit", "toys", "--plugins-at-start").out.strip()
        sums(folder, 3)
        bench.testbed.worker(burst=True).run()
        assert "answer 43" in log(bench, job)
        assert [each.id for each in bench.testbed.plugins.jobs("dioptra_custom").popitem()[1]] == [job]
        kept = json.loads((bench.testbed.paths(bench.testbed.job(job)).conditions_file).read_text())
        assert kept["plugin_sources"]["dioptra_custom"] == str(folder.parent)

    def test_a_bundle_that_was_changed_is_not_used(self, bench: Workbench) -> None:
        sums(bench.home / "collections" / "dioptra_custom" / "sums")
        job = bench.testbed.submit(toys(bench), submission=Submission())
        bundle = bench.home / "plugins" / job.request["plugins"]["dioptra_custom"] / "sums"
        bundle.chmod(0o755)
        (bundle / "more.py").chmod(0o644)
        (bundle / "more.py").write_text("AMOUNT = 100\n")
        bench.testbed.worker(burst=True).run()

        found = bench.testbed.job(job.id)
        assert found.status == "failed"
        assert "are not what their name says: somebody has changed them" in found.reason

    def test_read_only_for_jobs(self, bench: Workbench) -> None:
        sums(bench.home / "collections" / "dioptra_custom" / "sums")
        look = "    import os, dioptra_custom.sums.ops as ops\n"
        look += "    print('mode', oct(os.stat(ops.__file__).st_mode & 0o222))\n"
        bench.project("toys", MLproject=MLPROJECT, toy_py=TOY + look)
        assert "mode 0o0" in ran(bench)


def test_completion(bench: Workbench) -> None:
    sums(bench.home / "collections" / "dioptra_custom" / "sums")
    said = bench.dioptra(
        _DIOPTRA_COMPLETE="bash_complete",
        COMP_WORDS="dioptra plugin show dioptra_c",
        COMP_CWORD="3",
        DIOPTRA_PLUGINS="far=s3://nobody/there",
    )
    assert "dioptra_custom.sums.ops.add" in said.out
    assert os.environ.get("DIOPTRA_PLUGINS") is None
