"""What is in the picture of a flow, for tests that look at it."""

from __future__ import annotations

from typing import NamedTuple
from xml.etree import ElementTree

__all__ = ["SVG", "Rect", "arrowheads", "box", "boxes", "parsed", "texts"]

SVG = "{http://www.w3.org/2000/svg}"


class Rect(NamedTuple):
    """A box: its corners, what stands in it, what a mouse tells, and how it looks."""

    left: float
    top: float
    right: float
    bottom: float
    words: tuple[str, ...]
    tooltip: str
    look: dict[str, str]


def parsed(svg: str) -> ElementTree.Element:
    """Return the tree of a picture that we have drawn; one that is not well-formed raises an error."""
    return ElementTree.fromstring(svg)  # noqa: S314


def boxes(svg: str) -> list[Rect]:
    """Return the boxes of tasks."""
    groups = [group for group in parsed(svg).iter(f"{SVG}g") if group.find(f"{SVG}title") is not None]
    return [_rect(group) for group in groups]


def _rect(group: ElementTree.Element) -> Rect:
    found = group.find(f"{SVG}rect")
    assert found is not None
    left, top, width, height = (float(found.attrib[name]) for name in ("x", "y", "width", "height"))
    words = tuple(text.text or "" for text in group.findall(f"{SVG}text"))
    return Rect(left, top, left + width, top + height, words, group.findtext(f"{SVG}title") or "", found.attrib)


def box(svg: str, name: str) -> Rect:
    """Return the box of the task with a name."""
    return next(each for each in boxes(svg) if each.words[0] == name)


def texts(svg: str) -> list[str]:
    """Return all that is written in a picture, its title first."""
    return [each.text or "" for each in parsed(svg).iter(f"{SVG}text")]


def arrowheads(svg: str) -> int:
    """Return how many lines arrive at a box."""
    return sum(path.attrib["d"].count("Z") for path in parsed(svg).iter(f"{SVG}path"))
