"""Where the stand-in lies."""

from pathlib import Path

__all__ = ["STAND_IN_DIR"]

STAND_IN_DIR = Path(__file__).parent / "stand_in"
