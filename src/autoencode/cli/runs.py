"""The command ``runs``."""

from __future__ import annotations

from typing import Any

import click

from autoencode.cli.options import json_option
from autoencode.cli.output import print_json, say, table
from autoencode.console import number


@click.command("runs")
@click.argument("folder", default="runs")
@json_option
def runs_command(folder: str, as_json: bool) -> None:
    """List and compare the run folders under FOLDER (default: runs).

    \b
    Example:
      autoencode runs
      autoencode runs experiments --json
    """
    from autoencode.runs import list_runs

    found = list_runs(folder)
    if as_json:
        print_json({"runs": found})
        return
    if not found:
        say(f"no runs under {folder}; autoencode train makes some")
        return
    columns = list(found[0])
    rows = [[_cell(run[column]) for column in columns] for run in found]
    say(*table([columns, *rows]))


def _cell(value: Any) -> str:
    return "x".join(map(str, value)) if isinstance(value, list) else number(value)
