"""Data that stay on disk: when, and how a store becomes ``Data``."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from autoencode.data.disk.store import Store
from autoencode.data.disk.stored import HELD_OUT, Stored
from autoencode.data.disk.value_ranges import survey
from autoencode.data.examples import HELD_OUT_FROM, HELD_OUT_SHARE, Data
from autoencode.data.formats import chunked, huggingface
from autoencode.data.formats.folders import AS_THEY_ARE, ImageOptions
from autoencode.data.formats.named import catalogue
from autoencode.data.formats.npy import open_memmap, open_npy
from autoencode.data.raw import Raw
from autoencode.data.values.arrays import as_labels, refuse_dtype
from autoencode.errors import DataError, OptionError
from autoencode.files.free_memory import available_memory, human, require_memory
from autoencode.types import Array, DataSpec

STREAMED = (
    ".npy files and memory maps of them, Zarr, Parquet and Arrow files, folders of images, .tar "
    "shards and data sets of Hugging Face"
)

# Training in memory holds the file, its training part and the values as the model sees them.
_SHARE_OF_MEMORY = 1 / 4


def open_store(
    source: Any,
    stream: bool | None,
    data_dir: str | os.PathLike[str] | None = None,
    shape: tuple[int, ...] | None = None,
    images: ImageOptions = AS_THEY_ARE,
) -> Store | None:
    """The store that a source is, ``None`` where it is none or is simply to be read into memory.

    Args:
        source: see ``load_data``.
        stream: whether it is to be streamed, if that is decided; a ``.npy`` file that is not is none.
        data_dir: where decoded images are kept; see ``data_folder``.
        shape: (C, H, W) that images are brought to.
        images: how they are brought to one form.

    Raises:
        OptionError: it has to be streamed and cannot be.
        DataError: it cannot be read.
    """
    store = _opened(source, stream, data_dir, shape, images)
    if store is None and stream:
        what = f"{source!r}" if isinstance(source, str | os.PathLike) else type(source).__name__
        raise OptionError(f"{what} cannot be streamed, only {STREAMED}; leave the option out")
    return store


def _opened(
    source: Any,
    stream: bool | None,
    data_dir: str | os.PathLike[str] | None,
    shape: tuple[int, ...] | None,
    options: ImageOptions,
) -> Store | None:
    if isinstance(source, np.memmap):
        return None if stream is False else open_memmap(source)
    if huggingface.is_dataset(source):
        return huggingface.open_dataset(source, shape, data_dir)
    # The name of a data set is that, also where a folder bears it.
    named = isinstance(source, str) and (not source.strip() or source.lower() in catalogue())
    if named or not isinstance(source, str | os.PathLike):
        return None
    path = Path(source)
    ending = path.suffix.lower()
    if ending == ".npy":
        large = stream or (stream is None and path.is_file() and _is_large(path.stat().st_size))
        return open_npy(path) if large else None
    if huggingface.is_saved(path):
        return huggingface.open_dataset(path, shape, data_dir)
    if ending == ".zarr" or any((path / mark).exists() for mark in chunked.ZARR_MARKS):
        return chunked.open_zarr(path)
    if chunked.column_files(path):
        return chunked.open_columns(path)
    if ending == ".tar" or path.is_dir():
        from autoencode.data.formats import images

        return images.open_images(path, shape, data_dir, options)
    return None


def stays(source: Any, store: Store, stream: bool | None) -> bool:
    """Whether the examples of a source stay in its store; see ``load_data``."""
    if stream is not None:
        return stream
    if isinstance(source, np.memmap):
        return True
    in_place = isinstance(source, str | os.PathLike) and Path(source).suffix.lower() == ".npy"
    return in_place or _is_large(_bytes(store))


def on_disk(source: Any) -> bool:
    """Whether a source that is given in Python may be a store: a memory map, a file or a data set."""
    return isinstance(source, np.memmap | str | os.PathLike) or huggingface.is_dataset(source)


def whole(store: Store) -> Raw:
    """All that a store holds, in memory.

    Raises:
        DataError: it does not fit.
    """
    refuse_unusable_store(store)
    require_memory(_bytes(store), store.name)
    return Raw(
        Path(store.name).stem,
        store.read(0, len(store)),
        store.labels,
        ids=getattr(store, "ids", None),
        notices=getattr(store, "notices", ()),
    )


def is_too_large(source: Any) -> bool:
    """Whether a table's file is so large that it is to be read from disk while it is used."""
    if not isinstance(source, str | os.PathLike):
        return False
    path = Path(source)
    return path.suffix.lower() in chunked.COLUMNS and path.is_file() and _is_large(path.stat().st_size)


