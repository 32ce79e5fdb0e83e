"""The testbed of this machine, seen from Python: the verbs that join the parts."""

from dioptra.testbed._demo import DEMO_EPSILONS, Demo, DemoResult, write_demo_report
from dioptra.testbed._diff import JobDiff, SnapshotDiff
from dioptra.testbed._doctor import Finding, examine
from dioptra.testbed._durations import parse_duration
from dioptra.testbed._examples import copy_example, example_dir, example_names
from dioptra.testbed._plugins import PluginCollection, Plugins
from dioptra.testbed._push import Pushed
from dioptra.testbed._subject import Subject
from dioptra.testbed._submit import Submission
from dioptra.testbed._testbed import Testbed
from dioptra.testbed._verify import Verdict, Verification, Verifier, worst
from dioptra.worker import Plan, Prepared, Request

__all__ = [
    "DEMO_EPSILONS",
    "Demo",
    "DemoResult",
    "Finding",
    "JobDiff",
    "Plan",
    "PluginCollection",
    "Plugins",
    "Prepared",
    "Pushed",
    "Request",
    "SnapshotDiff",
    "Subject",
    "Submission",
    "Testbed",
    "Verdict",
    "Verification",
    "Verifier",
    "copy_example",
    "examine",
    "example_dir",
    "example_names",
    "parse_duration",
    "worst",
    "write_demo_report",
]
