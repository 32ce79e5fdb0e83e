"""Measures PytorchTask's loop beside the same loop written by hand in torch, in turn, and prints a Markdown table.

make bench            or            python bench/training.py [TURNS]

Both train the same network on 17,970 images, scikit-learn's digits ten times over, on one thread, and know the mean
loss of each epoch. By hand it is the shortest loop that does so. Seconds are those of the processor: what else the
machine does matters less. Torch lies in an environment that is made once, in `.test-envs/`.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
NETWORKS: dict[str, tuple[int, tuple[int, ...]]] = {  # epochs, and the sizes of the layers between
    "64-10": (6, ()),
    "64-128-10": (5, (128,)),
    "64-512-512-10": (2, (512, 512)),
}
BATCH, TIMES = 64, 10
WAYS = ("by hand", "in memory", "in a folder")


def measure(name: str, turns: int) -> list[dict[str, float]]:
    """Return the seconds that one iteration takes in each way, for each turn; to be called where torch is."""
    import torch
    from sklearn.datasets import load_digits

    torch.set_num_threads(1)
    x, y = load_digits(return_X_y=True)
    inputs, targets = torch.tensor(x, dtype=torch.float32), torch.tensor(y)
    batches = list(zip(inputs.split(BATCH), targets.split(BATCH), strict=True)) * TIMES
    epochs, sizes = NETWORKS[name]
    ways = [by_hand, in_memory, in_folder]
    found = []
    for turn in range(-1, turns):
        shift = turn % len(ways)  # nobody is always the first
        order = ways[shift:] + ways[:shift]
        times = {way: seconds(way, sizes, batches, epochs) for way in order}
        if turn >= 0:  # the first one warms up
            each = [times[way] / epochs / len(batches) for way in ways]
            found.append(dict(zip(WAYS, each, strict=True)))
    return found


def seconds(way: Callable[..., list[float]], sizes: Sequence[int], batches: Any, epochs: int) -> float:
    """Return how long a training takes; the model is made before."""
    model = network(sizes)
    start = time.process_time()
    losses = way(model, batches, epochs)
    taken = time.process_time() - start
    if len(losses) != epochs or not losses[-1] < losses[0]:
        raise RuntimeError(f"it did not learn: {losses}")
    return taken


def network(sizes: Sequence[int]) -> Any:
    """Return a network for digits with layers of these sizes between."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    layers: list[Any] = []
    for before, after in zip([64, *sizes], sizes, strict=False):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(sizes[-1] if sizes else 64, 10))


def by_hand(model: Any, batches: Any, epochs: int) -> list[float]:
    """Train as one writes it."""
    import torch

    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001)
    losses = []
    for _ in range(epochs):
        model.train()
        total = 0.0
        for inputs, targets in batches:
            optimizer.zero_grad()
            loss = criterion(model(inputs), targets)
            loss.backward()
            optimizer.step()
            total += loss.item()
        losses.append(total / len(batches))
    return losses


def in_memory(model: Any, batches: Any, epochs: int) -> list[float]:
    """Train as a task that was imported."""
    return train(task(model, batches, epochs))


def in_folder(model: Any, batches: Any, epochs: int) -> list[float]:
    """Train as a task that keeps its data, a checkpoint and its model."""
    from dioptra.experiment import DataFolder

    with tempfile.TemporaryDirectory() as folder:
        made = task(model, batches, epochs)
        made.snapshot = DataFolder(Path(folder))
        return train(made)


def train(made: Any) -> list[float]:
    """Train a task and return its losses."""
    made.train()
    return list(made.snapshot.train_data["loss"])


def task(model: Any, batches: Any, length: int) -> Any:
    """Return a task that does what the loop by hand does."""
    import torch

    from dioptra.learning import PytorchTask

    class Digits(PytorchTask):
        epochs = length
        validate_every = 0

        def get_training_data(self) -> Any:
            return batches

        def get_criterion(self) -> Any:
            return torch.nn.CrossEntropyLoss()

        def get_optimizer(self) -> Any:
            return torch.optim.Adam(self.model.parameters(), lr=0.001)

    return Digits(model)


def show(name: str, turns: list[dict[str, float]]) -> None:
    """Print a line of the table; a ratio is the median over the turns."""
    figures = [f"{statistics.median(turn[way] for turn in turns) * 1e6:,.0f} µs" for way in WAYS]
    for way in WAYS[1:]:
        ratios = sorted(turn[way] / turn["by hand"] for turn in turns)
        fastest = min(turn[way] for turn in turns) / min(turn["by hand"] for turn in turns)
        quarter = len(ratios) // 4
        middle = f"{statistics.median(ratios):.3f} ({ratios[quarter]:.3f}-{ratios[-1 - quarter]:.3f})"
        figures.append(f"{middle}, fastest {fastest:.3f}")
    print(f"| {name} | {' | '.join(figures)} |", flush=True)


def main() -> None:
    """Measure everything."""
    sys.path.insert(0, str(ROOT))
    from tests.environments import TORCH, python_with

    turns = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    python = python_with(TORCH, beside=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DIOPTRA_")}
    print(f"{turns} turns; {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}")
    print("\n**An iteration of a training** (goal: under 3% more than the loop by hand)\n")
    print(f"| network | {' | '.join(WAYS)} | in memory takes | in a folder takes |\n|---|---|---|---|---|---|")
    for name in NETWORKS:
        argv = [str(python), __file__, "--measure", name, str(turns)]
        done = subprocess.run(argv, env=kept, check=True, stdout=subprocess.PIPE)
        show(name, json.loads(done.stdout))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        print(json.dumps(measure(sys.argv[2], int(sys.argv[3]))))
    else:
        main()
