"""Graphs of flows as data: from a flow that has been built, or from the journal of a job that ran it.

    for graph in read_journal(attempt_dir / "flow.jsonl"):
        graph.drawing().save("flow.svg")

Drawing needs no other program, and nothing here runs a task.
"""

from dioptra.flow._description import Description, Step, describe_flow
from dioptra.flow._drawing import Drawing
from dioptra.flow._read_back import read_journal
from dioptra.flow._text import Table

__all__ = ["Description", "Drawing", "Step", "Table", "describe_flow", "read_journal"]
