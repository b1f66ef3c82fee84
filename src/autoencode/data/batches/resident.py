"""Batches for the training loop, from examples that all stay on the device."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from autoencode.data.examples import Examples
from autoencode.data.labels import contexts
from autoencode.files.sparse_rows import Held, SparseRows
from autoencode.randomness import epoch_order
from autoencode.types import Array, Batch, DataSpec, Pass

_SPARSE_ROWS = 1 << 14  # summed together
_CHUNK_ENTRIES = 1 << 18  # small enough to stay in the cache


class Resident:
    """A source of batches from examples that stay on the device as they are stored.

    uint8 stays uint8, a quarter of the memory, and is converted when it is gathered; other
    values are scaled once, here, so that a batch of them is a gather and nothing else. Sparse rows stay
    where and as they are; a batch of them becomes an array, on the device.

    Example:
        >>> from autoencode.data import load_data
        >>> data = load_data("digits")
        >>> batch = Resident(data.train, data.spec).batch(torch.tensor([0, 7]))
        >>> batch.x.shape
        torch.Size([2, 1, 8, 8])

    Args:
        examples: N raw examples.
        spec: how a model sees them.
        device: where they are kept and batches are made.
    """

    def __init__(self, examples: Examples, spec: DataSpec, device: torch.device | str = "cpu") -> None:
        self._spec = spec
        rows = None if examples.rows is None else torch.from_numpy(examples.rows).to(device)
        target = examples.held_target
        self._x = _held(examples.held, spec, device, rows)
        self._target = None if target is None else _held(target, spec, device, rows)
        self._device = torch.zeros((), device=device).device
        self._n = len(examples)
        self._context: Tensor | None = None
        if spec.classes:
            self._context = contexts(examples.labels, spec, len(examples)).to(device)

    @property
    def device(self) -> torch.device:
        """Device that holds the examples."""
        return self._device

    def __len__(self) -> int:
        return self._n

    def batch(self, index: Tensor) -> Batch:
        """Gathers the examples with the row numbers ``index`` (B,), as the model sees them."""
        return self._rows(index)

    def shuffled(self, one: Pass) -> Iterator[Batch]:
        """Yields the batches of one pass, in the order of a random permutation."""
        order = epoch_order(len(self), one.seed, one.epoch).to(self.device)
        for first in range(one.start * one.batch_size, len(self), one.batch_size):
            yield self.batch(order[first : first + one.batch_size][one.rank :: one.world])

    def batches(self, size: int) -> Iterator[Batch]:
        """Yields all examples in order, ``size`` at a time."""
        for start in range(0, len(self), size):
            rows = slice(start, start + size)
            yield self._rows(rows)

    def _rows(self, rows: Tensor | slice) -> Batch:
        target = None if self._target is None else self._target.rows(rows)
        batch = self._spec.batch(self._x.rows(rows), target)
        return batch if self._context is None else replace(batch, context=self._context[rows])

    def mean(self) -> Tensor:
        """Computes the mean target (*D) over known values, as the model sees it."""
        held = self._x if self._target is None else self._target
        if isinstance(held, _Sparse):
            return held.mean().to(self.device)
        size = max(1, _CHUNK_ENTRIES // self._spec.size)
        # Summed on the CPU: some accelerators have no float64.
        total, known = torch.zeros((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
        for batch in self.batches(size):
            total = total + batch.target.cpu().nansum(0, dtype=torch.float64)
            known = known + (len(batch.x) if batch.mask is None else batch.mask.cpu().sum(0))
        return (total / known.clamp_min(1)).to(self.device, torch.float32)


class _Rows(Protocol):
    """Rows that are given as the model sees them."""

    def rows(self, which: Tensor | slice) -> Tensor: ...


def _held(held: Held, spec: DataSpec, device: torch.device | str, numbers: Tensor | None) -> _Rows:
    kind = _Sparse if isinstance(held, SparseRows) else _Dense
    return kind(held, spec, device, numbers)  # type: ignore[arg-type]


class _Sparse:
    """Sparse rows, some of which at a time are given as the model sees them.

    Args:
        held: (N, D) raw values.
        spec: how a model sees them.
        device: where they are wanted.
        numbers: (M,) those of the rows that are the examples; all when ``None``.
    """

    def __init__(
        self, held: SparseRows, spec: DataSpec, device: torch.device | str, numbers: Tensor | None
    ) -> None:
        self._held, self._spec, self._device = held, spec, device
        self._numbers = None if numbers is None else numbers.cpu().numpy()
        # Where zeros stay zeros, only what is not zero is scaled: the same bits, and less of them.
        still = spec.kind == "real" and len(spec.scale) > 1 and not any(spec.offset)
        dtype = np.float64 if held.dtype == np.float64 else np.float32
        self._scale = np.asarray(spec.scale, dtype) if still else None

    def rows(self, which: Tensor | slice) -> Tensor:
        """Returns the examples (B, D) with these numbers."""
        chosen = which if isinstance(which, slice) else which.cpu().numpy()
        found = self._held[chosen if self._numbers is None else self._numbers[chosen]]
        if self._scale is None:
            return self._spec.seen_on(self._device, torch.from_numpy(found.dense()))
        scaled = found.values.astype(self._scale.dtype) / self._scale[found.columns]
        return torch.from_numpy(found.with_values(scaled.astype(np.float32)).dense()).to(self._device)

    def mean(self) -> Tensor:
        """Computes the mean (D,) over known values, as the model sees it, from those that are held."""
        numbers = np.arange(len(self._held)) if self._numbers is None else self._numbers
        total, known = np.zeros(self._spec.size), np.full(self._spec.size, len(numbers))
        for start in range(0, len(numbers), _SPARSE_ROWS):
            part = self._held[numbers[start : start + _SPARSE_ROWS]]
            values, columns = part.values.astype(np.float64), part.columns
            gone = np.isnan(values)
            known -= np.bincount(columns[gone], minlength=len(known))
            total += np.bincount(columns[~gone], values[~gone], len(total))
        return self._spec.to_model(torch.from_numpy(total / np.maximum(known, 1))[None])[0]


class _Dense:
    """An array on the device whose rows are given as the model sees them.

    Args:
        array: (N, *D) raw values.
        spec: how a model sees them.
        device: where they are kept.
        numbers: (M,) those of its rows that are the examples; all when ``None``.
    """

    def __init__(
        self, array: Array, spec: DataSpec, device: torch.device | str, numbers: Tensor | None
    ) -> None:
        # A tensor over memory that must not be written is a trap that torch warns of.
        writeable = array if array.flags.writeable else array.copy()
        values = torch.from_numpy(np.ascontiguousarray(writeable))
        if values.is_floating_point():
            if numbers is not None:  # of what is scaled, so copied, no more than the examples
                values, numbers = values.index_select(0, numbers.cpu()), None
            values = spec.seen_on(device, values)
            spec = DataSpec(spec.shape, spec.kind)
        values = values.to(device)
        self.values, self._spec, self._numbers = values, spec, numbers

    def rows(self, which: Tensor | slice) -> Tensor:
        """Returns the examples (B, *D) with these numbers."""
        if self._numbers is not None:
            which = self._numbers[which]
        found = self.values[which] if isinstance(which, slice) else self.values.index_select(0, which)
        return self._spec.to_model(found)
