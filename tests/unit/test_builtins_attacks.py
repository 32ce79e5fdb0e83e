"""The fast gradient method: what it does to images, and what it refuses."""

from __future__ import annotations

import logging
import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dioptra.errors import BaseTaskPluginError
from dioptra_builtins.attacks.fgm import create_adversarial_images
from dioptra_builtins.data.digits import load_digits
from dioptra_builtins.estimators.sklearn import fit, init_classifier, predict

Images = NDArray[Any]


@pytest.fixture(scope="module")
def classifier() -> Any:
    return fit(init_classifier(seed=1), *load_digits("training"))


@pytest.fixture(scope="module")
def images() -> tuple[Images, NDArray[np.int64]]:
    x, y = load_digits("testing")
    return x[:101], y[:101]  # an odd last batch with every usual batch size


def accuracy(classifier: Any, x: Images, y: NDArray[Any]) -> float:
    return float(np.mean(predict(classifier, x) == y))


def lengths(x_adv: Images, x: Images, norm: float) -> NDArray[Any]:
    return np.asarray(np.linalg.norm((x_adv - x).reshape(len(x), -1).astype(np.float64), ord=norm, axis=1))


def test_accuracy_falls_with_epsilon_to_nothing(classifier: Any, images: tuple[Images, NDArray[Any]]) -> None:
    x, y = images
    accuracies = [
        accuracy(classifier, create_adversarial_images(classifier, x, y, eps=e), y) for e in (0, 0.1, 0.2, 0.3)
    ]

    assert accuracies[0] > 0.9
    assert accuracies == sorted(accuracies, reverse=True)
    assert accuracies[1] < accuracies[0] - 0.1
    assert accuracies[3] < 0.1


@pytest.mark.parametrize(("norm", "order"), [(np.inf, np.inf), ("inf", np.inf), (2, 2), ("2", 2), (1, 1), ("1", 1)])
def test_the_change_is_as_long_as_epsilon_in_its_norm(
    classifier: Any, images: tuple[Images, NDArray[Any]], norm: float | str, order: float
) -> None:
    x, y = images
    x_adv = create_adversarial_images(classifier, x, y, eps=0.5, norm=norm)

    changes = lengths(x_adv, x, order)
    assert changes.max() == pytest.approx(0.5, abs=1e-5)
    assert changes.mean() > 0.2, "clipping takes some, not most of it"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_shape_type_and_range_stay_and_the_given_images_too(
    classifier: Any, images: tuple[Images, NDArray[Any]], dtype: type
) -> None:
    x: Images = images[0].astype(dtype)
    before = x.copy()
    x_adv = create_adversarial_images(classifier, x, images[1], eps=0.9)

    assert (x_adv.shape, x_adv.dtype) == (x.shape, np.dtype(dtype))
    assert x_adv.min() == 0
    assert x_adv.max() == 1
    assert np.array_equal(x, before)


@pytest.mark.parametrize("eps", [0, 0.0, -0.0])
def test_epsilon_0_gives_the_images_unchanged_in_an_array_of_their_own(
    classifier: Any, images: tuple[Images, NDArray[Any]], eps: float
) -> None:
    x_adv = create_adversarial_images(classifier, images[0], images[1], eps=eps)

    assert np.array_equal(x_adv, images[0])
    assert not np.shares_memory(x_adv, images[0])


@pytest.mark.parametrize("batch_size", [1, 32, 100, 101, 1000])
def test_every_image_is_attacked_whatever_the_batch(
    classifier: Any, images: tuple[Images, NDArray[Any]], batch_size: int
) -> None:
    whole = create_adversarial_images(classifier, *images, eps=0.2, batch_size=101)
    x_adv = create_adversarial_images(classifier, *images, eps=0.2, batch_size=batch_size)

    assert x_adv == pytest.approx(whole, abs=1e-6)
    assert (lengths(x_adv, images[0], np.inf) > 0.1).all()


def test_no_images_give_no_images(classifier: Any, images: tuple[Images, NDArray[Any]]) -> None:
    assert create_adversarial_images(classifier, images[0][:0], images[1][:0]).shape == (0, 8, 8, 1)


def test_without_labels_the_predictions_are_attacked(classifier: Any, images: tuple[Images, NDArray[Any]]) -> None:
    x, _ = images
    said = predict(classifier, x)

    assert np.array_equal(
        create_adversarial_images(classifier, x, eps=0.2), create_adversarial_images(classifier, x, said, eps=0.2)
    )


