"""Past versions as live objects: how their code imports, what it finds, and what it leaves behind."""

from __future__ import annotations

import copy
import gc
import inspect
import linecache
import logging
import os
import pickle
import sys
import textwrap
import threading
import traceback
import weakref
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from dioptra.errors import NotFoundError, RefusedError
from dioptra.experiment._live import current_import, load_task
from dioptra.experiment._live_files import Files
from dioptra.experiment._snapshot import Snapshot, SnapshotRecord
from dioptra.records import now
from tests.live_task import Process

HEAD = "from tests.live_task import Task\n"
END = """
class Mine(Task):
    def call(self, function, *args):
        return globals()[function](*args)

Mine().main()
"""


def snapshot(script: str = "train.py", *, uid: str = "abcdefgh", project: str = "") -> Snapshot:
    name = f"20260101-000000-{uid}"
    record = SnapshotRecord(
        name=name, uid=uid, commit="", tree="", created_at=now(), script=script, project_dir=project
    )
    return Snapshot(Path("/nowhere/digits/snapshots") / name, record)


def files(found: Mapping[str, str | bytes], of: Snapshot, links: dict[str, str] | None = None) -> Files:
    contents = {path: text.encode() if isinstance(text, str) else text for path, text in found.items()}
    return Files(f"{of.folder}/<code>", contents, contents.__getitem__, links)


def live(code: str, others: Mapping[str, str | bytes] | None = None, **options: Any) -> Any:
    """Import a version whose script makes a task that can `call` the functions of the script by name."""
    links = options.pop("links", None)
    of = snapshot(**options)
    return load(files({of.script: HEAD + textwrap.dedent(code) + END, **(others or {})}, of, links), of)


def raw(code: str, others: Mapping[str, str | bytes] | None = None, **options: Any) -> Any:
    """Import a version with a script that is written out in full."""
    of = snapshot(**options)
    return load(files({of.script: textwrap.dedent(code), **(others or {})}, of), of)


def load(found: Files, of: Snapshot) -> Any:
    """Import a version, and look that the process is left alone; threads side by side cannot tell who did what."""
    before = Process()
    try:
        return load_task(found, of)
    finally:
        assert threading.current_thread() is not threading.main_thread() or before.is_as_before()


FILES: dict[str, str | bytes] = {
    "one.py": "VALUE = 1\n_hidden = 2\n",
    "pkg/__init__.py": "__all__ = ['sub', 'LEVEL']\nLEVEL = 'pkg'\n",
    "pkg/sub.py": "from . import beside\nfrom .deep import bottom\nVALUE = beside.VALUE\n",
    "pkg/beside.py": "VALUE = 'beside'\n",
    "pkg/deep/__init__.py": "",
    "pkg/deep/bottom.py": "from .. import beside\nfrom ..beside import VALUE as V\nfrom ... import one\n",
    "folder/inner/leaf.py": "VALUE = 'leaf'\n",
    "first.py": "import second\ndef f():\n    return second.VALUE\nVALUE = 1\n",
    "second.py": "import first\nVALUE = 2\ndef g():\n    return first.VALUE\n",
    "ring/__init__.py": "",
    "ring/a.py": "import ring.b as b\nVALUE = 'a'\n",
    "ring/b.py": "import ring.a as a\nfrom ring import a as again\ndef f():\n    return a.VALUE, again.VALUE\n",
    "late.py": "def __getattr__(name):\n    return name.upper()\n",
    "numbers_of.py": "from os.path import join\nimport json.decoder\nVALUE = join('a', 'b'), json.decoder.__name__\n",
    "json_like.py": "import json\nimport os, sys, builtins\nVALUE = json.dumps({})\n",
}


