"""Task plugins read from their source, importing nothing: the same as the registry says of them later."""

from __future__ import annotations

import importlib
import inspect
import itertools
import json
import os
import sys
import textwrap
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import dioptra_builtins
from dioptra import pyplugs
from dioptra.errors import DioptraError, NotFoundError, UsageError
from dioptra.flow._signature import RESERVED as RESERVED_BY_FLOWS
from dioptra.pyplugs import _registry, _source_signature, source
from dioptra.pyplugs.source import PluginSource, PluginSources, check_plugins, read_plugins

_NUMBERS = itertools.count()
BUILTINS = Path(dioptra_builtins.__file__).parent
REGISTER = "from dioptra import pyplugs\n@pyplugs.register\n"

Read = Callable[..., PluginSources]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / f"collection_{next(_NUMBERS)}"


@pytest.fixture
def read(folder: Path) -> Read:
    """Write files, named without `.py`, and read them as a collection."""

    def written(**files: str) -> PluginSources:
        for name, text in files.items():
            file = folder / f"{name}.py"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(textwrap.dedent(text), encoding="utf-8")
        return read_plugins(folder, folder.name)

    return written


@pytest.fixture
def imported(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Any]]:
    """Import a module of the collection, as a script does."""
    monkeypatch.syspath_prepend(str(folder.parent))
    before = set(sys.modules)
    yield lambda module: importlib.import_module(f"{folder.name}.{module}")
    for name in set(sys.modules) - before:
        del sys.modules[name]


def truth(found: PluginSource) -> dict[str, Any]:
    """What the registry says of a function."""
    info = pyplugs.info(found.package, found.plugin, found.func)
    said = pyplugs.signature(found.package, found.plugin, found.func)
    return {
        "parameters": [(each.name, each.annotation) for each in said.parameters],
        "returns": said.returns,
        "nout": said.nout,
        "description": info.description,
        "line": inspect.getsourcelines(info.func)[1],
        "source": inspect.getsource(info.func),
    }


def told(found: PluginSource) -> dict[str, Any]:
    """The same, of its source."""
    return {
        "parameters": [(each.name, each.annotation) for each in found.signature.parameters],
        "returns": found.signature.returns,
        "nout": found.signature.nout,
        "description": found.description,
        "line": found.line,
        "source": found.source,
    }


def same_default(found: PluginSource) -> bool:
    """Tell whether each default has the value that its text has where the function is defined."""
    function = pyplugs.get(found.package, found.plugin, found.func)
    said = pyplugs.signature(found.package, found.plugin, found.func).parameters
    defaults = [each.default for each in found.signature.parameters]
    values = [each and repr(eval(each, vars(sys.modules[function.__module__]))) for each in defaults]  # noqa: S307
    return values == [each.default for each in said]


class TestTheShippedCollection:
    SOURCES = read_plugins(BUILTINS, "dioptra_builtins")

    def test_the_same_functions_are_found_as_are_registered(self) -> None:
        modules = [
            ".".join(("dioptra_builtins", *file.relative_to(BUILTINS).with_suffix("").parts))
            for file in sorted(BUILTINS.rglob("*.py"))
            if file.name != "__init__.py"
        ]
        registered = []
        for module in modules:
            importlib.import_module(module)
            package, _, plugin = module.rpartition(".")
            registered += [f"{module}.{name}" for name in _registry.functions(package, plugin)]
        assert [each.name for each in self.SOURCES.functions] == registered

    @pytest.mark.parametrize("found", SOURCES.functions, ids=lambda found: found.name)
    def test_each_is_told_as_it_is_registered(self, found: PluginSource) -> None:
        assert told(found) == truth(found)
        assert same_default(found)

    def test_nothing_is_wrong_with_it(self) -> None:
        assert not self.SOURCES.problems


