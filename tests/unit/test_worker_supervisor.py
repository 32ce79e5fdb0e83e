"""What the supervisor reads from the system, and what it may stand on."""

from __future__ import annotations

import ast
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dioptra.worker import Lease, _supervisor
from dioptra.worker._supervisor import descendant_groups, oom_kills, read

FILE = Path(_supervisor.__file__)


@pytest.mark.parametrize(
    ("cgroup", "files", "count"),
    [
        ("0::/jobs\n", {"cgroups/jobs/memory.events": "oom 3\noom_kill 2\n", "proc/vmstat": "oom_kill 9\n"}, 2),
        ("4:memory:/jobs\n0::/\n", {"cgroups/memory/jobs/memory.oom_control": "under_oom 0\noom_kill 5\n"}, 5),
        ("4:memory:/jobs\n0::/\n", {"proc/vmstat": "nr_free 1\noom_kill 7\n"}, 7),
        ("0::/\n", {"cgroups/memory.events": "oom_kill 0\n", "proc/vmstat": "oom_kill 7\n"}, 0),
        ("0::/a:b\n", {"cgroups/a:b/memory.events": "oom_kill 1\n"}, 1),
        ("", {}, 0),
    ],
)
def test_how_often_memory_was_short(tmp_path: Path, cgroup: str, files: dict[str, str], count: int) -> None:
    for name, text in {"proc/self/cgroup": cgroup, **files}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)

    assert oom_kills(str(tmp_path / "proc"), str(tmp_path / "cgroups")) == count


def test_descendants_are_found_by_their_groups() -> None:
    with subprocess.Popen(["sh", "-c", "setsid sleep 30 & wait"], start_new_session=True) as parent:
        try:
            deadline = time.monotonic() + 5
            while len(groups := set(descendant_groups(parent.pid))) < 1 or parent.pid in groups:
                assert time.monotonic() < deadline
            assert len(groups) == 1
        finally:
            subprocess.run(["kill", "-9", "--", *(f"-{group}" for group in descendant_groups(parent.pid))], check=False)
            parent.kill()


def test_what_cannot_be_read_is_nothing(tmp_path: Path) -> None:
    assert read(str(tmp_path / "gone")) == b""
    assert read(str(tmp_path)) == b""


def test_it_stands_on_little() -> None:
    given = "import sys; sys.path.append(sys.argv[1]); import _supervisor; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", given, str(FILE.parent)], capture_output=True, text=True, check=True
    )

    assert not {"dioptra", "enum", "json", "signal", "socket", "subprocess"} & set(done.stdout.split())
    assert all("dioptra" not in ast.unparse(node) for node in ast.walk(ast.parse(FILE.read_text())) if is_import(node))


def is_import(node: ast.AST) -> bool:
    return isinstance(node, ast.Import | ast.ImportFrom)


def test_a_lease_tells_its_listener_now_and_later() -> None:
    told: list[tuple[float, float]] = []
    lease = Lease(60.0, since=100.0)

    lease.tell(lambda seconds, since: told.append((seconds, since)))
    lease.renew(30.0, since=120.0)

    assert told == [(60.0, 100.0), (30.0, 120.0)]
    assert lease.left() == pytest.approx(150.0 - time.monotonic(), abs=1.0)
    assert lease.margin == 1.0
    assert Lease(1.0).margin == pytest.approx(0.2)
