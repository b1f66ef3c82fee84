"""Static binarisation: grey values drawn once as black or white, before training."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from autoencode.data.examples import Data, Examples
from autoencode.errors import DataError
from autoencode.types import Array

_CHUNK = 1000  # rows that are drawn together


def binarized_once(data: Data, seed: int = 0) -> Data:
    """Draws every entry of the data as 0 or 1, its value in [0, 1] being the probability.

    Drawn anew at every step (the option ``binarize``), a model learns another, easier thing: their
    likelihoods cannot be compared. The draws are those of this seed, not those of the files that some
    papers share (Larochelle & Murray, 2011).

    Example:
        >>> from autoencode.data import load_data
        >>> data = binarized_once(load_data("digits"), seed=1)
        >>> data.name, sorted(set((data.train.x / data.spec.scale[0]).ravel().tolist()))
        ('digits-binarized-1', [0.0, 1.0])

    Args:
        data: values that a model sees in [0, 1], in memory.
        seed: of the draws.

    Raises:
        DataError: when values are not in [0, 1], or the data stay on disk.
    """
    if not isinstance(data.train, Examples):
        raise DataError("binarising once needs data in memory; use stream=False")
    spec = data.spec
    if spec.kind != "unit" or len(spec.scale) > 1 or spec.gaps:
        raise DataError(
            "only pixels and values in [0, 1] without gaps can be binarised; load rows of such values "
            "with standardize='unit'"
        )
    low, high = spec.offset[0], spec.offset[0] + spec.scale[0]
    rng = np.random.default_rng(seed)

    def drawn(part: Examples) -> Examples:
        x: Array = np.empty(part.shape, part.held.dtype)
        for first, chunk in enumerate(part.chunks(_CHUNK)):
            share = (chunk.x.astype(np.float32) - low) / (high - low)
            on = rng.random(share.shape, np.float32) < share
            x[first * _CHUNK : first * _CHUNK + len(chunk)] = np.where(on, high, low)
        return Examples(x, part.labels, part.ids, factors=part.factors)

    test = None if data.test is None else drawn(data.test)
    return replace(data, name=f"{data.name}-binarized-{seed}", train=drawn(data.train), test=test)
