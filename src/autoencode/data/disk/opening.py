"""Opening of data on disk: when they stay there, and how a store becomes ``Data``."""

from __future__ import annotations

import math
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from autoencode.data.disk.store import Store
from autoencode.data.disk.stored import HELD_OUT, Stored
from autoencode.data.disk.value_ranges import survey
from autoencode.data.examples import HELD_OUT_FROM, HELD_OUT_SHARE, Data
from autoencode.data.formats.format import is_large
from autoencode.data.raw import Raw
from autoencode.data.values.arrays import as_labels, refuse_dtype
from autoencode.data.values.ranges import raw_dtype
from autoencode.errors import DataError
from autoencode.files.free_memory import human, require_memory_to_learn
from autoencode.types import Array, Channels, DataSpec, Layout


def stays(source: Any, store: Store, stream: bool | None) -> bool:
    """Tells whether the examples of a source stay in its store; see ``load_data``."""
    if stream is not None:
        return stream
    if isinstance(source, np.memmap):
        return True
    in_place = isinstance(source, str | os.PathLike) and Path(source).suffix.lower() == ".npy"
    return in_place or is_large(_bytes(store))


def read_whole(store: Store) -> Raw:
    """Reads all that a store holds into memory.

    Raises:
        DataError: it does not fit.
    """
    refuse_unusable_store(store)
    require_memory_to_learn(len(store) * math.prod(store.shape), store.dtype.itemsize, store.name)
    return Raw(
        Path(store.name).stem,
        store.read(0, len(store)),
        store.labels,
        ids=getattr(store, "ids", None),
        notices=getattr(store, "notices", ()),
        depth=getattr(store, "depth", ""),
    )


def _bytes(store: Store) -> int:
    return len(store) * math.prod(store.shape) * store.dtype.itemsize


def streamed(
    store: Store,
    labels: Any,
    standardize: str,
    *,
    spec: DataSpec | None = None,
    hold_out: bool = True,
    layout: Layout | None = None,
    channels: Channels | None = None,
) -> Data:
    """Turns a store into data: the training part stays in it, the test part is read.

    Args:
        store: all examples.
        labels: (N,) or ``None``.
        standardize: see ``load_data``.
        spec: how models see the data where that is known already; nothing is read then to find out.
        hold_out: whether there is a test part: a tenth, of which no more than memory allows.
        layout: what an example is; guessed by the number of its axes when ``None``.
        channels: where the channels of images are; guessed when ``None``.

    Raises:
        DataError: the data cannot be learned from.
    """
    refuse_unusable_store(store)
    if len(store) < 2:
        raise DataError(f"{store.name}: needs at least 2 examples, got 1")
    labels = as_labels(store.labels if labels is None else labels, len(store), store.name)
    everything = Stored(store, store.dtype, labels=labels, layout=layout, channels=channels)
    rows = np.empty(0, np.int64)
    if hold_out and len(store) >= HELD_OUT_FROM:
        rows = everything.share(HELD_OUT_SHARE, HELD_OUT)
    dtype, spec, found = _kept_as(store, rows, standardize, spec, layout, channels)
    everything = replace(everything, dtype=dtype)
    test = everything.take(rows) if len(rows) else None
    notices = [
        *everything.notices,
        _told(store),
        *([_held_out(rows, store)] if len(rows) else []),
        *found,
    ]
    name = Path(store.name).stem
    return Data(name, replace(everything, without=rows), test, spec, tuple(notices))


def _kept_as(
    store: Store,
    rows: Array,
    standardize: str,
    spec: DataSpec | None,
    layout: Layout | None,
    channels: Channels | None,
) -> tuple[np.dtype[Any], DataSpec, list[str]]:
    if spec is None:
        storage, spec, notices = survey(store, rows, standardize, layout, channels)
        return np.dtype(storage.dtype), spec, notices
    return np.dtype(raw_dtype(store.dtype, spec.kind, spec.shape)), spec, []


def _told(store: Store) -> str:
    return f"{human(_bytes(store))} are read from disk while training and shuffled in blocks"


def _held_out(rows: Array, store: Store) -> str:
    return f"{len(rows)} of {len(store)} examples held out as the test part, evenly spread"


def refuse_unusable_store(store: Store) -> None:
    """Refuses a store that holds nothing to learn from.

    Raises:
        DataError: with the reason.
    """
    shape = " x ".join(map(str, (len(store), *store.shape)))
    if not store.shape:
        raise DataError(f"{store.name}: expected one row for each example, got shape {shape}")
    refuse_dtype(store.dtype, store.name)
    if not len(store) or not math.prod(store.shape):
        raise DataError(f"{store.name}: no values in it (shape {shape}), 0 examples or 0 features")
