"""The registry of task plugins: what is registered, how it is found, and what is said when it is not."""

from __future__ import annotations

import itertools
import sys
import textwrap
from collections.abc import Callable, Iterator
from functools import partial
from inspect import ismodule
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from dioptra import pyplugs
from dioptra.errors import NoActiveFlowError, TaskDefinitionError
from dioptra.flow import Flow, FunctionTask
from dioptra.pyplugs._registry import forget

MakePackage = Callable[..., str]

_NUMBERS = itertools.count()


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakePackage]:
    """Make a package of modules with a name of its own; a name may have dots."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(init: str = "", **modules: str) -> str:
        name = f"plugins_{next(_NUMBERS)}"
        folder = tmp_path / name
        folder.mkdir()
        for stem, text in {"__init__": init, **modules}.items():
            (folder / f"{stem}.py").write_text(textwrap.dedent(text), encoding="utf-8")
        return name

    before = set(sys.modules)
    yield make
    for name in set(sys.modules) - before:
        del sys.modules[name]


ARITHMETIC = '''
"""Arithmetic for everyone."""
from __future__ import annotations
from dioptra import pyplugs

@pyplugs.register
def add(x: int, y: int = 10) -> int:
    """Add two numbers,
    the second with a default.

    Args:
        x: The first.

    Returns the sum.
    """
    return x + y

@pyplugs.register()
@pyplugs.task_nout(2)
def divide(x, y):
    return divmod(x, y)

def hidden():
    return "hidden"

@pyplugs.register(sort_value=-5)
def anything(**kwargs):
    return kwargs
'''


@pytest.fixture
def arithmetic(package: MakePackage) -> str:
    return package(arithmetic=ARITHMETIC)


def registering(sort_value: float = 0) -> str:
    return f"from dioptra import pyplugs\n@pyplugs.register(sort_value={sort_value})\ndef run(): return __name__\n"


def test_public_names_are_there() -> None:
    public = {name for name, value in vars(pyplugs).items() if not (name.startswith("_") or ismodule(value))}
    assert public == set(pyplugs.__all__)


class TestFinding:
    def test_funcs_are_in_the_order_of_registration(self, arithmetic: str) -> None:
        assert pyplugs.funcs(arithmetic, "arithmetic") == ["add", "divide", "anything"]

    def test_info_of_the_first_function_is_the_default(self, arithmetic: str) -> None:
        info = pyplugs.info(arithmetic, "arithmetic")
        assert isinstance(info, pyplugs.PluginInfo)
        assert info == pyplugs.PluginInfo(
            package_name=arithmetic,
            plugin_name="arithmetic",
            func_name="add",
            func=sys.modules[f"{arithmetic}.arithmetic"].add,
            description="Add two numbers,\nthe second with a default.",
            doc="Args:\n    x: The first.\n\nReturns the sum.",
            module_doc="Arithmetic for everyone.",
            sort_value=0,
        )

    def test_info_of_a_function_without_documentation(self, arithmetic: str) -> None:
        info = pyplugs.info(arithmetic, "arithmetic", "anything")
        assert (info.description, info.doc, info.sort_value) == ("", "", -5)

    def test_get_and_call(self, arithmetic: str) -> None:
        assert pyplugs.get(arithmetic, "arithmetic")(1) == 11
        assert pyplugs.get(arithmetic, "arithmetic", "divide")(7, 2) == (3, 1)
        assert pyplugs.call(arithmetic, "arithmetic", x=1, y=2) == 3
        assert pyplugs.call(arithmetic, "arithmetic", "divide", 7, y=2) == (3, 1)

    def test_registered_functions_are_unchanged(self, arithmetic: str) -> None:
        pyplugs.names(arithmetic)
        assert sys.modules[f"{arithmetic}.arithmetic"].add(1, 2) == 3

    def test_names_are_sorted_by_the_first_function_of_each(self, package: MakePackage) -> None:
        name = package(
            a_last=registering(3) + registering(-99).replace("run", "more"),
            b_same=registering(),
            a_same=registering(),
            first=registering(-1) + registering(99).replace("run", "more"),
            _private=registering(),
            empty="",
            broken="import a_package_that_is_not_there",
        )
        assert pyplugs.names(name) == ["first", "a_same", "b_same", "a_last"]
        assert f"{name}._private" not in sys.modules

    def test_names_of_a_package_without_plugins(self, package: MakePackage) -> None:
        assert pyplugs.names(package(empty="")) == []

    def test_other_errors_of_a_plugin_are_not_swallowed(self, package: MakePackage) -> None:
        with pytest.raises(ZeroDivisionError):
            pyplugs.names(package(broken="1 / 0"))

    def test_packages_in_packages_and_without_init(self, package: MakePackage, tmp_path: Path) -> None:
        inner = tmp_path / package() / "inner"
        inner.mkdir()
        (inner / "plugin.py").write_text(registering(), encoding="utf-8")
        dotted = f"{inner.parent.name}.inner"
        assert pyplugs.names(dotted) == ["plugin"]
        assert pyplugs.call(dotted, "plugin") == f"{dotted}.plugin"
        assert pyplugs.names(inner.parent.name) == []

    def test_package_without_a_name(self, tmp_path: Path, package: MakePackage) -> None:
        (tmp_path / "lonely_plugin.py").write_text(registering(), encoding="utf-8")
        assert pyplugs.exists("", "lonely_plugin")
        assert pyplugs.call("", "lonely_plugin") == "lonely_plugin"
        assert pyplugs.info("", "lonely_plugin").package_name == ""
        assert "lonely_plugin" in pyplugs.names("")

    @pytest.mark.parametrize(
        ("plugin", "expected"), [("good", True), ("empty", False), ("missing", False), ("good.run", False)]
    )
    def test_exists(self, package: MakePackage, plugin: str, expected: bool) -> None:
        assert pyplugs.exists(package(good=registering(), empty=""), plugin) is expected

    def test_exists_in_a_package_that_does_not(self) -> None:
        assert pyplugs.exists("no_such_package_at_all", "plugin") is False

    def test_a_module_is_imported_once(self, package: MakePackage) -> None:
        name = package(counted=registering() + "import sys\nsys.counted = getattr(sys, 'counted', 0) + 1\n")
        for _ in range(3):
            pyplugs.names(name)
            pyplugs.call(name, "counted")
        assert vars(sys).pop("counted") == 1

    def test_a_thread_waits_for_a_module_that_another_imports(self, package: MakePackage) -> None:
        name = package(slow=registering() + "import time\ntime.sleep(0.3)\n" + registering().replace("run", "late"))
        found: list[object] = []
        threads = [Thread(target=lambda: found.append(pyplugs.get(name, "slow", "late"))) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 3


class TestNotFound:
    def test_no_such_package(self) -> None:
        for package in ("no_such_package_at_all", "dioptra.no_such", "dioptra.no_such.deeper"):
            for look in (partial(pyplugs.info, plugin="x"), pyplugs.names):
                with pytest.raises(
                    pyplugs.UnknownPackageError, match=f"package '{package}' of task plugins does not exist"
                ):
                    look(package)

    def test_a_module_is_no_package(self) -> None:
        with pytest.raises(pyplugs.UnknownPackageError, match=r"'dioptra\.errors' is a module, not a package"):
            pyplugs.names("dioptra.errors")
        with pytest.raises(pyplugs.UnknownPluginError, match=r"'dioptra\.errors' is a module, not a package"):
            pyplugs.funcs("dioptra.errors", "x")

    def test_no_such_plugin(self, package: MakePackage) -> None:
        name = package(sample=registering(), other="")
        with pytest.raises(pyplugs.UnknownPluginError) as caught:
            pyplugs.call(name, "sampel")
        assert str(caught.value) == (
            f"plugin 'sampel' not found in package {name!r}; did you mean 'sample'? (have: other, sample)"
        )
        assert isinstance(caught.value.__cause__, ModuleNotFoundError)

    def test_no_such_plugin_in_the_package_without_a_name(self) -> None:
        with pytest.raises(pyplugs.UnknownPluginError, match="plugin 'no_such_plugin' does not exist"):
            pyplugs.call("", "no_such_plugin")

    @pytest.mark.parametrize(
        ("package", "plugin"), [("", ""), (".relative", "x"), ("dioptra", ""), ("dioptra", "a..b")]
    )
    def test_what_is_no_name(self, package: str, plugin: str) -> None:
        with pytest.raises(pyplugs.UnknownPluginError, match="is not the name of a plugin"):
            pyplugs.call(package, plugin)

    def test_what_is_no_name_of_a_package(self) -> None:
        with pytest.raises(pyplugs.UnknownPackageError, match="is not the name of a package"):
            pyplugs.names(".relative")

    @pytest.mark.parametrize("look", [pyplugs.info, pyplugs.funcs, pyplugs.get, pyplugs.call])
    def test_nothing_registered(self, package: MakePackage, look: Callable[..., Any]) -> None:
        name = package(empty="")
        with pytest.raises(
            pyplugs.UnknownPluginError, match=rf"'{name}\.empty' registers no function; .*@pyplugs\.register"
        ):
            look(name, "empty")

    def test_no_such_function(self, arithmetic: str) -> None:
        with pytest.raises(pyplugs.UnknownPluginFunctionError) as caught:
            pyplugs.call(arithmetic, "arithmetic", "ad")
        assert str(caught.value) == (
            f"plugin '{arithmetic}.arithmetic' has no registered function 'ad'; "
            "did you mean 'add'? (have: add, anything, divide)"
        )

    def test_a_function_that_is_not_registered(self, arithmetic: str) -> None:
        with pytest.raises(pyplugs.UnknownPluginFunctionError, match="no registered function 'hidden'"):
            pyplugs.get(arithmetic, "arithmetic", "hidden")

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("from {package} import helper", "cannot import name 'helper' from '{package}'"),
            ("from . import helper", "cannot import name 'helper' from '{package}'"),
            ("import {package}.helper", "No module named '{package}.helper'"),
            ("from {package}.helper import x", "No module named '{package}.helper'"),
            ("import a_package_that_is_not_there", "No module named 'a_package_that_is_not_there'"),
            ("import dioptra.no_such", "No module named 'dioptra.no_such'"),
        ],
    )
    def test_a_missing_helper_keeps_its_own_error(self, package: MakePackage, text: str, words: str) -> None:
        name = package()
        (Path(sys.path[0]) / name / "plugin.py").write_text(text.format(package=name), encoding="utf-8")
        for look in (pyplugs.exists, pyplugs.funcs, pyplugs.info):
            with pytest.raises(ImportError) as caught:
                look(name, "plugin")
            assert words.format(package=name) in str(caught.value)

    @pytest.mark.parametrize(
        ("text", "error"), [("import a_package_that_is_not_there", ModuleNotFoundError), ("1 / 0", ZeroDivisionError)]
    )
    def test_a_plugin_whose_import_fails_is_never_there(
        self, package: MakePackage, text: str, error: type[Exception]
    ) -> None:
        name = package(half=registering() + text, user="from . import half")
        for plugin in ("user", "half", "half"):  # the first registers what is in the second
            with pytest.raises(error):
                pyplugs.exists(name, plugin)
        if error is ModuleNotFoundError:
            assert pyplugs.names(name) == []

    def test_what_has_no_file_stays_registered(self) -> None:
        def made() -> str:
            return "made"

        made.__module__ = "no_such_package_at_all.plugin"
        pyplugs.register(made)
        assert pyplugs.call("no_such_package_at_all", "plugin") == "made"
        forget("no_such_package_at_all", "plugin")

    def test_a_missing_import_of_the_package_keeps_its_own_error(self, package: MakePackage) -> None:
        name = package(init="import a_package_that_is_not_there", plugin="")
        for look in (partial(pyplugs.exists, plugin="plugin"), pyplugs.names):
            with pytest.raises(ImportError, match="a_package_that_is_not_there"):
                look(name)

    def test_one_base_class(self) -> None:
        for error in (pyplugs.UnknownPackageError, pyplugs.UnknownPluginError, pyplugs.UnknownPluginFunctionError):
            assert issubclass(error, pyplugs.BasePyPlugsException)
            assert not issubclass(error, (ImportError, LookupError))


class Nameless:
    """Something to call that has no name."""

    def __call__(self) -> None: ...


class TestRegistration:
    @pytest.mark.parametrize(
        ("thing", "words"),
        [
            (3, "3 cannot be registered, because it is not a function"),
            ("name", "not a function"),
            (Nameless, "not a function"),
            (Nameless(), "no name to be called by"),
            (lambda: None, "no name to be called by"),
            (partial(print), "no name to be called by"),
            (FunctionTask(len), "no name to be called by"),
        ],
    )
    def test_only_functions(self, thing: Any, words: str) -> None:
        for decorate in (pyplugs.register, pyplugs.register()):
            with pytest.raises(pyplugs.PluginDefinitionError, match=words):
                decorate(thing)

    @pytest.mark.parametrize("nout", ["2", None, -1, True, len])
    def test_task_nout_takes_a_number(self, nout: Any) -> None:
        with pytest.raises(pyplugs.PluginDefinitionError, match="is not a number of results; write"):
            pyplugs.task_nout(nout)

    def test_the_last_registration_of_a_name_counts(self, package: MakePackage) -> None:
        name = package(twice=ARITHMETIC + "\n@pyplugs.register\ndef add(): return 'second'\n")
        assert pyplugs.call(name, "twice") == "second"
        assert pyplugs.funcs(name, "twice") == ["add", "divide", "anything"]


class TestTasks:
    def test_call_task_joins_the_flow(self, arithmetic: str) -> None:
        with Flow("joined") as flow:
            quotient, rest = pyplugs.call_task(arithmetic, "arithmetic", "divide", 17, y=5)
            total = pyplugs.call_task(arithmetic, "arithmetic", x=quotient, y=rest)
            ordered = pyplugs.call_task(arithmetic, "arithmetic", "anything", a=[total], upstream_tasks=[rest])
        state = flow.run()
        assert state.result[ordered].result == {"a": [5]}
        assert flow.upstream_tasks(ordered) == {rest, *flow.get_tasks(name="List")}
        assert flow.slugs[total] == "add-1"

    def test_get_task_makes_a_new_task_each_time(self, arithmetic: str) -> None:
        first, second = (pyplugs.get_task(arithmetic, "arithmetic", "divide") for _ in range(2))
        assert first is not second
        assert isinstance(first, FunctionTask)
        assert (first.name, first.nout, first.run(7, 2)) == ("divide", 2, (3, 1))

    def test_arguments_are_checked_when_the_graph_is_built(self, arithmetic: str) -> None:
        with Flow("checked"), pytest.raises(TypeError, match=r"task 'add': .*'z'"):
            pyplugs.call_task(arithmetic, "arithmetic", "add", x=1, z=2)

    def test_outside_of_any_flow(self, arithmetic: str) -> None:
        with pytest.raises(NoActiveFlowError) as caught:
            pyplugs.call_task(arithmetic, "arithmetic", x=1)
        assert str(caught.value) == (
            f"call_task({arithmetic!r}, 'arithmetic', 'add') was called outside of any flow; "
            "call it inside `with Flow(...):`, or use pyplugs.call to run it now"
        )

    @pytest.mark.parametrize("argument", ["flow", "mapped", "task_args", "upstream_tasks", "*images"])
    def test_functions_that_cannot_be_tasks(self, package: MakePackage, argument: str) -> None:
        name = package(plugin=f"from dioptra import pyplugs\n@pyplugs.register\ndef odd({argument}): return 1\n")
        with Flow("odd"), pytest.raises(TaskDefinitionError, match="odd cannot be a task"):
            pyplugs.call_task(name, "plugin")
        assert pyplugs.call(name, "plugin", None, *([] if "*" in argument else [1])) == 1

    def test_unknown_plugins_are_found_while_building(self, arithmetic: str) -> None:
        with Flow("unknown"), pytest.raises(pyplugs.UnknownPluginFunctionError):
            pyplugs.call_task(arithmetic, "arithmetic", "nothing")


class TestFactories:
    def test_each_fixes_the_package(self, arithmetic: str) -> None:
        assert pyplugs.names_factory(arithmetic)() == ["arithmetic"]
        assert pyplugs.funcs_factory(arithmetic)("arithmetic") == ["add", "divide", "anything"]
        assert pyplugs.info_factory(arithmetic)("arithmetic", "divide").func_name == "divide"
        assert pyplugs.exists_factory(arithmetic)("arithmetic") is True
        assert pyplugs.get_factory(arithmetic)("arithmetic", "divide")(7, 2) == (3, 1)
        assert pyplugs.call_factory(arithmetic)("arithmetic", func="add", x=1) == 11
        assert pyplugs.get_task_factory(arithmetic)("arithmetic").run(1) == 11
        with Flow("made") as flow:
            made = pyplugs.call_task_factory(arithmetic)("arithmetic", x=1)
        assert flow.run().result[made].result == 11
