"""What Dioptra 0.x said of pyplugs, a row for each sentence; where ours differs on purpose, the row says so."""

from __future__ import annotations

import inspect
import itertools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from dioptra import pyplugs
from dioptra.flow import Flow, FunctionTask

_NUMBERS = itertools.count()

MODULES = {
    "__init__": "",
    "_hidden": "from dioptra import pyplugs\n@pyplugs.register\ndef f(): ...\n",
    "broken": "import a_package_that_is_not_there\n",
    "empty": "",
    "late": "from dioptra import pyplugs\n@pyplugs.register(sort_value=9)\ndef f(): ...\n",
    "documented": '''"""The module."""
from __future__ import annotations
from typing import Tuple
from dioptra import pyplugs

@pyplugs.register
def first(x, y=2):
    """One line,
    and its end.
    \t
      Args:
        x: one

    Rest.
    """
    return x, y

@pyplugs.register(sort_value=-99)
@pyplugs.task_nout(2)
def second(x, y=2) -> Tuple:
    return x, y

@pyplugs.register()
def first(x, y=3):
    """Written again."""
    return x, y

@pyplugs.register
def reserved(flow): ...
''',
    "helped": "from dioptra import pyplugs\n\nfrom {package} import helper\n",
    "inner/__init__": "",
    "inner/deep": "from dioptra import pyplugs\n@pyplugs.register\ndef f(): ...\n",
}


