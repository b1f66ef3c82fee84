"""Labels as the context of a conditional model: one-hot, by the classes that the ``DataSpec`` names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from autoencode.data.examples import Data, Examples
from autoencode.data.raw import Array
from autoencode.errors import DataError
from autoencode.types import DataSpec

_MOST_CLASSES = 1000


def conditioned(data: Data) -> Data:
    """The data with a ``DataSpec`` whose context is their labels.

    Example:
        >>> from autoencode.data import load_data
        >>> data = conditioned(load_data("digits"))
        >>> data.spec.context_dim, data.spec.classes[:3]
        (10, ('0', '1', '2'))

    Raises:
        DataError: when there are no labels, too many of them, or the data stay on disk.
    """
    if not isinstance(data.train, Examples):
        raise DataError("a conditional recipe needs its data in memory; use stream=False")
    labels = data.train.labels
    if labels is None:
        raise DataError(
            f"labels missing for a conditional recipe: {data.name} has none; give data with labels, or "
            "use vae"
        )
    classes = tuple(str(value) for value in np.unique(labels))
    if not 2 <= len(classes) <= _MOST_CLASSES:
        raise DataError(
            f"a conditional recipe needs 2 to {_MOST_CLASSES} classes and the labels of {data.name} "
            f"have {len(classes)} values"
        )
    return replace(data, spec=replace(data.spec, context_dim=len(classes), classes=classes))


def class_numbers(labels: Array | Sequence[Any] | None, spec: DataSpec, n: int) -> Tensor:
    """The number of each label's class, (n,).

    Raises:
        DataError: when labels are missing, too few, or of an unknown class.
    """
    if labels is None:
        raise DataError(
            "this model is conditional on labels and these examples have none; give Examples(x, labels)"
        )
    names = [str(value) for value in np.asarray(labels).ravel()]
    if len(names) != n:
        raise DataError(f"expected {n} labels, one for each example, got {len(names)}")
    numbers = {name: i for i, name in enumerate(spec.classes)}
    unknown = sorted(set(names) - numbers.keys())
    if unknown:
        known = ", ".join(spec.classes[:10])
        raise DataError(f"label {unknown[0]!r} is none of the model's classes ({known}, ...)")
    return torch.tensor([numbers[name] for name in names])


def one_hot(numbers: Tensor, spec: DataSpec) -> Tensor:
    """Contexts (n, C) of class numbers (n,)."""
    return torch.nn.functional.one_hot(numbers, spec.context_dim).float()
