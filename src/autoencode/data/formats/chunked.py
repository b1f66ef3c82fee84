"""Stores that come in compressed chunks: Zarr arrays, Parquet and Arrow files.

Each needs a library that is imported when such a file is opened, and an extra that brings it.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from autoencode.data.disk.store import merged, take_by_blocks
from autoencode.data.formats.format import Format, as_path
from autoencode.data.raw import LABEL_KEYS, X_KEYS
from autoencode.data.values.arrays import refuse_dtype
from autoencode.errors import DataError
from autoencode.types import Array

ZARR_MARKS = ("zarr.json", ".zarray", ".zgroup")
_ZARR = ".zarr"
PARQUET = ".parquet"
COLUMNS = (PARQUET, ".arrow", ".feather")


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
class ZarrStore:
    """A store on a Zarr array (N, *D), read in whole chunks (or shards)."""

    name: str
    array: Any
    labels: Array | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.array.shape[1:])

    @property
    def dtype(self) -> np.dtype[Any]:
        dtype: np.dtype[Any] = np.dtype(self.array.dtype)
        return dtype

    def __len__(self) -> int:
        return int(self.array.shape[0]) if self.array.shape else 0

    def read(self, start: int, stop: int) -> Array:
        """Reads the rows from ``start`` to ``stop`` (stop - start, *shape).

        Raises:
            DataError: a chunk is damaged.
        """
        try:
            return np.asarray(self.array[start:stop])
        except Exception as error:  # a codec's complaint can be of any kind
            raise DataError(
                f"{self.name}: rows {start} to {stop - 1} cannot be read ({_short(error)}); "
                "write it again"
            ) from error

    def take(self, rows: Array) -> Array:
        """Reads the rows with these numbers (M,)."""
        return take_by_blocks(self, rows)

    def bounds(self, rows: int) -> Array:
        """Lists the row numbers at which chunks begin."""
        chunk = int((getattr(self.array, "shards", None) or self.array.chunks)[0])
        step = max(1, round(rows / chunk)) * chunk
        return np.append(np.arange(0, len(self), step), len(self))


def open_zarr(path: Path) -> ZarrStore:
    """Opens the examples of a Zarr array, or of a group that holds them under a name in common use.

    Raises:
        DataError: it cannot be read, or one cannot tell which array holds the examples.
    """
    zarr = needed("zarr", "stream-zarr", path)
    try:
        found = zarr.open(str(path), mode="r")
    except Exception as error:
        raise DataError(f"{path}: not a Zarr array ({_short(error)}); write it again") from error
    if hasattr(found, "chunks"):
        return ZarrStore(str(path), found)
    arrays = {key: value for key, value in found.members() if hasattr(value, "chunks")}
    key = next((key for key in X_KEYS if key in arrays), None)
    if key is None and len(arrays) != 1:
        names = ", ".join(sorted(arrays)) or "none"
        raise DataError(
            f"{path}: cannot tell which array holds the examples (arrays: {names}); name it x"
        )
    labels = next((arrays[name][:] for name in LABEL_KEYS if name in arrays and name != key), None)
    return ZarrStore(str(path), arrays[key or next(iter(arrays))], labels)


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
        try:
            table = _read_group(path, self.meta[file], group)
        except Exception as error:
            raise DataError(
                f"{path}: row group {group} cannot be read ({_short(error)}); write it again"
            ) from error
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
    try:
        if path.suffix.lower() == PARQUET:
            parquet = importlib.import_module("pyarrow.parquet")
            meta = parquet.read_metadata(path)
            sizes = [meta.row_group(i).num_rows for i in range(meta.num_row_groups)]
            return meta, sizes, meta.schema.to_arrow_schema().remove_metadata()
        with _arrow_file(path) as reader:
            batches = range(reader.num_record_batches)
            return (
                None,
                [reader.get_batch(i).num_rows for i in batches],
                reader.schema.remove_metadata(),
            )
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; check the path") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({_short(error)}); write it again") from error
    except ValueError as error:  # how pyarrow calls damage
        raise DataError(f"{path}: not an intact file ({_short(error)}); write it again") from error


def _arrow_file(path: Path) -> Any:
    pyarrow, ipc = importlib.import_module("pyarrow"), importlib.import_module("pyarrow.ipc")
    return ipc.open_file(pyarrow.memory_map(str(path)))


def _read_group(path: Path, meta: Any, group: int) -> Any:
    if path.suffix.lower() != PARQUET:
        with _arrow_file(path) as reader:
            return reader.get_batch(group)
    parquet = importlib.import_module("pyarrow.parquet")
    with parquet.ParquetFile(path, metadata=meta) as file:
        return file.read_row_group(group, use_threads=False).combine_chunks()


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


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__


def _is_zarr(source: Any) -> bool:
    path = as_path(source)
    if path is None:
        return False
    return path.suffix.lower() == _ZARR or any((path / mark).exists() for mark in ZARR_MARKS)


ZARR = Format(
    "Zarr arrays", _is_zarr, lambda source, how: open_zarr(Path(source)), (_ZARR,), stores=True
)