@pytest.fixture
def p(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a package of plugins of its own."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    package = f"reference_{next(_NUMBERS)}"
    for name, text in MODULES.items():
        file = tmp_path / package / f"{name}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text.replace("{package}", package))
    (tmp_path / f"alone_{package}.py").write_text("from dioptra import pyplugs\n@pyplugs.register\ndef f(): return 5\n")
    yield package
    for name in set(sys.modules) - before:
        del sys.modules[name]


def module(p: str) -> ModuleType:
    pyplugs.funcs(p, "documented")
    return sys.modules[f"{p}.documented"]


def raised(call: Callable[[], object]) -> str:
    try:
        call()
    except Exception as error:
        return type(error).__name__
    return "nothing"


def in_flow(build: Callable[[], object]) -> Any:
    with Flow("reference"):
        return build()


ROWS: list[tuple[str, Callable[[str], object], object]] = [
    # 1.1 the registry
    ("a plugin is a module, its package the dotted parent", lambda p: pyplugs.info(f"{p}.inner", "deep")[:3],
     lambda p: (f"{p}.inner", "deep", "f")),
    ("the fields of PluginInfo", lambda p: pyplugs.PluginInfo._fields,
     ("package_name", "plugin_name", "func_name", "func", "description", "doc", "module_doc", "sort_value")),
    ("a module without package is in package ''", lambda p: pyplugs.info("", f"alone_{p}").package_name, ""),
    ("module_doc is the module's docstring", lambda p: pyplugs.info(p, "documented").module_doc, "The module."),
    ("module_doc is '' without one", lambda p: pyplugs.info(p, "late").module_doc, ""),
    ("the order of registration is kept", lambda p: pyplugs.funcs(p, "documented"), ["first", "second", "reserved"]),
    ("a second registration overwrites silently", lambda p: pyplugs.call(p, "documented", "first", 1), (1, 3)),
    ("doc is '' where there is no more", lambda p: pyplugs.info(p, "documented", "first")[4:6], ("Written again.", "")),
    # 1.2 the functions
    ("register returns the function unchanged", lambda p: module(p).first(1), (1, 3)),
    ("register bare", lambda p: pyplugs.info(p, "late").sort_value, 9),
    ("register with parentheses", lambda p: pyplugs.info(p, "documented", "first").sort_value, 0),
    ("task_nout sets _task_nout", lambda p: vars(module(p).second), {"_task_nout": 2}),
    ("task_nout has no effect but in get_task", lambda p: pyplugs.call(p, "documented", "second", 1), (1, 2)),
    ("get_task unpacks as task_nout says", lambda p: pyplugs.get_task(p, "documented", "second").nout, 2),
    ("names: *.py, no _, not recursive, ImportErrors of a module swallowed; what registers nothing is none",
     lambda p: pyplugs.names(p), ["documented", "late"]),
    ("names: sorted by the first function's sort_value", lambda p: pyplugs.names(p)[-1], "late"),
    ("names: no package", lambda p: raised(lambda: pyplugs.names(f"{p}.nothing")), "UnknownPackageError"),
    ("funcs: nothing registered; ours wraps the KeyError", lambda p: raised(lambda: pyplugs.funcs(p, "empty")),
     "UnknownPluginError"),
    ("info: the first by default", lambda p: pyplugs.info(p, "documented").func_name, "first"),
    ("info: nothing registered", lambda p: raised(lambda: pyplugs.info(p, "empty")), "UnknownPluginError"),
    ("info: unknown function", lambda p: raised(lambda: pyplugs.info(p, "documented", "x")),
     "UnknownPluginFunctionError"),
    ("exists imports", lambda p: pyplugs.exists(f"{p}.inner", "deep"), True),
    ("exists: no plugin", lambda p: pyplugs.exists(p, "x"), False),
    ("exists: no package", lambda p: pyplugs.exists(f"{p}.nothing", "x"), False),
    ("exists: nothing registered", lambda p: pyplugs.exists(p, "empty"), False),
    ("exists: other ImportErrors propagate", lambda p: raised(lambda: pyplugs.exists(p, "broken")),
     "ModuleNotFoundError"),
    ("get is info().func", lambda p: pyplugs.get(p, "documented") is pyplugs.info(p, "documented").func, True),
    ("call: positional arguments behind func", lambda p: pyplugs.call(p, "documented", "second", 7, 8), (7, 8)),
    ("call: keywords, the first function", lambda p: pyplugs.call(p, "documented", x=7), (7, 3)),
    ("get_task: a function's task", lambda p: type(pyplugs.get_task(p, "documented")), FunctionTask),
    ("get_task: a new one each time",
     lambda p: pyplugs.get_task(p, "documented") is pyplugs.get_task(p, "documented"), False),
    ("call_task: adds to the active flow, and returns what stands for the result",
     lambda p: in_flow(lambda: pyplugs.call_task(p, "documented", "first", 1)).name, "first"),
    ("call_task: reserved arguments",
     lambda p: raised(lambda: in_flow(lambda: pyplugs.call_task(p, "documented", "reserved"))), "TaskDefinitionError"),
    ("the factories are partials with the package fixed",
     lambda p: [(made := getattr(pyplugs, f"{name}_factory")(p)).func is getattr(pyplugs, name) and made.args == (p,)
                for name in ("names", "funcs", "info", "exists", "get", "call", "get_task", "call_task")], [True] * 8),
    # 1.3 importing
    ("package '': the module itself", lambda p: pyplugs.call("", f"alone_{p}"), 5),
    ("no such plugin", lambda p: raised(lambda: pyplugs.call(p, "x")), "UnknownPluginError"),
    ("no such plugin in package ''", lambda p: raised(lambda: pyplugs.call("", "x_y_z")), "UnknownPluginError"),
    ("no such package", lambda p: raised(lambda: pyplugs.call("x_y_z", "x")), "UnknownPackageError"),
    ("a missing helper is not a missing package", lambda p: raised(lambda: pyplugs.call(p, "helped")), "ImportError"),
    ("one base, and no ImportError or LookupError",
     lambda p: {error.__mro__[1].__name__ for error in
                (pyplugs.UnknownPackageError, pyplugs.UnknownPluginError, pyplugs.UnknownPluginFunctionError)},
     {"BasePyPlugsException"}),
]  # fmt: skip


@pytest.mark.parametrize(("actual", "expected"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_each_sentence(p: str, actual: Callable[[str], object], expected: object) -> None:
    assert actual(p) == (expected(p) if inspect.isfunction(expected) else expected)


def test_the_description_ends_at_the_first_blank_line() -> None:
    from dioptra.pyplugs._registry import add, functions

    def documented() -> None:
        """One line,
        and its end.
        \t
          Args:
            x: one

        Rest.
        """

    add(documented)
    package, _, plugin = __name__.rpartition(".")
    info = functions(package, plugin)["documented"]
    assert info.description == "One line,\nand its end."
    assert info.doc == "Args:\n    x: one\n\nRest."


@pytest.mark.parametrize("look", [pyplugs.exists, pyplugs.funcs, pyplugs.info])
@pytest.mark.parametrize(
    ("plugin", "words", "line"),
    [
        ("helped", "cannot import name 'helper' from '{p}'", 3),
        ("broken", "No module named 'a_package_that_is_not_there'", 1),
    ],
)
def test_what_is_missing_in_a_plugin_is_named_with_its_line(
    p: str, tmp_path: Path, look: Callable[..., object], plugin: str, words: str, line: int
) -> None:
    with pytest.raises(ImportError) as caught:
        look(p, plugin)
    assert words.format(p=p) in str(caught.value)
    file = tmp_path / p / f"{plugin}.py"
    assert caught.value.__notes__ == [f"while plugin '{p}.{plugin}' was imported ({file} line {line})"]


def test_what_names_leaves_out_is_in_the_log_with_its_line(p: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        pyplugs.names(p)
    broken, helped = (record.getMessage() for record in caplog.records if "is left out" in record.getMessage())
    assert "No module named 'a_package_that_is_not_there'" in broken
    assert broken.endswith("broken.py line 1)")
    assert helped.endswith("helped.py line 3)")


class TestSignature:
    @pytest.fixture
    def package(self, p: str, tmp_path: Path) -> str:
        texts = {
            "texts": "from __future__ import annotations\n",
            "objects": "",
        }
        for name, text in texts.items():
            (tmp_path / p / f"{name}.py").write_text(
                text + "from dioptra import pyplugs\n"
                "@pyplugs.register\n"
                "def all_kinds(a, b: int, /, c: float | None = 0.5, *, d: str = 'x', **rest: object)"
                " -> tuple[int, str]: ...\n"
                "@pyplugs.register\n@pyplugs.task_nout(3)\ndef told(flow, *images): ...\n"
            )
        return p

    @pytest.mark.parametrize("plugin", ["texts", "objects"])
    def test_all_that_it_says(self, package: str, plugin: str) -> None:
        found = pyplugs.signature(package, plugin)
        assert found == pyplugs.PluginSignature(
            parameters=(
                pyplugs.PluginParameter("a", "", None),
                pyplugs.PluginParameter("b", "int", None),
                pyplugs.PluginParameter("c", "float | None", "0.5"),
                pyplugs.PluginParameter("d", "str", "'x'"),
                pyplugs.PluginParameter("**rest", "object", None),
            ),
            returns="tuple[int, str]",
            nout=2,
        )
        assert [each.name for each in found.parameters if each.required] == ["a", "b"]

    def test_a_function_that_cannot_be_a_task(self, package: str) -> None:
        found = pyplugs.signature(package, "texts", "told")
        assert ([each.name for each in found.parameters], found.returns, found.nout) == (["flow", "*images"], "", 3)

    def test_names_that_are_there_for_type_checkers_alone(self, p: str, tmp_path: Path) -> None:
        (tmp_path / p / "checked.py").write_text(
            "from __future__ import annotations\nfrom dioptra import pyplugs\n"
            "@pyplugs.register\ndef f(x: NDArray[Any]) -> Nowhere: ...\n"
        )
        found = pyplugs.signature_factory(p)("checked")
        assert (found.parameters[0].annotation, found.returns) == ("NDArray[Any]", "Nowhere")

    def test_it_raises_as_info_does(self, p: str) -> None:
        with pytest.raises(pyplugs.UnknownPluginFunctionError):
            pyplugs.signature(p, "documented", "nothing")
