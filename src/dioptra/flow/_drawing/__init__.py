"""Draws a flow's graph as SVG, by itself: layers, boxes, lines, and the words in them."""

from dioptra.flow._drawing._picture import Drawing, picture_of

__all__ = ["Drawing", "picture_of"]