WAYS_TO_IMPORT: list[tuple[str, str, object]] = [
    ("import one", "one.VALUE", 1),
    ("import one as other", "other.VALUE", 1),
    ("from one import VALUE as v", "v", 1),
    ("from one import *", "(VALUE, '_hidden' in globals())", (1, False)),
    ("import pkg.sub", "(pkg.LEVEL, pkg.sub.VALUE)", ("pkg", "beside")),
    ("import pkg.sub as s", "s.VALUE", "beside"),
    ("import pkg.deep.bottom", "pkg.deep.bottom.V", "beside"),
    ("import pkg.deep.bottom as b", "b.one.VALUE", 1),
    ("from pkg import sub, LEVEL", "(sub.VALUE, LEVEL)", ("beside", "pkg")),
    ("from pkg import *", "(sub.VALUE, LEVEL, 'deep' in globals())", ("beside", "pkg", False)),
    ("from pkg.deep import bottom", "bottom.beside.VALUE", "beside"),
    ("from folder.inner import leaf", "leaf.VALUE", "leaf"),
    ("import folder.inner.leaf as l", "l.VALUE", "leaf"),
    ("import first", "(first.f(), first.second.g())", (2, 1)),
    ("from second import g", "g()", 1),
    ("import ring.a", "ring.b.f()", ("a", "a")),
    ("from late import anything", "anything", "ANYTHING"),
    ("import numbers_of", "numbers_of.VALUE", ("a/b", "json.decoder")),
    ("import json_like", "json_like.VALUE", "{}"),
    ("one = __import__('one')", "one.VALUE", 1),
    ("deep = __import__('pkg.deep.bottom')", "deep.__name__.endswith('.pkg')", True),
    ("import importlib", "importlib.import_module('pkg.sub').VALUE", "beside"),
    ("import importlib, pkg", "importlib.import_module('.sub', 'pkg').VALUE", "beside"),
    ("import importlib, pkg", "importlib.import_module('.sub', pkg.__name__).VALUE", "beside"),
    ("import importlib, pkg", "importlib.import_module(pkg.__name__ + '.sub') is pkg.sub", True),
    ("from importlib import import_module as i", "i('json').__name__", "json"),
    (
        "import importlib.util as u",
        "[u.find_spec(n) is None for n in ('one', 'pkg.no', 'no', 'json')]",
        [0, 1, 1, 0],
    ),
    ("exec('import one as x')", "x.VALUE", 1),
    ("import sys, one", "sys.modules['one'] is one is sys.modules[one.__name__]", True),
    ("import sys", "sys.modules['importlib'].import_module('one').VALUE", 1),
    ("import sys, one", "sys.modules[__name__].f.__name__ == 'f' and 'one' in sys.modules", True),
    ("import __main__ as me", "me.__name__ == __name__", True),
    ("import pkgutil, pkg", "[m.name for m in pkgutil.iter_modules(pkg.__path__)]", ["beside", "deep", "sub"]),
    (
        "import pkgutil, pkg",
        "[m.name for m in pkgutil.walk_packages(pkg.__path__, 'pkg.')]",
        ["pkg.beside", "pkg.deep", "pkg.deep.bottom", "pkg.sub"],
    ),
    ("import pkgutil", "{'one', 'pkg', 'json'} <= {m.name for m in pkgutil.iter_modules()}", True),
]


@pytest.mark.parametrize(("statement", "expression", "value"), WAYS_TO_IMPORT)
def test_each_way_to_import(statement: str, expression: str, value: object) -> None:
    task = live(f"{statement}\ndef f():\n    return {expression}\n", FILES)

    assert task.call("f") == value


# A function cannot import all names of a module.
IN_A_FUNCTION = [way for way in WAYS_TO_IMPORT if "*" not in way[0] and "globals" not in way[1]]


@pytest.mark.parametrize(("statement", "expression", "value"), IN_A_FUNCTION)
def test_each_way_to_import_later(statement: str, expression: str, value: object) -> None:
    statement = statement.replace("exec('import one as x')", "exec('import one as x', globals())")
    task = live(f"def f():\n    {statement}\n    return {expression}\n", FILES)

    assert task.call("f") == value


@pytest.mark.parametrize(
    ("statement", "error", "said"),
    [
        ("import nothing_of_that_name", "ModuleNotFoundError", "No module named 'nothing_of_that_name'"),
        ("import pkg.nothing", "ModuleNotFoundError", "No module named 'pkg.nothing'"),
        ("import one.two", "ModuleNotFoundError", "No module named 'one.two'; 'one' is not a package"),
        ("from pkg import nothing", "ImportError", "cannot import name 'nothing' from '.*pkg'"),
        ("from .. import one", "ImportError", "beyond top-level"),
        ("import broken_inside", "ModuleNotFoundError", "No module named 'is_not_installed'"),
        ("from pkg2 import broken", "ModuleNotFoundError", "No module named 'is_not_installed'"),
        ("import sys; sys.modules['json'] = None; import json", "ModuleNotFoundError", "import of json halted"),
    ],
)
def test_imports_that_fail(statement: str, error: str, said: str) -> None:
    broken = "import is_not_installed\n"
    others = {**FILES, "broken_inside.py": broken, "pkg2/__init__.py": "", "pkg2/broken.py": broken}

    with pytest.raises(RefusedError, match=f"cannot be imported \\({error}: .*{said}"):
        live(statement, others)
    task = live(
        f"def f():\n    try:\n        {statement}\n    except ImportError as e:\n        return str(e)\n", others
    )
    assert said.replace(".*", "") in task.call("f").replace(task.__module__.replace("train", ""), "")


