"""The pages are true: their commands run, their links lead somewhere, their targets exist."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.docs.blocks import Reader, blocks, matches
from tests.environments import PREFECT_3, python_with

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
OF_PREFECT_3 = ROOT / "docs" / "how-to" / "use-prefect-3.md"  # followed in an environment of its own
FOLLOWED = [page for page in PAGES if any(block.language in ("sh", "python") for block in blocks(page))]


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", [page for page in FOLLOWED if page != OF_PREFECT_3], ids=name)
def test_a_reader_who_follows_the_page_gets_there(page: Path, tmp_path: Path) -> None:
    Reader(tmp_path).follow(page)


@pytest.mark.own_environment
def test_a_reader_with_prefect_3_gets_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("PREFECT_API_URL", "PREFECT_HOME", "PREFECT_PROFILE"):
        monkeypatch.delenv(variable, raising=False)  # Prefect's folder is in the reader's home
    monkeypatch.setenv("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
    monkeypatch.setenv("DO_NOT_TRACK", "1")
    Reader(tmp_path, python_with(PREFECT_3, beside=True)).follow(OF_PREFECT_3)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{name(page)} links to {target}"


def test_the_readme_names_targets_that_exist() -> None:
    lines = [line for block in blocks(ROOT / "README.md") for line in block.text.splitlines()]
    typed = [line for line in lines if line.startswith("make")]

    assert typed[:2] == ["make demo", "make test"]
    for line in typed:
        subprocess.run([*line.split(), "--dry-run"], cwd=ROOT, check=True, capture_output=True)


def test_every_page_is_reached_from_the_readme() -> None:
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached:
            continue
        reached.add(page)
        targets = re.findall(r"\]\(([^)#:]+\.md)", page.read_text(encoding="utf-8"))
        waiting += [(page.parent / target).resolve() for target in targets]

    assert sorted(name(page) for page in PAGES if page not in reached) == []


def test_the_reader_notices_a_page_that_is_not_true(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    for bad in ("```sh\nfalse\n```", "```python\n1 / 0\n```", "```sh\necho a\n```\n\n```text\nb\n```"):
        page.write_text(bad + "\n")
        with pytest.raises(AssertionError):
            Reader(tmp_path).follow(page)
    assert matches("a … c", "x a b c d")
    assert not matches("a … c", "a b")
