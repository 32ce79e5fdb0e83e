"""Generic functions: chosen by the types of several arguments, extended by packages."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pytest
from numpy.typing import NDArray

from dioptra.errors import BaseGenericsRegistryError
from dioptra.sdk.generics import estimator_predict, fit_estimator
from dioptra.sdk.generics._dispatch import Generic

if TYPE_CHECKING:
    from decimal import Decimal


class Model:
    def fit(self, x: object, y: object, **options: object) -> tuple[object, ...]:
        return "own fit", x, y, options

    def predict(self, x: object, **options: object) -> tuple[object, ...]:
        return "own predict", x, options


class Net(Model): ...


class DeepNet(Net): ...


T = TypeVar("T")


@pytest.fixture
def fit() -> Generic:
    """A generic function of its own, that no other test adds to."""

    def fit_estimator(estimator: Any, x: Any, y: Any = None, **options: Any) -> str:
        """Fit."""
        return "by default"

    return Generic(fit_estimator)


class TestByDefault:
    def test_the_estimators_own_methods(self) -> None:
        assert fit_estimator(Model(), 1, 2, epochs=3) == ("own fit", 1, 2, {"epochs": 3})
        assert fit_estimator(estimator=Model(), x=1) == ("own fit", 1, None, {})
        assert estimator_predict(Model(), x=1, batch_size=3) == ("own predict", 1, {"batch_size": 3})

    def test_scikit_learn(self) -> None:
        from sklearn.linear_model import LogisticRegression

        x, y = np.array([[0.0], [1.0]]), np.array([0, 1])
        fitted = fit_estimator(LogisticRegression(), x, y, sample_weight=[1, 1])
        assert estimator_predict(fitted, x).tolist() == [0, 1]

    @pytest.mark.parametrize(("generic", "method"), [(fit_estimator, "fit"), (estimator_predict, "predict")])
    def test_one_without_them(self, generic: Generic, method: str) -> None:
        with pytest.raises(BaseGenericsRegistryError, match=rf"does not know a list, which has no method '{method}'"):
            generic([], 1)

    def test_arguments_that_do_not_fit(self) -> None:
        with pytest.raises(TypeError, match="missing a required argument: 'x'"):
            fit_estimator(Model())


class TestTheChoice:
    @pytest.fixture
    def chosen(self, fit: Generic) -> Callable[..., object]:
        @fit.register
        def net_array(estimator: Net, x: NDArray[np.floating[Any]], y: Any = None, epochs: int = 1) -> str:
            return f"net, array, {epochs}"

        @fit.register
        def net_list(estimator: Net, x: list[int], y: T | None = None) -> str:
            return "net, list"

        @fit.register
        def net_sequence(a: Net, b: Sequence[int], c: object = None, **options: Decimal) -> str:
            return f"net, sequence, {options}"

        @fit.register
        def deep(estimator: DeepNet, x, y: str | int = 0) -> str:  # type: ignore[no-untyped-def]
            return "deep, text or number"

        @fit.register
        def number(estimator: int | float, /, x: Any, y: Any = None) -> str:
            return "number"

        return fit

    @pytest.mark.parametrize(
        ("arguments", "options", "expected"),
        [
            ((Model(), [1], None), {}, "by default"),
            ((Net(), np.zeros(1), None), {"epochs": 4}, "net, array, 4"),
            ((Net(), [1]), {}, "net, list"),
            ((Net(), (1,)), {"size": 2}, "net, sequence, {'size': 2}"),
            ((Net(), {1}), {}, "by default"),
            ((DeepNet(), [1], "text"), {}, "deep, text or number"),
            ((DeepNet(), [1], 1.5), {}, "net, list"),
            ((3, None), {}, "number"),
            ((True, None), {}, "number"),
        ],
    )
    def test_the_nearest_types_win(
        self, chosen: Callable[..., object], arguments: tuple[object, ...], options: dict[str, object], expected: str
    ) -> None:
        assert chosen(*arguments, **options) == expected

    def test_arguments_by_keyword(self, chosen: Callable[..., object]) -> None:
        assert chosen(estimator=Net(), x=(1,), y=2, size=3) == "net, sequence, {'size': 3}"
        assert chosen(Net(), y=2, x=[1]) == "net, list"

    def test_the_last_registered_wins_for_equal_types(self, fit: Generic) -> None:
        fit.register(_first)
        assert fit.register(_second) is _second
        assert fit(Net(), 1) == "second"

    def test_only_functions_that_take_as_many_arguments(self, fit: Generic) -> None:
        @fit.register
        def two(estimator: Net, x: dict[str, int]) -> str:
            return "two"

        assert fit(Net(), {}) == "two"
        assert fit(Net(), {}, 3) == "by default"

        @fit.register
        def three(estimator: Model, x: Any, labels: Any) -> str:
            return f"three {labels}"

        assert fit(Net(), {}, 3) == "three 3"
        assert fit(Net(), [], labels=4) == "three 4"
        assert fit(Net(), []) == "by default"

        @fit.register
        def any_number(estimator: DeepNet, *rest: Any) -> str:
            return f"any {rest}"

        assert fit(DeepNet(), {}, 3) == "any ({}, 3)"

    def test_the_function_keeps_what_it_says(self, fit: Generic) -> None:
        assert (fit.__doc__, vars(fit)["__name__"]) == ("Fit.", "fit_estimator")


def _first(estimator: Net, x: Any) -> str:
    return "first"


def _second(model: Net, data: object) -> str:
    return "second"


class TestRefused:
    def test_a_first_argument_without_a_type(self, fit: Generic) -> None:
        def untyped(estimator, x): ...  # type: ignore[no-untyped-def]
        def anything(estimator: Any, x: int) -> None: ...
        def nothing() -> None: ...

        for function in (untyped, anything, nothing):
            with pytest.raises(BaseGenericsRegistryError, match="its first argument has no type; write def"):
                fit.register(function)

    def test_a_name_that_is_not_there(self, fit: Generic) -> None:
        def function(estimator: Decimal, x: int) -> None: ...

        with pytest.raises(
            BaseGenericsRegistryError, match="is annotated with 'Decimal', which is not there; import it"
        ):
            fit.register(function)

    def test_no_class(self, fit: Generic) -> None:
        def function(estimator: 3, x: int) -> None: ...  # type: ignore[valid-type]

        with pytest.raises(BaseGenericsRegistryError, match=r"stands for no class|must be a type"):
            fit.register(function)


def in_a_process(code: str, *folders: Path) -> str:
    setup = f"import sys; sys.path[:0] = {[str(folder) for folder in folders]!r}\n"
    done = subprocess.run([sys.executable, "-c", setup + code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


class TestPlugins:
    @pytest.fixture
    def installed(self, tmp_path: Path) -> Path:
        """A folder as pip leaves it, with a distribution that has entry points."""
        (tmp_path / "more_generics.py").write_text(
            "from dioptra.sdk.generics import estimator_predict, fit_estimator\n"
            "print('loaded')\n"
            "@fit_estimator.register\n"
            "def fit_text(estimator: str, x: object, y: object = None) -> str: return 'fitted a text'\n"
            "@estimator_predict.register\n"
            "def ask_text(estimator: str, x: object) -> str: return fit_estimator(estimator, x) + ', asked it'\n"
        )
        info = tmp_path / "more_generics-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: more-generics\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(
            "[dioptra.generics.fit_estimator]\ntext = more_generics\nbroken = a_module_that_is_not_there\n"
            "[dioptra.generics.estimator_predict]\ntext = more_generics:ask_text\n"
        )
        return tmp_path

    def test_entry_points_are_loaded_on_the_first_use(self, installed: Path) -> None:
        printed = in_a_process(
            "import logging; logging.basicConfig(stream=sys.stdout, format='%(levelname)s %(message)s')\n"
            "from dioptra.sdk.generics import estimator_predict, fit_estimator\n"
            "print('imported')\n"
            "print(estimator_predict('text', 1))\n"
            "print(fit_estimator('text', 1))\n",
            installed,
        )
        assert printed.splitlines() == [
            "imported",
            "loaded",
            "WARNING entry point 'broken' of 'dioptra.generics.fit_estimator' is left out: "
            "ModuleNotFoundError: No module named 'a_module_that_is_not_there'",
            "fitted a text, asked it",
            "fitted a text",
        ]

    def test_nothing_heavy_is_imported(self) -> None:
        code = "import dioptra.sdk.generics; print({'numpy', 'keras', 'importlib.metadata'} & set(sys.modules))"
        assert in_a_process(code) == "set()\n"


KERAS = """
class Model:
    def fit(self, **kwargs):
        return {"history of": kwargs}
    def predict(self, x, batch_size=None, **kwargs):
        return x