def test_an_import_that_failed_is_tried_again() -> None:
    task = live(
        """
        import sys
        sys.tries = []
        def f():
            try:
                import fragile
            except ValueError:
                return "failed"
            return fragile.VALUE
        """,
        {"fragile.py": "import sys\nsys.tries.append(1)\nif len(sys.tries) < 3:\n    raise ValueError\nVALUE = 7\n"},
    )

    assert [task.call("f") for _ in range(4)] == ["failed", "failed", 7, 7]
    assert sys.tries == [1, 1, 1]  # type: ignore[attr-defined]
    del sys.tries  # type: ignore[attr-defined]


def test_versions_live_side_by_side() -> None:
    code = "import one\ndef f():\n    import two\n    return one.VALUE, two.VALUE, len(one.SEEN)\n"
    tasks = [
        live(
            code,
            {"one.py": f"VALUE = {n}\nSEEN = [1]", "two.py": f"import one\none.SEEN.append(1)\nVALUE = -{n}"},
            uid=uid,
        )
        for n, uid in [(1, "aaaaaaaa"), (2, "bbbbbbbb"), (3, "bbbbbbbb")]
    ]

    assert [task.call("f") for task in tasks] == [(1, -1, 2), (2, -2, 2), (3, -3, 2)]
    assert len({type(task) for task in tasks}) == 3
    assert [type(task).__module__ for task in tasks] == [
        "dioptra_snapshot_aaaaaaaa.train",
        "dioptra_snapshot_bbbbbbbb.train",
        "dioptra_snapshot_bbbbbbbb_2.train",
    ]


def test_imports_that_run_later_leave_the_process_alone() -> None:
    code = """
        import sys
        def f():
            import one
            return one.SEEN
        def fail():
            import bad
        """
    seen = "import sys\nSEEN = sys.modules[__name__].__name__\n"
    task = live(code, {"one.py": seen, "bad.py": "import one\n1 / 0\n"}, uid="gggggggg")
    before = Process()

    assert task.call("f") == "dioptra_snapshot_gggggggg.one"
    with pytest.raises(ZeroDivisionError):
        task.call("fail")
    assert before.is_as_before()


def test_a_name_that_is_free_is_used_again() -> None:
    for _ in range(3):
        task = live("import logging\nlogging.getLogger(__name__)", uid="cccccccc")
        assert type(task).__module__ == "dioptra_snapshot_cccccccc.train"
        del task
        gc.collect()
    assert sum(name.startswith("dioptra_snapshot_cccccccc") for name in logging.root.manager.loggerDict) < 3


def test_what_a_module_says_of_itself() -> None:
    task = live(
        """
        import pkg.sub, folder
        def f():
            return [(m["__name__"], m.get("__file__"), m["__package__"]) for m in (globals(), vars(pkg), vars(pkg.sub))]
        def paths():
            return list(pkg.__path__), list(folder.__path__), getattr(folder, "__file__", None)
        """,
        FILES,
        uid="hhhhhhhh",
    )
    root, code = "dioptra_snapshot_hhhhhhhh", "/nowhere/digits/snapshots/20260101-000000-hhhhhhhh/<code>"

    assert task.call("f") == [
        (f"{root}.train", f"{code}/train.py", root),
        (f"{root}.pkg", f"{code}/pkg/__init__.py", f"{root}.pkg"),
        (f"{root}.pkg.sub", f"{code}/pkg/sub.py", f"{root}.pkg"),
    ]
    assert task.call("paths") == ([f"{code}/pkg"], [f"{code}/folder"], None)


LANGUAGE = '''
from __future__ import annotations
import abc, dataclasses, enum, functools, logging, typing
from dataclasses import dataclass, field

class Colour(enum.Enum):
    RED = 1

class Base(abc.ABC):
    kind: typing.ClassVar[str] = "base"
    @abc.abstractmethod
    def area(self) -> float: ...
    def describe(self):
        return ["base"]

@dataclass
class Point:
    count: typing.ClassVar[int] = 0
    x: int
    y: dataclasses.InitVar[int] = 2
    colour: Colour = Colour.RED
    names: list[str] = field(default_factory=list)

class Square(Base):
    def area(self):
        return 4.0
    def describe(self):
        return [*super().describe(), __class__.__name__]

class Pair(typing.NamedTuple):
    left: Point
    right: int = 0

HINTS = typing.get_type_hints(Point)

@functools.singledispatch
def kind(value):
    return "any"

@kind.register
def _(value: Point):
    return "point"

def f():
    """Do much."""
    point = Point(1)
    return (
        [each.name for each in dataclasses.fields(point)], point.names, HINTS["colour"] is Colour,
        Square().describe(), Pair(point).right, kind(point), kind(1), Colour["RED"] is Colour.RED,
        typing.get_type_hints(g)["value"] is Point,
    )

def g(value: Point) -> None: ...

def make():
    return Point(5)
'''


