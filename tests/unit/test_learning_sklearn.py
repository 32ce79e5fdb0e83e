"""A scikit-learn model as a task: trained, tested, evaluated, kept without pickles, and loaded only as it was saved."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.cluster import Birch, KMeans
from sklearn.datasets import make_classification
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_selection import SelectKBest
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression, SGDClassifier
from sklearn.metrics import accuracy_score, f1_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC

from dioptra.errors import ArchiveError, DioptraError, InvalidParameterError, RefusedError, UsageError
from dioptra.experiment import DataFolder, DummySnapshot
from dioptra.learning import ModelFiles, SklearnTask
from dioptra.learning._model_files import MANIFEST_FILE

X, Y = make_classification(300, n_features=8, n_informative=5, flip_y=0.1, random_state=1)


class Toy(SklearnTask):
    """A classifier of points."""

    def get_training_data(self) -> Any:
        return X[:200], Y[:200]

    def get_testing_data(self) -> Any:
        return X[200:], Y[200:]


class Told:
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.heard: list[tuple[Any, ...]] = []

    def parameters(self, values: Any) -> None:
        self.heard.append(("parameters", dict(values)))

    def epoch(self, number: int, total: int, values: Any) -> None:
        self.heard.append(("epoch", number, total, sorted(values)))

    def progress(self, number: int, total: int, share: float, values: Any) -> None:
        self.heard.append(("progress", number))

    def tested(self, values: Any) -> None:
        self.heard.append(("tested", dict(values)))


def forest() -> RandomForestClassifier:
    return RandomForestClassifier(5, max_depth=3)


@pytest.fixture
def kept(tmp_path: Path) -> Toy:
    """A task that was trained in a folder."""
    task = Toy(forest())
    task.seed, task.snapshot = 7, DataFolder(tmp_path)
    task.train()
    return task


def fresh(task: Toy) -> Toy:
    other = Toy(forest())
    other.snapshot = task.snapshot
    return other


def test_it_is_trained_and_tested(kept: Toy) -> None:
    kept.test()

    train = accuracy_score(Y[:200], kept.estimator.predict(X[:200]))
    test = accuracy_score(Y[200:], kept.estimator.predict(X[200:]))
    assert 0.6 < test <= train
    assert dict(kept.snapshot.train_data) == {"accuracy": [train]}
    assert dict(kept.snapshot.val_data) == {"epoch": [1], "accuracy": [test]}
    assert dict(kept.snapshot.test_data) == {"accuracy": test}
    assert dict(kept.snapshot.custom_data) == {"seed": 7}


def test_the_record_is_told() -> None:
    task = Toy(MLPClassifier(4, random_state=0))
    told = Told()
    task.record, task.epochs, task.seed = told, 2, 3

    task.train()
    task.test()

    measured = ["accuracy", "loss", "val_accuracy"]
    *training, (word, values) = told.heard
    assert training == [("parameters", {"seed": 3}), ("epoch", 1, 2, measured), ("epoch", 2, 2, measured)]
    assert (word, values) == ("tested", dict(task.snapshot.test_data))
    assert len(task.snapshot.train_data["loss"]) == 2
    assert task.parameters()["estimator"] == "MLPClassifier"
    assert task.parameters()["epochs"] == 2


def test_an_epoch_is_a_partial_fit_of_one_estimator() -> None:
    task = Toy(SGDClassifier(learning_rate="constant", eta0=0.01))
    task.epochs, task.seed = 4, 1

    task.train()

    assert task.estimator.t_ == 4 * 200 + 1
    assert task.snapshot.val_data["epoch"] == [1, 2, 3, 4]
    assert len(task.snapshot.train_data["accuracy"]) == 4


@pytest.mark.parametrize("epochs", [0, -1, 1.5, True, "3"])
def test_a_number_of_epochs_is_one(epochs: Any) -> None:
    task = Toy(forest())
    task.epochs = epochs
    with pytest.raises(UsageError, match="epochs is"):
        task.train()


def test_what_cannot_be_trained_in_epochs_says_so() -> None:
    task = Toy(forest())
    task.epochs = 2
    with pytest.raises(UsageError, match="RandomForestClassifier has no partial_fit and cannot be trained in 2 epochs"):
        task.train()


def weights(task: SklearnTask) -> Any:
    return task.estimator.coef_.tolist()


def sgd(seed: int | None) -> Toy:
    task = Toy(SGDClassifier())
    task.seed = seed
    task.train()
    return task


def test_the_same_seed_gives_the_same_model() -> None:
    assert weights(sgd(5)) == weights(sgd(5)) != weights(sgd(6))


def test_a_seed_that_is_not_given_is_drawn_and_recorded() -> None:
    first, second = sgd(None), sgd(None)
    seeds = [task.snapshot.custom_data["seed"] for task in (first, second)]
    assert seeds[0] != seeds[1]
    assert weights(first) != weights(second)
    assert weights(first) == weights(sgd(seeds[0]))
    first.train()
    again = first.snapshot.custom_data["seed"]
    assert again not in seeds
    assert weights(first) == weights(sgd(again))


def test_the_seed_reaches_every_random_state_that_is_free_and_all_random_numbers() -> None:
    task = Toy(make_pipeline(StandardScaler(), RandomForestClassifier(2), memory=None))
    drawn: list[float] = []

    def draw() -> Any:
        drawn.extend([random.random(), np.random.rand()])  # noqa: S311
        return X, Y

    task.get_training_data = draw  # type: ignore[method-assign]
    task.seed = 9
    task.train()
    task.train()
    assert task.estimator[-1].random_state == 9
    assert task.estimator.memory is None
    assert drawn[:2] == drawn[2:]

    own = Toy(SGDClassifier(random_state=1))
    own.seed = 9
    own.train()
    assert own.estimator.random_state == 1


@pytest.mark.parametrize("seed", [-1, 2**32, 1.0, "1", True])
def test_a_seed_is_a_number(seed: Any) -> None:
    with pytest.raises(UsageError, match="is no seed"):
        sgd(seed)


def test_a_second_training_begins_anew() -> None:
    task = sgd(5)
    before = weights(task), dict(task.snapshot.train_data)
    given = task._given
    task.train()
    assert (weights(task), dict(task.snapshot.train_data)) == before
    assert not hasattr(given, "coef_")


def test_metrics_by_name_of_a_regressor_and_of_no_validation() -> None:
    task = Toy(forest())
    task.get_metric = lambda: {"f1": f1_score, "right": accuracy_score}  # type: ignore[method-assign]
    task.get_validation_data = lambda: None  # type: ignore[method-assign]
    task.train()
    assert sorted(task.snapshot.train_data) == ["f1", "right"]
    assert dict(task.snapshot.val_data) == {}

    line = Toy(LinearRegression())
    line.train()
    assert list(line.snapshot.train_data) == ["r2"]

    line.get_metric = lambda: "f1"  # type: ignore[method-assign, assignment, return-value]
    with pytest.raises(UsageError, match="'f1' is no metric; give a function"):
        line.test()


def test_what_a_script_must_write_is_said() -> None:
    with pytest.raises(UsageError, match="SklearnTask has no method get_training_data"):
        SklearnTask(forest()).train()
    task = Toy(forest())
    task.get_training_data = lambda: X  # type: ignore[method-assign]
    with pytest.raises(UsageError, match=r"get_training_data returned a ndarray; return \(x, y\)"):
        task.train()
    with pytest.raises(RefusedError, match="RandomForestClassifier is not fitted; train it, or load a model"):
        Toy(forest()).predict(X)


def test_a_task_in_memory_saves_nothing(in_folder: Path) -> None:
    task = Toy(forest())
    task.train()
    task.test()
    assert isinstance(task.snapshot, DummySnapshot)
    assert list(in_folder.iterdir()) == []
    with pytest.raises(RefusedError, match="there are no model files"):
        task.load_model()


# Model files.


def test_a_model_is_saved_and_loaded(kept: Toy) -> None:
    assert kept.snapshot.model_files == ("final.skops",)
    other = fresh(kept)
    other.load_model()
    assert np.array_equal(other.predict(X), kept.predict(X))
    assert other.describe_input() == {"sample_shape": (8,), "dtype": "float64"}

    kept.estimator = LogisticRegression().fit(X, Y)
    kept.save_model("more/line.skops")
    other.load_model()
    assert isinstance(other.estimator, LogisticRegression)
    other.load_model("final.skops")
    assert isinstance(other.estimator, RandomForestClassifier)


def test_it_is_loaded_from_where_the_models_are(kept: Toy, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    other = Toy(forest())
    other.snapshot, other.models = DataFolder(own), kept.snapshot
    other.load_model()
    other.test()
    assert other.snapshot.test_data["accuracy"] > 0.6
    assert "accuracy" not in kept.snapshot.test_data


def no_loader(monkeypatch: pytest.MonkeyPatch) -> None:
    import skops.io

    def fail(*args: Any, **options: Any) -> Any:
        raise AssertionError("it was read")

    monkeypatch.setattr(skops.io, "loads", fail)
    monkeypatch.setattr(skops.io, "get_untrusted_types", fail)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda folder: flip(folder / "final.skops"), "has been changed since it was saved; it is not loaded"),
        (lambda folder: (folder / "final.skops").write_bytes(b""), "has been changed since it was saved"),
        (lambda folder: (folder / MANIFEST_FILE).unlink(), "was not saved by this snapshot; it is not loaded"),
        (lambda folder: (folder / MANIFEST_FILE).write_text('{"file": "final.skops"}\n[]\n{'), "was not saved by this"),
        (lambda folder: renamed(folder), "was not saved by this snapshot"),
        (lambda folder: (folder / "final.skops").unlink(), "there is no model file in '.*'; train the model first"),
    ],
)
def test_what_was_not_saved_is_refused_before_it_is_read(
    kept: Toy, monkeypatch: pytest.MonkeyPatch, change: Any, sentence: str
) -> None:
    assert isinstance(kept.snapshot, DataFolder)
    change(kept.snapshot.folder)
    no_loader(monkeypatch)
    with pytest.raises(RefusedError, match=sentence):
        fresh(kept).load_model()


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def renamed(folder: Path) -> None:
    (folder / "final.skops").rename(folder / "other.skops")
    DataFolder(folder).register_model_file("other.skops")


def test_a_named_model_that_is_not_there_is_named(kept: Toy) -> None:
    with pytest.raises(RefusedError, match=r"there is no model file '.*/best\.skops'; train the model first"):
        kept.load_model("best.skops")
    with pytest.raises(UsageError, match="no file in"):
        kept.load_model("../best.skops")


def test_a_file_saved_again_is_loaded_as_it_was_saved_last(kept: Toy) -> None:
    kept.estimator = LogisticRegression().fit(X, Y)
    kept.save_model()
    other = fresh(kept)
    other.load_model()
    assert isinstance(other.estimator, LogisticRegression)


def test_the_manifest_goes_on_after_a_dead_writer(kept: Toy) -> None:
    assert isinstance(kept.snapshot, DataFolder)
    manifest = kept.snapshot.folder / MANIFEST_FILE
    with manifest.open("ab") as file:
        file.write(b'{"file": "final.sk')
    kept.save_model("again.skops")
    fresh(kept).load_model()
    fresh(kept).load_model("final.skops")
    assert json.loads(manifest.read_bytes().splitlines()[-1])["file"] == "again.skops"


def test_a_save_that_fails_leaves_the_model_that_was_there(kept: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("dioptra.learning._model_files.write_aside", full)
    with pytest.raises(RefusedError, match="cannot be written .No space left on device"):
        ModelFiles(kept.snapshot).save("final.skops", b"new")
    other = fresh(kept)
    other.load_model()
    assert np.array_equal(other.predict(X), kept.predict(X))


def double(x: Any) -> Any:
    return 2 * x


def test_types_that_are_not_known_are_neither_saved_nor_loaded_until_they_are_named(kept: Toy) -> None:
    name = f"{__name__}.double"
    piped = make_pipeline(FunctionTransformer(double), LogisticRegression())
    early = Toy(piped)
    early.snapshot = kept.snapshot
    early.fit = lambda *args: pytest.fail("it was fitted")  # type: ignore[method-assign]
    with pytest.raises(UsageError, match=rf"not known to be harmless \({name}\)") as caught:
        early.train()
    assert "trusted_types" in str(caught.value)

    kept.estimator = piped.fit(X, Y)
    with pytest.raises(UsageError, match="not known to be harmless"):
        kept.save_model()

    kept.trusted_types = (name,)
    kept.save_model("piped.skops")
    other = fresh(kept)
    with pytest.raises(RefusedError, match="not known to be harmless"):
        other.load_model()
    other.trusted_types = (name,)
    other.load_model()
    assert np.array_equal(other.predict(X), kept.predict(X))


@pytest.mark.parametrize(
    "estimator",
    [
        MLPClassifier(4, max_iter=5),
        KNeighborsClassifier(),
        KNeighborsClassifier(algorithm="ball_tree"),
        HistGradientBoostingClassifier(max_iter=2),
        make_pipeline(SelectKBest(k=3), SVC()),
        GaussianProcessClassifier(),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_models_of_scikit_learn_are_kept_as_they_are(tmp_path: Path, estimator: Any) -> None:
    task = Toy(estimator)
    task.snapshot = DataFolder(tmp_path)
    task.train()
    other = fresh(task)
    other.load_model()
    assert np.array_equal(other.predict(X), task.predict(X))


def test_what_skops_does_not_take_is_noticed_before_the_work(tmp_path: Path) -> None:
    task = Toy(Birch())
    task.snapshot = DataFolder(tmp_path)
    task.fit = lambda *args: pytest.fail("it was fitted")  # type: ignore[method-assign]
    with pytest.raises(UsageError, match="Birch cannot be kept as a skops file"):
        task.train()


@pytest.mark.parametrize("name", ["final.pkl", "final.joblib", "final", "models.jsonl"])
def test_a_model_is_a_skops_file(kept: Toy, name: str) -> None:
    with pytest.raises(UsageError, match="is no skops file; name it such as 'final.skops'"):
        kept.save_model(name)
    with pytest.raises(UsageError, match="is Dioptra's own"):
        ModelFiles(kept.snapshot).save(MANIFEST_FILE, b"")


def test_a_file_that_is_no_model_is_refused(kept: Toy) -> None:
    ModelFiles(kept.snapshot).save("odd.skops", b"no zip file")
    with pytest.raises(RefusedError, match=r"odd\.skops' cannot be loaded \(BadZipFile"):
        fresh(kept).load_model()


# Files in and out.


@pytest.mark.parametrize("out", ["answers.csv", "answers.npz"])
@pytest.mark.parametrize("infile", ["x.npz", "one.npz", "x.csv", "named.csv"])
def test_a_file_is_evaluated(kept: Toy, tmp_path: Path, infile: str, out: str) -> None:
    np.savez(tmp_path / "x.npz", x=X[:5], y=Y[:5])
    np.savez(tmp_path / "one.npz", X[:5])
    np.savetxt(tmp_path / "x.csv", X[:5], delimiter=",", fmt="%.17g")
    np.savetxt(tmp_path / "named.csv", X[:5], delimiter=",", fmt="%.17g", header="a,b,c,d,e,f,g,h", comments="")

    kept.eval_path(tmp_path / infile, tmp_path / out)

    if out.endswith("npz"):
        with np.load(tmp_path / out) as arrays:
            found = arrays["result"].tolist()
    else:
        found = [int(line) for line in (tmp_path / out).read_text().splitlines()]
    assert found == kept.estimator.predict(X[:5]).tolist()


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("x.txt", b"1,2", InvalidParameterError),
        ("x.csv", b"a,b\n1,c\n", InvalidParameterError),
        ("x.csv", b"1,2,3,4,5,6,7,l8\n1,2,3,4,5,6,7,8\n", InvalidParameterError),  # no line of names
        ("x.csv", b"", InvalidParameterError),
        ("x.csv", b"\xff\xfe", InvalidParameterError),
        ("x.npz", b"PK", ArchiveError),
        ("two.npz", None, InvalidParameterError),
        ("pickled.npz", None, ArchiveError),
    ],
)
def test_a_file_that_holds_no_samples_is_refused(
    kept: Toy, tmp_path: Path, name: str, content: bytes | None, error: type[DioptraError]
) -> None:
    if content is None:
        np.savez(tmp_path / "two.npz", a=X, b=Y)
        np.savez(tmp_path / "pickled.npz", x=np.array([{}], dtype=object))
    else:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(error):
        kept.eval_path(tmp_path / name, tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()


def test_an_empty_cell_of_the_first_line_is_no_name(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("1,,3\n4,5,6\n")
    expected = np.array([[1, np.nan, 3], [4, 5, 6]])
    assert np.array_equal(Toy(forest()).load_sample(tmp_path / "x.csv"), expected, equal_nan=True)


def test_a_result_keeps_the_permissions_of_its_file_and_goes_behind_a_link(kept: Toy, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("1,2,3,4,5,6,7,8\n")
    (tmp_path / "y.csv").touch()
    (tmp_path / "y.csv").chmod(0o640)
    (tmp_path / "link.csv").symlink_to("y.csv")
    kept.eval_path(tmp_path / "x.csv", tmp_path / "link.csv")
    kept.eval_path(tmp_path / "x.csv", tmp_path / "new.csv")
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "y.csv").read_text() in ("0\n", "1\n")
    assert (tmp_path / "y.csv").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "new.csv").stat().st_mode == (tmp_path / "x.csv").stat().st_mode


@pytest.mark.parametrize(
    ("method", "value", "sentence"),
    [
        ("get_training_data", ((point for point in X), Y), "get_training_data returned a generator among"),
        ("get_metric", lambda y, answers: np.ones((2, 2)), "returned a ndarray and not a number"),
        ("get_metric", lambda y, answers: "good", "returned a str and not a number"),
    ],
)
def test_what_a_script_returns_wrongly_is_said(method: str, value: Any, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        type("Own", (Toy,), {method: lambda self: value})(forest()).train()


def test_kinds_of_files_are_checked_unless_a_script_has_its_own(tmp_path: Path) -> None:
    for name in ("x.png", "x.csv"):
        (tmp_path / name).touch()
    for infile, outfile in (("x.png", "y.csv"), ("x.csv", "y.txt")):
        with pytest.raises(InvalidParameterError, match="neither npz nor csv"):
            Toy(forest()).check_files(tmp_path / infile, tmp_path / outfile)
    own = {"load_sample": lambda self, path: None, "store_result": lambda self, result, path: None}
    type("Own", (Toy,), own)(forest()).check_files(tmp_path / "x.png", tmp_path / "y.txt")


def test_a_result_that_does_not_fit_is_refused(kept: Toy, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=X[:5])
    kept.eval = lambda sample: np.zeros((5, 2, 2))  # type: ignore[method-assign]
    with pytest.raises(InvalidParameterError, match="a result of 5 x 2 x 2 does not fit 'out.csv'; name an npz file"):
        kept.eval_path(tmp_path / "x.npz", tmp_path / "out.csv")
    with pytest.raises(InvalidParameterError, match=r"'out\.txt' is neither npz nor csv"):
        kept.eval_path(tmp_path / "x.npz", tmp_path / "out.txt")


def test_clusters_have_no_classes() -> None:
    task = Toy(KMeans(2, n_init=1))
    task.get_metric = lambda: {"right": lambda y, found: max((y == found).mean(), (y != found).mean())}  # type: ignore[method-assign]
    task.train()
    assert task.snapshot.train_data["right"][0] >= 0.5
