"""Text tables (CSV): their encoding, delimiter and header, and the types of columns that need no guess.

Columns that programs wrote become numbers, dates and booleans here. What people wrote (decimal commas,
money, ``31.12.2020``) stays text, whose meaning ``reading/recognise.py`` finds in tables of every kind.
So do digits that begin with 0, and numbers that could be thousands (``1.234``).
"""

from __future__ import annotations

import codecs
import contextlib
import csv
import io
import json
import os
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from autoencode.data.formats.arrow_files import open_regular_in_words, parsing, sound
from autoencode.data.formats.text_rows import (
    LOOKED_AT,
    counted,
    first_rows,
    has_header,
    refuse_titles,
)
from autoencode.errors import DataError
from autoencode.files.free_memory import require_memory
from autoencode.reading import NO_OPTIONS, TableOptions

TEXT = (".csv", ".tsv")
_KEY = b"autoencode.text"  # of the facts in a table's metadata
_TIMES = 6  # the bytes of a text table that it takes at most, as 1-digit numbers
_COLUMN = 1 << 13  # bytes that a column takes beside its values
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SAYS = re.compile(rb'^"?sep=(.)"?\r?\n', re.IGNORECASE)
# What pyarrow takes for missing, also in text.
_NULLS = ("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN")
_NULL_WORDS = ("N/A", "NA", "NULL", "NaN", "n/a", "nan", "null")
_GROUPS = r"^[+-]?(?:0|[1-9][0-9]{0,2}(?:\.[0-9]{3})*)$"


@dataclass(frozen=True)
class TextFacts:
    """What was found out in reading a text table; it travels with the table (``with_facts``).

    Attributes:
        header: whether the first line names the columns.
        delimiter: what parts the cells; ``None`` of a table that no text file holds.
        notices: what was recognised.
        path: of the file.
    """

    header: bool = True
    delimiter: str | None = None
    notices: tuple[str, ...] = ()
    path: str | None = None

    def place(self, row: int) -> str:
        """Says where a row is: by its line, which is looked up in the file."""
        if self.path is None or self.delimiter is None:
            return f"row {row}"
        said_so, content = _said_delimiter(_content(Path(self.path))[0])
        text = io.TextIOWrapper(io.BytesIO(content), "utf-8", newline="")
        rows = csv.reader(text, delimiter=self.delimiter)
        wanted = row + self.header
        for cells in rows:
            if cells:
                if not wanted:
                    break
                wanted -= 1
        return f"line {rows.line_num + (said_so is not None)} of {self.path}"


NO_FACTS = TextFacts()


def with_facts(table: Any, facts: TextFacts) -> Any:
    """Writes facts into the metadata of a pyarrow table."""
    return table.replace_schema_metadata({_KEY: json.dumps(asdict(facts)).encode()})


def facts_of(source: Any) -> tuple[Any, TextFacts]:
    """Takes the facts out of a table that ``read_text`` made; any other has none."""
    metadata = getattr(getattr(source, "schema", None), "metadata", None)
    if not isinstance(metadata, dict) or _KEY not in metadata:
        return source, NO_FACTS
    facts = json.loads(metadata[_KEY])
    rest = {key: value for key, value in metadata.items() if key != _KEY}
    found = TextFacts(facts["header"], facts["delimiter"], tuple(facts["notices"]), facts["path"])
    return source.replace_schema_metadata(rest or None), found


def unmarked(table: Any) -> Any:
    """Removes such facts from the table of a file that may have written them itself."""
    metadata = table.schema.metadata or {}
    if _KEY not in metadata:
        return table
    return table.replace_schema_metadata({k: v for k, v in metadata.items() if k != _KEY} or None)


def read_text(path: Path, options: TableOptions = NO_OPTIONS, wanted: Sequence[str] = ()) -> Any:
    """Reads a text table into one of pyarrow, whose columns are text where their meaning is a guess.

    Args:
        path: the file.
        options: what is said of its header and of the decimal sign.
        wanted: names of columns that a model knows: a first line that holds them is a header.

    Returns:
        The table, with what was found out (``facts_of``).

    Raises:
        DataError: it is missing, damaged, no table or too large for memory.
    """
    content, notices = _content(path)
    said, content = _said_delimiter(content)
    tabs = "\t" if path.suffix.lower() == ".tsv" else None
    delimiter, rows = first_rows(content, path, said or tabs)
    n = max(map(len, rows[:1]), default=0)
    require_memory(n * _COLUMN, f"{path}: {n} columns")
    refuse_titles(rows, path)
    header, told = has_header(rows, options.header, wanted)
    notices += told
    table = _parsed(content, path, delimiter, header, rows)
    names, told = _named(rows, header, table.num_columns)
    notices += told
    table = table.rename_columns(names)
    table, told = _without_empty(table, header, rows)
    notices += told
    table, told = _typed(sound(table, path), options.decimal)
    facts = TextFacts(header, delimiter if n > 1 else ",", (*notices, *told), str(path))
    return with_facts(table, facts)


