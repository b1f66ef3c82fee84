"""Stores on the columns of Parquet and Arrow files, which come in compressed groups of rows."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from autoencode.data.disk.store import merged, take_by_blocks
from autoencode.data.formats.arrow_files import (
    PARQUET,
    batches,
    open_regular_in_words,
    parsing,
    sound,
    unpacked_group,
)
from autoencode.data.values.arrays import refuse_dtype
from autoencode.errors import DataError
from autoencode.files.free_memory import require_memory
from autoencode.types import Array

COLUMNS = (PARQUET, ".arrow", ".feather")
_MOST_ROWS = 1 << 48  # of one group


def needed(library: str, extra: str, what: object) -> Any:
    """Imports a library that an extra of the package brings.

    Raises:
        DataError: it is not installed.
    """
    try:
        return importlib.import_module(library)
    except ImportError as error:
        raise DataError(
            f"{what}: needs {library.partition('.')[0]}; install it with "
            f"pip install 'autoencode[{extra}]'"
        ) from error


@dataclass(frozen=True, eq=False)
class ColumnStore:
    """A store on the columns of Parquet or Arrow files as rows of numbers, read in whole row groups.

    Attributes:
        files: the files, in order of their names.
        meta: what to open each with again, so that its footer is parsed once.
        starts: (G + 1,) the first row of each row group, over all files.
        groups: (G, 2) its file and its number in it.
    """

    name: str
    files: tuple[Path, ...]
    meta: tuple[Any, ...]
    starts: Array
    groups: Array
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    labels: Array | None = None

    def __len__(self) -> int:
        return int(self.starts[-1])

    def read(self, start: int, stop: int) -> Array:
        """Reads the rows from ``start`` to ``stop`` (stop - start, *shape).

        Raises:
            DataError: a row group is damaged, or a value is missing where none can be.
        """
        block = np.empty((stop - start, *self.shape), self.dtype)
        first = int(np.searchsorted(self.starts, start, side="right")) - 1
        while self.starts[first] < stop:
            begin = int(self.starts[first])
            values = self._group(first)[max(0, start - begin) : stop - begin]
            to = max(start, begin) - start
            block[to : to + len(values)] = values
            first += 1
        return block

    def take(self, rows: Array) -> Array:
        """Reads the rows with these numbers (M,)."""
        return take_by_blocks(self, rows)

    def bounds(self, rows: int) -> Array:
        """Lists the row numbers at which row groups begin."""
        return merged(self.starts, rows)

    def _group(self, number: int) -> Array:
        file, group = self.groups[number].tolist()
        path = self.files[file]
        table = _read_group(path, self.meta[file], group)
        return _as_rows(table, self.shape, self.dtype, str(path))


def column_files(path: Path) -> list[Path]:
    """Lists the Parquet and Arrow files that a path means: itself, or those in the folder."""
    found = sorted(path.rglob("*")) if path.is_dir() else [path]
    return [file for file in found if file.suffix.lower() in COLUMNS]


def open_columns(path: Path) -> ColumnStore:
    """Opens the rows of a Parquet or Arrow file, or of a folder of such files.

    All columns must be numbers; or there is one column of lists of one length, the examples.

    Raises:
        DataError: it cannot be read, or holds other columns.
    """
    files = column_files(path)
    meta, starts, groups, schema = [], [0], [], None
    for i, file in enumerate(files):
        found, sizes, own = _layout(file)
        if schema is not None and not own.equals(schema):
            raise DataError(f"{file}: has other columns than {files[0]}; keep them apart")
        schema = own
        meta.append(found)
        for group, size in enumerate(sizes):
            if size:
                starts.append(starts[-1] + size)
                groups.append((i, group))
    shape, dtype = _row_type(schema, path)
    return ColumnStore(
        str(path),
        tuple(files),
        tuple(meta),
        np.array(starts),
        np.array(groups).reshape(-1, 2),
        shape,
        dtype,
    )


def _layout(path: Path) -> tuple[Any, list[int], Any]:
    """Reads a file's metadata (for opening it again), the rows of its groups, and its columns."""
    with open_regular_in_words(path) as handle, parsing(path):
        if path.suffix.lower() == PARQUET:
            groups: Any = importlib.import_module("pyarrow.parquet").read_metadata(handle)
            sizes = [groups.row_group(i).num_rows for i in range(groups.num_row_groups)]
            schema = groups.schema.to_arrow_schema()
        else:
            groups = batches(handle)
            sizes = [group.rows(handle) for group in groups]
            schema = importlib.import_module("pyarrow.ipc").open_file(handle).schema
        if any(not 0 <= size < _MOST_ROWS for size in sizes):
            raise ValueError("a number of rows that cannot be")
        return groups, sizes, schema.remove_metadata()


def _read_group(path: Path, meta: Any, group: int) -> Any:
    with open_regular_in_words(path) as handle, parsing(path, f"file in row group {group}"):
        if path.suffix.lower() != PARQUET:
            require_memory(2 * meta[group].unpacked(handle) + meta[group].body, str(path))
            batch = importlib.import_module("pyarrow.ipc").open_file(handle).get_batch(group)
            return sound(batch, path)
        require_memory(2 * unpacked_group(meta, group), str(path))
        with importlib.import_module("pyarrow.parquet").ParquetFile(handle, metadata=meta) as file:
            return sound(file.read_row_group(group, use_threads=False), path).combine_chunks()


def _row_type(schema: Any, path: Path) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Determines shape and dtype of a row with these columns."""
    types = importlib.import_module("pyarrow").types
    if len(schema.names) == 1 and types.is_fixed_size_list(schema.types[0]):
        kind = schema.types[0]
        return (kind.list_size,), _dtype(kind.value_type, schema.names[0], path)
    dtypes = [_dtype(kind, name, path) for name, kind in zip(schema.names, schema.types, strict=True)]
    return (len(dtypes),), np.result_type(*dtypes) if dtypes else np.dtype(np.float32)


def _dtype(kind: Any, name: str, path: Path) -> np.dtype[Any]:
    try:
        dtype: np.dtype[Any] = np.dtype(kind.to_pandas_dtype())
    except (NotImplementedError, TypeError):
        dtype = np.dtype(object)
    if dtype.kind not in "biuf":
        raise DataError(f"{path}: column {name} holds {kind}; drop it or encode it as numbers first")
    refuse_dtype(dtype, str(path))
    return dtype


def _as_rows(table: Any, shape: tuple[int, ...], dtype: np.dtype[Any], where: str) -> Array:
    rows = np.empty((table.num_rows, *shape), dtype)
    for i, name in enumerate(table.schema.names):
        column = table.column(i)
        if hasattr(column, "chunks"):
            column = column.combine_chunks()
        if column.null_count and dtype.kind != "f":
            raise DataError(f"{where}: missing values in column {name}; drop or fill them first")
        if hasattr(column, "flatten") and str(column.type).startswith("fixed_size_list"):
            return np.asarray(column.flatten()).reshape(-1, *shape).astype(dtype, copy=False)
        rows[:, i] = column.to_numpy(zero_copy_only=False)
    return rows
