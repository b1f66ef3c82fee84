"""What points are coloured, filtered and searched by: labels, parts, errors, scores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from autoencode.data.raw import Factors
from autoencode.explorer.pack import Packed
from autoencode.types import Array

_MOST_GROUPS = 255  # of one column; numbers beyond are a scale, and words lose the rarest
_FEW = 20  # different numbers that are groups and no scale
_MISSING = "(missing)"
_OTHERS = "(other)"


@dataclass(frozen=True, eq=False)
class Column:
    """One value for each point.

    Attributes:
        name: what it is called; from data, so it may be anything.
        role: ``label``, ``part``, ``factor``, ``error``, ``score`` or ``pvalue``.
        values: (N,) float32 on a scale, or uint8 numbers of groups.
        groups: what the groups are called; empty for a scale.
    """

    name: str
    role: str
    values: Array
    groups: tuple[str, ...] = ()

    def add_to(self, packed: Packed) -> dict[str, Any]:
        """Adds the values to a page, and gives what it reads them by."""
        facts = {"name": self.name, "role": self.role, "groups": list(self.groups)}
        return {**facts, "values": packed.add(self.values)}


def category(name: str, role: str, values: Array) -> Column:
    """Makes a column of groups of words (N,), the groups in their natural order.

    >>> category("label", "label", np.array(["10", "9", "9"])).groups
    ('9', '10')
    """
    known, numbers, sizes = np.unique(values.astype(str), return_inverse=True, return_counts=True)
    order = sorted(range(len(known)), key=lambda i: _natural(str(known[i])))
    if len(known) > _MOST_GROUPS:
        kept = np.sort(np.argsort(-sizes, kind="stable")[: _MOST_GROUPS - 1])
        order = [i for i in order if i in set(kept.tolist())]
    place = np.full(len(known), len(order))
    place[order] = np.arange(len(order))
    names = [str(known[i]) for i in order] + ([_OTHERS] if len(order) < len(known) else [])
    return Column(name, role, place[numbers].astype(np.uint8), tuple(names))


def labels_column(parts: Sequence[tuple[Array | None, Array]]) -> Column | None:
    """Makes a column of the labels of parts, each with the rows of it that are points.

    Numbers of many different values are a scale, all else are groups. A label that is missing, or that
    a part has none of, is a group of its own.
    """
    if all(labels is None for labels, _ in parts):
        return None
    given = [
        np.full(len(rows), None, dtype=object) if labels is None else labels[rows]
        for labels, rows in parts
    ]
    if all(np.issubdtype(one.dtype, np.floating) for one in given):
        values = np.concatenate(given)
        if len(np.unique(values[np.isfinite(values)])) > _FEW:
            return Column("label", "label", values.astype(np.float32))
    values = np.concatenate([one.astype(object) for one in given])
    known = [_MISSING if value is None or value != value else _name(value) for value in values]
    return category("label", "label", np.array(known))


def factor_columns(parts: Sequence[tuple[Factors | None, Array]]) -> Iterator[Column]:
    """Yields a column for each known cause of the examples, where all parts know the same ones."""
    known = [factors for factors, _ in parts if factors is not None]
    if not known or len(known) < len(parts) or len({factors.names for factors in known}) > 1:
        return
    for i, name in enumerate(known[0].names):
        values = [one.values[rows, i] for one, (_, rows) in zip(known, parts, strict=True)]
        yield category(name, "factor", np.concatenate(values))


def judged(parts: Sequence[tuple[Array | None, Array | None, Array]]) -> Iterator[Column]:
    """Yields the columns of anomaly scores and of their p-values, where all parts have them."""
    for role, name, place in (("score", "anomaly score", 0), ("pvalue", "anomaly p-value", 1)):
        found = [part[place] for part in parts]
        if parts and all(one is not None for one in found):
            chosen = [one[rows] for one, (_, _, rows) in zip(found, parts, strict=True)]  # type: ignore[index]
            yield Column(name, role, np.concatenate(chosen).astype(np.float32))


def _natural(name: str) -> tuple[int, float, str]:
    """Sorts numbers by their value, and before all words."""
    try:
        return 0, float(name), name
    except ValueError:
        return 1, 0.0, name


def _name(value: Any) -> str:
    """Writes a label, a whole number without a point."""
    whole = isinstance(value, float) and value.is_integer()
    return str(int(value) if whole else value)
