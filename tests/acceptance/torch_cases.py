"""What holds of a torch task; run by test_learning_torch.py in an environment that has torch."""

from __future__ import annotations

import json
import math
import os
import pickle
import random
import re
import zipfile
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from dioptra.errors import DioptraError, InvalidParameterError, RefusedError, UsageError
from dioptra.experiment import DataFolder, DummySnapshot
from dioptra.learning import ModelFiles, PytorchTask, Task
from dioptra.learning._model_files import MANIFEST_FILE
from dioptra.learning._torch_means import Means

torch.set_num_threads(1)

X, Y = load_digits(return_X_y=True)
INPUTS, TARGETS = torch.tensor(X, dtype=torch.float32) / 16, torch.tensor(Y)


def make() -> nn.Module:
    return nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Dropout(0.2), nn.Linear(32, 10))


def accuracy(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return (outputs.argmax(1) == targets).float().mean()


class Digits(PytorchTask):
    """A small classifier of digits, with dropout and a loader that shuffles."""

    epochs = 3
    seed = 7
    checkpoint_every = 1

    def get_training_data(self) -> Any:
        return DataLoader(TensorDataset(INPUTS[:600], TARGETS[:600]), batch_size=64, shuffle=True)

    def get_criterion(self) -> Any:
        return nn.CrossEntropyLoss()

    def get_optimizer(self) -> Any:
        return torch.optim.Adam(self.model.parameters(), lr=0.005)

    def get_testing_data(self) -> Any:
        return DataLoader(TensorDataset(INPUTS[600:], TARGETS[600:]), batch_size=256)

    def get_metric(self) -> Any:
        return accuracy


class Told:
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.epochs: list[tuple[int, int, dict[str, float]]] = []
        self.shown: list[tuple[int, int, float, dict[str, float]]] = []
        self.settings: dict[str, Any] = {}
        self.results: list[dict[str, float]] = []

    def parameters(self, values: Mapping[str, Any]) -> None:
        self.settings.update(values)

    def epoch(self, number: int, total: int, values: Mapping[str, float]) -> None:
        self.epochs.append((number, total, dict(values)))

    def progress(self, number: int, total: int, share: float, values: Mapping[str, float]) -> None:
        self.shown.append((number, total, share, dict(values)))

    def tested(self, values: Mapping[str, float]) -> None:
        self.results.append(dict(values))


def digits(kind: type[Digits] = Digits, folder: Path | None = None, **changes: Any) -> Digits:
    """Return a task; each change replaces an attribute or, as a function, a method."""
    task = kind(changes.pop("model", make))
    for name, value in changes.items():
        setattr(task, name, value)
    if folder:
        folder.mkdir(exist_ok=True)
        task.snapshot = DataFolder(folder)
    return task


def trained(kind: type[Digits] = Digits, folder: Path | None = None, **changes: Any) -> Digits:
    task = digits(kind, folder, **changes)
    task.train()
    return task


def weights(task: PytorchTask) -> list[Any]:
    return [value.tolist() for value in task.model.state_dict().values()]


def result(task: PytorchTask) -> Any:
    return weights(task), dict(task.snapshot.train_data), dict(task.snapshot.val_data)


# Training and testing.


def test_it_learns_and_keeps_what_it_measured() -> None:
    task = trained()
    task.test()

    losses = task.snapshot.train_data["loss"]
    assert len(losses) == 3
    assert losses[0] > losses[1] > losses[2] > 0
    assert task.snapshot.val_data["epoch"] == [1, 2, 3]
    measured = float(accuracy(task.model(INPUTS[600:]), TARGETS[600:]))
    assert measured > 0.6
    assert task.snapshot.test_data["accuracy"] == pytest.approx(measured)
    assert task.snapshot.val_data["accuracy"][-1] == pytest.approx(measured)
    assert len(task.snapshot.test_data["accuracy_data"]) == math.ceil(1197 / 256)
    assert Task is PytorchTask


def test_it_is_the_loop_that_one_writes_by_hand() -> None:
    torch.manual_seed(7)
    model = make()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.005)
    loader = digits().get_training_data()
    losses = []
    for _ in range(3):
        model.train()
        found = []
        for inputs, targets in loader:
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(inputs), targets)
            loss.backward()
            optimizer.step()
            found.append(loss.item())
        losses.append(math.fsum(found) / len(found))

    task = trained(get_validation_data=lambda: None)

    assert weights(task) == [value.tolist() for value in model.state_dict().values()]
    assert task.snapshot.train_data["loss"] == pytest.approx(losses, rel=1e-12)
    assert dict(task.snapshot.val_data) == {}


