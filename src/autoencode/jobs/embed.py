"""Codes of many sources, computed by all processes of a job and put together in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch

from autoencode import parallel
from autoencode.data import Examples, Stored
from autoencode.errors import TrainingError
from autoencode.trained import Trained
from autoencode.trained.trained import CHUNK
from autoencode.types import Array


def embed_all(
    trained: Trained, sources: Sequence[Any], load: Callable[[Any], Examples | Stored]
) -> Iterator[Array]:
    """The codes (n, *Z) of all examples of all sources, in order, piece by piece.

    One process computes them while they are taken. Of many, each takes whole sources where there are
    enough of them, else a part of the rows of each; the codes travel to process 0 by the network and
    have to fit into its memory. The bits are those of one process.

    Args:
        trained: the model, the same on all processes.
        sources: what to embed.
        load: opens or reads one of them; called only where it is needed.

    Returns:
        The codes; nothing on other processes than the first.

    Raises:
        TrainingError: when a row was lost on the way.
    """
    if parallel.current().world > 1:
        return iter(_shared(trained, sources, load))
    return _alone(trained, sources, load)


def _alone(
    trained: Trained, sources: Sequence[Any], load: Callable[[Any], Examples | Stored]
) -> Iterator[Array]:
    for number, source in enumerate(sources):
        examples, found = load(source), 0
        for codes in trained.embed_pieces(examples):
            found += len(codes)
            yield codes
        _check(number, len(examples), found)


def _shared(
    trained: Trained, sources: Sequence[Any], load: Callable[[Any], Examples | Stored]
) -> list[Array]:
    group = parallel.current()
    by_source = len(sources) >= group.world
    expected = torch.zeros(len(sources), dtype=torch.int64)
    codes = []
    for number, source in enumerate(sources):
        owner = number % group.world
        rows = range(0)
        if not by_source or owner == group.rank:
            examples = load(source)
            rows = range(len(examples)) if by_source else _rows(len(examples), group)
            if owner == group.rank:
                expected[number] = len(examples)
        own = trained.embed_pieces(examples, rows.start, rows.stop) if rows else ()
        codes.append(np.concatenate([np.empty((0, *trained.latent_shape), np.float32), *own]))
    group.meet()
    group.sum_(expected)
    return _collected(group, codes, expected.tolist())


def _rows(n: int, group: parallel.Group) -> range:
    """A stretch of whole chunks, so that no row is computed in another company than in one process."""
    chunks = -(-n // CHUNK)
    first, last = (chunks * rank // group.world for rank in (group.rank, group.rank + 1))
    return range(min(n, first * CHUNK), min(n, last * CHUNK))


def _collected(group: parallel.Group, codes: list[Array], expected: list[int]) -> list[Array]:
    merged = []
    for number, (own, n) in enumerate(zip(codes, expected, strict=True)):
        parts = group.collect(torch.from_numpy(own))
        if group.leads:
            merged += [part.numpy() for part in parts]
            _check(number, n, sum(map(len, parts)))
    return merged


def _check(number: int, expected: int, found: int) -> None:
    if found != expected:
        raise TrainingError(
            f"source {number + 1}: {expected} examples and {found} codes; embed it again"
        )
