"""Results: curves with their intervals, their checks and plots, the report that a person reads, and comparisons."""

from dioptra.results._compare import Difference, TaskDifference, differences, first_difference
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
    "Difference",
    "GalleryRow",
    "JobLine",
    "Provenance",
    "RobustnessCurve",
    "TaskDifference",
    "differences",
    "draw_curve",
    "draw_gallery",
    "first_difference",
    "gallery_rows",
    "monotone",
    "render_report",
    "rises",
    "table_rows",
    "wilson_interval",
    "write_report",
]