def test_every_step_can_be_replaced() -> None:
    called: list[str] = []
    iteration = ["epoch", "iteration", "prepare_train", "forward_train", "backward", "step"]
    testing = ["test_on", "single_test", "prepare_test", "forward_test", "evaluate_metrics"]
    steps = [*iteration, "end_epoch", "validate", *testing, "after_epoch"]

    def recorded(name: str) -> Callable[..., Any]:
        def step(self: Any, *args: Any) -> Any:
            called.append(name)
            return getattr(Digits, name)(self, *args)

        return step

    recording = type("Recording", (Digits,), {name: recorded(name) for name in steps})
    batch = [(INPUTS[:8], TARGETS[:8])]
    trained(recording, epochs=1, get_training_data=lambda: batch, get_testing_data=lambda: batch)

    assert called == steps


def test_losses_and_metrics_have_names() -> None:
    task = trained(
        get_criterion=lambda: {
            "far": nn.CrossEntropyLoss(),
            "flat": lambda outputs, targets: 0.01 * outputs.square().mean(),
        },
        get_metric=lambda: {"right": accuracy, "wrong": lambda outputs, targets: 1 - accuracy(outputs, targets)},
    )
    data = task.snapshot.train_data
    assert sorted(data) == ["far", "flat", "loss"]
    for total, far, flat in zip(data["loss"], data["far"], data["flat"], strict=True):
        assert total == pytest.approx(far + flat)
        assert flat > 0
    assert [
        right + wrong for right, wrong in zip(*map(task.snapshot.val_data.get, ("right", "wrong")), strict=True)
    ] == (pytest.approx([1, 1, 1]))


def test_a_loss_of_several_counts_in_the_gradient() -> None:
    def huge(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return 100 * outputs.square().mean()

    task = trained(get_criterion=lambda: {"far": nn.CrossEntropyLoss(), "flat": huge})
    assert task.model(INPUTS).abs().mean() < 0.2


def test_small_batches_weigh_less() -> None:
    data = [(INPUTS[:90], TARGETS[:90]), (INPUTS[90:91], TARGETS[90:91])]
    task = digits(model=make())
    found = task.test_on(data)
    assert found["accuracy"] == pytest.approx(float(accuracy(task.model(INPUTS[:91]), TARGETS[:91])))
    assert dict(task.snapshot.test_data) == {}


def test_testing_changes_nothing_and_draws_nothing() -> None:
    task = trained()
    before, state = weights(task), torch.get_rng_state()
    task.get_testing_data = lambda: [(INPUTS[600:], TARGETS[600:])]  # type: ignore[method-assign]
    task.test()
    first = task.snapshot.test_data["accuracy"]
    task.test()
    assert task.snapshot.test_data["accuracy"] == first
    assert weights(task) == before
    assert torch.equal(torch.get_rng_state(), state)


def test_validation_can_be_seldom_or_never() -> None:
    assert trained(epochs=5, validate_every=2).snapshot.val_data["epoch"] == [2, 4, 5]
    asked: list[str] = []
    task = trained(validate_every=0, get_validation_data=lambda: asked.append("data"))
    assert dict(task.snapshot.val_data) == {}
    assert asked == []


def test_something_can_be_done_every_n_epochs() -> None:
    seen: list[tuple[str, int]] = []

    class Noting(Digits):
        epochs = 7
        validate_every = 0

        def after_epoch(self, losses: Mapping[str, float]) -> None:
            assert list(losses) == ["loss"]
            self.every_n_epochs(3, lambda: seen.append(("three", self.current_epoch)))
            self.every_n_epochs(3, lambda: seen.append(("all", self.current_epoch)), skip_zero=False)

    trained(Noting)
    assert [epoch for name, epoch in seen if name == "three"] == [3, 6]
    assert [epoch for name, epoch in seen if name == "all"] == [0, 3, 6]


def test_the_learning_rate_follows_its_schedule() -> None:
    task = trained(get_scheduler=lambda optimizer: torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5))
    assert task.snapshot.train_data["lr"] == [0.005, 0.0025, 0.00125]
    assert task.optimizer.param_groups[0]["lr"] == 0.000625

    settings = {"patience": 0, "threshold": 10.0, "threshold_mode": "abs", "factor": 0.1}
    task = trained(get_scheduler=lambda optimizer: torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, **settings))
    assert task.snapshot.train_data["lr"] == pytest.approx([0.005, 0.005, 0.0005])

    seen: list[float] = []

    class Seeing(torch.optim.lr_scheduler.ReduceLROnPlateau):  # type: ignore[misc]
        def step(self, metrics: float) -> None:
            seen.append(metrics)

    task = trained(get_scheduler=Seeing, get_metric=lambda: {"loss": nn.functional.cross_entropy})
    assert seen == task.snapshot.val_data["loss"]


