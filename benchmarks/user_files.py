"""Files as people have them: is each read as meant, or refused in one line that says how to go on?

Each is written anew and read through ``load_data``. Compared are all values, the kinds of columns, the
shape and depth of pictures, and what is said of guesses and losses. One line for each, with a verdict;
results go to ``results/user_files.jsonl``.

    python benchmarks/user_files.py [--only WORD] [--no-record]
"""

from __future__ import annotations

import argparse
import datetime
import logging
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from _record import record, table
from _user_files import Kind, kinds

from autoencode.data.loading import load_data
from autoencode.data.values.frames import decode
from autoencode.errors import AutoencodeError

MOST_LINE = 400  # bytes


class _Said(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def verdict(kind: Kind, folder: Path) -> tuple[str, str]:
    """Reads a file; returns what was wrong (empty when it was read as meant) and what was said."""
    said = _Said()
    logger = logging.getLogger("autoencode")
    logger.addHandler(said)
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            data = load_data(kind.make(folder), **kind.options)
    except AutoencodeError as error:
        line = str(error)
        if not kind.refused:
            return "refused", line
        if "\n" in line or len(line.encode()) > MOST_LINE:
            return "refused in more than one line", line
        missing = [word for word in kind.refused if word not in line]
        return (f"the refusal lacks {missing}" if missing else ""), line
    except Exception as error:
        return f"{type(error).__name__} instead of one line", str(error)
    finally:
        logger.removeHandler(said)
    told = [*data.notices, *said.lines, *(str(one.message) for one in warned)]
    lines = " | ".join(dict.fromkeys(told))
    if kind.refused:
        return "read, and should be refused", lines
    if wrong := _unlike(kind, data):
        return wrong, lines
    missing = [word for word in kind.says if word.lower() not in lines.lower()]
    return (f"nothing is said of {missing}" if missing else ""), lines


def _unlike(kind: Kind, data: Any) -> str:
    read = data.train.x
    if kind.columns is None:
        if kind.pixels is None:
            return ""
        meant = np.asarray(kind.pixels)
        if read.shape != meant.shape:
            return f"shape {read.shape} instead of {meant.shape}"
        return "" if np.array_equal(read.astype(float), meant.astype(float)) else "other values"
    names = [column.name for column in data.spec.columns]
    if names != list(kind.columns):
        return f"columns {names} instead of {list(kind.columns)}"
    for name, values in decode(read, data.spec.columns).items():
        wrong = [
            (a, b) for a, b in zip(values.tolist(), kind.columns[name], strict=True) if not _same(a, b)
        ]
        if wrong:
            return f"column {name}: {wrong[0][0]!r} instead of {wrong[0][1]!r}"
    return ""


def _same(read: Any, meant: Any) -> bool:
    if meant is None:
        return read is None or read != read
    if hasattr(meant, "year"):
        known = isinstance(read, datetime.date | np.datetime64 | int)
        return known and bool(np.datetime64(read, "s") == np.datetime64(meant, "s"))
    if isinstance(meant, str):
        return bool(read == meant)
    return isinstance(read, bool | int | float) and float(read) == float(meant)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="kinds whose name holds this word")
    parser.add_argument("--no-record", action="store_true")
    asked = parser.parse_args()
    rows, bad = [["file", "verdict", "said"]], 0
    chosen = {name: kind for name, kind in kinds().items() if asked.only in name}
    for name, kind in chosen.items():
        with tempfile.TemporaryDirectory() as folder:
            wrong, said = verdict(kind, Path(folder))
        bad += bool(wrong)
        result = wrong or ("refused" if kind.refused else "as meant")
        said = said.replace(folder + "/", "").replace("\n", "\\n")
        rows.append([name, ("WRONG: " if wrong else "") + result, said[:160]])
    print(table(rows))
    print(f"\n{len(chosen)} kinds of files, {bad} wrong")
    if not asked.no_record and not asked.only:
        record("user_files", {"kinds": len(chosen), "wrong": bad, "rows": rows[1:]})
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
