"""Drawing a flow's graph as SVG: a box for each task, a line for what it takes or waits for."""

from __future__ import annotations

from collections.abc import Sequence

from dioptra.errors import FlowError
from dioptra.flow._description import LARGEST, Description
from dioptra.flow._drawing._faces import Face, face_of
from dioptra.flow._drawing._layers import Line
from dioptra.flow._drawing._layout import Layout, lay_out
from dioptra.flow._drawing._lines import draw_labels, draw_lines, lines_of
from dioptra.flow._drawing._svg import element, text_width
from dioptra.flow._wording import said_ending, shortened

__all__ = ["draw", "draw_sentence"]

_MOST = 6_000  # boxes, lines, and places of lines in layers that they pass
_GAP, _GAP_SIDEWAYS = 46.0, 104.0  # between two layers: where the names of arguments are
_WIDEST = 1_400.0  # of a picture with its layers below each other, if one with its layers side by side is less wide
_MARGIN, _HEAD = 24.0, 60.0
_TITLE, _TITLE_SIZE, _DETAIL_SIZE = 100, 16.0, 12.0
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', Arial, sans-serif"
_PAPER, _BORDER, _INK, _DETAIL = "#ffffff", "#d5dbe2", "#1b1f24", "#49535e"
_LINE, _LABEL, _LABEL_SIZE = "#8b98a8", "#56616d", 10.5


def draw(description: Description) -> str:
    """Return the picture of a flow.

    Raises:
        FlowError: It has too many tasks, or too many lines, for one that could be looked at.
    """
    if description.size > LARGEST:
        raise FlowError(
            f"flow {description.flow!r} has {description.size} tasks; one with more than {LARGEST} is not drawn"
        )
    lines = lines_of(description.steps)
    faces = [face_of(step, description.has_run) for step in description.steps]
    layout = _laid_out(faces, list(lines))
    if layout is None:
        raise FlowError(f"flow {description.flow!r} has too many connections between its tasks to be drawn")
    boxes = [face.draw(box.x, box.y) for face, box in zip(faces, layout.boxes, strict=True)]
    curves = element("g", draw_lines(lines, layout), fill="none", stroke=_LINE, stroke_width=1.4)
    labels = element("g", draw_labels(lines, layout), font_size=_LABEL_SIZE, fill=_LABEL, text_anchor="middle")
    return _sheet(description, layout.width, layout.height, [curves, element("g", boxes, text_anchor="middle"), labels])


def draw_sentence(description: Description, sentence: str) -> str:
    """Return a picture that says why there is none."""
    text = shortened(sentence, 2 * _TITLE)
    words = element("text", text, y=_DETAIL_SIZE, font_size=_DETAIL_SIZE, fill=_DETAIL)
    return _sheet(description, text_width(text, _DETAIL_SIZE), 2 * _DETAIL_SIZE, [words])


def _laid_out(faces: Sequence[Face], lines: Sequence[Line]) -> Layout | None:
    """Lay the layers out below each other, or side by side when that would be far too wide."""
    layout = lay_out([(face.width, face.height) for face in faces], lines, _GAP, _MOST)
    if layout is None or layout.width <= _WIDEST:
        return layout
    sideways = lay_out([(face.height, face.width) for face in faces], lines, _GAP_SIDEWAYS, _MOST)
    return sideways.turned() if sideways and sideways.height < layout.width else layout


def _sheet(description: Description, width: float, height: float, content: Sequence[str]) -> str:
    """Put content below its title on paper, which is there on a dark page, too."""
    title, details = shortened(description.flow, _TITLE), _details(description)
    needed = max(width, text_width(title, _TITLE_SIZE), text_width(details, _DETAIL_SIZE))
    whole = (needed + 2 * _MARGIN, height + 2 * _MARGIN + _HEAD)
    inside = [
        element("title", f"{title}: {details}"),
        element("rect", x=0.5, y=0.5, width=whole[0] - 1, height=whole[1] - 1, rx=10, fill=_PAPER, stroke=_BORDER),
        element("text", title, x=_MARGIN, y=_MARGIN + 14, font_size=_TITLE_SIZE, font_weight="600", fill=_INK),
        element("text", details, x=_MARGIN, y=_MARGIN + 34, font_size=_DETAIL_SIZE, fill=_DETAIL),
        element("g", content, transform=f"translate({_MARGIN + (needed - width) / 2:.1f} {_MARGIN + _HEAD:.1f})"),
    ]
    return element(
        "svg",
        inside,
        xmlns="http://www.w3.org/2000/svg",
        width=whole[0],
        height=whole[1],
        viewBox=f"0 0 {whole[0]:.1f} {whole[1]:.1f}",
        role="img",
        font_family=_FONT,
        style="max-width: 100%; height: auto",
    )


def _details(description: Description) -> str:
    tasks = "1 task" if description.size == 1 else f"{description.size} tasks"
    if not description.has_run:
        return tasks
    if not description.state:
        return f"{tasks}, not ended"
    why = "" if description.state == "Success" else shortened(description.message, _TITLE)
    ending = said_ending(description.state, description.seconds)
    return f"{ending}: {why}" if why else f"{ending}, {tasks}"
