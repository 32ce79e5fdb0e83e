"""Results: curves with their intervals, the checks and plots of them, and the report that a person reads."""

from dioptra.results._curve import (
    TABLE_HEADER,
    CurvePoint,
    RobustnessCurve,
    monotone,
    rises,
    table_rows,
    wilson_interval,
)
from dioptra.results._gallery import GalleryRow, gallery_rows
from dioptra.results._plots import draw_curve, draw_gallery
from dioptra.results._report import JobLine, Provenance, render_report, write_report

__all__ = [
    "TABLE_HEADER",
    "CurvePoint",
    "GalleryRow",
    "JobLine",
    "Provenance",
    "RobustnessCurve",
    "draw_curve",
    "draw_gallery",
    "gallery_rows",
    "monotone",
    "render_report",
    "rises",
    "table_rows",
    "wilson_interval",
    "write_report",
]
