"""The picture of a flow, as a notebook shows it and a file keeps it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from dioptra.errors import FlowError
from dioptra.flow._description import Description, describe_flow
from dioptra.flow._drawing._sheet import draw, draw_sentence
from dioptra.flow._state import State

if TYPE_CHECKING:
    from dioptra.flow._flow import Flow

__all__ = ["Drawing", "picture_of"]


class Drawing:
    """A picture of a flow's graph: SVG, which notebooks show by themselves."""

    def __init__(self, svg: str) -> None:
        self.svg = svg

    @classmethod
    def of(cls, description: Description) -> Self:
        """Return the picture of a flow; of one that is too large, the picture of a sentence that says so."""
        try:
            return cls(draw(description))
        except FlowError as error:
            return cls(draw_sentence(description, error.message))

    def save(self, file: str | os.PathLike[str]) -> None:
        """Write it to a file, whole or not at all.

        Raises:
            FlowError: That is not possible.
        """
        path = Path(file)
        aside = path.with_name(f".{os.urandom(8).hex()}.svg")
        try:
            try:
                aside.write_text(self.svg, encoding="utf-8")
                aside.replace(path)
            finally:
                aside.unlink(missing_ok=True)
        except OSError as error:
            raise FlowError(f"the picture cannot be written to {str(path)!r}: {error.strerror or error}") from error

    def _repr_svg_(self) -> str:
        return self.svg


def picture_of(
    flow: Flow,
    state: Any,
    filename: str | os.PathLike[str] | None,
    format: str | None,  # noqa: A002
) -> Drawing:
    """Draw a flow, and write the picture to a file if one is named; see `Flow.visualize`."""
    file = None if filename is None else _file(Path(filename), format)
    if format not in (None, "svg"):
        raise FlowError(f"flow {flow.name!r} cannot be drawn as {format!r}", hint="it is drawn as SVG; leave it out")
    if state is not None and not (isinstance(state, State) and isinstance(state.result, dict)):
        raise FlowError(f"{state!r:.300} is not the state of a flow", hint="give what `flow.run` returned")
    drawing = Drawing(draw(describe_flow(flow, state)))
    if file is not None:
        drawing.save(file)
    return drawing


def _file(path: Path, format: str | None) -> Path:  # noqa: A002
    """Return the file that is meant: Prefect took names without an ending."""
    if path.name in ("", ".svg"):
        raise FlowError(f"a flow cannot be drawn to {str(path)!r}, which names no file", hint="write flow.svg")
    if path.suffix == ".svg":
        return path
    if format is None and path.suffix:
        raise FlowError(f"a flow cannot be drawn to {str(path)!r}", hint=f"it is drawn as SVG: write {path.stem}.svg")
    return path.with_name(f"{path.name}.svg")
