"""What a task looks like in a picture of its flow: its words, its shape, and the color of its state."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from dioptra.flow._description import Step
from dioptra.flow._drawing._svg import element, text_width
from dioptra.flow._wording import said_ending, said_options, shortened

__all__ = ["Face", "face_of"]

_INK, _DETAIL = "#1b1f24", "#49535e"
_NAME_SIZE, _DETAIL_SIZE = 13.0, 11.0
_NAME = 34  # characters of a name
_TOOLTIP = 600
_LINE = {_NAME_SIZE: 18.0, _DETAIL_SIZE: 15.0}  # heights

_PLAIN = ("#f2f5f9", "#64748b")
_PARAMETER = ("#f0ecfb", "#7357c0")
_BETWEEN = ("#ffffff", "#8b98a8")
_FAILED = ("#fdeadf", "#d55e00")
_COLORS = {  # fill and border, of the palette of Okabe and Ito, which color-blind people can tell apart
    "Success": ("#e1f4ee", "#009e73"),
    "Skipped": ("#e6f2fa", "#56b4e9"),
    "TriggerFailed": ("#fef5e0", "#e69f00"),
    "Failed": _FAILED,
    "TimedOut": _FAILED,
}


class Face(NamedTuple):
    """What a box shows."""

    words: tuple[tuple[str, float], ...]  # lines of text, each with its size
    colors: tuple[str, str]
    is_settled: bool
    radius: float
    width: float
    height: float
    tooltip: str

    def draw(self, x: float, y: float) -> str:
        """Return the box, with its middle at a place."""
        top = y - self.height / 2
        fill, border = self.colors
        box = element(
            "rect",
            x=x - self.width / 2,
            y=top,
            width=self.width,
            height=self.height,
            rx=self.radius,
            fill=fill,
            stroke=border,
            stroke_width=1.5,
            stroke_dasharray=None if self.is_settled else "5 4",
        )
        return element("g", [element("title", self.tooltip), box, *self._lines(x, top)])

    def _lines(self, x: float, top: float) -> Iterator[str]:
        base = top + (self.height - sum(_LINE[size] for _, size in self.words)) / 2
        for text, size in self.words:
            base += _LINE[size]
            color = _INK if size == _NAME_SIZE else _DETAIL
            yield element("text", text, x=x, y=base - _LINE[size] * 0.28, font_size=size, fill=color)


def face_of(step: Step, has_run: bool) -> Face:
    """Return what the box of a task shows."""
    words = tuple(_words(step, has_run))
    between = step.kind in ("operator", "collection")
    width = max(text_width(text, size) for text, size in words) + (14 if between else 26)
    height = sum(_LINE[size] for _, size in words) + (6 if between else 16)
    return Face(
        words,
        _colors(step, has_run),
        bool(step.state) or not has_run,
        {"parameter": height / 2, "task": 8.0}.get(step.kind, 4.0),
        max(width, 26 if between else 56),
        height,
        _tooltip(step, has_run),
    )


def _words(step: Step, has_run: bool) -> Iterator[tuple[str, float]]:
    if step.kind in ("operator", "collection"):
        yield shortened(step.label or step.slug, _NAME), _DETAIL_SIZE
    else:
        yield shortened(step.slug, _NAME), _NAME_SIZE
    if step.kind == "task" or step.state not in ("Success", ""):
        if options := ", ".join(said_options(step.options)):
            yield shortened(options, 2 * _NAME), _DETAIL_SIZE
        if has_run:
            yield said_ending(step.state, step.took, step.attempts), _DETAIL_SIZE


def _colors(step: Step, has_run: bool) -> tuple[str, str]:
    if not has_run or (step.state == "Success" and step.kind != "task"):
        return {"parameter": _PARAMETER, "task": _PLAIN}.get(step.kind, _BETWEEN)
    return _COLORS.get(step.state, _PLAIN if step.state else _BETWEEN)


def _tooltip(step: Step, has_run: bool) -> str:
    ending = said_ending(step.state, step.took, step.attempts) if has_run else ""
    said = [each for each in (ending, ", ".join(said_options(step.options)), step.message) if each]
    return shortened(": ".join([step.slug, "; ".join(said)] if said else [step.slug]), _TOOLTIP)