def test_what_python_looks_up_by_module_name_works() -> None:
    task = raw(LANGUAGE + HEAD + END)

    assert task.call("f") == (
        *(["x", "colour", "names"], [], True, ["base", "Square"]),
        *(0, "point", "any", True, True),
    )
    point = task.call("make")
    assert copy.deepcopy(point) == point
    with pytest.raises(pickle.PicklingError, match="dioptra_snapshot_abcdefgh"):
        pickle.dumps(point)


def test_modules_that_are_loaded_later_can_look_up_earlier_ones() -> None:
    early = "from __future__ import annotations\nclass Size(int): ...\nclass Base:\n    size: Size\n"
    later = "import typing, early\nHINTS = typing.get_type_hints(early.Base)\nSAME = HINTS['size'] is early.Size\n"
    task = live(
        "import early\ndef f():\n    import later\n    return later.SAME\n", {"early.py": early, "later.py": later}
    )

    assert task.call("f") is True


def test_source_and_traceback_show_the_lines_of_the_version() -> None:
    task = live("def f():\n    '''Fail.'''\n    return 1 / 0  # here\n", {"x.py": ""})

    assert inspect.getsource(type(task).call).startswith("    def call(self")
    assert inspect.getdoc(task.call.__globals__["f"]) == "Fail."
    with pytest.raises(ZeroDivisionError) as caught:
        task.call("f")
    assert "return 1 / 0  # here" in "".join(traceback.format_exception(caught.value))
    linecache.checkcache()
    assert inspect.getsource(type(task).call)


def test_a_guard_for_main_does_not_run() -> None:
    task = live('SEEN = []\nif __name__ == "__main__":\n    SEEN.append(1)\ndef f():\n    return SEEN\n')

    assert task.call("f") == []


def test_the_task_of_another_script_is_not_taken() -> None:
    other = "from tests.live_task import Task\nclass Other(Task): ...\ntask = Other()\ntask.main()\n"
    task = live("import other\ndef f():\n    return other.task\n", {"other.py": other})

    assert type(task).__name__ == "Mine"
    assert type(task.call("f")).__name__ == "Other"


def test_main_may_be_called_twice_of_one_task() -> None:
    task = raw("from tests.live_task import Task\ntask = Task()\ntask.main()\ntask.main()\n")

    assert type(task).__name__ == "Task"


def test_the_context_belongs_to_the_import() -> None:
    seen = []
    sys.look = lambda: seen.append(current_import())  # type: ignore[attr-defined]
    try:
        live(
            "import sys, threading\nsys.look()\nt = threading.Thread(target=sys.look)\nt.start()\nt.join()\n",
            uid="ffffffff",
        )
    finally:
        del sys.look  # type: ignore[attr-defined]

    assert seen[0] is not None
    assert seen[0].module_name == "dioptra_snapshot_ffffffff.train"
    assert seen[0].snapshot.uid == "ffffffff"
    assert seen[1] is None
    assert current_import() is None


def test_a_version_may_import_another() -> None:
    of = snapshot(uid="iiiiiiii")
    inner = files({"train.py": HEAD + END}, of)
    sys.inner = lambda: load_task(inner, of)  # type: ignore[attr-defined]
    try:
        task = live("import sys\nINNER = sys.inner()\ndef f():\n    return INNER\n", uid="jjjjjjjj")
    finally:
        del sys.inner  # type: ignore[attr-defined]

    names = [type(each).__module__ for each in (task, task.call("f"))]
    assert names == ["dioptra_snapshot_jjjjjjjj.train", "dioptra_snapshot_iiiiiiii.train"]