SIGNATURES = [
    "()",
    "(a, b=1)",
    "(a, /)",
    "(a, b=2, /, c=3)",
    "(a, /, *, b)",
    "(*, a, b='x')",
    "(*images, b=1)",
    "(a, /, *images, b: int = 1, **rest: object)",
    "(a: 'int' = 0) -> 'tuple[int, str]'",
    "(a) -> tuple[int, str]",
    "(a) -> Tuple[int, str, int]",
    "(a) -> typing.Tuple[int, str]",
    "(a) -> t.Tuple[int, str]",
    "(a) -> tuple[int, ...]",
    "(a) -> tuple[()]",
    "(a) -> tuple[int]",
    "(a) -> tuple",
    "(a) -> 'tuple [int, str]'",
    "(a) -> 'tuple[int, '",
    "(a) -> list[tuple[int, str]]",
    "(a) -> Optional[Tuple[int, str]]",
    "(flow) -> tuple[int, str]",
    "(*a) -> tuple[int, str]",
]
NOUTS = ["@pyplugs.register", "@pyplugs.register()", "@pyplugs.register(sort_value=2)"]
NOUTS += [f"@pyplugs.register\n@pyplugs.task_nout({nout})" for nout in ("3", "nout=0")]
NOUTS += ["@pyplugs.task_nout(3)\n@pyplugs.register", "@pyplugs.task_nout(3)\n@other\n@pyplugs.register"]
NOUTS += ["@pyplugs.task_nout(4)\n@pyplugs.register\n@pyplugs.task_nout(3)", "@pyplugs.register\n@other\n@task_nout(5)"]
HEAD = """
import functools, typing
import typing as t
from typing import Optional, Tuple
from dioptra import pyplugs
from dioptra.pyplugs import task_nout
def other(f):
    return functools.wraps(f)(lambda *args, **kwargs: f(*args, **kwargs))
"""


class TestAsAtRunTime:
    @pytest.mark.parametrize("future", ["", "from __future__ import annotations\n"], ids=["evaluated", "texts"])
    @pytest.mark.parametrize("signature", SIGNATURES)
    def test_signatures(self, read: Read, imported: Any, folder: Path, future: str, signature: str) -> None:
        (found,) = read(m=f"{future}{HEAD}\n{NOUTS[0]}\ndef f{signature}: ...\n").functions
        imported("m")
        assert found.signature.nout == pyplugs.signature(folder.name, "m", "f").nout
        assert same_default(found)
        says = truth(found)
        if future or "uple[" not in signature:  # else it is written as the class is called, typing.Tuple for Tuple
            assert told(found) == says

    @pytest.mark.parametrize("decorators", NOUTS)
    def test_nout(self, read: Read, imported: Any, folder: Path, decorators: str) -> None:
        (found,) = read(m=f"{HEAD}\n{decorators}\ndef f(a) -> tuple[int, str]: ...\n").functions
        imported("m")
        assert found.signature.nout == pyplugs.signature(folder.name, "m", "f").nout

    @pytest.mark.parametrize("head", [
        "from dioptra import pyplugs as p\n@p.register",
        "from dioptra.pyplugs import register\n@register",
        "from dioptra.pyplugs import register as r\n@r()",
        "from dioptra.pyplugs import *\n@register",
        "import dioptra.pyplugs\n@dioptra.pyplugs.register",
        "import dioptra.pyplugs as pp\n@pp.register",
        "import dioptra\n@dioptra.pyplugs.register",
        "from dioptra import pyplugs\nregister = pyplugs.register\n@register",
        "try:\n    from dioptra import pyplugs\nexcept ImportError:\n    raise\n@pyplugs.register",
    ])  # fmt: skip
    def test_every_way_to_name_the_decorator(self, read: Read, imported: Any, folder: Path, head: str) -> None:
        (found,) = read(m=f"{head}\ndef f(): ...\n").functions
        imported("m")
        assert [found.func] == pyplugs.funcs(folder.name, "m")

    @pytest.mark.parametrize("text", [
        "def register(f): return f\n@register\ndef f(): ...\n",
        "import atexit\n@atexit.register\ndef f(): ...\n",
        "from dioptra import pyplugs\ndef outer():\n    @pyplugs.register\n    def f(): ...\n",
        "from dioptra import pyplugs\nif False:\n    @pyplugs.register\n    def f(): ...\n",
        "from dioptra import pyplugs\nfrom typing import TYPE_CHECKING\nif TYPE_CHECKING:\n"
        "    @pyplugs.register\n    def f(): ...\n",
    ])  # fmt: skip
    def test_what_is_not_registered(self, read: Read, imported: Any, folder: Path, text: str) -> None:
        assert not read(m=text).functions
        imported("m")
        assert not pyplugs.exists(folder.name, "m")

    def test_order_and_what_is_lost(self, read: Read, imported: Any, folder: Path) -> None:
        text = """
            from dioptra import pyplugs
            @pyplugs.register
            def f(old): ...
            class A:
                @pyplugs.register
                def g(self): ...
                @staticmethod
                @pyplugs.register
                def h(x): ...
            @pyplugs.register
            def f(new): ...
            if True:
                @pyplugs.register
                def i(yes): ...
            else:
                @pyplugs.register
                def i(no): ...
        """
        found = read(m=text)
        imported("m")
        assert [each.func for each in found.functions] == pyplugs.funcs(folder.name, "m") == ["f", "g", "h", "i"]
        assert all(told(each)["parameters"] == truth(each)["parameters"] for each in found.functions)
        assert [(each.line, each.is_error) for each in found.problems] == [(7, False), (11, True)]

    def test_packages_register_under_the_package_above(self, read: Read, imported: Any, folder: Path) -> None:
        found = read(**{"__init__": REGISTER + "def top(): ...\n", "pkg/__init__": REGISTER + "def f(): ...\n"})
        imported("pkg")
        assert [(each.package, each.plugin, each.func) for each in found.functions] == [
            ("", folder.name, "top"),
            (folder.name, "pkg", "f"),
        ]
        assert all(pyplugs.get(each.package, each.plugin, each.func) for each in found.functions)

    def test_the_reserved_arguments_are_those_of_flows(self) -> None:
        assert _source_signature.RESERVED == RESERVED_BY_FLOWS


