"""What the benchmark scripts share: where results go and what they were measured on."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def record(name: str, row: dict[str, Any]) -> None:
    """Appends a row with date and machine to ``results/NAME.jsonl``."""
    from autoencode.io import environment

    RESULTS.mkdir(exist_ok=True)
    dated = {"date": time.strftime("%Y-%m-%d"), **row, "environment": environment()}
    with (RESULTS / f"{name}.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(dated) + "\n")


def recorded(name: str) -> list[dict[str, Any]]:
    """All rows of ``results/NAME.jsonl``."""
    path = RESULTS / f"{name}.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def table(rows: list[list[str]]) -> str:
    """Rows as a Markdown table, the first one its head."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    lines.insert(1, "|" + "---|" * len(rows[0]))
    return "\n".join(lines)