DATA: dict[str, str | bytes] = {
    "pkg/__init__.py": "",
    "pkg/words.txt": "grüße\n",
    "pkg/raw/data.bin": b"\0\xff\r\n",
    "top.txt": "top\n",
    "plain/note.txt": "note\n",
}


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("resources.files('pkg').joinpath('words.txt').read_text(encoding='utf-8')", "grüße\n"),
        ("resources.files(pkg).joinpath('raw', 'data.bin').read_bytes()", b"\0\xff\r\n"),
        ("(resources.files('pkg') / 'raw/data.bin').open('rb').read()", b"\0\xff\r\n"),
        ("(resources.files(__package__) / 'top.txt').read_text()", "top\n"),
        ("(resources.files('plain') / 'note.txt').read_text()", "note\n"),
        ("(resources.files('pkg') / 'raw/../../top.txt').is_file()", True),
        ("[(resources.files('pkg') / name).is_file() for name in ('../../x', '/etc/passwd', 'no')]", [False] * 3),
        ("sorted(each.name for each in resources.files('pkg').iterdir())", ["__init__.py", "raw", "words.txt"]),
        ("[(resources.files('pkg') / name).is_dir() for name in ('raw', 'words.txt')]", [True, False]),
        ("resources.read_text('pkg', 'words.txt')", "grüße\n"),
        ("resources.is_resource('pkg', 'words.txt')", True),
        ("resources.open_binary('pkg', 'words.txt').read().decode()", "grüße\n"),
        ("pkgutil.get_data('pkg', 'raw/data.bin')", b"\0\xff\r\n"),
        ("pkgutil.get_data(pkg.__name__, 'words.txt').decode()", "grüße\n"),
        ("__loader__.get_data(__file__.replace('train.py', 'top.txt'))", b"top\n"),
        ("resources.files('email').joinpath('__init__.py').is_file()", True),
        ("pkgutil.get_data('email', '__init__.py')[:1]", b"#"),
    ],
)
@pytest.mark.filterwarnings("ignore:.* is deprecated. Use files:DeprecationWarning")
def test_data_files_are_read_from_memory(expression: str, value: object) -> None:
    task = live(f"import pkgutil, pkg\nfrom importlib import resources\ndef f():\n    return {expression}\n", DATA)

    assert task.call("f") == value


@pytest.mark.skipif(sys.version_info < (3, 12), reason="`files()` without a package is new in Python 3.12")
def test_resources_beside_the_caller() -> None:
    here = (
        "from importlib import resources\ndef f():\n    return resources.files().joinpath('words.txt').read_bytes()\n"
    )
    task = live("from pkg import here\ndef f():\n    return here.f()\n", {**DATA, "pkg/here.py": here})

    assert task.call("f").decode() == "grüße\n"


@pytest.mark.parametrize(
    "expression",
    [
        "(resources.files('pkg') / 'no').read_bytes()",
        "pkgutil.get_data('pkg', 'no')",
        "__loader__.get_data('/etc/passwd')",
    ],
)
def test_data_that_is_not_there(expression: str) -> None:
    task = live(f"import pkgutil\nfrom importlib import resources\ndef f():\n    return {expression}\n", DATA)

    with pytest.raises(FileNotFoundError, match="No such file in the snapshot"):
        task.call("f")


def test_data_cannot_be_written() -> None:
    task = live("import importlib.resources as r\ndef f():\n    return r.files('pkg') / 'words.txt'\n", DATA)

    with pytest.raises(ValueError, match="can only be read"):
        task.call("f").open("w")


def test_links_of_the_version_are_followed() -> None:
    links = {"alias.py": "lib/real.py", "short": "lib/inner", "lib/inner/up.py": "../real.py", "loop.py": "loop.py"}
    code = """
        import alias, short.leaf, short.up
        def f():
            return alias.VALUE, short.leaf.VALUE, short.up.VALUE
        def loop():
            import loop
        """
    task = live(code, {"lib/real.py": "VALUE = 1", "lib/inner/leaf.py": "VALUE = 2"}, links=links)

    assert task.call("f") == (1, 2, 1)
    with pytest.raises(ModuleNotFoundError, match="loop"):
        task.call("loop")


@pytest.mark.parametrize("script", ["train.py", "scripts/train.py", "./scripts/my-train v2.py", "scripts/train"])
def test_the_folder_of_the_script_comes_first(script: str) -> None:
    folder = script.rpartition("/")[0]
    others = {"lib.py": "VALUE = 'top'", "scripts/lib.py": "VALUE = 'scripts'", "src/inside.py": "VALUE = 'src'"}
    code = HEAD + "import lib, inside\nclass Mine(Task):\n    seen = lib.VALUE, inside.VALUE, __file__\nMine().main()\n"
    of = snapshot(script)
    task = load(files({script.removeprefix("./"): code, **others}, of), of)

    assert task.seen[:2] == ("scripts" if folder else "top", "src")
    assert task.seen[2] == f"/nowhere/digits/snapshots/{of.name}/<code>/{script.removeprefix('./')}"


