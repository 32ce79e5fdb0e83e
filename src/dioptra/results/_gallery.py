"""Images side by side: clean, and after attacks of growing strength."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["GalleryRow", "gallery_rows"]


@dataclass(frozen=True)
class GalleryRow:
    """Images of one strength of an attack."""

    label: str
    images: NDArray[Any]  # (columns, h, w) or (columns, h, w, c) in [0, 1]


def gallery_rows(data_sets: Mapping[float, Mapping[str, NDArray[Any]]]) -> list[GalleryRow]:
    """Return a row of clean images, one of each class, and below it the same images for each epsilon above 0.

    Args:
        data_sets: For each epsilon the arrays `x_clean` and `x_adv`, (n, h, w, c) in [0, 1], and `y`, (n,).
    """
    import numpy as np

    if not data_sets:
        return []
    first = data_sets[min(data_sets)]
    _, chosen = np.unique(first["y"], return_index=True)
    clean = GalleryRow("clean", first["x_clean"][chosen])
    attacked = sorted(epsilon for epsilon in data_sets if epsilon > 0)
    return [clean, *(GalleryRow(f"{epsilon:g}", data_sets[epsilon]["x_adv"][chosen]) for epsilon in attacked)]
