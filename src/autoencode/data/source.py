"""Batches for the training loop, from examples that all stay on the device."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from autoencode.data.conditions import class_numbers, one_hot
from autoencode.data.examples import Examples
from autoencode.randomness import epoch_order
from autoencode.types import Batch, DataSpec, Pass

_CHUNK_ENTRIES = 1 << 18  # small enough to stay in the cache


class Resident:
    """Examples held on the device as they are stored, gathered batch by batch.

    uint8 stays uint8, a quarter of the memory, and is converted when it is gathered; float32
    values are scaled once, here, so that a batch of them is a gather and nothing else.

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
        classes = spec
        # A tensor over memory that must not be written is a trap that torch warns of.
        writeable = examples.x if examples.x.flags.writeable else examples.x.copy()
        x = torch.from_numpy(np.ascontiguousarray(writeable)).to(device)
        if x.is_floating_point():
            x = spec.to_model(x)
            spec = DataSpec(spec.shape, spec.kind, gaps=spec.gaps)
        self.x = x
        self._spec = spec
        self._context: Tensor | None = None
        if classes.classes:
            numbers = class_numbers(examples.labels, classes, len(x))
            self._context = one_hot(numbers, classes).to(device)

    def __len__(self) -> int:
        return len(self.x)

    def batch(self, index: Tensor) -> Batch:
        """The examples with the row numbers ``index`` (B,), as the model sees them."""
        return self._with_context(self._spec.to_model(self.x.index_select(0, index)), index)

    def shuffled(self, one: Pass) -> Iterator[Batch]:
        """The batches of one pass, in the order of a random permutation."""
        order = epoch_order(len(self), one.seed, one.epoch).to(self.x.device)
        for first in range(one.start * one.batch_size, len(self), one.batch_size):
            yield self.batch(order[first : first + one.batch_size][one.rank :: one.world])

    def batches(self, size: int) -> Iterator[Batch]:
        """All examples in order, ``size`` at a time."""
        for start in range(0, len(self), size):
            rows = slice(start, start + size)
            yield self._with_context(self._spec.to_model(self.x[rows]), rows)

    def _with_context(self, x: Tensor, rows: Tensor | slice) -> Batch:
        batch = self._spec.batch(x)
        return batch if self._context is None else replace(batch, context=self._context[rows])

    def mean(self) -> Tensor:
        """The mean example (*D) of what is known, as the model sees it."""
        size = max(1, _CHUNK_ENTRIES // self._spec.size)
        # Summed on the CPU: some accelerators have no float64.
        total, known = torch.zeros((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
        for batch in self.batches(size):
            total = total + batch.x.cpu().nansum(0, dtype=torch.float64)
            known = known + (len(batch.x) if batch.mask is None else batch.mask.cpu().sum(0))
        return (total / known.clamp_min(1)).to(self.x.device, torch.float32)
