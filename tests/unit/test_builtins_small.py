"""Random numbers, classifiers, folders and archives, plots: the task plugins that need no store."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dioptra.errors import ArchiveError, BaseTaskPluginError
from dioptra_builtins.artifacts.utils import extract_tarfile, extract_tarfile_in_unique_subdir, make_directories
from dioptra_builtins.data.digits import load_digits
from dioptra_builtins.estimators.sklearn import fit, init_classifier, predict
from dioptra_builtins.metrics.performance import get_performance_metric_list
from dioptra_builtins.plots.robustness import plot_gallery, plot_security_curve
from dioptra_builtins.random.rng import init_rng
from dioptra_builtins.random.sample import draw_random_integer, draw_random_integers


def test_a_seed_gives_the_same_numbers_again() -> None:
    (seed, first), (_, second), (_, other) = init_rng(7), init_rng(7), init_rng(8)

    numbers = first.random(3).tolist()
    assert seed == 7
    assert numbers == second.random(3).tolist()
    assert numbers != other.random(3).tolist()


def test_a_negative_seed_is_drawn_and_can_be_given_again() -> None:
    (seed, rng), (other_seed, _) = init_rng(), init_rng(-5)

    assert 2**64 < max(seed, other_seed) < 2**128
    assert seed != other_seed
    assert init_rng(seed)[1].random() == rng.random()


def test_integers_are_drawn_within_their_bounds() -> None:
    _, rng = init_rng(0)

    assert {draw_random_integer(rng, low=3, high=5) for _ in range(50)} == {3, 4}
    assert type(draw_random_integer(rng)) is int
    assert max(draw_random_integer(rng) for _ in range(50)) > 2**28
    drawn = draw_random_integers(rng, low=-2, high=0, size=(20, 5))
    assert drawn.shape == (20, 5)
    assert set(drawn.ravel().tolist()) == {-2, -1}
    assert draw_random_integers(rng).shape == ()


@pytest.mark.parametrize("name", ["logistic_regression", "linear_svc", "svc"])
def test_classifiers_learn_digits(name: str) -> None:
    x, y = load_digits("training")
    estimator = init_classifier(name, seed=3)
    fitted = fit(estimator, x[:300], y[:300])

    assert np.mean(predict(fitted, x[300:500]) == y[300:500]) > 0.8


def test_arguments_reach_the_classifier_and_its_fit() -> None:
    x, y = load_digits("training")
    estimator = init_classifier(seed=5, classifier_kwargs={"C": 0.25, "max_iter": 200})
    weights = np.where(y[:200] == 3, 0.0, 1.0)

    assert (estimator.random_state, estimator.C, estimator.max_iter) == (5, 0.25, 200)
    assert 3 not in predict(fit(estimator, x[:200], y[:200], fit_kwargs={"sample_weight": weights}), x[:200])


def test_probabilities_are_given_where_there_are_some() -> None:
    x, y = load_digits("training")
    fitted = fit(init_classifier(), x[:200], y[:200])

    probabilities = predict(fitted, x[:50], pred_type="prob")
    assert probabilities.shape == (50, 10)
    assert probabilities.sum(axis=1) == pytest.approx(np.ones(50))
    assert np.array_equal(probabilities.argmax(axis=1), predict(fitted, x[:50]))
    with pytest.raises(BaseTaskPluginError, match="no type of prediction 'logit'; have: label, prob"):
        predict(fitted, x[:50], pred_type="logit")
    with pytest.raises(BaseTaskPluginError, match="a LinearSVC gives no probabilities"):
        predict(fit(init_classifier("linear_svc"), x[:200], y[:200]), x[:50], pred_type="prob")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"classifier": "le_net"}, "no classifier 'le_net'; have: linear_svc, logistic_regression, svc"),
        ({"classifier_kwargs": {"depth": 3}}, "classifier 'logistic_regression': .*'depth'"),
    ],
)
def test_a_classifier_that_cannot_be_made_is_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(BaseTaskPluginError, match=message):
        init_classifier(**arguments)


def test_folders_are_made_with_those_above_and_may_exist(tmp_path: Path) -> None:
    for _ in range(2):
        make_directories(dirs=[tmp_path / "a" / "b", str(tmp_path / "c")])

    assert (tmp_path / "a" / "b").is_dir()
    assert (tmp_path / "c").is_dir()


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    (tmp_path / "source" / "0").mkdir(parents=True)
    (tmp_path / "source" / "0" / "model.pth").write_bytes(b"weights")
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as file:
        file.add(tmp_path / "source", arcname="images")
    return tmp_path / "a.tar.gz"


def test_an_archive_is_unpacked_where_it_is_asked_for(
    tmp_path: Path, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIOPTRA_OUTPUT_DIR", str(tmp_path / "out"))

    assert extract_tarfile(str(archive), output_dir=tmp_path / "there") == tmp_path / "there"
    assert extract_tarfile(archive) == tmp_path / "out"
    for folder in ("there", "out"):
        assert (tmp_path / folder / "images" / "0" / "model.pth").read_bytes() == b"weights"


def test_each_unique_folder_is_another_one(tmp_path: Path, archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIOPTRA_OUTPUT_DIR", str(tmp_path / "out"))
    first, second = (extract_tarfile_in_unique_subdir(archive) for _ in range(2))

    assert first != second
    assert {first.parent, second.parent} == {tmp_path / "out"}
    assert (second / "images" / "0" / "model.pth").is_file()


def test_an_archive_that_leads_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "evil").write_text("x")
    with tarfile.open(tmp_path / "a.tar", "w") as file:
        file.add(tmp_path / "evil", arcname="../evil2")

    with pytest.raises(ArchiveError, match=r"'\.\./evil2' leaves the folder"):
        extract_tarfile(tmp_path / "a.tar", tarball_read_mode="r:", output_dir=tmp_path / "out")
    assert not (tmp_path / "evil2").exists()


POINTS = [{"epsilon": eps, "clean_accuracy": 0.9, "robust_accuracy": 0.9 - eps, "samples": 100} for eps in (0, 0.1)]


@pytest.mark.parametrize(("name", "start"), [("curve.svg", b"<?xml"), ("curve.PNG", b"\x89PNG")])
def test_plots_are_written_in_the_format_of_their_name(tmp_path: Path, name: str, start: bytes) -> None:
    x = np.zeros((4, 8, 8, 1))
    curve = plot_security_curve(points=POINTS, file_name=name, working_dir=tmp_path)
    gallery = plot_gallery(x, x + 0.1, np.array([0, 1, 1, 0]), 0.1, file_name=f"g-{name}", working_dir=tmp_path)

    assert curve == tmp_path / name
    assert curve.read_bytes().startswith(start)
    assert gallery.read_bytes().startswith(start)


def test_plots_that_cannot_be_drawn_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BaseTaskPluginError, match=r"'curve\.pdf' does not end in a format for pictures; have: \.png"):
        plot_security_curve(points=POINTS, file_name="curve.pdf", working_dir=tmp_path)
    with pytest.raises(BaseTaskPluginError, match="lacks 'samples'"):
        plot_security_curve(points=[{"epsilon": 0, "clean_accuracy": 1, "robust_accuracy": 1}], working_dir=tmp_path)


@pytest.mark.parametrize("seed", [None, "x", 1.5j])
def test_a_seed_that_is_no_number_is_one_sentence(seed: Any) -> None:
    with pytest.raises(BaseTaskPluginError, match="seed must be a whole number, got .*; -1 draws one"):
        init_rng(seed)


def test_a_seed_may_be_text() -> None:
    assert init_rng("3")[0] == 3  # type: ignore[arg-type]


def test_a_request_that_lacks_a_name_is_one_sentence() -> None:
    with pytest.raises(BaseTaskPluginError, match=r"\{'name': 'x'\} does not ask for a performance metric; write"):
        get_performance_metric_list([{"name": "x"}])
