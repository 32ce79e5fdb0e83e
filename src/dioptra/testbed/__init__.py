"""The testbed of this machine, seen from Python: the verbs that join the parts."""

from dioptra.testbed._demo import DEMO_EPSILONS, Demo, DemoResult, write_demo_report
from dioptra.testbed._doctor import Finding, examine
from dioptra.testbed._examples import copy_example, example_dir, example_names
from dioptra.testbed._plan import Plan
from dioptra.testbed._testbed import Testbed

__all__ = [
    "DEMO_EPSILONS",
    "Demo",
    "DemoResult",
    "Finding",
    "Plan",
    "Testbed",
    "copy_example",
    "examine",
    "example_dir",
    "example_names",
    "write_demo_report",
]
