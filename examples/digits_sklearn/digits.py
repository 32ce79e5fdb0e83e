"""Handwritten digits with scikit-learn: trained, tested, evaluated and served by one script."""

from __future__ import annotations

from typing import Any

from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

from dioptra.learning import SklearnTask


class Digits(SklearnTask):
    """Tell handwritten digits apart with a small network of scikit-learn's."""

    epochs = 20
    seed = 7

    def get_training_data(self) -> Any:
        """Return two thirds of the 1,797 images: (n, 64) float64 in [0, 16], and their digits."""
        return self.load()[0]

    def get_testing_data(self) -> Any:
        """Return the other third."""
        return self.load()[1]

    def load(self) -> Any:
        """Split the images in the same way each time."""
        x, y = load_digits(return_X_y=True)
        x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=1 / 3, stratify=y, random_state=0)
        return (x_train, y_train), (x_test, y_test)


task = Digits(MLPClassifier(32, learning_rate_init=0.01))
task.main()
