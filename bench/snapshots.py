"""Measures captures beside git and GitPython doing the same, in turn, and prints medians and ratios as Markdown tables.

make bench            or            python bench/snapshots.py [TURNS]

Each competitor has a copy of the project of its own: a git repository whose files are all committed.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from git import Repo

from dioptra.experiment import Experiment, Library

SIZES = (1_000, 10_000)
LINES = 40
IDENTITY = ("-c", "user.name=bench", "-c", "user.email=bench@localhost")


@dataclass(frozen=True)
class Contest:
    """One thing to do, with each competitor's way to do it, ours first."""

    title: str
    goal: str
    prepare: Callable[[Path, int], None]  # what happens to a competitor's project before each turn, not measured
    ways: Mapping[str, Callable[[Path], object]]
    turns: int


def git(project: Path, *args: str) -> None:
    """Run git as a person would; nothing to commit is no error here."""
    subprocess.run(["git", *IDENTITY, *args], cwd=project, check=False, stdout=subprocess.DEVNULL)


def add_and_commit(project: Path) -> None:
    """Keep the state of a project in its own repository."""
    git(project, "add", "-A")
    git(project, "commit", "-q", "-m", "bench")


def status(project: Path) -> None:
    """Ask whether anything has changed."""
    git(project, "status", "--porcelain")


def with_gitpython(project: Path) -> None:
    """Keep the state of a project with GitPython."""
    repository = Repo(project)
    repository.git.add(all=True)
    repository.index.commit("bench")
    repository.close()


def capture(project: Path) -> None:
    """Capture a project."""
    Experiment(project.parent / "library" / "bench").capture(project)


def make(folder: Path, count: int) -> Path:
    """Make a project of some files, a hundred in each folder."""
    project = folder / "project"
    for number in range(count):
        place = project / f"package{number // 100:03d}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"module{number}.py").write_text("".join(f"value_{line} = {number}\n" for line in range(LINES)))
    git(project, "init", "-q")
    add_and_commit(project)
    Library(folder / "library").add_experiment("bench")
    capture(project)
    return project


def forget(project: Path, turn: int) -> None:
    """Make the next look at a project the first one, for all competitors."""
    shutil.rmtree(project / ".git")
    git(project, "init", "-q")
    shutil.rmtree(project.parent / "library")
    Library(project.parent / "library").add_experiment("bench")


def change_one(project: Path, turn: int) -> None:
    """Change one file."""
    (project / "package003" / "module333.py").write_text(f"value = {turn}\n" * LINES)


def leave(project: Path, turn: int) -> None:
    """Change nothing."""


def contests(turns: int) -> list[Contest]:
    """Return what is measured."""
    keep = {"dioptra": capture, "git add -A && git commit": add_and_commit, "GitPython": with_gitpython}
    look = {"dioptra": capture, "git status": status, "git add -A && git commit": add_and_commit}
    return [
        Contest("first", "1.2 times git at most", forget, keep, max(turns // 3, 3)),
        Contest("one file changed", "1.2 times git at most; under 100 ms for 1,000 files", change_one, keep, turns),
        Contest("nothing changed", "1.2 times `git status` at most", leave, look, turns),
    ]


def measure(contest: Contest, projects: Sequence[Path]) -> dict[str, list[float]]:
    """Let the competitors do it in turn, after one warm-up of each, and return their times in seconds."""
    times: dict[str, list[float]] = {name: [] for name in contest.ways}
    for turn in range(contest.turns + 1):
        for project, (name, way) in zip(projects, contest.ways.items(), strict=True):
            contest.prepare(project, turn)
            started = time.perf_counter()
            way(project)
            if turn:
                times[name].append(time.perf_counter() - started)
    return times


def show(size: int, contest: Contest, times: Mapping[str, Sequence[float]]) -> None:
    """Print one contest; a ratio is the median over the pairs of one turn."""
    ours = next(iter(times.values()))
    print(f"\n**{size:,} files, {contest.title}** (goal: {contest.goal})\n")
    print("| | median | range | dioptra takes |\n|---|---|---|---|")
    for name, values in times.items():
        ratio = statistics.median(a / b for a, b in zip(ours, values, strict=True))
        share = "" if values is ours else f"{ratio:.2f} of it"
        span = f"{min(values) * 1000:.1f}-{max(values) * 1000:.1f} ms"
        print(f"| {name} | {statistics.median(values) * 1000:.1f} ms | {span} | {share} |")


def main(turns: int = 15) -> None:
    """Measure all contests."""
    for size in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            projects = [make(Path(folder) / f"competitor{number}", size) for number in range(3)]
            time.sleep(2)  # git reads files again that are as young as its index
            for project in projects:
                status(project)
                capture(project)
            for contest in contests(turns):
                show(size, contest, measure(contest, projects))
                time.sleep(2)


if __name__ == "__main__":
    os.environ.update(GIT_CONFIG_NOSYSTEM="1", GIT_CONFIG_GLOBAL=os.devnull)
    main(*(int(argument) for argument in sys.argv[1:]))