def _content(path: Path) -> tuple[bytes, list[str]]:
    """Reads a file as UTF-8 with ends of lines that are such everywhere."""
    with open_regular_in_words(path) as file, parsing(path, "table"):
        size = os.fstat(file.fileno()).st_size
        require_memory(size * _TIMES, str(path))
        content = file.read()
    notices = []
    encoding = next((name for mark, name in _MARKS if content.startswith(mark)), None)
    if encoding is None and content[1:400:2].count(0) > len(content[1:400:2]) // 2:
        encoding = "utf-16-le"
    try:
        if encoding is not None:
            content = content.decode(encoding).encode()
            if encoding != "utf-8-sig":
                notices.append(f"read as {encoding[:6].upper()}")
        else:
            content.decode()
    except UnicodeDecodeError as error:
        if encoding is not None or b"\0" in content[:LOOKED_AT]:
            raise DataError(f"{path}: not intact text; save it as UTF-8") from error
        try:
            content = content.decode("cp1252").encode()
        except UnicodeDecodeError:
            raise DataError(f"{path}: not UTF-8 text; save it as UTF-8") from error
        notices.append("not UTF-8, read as Windows-1252 (Latin-1); save it as UTF-8 for other letters")
    if b"\n" not in content and b"\r" in content:  # of old Macs
        content = content.replace(b"\r", b"\n")
    if not content.strip():
        raise DataError(f"{path}: the file is empty; write it again")
    return content, notices


def _said_delimiter(content: bytes) -> tuple[str | None, bytes]:
    """Finds a first line ``sep=;`` as Excel writes it, and takes it away."""
    found = _SAYS.match(content)
    if found is None:
        return None, content
    return found.group(1).decode(errors="replace"), content[found.end() :]


def _parsed(content: bytes, path: Path, delimiter: str, header: bool, rows: list[list[str]]) -> Any:
    """Parses all of a table as text."""
    import pyarrow
    import pyarrow.csv

    n = max(len(row) for row in rows[:2])
    short = (
        header and len(rows) > 1 and len(rows[0]) == n - 1 and all(len(row) == n for row in rows[1:])
    )
    names = [f"f{i}" for i in range(n if short else len(rows[0]))]
    skip = 0
    if header:
        skip = _lines_of_first(content, delimiter)
    with parsing(path, "table"):
        try:
            return pyarrow.csv.read_csv(
                pyarrow.BufferReader(content),
                read_options=pyarrow.csv.ReadOptions(column_names=names, skip_rows=skip),
                parse_options=pyarrow.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
                convert_options=pyarrow.csv.ConvertOptions(
                    column_types=dict.fromkeys(names, pyarrow.string()),
                    null_values=list(_NULLS),
                    strings_can_be_null=True,
                ),
            )
        except pyarrow.ArrowInvalid as error:
            if "Empty CSV" in str(error) or "Could not skip" in str(error):  # names alone
                return pyarrow.table({name: pyarrow.array([], pyarrow.string()) for name in names})
            _refuse_ragged(content, path, delimiter, len(names))
            raise


def _lines_of_first(content: bytes, delimiter: str) -> int:
    """Counts the lines that end with the first row, blank ones above and breaks in quotes included."""
    text = io.StringIO(content[: LOOKED_AT * 4].decode(errors="ignore"), newline="")
    reader = csv.reader(text, delimiter=delimiter)
    for row in reader:
        if row:
            break
    return reader.line_num


def _refuse_ragged(content: bytes, path: Path, delimiter: str, n_columns: int) -> None:
    """Says in which line there are more or fewer cells than in the first, if in any."""
    rows = csv.reader(io.TextIOWrapper(io.BytesIO(content), "utf-8", newline=""), delimiter=delimiter)
    with contextlib.suppress(csv.Error, UnicodeError):  # another damage than this
        for row in rows:
            if row and len(row) != n_columns:
                raise DataError(
                    f"{path}, line {rows.line_num}: {len(row)} cells, and the first line has "
                    f"{n_columns}; correct it"
                )