def test_a_script_named_by_its_whole_path(tmp_path: Path) -> None:
    of = snapshot(str(tmp_path / "train.py"), project=str(tmp_path))

    assert load(files({"train.py": HEAD + END}, of), of)


def test_the_version_may_shadow_what_is_installed() -> None:
    others = {
        "wave.py": "VALUE = 'own'",
        "click/__init__.py": "VALUE = 'own'",
        "rich/data.txt": "",
        "os.py": "x",
        "sys.py": "x",
    }
    code = """
        import wave, click, rich, os, sys
        def f():
            return wave.VALUE, click.VALUE, rich.__name__, os.sep, sys.maxsize
        """
    import click

    assert live(code, others).call("f") == ("own", "own", "rich", "/", sys.maxsize)
    assert sys.modules["click"] is click


def test_beside_the_script_installed_packages_win() -> None:
    others = {"click.py": "VALUE = 'own'", "src/rich.py": "VALUE = 'own'", "helper_x.py": "VALUE = 'own'"}
    code = "import click, rich, helper_x\ndef f():\n    return click.__name__, rich.__name__, helper_x.VALUE\n"

    assert live(code, others, script="scripts/train.py").call("f") == ("click", "rich", "own")


@pytest.mark.parametrize("loaded", [True, False])
def test_code_of_the_project_as_it_is_now_is_never_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loaded: bool
) -> None:
    project = tmp_path / "project"
    for name in ("newer_x.py", "both_x.py", "src/pkg_x/__init__.py", "site-packages/vendor_x.py", "space_x/inner.py"):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text("VALUE = 'now'\n")
    for folder in ("", "src", "site-packages"):
        monkeypatch.syspath_prepend(str(project / folder))
    if loaded:
        import both_x  # type: ignore[import-not-found]
        import newer_x  # type: ignore[import-not-found]
        import pkg_x  # type: ignore[import-not-found]

        assert newer_x.VALUE == both_x.VALUE == pkg_x.VALUE == "now"
    code = """
        import both_x, pkg_x, vendor_x
        FAILED = []
        for name in ("newer_x", "space_x"):
            try:
                __import__(name)
            except ModuleNotFoundError as error:
                FAILED.append(error.name)
        def f():
            import importlib.util
            return both_x.VALUE, pkg_x.VALUE, vendor_x.VALUE, FAILED, importlib.util.find_spec("newer_x")
        """
    task = live(code, {"both_x.py": "VALUE = 'then'", "src/pkg_x/__init__.py": "VALUE = 'then'"}, project=str(project))

    assert task.call("f") == ("then", "then", "now", ["newer_x", "space_x"], None)
    with pytest.raises(
        RefusedError, match="No module named 'newer_x' in the snapshot; the project as it is now has one"
    ):
        live("import newer_x", project=str(project))
    for name in ("both_x", "newer_x", "pkg_x", "vendor_x"):
        sys.modules.pop(name, None)


def test_dioptra_is_always_the_one_that_runs() -> None:
    import dioptra.errors

    others = {
        "dioptra/__init__.py": "VALUE = 1",
        "dioptra/errors.py": "",
        "src/dioptra_builtins/__init__.py": "VALUE = 1",
    }
    task = live("import dioptra.errors\ndef f():\n    return dioptra.errors\n", others)

    assert task.call("f") is dioptra.errors


def test_what_a_version_does_to_the_paths_stays_its_own() -> None:
    code = """
        import os, sys
        sys.path.insert(0, os.path.join(os.path.dirname(__file__), "lib"))
        sys.path.append("/nowhere/else")
        sys.path = [*sys.path, os.path.abspath(os.path.dirname(__file__) + "/more")]
        sys.meta_path.clear()
        sys.modules["one"] = sys
        import hidden, late, one
        del sys.modules["hidden"]
        sys.dioptra_test = 5
        def f():
            import hidden as again
            return hidden.VALUE, late.VALUE, one is sys, again is hidden, sys.dioptra_test, len(sys.modules) > 10
        def forget():
            del sys.modules["json"]
        """
    task = live(code, {"lib/hidden.py": "VALUE = 1", "more/late.py": "VALUE = 2", "one.py": "VALUE = 3"})

    assert task.call("f") == (1, 2, True, False, 5, True)
    assert sys.dioptra_test == 5  # type: ignore[attr-defined]
    del sys.dioptra_test  # type: ignore[attr-defined]
    with pytest.raises(KeyError):
        task.call("forget")
    assert "json" in sys.modules