def test_the_record_is_told() -> None:
    told = Told()
    task = trained(record=told)
    task.test()

    assert told.settings == {"seed": 7}
    assert [entry[:2] for entry in told.epochs] == [(1, 3), (2, 3), (3, 3)]
    assert [entry[2]["loss"] for entry in told.epochs] == task.snapshot.train_data["loss"]
    assert [entry[2]["val_accuracy"] for entry in told.epochs] == task.snapshot.val_data["accuracy"]
    assert told.results == [{"accuracy": task.snapshot.test_data["accuracy"]}]
    assert dict(task.parameters()) == {"epochs": 3, "device": "cpu", "torch": torch.__version__}


def test_progress_is_told_ten_times_a_second_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    told, clock = Told(), [0.0]
    monkeypatch.setattr("dioptra.learning._torch_training.time.monotonic", lambda: clock[0])

    class Slow(Digits):
        epochs = 1
        validate_every = 0

        def iteration(self, sample: Any) -> Any:
            clock[0] += 0.03
            return super().iteration(sample)

    trained(Slow, record=told)

    assert [round(share * 10, 6) for _, _, share, _ in told.shown] == [4, 8]
    assert [entry[:2] for entry in told.shown] == [(1, 1)] * 2
    assert all(0 < entry[3]["loss"] < 5 for entry in told.shown)


def test_progress_of_data_that_do_not_say_how_many_they_are() -> None:
    class Endless:
        def __iter__(self) -> Any:
            return iter([(INPUTS[:8], TARGETS[:8])] * 3)

    told = Told()
    assert len(trained(record=told, get_training_data=Endless).snapshot.train_data["loss"]) == 3


def test_a_gpu_is_not_asked_for_each_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[torch.Tensor] = []
    item = torch.Tensor.item

    def ask(tensor: torch.Tensor) -> Any:
        asked.append(tensor)
        return item(tensor)

    monkeypatch.setattr(torch.Tensor, "item", ask)
    monkeypatch.setattr(torch.Tensor, "__float__", ask)
    means = Means(on_cpu=False)
    for number in range(1000):
        means.add({"loss": torch.tensor(float(number), requires_grad=True), "own": 0.5})
    assert asked == []
    assert means.result() == {"loss": 499.5, "own": 0.5}
    assert len(asked) == 1
    assert not means._sums["loss"].requires_grad


# Wrong use.


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"epochs": 0}, "epochs is 0; give a whole number from 1"),
        ({"seed": -1}, "-1 is no seed"),
        ({"get_training_data": list}, "there are no training data in epoch 1"),
        ({"get_training_data": lambda: iter([(INPUTS[:8], TARGETS[:8])])}, "there are no training data in epoch 2"),
        ({"get_testing_data": list}, "there are no testing data"),
        ({"get_training_data": lambda: [INPUTS[:8]]}, "a batch is a Tensor and not a pair of input and target"),
        ({"get_testing_data": lambda: [(INPUTS, TARGETS, 0)]}, "a batch is a tuple and not a pair"),
        ({"get_criterion": lambda: None}, "None is no loss; give a function"),
        ({"get_metric": dict}, "{} is no metric"),
        ({"model": lambda: 5}, "made a int; make a torch module"),
        ({"get_metric": lambda: lambda outputs, targets: outputs}, "'metric' was given a Tensor of shape"),
    ],
)
def test_what_cannot_be_trained_with_is_said(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError) as caught:
        trained(**changes)
    assert sentence in str(caught.value)


