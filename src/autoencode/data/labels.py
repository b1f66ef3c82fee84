"""Labels as the context of a conditional model: one-hot, by the classes that the ``DataSpec`` names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from autoencode.data.examples import Data, Examples
from autoencode.data.raw import Factors, Raw
from autoencode.errors import DataError, OptionError
from autoencode.randomness import mix
from autoencode.types import Array, DataSpec

_MOST_CLASSES = 1000
_HIDING = 6  # beside the numbers of the other streams of randomness
_GIVE = (
    "give a table with --label COLUMN, images in a folder for each class, an .npz with y, or labels="
)


def known_labels(labels: Any) -> tuple[Array, Array]:
    """Converts labels (N,) to text and tells which of them are known (N,).

    Missing are NaN, empty text and, as scikit-learn has it, the integer -1.

    >>> known_labels([3, -1, 10])[1].tolist(), known_labels(np.array([1.0, np.nan]))[0].tolist()
    ([True, False, True], ['1', ''])
    """
    values = np.asarray(labels).ravel()
    names = _names(values)
    known = names != ""
    if values.dtype.kind == "i":
        known = values != -1
    return np.where(known, names, ""), known


def _names(labels: Any) -> Array:
    """Converts labels to text, empty for NaN; whole numbers without a point."""
    values = np.asarray(labels).ravel()
    if values.dtype.kind != "f":
        return values.astype(str)
    known = ~np.isnan(values)
    filled = np.where(known, values, 0.0)
    whole = bool((filled == np.rint(filled)).all())
    return np.where(known, (filled.astype(np.int64) if whole else filled).astype(str), "")


def conditioned(
    data: Data, *, may_miss: bool = False, n_labels: int | None = None, seed: int = 0
) -> Data:
    """Adds the labels to a data set's spec as the context of a conditional model.

    Example:
        >>> from autoencode.data import load_data
        >>> data = conditioned(load_data("digits"))
        >>> data.spec.context_dim, data.spec.classes[:3]
        (10, ('0', '1', '2'))
        >>> conditioned(load_data("digits"), may_miss=True, n_labels=100).spec.labelled < 0.07
        True

    Args:
        data: with labels.
        may_miss: for a model that guesses missing labels (``known_labels`` says which are).
        n_labels: of the training examples' labels keep so many, as near as can be the same number of
            each class, and hide the others.
        seed: which are kept.

    Raises:
        DataError: when there are no labels, too many classes, or the data stay on disk.
        OptionError: for ``n_labels`` that cannot be kept.
    """
    if not isinstance(data.train, Examples):
        raise DataError("a conditional recipe needs its data in memory; use stream=False (--no-stream)")
    if n_labels is not None and not may_miss:
        raise OptionError("only m2_vae takes examples without their labels; leave the number out")
    labels = data.train.labels
    if labels is None:
        raise DataError(
            f"labels missing for a conditional recipe: {data.name} has none; {_GIVE}; or use vae"
        )
    if not may_miss:
        _refuse_missing(labels, data.name)
        spec = _with_classes(data, labels, None)
        if len(spec.classes) > max(2, len(labels) // 2):
            raise DataError(
                f"the labels of {data.name} have {len(spec.classes)} values among {len(labels)} "
                "examples, which are no classes; name another column"
            )
        _refuse_unseen(data, spec)
        return replace(data, spec=spec)
    names, known = known_labels(labels)
    spec = _with_classes(data, labels[known], 1.0)
    _refuse_unseen(data, spec)
    train = data.train
    if n_labels is not None:
        kept = _some_of_each(names, known, n_labels, len(spec.classes), seed)
        known = known & kept
        train = train.labelled(np.where(known, names, ""))
    return replace(data, train=train, spec=replace(spec, labelled=float(known.mean())))


def _refuse_missing(labels: Array, name: str) -> None:
    missing = _names(labels) == ""
    if missing.any():
        raise DataError(
            f"labels missing for a conditional recipe: {int(missing.sum())} of {len(labels)} examples "
            f"of {name} have none; leave those out, or use m2_vae, which guesses them"
        )


def _refuse_unseen(data: Data, spec: DataSpec) -> None:
    """Refuses labels of the test part that no training example has, before anything is trained."""
    if data.test is None or data.test.labels is None:
        return
    names = _names(data.test.labels)
    if spec.labelled is not None:
        names = names[known_labels(data.test.labels)[1]]
    unseen = sorted(set(names.tolist()) - set(spec.classes))
    if unseen:
        raise DataError(
            f"the test part of {data.name} has the label {unseen[0]!r} and no training example has it; "
            f"leave that class out (leave_out=, --leave-out {unseen[0]})"
        )


def _with_classes(data: Data, labels: Array, labelled: float | None) -> DataSpec:
    """Returns the data's spec with the classes of these labels."""
    classes = tuple(_names(np.unique(labels)).tolist())
    if not 2 <= len(classes) <= _MOST_CLASSES:
        raise DataError(
            f"a conditional recipe needs 2 to {_MOST_CLASSES} classes and the labels of {data.name} "
            f"have {len(classes)} values"
        )
    return replace(data.spec, context_dim=len(classes), classes=classes, labelled=labelled)


