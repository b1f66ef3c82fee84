"""Files with named columns: CSV, Parquet, Feather and Arrow."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from autoencode.data.disk.store import Store
from autoencode.data.formats.arrow_files import PARQUET, converting, read_arrow, read_parquet
from autoencode.data.formats.chunked import COLUMNS, column_files, open_columns
from autoencode.data.formats.format import Format, Opening, as_path, is_large
from autoencode.data.formats.text_tables import TEXT, facts_of, read_text, unmarked
from autoencode.data.raw import Raw
from autoencode.data.values.arrays import as_text
from autoencode.data.values.frames import encode, is_frame, learn_columns, names_of, select
from autoencode.data.values.vocabulary import Unseen, shortened_notices, unseen_notices
from autoencode.errors import DataError, OptionError, nearest
from autoencode.files.free_memory import require_memory
from autoencode.reading import NO_OPTIONS, TableOptions
from autoencode.reading.meaning import named, read_meaning, row_names, without_values
from autoencode.types import Array, DataSpec


def read_table(path: Path, options: TableOptions = NO_OPTIONS, wanted: Sequence[str] = ()) -> Any:
    """Reads a file into a pyarrow table.

    Args:
        path: the file.
        options: how a text table is read.
        wanted: names of columns that a model knows.

    Raises:
        DataError: it is missing, damaged or too large for memory.
    """
    if path.suffix.lower() in TEXT:
        return read_text(path, options, wanted)
    return unmarked(read_parquet(path) if path.suffix.lower() == PARQUET else read_arrow(path))


def table_for_training(table: Any, options: TableOptions, name: str, *, leave_out: bool = True) -> Raw:
    """Reads a table for training and decides what its columns are.

    Args:
        table: of any library.
        options: what is said of it.
        name: what to call it.
        leave_out: whether columns that number or name rows are left out, or only told of.

    Raises:
        DataError: a column cannot be learned from.
        OptionError: an option names a column that is not there.
    """
    table, facts = facts_of(named(table))
    refuse_absent(table, options, name)
    kept = [column for column in names_of(table) if column not in options.aside]
    if not len(table):
        raise DataError(f"{name}: the table has no rows; give some")
    if not kept:
        raise DataError(f"{name}: no column is left to learn from; drop fewer")
    with converting(name):
        meant, texts, told = read_meaning(
            table,
            options.spelling,
            kinds=options.kinds,
            names=kept,
            delimiter=facts.delimiter,
            place=facts.place,
            part=name,
        )
        kept, found, notices = names_apart(meant, kept, options, leave_out)
        features = select(meant, kept)
        columns = learn_columns(features, options.kinds, name, options.max_categories)
        columns = tuple(replace(column, text=texts.get(column.name, "")) for column in columns)
        x = encode(features, columns, name)
    labels, ids = (column_values(table, column) for column in (options.label, options.id))
    if not facts.header and options.header is None:
        found = replace(found, header=False)
    return Raw(
        name,
        x,
        labels=labels,
        columns=columns,
        gaps=True,
        ids=ids,
        notices=(*facts.notices, *notices, *told, *shortened_notices(columns)),
        table=found,
    )


def names_apart(
    table: Any, kept: list[str], options: TableOptions, leave_out: bool
) -> tuple[list[str], TableOptions, list[str]]:
    """Leaves columns that number or name rows, and empty ones, out of learning, or tells of them.

    Args:
        table: of any library.
        kept: names of the columns to learn from.
        options: what is said of the table.
        leave_out: whether they are left out.

    Returns:
        The columns to learn from, the options with those left out, and notices.
    """
    asked = {*options.keep, *options.kinds}
    found = row_names(table, [name for name in kept if name not in asked])
    if not leave_out:
        told = [
            f"column '{n}' {why}; it is learned from as all are, drop it where it means nothing"
            for n, why in found.items()
        ]
        return kept, options, told
    empty = without_values(table, kept)
    if len(found) + len(empty) >= len(kept):
        return kept, options, []
    notices = [f"column '{name}' holds no values, is left out of learning" for name in empty]
    notices += [
        f"column '{name}' {why}, is left out of learning; keep={name!r} (--keep {name}) learns from it"
        for name, why in found.items()
    ]
    out = [*empty, *found]
    return [name for name in kept if name not in out], options.without(out), notices


def refuse_absent(table: Any, options: TableOptions, name: str) -> None:
    """Refuses options of columns that are not there.

    Raises:
        OptionError: with the nearest names.
    """
    names = names_of(table)
    for wanted in options.columns:
        if wanted not in names:
            raise OptionError(f"{name} has no column '{wanted}'; {nearest(wanted, names)}")


def table_for_model(table: Any, options: TableOptions, spec: DataSpec, name: str) -> Raw:
    """Reads a table for a trained model; columns set aside in training may be missing.

    Raises:
        DataError: a column is missing or unknown, or its values are not of its kind.
    """
    table, facts = facts_of(named(table))
    names = names_of(table)
    wanted = {column.name for column in spec.columns}
    aside = set(options.aside) - wanted
    features = select(table, [column for column in names if column not in aside])
    with converting(name):
        features, _, _ = read_meaning(
            features,
            options.spelling,
            kinds={column.name: column.kind for column in spec.columns} or options.kinds,
            before={column.name: column.text for column in spec.columns},
            delimiter=facts.delimiter,
            place=facts.place,
            part=name,
        )
        columns = spec.columns or learn_columns(features, options.kinds, name)
        unseen: list[Unseen] = []
        x = encode(features, columns, name, unseen if spec.handle_unknown == "ignore" else None)
    label = options.label if options.label in names else None
    row = options.id if options.id in names else None
    labels, ids = (column_values(table, column) for column in (label, row))
    notices = (*facts.notices, *unseen_notices(unseen))
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
        table = read_table(path, how.said, how.names)
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
    "text tables",
    _is_text,
    lambda source, how: read_table(Path(source), how.said, how.names),
    TEXT,
    tables=True,
)
COLUMN_FILES = Format(
    "Parquet and Arrow files", _holds_columns, _open_columns, COLUMNS, stores=True, tables=True
)
