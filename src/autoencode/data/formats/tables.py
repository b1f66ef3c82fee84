"""Files with named columns: CSV, Parquet, Feather and Arrow."""

from __future__ import annotations

import contextlib
import csv
import importlib
import io
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from autoencode.data.disk.store import Store
from autoencode.data.formats.arrow_files import (
    PARQUET,
    converting,
    open_regular_in_words,
    parsing,
    read_arrow,
    read_parquet,
    sound,
)
from autoencode.data.formats.chunked import COLUMNS, column_files, open_columns
from autoencode.data.formats.format import Format, Opening, as_path, is_large
from autoencode.data.raw import Raw
from autoencode.data.values.arrays import as_text
from autoencode.data.values.frames import encode, is_frame, learn_columns, names_of, select
from autoencode.data.values.vocabulary import (
    MOST_CATEGORIES,
    Unseen,
    shortened_notices,
    unseen_notices,
)
from autoencode.errors import DataError, OptionError, nearest
from autoencode.files.free_memory import human, require_memory
from autoencode.types import Array, ColumnKind, DataSpec

TEXT = (".csv", ".tsv")
_TEXT_TIMES = 6  # the bytes of a text table that it takes at most, as 1-digit numbers
_COLUMN = 1 << 13  # bytes that a column takes beside its values
_MOST_LINE = 1 << 20  # bytes of the first line


@dataclass(frozen=True)
class TableOptions:
    """Options of what a table's columns are for: labels, names of rows, or left out.

    Attributes:
        label: the column that holds each row's label, of which only recipes that are conditional on
            labels learn; the others colour pictures by it.
        id: the column that names each row, for the files that are written.
        drop: columns that are left out.
        kinds: what the values of a column are, where the file does not tell.
        max_categories: categories that a column may have for a model to know each by itself; of more
            the rarer ones share states (``vocabulary.learned``).
    """

    label: str | None = None
    id: str | None = None
    drop: tuple[str, ...] = ()
    kinds: Mapping[str, ColumnKind] = field(default_factory=dict)
    max_categories: int = MOST_CATEGORIES

    def __post_init__(self) -> None:
        if type(self.max_categories) is not int or self.max_categories < 2:
            raise OptionError(
                f"max_categories must be a whole number, 2 or more, got {self.max_categories!r}"
            )

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any] | None) -> TableOptions:
        """Makes options from what ``as_dict`` gave."""
        facts = facts or {}
        return cls(
            facts.get("label"),
            facts.get("id"),
            tuple(facts.get("drop", ())),
            facts.get("kinds", {}),
            facts.get("max_categories", MOST_CATEGORIES),
        )

    def as_dict(self) -> dict[str, Any]:
        """Returns the options as JSON has them."""
        return {**asdict(self), "drop": list(self.drop), "kinds": dict(self.kinds)}

    @property
    def aside(self) -> list[str]:
        """Names of all columns that are not learned from."""
        return [name for name in (self.label, self.id, *self.drop) if name is not None]

    def __bool__(self) -> bool:
        return bool(self.aside or self.kinds or self.max_categories != MOST_CATEGORIES)


NO_OPTIONS = TableOptions()


def read_table(path: Path) -> Any:
    """Reads a file into a pyarrow table.

    Raises:
        DataError: it is missing, damaged or too large for memory.
    """
    if path.suffix.lower() in TEXT:
        return _read_text(path)
    return read_parquet(path) if path.suffix.lower() == PARQUET else read_arrow(path)


def _read_text(path: Path) -> Any:
    import pyarrow.csv

    with open_regular_in_words(path) as file:
        size = os.fstat(file.fileno()).st_size
        require_memory(size * _TEXT_TIMES, str(path))
        line = _first_line(file, path)
        delimiter = "\t" if path.suffix.lower() == ".tsv" else _delimiter(line)
        cells = _cells(line, delimiter, path)
        require_memory(len(cells) * _COLUMN, f"{path}: {len(cells)} columns")
        header = not cells or not all(_is_number(cell) for cell in cells)
        file.seek(0)
        with parsing(path, "table"):
            try:
                table = pyarrow.csv.read_csv(
                    file,
                    read_options=pyarrow.csv.ReadOptions(autogenerate_column_names=not header),
                    parse_options=pyarrow.csv.ParseOptions(
                        delimiter=delimiter, newlines_in_values=True
                    ),
                    convert_options=pyarrow.csv.ConvertOptions(strings_can_be_null=True),
                )
            except pyarrow.ArrowInvalid:
                _refuse_ragged(path, delimiter, len(cells))
                raise
    if any(pyarrow.types.is_binary(kind) for kind in table.schema.types):
        raise DataError(f"{path}: not UTF-8 text; save it as UTF-8")
    return sound(table, path)


def _first_line(file: BinaryIO, path: Path) -> str:
    content = file.read(_MOST_LINE)
    end = content.find(b"\n")
    if end < 0 and len(content) == _MOST_LINE:
        raise DataError(
            f"{path}: the first line is longer than {human(_MOST_LINE)}; is it one row of a table?"
        )
    with parsing(path, "table"):
        return (content if end < 0 else content[:end]).decode("utf-8-sig")


