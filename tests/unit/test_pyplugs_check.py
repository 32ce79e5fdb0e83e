"""What a check of a collection of task plugins finds, and what it lets pass."""

from __future__ import annotations

import os
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import dioptra_builtins
from dioptra.errors import NotFoundError
from dioptra.pyplugs.source import Problem, check_plugins

GOOD = "from dioptra import pyplugs\n\n\n@pyplugs.register\ndef f(x=1): ...\n"

Check = Callable[..., list[str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "coll"


@pytest.fixture
def check(folder: Path) -> Check:
    """Write files, and say what is wrong with them; a word tells errors from warnings."""

    def checked(files: dict[str, str], *others: str, good: bool = True) -> list[str]:
        for name, text in ({"good.py": GOOD} | files if good else files).items():
            file = folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(textwrap.dedent(text), encoding="utf-8")
        found = check_plugins(folder, "coll", others=others)
        return [f"{'error' if each.is_error else 'warning'} {each}" for each in found]

    return checked


def test_the_shipped_collection_has_no_errors() -> None:
    found = check_plugins(Path(dioptra_builtins.__file__).parent, "dioptra_builtins")
    assert [str(each) for each in found] == [
        "random: Python has a module 'random' of its own; import this one relatively"
    ]
    assert not found[0].is_error


def test_a_problem_says_where_it_is() -> None:
    found = Problem("a/b.py", 3, "it is wrong", "write it right", is_error=False)
    assert str(found) == "a/b.py line 3: it is wrong; write it right"
    assert (found.where, Problem("a", 0, "no").where, str(Problem("", 0, "no"))) == ("a/b.py line 3", "a", "no")
    assert found.to_dict() == {
        "file": "a/b.py",
        "line": 3,
        "message": "it is wrong",
        "hint": "write it right",
        "is_error": False,
    }


def test_no_folder(folder: Path) -> None:
    with pytest.raises(NotFoundError, match="there is no folder"):
        check_plugins(folder, "coll")


def test_order(check: Check, folder: Path) -> None:
    files = {"b.py": "import nothing_b\nimport nothing_a\n", "a-a.py": "", "c.pth": ""}
    found = check(files)
    assert [each.split(":")[0] for each in found] == [
        "error a-a.py",
        "error b.py line 1",
        "error b.py line 2",
        "error c.pth",
    ]
    assert found == check(files)


NAMES: dict[str, tuple[list[str], list[str]]] = {
    "fine": (["a.py", "b/__init__.py", "b/c.py", "_d.py", "e/__main__.py", "b/data-files/x.csv", "my notes.md"], []),
    "a hyphen": (["my-plugin.py"], ["error my-plugin.py: 'my-plugin' cannot be the name of a module; use letters"]),
    "a dot": (["a.b.py"], ["error a.b.py: 'a.b' cannot be the name of a module"]),
    "a digit": (["b/1st.py"], ["error b/1st.py: '1st' cannot be the name of a module"]),
    "a keyword": (["class.py"], ["error class.py: 'class' cannot be the name of a module"]),
    "a folder": (["my-b/c.py", "my-b/d.py"], ["error my-b: 'my-b' cannot be the name of a package"]),
    "case": (["a.py", "A.py"], ["error a.py: its name differs from 'A.py' only in upper and lower case"]),
    "case of a folder": (["a.py", "A/b.py"], ["error a.py: its name differs from 'A' only"]),
    "a module and a package": (["a.py", "a/__init__.py"], ["error a.py: 'a' has the same name, so that one hides"]),
    "a module and data": (["a.py", "a/x.csv"], []),
    "Python's": (["random/x.py"], ["warning random: Python has a module 'random' of its own"]),
    "hidden": ([".ipynb_checkpoints/a-checkpoint.py"], []),
    "sitecustomize": (
        ["b/sitecustomize.py"],
        ["error b/sitecustomize.py: other programs act upon a file of that name"],
    ),
    "usercustomize": (["usercustomize.py"], ["error usercustomize.py: other programs act upon"]),
    "pth": (["b/x.pth"], ["error b/x.pth: other programs act upon"]),
    "git": ([".git/config", ".git/hooks/x.py"], ["error .git: other programs act upon"]),
}


@pytest.mark.parametrize(("files", "expected"), NAMES.values(), ids=NAMES)
def test_names(check: Check, files: list[str], expected: list[str]) -> None:
    found = check(dict.fromkeys(files, ""))
    assert len(found) == len(expected)
    assert all(each.startswith(words) for each, words in zip(found, expected, strict=True))


class TestLinks:
    @pytest.mark.parametrize(("target", "what"), [
        ("/etc", "error link: it is a link that leads out of the collection; put the file itself in its place"),
        ("/etc/passwd", "error link: it is a link that leads out"),
        ("../nothing", "error link: it is a link that leads out"),
        ("nothing", "error link: it is a link that leads nowhere"),
        ("link", "error link: it is a link that leads nowhere"),
        ("pkg", "warning link: it is a link to a folder, which is not looked into"),
        (".", "warning link: it is a link to a folder"),
    ])  # fmt: skip
    def test_what_they_lead_to(self, check: Check, folder: Path, target: str, what: str) -> None:
        check({"pkg/a.py": "from ..link import x\n" if target in ("pkg", ".") else ""})
        (folder / "link").symlink_to(target)
        (found,) = check({})
        assert found.startswith(what)

    def test_a_file_of_the_collection_is_read(self, check: Check, folder: Path) -> None:
        check({"pkg/a.py": "x = 1\n", "b.py": "from .link import x, y\n"})
        (folder / "link.py").symlink_to("pkg/a.py")
        assert check({}) == ["error b.py line 1: 'coll.link' has no 'y'"]

    def test_in_hidden_folders_too(self, check: Check, folder: Path) -> None:
        check({".hidden/a": ""})
        (folder / ".hidden" / "link").symlink_to("/etc/passwd")
        assert len(check({})) == 1

    def test_what_is_no_file(self, check: Check, folder: Path) -> None:
        check({})
        os.mkfifo(folder / "pipe")
        assert check({}) == ["error pipe: it is neither a file nor a folder; remove it"]

    def test_a_folder_that_cannot_be_read(self, check: Check, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        check({"shut/a.py": "", "b.py": "from .shut import a\n"})
        scandir = os.scandir

        def refuse(path: Path) -> object:
            if path.name == "shut":
                raise PermissionError
            return scandir(path)

        monkeypatch.setattr(os, "scandir", refuse)
        assert "error shut: the folder cannot be read; change its permissions" in check({})


TREE = {
    "a.py": "x: int\nfor y in (1,): (z := 2)\ndef g():\n    global late\n    late = 1\n    local = 1\n"
    "class C: inner = 1\nwith open(p) as (w, *v): pass\nmatch w:\n    case [m, *n, {'k': o, **p}]: pass\n"
    "import os.path, json as j\n",
    "open.py": "globals()['x'] = 1\n",
    "star.py": "from .a import *\n",
    "lazy.py": "def __getattr__(name): ...\n",
    "broken.py": "(\n",
    "fast.cpython-311-x86_64-linux-gnu.so": "",
    "data/x.csv": "",
    "pkg/__init__.py": "from .b import thing\n",
    "pkg/b.py": "thing = 1\n",
    "deep/er/c.py": "",
}
IMPORTS: dict[str, tuple[str, str]] = {
    "what is there": ("from . import a\nfrom .a import x, y, z, late, C, g, w, v, m, n, o, p, os, j, __doc__\n", ""),
    "modules that may hold more": ("from .open import q\nfrom .star import q\nfrom .lazy import q\n", ""),
    "a module that cannot be read": ("from .broken import q\nimport coll.broken.q\n", ""),
    "compiled": ("from . import fast\nfrom .fast import q\n", ""),
    "folders": ("from . import data, deep\nfrom .deep.er import c\nimport coll.deep.er.c\n", ""),
    "packages": ("from .pkg import b, thing\nfrom coll.pkg.b import thing\nfrom .pkg import *\n", ""),
    "the top": ("import coll\nfrom coll import a\n", ""),
    "no module": ("from .aa import x\n", "error m.py line 1: there is no module 'coll.aa'; did you mean 'coll.a'?"),
    "no name in the top": ("from . import pkgs\n", "error m.py line 1: 'coll' has no 'pkgs'; did you mean 'pkg'?"),
    "no absolute module": ("import os, coll.pkg.c\n", "error m.py line 1: there is no module 'coll.pkg.c'"),
    "a module is no package": ("import coll.a.b\n", "error m.py line 1: there is no module 'coll.a.b'"),
    "no name": ("from .pkg.b import thin\n", "error m.py line 1: 'coll.pkg.b' has no 'thin'; did you mean 'thing'?"),
    "a local name": ("from .a import local\n", "error m.py line 1: 'coll.a' has no 'local'"),
    "a name in a class": ("from .a import inner\n", "error m.py line 1: 'coll.a' has no 'inner'"),
    "beyond the top": ("from ..x import y\n", "error m.py line 1: `from ..x import y` leads out of the collection"),
    "own, in a function": ("def f():\n    from . import q\n", "error m.py line 2: 'coll' has no 'q'"),
    "own, under a condition": ("if x:\n    from . import q\n", "warning m.py line 2: 'coll' has no 'q'"),
    "own, for type checkers": (
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from . import q\n",
        "warning m.py line 3: 'coll' has no 'q'",
    ),
    "own, expected": ("try:\n    from . import q\nexcept ImportError:\n    q = None\n", ""),
    "installed": (
        "import os, numpy.linalg, dioptra, __main__, _ctypes, xml.dom\nfrom __future__ import annotations\n",
        "",
    ),
    "given": ("import dioptra_other.x\n", ""),
    "not installed": (
        "import no_such.x as y\n",
        "error m.py line 1: package 'no_such' is not installed here; install it where jobs run, or expect that it is",
    ),
    "from": ("from no_such import x\n", "error m.py line 1: package 'no_such' is not installed here"),
    "in a class": ("class A:\n    import no_such\n", "error m.py line 2: package 'no_such'"),
    "in a function": ("def f():\n    import no_such\n", "warning m.py line 2: package 'no_such' is not installed here"),
    "in a method": ("class A:\n    def f():\n        import no_such\n", "warning m.py line 3: package 'no_such'"),
    "under a condition": ("if x:\n    pass\nelse:\n    import no_such\n", "warning m.py line 4: package 'no_such'"),
    "expected": ("try:\n    import no_such\nexcept ImportError:\n    import no_such_2\n", ""),
    "expected by another name": ("try:\n    import no_such\nexcept (OSError, ModuleNotFoundError): ...\n", ""),
    "any error expected": ("try:\n    import no_such\nexcept: ...\n", ""),
    "suppressed": ("import contextlib\nwith contextlib.suppress(ImportError):\n    import no_such\n", ""),
    "another error expected": (
        "try:\n    import no_such\nexcept OSError: ...\n",
        "error m.py line 2: package 'no_such'",
    ),
    "not in the try": ("try: ...\nexcept ImportError: ...\nelse:\n    import no_such\n", "error m.py line 4: package"),
    "a function in a try": (
        "try:\n    def f():\n        import no_such\nexcept ImportError: ...\n",
        "warning m.py line 3: package 'no_such'",
    ),
    "for type checkers": ("import typing as t\nif t.TYPE_CHECKING:\n    import no_such\n", ""),
    "required": (
        "from dioptra.sdk.utilities.decorators import require_package\n@require_package('no_such.x')\ndef f():\n"
        "    import no_such\n    def g():\n        from no_such import y\n",
        "",
    ),
    "another one required": (
        "from dioptra.sdk.utilities.decorators import require_package\n@require_package(name='numpy')\ndef f():\n"
        "    import no_such\n",
        "warning m.py line 4: package 'no_such'",
    ),
    "the first name of Dioptra": (
        "from mitre.securingai import pyplugs\n",
        "error m.py line 1: package 'mitre' is not installed here; write `from dioptra import pyplugs`",
    ),
}


@pytest.mark.parametrize(("text", "expected"), IMPORTS.values(), ids=IMPORTS)
def test_imports(check: Check, text: str, expected: str) -> None:
    found = [each for each in check({**TREE, "m.py": text}, "dioptra_other.sub") if " broken.py " not in each]
    assert len(found) == bool(expected)
    assert not expected or found[0].startswith(expected)


def test_relative_imports_of_packages(check: Check) -> None:
    files = {
        "a.py": "x = 1\n",
        "pkg/__init__.py": "from . import b\nfrom .. import a\nfrom ... import c\n",
        "pkg/b.py": "from . import b\nfrom .. import a\nfrom ... import c\n",
    }
    assert [each.partition(":")[0] for each in check(files)] == [
        "error pkg/__init__.py line 3",
        "error pkg/b.py line 3",
    ]


def test_circles_are_fine(check: Check) -> None:
    assert not check({"a.py": "from . import b\nx = 1\n", "b.py": "from .a import x\n"})


HEAD = "from dioptra import pyplugs, task\n"
FUNCTIONS: dict[str, tuple[str, str]] = {
    "no argument": ("@pyplugs.register()\n@pyplugs.task_nout(2)\ndef f(): ...\n", ""),
    "a task of it": ("@task\n@pyplugs.register\ndef f(): ...\n", ""),
    "*args": (
        "@pyplugs.register\ndef f(*a): ...\n",
        "warning m.py line 3: 'f' cannot be a task, because it takes *a; ",
    ),
    "reserved": (
        "@pyplugs.register\ndef f(*, flow, mapped=1): ...\n",
        "warning m.py line 3: 'f' cannot be a task, because of its argument mapped, flow; choose another name",
    ),
    "async": (
        "@pyplugs.register\nasync def f(): ...\n",
        "warning m.py line 3: 'f' cannot be a task, because it is an async",
    ),
    "a class": ("@pyplugs.register\nclass A: ...\n", "error m.py line 3: the class 'A' cannot be registered"),
    "a task": ("@pyplugs.register\n@task\ndef f(): ...\n", "error m.py line 3: what @dioptra.task makes cannot be"),
    "a class method": (
        "class A:\n    @pyplugs.register\n    @classmethod\n    def f(cls): ...\n",
        "error m.py line 4: what @classmethod makes cannot be registered",
    ),
    "a method": (
        "class A:\n    @pyplugs.register\n    def f(self): ...\n",
        "warning m.py line 4: 'f' is registered without its class, so that a call must give it 'A'",
    ),
    "a static method": ("class A:\n    @pyplugs.register\n    @staticmethod\n    def f(x): ...\n", ""),
    "nested": (
        "def g():\n    @pyplugs.register\n    def f(x): ...\n",
        "warning m.py line 4: 'f' is registered only when 'g' is called, so that nothing finds it",
    ),
    "by position": (
        "@pyplugs.register(1)\ndef f(): ...\n",
        "error m.py line 2: register takes no arguments by position",
    ),
    "a wrong word": (
        "@pyplugs.register(name='x')\ndef f(): ...\n",
        "error m.py line 2: register takes no argument 'name'",
    ),
    "nout of nothing": (
        "@pyplugs.register\n@pyplugs.task_nout\ndef f(): ...\n",
        "error m.py line 3: task_nout is given nothing, which is not a number of results; write @task_nout(2)",
    ),
    "nout of a text": (
        "@pyplugs.register\n@pyplugs.task_nout('2')\ndef f(): ...\n",
        "error m.py line 3: task_nout is given",
    ),
    "nout of a truth": ("@pyplugs.register\n@pyplugs.task_nout(True)\ndef f(): ...\n", "error m.py line 3: task_nout"),
    "nout below nothing": ("@pyplugs.register\n@pyplugs.task_nout(-1)\ndef f(): ...\n", "error m.py line 3: task_nout"),
    "nout that is not known": ("N = 2\n@pyplugs.register\n@pyplugs.task_nout(N)\ndef f(): ...\n", ""),
    "twice": (
        "@pyplugs.register\ndef f(): ...\n@pyplugs.register\ndef f(): ...\n",
        "error m.py line 4: 'coll.m.f' is registered twice, so that the one of line 2 is lost; give each a name",
    ),
    "either": (
        "try:\n    import os\nexcept ImportError:\n    @pyplugs.register\n    def f(): ...\n"
        "else:\n    @pyplugs.register\n    def f(): ...\n",
        "",
    ),
    "by a call": (
        "def f(): ...\npyplugs.register(f)\n",
        "warning m.py line 3: what a call registers is not known before",
    ),
    "by another call": ("def f(): ...\nf = pyplugs.register()(f)\n", "warning m.py line 3: what a call registers"),
}


@pytest.mark.parametrize(("text", "expected"), FUNCTIONS.values(), ids=FUNCTIONS)
def test_what_is_registered(check: Check, text: str, expected: str) -> None:
    found = check({"m.py": HEAD + text})
    assert len(found) == bool(expected)
    assert not expected or found[0].startswith(expected)


class TestNothingRegistered:
    WORDS = "warning 'coll' registers no task plugin; write @pyplugs.register above its functions"

    def test_a_warning_of_the_whole(self, check: Check) -> None:
        assert check({"a.py": "def f(): ...\n"}, good=False) == [self.WORDS]

    @pytest.mark.parametrize("text", ["(\n", "from dioptra import pyplugs\npyplugs.register(print)\n"])
    def test_none_where_something_may_be_registered(self, check: Check, text: str) -> None:
        assert self.WORDS not in check({"a.py": text}, good=False)


def test_many_faults_take_no_time_for_hints(check: Check) -> None:
    text = "from . import x\n" + "".join(f"from .good{number} import x\n" for number in range(5_000))
    begun = time.process_time()
    found = check({"m.py": text})
    assert len(found) == 5_001
    assert sum("did you mean" in each for each in found) < 200
    assert time.process_time() - begun < 5