def test_what_a_script_must_write_is_said() -> None:
    with pytest.raises(UsageError, match="PytorchTask has no method get_criterion"):
        PytorchTask(make).train()
    with pytest.raises(UsageError, match="5 is no model"):
        PytorchTask(5)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is one here")
@pytest.mark.parametrize("name", ["cuda", "cuda:1", "gpu", "mps", "meta", None])
def test_a_device_that_is_not_there_is_said(name: str | None) -> None:
    with pytest.raises(RefusedError, match=rf"the device '{name}' cannot be used .*; choose 'auto' or 'cpu'") as caught:
        trained(device=name)
    assert len(str(caught.value)) < 300


def test_the_device_is_chosen_and_everything_goes_there(monkeypatch: pytest.MonkeyPatch) -> None:
    task = trained()
    best = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    assert str(task.device) == best
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch, "zeros", lambda *shape, device: INPUTS[0, 0])
    other = digits()
    other.choose_device()
    assert other.device == torch.device("cuda")

    meta = digits(device="meta")
    monkeypatch.undo()
    inputs, targets = meta.prepare_train(({"a": [INPUTS]}, TARGETS))
    assert (inputs["a"][0].device.type, targets.device.type) == ("meta", "meta")


# Seeds.


def test_the_same_seed_gives_the_same_result() -> None:
    assert result(trained()) == result(trained())
    assert weights(trained()) != weights(trained(seed=8))


def test_a_seed_that_is_not_given_is_drawn_and_recorded() -> None:
    told = Told()
    first, second = trained(seed=None, record=told), trained(seed=None)
    seed = first.snapshot.custom_data["seed"]
    assert seed == told.settings["seed"]
    assert seed != second.snapshot.custom_data["seed"]
    assert weights(first) != weights(second)
    assert result(trained(seed=seed)) == result(first)


def test_the_seed_sets_all_random_numbers_before_anything_is_made() -> None:
    drawn = []

    def model() -> nn.Module:
        drawn.append((random.random(), float(np.random.rand()), float(torch.rand(()))))  # noqa: S311
        return make()

    for seed in (7, 7, 8):
        random.seed()
        trained(seed=seed, model=model, epochs=1)
    assert drawn[0] == drawn[1]
    assert all(a != b for a, b in zip(drawn[1], drawn[2], strict=True))


def test_a_model_that_is_given_is_trained_as_it_is() -> None:
    model = make()
    before = [value.clone() for value in model.state_dict().values()]
    task = digits(model=model, get_optimizer=lambda: torch.optim.SGD(model.parameters(), lr=0.0))
    task.train()
    assert task.model is model
    assert all(torch.equal(a, b) for a, b in zip(before, model.state_dict().values(), strict=True))


def test_a_second_training_takes_the_place_of_the_first(tmp_path: Path) -> None:
    task = trained(folder=tmp_path)
    before = result(task)
    task.train()
    assert result(task) == before


# Going on after the end of a process.


class Broken(Exception):
    """Stands for the end of the process."""


def broken_off(kind: type[Digits], folder: Path, after: int, **changes: Any) -> Digits:
    """Train until just before the checkpoint of an epoch."""

    class Breaking(kind):  # type: ignore[misc, valid-type]
        def save_checkpoint(self, data: Any) -> None:
            if self.current_epoch + 1 == after:
                raise Broken
            super().save_checkpoint(data)

    task = digits(Breaking, folder, **changes)
    with pytest.raises(Broken):
        task.train()
    return task


