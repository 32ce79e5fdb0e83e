"""What the acceptance rung shares: the process that workers are forked from."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.acceptance.forked_workers import Herd


@pytest.fixture(scope="session")
def _own_herd() -> Iterator[Herd]:
    made = Herd()
    yield made
    made.close()


@pytest.fixture
def herd(_own_herd: Herd) -> Iterator[Herd]:
    """Start workers, as processes of their own, that are killed at the end."""
    yield _own_herd
    _own_herd.end_workers()
