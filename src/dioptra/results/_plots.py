"""The plots, drawn with matplotlib's objects and no state of its own, as bytes of an SVG or PNG file."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dioptra.errors import UsageError
from dioptra.results._curve import CurvePoint, RobustnessCurve
from dioptra.results._gallery import GalleryRow

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

__all__ = ["draw_curve", "draw_gallery"]

INK, GREY, ACCENT, CLEAN = "#1c2430", "#8a93a0", "#b3261e", "#1f5fa8"
_NORMS = {"inf": "of any pixel (Linf)", "1": "summed over all pixels (L1)", "2": "as a Euclidean length (L2)"}
_WIDTH = 5.4  # inches
_STYLE: dict[Any, Any] = {
    "font.size": 10,
    "font.family": "sans-serif",
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": "#c8cdd4",
    "xtick.color": INK,
    "ytick.color": INK,
    "text.parse_math": False,  # a dollar sign is a dollar sign
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "dioptra",  # the same plot gives the same bytes
}


def draw_curve(curve: RobustnessCurve, format: str = "svg") -> bytes:  # noqa: A002
    """Draw accuracy against epsilon with its 95% interval, the clean accuracy and the level of chance.

    Args:
        curve: What was measured.
        format: `svg` or `png`.
    """
    with _figure(3.4) as figure:
        axes = figure.add_subplot()
        _draw_lines(axes, curve)
        _dress(axes, curve)
        return _bytes(figure, format)


def _draw_lines(axes: Axes, curve: RobustnessCurve) -> None:
    points = [_unattacked(curve), *curve.points] if curve.points[0].epsilon > 0 else curve.points
    epsilons = [point.epsilon for point in points]
    clean = [100 * point.clean_accuracy for point in points]
    robust = [100 * point.robust_accuracy for point in points]
    low = [100 * point.robust_interval[0] for point in points]
    high = [100 * point.robust_interval[1] for point in points]
    axes.plot(epsilons, clean, color=CLEAN, linewidth=1.6, linestyle="--", label="clean", zorder=2)
    axes.fill_between(epsilons, low, high, color=ACCENT, alpha=0.18, linewidth=0, label="95% interval", zorder=1)
    axes.plot(epsilons, robust, color=ACCENT, linewidth=2, marker="o", label="attacked", zorder=3, clip_on=False)
    axes.axhline(100 * curve.chance, color=GREY, linewidth=1.4, linestyle=":", label="guessing", zorder=0)


def _unattacked(curve: RobustnessCurve) -> CurvePoint:
    """Return the point that needs no measuring: a change of nothing leaves the clean accuracy."""
    return replace(curve.points[0], epsilon=0.0, robust_accuracy=curve.clean_accuracy)


def _dress(axes: Axes, curve: RobustnessCurve) -> None:
    axes.set_xlabel(f"epsilon, the largest change {_NORMS.get(curve.norm, 'in the norm ' + curve.norm)}")
    axes.set_ylabel("images labelled right")
    axes.set_ylim(0, 102)
    axes.margins(x=0.02)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0f}%")
    axes.grid(axis="y", color="#e8ebef", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(length=0, pad=6)
    axes.legend(
        loc="lower center", bbox_to_anchor=(0.5, 1.01), ncols=4, frameon=False, handlelength=1.6, columnspacing=1.4
    )


def draw_gallery(rows: Sequence[GalleryRow], format: str = "svg") -> bytes:  # noqa: A002
    """Draw images in rows, one row for each strength of the attack, with the strength written beside it.

    Args:
        rows: The images, as `gallery_rows` gives them; the same number in each row.
        format: `svg` or `png`.
    """
    if not rows:
        raise UsageError("a gallery needs at least one row")
    columns = len(rows[0].images)
    with _figure((_WIDTH - 0.85) * len(rows) / columns + 0.1) as figure:
        axes = figure.add_subplot()
        for index, row in enumerate(rows):
            for column, image in enumerate(row.images):
                _draw_image(axes, image, left=column, top=index)
        axes.set(xlim=(0, columns), ylim=(len(rows), 0), xticks=[], aspect="equal", ylabel="epsilon")
        axes.set_yticks([index + 0.5 for index in range(len(rows))], [row.label for row in rows])
        axes.tick_params(length=0, pad=4)
        axes.spines[:].set_visible(False)
        return _bytes(figure, format)


def _draw_image(axes: Axes, image: NDArray[Any], *, left: float, top: float) -> None:
    """Draw one image with a thin frame into a cell of the gallery: grey as ink on paper, colour as it is."""
    from matplotlib.patches import Rectangle

    margin = 0.06
    extent = (left + margin, left + 1 - margin, top + 1 - margin, top + margin)
    if not (image.ndim == 2 or (image.ndim == 3 and image.shape[2] in (1, 3))):
        raise UsageError(f"an image of shape {image.shape} is neither grey nor colour")
    pixels = image[..., 0] if image.shape[2:] == (1,) else image
    axes.imshow(pixels, cmap="gray_r", vmin=0, vmax=1, interpolation="none", extent=extent)
    side = 1 - 2 * margin
    axes.add_patch(Rectangle((left + margin, top + margin), side, side, fill=False, edgecolor="#d5dae0", linewidth=0.6))


@contextmanager
def _figure(height: float) -> Iterator[Figure]:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(_STYLE):
        yield Figure(figsize=(_WIDTH, height), layout="constrained")


def _bytes(figure: Figure, format: str) -> bytes:  # noqa: A002
    if format not in ("svg", "png"):
        raise UsageError(f"no format '{format}' for plots", hint="have: png, svg")
    file = io.BytesIO()
    figure.savefig(file, format=format, dpi=200, metadata={"Date": None} if format == "svg" else {"Software": None})
    return file.getvalue()