class Scheduled(Digits):
    """All that a checkpoint must keep: momentum, a schedule, generators of its own, numpy's and Python's numbers."""

    epochs = 5
    noise = 0.0
    generator: torch.Generator

    def get_training_data(self) -> Any:
        self.generator = torch.Generator().manual_seed(3)
        chosen = torch.tensor(np.random.permutation(600)[:500])
        data = TensorDataset(INPUTS[chosen], TARGETS[chosen])
        return DataLoader(data, batch_size=64, shuffle=True, generator=self.generator)

    def get_validation_data(self) -> Any:
        chosen = torch.randperm(1000)[:200]
        return DataLoader(TensorDataset(INPUTS[chosen], TARGETS[chosen]), batch_size=64, shuffle=True)

    def get_scheduler(self, optimizer: Any) -> Any:
        return torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.01, total_steps=6)

    def prepare_train(self, sample: Any) -> tuple[Any, Any]:
        inputs, targets = super().prepare_train(sample)
        self.noise = 0.5 * self.noise + random.random() * float(np.random.randn())  # noqa: S311
        return inputs + 0.01 * self.noise, targets

    def get_state(self) -> Mapping[str, Any]:
        return {"noise": self.noise}

    def set_state(self, state: Mapping[str, Any]) -> None:
        self.noise = state["noise"]


@pytest.mark.parametrize("after", [2, 3, 4])
@pytest.mark.parametrize("kind", [Digits, Scheduled])
def test_what_broke_off_goes_on_as_if_nothing_had_been(tmp_path: Path, kind: type[Digits], after: int) -> None:
    whole = trained(kind, tmp_path / "whole", epochs=5)
    broken_off(kind, tmp_path / "broken", after, epochs=5)
    assert len(DataFolder(tmp_path / "broken").train_data["loss"]) == after

    random.seed()
    np.random.seed()
    torch.seed()
    told = Told()
    again = trained(kind, tmp_path / "broken", epochs=5, record=told)

    assert result(again) == result(whole)
    assert [entry[0] for entry in told.epochs] == list(range(after, 6))
    assert (tmp_path / "broken/final.safetensors").read_bytes() == (tmp_path / "whole/final.safetensors").read_bytes()
    assert not (tmp_path / "broken/checkpoint.pt").exists()


def test_a_drawn_seed_stays(tmp_path: Path) -> None:
    broken_off(Scheduled, tmp_path, 3, seed=None)
    seed = DataFolder(tmp_path).custom_data["seed"]
    again = trained(Scheduled, tmp_path, seed=None)
    assert again.snapshot.custom_data["seed"] == seed
    assert result(again) == result(trained(Scheduled, seed=seed))


def test_without_a_checkpoint_it_begins_anew(tmp_path: Path) -> None:
    broken_off(Digits, tmp_path, 1)
    assert len(DataFolder(tmp_path).train_data["loss"]) == 1
    assert result(trained(folder=tmp_path)) == result(trained())


def test_a_reset_takes_the_checkpoint_too(tmp_path: Path) -> None:
    broken_off(Digits, tmp_path, 2)
    assert (tmp_path / "checkpoint.pt").exists()
    DataFolder(tmp_path).reset()
    assert not (tmp_path / "checkpoint.pt").exists()
    assert result(trained(folder=tmp_path)) == result(trained())


def test_the_newest_model_of_a_training_can_be_tested(tmp_path: Path) -> None:
    half = broken_off(Digits, tmp_path, 2)
    other = digits(folder=tmp_path)
    other.load_model()
    other.test()
    assert other.snapshot.test_data["accuracy"] == pytest.approx(half.snapshot.val_data["accuracy"][0])


def saves(tmp_path: Path, every: Any, seconds: float, epochs: int = 6) -> list[int]:
    clock, saved = [0.0], []

    class Timed(Digits):
        validate_every = 0
        get_training_data = lambda self: [(INPUTS[:8], TARGETS[:8])]  # noqa: E731

        def after_epoch(self, losses: Any) -> None:
            clock[0] += seconds

        def save_checkpoint(self, data: Any) -> None:
            super().save_checkpoint(data)
            saved.append(self.current_epoch + 1)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dioptra.learning._torch_resuming.time.monotonic", lambda: clock[0])
        trained(Timed, tmp_path, epochs=epochs, checkpoint_every=every)
    return saved


def test_how_often_checkpoints_are_made(tmp_path: Path) -> None:
    assert saves(tmp_path, 1, 0) == [1, 2, 3, 4, 5]
    assert saves(tmp_path, 2, 0) == [1, 2, 4]
    assert saves(tmp_path, timedelta(seconds=10), 4.0) == [1, 4]
    assert saves(tmp_path, PytorchTask.checkpoint_every, 11.0) == [1, 2, 3, 4, 5]
    assert saves(tmp_path, None, 11.0) == []
    assert saves(tmp_path, 1, 0, epochs=1) == []


