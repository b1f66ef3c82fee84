"""The output of commands, and how they fail."""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
from collections.abc import Mapping
from typing import Any, NoReturn

import click

from autoencode import launch
from autoencode.console import note, printable, shortened

_MOST_CELL = 240  # bytes


def discard_stdout() -> None:
    """Silences the failure of stdout's buffer at exit, where nobody could catch it."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def fail(message: str, code: int, alone: int | None = None) -> NoReturn:
    """Ends the program with one line on stderr; among many processes the first says it for all.

    Args:
        message: what is wrong.
        code: to exit with.
        alone: the number of the process that met this error by itself, and so has to say it.
    """
    if alone is not None:
        note(f"error in process {alone}: {' '.join(message.split())}")
    elif launch.speaks():
        note(f"error: {' '.join(message.split())}")
    sys.exit(code)


def say(*lines: str) -> None:
    """Prints lines on stdout; nothing in them is obeyed by a terminal."""
    for line in lines:
        click.echo(printable(line))


def print_json(value: Mapping[str, Any]) -> None:
    """Prints one JSON object on one line of stdout; NaN and infinity become null."""
    # Of what a terminal obeys, this leaves only DEL as it is.
    click.echo(json.dumps(_finite(value), allow_nan=False).replace("\x7f", "\\u007f"))


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    return value


def table(rows: list[list[str]]) -> list[str]:
    """Formats rows as lines of aligned columns; cells that are very long lose their middle."""
    rows = [[shortened(printable(cell), _MOST_CELL) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows
    ]
    return [line.rstrip() for line in lines]


def say_notice(notice: str) -> None:
    """Says on stderr what the user should know of the reading."""
    note(f"note: {notice}")
