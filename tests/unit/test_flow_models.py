"""Fingerprints of models: equal for the same fit in every process, different for other data, seeds and parameters."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.cluster import KMeans
from sklearn.datasets import load_iris
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, make_scorer
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KDTree, KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC

from dioptra.flow._fingerprint import fingerprint

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:PyTorch not found:UserWarning"),
]


def iris(change: float = 0) -> tuple[Any, Any]:
    x, y = load_iris(return_X_y=True)
    x[::2, 1] += change
    return x, y


def search(seed: int) -> Any:
    grid = {"svc__C": [1, 2]}
    return GridSearchCV(make_pipeline(StandardScaler(), SVC()), grid, scoring=make_scorer(f1_score, average="macro"))


UNFITTED: dict[str, Callable[[int], Any]] = {
    "logistic regression": lambda seed: LogisticRegression(max_iter=1_000, random_state=seed),
    "pipeline": lambda seed: make_pipeline(StandardScaler(), FunctionTransformer(np.tanh), SVC()),
    "random forest": lambda seed: RandomForestClassifier(5, random_state=seed),
    "boosting": lambda seed: GradientBoostingClassifier(n_estimators=3, subsample=0.5, random_state=seed),
    "perceptron": lambda seed: MLPClassifier((5,), max_iter=20, random_state=seed),
    "search": search,
    "nearest neighbors": lambda seed: KNeighborsClassifier(algorithm="kd_tree"),
    "ball tree": lambda seed: KNeighborsClassifier(algorithm="ball_tree"),
    "svm": lambda seed: SVC(random_state=seed),
    "clusters": lambda seed: KMeans(3, n_init=1, random_state=seed),
    "wrapped": lambda seed: Wrapped(MLPClassifier((5,), max_iter=20, random_state=seed)),
}
SEEDED = ("random forest", "boosting", "perceptron", "clusters", "wrapped")


class Wrapped:
    """Fits first, and is then wrapped as for an attack."""

    def __init__(self, estimator: Any) -> None:
        self.estimator = estimator

    def fit(self, x: Any, y: Any) -> Any:
        from art.estimators.classification import SklearnClassifier

        return SklearnClassifier(self.estimator.fit(x, y), clip_values=(0, 8))


def fitted(name: str, seed: int = 1, change: float = 0) -> dict[str, Any]:
    return fingerprint(UNFITTED[name](seed).fit(*iris(change)))


SCRIPT = """
import json, sys, warnings
warnings.simplefilter("ignore")
from importlib.util import module_from_spec, spec_from_file_location
spec = spec_from_file_location("models", sys.argv[1])
models = module_from_spec(spec)
sys.modules["models"] = models
spec.loader.exec_module(models)
print(json.dumps({name: models.fitted(name) for name in models.UNFITTED}))
"""


def test_two_processes_find_the_same() -> None:
    running = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT, __file__], env={**os.environ, "PYTHONHASHSEED": seed}, stdout=subprocess.PIPE
        )
        for seed in ("1", "2")
    ]
    one, other = (json.loads(process.communicate()[0]) for process in running)
    assert one == other
    assert all(set(found) <= {"type", "hash", "length"} and found["hash"] for found in one.values())
    assert len({found["hash"] for found in one.values()}) == len(UNFITTED)


@pytest.mark.parametrize("name", UNFITTED)
def test_other_data_are_seen(name: str) -> None:
    assert fitted(name) != fitted(name, change=1e-3)


@pytest.mark.parametrize("name", SEEDED)
def test_another_seed_is_seen_in_what_was_learned(name: str) -> None:
    one, other = (UNFITTED[name](seed).fit(*iris()) for seed in (1, 2))
    for fit in (one, other):
        getattr(fit, "model", fit).random_state = None  # or the parameter alone would make the difference
    assert fingerprint(one) != fingerprint(other)


class Own(BaseEstimator):  # type: ignore[misc]
    """An estimator of a user."""

    def __init__(self, depth: int = 1) -> None:
        self.depth = depth


class Another(Own):
    """One of another type."""


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Own(1), Own(2)),
        (RandomForestClassifier(), RandomForestClassifier(max_depth=3)),
        (FunctionTransformer(np.tanh), FunctionTransformer(np.exp)),
        (FunctionTransformer(fitted), FunctionTransformer(search)),
        (load_iris(), load_iris(as_frame=True)),
        ([("accuracy", fitted)], [("accuracy", search)]),
        ([int], [float]),
        (sparse.csr_array(np.eye(3)), sparse.csr_array(2 * np.eye(3))),
        (sparse.csr_array(np.eye(3)), sparse.csr_array(np.fliplr(np.eye(3)))),
        ([sparse.csr_array(np.eye(3, 4))], [sparse.csr_array(np.eye(3, 5))]),
        ([sparse.csr_array(np.eye(3))], [sparse.csc_array(np.eye(3))]),
        ([Own()], [Another()]),
        (sparse.dia_matrix(np.eye(3)), sparse.dia_matrix(np.eye(4))),
        (KDTree(np.eye(3)), KDTree(np.eye(4))),
    ],
)
def test_a_change_is_seen(one: Any, other: Any) -> None:
    assert "hash" in fingerprint(one)
    assert fingerprint(one) != fingerprint(other)


def test_how_long_it_took_plays_no_part() -> None:
    found = search(1).fit(*iris())
    before = fingerprint(found)
    found.refit_time_ += 1
    for name in ("mean_fit_time", "std_fit_time", "mean_score_time", "std_score_time"):
        found.cv_results_[name] += 1
    assert fingerprint(found) == before
    found.cv_results_["mean_test_score"] += 1e-9
    assert fingerprint(found) != before


def test_clocks_and_addresses_that_scikit_learn_keeps_play_no_part(capsys: pytest.CaptureFixture[str]) -> None:
    def mixture() -> Any:
        return GaussianMixture(2, random_state=1, verbose=2, verbose_interval=1).fit(iris()[0])

    assert fingerprint(mixture()) == fingerprint(mixture())
    words = CountVectorizer().fit(["a bird", "no bird"])
    before = fingerprint(words)
    words._stop_words_id += 1
    assert fingerprint(words) == before


def test_a_tree_that_was_asked_is_the_same() -> None:
    tree = KDTree(np.arange(200.0).reshape(100, 2))
    before = fingerprint(tree)
    tree.query([[1.0, 2.0]])
    assert fingerprint(tree) == before


def test_the_limits_of_a_wrapped_model_are_seen() -> None:
    from art.estimators.classification import SklearnClassifier

    model = LogisticRegression(max_iter=1_000).fit(*iris())
    one, other = (SklearnClassifier(model, clip_values=(0, limit)) for limit in (8, 9))
    assert fingerprint(one) != fingerprint(other)


def test_a_large_model_is_sampled() -> None:
    model = Own()
    model.depth = [np.zeros(1_000_000) for _ in range(4)]  # type: ignore[assignment]
    assert fingerprint(model)["sampled"] is True


def test_a_model_that_holds_itself() -> None:
    model = Own()
    model.depth = model
    assert fingerprint(model)["sampled"] is True


class Layer:
    """What is used of a module of torch, upon numpy."""

    def __init__(self, weight: float, layers: list[Any] | None = None) -> None:
        self.weight, self.layers = np.full((2, 2), weight), layers or []

    def named_modules(self) -> list[tuple[str, Any]]:
        return [("", self), *((str(index), layer) for index, layer in enumerate(self.layers))]

    def state_dict(self) -> dict[str, Any]:
        return {"weight": self.weight} | {str(index): layer.weight for index, layer in enumerate(self.layers)}


class Bend(Layer):
    """Another kind of layer."""


def test_modules_of_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    torch_nn = ModuleType("torch.nn")
    vars(torch_nn).update(Module=Layer)
    monkeypatch.setitem(sys.modules, "torch.nn", torch_nn)
    found = fingerprint(Layer(1, [Layer(2)]))
    assert found == fingerprint(Layer(1, [Layer(2)]))
    assert len({json.dumps(found) for found in map(fingerprint, NETWORKS)}) == len(NETWORKS)


NETWORKS = [Layer(1), Layer(2), Bend(1), Layer(1, [Layer(2)]), Layer(1, [Layer(3)]), Layer(1, [Bend(2)])]