def test_a_checkpoint_that_does_not_fit_says_so(tmp_path: Path) -> None:
    broken_off(Digits, tmp_path, 2)
    with pytest.raises(
        RefusedError, match="the checkpoint does not fit the task .*; type `python SCRIPT train --retrain`"
    ):
        trained(folder=tmp_path, model=lambda: nn.Linear(64, 10))


def test_what_a_checkpoint_could_not_give_back_is_noticed_at_once(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="a checkpoint of this task could not be loaded again"):
        trained(folder=tmp_path, get_state=lambda: {"where": tmp_path})
    assert not (tmp_path / "checkpoint.pt").exists()


# Model files.


def test_a_model_is_saved_and_loaded(tmp_path: Path) -> None:
    task = trained(folder=tmp_path)
    assert task.snapshot.fetch_last_model_file() == tmp_path / "final.safetensors"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data.jsonl", "final.safetensors", MANIFEST_FILE]
    other = digits(folder=tmp_path)
    other.load_model()
    assert weights(other) == weights(task)
    assert not other.model.training
    assert other.describe_input() == {"sample_shape": (64,), "dtype": "float32"}

    with torch.no_grad():
        next(task.model.parameters()).zero_()
    task.save_model("more/zero.npz")
    other.load_model()
    assert weights(other) == weights(task)
    other.load_model("final.safetensors")
    assert weights(other) != weights(task)


