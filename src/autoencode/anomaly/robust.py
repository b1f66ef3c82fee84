"""Which training rows look typical, before any model was trained on them."""

from __future__ import annotations

import math

import numpy as np

from autoencode.anomaly.memory import CROWD, Memory
from autoencode.data.raw import Array

SHARE = 0.1  # of the rows is left out of training


def typical_rows(x: Array, keys: list[bytes], seed: int, share: float = SHARE) -> Array:
    """All rows but those that lie farthest from a tenth of the others.

    A network that is wide enough learns a group of anomalies as it learns any rows, and then
    reconstructs them well. Whatever is far from most rows is better left out of its training: with
    clean data that costs little, with contaminated data it gains much (``docs/anomalies.md``).

    Args:
        x: (N, P) rows in comparable units, without gaps.
        keys: what tells them apart (``row_keys``).
        seed: of the rows they are compared with, where there are many.
        share: how many are left out, in [0, 1).

    Returns:
        Numbers of the rows that are kept, in order.
    """
    far = Memory.of(x, keys, seed, CROWD).neighbourhood(x, keys).distances
    kept = len(x) - math.floor(share * len(x))
    return np.sort(np.argsort(far, kind="stable")[:kept])
