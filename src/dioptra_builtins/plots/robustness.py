"""Plots of what an attack does: accuracy against its strength, and the images themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from dioptra import pyplugs
from dioptra.errors import BaseTaskPluginError
from dioptra.results import CurvePoint, RobustnessCurve, draw_curve, draw_gallery, gallery_rows

from .._outputs import output_file

__all__ = ["plot_gallery", "plot_security_curve"]

_FORMATS = (".png", ".svg")


@pyplugs.register
def plot_security_curve(
    points: Sequence[Mapping[str, float]],
    file_name: str = "security-curve.svg",
    classes: int = 10,
    norm: float | str = "inf",
    working_dir: str | PathLike[str] | None = None,
) -> Path:
    """Plot accuracy against epsilon with its 95% interval and return the path of the picture.

    Args:
        points: For each strength of the attack its `epsilon`, `clean_accuracy`, `robust_accuracy` and `samples`.
        file_name: Name of the picture, which ends in `.svg` or `.png`.
        classes: Number of classes, for the line of what guessing would give.
        norm: Norm that epsilon is measured in: `inf`, 1 or 2.
        working_dir: Folder for the picture; the job's output folder by default.

    Raises:
        BaseTaskPluginError: A point lacks a number, or the name ends in something else.
    """
    path = _picture(file_name, working_dir)
    curve = RobustnessCurve(points=tuple(_point(point) for point in points), norm=str(norm), classes=classes)
    path.write_bytes(draw_curve(curve, path.suffix[1:].lower()))
    return path


@pyplugs.register
def plot_gallery(
    x_clean: NDArray[Any],
    x_adv: NDArray[Any],
    y: NDArray[Any],
    epsilon: float,
    file_name: str = "gallery.svg",
    working_dir: str | PathLike[str] | None = None,
) -> Path:
    """Plot one image of each class, before and after an attack, and return the path of the picture.

    Args:
        x_clean: (n, h, w, c) in [0, 1], with 1 or 3 channels.
        x_adv: (n, h, w, c) in [0, 1], the same images after the attack.
        y: (n,) labels.
        epsilon: Strength of the attack, above 0.
        file_name: Name of the picture, which ends in `.svg` or `.png`.
        working_dir: Folder for the picture; the job's output folder by default.
    """
    path = _picture(file_name, working_dir)
    rows = gallery_rows({epsilon: {"x_clean": x_clean, "x_adv": x_adv, "y": y}})
    path.write_bytes(draw_gallery(rows, path.suffix[1:].lower()))
    return path


def _picture(file_name: str, working_dir: str | PathLike[str] | None) -> Path:
    if not file_name.lower().endswith(_FORMATS):
        raise BaseTaskPluginError(f"'{file_name}' does not end in a format for pictures", hint="have: .png, .svg")
    return output_file(file_name, working_dir)


def _point(numbers: Mapping[str, float]) -> CurvePoint:
    try:
        return CurvePoint(
            epsilon=float(numbers["epsilon"]),
            clean_accuracy=float(numbers["clean_accuracy"]),
            robust_accuracy=float(numbers["robust_accuracy"]),
            samples=int(numbers["samples"]),
        )
    except KeyError as error:
        raise BaseTaskPluginError(f"a point of the curve lacks {error}") from error