def test_a_targeted_attack_makes_the_classifier_say_the_target(
    classifier: Any, images: tuple[Images, NDArray[Any]]
) -> None:
    x, y = images
    target = (y + 1) % 10
    x_adv = create_adversarial_images(classifier, x, target, eps=0.2, targeted=True)

    assert accuracy(classifier, x_adv, target) > accuracy(classifier, x, target) + 0.3


def test_the_minimal_attack_moves_images_less_and_fools_as_many(
    classifier: Any, images: tuple[Images, NDArray[Any]]
) -> None:
    x, y = images
    full = create_adversarial_images(classifier, x, y, eps=0.3)
    minimal = create_adversarial_images(classifier, x, y, eps=0.3, eps_step=0.05, minimal=True)

    assert lengths(minimal, x, np.inf).mean() < 0.2 < lengths(full, x, np.inf).mean()
    assert accuracy(classifier, minimal, y) <= accuracy(classifier, full, y) + 0.02


@pytest.mark.parametrize("name", ["linear_svc", "svc"])
def test_other_classifiers_with_a_gradient_are_fooled_too(name: str, images: tuple[Images, NDArray[Any]]) -> None:
    x, y = load_digits("training")
    classifier = fit(init_classifier(name, seed=1), x[:200], y[:200])
    few, labels = images[0][:20], images[1][:20]

    assert accuracy(classifier, few, labels) > 0.6
    assert accuracy(classifier, create_adversarial_images(classifier, few, labels, eps=0.4), labels) < 0.3


def test_a_classifier_without_a_gradient_is_named(images: tuple[Images, NDArray[Any]]) -> None:
    from sklearn.tree import DecisionTreeClassifier

    tree = DecisionTreeClassifier(random_state=0).fit(images[0].reshape(101, -1), images[1])

    with pytest.raises(BaseTaskPluginError, match="a DecisionTreeClassifier has no gradient to follow; use"):
        create_adversarial_images(tree, *images)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"eps": -0.1}, "eps must be a number of at least 0, got -0.1"),
        ({"eps": math.nan}, "eps must be a number of at least 0, got nan"),
        ({"eps": math.inf}, "eps must be a number of at least 0, got inf"),
        ({"eps_step": 0}, "eps_step must be a number above 0, got 0"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"norm": 3}, "norm must be inf, 1 or 2, got 3"),
        ({"norm": "l2"}, "norm must be inf, 1 or 2, got l2"),
        ({"norm": "nan"}, "norm must be inf, 1 or 2, got nan"),
        ({"targeted": True, "y": None}, "a targeted attack needs y"),
        ({"y": np.arange(3)}, r"y must be 101 whole numbers.*got int64 \(3,\)"),
        ({"y": np.full(101, 10)}, "y must lie between 0 and 9, got 10 to 10"),
        ({"y": np.full(101, -1)}, "y must lie between 0 and 9, got -1 to -1"),
        ({"y": np.full(101, 0.5)}, "y must be 101 whole numbers"),
    ],
)
def test_an_argument_out_of_its_range_is_named_with_its_value(
    classifier: Any, images: tuple[Images, NDArray[Any]], arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(BaseTaskPluginError, match=message):
        create_adversarial_images(**{"classifier": classifier, "x": images[0], "y": images[1]} | arguments)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x + 0.5, r"x must lie in \[0, 1\], got 0.5 to 1.5"),
        (lambda x: x - 1, r"x must lie in \[0, 1\], got -1 to 0"),
        (lambda x: np.where(x > 0.9, np.nan, x), "x holds NaN"),
        (lambda x: (255 * x).astype(np.uint8), "floating point numbers, got uint8; scale"),
        (lambda x: x.tolist(), "floating point numbers, got list"),
    ],
)
def test_images_that_are_none_are_refused(
    classifier: Any, images: tuple[Images, NDArray[Any]], change: Any, message: str
) -> None:
    with pytest.raises(BaseTaskPluginError, match=message):
        create_adversarial_images(classifier, change(images[0]), images[1])


def test_the_log_does_not_say_that_the_attack_failed(
    classifier: Any, images: tuple[Images, NDArray[Any]], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        create_adversarial_images(classifier, *images, eps=0.3)

    assert "Success rate" not in caplog.text
    assert logging.getLogger("art.attacks.evasion.fast_gradient").level == logging.NOTSET