class TestReading:
    TEXT = '''
        """The module."""
        import os.path, json as j
        from . import near
        from ..far import away
        from dioptra import pyplugs

        @pyplugs.register  # 🐍
        @pyplugs.task_nout(2)
        async def f(a: "np.ndarray", /, b: int = 1, *, c=2, **rest: str) -> "tuple[int, int]":
            """First,
            and second.
            \t
            Rest.
            """
    '''

    def test_all_that_it_says(self, read: Read, folder: Path) -> None:
        found = read(**{"pkg/sub/m": self.TEXT})
        (function,) = found.functions
        assert function.to_dict() == {
            "name": f"{folder.name}.pkg.sub.m.f",
            "package": f"{folder.name}.pkg.sub",
            "plugin": "m",
            "func": "f",
            "parameters": [
                {"name": "a", "annotation": "np.ndarray", "default": None, "required": True},
                {"name": "b", "annotation": "int", "default": "1", "required": False},
                {"name": "c", "annotation": "", "default": "2", "required": False},
                {"name": "**rest", "annotation": "str", "default": None, "required": False},
            ],
            "returns": "tuple[int, int]",
            "nout": 2,
            "declaration": "f(a: np.ndarray, /, b: int = 1, *, c=2, **rest: str) -> tuple[int, int]",
            "is_async": True,
            "doc": "First,\nand second.\n\t\nRest.".replace("\t", function.doc.splitlines()[2]),
            "description": "First,\nand second.",
            "source": textwrap.dedent(self.TEXT).partition("away\nfrom dioptra import pyplugs\n\n")[2],
            "file": "pkg/sub/m.py",
            "line": 8,
        }
        (module,) = found.modules
        assert module.to_dict() == {
            "name": f"{folder.name}.pkg.sub.m",
            "file": "pkg/sub/m.py",
            "doc": "The module.",
            "imports": ["os.path", "json", f"{folder.name}.pkg.sub", f"{folder.name}.pkg.far", "dioptra"],
        }
        assert found.to_dict()["collection"] == folder.name

    @pytest.mark.parametrize("signature", [text for text in SIGNATURES if "'" not in text])
    def test_a_declaration_reads_as_python_writes_it(self, read: Read, signature: str) -> None:
        (found,) = read(m=f"{REGISTER}def f{signature}: ...\n").functions
        assert found.declaration == f"f{signature}"

    def test_nothing_is_imported(self, read: Read, folder: Path) -> None:
        text = f"import pathlib\npathlib.Path({str(folder)!r}, 'ran').touch()\n{REGISTER}def f(): ...\n"
        before = set(sys.modules)
        assert read(m=text, __init__=text).find("m.f")
        assert not check_plugins(folder, folder.name)
        assert not (folder / "ran").exists()
        assert not [name for name in set(sys.modules) - before if name.startswith(folder.name)]

    def test_other_files_are_not_read(self, read: Read, folder: Path) -> None:
        read(m="")
        (folder / "notes.md").write_bytes(b"\xff")
        (folder / ".cache").mkdir()
        (folder / ".cache" / "m.py").write_text("not Python")
        (folder / "__pycache__").mkdir()
        (folder / "__pycache__" / "m.py").write_text("not Python")
        found = read_plugins(folder, folder.name)
        assert ([each.file for each in found.modules], found.problems) == (["m.py"], ())

    def test_a_declared_encoding_counts(self, read: Read, folder: Path) -> None:
        read(m="")
        text = f"# coding: latin-1\n{REGISTER}def f(a='é'):\n    '''Dépôt.'''\n"
        (folder / "m.py").write_bytes(text.encode("latin-1"))
        (found,) = read_plugins(folder, folder.name).functions
        assert (found.signature.parameters[0].default, found.doc) == ("'é'", "Dépôt.")

    def test_no_folder(self, tmp_path: Path) -> None:
        with pytest.raises(NotFoundError, match="there is no folder"):
            read_plugins(tmp_path / "nothing", "nothing")

    def test_public_names(self) -> None:
        public = {name for name, value in vars(source).items() if not name.startswith("_")}
        assert public == set(source.__all__)