"""


class TestKeras:
    """With a module that has Keras' interface: the real one is not among what the tests install."""

    @pytest.fixture
    def keras(self, tmp_path: Path) -> Path:
        (tmp_path / "keras.py").write_text(KERAS)
        return tmp_path

    def test_a_model_is_fitted_and_asked(self, keras: Path) -> None:
        printed = in_a_process(
            """
from dioptra.errors import EstimatorPredictGenericPredTypeError
from dioptra.sdk.generics import estimator_predict, fit_estimator

class Own:
    def fit(self, x, y): return "own"

print(fit_estimator(Own(), 1, 2), "keras" in sys.modules)
import keras
class Sub(keras.Model): ...
print(fit_estimator(Sub(), 1, 2, nb_epochs=3, batch_size=4, verbose=2))
print(fit_estimator(Sub(), x=1))
classes, one = [[0.1, 0.9], [0.8, 0.2]], [[0.5], [0.4]]
for x in (classes, one):
    print(estimator_predict(Sub(), x, pred_type="label").tolist(), estimator_predict(Sub(), x).tolist())
try:
    estimator_predict(Sub(), one, pred_type="logits")
except EstimatorPredictGenericPredTypeError as error:
    print(error)
""",
            keras,
        )
        assert printed.splitlines() == [
            "own False",
            "{'history of': {'x': 1, 'y': 2, 'batch_size': 4, 'epochs': 3, 'verbose': 2}}",
            "{'history of': {'x': 1, 'y': None, 'batch_size': None, 'epochs': 1}}",
            "[1, 0] [[0.1, 0.9], [0.8, 0.2]]",
            "[1, 0] [[0.5], [0.4]]",
            "no type of prediction 'logits'; have: label, prob",
        ]

    def test_one_that_is_broken_is_left_out(self, keras: Path) -> None:
        (keras / "keras.py").write_text("")
        printed = in_a_process(
            "import logging; logging.basicConfig(stream=sys.stdout, format='%(message)s')\n"
            "import keras\nfrom sklearn.dummy import DummyClassifier\n"
            "from dioptra.sdk.generics import fit_estimator\n"
            "print(fit_estimator(DummyClassifier(), [[0]], [1]))\n",
            keras,
        )
        assert "the generics for keras are left out: ImportError: cannot import name 'Model' from 'keras'" in printed
        assert printed.endswith("DummyClassifier()\n")


class TestTaskPlugins:
    def test_fit_logs_its_time_and_predict_asks(self, tmp_path: Path) -> None:
        import mlflow

        from dioptra_builtins.estimators import methods

        before = mlflow.get_tracking_uri()
        mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
        try:
            with mlflow.start_run(experiment_id="0") as run:
                assert methods.fit(Model(), 1, 2, fit_kwargs={"z": 3}) == ("own fit", 1, 2, {"z": 3})
            metrics = mlflow.get_run(run.info.run_id).data.metrics
        finally:
            mlflow.set_tracking_uri(before)
        assert list(metrics) == ["training_time_in_minutes"]
        assert 0 <= metrics["training_time_in_minutes"] < 0.1
        assert methods.predict(Model(), 1, {"z": 3}) == ("own predict", 1, {"z": 3})
