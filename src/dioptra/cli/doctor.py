"""`dioptra doctor`: is everything there?"""

from __future__ import annotations

import dataclasses

import click

from dioptra.cli._print import json_option, print_json

__all__ = ["doctor"]

_MARKS = {"ok": ("ok", "green"), "note": ("note", "yellow"), "wrong": ("wrong", "red")}


@click.command()
@json_option
def doctor(as_json: bool) -> int:
    """Say what is installed, where the home is, and what is wrong.

    The exit code is 1 when something is wrong.
    """
    from dioptra.testbed import Testbed, examine

    findings = examine(Testbed())
    wrong = [finding for finding in findings if finding.state == "wrong"]
    if as_json:
        print_json({"findings": [dataclasses.asdict(finding) for finding in findings], "wrong": len(wrong)})
        return int(bool(wrong))
    width = max(len(finding.name) for finding in findings)
    for finding in findings:
        mark, color = _MARKS[finding.state]
        click.echo(f"{click.style(f'{mark:<5}', fg=color)}  {finding.name:<{width}}  {finding.sentence}")
    click.echo(f"\n{len(wrong)} wrong" if wrong else "\nnothing is wrong")
    return int(bool(wrong))