class TestFinding:
    @pytest.fixture
    def found(self, read: Read) -> PluginSources:
        def of(*names: str) -> str:
            return "from dioptra import pyplugs\n" + "".join(
                f"@pyplugs.register\ndef {name}(): ...\n" for name in names
            )

        return read(**{"one/a": of("f"), "one/b": of("f", "g", "h", "i", "j"), "two/c": of("f", "get_optimizer")})

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("{}.one.a.f", "one.a.f"),
            ("{}.one.a", "one.a.f"),
            ("one.a", "one.a.f"),
            ("a", "one.a.f"),
            ("b.f", "one.b.f"),
            ("get_optimizer", "two.c.get_optimizer"),
        ],
    )
    def test_what_a_name_means(self, found: PluginSources, name: str, expected: str) -> None:
        assert found.find(name.format(found.collection)).name == f"{found.collection}.{expected}"

    @pytest.mark.parametrize(
        ("name", "error", "words"),
        [
            (
                "f",
                UsageError,
                "'f' may be several task plugins; write more of it: {0}.one.a.f, {0}.one.b.f, {0}.two.c.f",
            ),
            ("one.b", UsageError, "{0}.one.b.f, {0}.one.b.g, {0}.one.b.h, {0}.one.b.i ..."),
            ("get_optimiser", NotFoundError, "no task plugin 'get_optimiser'; did you mean 'get_optimizer'?"),
            ("two.c.get_optimiser", NotFoundError, "did you mean 'two.c.get_optimizer'?"),
            ("zzz", NotFoundError, "(have: {0}.one.a.f, {0}.one.b.f, {0}.one.b.g, {0}.one.b.h ...)"),
            ("", NotFoundError, "no task plugin ''"),
        ],
    )
    def test_what_cannot_be_meant(self, found: PluginSources, name: str, error: type[DioptraError], words: str) -> None:
        with pytest.raises(error) as caught:
            found.find(name)
        assert str(caught.value).endswith(words.format(found.collection)) or words in str(caught.value)


DEEP = {
    "parentheses": "x = " + "(" * 5_000,
    "signs": "x = " + "-" * 100_000 + "1",
    "attributes": "x" + ".a" * 100_000,
    "sums": "x = " + "+".join("1" * 20_000),
    "blocks": "".join(" " * depth + "if x:\n" for depth in range(200)),
}
BROKEN: list[tuple[str, bytes, int, str]] = [
    ("syntax", b"x = 1\ny = (\n", 2, "Python cannot read it: '(' was never closed"),
    ("not UTF-8", b"x = 1\ny = '\xff'\n", 2, "it is not text"),
    ("not as declared", b"# coding: ascii\nx = '\xe9'\n", 2, "it is not text"),
    ("unknown encoding", b"# coding: nothing\n", 0, "Python cannot read it: unknown encoding"),
    ("no encoding of text", b"# coding: hex\n", 0, "it is not text"),
    ("a slow encoding", b"# coding: punycode\n-" + b"a" * 1_900_000, 0, "its encoding is none for source files"),
    ("null bytes", b"x = 1\x00\n", 0, "null bytes"),
    ("too large", b"#" * 2_000_001, 0, "it has more than 2,000,000 bytes"),
    ("a number", b"x = " + b"9" * 5_000, 1, "Exceeds the limit"),
    *[(name, text.encode(), 0, "") for name, text in DEEP.items()],
]


STATEMENTS = """\
def f(a, b=1, /, *c, d, **e) -> tuple[int]: ...
async def g(flow): 'doc'
class A:
from . import x
from .... import *
import a.b as c, d
if x:
else:
try:
except (ImportError, A):
match x:
case [a, *b, {**c}]:
with suppress(x) as (a, *b):
pyplugs.register(f)
pyplugs.register(1, x=2)
pyplugs.task_nout(*a)
task_nout(-1)
x = y = z.register
global q
a: int
(a := 1)
lambda: 0
"""


