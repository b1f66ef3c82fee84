"""Classes that are left out of training, to see later whether a model tells them from the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from autoencode.data.raw import Array, Raw
from autoencode.errors import DataError

_SHOWN = 10  # labels in an error message


def is_one_of(labels: Array, names: Sequence[str]) -> Array:
    """Which of the labels (N,) are among some names, as text.

    >>> is_one_of(np.array([3, 9, 9]), ["9"]).tolist()
    [False, True, True]
    """
    chosen: Array = np.isin(labels.astype(str), [str(name) for name in names])
    return chosen


def without(raw: Raw, names: Sequence[str]) -> Raw:
    """The data but for the examples whose label is among some names, in training and test part alike.

    They are gone before anything is made of the data, so that no scaling knows them.

    Raises:
        DataError: when there are no labels, no such label, or nothing is left.
    """
    if not names:
        return raw
    if raw.labels is None:
        raise DataError(f"{raw.name} has no labels, so that no class can be left out")
    known = np.unique(raw.labels.astype(str))
    for name in names:
        if str(name) not in known:
            some = ", ".join(known[:_SHOWN]) + (", ..." if len(known) > _SHOWN else "")
            raise DataError(f"{raw.name} has no label '{name}' to leave out; it has {some}")
    kept = ~is_one_of(raw.labels, names)
    if kept.sum() < 2:
        raise DataError("nothing is left to train on; leave out fewer classes")
    listed = ", ".join(map(str, names))
    raw = replace(
        raw,
        x=raw.x[kept],
        labels=raw.labels[kept],
        ids=None if raw.ids is None else raw.ids[kept],
        factors=None if raw.factors is None else raw.factors.take(kept),
        notices=(*raw.notices, f"left out: {int((~kept).sum())} training examples of {listed}"),
    )
    if raw.x_test is None or raw.labels_test is None:
        return raw
    kept = ~is_one_of(raw.labels_test, names)
    if not kept.any():
        raise DataError("no test examples are left; leave out fewer classes")
    return replace(
        raw,
        x_test=raw.x_test[kept],
        labels_test=raw.labels_test[kept],
        ids_test=None if raw.ids_test is None else raw.ids_test[kept],
        factors_test=None if raw.factors_test is None else raw.factors_test.take(kept),
    )
