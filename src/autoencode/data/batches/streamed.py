"""Batches of examples from disk: shuffled in blocks, read ahead, in bounded memory.

An epoch is a random order of blocks (neighbouring rows, read at once). They are taken some at a time
into a window, and the rows of a window are shuffled together::

    store    | b0 | b1 | b2 | b3 | b4 | b5 | b6 | b7 |
    window 0   b5   b2   b7  -> rows of b5, b2, b7 in random order   -> batches
    window 1   b0   b6   b3  -> read meanwhile                       -> batches

Which rows a batch holds depends on the pass alone: not on the number of threads, nor on where in the
pass reading began. Data that fit into one window are shuffled in full.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from autoencode.data.batches.resident import Resident
from autoencode.data.disk.stored import Stored
from autoencode.data.examples import ExampleSet
from autoencode.errors import DataError, OptionError
from autoencode.randomness import block_order, window_order
from autoencode.types import Array, Batch, DataSpec, Pass

WINDOW_BYTES = 128 << 20
_BLOCK_BYTES = 1 << 18
_BLOCKS = 256  # in a window, where rows can be read in any stretches
_LEAST_BLOCKS = 8  # where not; with fewer, a batch would be a few stretches of the file
_WINDOW_ROWS = 1 << 20  # mixes well enough, and bounds the memory that the order of short rows takes


def source_of(
    examples: ExampleSet, spec: DataSpec, device: torch.device | str = "cpu"
) -> Resident | Streamed:
    """Makes the source of batches for examples in memory or on disk."""
    if isinstance(examples, Stored):
        return Streamed(examples, spec, device)
    return Resident(examples.bounded(), spec, device)  # all of them: they are in memory


class Streamed:
    """A source of batches from examples on disk, read while they are used.

    Example:
        >>> import tempfile
        >>> from autoencode.data import load_data
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.save(f"{folder}/x.npy", np.random.default_rng(0).random((500, 6)))
        ...     data = load_data(f"{folder}/x.npy", stream=True)
        ...     source = Streamed(data.train, data.spec)
        ...     [len(batch.x) for batch in source.shuffled(Pass(0, epoch=0, batch_size=200))]
        [200, 200, 50]

    Args:
        examples: N raw examples in a store.
        spec: how a model sees them.
        device: where batches are made.
        window_bytes: of examples that are shuffled together; two windows are in memory at a time.
        threads: how many read; the batches are the same for any number.

    Raises:
        DataError: when the store can only be read in stretches too long for the window.
    """

    def __init__(
        self,
        examples: Stored,
        spec: DataSpec,
        device: torch.device | str = "cpu",
        *,
        window_bytes: int = WINDOW_BYTES,
        threads: int = 1,
    ) -> None:
        if threads < 1:
            raise OptionError(f"the number of threads must be at least 1, got {threads}")
        self.examples, self.device, self.threads = examples, torch.device(device), threads
        self._spec = spec
        fitting = min(window_bytes // examples.row_bytes, _WINDOW_ROWS)
        self._window_rows = max(_LEAST_BLOCKS, fitting)
        block_rows = min(_BLOCK_BYTES // examples.row_bytes, self._window_rows // _BLOCKS)
        self._bounds = examples.store.bounds(max(1, block_rows))
        self._counts = examples.counts(self._bounds)
        longest = int(self._counts.max())
        most = self._window_rows // _LEAST_BLOCKS
        if longest > most and len(examples) > self._window_rows:
            raise DataError(
                f"{examples.store.name}: {longest} rows can only be read together, too many where "
                f"{self._window_rows} are shuffled at a time; store it in chunks of at most {most} rows"
            )

    def __len__(self) -> int:
        return len(self.examples)

    def shuffled(self, one: Pass) -> Iterator[Batch]:
        """Yields the batches of one pass; every process reads all rows and keeps its own."""
        order = block_order(len(self._counts), one.seed, one.epoch).numpy()
        number, skip, windows = self._windows(order, one.start * one.batch_size)
        shuffled = (
            (blocks, window_order(size, one.seed, one.epoch, i))
            for i, (blocks, size) in enumerate(windows, number)
        )
        for rows in self._portions(shuffled, one.batch_size, skip):
            yield self._batch(rows[one.rank :: one.world])
            del rows  # a window is given back as soon as nobody looks at it any more

    def batches(self, size: int) -> Iterator[Batch]:
        """Yields all examples in order, ``size`` at a time."""
        _, _, windows = self._windows(np.arange(len(self._counts)), 0)
        in_order = ((blocks, torch.arange(n)) for blocks, n in windows)
        for rows in self._portions(in_order, size, 0):
            yield self._batch(rows)
            del rows

    def mean(self) -> Tensor:
        """Computes the mean example (*D) as the model sees it, over as many as fit into memory."""
        return Resident(self.examples.bounded(), self._spec).mean().to(self.device)

    def _batch(self, rows: Tensor) -> Batch:
        if rows.dtype == torch.float64:  # which some devices do not have
            return Batch.from_examples(self._spec.seen_on(self.device, rows))
        return Batch.from_examples(self._spec.to_model(rows.to(self.device, non_blocking=True)))

    def _windows(self, order: Array, skip: int) -> tuple[int, int, list[tuple[Array, int]]]:
        """Groups blocks in some order into windows, from the one with the row number ``skip`` on.

        Returns:
            That window's number; the place of the row in it; the blocks of each window and how many
            rows they have.
        """
        counts = self._counts[order]
        ends = np.cumsum(counts)
        window = (ends - counts) // self._window_rows
        cuts = np.flatnonzero(np.diff(window)) + 1
        starts = np.concatenate([[0], ends[cuts - 1], ends[-1:]])
        first = int(np.searchsorted(starts, skip, side="right")) - 1
        groups = np.split(order, cuts)[first:]
        sizes = np.diff(starts[first:]).tolist()
        return first, skip - int(starts[first]), list(zip(groups, sizes, strict=True))

    def _portions(
        self, windows: Iterator[tuple[Array, Tensor]], size: int, skip: int
    ) -> Iterator[Tensor]:
        """Yields rows ``size`` at a time, across windows; the first ``skip`` are left out."""
        left = torch.empty(0)
        for rows in self._read_ahead(windows):
            rows, skip = rows[skip:], 0
            if len(left):
                missing = size - len(left)
                left, rows = torch.cat([left, rows[:missing]]), rows[missing:]
                if len(left) < size:
                    continue
                yield left
            whole = len(rows) // size * size
            yield from rows[:whole].split(size) if whole else ()
            left = rows[whole:].clone()  # a view would keep the whole window in memory
            del rows
        if len(left):
            yield left

    def _read_ahead(self, windows: Iterator[tuple[Array, Tensor]]) -> Iterator[Tensor]:
        """Yields the rows of each window while it reads the next one."""
        pool = ThreadPoolExecutor(self.threads, thread_name_prefix="autoencode-read")
        try:
            coming: tuple[Tensor, list[Future[None]]] | None = None
            for blocks, order in windows:
                ready, coming = coming, self._start(pool, blocks, order)
                if ready is not None:
                    yield _wait(*ready)
                    del ready  # before the next window takes the same memory once more
            if coming is not None:
                yield _wait(*coming)
        finally:
            # Also when the caller stops in the middle: no thread outlives the pass.
            pool.shutdown(wait=True, cancel_futures=True)

    def _start(
        self, pool: ThreadPoolExecutor, blocks: Array, order: Tensor
    ) -> tuple[Tensor, list[Future[None]]]:
        """Begins to read blocks into the rows of a window, each to its places in ``order``."""
        kind = torch.from_numpy(np.empty(0, self.examples.dtype)).dtype
        # Memory of its own for each window: a batch may be a view of it that somebody keeps.
        rows = torch.empty(
            (len(order), *self.examples.shape), dtype=kind, pin_memory=self.device.type == "cuda"
        )
        places = np.split(order.numpy(), np.cumsum(self._counts[blocks])[:-1])
        jobs = [
            pool.submit(self._read, int(block), rows.numpy(), to)
            for block, to in zip(blocks, places, strict=True)
        ]
        return rows, jobs

    def _read(self, block: int, target: Array, places: Array) -> None:
        start, stop = self._bounds[block : block + 2].tolist()
        target[places] = self.examples.read(start, stop)


def _wait(rows: Tensor, jobs: list[Future[None]]) -> Tensor:
    for job in jobs:
        job.result()
    return rows


_STRETCH_BYTES = 4 << 20


def in_order(examples: Stored, size: int, first: int = 0, last: int | None = None) -> Iterator[Array]:
    """Yields the examples from ``first`` to ``last`` in order, ``size`` at a time.

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
    """Yields examples in pieces of the size that the store reads well, one piece ahead."""
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
