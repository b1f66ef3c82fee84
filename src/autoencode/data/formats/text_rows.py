"""What the first rows of a text table tell: its delimiter, titles above it, names of the columns."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path

from autoencode.errors import DataError
from autoencode.files.free_memory import human
from autoencode.reading import dates as text_dates
from autoencode.reading import numbers as text_numbers

LOOKED_AT = 1 << 18  # bytes of the beginning
_MOST_LINE = 1 << 20  # bytes of the first line
_ROWS = 200  # of them
_DELIMITERS = ("\t", ";", "|", ",")
_TYPES = ("number", "date", "truth")  # of cells whose names look otherwise
_TYPED = 50  # rows that tell the type of a column
_AS_ROW = "so it is read as a row; header=True (--header) takes it as the names of the columns"
_AS_NAMES = "taken as the names of the columns; header=False (--no-header) reads it as a row"


def counted(n: int, what: str) -> str:
    """Formats a number of things.

    >>> counted(1, "row"), counted(2, "row")
    ('1 row', '2 rows')
    """
    return f"{n} {what}{'s' if n != 1 else ''}"


def first_rows(content: bytes, path: Path, delimiter: str | None) -> tuple[str, list[list[str]]]:
    """Finds the delimiter, and parses the first rows."""
    end = content.find(b"\n")
    if end > _MOST_LINE or (end < 0 and len(content) > _MOST_LINE):
        raise DataError(
            f"{path}: the first line is longer than {human(_MOST_LINE)}; is it one row of a table?"
        )
    start = content[:LOOKED_AT] if end < LOOKED_AT else content[: end + 1]
    whole = len(start) == len(content)
    text = start.decode(errors="ignore")
    if delimiter is not None and delimiter not in text[: max(end, 1)] and path.suffix.lower() == ".tsv":
        delimiter = None
    choices = _DELIMITERS if delimiter is None else (delimiter,)
    parsed = {choice: _rows(text, choice, path, whole) for choice in choices}
    best = max(choices, key=lambda choice: _fitness(parsed[choice], choice))
    if best == "," and len(choices) > 1 and _is_one_column(parsed[","]):
        best = ";"  # of which there are none
    return best, parsed[best]


def _rows(text: str, delimiter: str, path: Path, whole: bool) -> list[list[str]]:
    """Parses the first rows that are not blank; the last may be cut and is left out then."""
    rows: list[list[str]] = []
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        for row in reader:
            if row:
                rows.append([cell.strip() for cell in row])
            if len(rows) > _ROWS:
                return rows
    except csv.Error as error:
        if not rows:
            raise DataError(
                f"{path}, line {max(reader.line_num, 1)}: {error}; is it a table?"
            ) from error
    return rows if whole or len(rows) < 2 else rows[:-1]


def _fitness(rows: list[list[str]], delimiter: str) -> tuple[float, ...]:
    """How well a delimiter fits: all rows have as many cells, more than one; then by its rank."""
    counts = [len(row) for row in rows]
    if not counts or max(counts) < 2:
        return (0.0, 0.0, 0.0)
    alike = counts.count(counts[0]) / len(counts)
    if counts[0] < 2:
        # A title stands above, or a comma is a decimal sign below one name.
        usual = max(counts[1:], key=counts[1:].count)
        return (0.2 * counts.count(usual) / len(counts) if usual > 1 else 0.0, 0.0, 0.0)
    rank = {"\t": 3.0, ";": 2.0, "|": 1.0, ",": 0.0}.get(delimiter, 4.0)
    return (1.0 if alike == 1 else alike * 0.9, rank, float(counts[0]))


def _is_one_column(rows: list[list[str]]) -> bool:
    """Tells whether commas part no cells: below one name, every row is a number with a comma in it."""
    if len(rows) < 2 or len(rows[0]) != 1:
        return False
    whole = [",".join(row) for row in rows[1:]]
    return (
        all(len(row) <= 3 for row in rows)
        and _kind_of(whole) == "number"
        and all(_kind_of([cell]) in ("number", "empty") for cell in whole)
    )


def refuse_titles(rows: list[list[str]], path: Path) -> None:
    """Refuses lines above the names that are a title or comments."""
    if len(rows) < 3:
        return
    widths = [0 if _is_title(row) else len([cell for cell in row if cell]) for row in rows]
    usual = max(set(widths[1:]), key=widths[1:].count)
    first = next((i for i, width in enumerate(widths) if width), 0)
    above = rows[:first]
    if usual > 1 and above:
        shown = next((cell for row in above for cell in row if cell), "")[:40]
        raise DataError(
            f"{path}, line 1: a title or comment ({shown!r}) stands above the table; delete what is "
            "above the names of the columns"
        )


def _is_title(row: list[str]) -> bool:
    """Tells whether a row has one cell of text and nothing behind it."""
    return bool(row[0]) and not any(row[1:]) and not _is_plain(row[0])


def _kind_of(cells: Sequence[str]) -> str:
    """What most cells look like: number, date, truth, text, or empty where there is nothing."""
    import pyarrow

    known = [cell for cell in cells if cell.lower() not in text_numbers.MISSING]
    if not known:
        return "empty"
    if all(cell.lower() in ("true", "false") for cell in known):
        return "truth"
    if sum(map(_is_plain, known)) * 2 > len(known):
        return "number"
    text = text_numbers.plainer(pyarrow.array(known))
    if text_dates.parse(text, None) is not None:
        return "date"
    apart = text_numbers.take_apart(text)
    return "number" if apart is not None and text_numbers.possible(apart, None, None) else "text"


def _is_plain(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def has_header(
    rows: list[list[str]], said: bool | None, wanted: Sequence[str]
) -> tuple[bool, list[str]]:
    """Tells whether the first row names the columns, and what is to be said of it."""
    if not rows:
        return True, []
    first, below = rows[0], rows[1:]
    if wanted and len(set(wanted) & set(first)) * 2 > len(set(wanted)):
        return True, []
    if said is not None:
        return said, []
    own = [_kind_of([cell]) for cell in first]
    if not below:
        return not all(kind == "number" for kind in own), []
    columns = [[row[i] for row in below[:_TYPED] if i < len(row)] for i in range(len(first))]
    if all(kind == "number" for kind in own):
        if _are_years(first) and not all(_are_years(column[:20]) for column in columns):
            return True, [f"the first line holds years, {_AS_NAMES}"]
        return False, [f"the first line holds numbers, {_AS_ROW}"]
    typed = [
        (kind, usual)
        for kind, usual in zip(own, map(_kind_of, columns), strict=True)
        if usual in _TYPES
    ]
    if typed:
        alike = all(kind in (usual, "empty") for kind, usual in typed)
        if alike and any(kind == usual for kind, usual in typed):
            return False, [f"the first line looks like the others, {_AS_ROW}"]
        return True, []
    if any(cell and cell in column for cell, column in zip(first, columns, strict=True)):
        return False, [f"all cells are text and the first line has words of the others, {_AS_ROW}"]
    return True, [f"all cells are text and the first line is {_AS_NAMES}"]


def _are_years(cells: Sequence[str]) -> bool:
    if not cells or not all(re.fullmatch("(?:18|19|20|21)[0-9]{2}", cell) for cell in cells):
        return False
    return len(set(cells)) == len(cells)
