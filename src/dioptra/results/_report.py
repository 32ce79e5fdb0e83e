"""The report: one HTML file that needs nothing else, neither network nor scripts."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from dioptra.results._curve import TABLE_HEADER, CurvePoint, RobustnessCurve, monotone, table_rows
from dioptra.results._gallery import GalleryRow
from dioptra.results._plots import draw_curve, draw_gallery
from dioptra.storage import write_aside

if TYPE_CHECKING:
    from jinja2 import Template

__all__ = ["JobLine", "Provenance", "render_report", "write_report"]

_BOUNDS = {
    "inf": "No pixel is changed by more than epsilon",
    "1": "The changes of all pixels add up to epsilon at most",
    "2": "The change as a whole is at most epsilon long (L2)",
}


@dataclass(frozen=True, kw_only=True)
class JobLine:
    """One job that a report was made from."""

    entry_point: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    job_id: str = ""
    run_id: str = ""


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Where the numbers of a report come from, and how to get them again."""

    experiment: str = ""
    seed: int | None = None
    jobs: Sequence[JobLine] = ()
    versions: Mapping[str, str] = field(default_factory=dict)  # name of a package: its version
    commands: Sequence[str] = ()
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))


def write_report(
    path: Path,
    curve: RobustnessCurve,
    *,
    title: str = "How robust is this model?",
    gallery: Sequence[GalleryRow] = (),
    provenance: Provenance | None = None,
) -> Path:
    """Write a report on a curve to one HTML file, whole or not at all, and return its path.

    Args:
        path: File to write; its folder must exist.
        curve: What was measured.
        title: Heading of the page.
        gallery: Rows of images, as `gallery_rows` gives them; none leaves that part out.
        provenance: Where the numbers come from.
    """
    page = render_report(curve, title=title, gallery=gallery, provenance=provenance or Provenance())
    write_aside(path, page.encode())
    path.chmod(0o644)
    return path


def render_report(curve: RobustnessCurve, *, title: str, gallery: Sequence[GalleryRow], provenance: Provenance) -> str:
    """Return the report as HTML, with everything that was given escaped."""
    created_at = provenance.created_at.astimezone(UTC)
    return _template().render(
        title=title,
        curve=curve,
        samples=curve.points[0].samples,
        strongest=curve.points[-1],
        half=_first_below(curve, curve.clean_accuracy / 2),
        worse=_first_below(curve, curve.chance),
        monotone=monotone(curve),
        bound=_BOUNDS.get(curve.norm, f"The change is at most epsilon in the norm {curve.norm}"),
        header=TABLE_HEADER,
        rows=table_rows(curve),
        curve_image=_data_uri(draw_curve(curve)),
        gallery=gallery,
        gallery_image=_data_uri(draw_gallery(gallery)) if gallery else "",
        facts=_facts(curve, provenance, created_at),
        provenance=provenance,
        created_at=created_at,
    )


def _template() -> Template:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        loader=FileSystemLoader(Path(__file__).parent),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": "{:.1%}".format, "number": "{:g}".format}
    return environment.get_template("report.html")


def _first_below(curve: RobustnessCurve, accuracy: float) -> CurvePoint | None:
    return next((point for point in curve.points if point.robust_accuracy < accuracy), None)


def _facts(curve: RobustnessCurve, provenance: Provenance, created_at: datetime) -> list[tuple[str, str]]:
    """Return what is known of the origin of the numbers, name and value, leaving out what is not."""
    facts = [
        ("Experiment", provenance.experiment),
        ("Model", f"{curve.model_name} {curve.model_version}".strip()),
        ("Data", curve.dataset),
        ("Seed", "" if provenance.seed is None else str(provenance.seed)),
        ("Date", created_at.strftime("%Y-%m-%d %H:%M:%S UTC")),
        ("Versions", ", ".join(f"{name} {version}" for name, version in provenance.versions.items())),
    ]
    return [(name, value) for name, value in facts if value]


def _data_uri(svg: bytes) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(svg).decode()