def _delimiter(line: str) -> str:
    """Guesses a file's delimiter: a comma, unless the first line has only semicolons or tabs."""
    if "," in line:
        return ","
    return next((mark for mark in (";", "\t") if mark in line), ",")


def _cells(line: str, delimiter: str, path: Path) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error as error:
        raise DataError(f"{path}, line 1: {error}; is it a table?") from error


def _refuse_ragged(path: Path, delimiter: str, n_columns: int) -> None:
    """Says in which line of a file there are more or fewer cells than in the first, if in any."""
    with open_regular_in_words(path) as file:
        text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
        rows = csv.reader(text, delimiter=delimiter)
        with contextlib.suppress(csv.Error, UnicodeError):  # another damage than this
            for row in rows:
                if row and len(row) != n_columns:
                    raise DataError(
                        f"{path}, line {rows.line_num}: {len(row)} cells, and the first line has "
                        f"{n_columns}; correct it"
                    )


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def table_for_training(table: Any, options: TableOptions, name: str) -> Raw:
    """Reads a table for training and decides what its columns are.

    Raises:
        DataError: a column cannot be learned from.
        OptionError: an option names a column that is not there.
    """
    refuse_absent(table, options, name)
    names = names_of(table)
    kept = [column for column in names if column not in options.aside]
    if not len(table):
        raise DataError(f"{name}: the table has no rows; give some")
    if not kept:
        raise DataError(f"{name}: no column is left to learn from; drop fewer")
    features = select(table, kept)
    with converting(name):
        columns = learn_columns(features, options.kinds, name, options.max_categories)
        x = encode(features, columns, name)
    labels, ids = (column_values(table, column) for column in (options.label, options.id))
    notices = tuple(shortened_notices(columns))
    return Raw(name, x, labels=labels, columns=columns, gaps=True, ids=ids, notices=notices)


def refuse_absent(table: Any, options: TableOptions, name: str) -> None:
    """Refuses options of columns that are not there.

    Raises:
        OptionError: with the nearest names.
    """
    names = names_of(table)
    for wanted in (*options.aside, *options.kinds):
        if wanted not in names:
            raise OptionError(f"{name} has no column '{wanted}'; {nearest(wanted, names)}")


def table_for_model(table: Any, options: TableOptions, spec: DataSpec, name: str) -> Raw:
    """Reads a table for a trained model; columns set aside in training may be missing.

    Raises:
        DataError: a column is missing or unknown, or its values are not of its kind.
    """
    names = names_of(table)
    wanted = {column.name for column in spec.columns}
    aside = set(options.aside) - wanted
    features = select(table, [column for column in names if column not in aside])
    with converting(name):
        columns = spec.columns or learn_columns(features, options.kinds, name)
        unseen: list[Unseen] = []
        x = encode(features, columns, name, unseen if spec.handle_unknown == "ignore" else None)
    label = options.label if options.label in names else None
    row = options.id if options.id in names else None
    labels, ids = (column_values(table, column) for column in (label, row))
    notices = tuple(unseen_notices(unseen))
    return Raw(name, x, labels=labels, columns=columns, gaps=spec.gaps, ids=ids, notices=notices)


def column_values(table: Any, name: str | None) -> Array | None:
    """Returns a column as it is, text as text with empty gaps; ``None`` for no column."""
    if name is None:
        return None
    import narwhals.stable.v2 as nw

    values = np.asarray(nw.from_native(table, eager_only=True)[name].to_numpy())
    if values.dtype != object:
        return values
    longest = max((len(value) for value in values if isinstance(value, str)), default=0)
    require_memory(4 * longest * len(values), f"column {name:.60}")  # each takes as much as the longest
    return as_text(values)


def is_too_large(source: Any) -> bool:
    """Tells whether a table's file is so large that it is read from disk while it is used."""
    path = as_path(source)
    if path is None or path.suffix.lower() not in COLUMNS or not path.is_file():
        return False
    return is_large(path.stat().st_size)


def _holds_columns(source: Any) -> bool:
    path = as_path(source)
    return path is not None and bool(column_files(path))


def _open_columns(source: Any, how: Opening) -> Any | Store:
    """A table, or a store of its numbers where it is streamed or holds one column of lists."""
    path = Path(source)
    wanted = how.table
    if wanted is None:
        wanted = not how.stream and not is_too_large(path)
    if wanted and not path.is_dir():
        table = read_table(path)
        # One column of lists is an array of examples, not a table.
        nested = importlib.import_module("pyarrow").types.is_nested
        if len(table.column_names) != 1 or not nested(table.schema.types[0]):
            return table
    return open_columns(path)


def _is_text(source: Any) -> bool:
    path = as_path(source)
    return path is not None and path.suffix.lower() in TEXT and not path.is_dir()


FRAMES = Format("tables", is_frame, lambda source, how: source, tables=True)
TEXT_FILES = Format(
    "text tables", _is_text, lambda source, how: read_table(Path(source)), TEXT, tables=True
)
COLUMN_FILES = Format(
    "Parquet and Arrow files", _holds_columns, _open_columns, COLUMNS, stores=True, tables=True
)