def _named(rows: list[list[str]], header: bool, n: int) -> tuple[list[str], list[str]]:
    """Names the columns, and says which names were made."""
    if not header:
        return [f"f{i}" for i in range(n)], []
    given = rows[0]
    if len(given) == n - 1:
        given = ["", *given]
    empty = [i for i, name in enumerate(given) if not name]
    taken = set(given)
    names = list(given)
    for i in empty:
        names[i] = f"Unnamed: {i}"
        while names[i] in taken:
            names[i] += "_"
    return names, []


def _without_empty(table: Any, header: bool, rows: list[list[str]]) -> tuple[Any, list[str]]:
    """Leaves out columns without name or value, as trailing delimiters leave, and last blank rows."""
    notices = []
    n = table.num_rows
    bare = [
        name
        for name, column in zip(table.column_names, table.columns, strict=True)
        if n and column.null_count == n and name.startswith("Unnamed: ")
    ]
    if bare and header and len(bare) < table.num_columns:
        table = table.drop_columns(bare)
        notices.append(f"{counted(len(bare), 'column')} without name and values left out")
    if n and table.num_columns > 1 and not any(column[n - 1].is_valid for column in table.columns):
        filled = np.zeros(n, bool)
        for column in table.columns:
            filled |= np.asarray(column.is_valid())
        last = int(np.flatnonzero(filled)[-1]) + 1 if filled.any() else n
        if last < n:
            table = table.slice(0, last)
            notices.append(f"{counted(n - last, 'blank row')} at the end left out")
    return table, notices


def _typed(table: Any, decimal: str | None) -> tuple[Any, list[str]]:
    """Makes columns numbers, dates and booleans where that needs no guess."""
    import pyarrow
    import pyarrow.compute as pc

    words = pyarrow.array(_NULL_WORDS)
    columns, missing, n_cells, n_columns = [], set(), 0, 0
    for column in table.columns:
        text = pc.utf8_trim_whitespace(column)
        gone = pc.is_in(text, value_set=words)
        if n := pc.sum(gone).as_py() or 0:
            missing |= set(pc.unique(text.filter(gone)).to_pylist())
            n_cells, n_columns = n_cells + n, n_columns + 1
            text = pc.if_else(gone, None, text)
        columns.append(_column(pc.if_else(pc.equal(text, ""), None, text), decimal))
    notices = []
    if missing:
        words = ", ".join(map(repr, sorted(missing)))
        notices = [
            f"{words} taken as missing ({counted(n_cells, 'cell')}, {counted(n_columns, 'column')})"
        ]
    return pyarrow.table(columns, names=table.column_names), notices


def _column(text: Any, decimal: str | None) -> Any:
    import pyarrow

    if text.null_count == len(text):
        return pyarrow.chunked_array([pyarrow.nulls(len(text))])
    made = _plain_numbers(text, decimal)
    if made is None:
        made = _plain_others(text)
    return text if made is None else made


def _plain_numbers(text: Any, decimal: str | None) -> Any | None:
    """Converts text that is nothing but numbers of programs."""
    import pyarrow
    import pyarrow.compute as pc

    with contextlib.suppress(pyarrow.ArrowInvalid):
        whole = pc.cast(text, pyarrow.int64())
        if pc.any(pc.match_substring_regex(text, "^[+-]?0[0-9]")).as_py():
            return None
        return whole
    try:
        made = pc.cast(text, pyarrow.float64())
    except pyarrow.ArrowInvalid:
        return None
    if decimal not in (None, ".") and pc.any(pc.match_substring(text, ".")).as_py():
        return None
    if pc.any(pc.match_substring_regex(text, "^[+-]?[0-9]{19,}$")).as_py():
        return None
    if pc.all(pc.match_substring_regex(text, _GROUPS)).as_py():
        return None
    return made


def _plain_others(text: Any) -> Any | None:
    """Converts true and false, and dates in ISO's form."""
    import pyarrow
    import pyarrow.compute as pc

    truths = pyarrow.array(["true", "false", "True", "False", "TRUE", "FALSE"])
    if pc.all(pc.is_in(pc.drop_null(text), value_set=truths)).as_py():
        return pc.if_else(pc.is_null(text), None, pc.equal(pc.utf8_lower(text), "true"))
    for kind in (pyarrow.date32(), pyarrow.timestamp("s"), pyarrow.timestamp("ns")):
        with contextlib.suppress(pyarrow.ArrowInvalid):
            return pc.cast(text, kind)
    return None