class TestBrokenFiles:
    @pytest.mark.parametrize(("data", "line", "words"), [row[1:] for row in BROKEN], ids=[row[0] for row in BROKEN])
    def test_they_are_problems(self, read: Read, folder: Path, data: bytes, line: int, words: str) -> None:
        read(good=REGISTER + "def f(): ...\n")
        (folder / "bad.py").write_bytes(data)
        found = read_plugins(folder, folder.name)
        assert [each.func for each in found.functions] == ["f"]
        (problem,) = found.problems
        assert (problem.file, problem.is_error) == ("bad.py", True)
        assert words in problem.message
        assert not line or problem.line == line
        assert problem in check_plugins(folder, folder.name)

    def test_one_that_cannot_be_opened(self, read: Read, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        read(good="", bad="")
        opened = Path.open

        def refuse(path: Path, *args: Any, **kwargs: Any) -> Any:
            if path.name == "bad.py":
                raise PermissionError(13, "Permission denied")
            return opened(path, *args, **kwargs)

        monkeypatch.setattr(Path, "open", refuse)
        (problem,) = read_plugins(folder, folder.name).problems
        assert str(problem) == "bad.py: it cannot be read: Permission denied"

    def test_what_is_no_file_is_not_opened(self, read: Read, folder: Path) -> None:
        read(good="")
        os.mkfifo(folder / "pipe.py")
        assert [each.file for each in read_plugins(folder, folder.name).modules] == ["good.py"]

    def test_statements_nested_deeper_than_python_calls(self, read: Read) -> None:
        text = (
            "if x: ...\n"
            + "elif x: ...\n" * 900
            + f"else:\n    {'    '.join(REGISTER.splitlines(True))}    def f(): ...\n"
        )
        assert [each.func for each in read(m=text).functions] == ["f"]

    def test_texts_that_cannot_be_written_again(self, read: Read) -> None:
        deep = "+".join("1" * 900)
        (found,) = read(m=f"{REGISTER}def f(a={deep}, b=0x{'f' * 5_000}): ...\n").functions
        assert [each.default for each in found.signature.parameters] in (
            [deep.replace("+", " + "), "..."],
            ["...", "..."],
        )

    @pytest.mark.parametrize("filters", ["error", "default"])
    def test_warnings_of_the_parser_are_problems(
        self, read: Read, capfd: pytest.CaptureFixture[str], filters: Any
    ) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter(filters)
            found = read(m=REGISTER + "def f(a='\\d') -> 'tuple[1if 1else 2, 1]': ...\n")
        (problem,) = found.problems
        assert (problem.line, problem.is_error) == (3, False)
        assert problem.message == "Python warns: invalid escape sequence '\\d'"
        assert (found.functions[0].signature.nout, capfd.readouterr().err) == (2, "")

    def test_halves_of_surrogate_pairs(self, read: Read) -> None:
        found = read(m='"""\\ud800"""\n' + REGISTER + "def f(a: '\\ud800' = '\\ud800'): '\\ud800'\n")
        assert json.dumps(found.to_dict(), ensure_ascii=False).encode()
        assert (found.modules[0].doc, found.functions[0].doc) == ("?", "?")

    @given(data=st.one_of(st.binary(), st.text().map(lambda text: text.encode("utf-8", "surrogatepass"))))
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
    def test_nothing_raises(self, tmp_path: Path, data: bytes) -> None:
        (tmp_path / "m.py").write_bytes(data)
        found = read_plugins(tmp_path, "c")
        assert len(found.modules) + any(each.is_error for each in found.problems) >= 1
        json.dumps([found.to_dict(), [each.to_dict() for each in check_plugins(tmp_path, "c")]]).encode()

    PIECES = st.sampled_from([*REGISTER.splitlines(True), *STATEMENTS.splitlines(True), "    ", "@", "\n"])

    @given(text=st.lists(PIECES, max_size=12).map("".join))
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=300)
    def test_nothing_raises_of_pieces_of_python(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "m.py").write_text(text)
        json.dumps([read_plugins(tmp_path, "c").to_dict(), [each.to_dict() for each in check_plugins(tmp_path, "c")]])


def test_many_files_take_less_than_a_few_seconds(folder: Path) -> None:
    text = (BUILTINS / "artifacts" / "mlflow.py").read_text()
    for number in range(500):
        file = folder / f"p{number % 10}" / f"m{number}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    begun = time.process_time()
    assert len(read_plugins(folder, folder.name).functions) == 500 * 4
    assert time.process_time() - begun < 4  # about 0.8 where nothing else runs
