"""Models of scikit-learn: fitted at once, or in epochs where the estimator can; stored in the skops format."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import sklearn
from sklearn.base import clone, is_classifier
from sklearn.exceptions import NotFittedError
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils.validation import check_is_fitted

from dioptra.errors import InvalidParameterError, RefusedError, UsageError
from dioptra.experiment import DataFolder, Logger, version_of
from dioptra.learning import _skops
from dioptra.learning._metrics import by_name, not_written
from dioptra.learning._model_files import ModelFiles
from dioptra.learning._sample_files import check_kinds, read_samples, write_result
from dioptra.learning._seeds import check_epochs, choose_seed, cut_data, record_seed, set_seed
from dioptra.learning._task import BaseTask

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dioptra.experiment._live_modules import Modules

__all__ = ["SklearnTask"]

Metric = Callable[[Any, Any], Any]
Pair = tuple[Any, Any]


class SklearnTask(BaseTask):
    """A whole scikit-learn model: a script gives its data, and `main()` makes it a command.

    Args:
        estimator: A classifier, a regressor or a pipeline. It stays as it is: each training begins with a copy, which
            becomes `estimator` when it is fitted.
    """

    epochs: int = 1
    """How often the training data are gone through; more than once needs an estimator with `partial_fit`."""
    seed: int | None = None
    """Where random numbers begin; None draws one. Each `random_state` of the estimator that is None becomes it."""
    trusted_types: tuple[str, ...] = ()
    """Types that a model file may hold besides those of scikit-learn, such as `my_module.MyTransformer`."""

    def __init__(self, estimator: Any) -> None:
        self.estimator = estimator
        self._given = estimator

    # What a script says.

    def get_training_data(self) -> Pair:
        """Return the samples to train with, `(n, ...)`, and their targets, `(n,)`."""
        raise not_written(self, "get_training_data", "write one that returns (x, y)")

    def get_testing_data(self) -> Pair:
        """Return the samples to test with, `(n, ...)`, and their targets, `(n,)`."""
        raise not_written(self, "get_testing_data", "write one that returns (x, y)")

    def get_validation_data(self) -> Pair | None:
        """Return what to validate with after each epoch; by default the testing data, None for no validation."""
        return self.get_testing_data()

    def get_metric(self) -> Metric | Mapping[str, Metric]:
        """Return what is measured: a function of targets and answers as in `sklearn.metrics`, or several by name.

        By default the accuracy of a classifier, R² of anything else.
        """
        return {"accuracy": accuracy_score} if is_classifier(self.estimator) else {"r2": r2_score}

    # Training.

    def train(self) -> None:
        """Fit a copy of the estimator, measure it after each epoch, and save it.

        What an earlier training left in the data of training and validation is dropped.

        Raises:
            UsageError: There are several epochs, and the estimator cannot be fitted in steps.
        """
        check_epochs(self.epochs)
        cut_data(self.snapshot, {})
        self.seed_all()
        fitted = self.make_estimator()
        x, y = _pair(self.get_training_data(), "get_training_data")
        validation = self.get_validation_data()
        for number in range(1, self.epochs + 1):
            self.fit(fitted, x, y, number)
            self.estimator = fitted
            self.store_epoch(number, self.measure(x, y), self.validate(validation))
        self.save_model()

    def seed_all(self) -> None:
        """Choose and record the seed, and begin all random numbers with it."""
        seed = choose_seed(self.seed)
        set_seed(seed)
        record_seed(self.snapshot, seed)
        self.record.parameters({"seed": seed})
        self._seed = seed

    def make_estimator(self) -> Any:
        """Return an unfitted copy of the estimator, with the seed in each `random_state` that is None.

        Raises:
            UsageError: There are several epochs, and it cannot be fitted in steps; or it cannot be kept.
        """
        if self.epochs > 1 and not hasattr(self._given, "partial_fit"):
            name = type(self._given).__name__
            problem = f"{name} has no partial_fit and cannot be trained in {self.epochs} epochs"
            raise UsageError(problem, hint="leave epochs at 1")
        made = clone(self._given)
        if isinstance(self.snapshot, DataFolder):
            self._dump(made)  # before the work, not after it
        free = {name for name, value in made.get_params().items() if value is None}
        return made.set_params(**{n: self._seed for n in free if n.rpartition("__")[2] == "random_state"})

    def fit(self, estimator: Any, x: Any, y: Any, epoch: int) -> None:
        """Fit the estimator to the training data; called once in each epoch, whose first one is 1."""
        if self.epochs == 1:
            estimator.fit(x, y)
        elif epoch == 1 and is_classifier(estimator):
            estimator.partial_fit(x, y, classes=np.unique(y))
        else:
            estimator.partial_fit(x, y)

    def store_epoch(self, number: int, training: Mapping[str, float], validation: Mapping[str, float]) -> None:
        """Keep what was measured after an epoch; its number begins with 1."""
        loss = getattr(self.estimator, "loss_", None)
        training = {"loss": float(loss), **training} if isinstance(loss, float) else training
        logger = Logger()
        logger.log(training)
        logger.store_train(self.snapshot)
        if validation:
            with self.snapshot.val_storage() as storage:
                for name, value in {"epoch": number, **validation}.items():
                    storage.append(name, value)
        told = {**training, **{f"val_{name}": value for name, value in validation.items()}}
        self.record.epoch(number, self.epochs, told)

    def validate(self, data: Pair | None) -> dict[str, float]:
        """Return each metric of the model on the data of validation, if there are any."""
        return {} if data is None else self.measure(*_pair(data, "get_validation_data"))

    # Testing.

    def test(self) -> None:
        """Measure the model on the testing data, and store that."""
        values = self.measure(*_pair(self.get_testing_data(), "get_testing_data"))
        logger = Logger()
        logger.log(values)
        logger.store_test(self.snapshot, store_raw=False)
        self.record.tested(values)

    def measure(self, x: Any, y: Any) -> dict[str, float]:
        """Return each metric of the model on these samples."""
        answers = self.predict(x)
        return {name: _number(name, f(y, answers)) for name, f in by_name(self.get_metric(), "metric").items()}

    # New samples.

    def predict(self, batch: Any) -> NDArray[Any]:
        """Return the model's answers for samples `(n, ...)`.

        Raises:
            RefusedError: It is not fitted.
        """
        try:
            check_is_fitted(self.estimator)
        except NotFittedError as error:
            name = type(self.estimator).__name__
            raise RefusedError(f"{name} is not fitted", hint="train it, or load a model") from error
        try:
            return np.asarray(self.estimator.predict(batch))
        except ValueError as error:  # as NaN, to an estimator that takes none
            reason = str(error).partition("\n")[0]
            raise InvalidParameterError(f"the samples cannot be used ({reason})", where="inputs") from error

    def describe_input(self) -> Mapping[str, Any]:
        """Return what `predict` expects: the number of features, if the model knows it."""
        features = getattr(self.estimator, "n_features_in_", None)
        return {"sample_shape": None if features is None else (int(features),), "dtype": "float64"}

    def eval_path(self, input_path: Path, output_path: Path) -> None:
        """Evaluate the model on a file, and write its answers to another."""
        self.store_result(self.eval(self.load_sample(input_path)), output_path)

    def check_files(self, input_path: Path, output_path: Path) -> None:
        """Check the files, and their kinds unless the task reads or writes them in a way of its own."""
        super().check_files(input_path, output_path)
        check_kinds(self, SklearnTask, input_path, output_path)

    def load_sample(self, path: Path) -> Any:
        """Read samples `(n, ...)` from a file; by default from `npz` or `csv`."""
        return read_samples(Path(path))

    def eval(self, sample: Any) -> Any:
        """Return the result for samples `(n, ...)`; by default the model's answers."""
        return self.predict(sample)

    def store_result(self, result: Any, path: Path) -> None:
        """Write a result to a file; by default as `npz` or `csv`."""
        write_result(result, Path(path))

    # Model files.

    def save_model(self, filename: str = "final.skops") -> None:
        """Save the model in the snapshot's folder; in memory, nothing is saved.

        Raises:
            RefusedError: It cannot be written.
            UsageError: The file would not be a skops file, or holds types that would not be loaded.
        """
        if Path(filename).suffix != ".skops":
            raise UsageError(f"{filename!r} is no skops file", hint="name it such as 'final.skops'")
        if isinstance(self.snapshot, DataFolder):
            ModelFiles(self.snapshot).save(filename, self._dump(self.estimator))

    def load_model(self, filename: str | None = None) -> None:
        """Load the named model, by default the newest one.

        Raises:
            RefusedError: There is none, it is not what was saved, or it holds types that are not trusted.
        """
        path, content = ModelFiles(self.models).read(filename)
        try:
            self.estimator = self._load(content)
        except Exception as error:  # what a foreign format can raise, nobody lists
            reason = str(error) if isinstance(error, RefusedError) else f"{type(error).__name__}: {error}"
            raise RefusedError(f"the model file {str(path)!r} cannot be loaded ({reason})") from error

    def _load(self, content: bytes) -> Any:
        """Load a skops file; in a past version, the types of its own code are those of that version."""
        version = version_of(self)
        if version is None:
            return _skops.load(content, self.trusted_types)
        trusted = [_in_version(version, name) for name in self.trusted_types]
        with version.visible():
            return _skops.load(_skops.renamed(content, version.full_name), trusted)

    def _dump(self, estimator: Any) -> bytes:
        """Return a skops file that names types as the task's own code does."""
        version = version_of(self)
        if version is None:
            return _skops.dump(estimator, self.trusted_types)
        with version.visible():
            content = _skops.dump(estimator, [_in_version(version, name) for name in self.trusted_types])
        return _skops.renamed(content, version.plain_name)

    def parameters(self) -> Mapping[str, Any]:
        """Return what to record of the settings: the estimator, and the number of epochs."""
        name = type(self._given).__name__
        return {"estimator": name, "epochs": self.epochs, "scikit_learn": sklearn.__version__}


def _in_version(version: Modules, name: str) -> str:
    """Return the full name of a type such as `my_module.MyTransformer`: of a past version, or installed."""
    module, _, kind = name.rpartition(".")
    if full := version.full_name(module):
        version.load(full)
    return f"{full or module}.{kind}"


def _number(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        problem = f"the metric {name} returned a {type(value).__name__} and not a number"
        raise UsageError(problem, hint="return one number, or give several metrics by name") from error


def _pair(data: Any, method: str) -> Pair:
    if not isinstance(data, tuple | list) or len(data) != 2:
        raise UsageError(f"{method} returned a {type(data).__name__}", hint="return (x, y): samples and targets")
    x, y = data
    for each in (x, y):
        if not hasattr(each, "__len__"):
            raise UsageError(f"{method} returned a {type(each).__name__} among (x, y)", hint="return arrays or lists")
    return x, y