def _bytes(store: Store) -> int:
    return len(store) * math.prod(store.shape) * store.dtype.itemsize


def _is_large(n_bytes: int) -> bool:
    available = available_memory()
    return available is not None and n_bytes > available * _SHARE_OF_MEMORY


def reopened(
    source: Any,
    spec: DataSpec,
    data_dir: str | os.PathLike[str] | None = None,
    images: ImageOptions = AS_THEY_ARE,
) -> Data:
    """Data that were streamed before, without reading them to find their spec once more.

    Raises:
        DataError: they cannot be read.
    """
    store = open_store(source, True, data_dir, images=images)
    assert store is not None
    return streamed(store, None, "none", spec=spec)


def streamed(
    store: Store,
    labels: Any,
    standardize: str,
    *,
    spec: DataSpec | None = None,
    hold_out: bool = True,
) -> Data:
    """A store as data: the training part stays in it, the test part is read.

    Args:
        store: all examples.
        labels: (N,) or ``None``.
        standardize: see ``load_data``.
        spec: how models see the data where that is known already; nothing is read then to find out.
        hold_out: whether there is a test part: a tenth, of which no more than memory allows.

    Raises:
        DataError: the data cannot be learned from.
    """
    refuse_unusable_store(store)
    if len(store) < 2:
        raise DataError(f"{store.name}: needs at least 2 examples, got 1")
    labels = as_labels(store.labels if labels is None else labels, len(store), store.name)
    everything = Stored(store, store.dtype, labels=labels)
    rows = np.empty(0, np.int64)
    if hold_out and len(store) >= HELD_OUT_FROM:
        rows = everything.share(HELD_OUT_SHARE, HELD_OUT)
    dtype, spec, found = _kept_as(store, rows, standardize, spec)
    test = Stored(store, dtype, labels=labels).take(rows) if len(rows) else None
    notices = [
        *everything.notices,
        _told(store),
        *([_held_out(rows, store)] if len(rows) else []),
        *found,
    ]
    name = Path(store.name).stem
    return Data(name, Stored(store, dtype, rows, labels), test, spec, tuple(notices))


def _kept_as(
    store: Store, rows: Array, standardize: str, spec: DataSpec | None
) -> tuple[np.dtype[Any], DataSpec, list[str]]:
    if spec is None:
        storage, spec, notices = survey(store, rows, standardize)
        return np.dtype(storage.dtype), spec, notices
    return np.dtype(np.uint8 if store.dtype in (bool, np.uint8) else np.float32), spec, []


def _told(store: Store) -> str:
    return f"{human(_bytes(store))} are read from disk while training and shuffled in blocks"


def _held_out(rows: Array, store: Store) -> str:
    return f"{len(rows)} of {len(store)} examples held out as the test part, evenly spread"


def refuse_unusable_store(store: Store) -> None:
    """Refuse a store that holds nothing to learn from.

    Raises:
        DataError: with the reason.
    """
    shape = " x ".join(map(str, (len(store), *store.shape)))
    if not store.shape:
        raise DataError(f"{store.name}: expected one row for each example, got shape {shape}")
    refuse_dtype(store.dtype, store.name)
    if not len(store) or not math.prod(store.shape):
        raise DataError(f"{store.name}: no values in it (shape {shape}), 0 examples or 0 features")
