"""What the benchmark scripts share: contenders in processes, where results go, what they ran on."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def record(name: str, row: dict[str, Any]) -> None:
    """Appends a row with date and machine to ``results/NAME.jsonl``."""
    from autoencode.trained.environment import environment

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


class Process:
    """A contender that stays alive, so that epochs of several can be interleaved.

    It is the calling script itself with ``--serve ARGUMENTS``; a line in asks for a line of numbers.

    Args:
        script: the script.
        *arguments: what it is asked to be.
        package: the folder that ``autoencode`` is imported from, where that is another checkout's.
    """

    def __init__(self, script: str, *arguments: str, package: Path | None = None) -> None:
        self.command = [sys.executable, script, "--serve", *arguments]
        pipe = subprocess.PIPE
        more = {} if package is None else {"PYTHONPATH": str(package)}
        self._pipe = subprocess.Popen(
            self.command,
            stdin=pipe,
            stdout=pipe,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, **more},
        )

    def ask(self, line: str = "epoch") -> list[float]:
        assert self._pipe.stdin is not None
        assert self._pipe.stdout is not None
        self._pipe.stdin.write(line + "\n")
        self._pipe.stdin.flush()
        words = self._pipe.stdout.readline().split()
        if not words:
            raise RuntimeError(f"a contender died; to see why: echo | {shlex.join(self.command)}")
        return [float(word) for word in words]

    def close(self) -> None:
        self._pipe.communicate()


def serve(answer: Callable[[str], Iterable[float]]) -> None:
    """The other side of a ``Process``: answers each line, keeping what else is printed out of it."""
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)
        for line in sys.stdin:
            print(*answer(line.strip()), file=answers, flush=True)
