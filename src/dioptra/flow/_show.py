"""`dioptra flow show`: a script's first flow is described in a file instead of being run."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from dioptra.flow._description import describe_flow

if TYPE_CHECKING:
    from dioptra.flow._flow import Flow

__all__ = ["show_and_end"]


def show_and_end(flow: Flow, file: str) -> NoReturn:
    """Describe a flow in a file, unless another one is described there, and end the script."""
    path = Path(file)
    if not path.exists():
        aside = path.with_name(os.urandom(8).hex())
        aside.write_text(json.dumps(describe_flow(flow).to_dict()), encoding="utf-8")
        aside.replace(path)
    raise SystemExit(0)