def _some_of_each(names: Array, known: Array, n: int, n_classes: int, seed: int) -> Array:
    """Chooses n labelled examples, from each class in turn, as a mask (N,)."""
    if not n_classes <= n <= int(known.sum()):
        raise OptionError(
            f"the number of labels to keep must lie in {n_classes} (one of each class) to "
            f"{int(known.sum())} (all there are), got {n}"
        )
    order = np.random.default_rng(mix(seed, _HIDING)).permutation(np.flatnonzero(known))
    # Of each example how many of its class come before it; then the first n by that number.
    turn = np.empty(len(order), dtype=np.int64)
    for name in np.unique(names[order]):
        mine = names[order] == name
        turn[mine] = np.arange(int(mine.sum()))
    chosen = order[np.argsort(turn, kind="stable")[:n]]
    kept = np.zeros(len(names), dtype=bool)
    kept[chosen] = True
    return kept


def class_numbers(labels: Array | Sequence[Any] | None, spec: DataSpec, n: int) -> Tensor:
    """Finds the number of each label's class, (n,).

    Raises:
        DataError: when labels are missing, too few, or of an unknown class.
    """
    if labels is None:
        raise DataError(
            "this model is conditional on labels and these examples have none; give "
            "Examples(x, labels), or labels="
        )
    return _numbers(_names(labels).tolist(), spec, n)


def _numbers(names: list[str], spec: DataSpec, n: int) -> Tensor:
    if len(names) != n:
        raise DataError(f"expected {n} labels, one for each example, got {len(names)}")
    numbers = {name: i for i, name in enumerate(spec.classes)}
    unknown = sorted(set(names) - numbers.keys())
    if "" in unknown:
        raise DataError(
            f"this model is conditional on labels and {names.count('')} of {n} examples have none; "
            "leave those out"
        )
    if unknown:
        known = ", ".join(spec.classes[:10])
        more = ", ..." if len(spec.classes) > 10 else ""
        raise DataError(f"label {unknown[0]!r} is none of the model's classes ({known}{more})")
    return torch.tensor([numbers[name] for name in names], dtype=torch.long)


def one_hot(numbers: Tensor, spec: DataSpec) -> Tensor:
    """Turns class numbers (n,) into one-hot contexts (n, C)."""
    return torch.nn.functional.one_hot(numbers, spec.context_dim).float()


def contexts(labels: Array | None, spec: DataSpec, n: int) -> Tensor:
    """Makes the contexts (n, C) of n examples: one-hot; NaN where a label is missing that may be.

    Raises:
        DataError: when a label is missing that may not be, or is of an unknown class.
    """
    if spec.labelled is None:
        return one_hot(class_numbers(labels, spec, n), spec)
    found = torch.full((n, spec.context_dim), torch.nan)
    if labels is None:
        return found
    names, known = known_labels(labels)
    if len(names) != n:
        raise DataError(f"expected {n} labels, one for each example, got {len(names)}")
    rows = torch.from_numpy(np.flatnonzero(known))
    found[rows] = one_hot(_numbers(names[known].tolist(), spec, len(rows)), spec)
    return found


_SHOWN = 10  # labels in an error message


def is_one_of(labels: Array, names: Sequence[str]) -> Array:
    """Tells which of the labels (N,) are among some names, as text.

    >>> is_one_of(np.array([3, 9, 9]), ["9"]).tolist()
    [False, True, True]
    """
    chosen: Array = np.isin(labels.astype(str), [str(name) for name in names])
    return chosen


def without(raw: Raw, names: Sequence[str]) -> Raw:
    """Removes the examples whose label is among some names, from training and test part.

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


def as_factors(source: Factors | None, n_examples: int, part: str = "data") -> Factors | None:
    """Converts factors to int64 (N, F), ``None`` if there are none.

    Raises:
        DataError: they are no integers, or not one row for each example.
    """
    if source is None:
        return None
    values = np.asarray(source.values)
    if values.ndim != 2 or len(values) != n_examples or values.shape[1] != len(source.names):
        wanted, got = (n_examples, len(source.names)), values.shape
        raise DataError(
            f"{part}: expected factors of shape {wanted}, a row for each example, got {got}"
        )
    if len(set(source.names)) < len(source.names):
        raise DataError(f"{part}: two factors have one name ({', '.join(source.names)})")
    if values.dtype.kind not in "iub" and not (values == np.rint(values)).all():
        raise DataError(f"{part}: factors must be integers, the number of each factor's value")
    return replace(source, values=values.astype(np.int64))