def test_the_faces_of_shared_modules_pass_on_all_else() -> None:
    code = """
        import sys, importlib, importlib.machinery
        def put(value):
            sys.dioptra_test = value
        def drop():
            del sys.dioptra_test
        def f():
            return sys.maxsize, "platform" in dir(sys), importlib.machinery.ModuleSpec, sys._getframe().f_code.co_name
        def missing():
            return sys.there_is_no_such_name
        """
    task = live(code)

    from importlib.machinery import ModuleSpec

    assert task.call("f") == (sys.maxsize, True, ModuleSpec, "f")
    task.call("put", 2)
    assert sys.dioptra_test == 2  # type: ignore[attr-defined]
    task.call("drop")
    assert not hasattr(sys, "dioptra_test")
    with pytest.raises(AttributeError):
        task.call("missing")


@pytest.mark.parametrize(
    ("code", "others", "error", "where", "said"),
    [
        ("import helper\n", {"helper.py": "x = 1\nx.no\n"}, AttributeError, "helper.py line 2", "no attribute 'no'"),
        ("x = 1\n1 / 0\n", {}, ZeroDivisionError, "train.py line 2", "division by zero"),
        ("x = 1\nx = = 2\n", {}, SyntaxError, "train.py line 2", "invalid syntax"),
        ("import helper\n", {"helper.py": "\n\ndef f(:\n"}, SyntaxError, "helper.py line 3", "invalid syntax"),
        ("import helper\n", {"helper.py": b"\xff\xfe"}, SyntaxError, "helper.py line", ""),
        ("import sys\nsys.exit(3)\n", {}, SystemExit, "train.py line 2", r"it called sys.exit\(3\)"),
        ("exit()\n", {}, SystemExit, "train.py line 1", r"it called sys.exit\(\)"),
        ("import json\njson.loads('{')\n", {}, ValueError, "train.py line 2", "JSONDecodeError"),
        ("def f():\n    f()\nf()\n", {}, RecursionError, "train.py line 2", "maximum recursion depth"),
        ("raise KeyboardInterrupt\n", {}, None, "", ""),
    ],
)
def test_a_script_that_ends_early(
    code: str, others: Mapping[str, str | bytes], error: type[BaseException] | None, where: str, said: str
) -> None:
    if error is None:
        with pytest.raises(KeyboardInterrupt):
            raw(code, others)
        return
    with pytest.raises(
        RefusedError, match=f"^{where}.*: snapshot 20260101-000000-abcdefgh cannot be imported \\(.*{said}"
    ) as caught:
        raw(code, others)

    cause = caught.value.__cause__
    assert isinstance(cause, error)
    assert current_import() is None
    text = "".join(traceback.format_exception(cause))
    if not isinstance(cause, SyntaxError):
        assert code.splitlines()[-1].strip() in text
        assert "importlib" not in text
        assert "_live_modules" not in text


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("x = 1\n", "calls main\\(\\) of no task when it is imported"),
        (HEAD + "if __name__ == '__main__':\n    Task().main()\n", "calls main\\(\\) of no task.*not beneath"),
        (HEAD + "class A(Task): ...\nA().main()\nTask().main()\n", "of 2 tasks \\(A, Task\\)"),
    ],
)
def test_a_script_must_make_one_task(code: str, said: str) -> None:
    with pytest.raises(RefusedError, match=said):
        raw(code)


def test_a_snapshot_without_its_script() -> None:
    with pytest.raises(NotFoundError, match="does not hold its script 'gone.py'"):
        load(files({"train.py": ""}, snapshot()), snapshot("gone.py"))
    with pytest.raises(RefusedError, match="made without naming a script"):
        load(files({"train.py": ""}, snapshot()), snapshot(""))


