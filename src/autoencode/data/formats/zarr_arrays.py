"""Zarr arrays, which come in compressed chunks.

A chunk that is not stored is made of a fill value, so a few bytes of metadata can claim any size. What
is claimed is held against what is stored before any of it is read.
"""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from autoencode.data.disk.store import take_by_blocks
from autoencode.data.formats.arrow_files import short
from autoencode.data.formats.chunked import needed
from autoencode.data.formats.format import Format, as_path
from autoencode.data.raw import LABEL_KEYS, X_KEYS
from autoencode.errors import DataError, own_warnings
from autoencode.files.free_memory import human, require_memory
from autoencode.types import Array

ZARR_MARKS = ("zarr.json", ".zarray", ".zgroup")
_ZARR = ".zarr"
_METADATA = (*ZARR_MARKS, ".zattrs", ".zmetadata")
_METADATA_TIMES = 60  # the bytes of metadata that they take once they are read
_MISSING = 20  # chunks that may be missing, made of the fill value, for each that is stored
_MOST = 1 << 60  # bytes; more is no array's size


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
            DataError: a chunk is damaged, or the rows do not fit into memory.
        """
        n_bytes = (stop - start) * math.prod(self.shape) * self.dtype.itemsize
        require_memory(n_bytes, f"{self.name}, rows {start} to {stop - 1}")
        try:
            return np.asarray(self.array[start:stop])
        except Exception as error:  # a codec's complaint can be of any kind
            raise DataError(
                f"{self.name}: rows {start} to {stop - 1} cannot be read ({short(error)}); "
                "write it again"
            ) from error

    def take(self, rows: Array) -> Array:
        """Reads the rows with these numbers (M,)."""
        return take_by_blocks(self, rows)

    def bounds(self, rows: int) -> Array:
        """Lists the row numbers at which chunks begin."""
        step = max(1, round(rows / _chunk(self.array)[0])) * _chunk(self.array)[0]
        return np.append(np.arange(0, len(self), step), len(self))


def open_zarr(path: Path) -> ZarrStore:
    """Opens the examples of a Zarr array, or of a group that holds them under a name in common use.

    Raises:
        DataError: it cannot be read, claims what it does not hold, or one cannot tell which array holds
            the examples.
    """
    zarr = needed("zarr", "stream-zarr", path)
    if not path.is_dir():
        raise DataError(f"{path}: not a Zarr array (no such folder); check the path")
    _refuse_odd(path)
    try:
        with own_warnings():  # of entries that it does not know, say
            warnings.simplefilter("ignore")
            found = zarr.open(path, mode="r")
            arrays = {} if hasattr(found, "chunks") else dict(found.members())
    except Exception as error:  # damage surfaces as anything
        raise DataError(f"{path}: not a Zarr array ({short(error)}); write it again") from error
    if hasattr(found, "chunks"):
        return _believed(found, path, path)
    arrays = {key: value for key, value in arrays.items() if hasattr(value, "chunks")}
    key = next((key for key in X_KEYS if key in arrays), None)
    if key is None and len(arrays) != 1:
        names = ", ".join(sorted(arrays)) or "none"
        raise DataError(
            f"{path}: cannot tell which array holds the examples (arrays: {names}); name it x"
        )
    key = key or next(iter(arrays))
    store = _believed(arrays[key], path / key, path)
    label = next((name for name in LABEL_KEYS if name in arrays and name != key), None)
    if label is None:
        return store
    labels = _believed(arrays[label], path / label, path)
    return ZarrStore(str(path), arrays[key], labels.read(0, len(labels)))


def _believed(array: Any, folder: Path, path: Path) -> ZarrStore:
    """Makes a store of an array whose size and chunks can be what they are said to be.

    Raises:
        DataError: they cannot.
    """
    store = ZarrStore(str(path), array)
    try:
        shape, chunk = [int(n) for n in array.shape], _chunk(array)
        item = store.dtype.itemsize
    except Exception as error:
        raise DataError(f"{path}: not a Zarr array ({short(error)}); write it again") from error
    n_bytes = math.prod(shape) * item
    if min(shape, default=0) < 0 or min(chunk, default=1) < 1 or n_bytes > _MOST:
        raise DataError(f"{path}: claims {_times(shape)} values, which cannot be; write it again")
    if not n_bytes:
        return store
    require_memory(2 * math.prod(chunk) * item, f"{path}, a chunk of {_times(chunk)} values")
    n_chunks = math.prod(-(-n // size) for n, size in zip(shape, chunk, strict=True))
    n_stored = sum(1 for file in _files(folder) if Path(file).name not in _METADATA)
    if n_chunks > _MISSING * n_stored:
        raise DataError(
            f"{path}: claims {_times(shape)} values ({human(n_bytes)}), and {n_stored} of {n_chunks} "
            "chunks are stored; write it whole"
        )
    return store


def _chunk(array: Any) -> list[int]:
    """The shape of what is stored in one file."""
    return [int(n) for n in getattr(array, "shards", None) or array.chunks]


def _times(shape: list[int]) -> str:
    return " x ".join(map(str, shape))


def _refuse_odd(path: Path) -> None:
    """Refuses what the library would wait for or read whole: pipes, devices, endless metadata."""
    for file in _files(path):
        require = _METADATA_TIMES if file.name in _METADATA else 2
        require_memory(file.stat().st_size * require, file.path, "write it again")


def _files(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Walks over the files in a folder.

    Raises:
        DataError: something in it is neither a file nor a folder, or leads elsewhere.
    """
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    yield from _files(Path(entry.path))
                elif entry.is_file():
                    yield entry
                else:
                    raise DataError(f"{entry.path}: neither a file nor a folder; remove it")
    except OSError as error:
        raise DataError(f"{folder}: cannot be read ({short(error)}); check the path") from error


def _is_zarr(source: Any) -> bool:
    path = as_path(source)
    if path is None:
        return False
    return path.suffix.lower() == _ZARR or any((path / mark).exists() for mark in ZARR_MARKS)


ZARR = Format(
    "Zarr arrays", _is_zarr, lambda source, how: open_zarr(Path(source)), (_ZARR,), stores=True
)