def test_without_safetensors_it_is_npz(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dioptra.learning._torch_model.importlib.util.find_spec", lambda name: None)
    task = trained(folder=tmp_path)
    other = digits(folder=tmp_path)
    other.load_model()
    assert (tmp_path / "final.npz").exists()
    assert weights(other) == weights(task)


def tied() -> nn.Module:
    first, last = nn.Linear(64, 64), nn.Linear(64, 64)
    last.weight = first.weight
    return nn.Sequential(first, nn.BatchNorm1d(64), last, nn.Linear(64, 10))


@pytest.mark.parametrize("name", ["tied.safetensors", "tied.npz"])
def test_weights_that_share_memory_are_kept(tmp_path: Path, name: str) -> None:
    task = trained(folder=tmp_path, model=tied)
    task.save_model(name)
    other = digits(folder=tmp_path, model=tied)
    other.load_model(name)
    assert weights(other) == weights(task)
    assert other.model[0].weight is other.model[2].weight


@pytest.mark.parametrize("name", ["final.pt", "final.pth", "final"])
def test_a_file_that_torch_would_load_is_not_written(name: str) -> None:
    with pytest.raises(UsageError, match="can hold a program; name it 'final.safetensors'"):
        digits().save_model(name)


def test_a_model_that_holds_no_tensors_is_refused(tmp_path: Path) -> None:
    class Odd(nn.Linear):  # type: ignore[misc]
        def get_extra_state(self) -> Any:
            return {"a": 1}

        def set_extra_state(self, state: Any) -> None:
            pass

    with pytest.raises(UsageError, match="'_extra_state' of the model is no tensor"):
        digits(folder=tmp_path, model=lambda: Odd(64, 10)).save_model()
    half = digits(folder=tmp_path, model=lambda: nn.Linear(64, 10).bfloat16())
    with pytest.raises(UsageError, match="npz does not take the model's weights"):
        half.save_model("half.npz")
    half.save_model("half.safetensors")
    half.load_model()


def test_a_model_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    trained(folder=tmp_path)
    with pytest.raises(RefusedError, match="does not fit the model .*; load it with its own code"):
        digits(folder=tmp_path, model=lambda: nn.Linear(64, 10)).load_model()
    ModelFiles(DataFolder(tmp_path)).save("odd.txt", b"")
    with pytest.raises(RefusedError, match="is no model that can be loaded"):
        digits(folder=tmp_path).load_model()


class Bomb:
    """Leaves a trace when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.file),)


def bomb(tmp_path: Path) -> bytes:
    file = tmp_path / "bomb.pt"
    torch.save(Bomb(tmp_path / "trace"), file)
    assert zipfile.is_zipfile(file)
    with pytest.raises(Exception, match="weights_only|Unsupported"):
        torch.load(file, weights_only=True)
    return file.read_bytes()


@pytest.mark.parametrize("content", ["bomb", "pickle"])
def test_no_file_can_run_a_program(tmp_path: Path, content: str) -> None:
    folder = tmp_path / "snapshot"
    broken_off(Digits, folder, 2)
    bad = bomb(tmp_path) if content == "bomb" else pickle.dumps(Bomb(tmp_path / "trace"))

    (folder / "checkpoint.pt").write_bytes(bad)
    for use in (lambda: trained(folder=folder), lambda: digits(folder=folder).load_model()):
        with pytest.raises(RefusedError, match="has been changed since it was saved; it is not loaded"):
            use()

    ModelFiles(DataFolder(folder)).save("checkpoint.pt", bad)  # somebody who can write the manifest too
    for use in (lambda: trained(folder=folder), lambda: digits(folder=folder).load_model()):
        with pytest.raises(RefusedError):
            use()
    assert not (tmp_path / "trace").exists()


def test_what_was_changed_is_refused_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained(folder=tmp_path)
    file = tmp_path / "final.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    monkeypatch.setattr("safetensors.torch.load", lambda *args: pytest.fail("it was read"))
    with pytest.raises(RefusedError, match="has been changed since it was saved"):
        digits(folder=tmp_path).load_model()


def test_each_file_has_its_hash_in_the_manifest(tmp_path: Path) -> None:
    broken_off(Digits, tmp_path, 2)
    trained(folder=tmp_path)
    lines = [json.loads(line) for line in (tmp_path / MANIFEST_FILE).read_text().splitlines()]
    assert [line["file"] for line in lines] == ["checkpoint.pt", "checkpoint.pt", "final.safetensors"]
    assert all(len(line["sha256"]) == 64 and line["bytes"] > 0 for line in lines)


def test_a_task_in_memory_saves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    task = digits()
    task.after_epoch = lambda losses: task.save_model("best.safetensors")  # type: ignore[method-assign]
    task.train()
    task.test()
    assert isinstance(task.snapshot, DummySnapshot)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(RefusedError, match="there are no model files"):
        task.load_model()


# New samples.


def test_files_are_evaluated(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=(X[:6] / 16).astype("float32"))
    task = trained(postprocess=lambda outputs: outputs.argmax(1))
    task.eval_path(tmp_path / "x.npz", tmp_path / "y.csv")
    answers = [int(line) for line in (tmp_path / "y.csv").read_text().splitlines()]
    assert answers == task.model(INPUTS[:6]).argmax(1).tolist()


def test_samples_that_the_model_does_not_take_are_said(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("1,2,3\n")
    with pytest.raises(InvalidParameterError, match=r"x.csv' holds samples of 3, and the model was trained with 64"):
        trained().eval_path(tmp_path / "x.csv", tmp_path / "y.csv")
    assert not (tmp_path / "y.csv").exists()


def test_whole_numbers_of_a_table_are_whole_numbers(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("1,2,3\n")
    task = digits(model=nn.Identity(), describe_input=lambda: {"sample_shape": None, "dtype": "int64"})
    assert task.load_sample(tmp_path / "x.csv").dtype is torch.int64
    (tmp_path / "x.csv").write_text("1,2,3.5\n")
    with pytest.raises(InvalidParameterError, match=r"x.csv: the samples hold numbers with a fraction"):
        task.load_sample(tmp_path / "x.csv")


def test_kinds_of_files_are_checked_unless_a_script_has_its_own(tmp_path: Path) -> None:
    for name in ("x.png", "x.csv"):
        (tmp_path / name).touch()
    for infile, outfile in (("x.png", "y.csv"), ("x.csv", "y.txt")):
        with pytest.raises(InvalidParameterError, match="neither npz nor csv"):
            digits().check_files(tmp_path / infile, tmp_path / outfile)
    for own in ({"load_sample": lambda self, path: None}, {"eval_path": lambda self, infile, outfile: None}):
        digits(type("Own", (Digits,), own)).check_files(tmp_path / "x.png", tmp_path / "y.csv")


def test_the_steps_of_an_evaluation_can_be_replaced(tmp_path: Path) -> None:
    kept: list[Any] = []
    task = digits(
        model=nn.Identity(),
        load_sample=lambda path: float(path.read_text()),
        prepare_eval=lambda sample: torch.tensor([sample]),
        forward_eval=lambda inputs: inputs * 2,
        store_result=lambda found, path: kept.append((found.tolist(), path)),
    )
    (tmp_path / "a").write_text("1.5")
    task.eval_path(tmp_path / "a", tmp_path / "b")
    assert kept == [([3.0], tmp_path / "b")]


def test_arrays_are_answered_whatever_their_type() -> None:
    task = trained()
    task.model.train()
    frozen = np.ascontiguousarray(X[:6] / 16)
    frozen.flags.writeable = False
    found = task.predict(frozen)
    assert found.dtype == np.float32
    with torch.no_grad():
        expected = task.model(INPUTS[:6]).numpy()
    assert np.allclose(found, expected)
    assert np.allclose(task.predict((X[:6] / 16)[::-1]), expected[::-1], atol=1e-6)
    assert digits().describe_input() == {"sample_shape": None, "dtype": "float32"}


def test_images_have_a_shape_and_a_type(tmp_path: Path) -> None:
    images = [((INPUTS[:32].reshape(-1, 8, 8) * 16).byte(), TARGETS[:32])]

    class Images(Digits):
        def forward_train(self, inputs: Any) -> Any:
            return self.model(inputs.flatten(1).float())

        forward_test = forward_eval = forward_train

    kind = type("Own", (Images,), {"get_training_data": lambda self: images, "get_testing_data": lambda self: images})
    trained(kind, tmp_path)
    other = digits(kind, tmp_path)
    other.load_model()
    assert other.describe_input() == {"sample_shape": (8, 8), "dtype": "uint8"}
    assert other.predict(np.zeros((2, 8, 8))).shape == (2, 10)


def test_sizes_that_differ_between_batches_are_any(tmp_path: Path) -> None:
    def batches(*shapes: tuple[int, ...]) -> Any:
        return [(torch.ones(shape), torch.zeros(shape[0], dtype=torch.long)) for shape in shapes]

    class Lengths(Digits):
        def forward_train(self, inputs: Any) -> Any:
            return self.model(inputs.flatten(1).mean(1, keepdim=True).expand(-1, 64))

        forward_test = forward_eval = forward_train
        get_testing_data = lambda self: batches((2, 5))  # noqa: E731
        get_training_data = lambda self: batches((4, 5), (4, 9))  # noqa: E731

    trained(Lengths, tmp_path)
    other = digits(Lengths, tmp_path)
    other.load_model()
    assert other.describe_input() == {"sample_shape": (-1,), "dtype": "float32"}
    deeper = trained(type("Deeper", (Lengths,), {"get_training_data": lambda self: batches((4, 5), (4, 3, 3), (4, 5))}))
    assert deeper.describe_input()["sample_shape"] is None


def test_large_files_are_evaluated_in_pieces(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=(X[:10] / 16).astype("float32"))
    sizes: list[int] = []

    def forward(inputs: Any) -> Any:
        sizes.append(len(inputs))
        return task.model(inputs)

    task = trained(eval_batch=4, forward_eval=forward, postprocess=lambda outputs: outputs.argmax(1))
    task.eval_path(tmp_path / "x.npz", tmp_path / "y.csv")
    assert sizes == [4, 4, 2]
    answers = [int(line) for line in (tmp_path / "y.csv").read_text().splitlines()]
    assert answers == task.model(INPUTS[:10]).argmax(1).tolist()

    sizes.clear()
    task.postprocess = lambda outputs: outputs.mean()  # type: ignore[method-assign]  # pieces that cannot be joined
    task.eval_path(tmp_path / "x.npz", tmp_path / "y.csv")
    assert sizes == [4, 10]


def test_errors_are_of_the_tree() -> None:
    with pytest.raises(DioptraError):
        digits().load_model()


def test_the_reference_names_every_step_and_field() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "learning.md").read_text(encoding="utf-8")
    public = [name for name in dir(PytorchTask) if not name.startswith("_")]

    assert len(public) > 40
    assert [name for name in public if not re.search(rf"\b{name}\b", page)] == []
