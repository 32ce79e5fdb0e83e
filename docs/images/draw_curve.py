"""Draws the README's picture from a demonstration: `dioptra demo --json | python docs/images/draw_curve.py`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from dioptra.results import CurvePoint, RobustnessCurve, draw_curve


def main() -> None:
    """Read the demonstration's last line from stdin and write `curve.svg` beside this file."""
    shown = json.loads(sys.stdin.read().splitlines()[-1])
    names = ("epsilon", "clean_accuracy", "robust_accuracy", "samples")
    points = tuple(CurvePoint(**{name: point[name] for name in names}) for point in shown["points"])
    Path(__file__).with_name("curve.svg").write_bytes(draw_curve(RobustnessCurve(points=points)))


if __name__ == "__main__":
    main()
