"""`require_package`: functions that can be called only where a package is installed."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

import pytest

from dioptra import pyplugs
from dioptra.errors import BaseOptionalDependencyError, PrefectDependencyError
from dioptra.sdk.utilities.decorators import require_package


@require_package("a_package_that_is_not_there")
def needs(x: int, y: int = 2) -> int:
    """Add two numbers."""
    return x + y


def test_a_package_that_is_there() -> None:
    @require_package("json")
    def works(x: int, *, y: int) -> int:
        return x * y

    assert works(2, y=3) == 6


def test_one_that_is_not_there_matters_when_the_function_is_called(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(BaseOptionalDependencyError) as caught:
        needs(1)
    assert str(caught.value) == 'The package "a_package_that_is_not_there" is required to use needs'
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [("ERROR", str(caught.value))]


def test_the_error_and_its_words_can_be_chosen() -> None:
    @require_package("nowhere.at_all", exc_message="install it", exc_type=PrefectDependencyError)
    def function() -> None: ...

    with pytest.raises(PrefectDependencyError, match=r"\Ainstall it\Z"):
        function()


def test_it_is_looked_for_at_each_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "a_package_that_is_not_there.py").write_text("")
    assert needs(1) == 3
    del sys.modules["a_package_that_is_not_there"]


def test_what_the_package_itself_lacks_is_its_own_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "a_package_that_is_not_there.py").write_text("import another_that_is_not_there")
    with pytest.raises(ModuleNotFoundError, match="another_that_is_not_there"):
        needs(1)


def test_the_function_keeps_what_it_says_and_can_be_registered() -> None:
    assert (needs.__name__, needs.__doc__) == ("needs", "Add two numbers.")
    assert list(inspect.signature(needs).parameters) == ["x", "y"]
    assert pyplugs.register(needs) is needs
