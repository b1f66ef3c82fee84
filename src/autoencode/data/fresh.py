"""New examples for a trained model that stay on disk: read in order, a stretch of rows at a time."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from autoencode.data.arrays import refuse_unusable
from autoencode.data.catalogue import catalogue
from autoencode.data.conform import are_fractions, fractions_error, scaled_up, to_spec
from autoencode.data.examples import Examples, load_examples
from autoencode.data.files import rows_in_order
from autoencode.data.folders import AS_THEY_ARE, ImageOptions
from autoencode.data.large import is_too_large, open_store
from autoencode.data.raw import Array
from autoencode.data.stored import Stored
from autoencode.data.stores import Store, refuse_unusable_store
from autoencode.data.survey import blocks
from autoencode.data.tables import NO_OPTIONS, TableOptions
from autoencode.types import DataSpec

_STRETCH_BYTES = 4 << 20


@dataclass(frozen=True, eq=False)
class Fresh(Stored):
    """Examples in a store, each stretch of which is checked and brought to a spec when it is read.

    Attributes:
        spec: what the model was trained on.
    """

    spec: DataSpec = field(default=DataSpec(()), kw_only=True)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one example, as the model sees it."""
        return self.spec.shape

    def read(self, start: int, stop: int) -> Array:
        """The rows from ``start`` to ``stop`` (stop - start, *D), as ``apply_spec`` gives them.

        Raises:
            DataError: a value is missing, or lies outside of what the model was trained on.
        """
        block = self.store.read(start, stop)
        refuse_unusable(block, self.store.name, start)
        return to_spec(block, self.spec, self.store.name, start)


def open_examples(
    source: Any,
    spec: DataSpec,
    *,
    data_dir: str | os.PathLike[str] | None = None,
    table: TableOptions = NO_OPTIONS,
    images: ImageOptions = AS_THEY_ARE,
) -> Examples | Fresh:
    """``load_examples``, but what lies in a store stays there and is read when it is used.

    Args:
        source: see ``load_data``.
        spec: what the model was trained on.
        data_dir: see ``load_data``.
        table: what was said of the columns in training.
        images: what was said of images in training; their size is the model's.

    Raises:
        DataError: the examples do not fit; values are looked at when they are read.
    """
    shape = spec.shape if len(spec.shape) == 3 else None
    named = bool(spec.columns) and not is_too_large(source)  # columns are found by their names
    store = None if named else open_store(source, _in_place(source), data_dir, shape, images)
    if store is None:
        return load_examples(source, spec, data_dir=data_dir, table=table, images=images)
    refuse_unusable_store(store)
    to_spec(np.empty((0, *store.shape), store.dtype), spec, store.name)
    _refuse_fractions(store, spec)
    kept = np.uint8 if store.dtype in (bool, np.uint8) else np.float32
    return Fresh(store, np.dtype(kept), labels=store.labels, spec=spec)


def in_order(examples: Stored, size: int, first: int = 0, last: int | None = None) -> Iterator[Array]:
    """The examples from ``first`` to ``last`` in order, ``size`` at a time.

    The next stretch of rows is read while one is used, so two of them are in memory.

    Args:
        examples: where they are.
        size: of each piece but the last.
        first, last: numbers of examples; all when left out.
    """
    left: Array | None = None
    for block in _ahead(examples, size, first, len(examples) if last is None else last):
        rows = block if left is None else np.concatenate([left, block])
        whole = len(rows) // size * size
        for start in range(0, whole, size):
            yield rows[start : start + size]
        left = rows[whole:].copy() if whole < len(rows) else None
    if left is not None:
        yield left


def _ahead(examples: Stored, size: int, first: int, last: int) -> Iterator[Array]:
    """The same in stretches as the store reads them well."""
    bounds = examples.store.bounds(max(size, _STRETCH_BYTES // examples.row_bytes))
    ends = np.cumsum(examples.counts(bounds)).tolist()
    stretches = [
        (start, stop, max(0, first - begin), last - begin)
        for (start, stop), begin, end in zip(
            itertools.pairwise(bounds.tolist()), [0, *ends], ends, strict=False
        )
        if begin < last and first < end
    ]

    def read(start: int, stop: int, low: int, high: int) -> Array:
        return examples.read(start, stop)[low:high]

    with ThreadPoolExecutor(1, thread_name_prefix="autoencode-read") as pool:
        coming: Future[Array] | None = None
        for stretch in stretches:
            ready, coming = coming, pool.submit(read, *stretch)
            if ready is not None:
                yield ready.result()
                del ready
        if coming is not None:
            yield coming.result()


def _in_place(source: Any) -> bool | None:
    """Whether a source is a ``.npy`` file that can be read where it is; ``None`` for other sources."""
    named = isinstance(source, str) and source.lower() in catalogue()
    if named or not isinstance(source, str | os.PathLike):
        return None
    path = Path(source)
    return rows_in_order(path) if path.suffix.lower() == ".npy" else None


def _refuse_fractions(store: Store, spec: DataSpec) -> None:
    """As ``apply_spec``: looks for a value that is no fraction, mostly found in the first block."""
    if not scaled_up(spec, store.dtype):
        return
    found = False
    for start, stop in blocks(store):
        block = store.read(start, stop)
        refuse_unusable(block, store.name, start)
        if block.max() > 1:
            return
        found = found or are_fractions(block)
    if found:
        raise fractions_error(spec.offset[0] + spec.scale[0], store.name)
