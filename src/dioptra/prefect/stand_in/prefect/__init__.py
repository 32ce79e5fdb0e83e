"""Prefect, in a job: the real one when there is one, else the part of Prefect 1 that scripts of Dioptra 0.x use.

It comes before installed packages on a job's path; a real Prefect that is found behind it takes its place in every
respect. An interpreter without Dioptra may import it too.
"""

import importlib
import importlib.util
import sys
from pathlib import Path


def _give_way() -> bool:
    """Put the real Prefect in the place of this module, if there is one."""
    here = Path(__file__).absolute().parents[1]
    before, ours = list(sys.path), sys.modules.pop(__name__)
    sys.path[:] = [entry for entry in before if Path(entry).absolute() != here]
    spec = importlib.util.find_spec(__name__)
    if spec is None or spec.loader is None:  # nothing, or a mere folder of that name
        sys.path[:], sys.modules[__name__] = before, ours
        return False
    real = importlib.import_module(__name__)
    try:
        from dioptra.prefect import bridge
    except ImportError:
        pass
    else:
        bridge(real)
    globals().update(vars(real))  # a thread that waited for this import is given this module
    return True


if not _give_way():
    from ._names import *  # noqa: F403
    from ._names import __all__, explain  # noqa: F401

    def __getattr__(name):  # type: ignore[no-untyped-def]
        """Say what to do about a name of Prefect 1 that is not here."""
        raise AttributeError(explain(__name__ + "." + name))
