"""Codes of many sources, computed by all processes of a job and put together in order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from autoencode import parallel
from autoencode.data import Examples
from autoencode.data.raw import Array
from autoencode.errors import TrainingError
from autoencode.trained import CHUNK, Trained


def embed_all(
    trained: Trained, sources: Sequence[Any], load: Callable[[Any], Examples]
) -> Array | None:
    """The codes (N, *Z) of all examples of all sources, in order: the bits of one process.

    Each process takes whole sources where there are enough of them, else a part of the rows of each.
    The codes travel to process 0 by the network, so nothing is on disk before all are there.

    Args:
        trained: the model, the same on all processes.
        sources: what to embed.
        load: reads one of them; called only where it is needed.

    Returns:
        The codes on process 0, ``None`` on others.

    Raises:
        TrainingError: when a row was lost on the way.
    """
    group = parallel.current()
    by_source = len(sources) >= group.world
    expected = torch.zeros(len(sources), dtype=torch.int64)
    codes = []
    for number, source in enumerate(sources):
        owner = number % group.world
        if by_source and owner != group.rank:
            codes.append(_embed(trained, None))
            continue
        examples = load(source)
        if owner == group.rank:
            expected[number] = len(examples)
        rows = range(len(examples)) if by_source else _rows(len(examples), group)
        codes.append(_embed(trained, examples.take(np.arange(rows.start, rows.stop))))
    group.meet()
    group.sum_(expected)
    return _collected(group, codes, expected.tolist())


def _rows(n: int, group: parallel.Group) -> range:
    """A stretch of whole chunks, so that no row is computed in another company than in one process."""
    chunks = -(-n // CHUNK)
    first, last = (chunks * rank // group.world for rank in (group.rank, group.rank + 1))
    return range(min(n, first * CHUNK), min(n, last * CHUNK))


def _embed(trained: Trained, examples: Examples | None) -> Array:
    if examples is None or not len(examples):
        return np.empty((0, *trained.latent_shape), dtype=np.float32)
    return trained.embed(examples)


def _collected(group: parallel.Group, codes: list[Array], expected: list[int]) -> Array | None:
    merged = []
    for number, (own, n) in enumerate(zip(codes, expected, strict=True)):
        parts = group.collect(torch.from_numpy(own))
        if not group.leads:
            continue
        merged += parts
        if (found := sum(map(len, parts))) != n:
            raise TrainingError(f"source {number + 1}: {n} examples and {found} codes; embed it again")
    return torch.cat(merged).numpy() if group.leads else None