@pytest.mark.parametrize("ending", ["", "1 / 0"])
def test_the_working_directory_is_as_before(in_folder: Path, tmp_path: Path, ending: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    code = f"import os\nos.chdir({str(tmp_path / 'elsewhere')!r})\n{ending}\n"

    if ending:
        with pytest.raises(RefusedError, match="ZeroDivisionError"):
            live(code)
    else:
        live(code)
    assert Path.cwd() == in_folder


def test_an_import_works_in_a_folder_that_is_gone(tmp_path: Path) -> None:
    before = Path.cwd()
    (tmp_path / "gone").mkdir()
    try:
        os.chdir(tmp_path / "gone")
        (tmp_path / "gone").rmdir()
        assert live("")
    finally:
        os.chdir(before)


def test_what_a_dropped_task_took_is_free() -> None:
    code = "import one, sys\nfrom importlib import resources\nDATA = bytearray(10)\ndef f():\n    return one.Big()\n"
    task = live(code, {"one.py": "class Big: ...\n"}, uid="dddddddd")
    big = task.call("f")
    watched = [weakref.ref(each) for each in (task, type(task), type(big), sys.modules["tests.live_task"])]
    assert [name for name in linecache.cache if "dddddddd" in name]

    del big, task
    gc.collect()

    assert [each() is None for each in watched] == [True, True, True, False]
    assert not [name for name in linecache.cache if "dddddddd" in name]


def test_what_a_failed_import_took_is_free() -> None:
    kept: list[weakref.ref[Any]] = []
    sys.kept = kept  # type: ignore[attr-defined]
    with pytest.raises(RefusedError):
        live("import sys, weakref\nclass Big: ...\nsys.kept.append(weakref.ref(Big))\n1 / 0\n", uid="eeeeeeee")
    del sys.kept  # type: ignore[attr-defined]
    gc.collect()

    assert kept[0]() is None
    assert not [name for name in linecache.cache if "eeeeeeee" in name]


def in_threads(count: int, function: Callable[[int], Any]) -> list[Any]:
    """Call a function in many threads that begin at the same time."""
    together = threading.Barrier(count)

    def call(number: int) -> Any:
        together.wait(20)
        return function(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(call, range(count), timeout=60))


def test_many_threads_import_at_once() -> None:
    code = "import one\ndef f():\n    import two\n    return one.VALUE, two.VALUE\n"

    def one(number: int) -> Any:
        others = {"one.py": f"import time\ntime.sleep(0.002)\nVALUE = {number % 5}", "two.py": "from one import VALUE"}
        uid = "abcde"[number % 5] * 8
        if number % 4 == 3:
            with pytest.raises(RefusedError, match=f"{uid} cannot be imported"):
                live(code + "1 / 0\n", others, uid=uid)
            return (number % 5,) * 2
        return live(code, others, uid=uid).call("f")

    assert in_threads(20, one) == [(number % 5, number % 5) for number in range(20)]


def test_threads_of_one_version_load_a_module_once() -> None:
    slow = "import sys, time\nsys.loads.append(1)\ntime.sleep(0.05)\nVALUE = 1\n"
    sys.loads = []  # type: ignore[attr-defined]
    task = live("def f(_):\n    import slow\n    return slow.VALUE\n", {"slow.py": slow})

    assert in_threads(8, lambda number: task.call("f", number)) == [1] * 8
    assert sys.loads == [1]  # type: ignore[attr-defined]
    del sys.loads  # type: ignore[attr-defined]


def test_a_thread_that_waited_for_a_failure_tries_itself() -> None:
    fragile = """
import sys
sys.tries.append(1)
if len(sys.tries) == 1:
    sys.begun.set()
    while not sys.waiting():
        pass
    raise ValueError
VALUE = 1
"""
    code = """
        import sys
        def f(number):
            if number:
                sys.begun.wait(20)
            try:
                import fragile
            except ValueError:
                return "failed"
            return fragile.VALUE
        """
    sys.tries, sys.begun = [], threading.Event()  # type: ignore[attr-defined]
    task = live(code, {"fragile.py": fragile})
    modules = task.call.__globals__["__builtins__"]["__import__"].__self__
    sys.waiting = lambda: modules._waits  # type: ignore[attr-defined]

    assert in_threads(2, lambda number: task.call("f", number)) == ["failed", 1]
    del sys.tries, sys.begun, sys.waiting  # type: ignore[attr-defined]


def test_threads_that_import_in_a_circle_do_not_wait_for_ever() -> None:
    half = "import sys\nsys.halves.wait(20)\nimport {other}\nVALUE = 1\n"
    sys.halves = threading.Barrier(2)  # type: ignore[attr-defined]
    code = "import importlib\ndef f(name):\n    return importlib.import_module(name).VALUE\n"
    task = live(code, {"left.py": half.format(other="right"), "right.py": half.format(other="left")})

    assert in_threads(2, lambda number: task.call("f", ("left", "right")[number])) == [1, 1]
    del sys.halves  # type: ignore[attr-defined]


def test_a_module_may_wait_for_a_thread_that_imports() -> None:
    code = """
        import threading
        seen = []
        def look():
            import one
            seen.append(one.VALUE)
        thread = threading.Thread(target=look)
        thread.start()
        thread.join(20)
        def f():
            return seen
        """
    assert live(code, {"one.py": "VALUE = 1"}).call("f") == [1]
