"""What a file says beside what Python says of the same examples."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from autoencode.errors import IncompatibleError
from autoencode.export.ports import Part
from autoencode.types import Array

TOLERANCE = 1e-5
#: Of the examples: where a nearest codeword, a likeliest word or a largest entry was chosen between two
#: that are equal up to rounding, everything after it differs.
CHOICES = 1e-3
_CHUNK = 1000

#: Inputs of a part, one array (N, ...) each, to its outputs.
Way = Callable[[Sequence[Array]], Sequence[Array]]


@dataclass(frozen=True)
class Parity:
    """How far a file is from Python.

    Attributes:
        rows: how many examples were compared.
        source: where they came from.
        largest: for each output the largest difference among the examples that agree, over what its
            values vary by (or over the value itself, where that is larger).
        differing: how many examples differ by more than the tolerance.
        decisions: of a score: how many were compared, how many differ, and how many of these and the
            others lie within the tolerance of the threshold.
    """

    rows: int
    source: str
    largest: Mapping[str, float]
    differing: int
    decisions: Mapping[str, int] = field(default_factory=dict)

    @property
    def worst(self) -> float:
        """The largest difference of all outputs."""
        return max(self.largest.values(), default=0.0)

    def __str__(self) -> str:
        said = f"{self.rows} examples ({self.source}) as in Python to {self.worst:.1e}"
        if self.differing:
            said += f", {self.differing} of them chosen otherwise between equals"
        if self.decisions:
            near = self.decisions["near_the_threshold"]
            other = self.decisions["different"]
            said += f"; the same decisions but for {other} of {near} at the threshold"
        return said

    def as_dict(self) -> dict[str, Any]:
        """Writes it for the manifest."""
        found = {
            "rows": self.rows,
            "from": self.source,
            "largest": dict(self.largest),
            "tolerance": TOLERANCE,
            "measured_in": "what the entry varies by in the data (of codes and scores all of them), "
            "or the value itself where that is larger",
            "rows_that_differ": self.differing,
        }
        return found | ({"decisions": dict(self.decisions)} if self.decisions else {})


def compare(part: Part, way: Way, rows: Any, source: str) -> Parity:
    """Compares what a file gives with what Python gives.

    Args:
        part: what the file was made of.
        way: runs the file.
        rows: examples, as ``Part.given`` takes them.
        source: where they came from.

    Raises:
        IncompatibleError: when they differ by more than rounding.
    """
    given, expected = part.given(rows), part.expected(rows)
    found = _in_chunks(way, given)
    alone = way([one[:1] for one in given])
    largest: dict[str, float] = {}
    apart = np.zeros(len(rows), bool)
    for i, port in enumerate(part.outputs):
        if port.dtype == "bool":
            continue
        errors = _errors(found[i], expected[i], part.sizes.get(port.name))
        apart |= errors > TOLERANCE
        agreeing = errors[errors <= TOLERANCE]
        largest[port.name] = float(agreeing.max()) if len(agreeing) else 0.0
        one = _errors(alone[i], found[i][:1], part.sizes.get(port.name, _spread(expected[i])))
        if one.max() > TOLERANCE and not apart[0]:
            raise _differs(
                part, f"one example by itself differs from it among others by {one.max():.2g}"
            )
    differing = int(apart.sum())
    if differing > CHOICES * len(rows):
        worst = max(
            float(_errors(a, b, part.sizes.get(port.name)).max())
            for port, a, b in zip(part.outputs, found, expected, strict=True)
            if port.dtype != "bool"
        )
        raise _differs(
            part, f"{differing} of {len(rows)} examples, by up to {worst:.2g} of their spread"
        )
    decisions = _decisions(part, found, expected)
    if decisions.get("different", 0) > decisions.get("different_near_the_threshold", 0):
        raise _differs(part, f"{decisions['different']} of {len(rows)} decisions")
    return Parity(len(rows), source, largest, differing, decisions)


def _differs(part: Part, how: str) -> IncompatibleError:
    return IncompatibleError(
        f"{part.name} was not exported: the file does not say what Python says ({how}; "
        f"{TOLERANCE:g} is allowed); leave this part out, or use another recipe"
    )


def _decisions(part: Part, found: Sequence[Array], expected: Sequence[Array]) -> dict[str, int]:
    """Counts flags that differ, and those within the tolerance of the threshold."""
    names = [port.name for port in part.outputs]
    if part.limit is None:
        return {}
    flag, score = names.index("anomalous"), names.index("score")
    unit = max(_spread(expected[score]), abs(part.limit))
    near = np.abs(expected[score] - part.limit) <= TOLERANCE * unit
    different = found[flag] != expected[flag]
    return {
        "rows": len(near),
        "near_the_threshold": int(near.sum()),
        "different": int(different.sum()),
        "different_near_the_threshold": int((different & near).sum()),
    }


def _in_chunks(way: Way, given: Sequence[Array]) -> list[Array]:
    pieces = [way(piece) for piece in _chunks(given)]
    return [np.concatenate(parts) for parts in zip(*pieces, strict=True)]


def _chunks(given: Sequence[Array]) -> Iterator[list[Array]]:
    for first in range(0, len(given[0]), _CHUNK):
        yield [one[first : first + _CHUNK] for one in given]


def _spread(values: Array) -> float:
    """What results (N, ...) vary by, all entries together."""
    wide = values.astype(np.float64)
    return max(float(np.nanstd(wide)), 1e-6 * float(np.nanmax(np.abs(wide), initial=0.0)), 1e-30)


def _errors(found: Array, expected: Array, sizes: Any) -> Array:
    """Measures how far each example (N,) is from what is expected, in what the values vary by."""
    wanted, got = expected.astype(np.float64), found.astype(np.float64)
    if wanted.shape != got.shape:
        return np.full(len(wanted), np.inf)
    unit = np.maximum(_spread(wanted) if sizes is None else sizes, np.abs(np.nan_to_num(wanted)))
    both = np.isnan(wanted) & np.isnan(got)
    with np.errstate(invalid="ignore"):
        errors = np.where(both | (wanted == got), 0.0, np.abs(got - wanted) / unit)
    worst: Array = np.nan_to_num(errors, nan=np.inf).reshape(len(wanted), -1).max(1, initial=0.0)
    return worst
