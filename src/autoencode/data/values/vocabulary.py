"""The words of a column of categories: how many a model can know apart, and those that it never saw."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from autoencode.errors import DataError
from autoencode.reading.options import MOST_CATEGORIES
from autoencode.types import UNSEEN, Array, Column

_OWN, _STRETCHES = 64, 16  # states of a column of more: the commonest words, and stretches of the rest
_OFTEN = 5  # times that a word has to come for a state of its own
_LONGEST = 40  # characters of a word in a line


@dataclass(frozen=True)
class Unseen:
    """The values of one column that are no category which training saw.

    Attributes:
        column: its name.
        place: its place among the columns.
        rows: (M,) numbers of their rows, rising.
        words: the M values.
    """

    column: str
    place: int
    rows: Array
    words: tuple[str, ...]

    def of(self, chosen: Array) -> Unseen:
        """Finds those of some rows, by their numbers (K,), which are numbered anew."""
        words = dict(zip(self.rows.tolist(), self.words, strict=True))
        rows = [i for i, row in enumerate(chosen.tolist()) if row in words]
        found = tuple(words[row] for row in chosen[rows].tolist())
        return replace(self, rows=np.array(rows, dtype=int), words=found)

    @property
    def told(self) -> str:
        """Says which they are."""
        n, different = len(self.words), len(set(self.words))
        values = "1 value" if n == 1 else f"{n} values"
        more = f" and {different - 1} more" if different > 1 else ""
        return (
            f"column '{self.column:.{_LONGEST}}': {values} never seen in training "
            f"({self.words[0][:_LONGEST]!r}{more}, first at row {self.rows[0]})"
        )


def learned(column: Column, counts: Counter[str], most: int = MOST_CATEGORIES) -> Column:
    """Gives a column of categories the words that came, and states where they are more than ``most``.

    The 64 commonest words then have a state each, those that came five times or more, and the others
    one for each of 16 stretches of the alphabet, in which about as many values lie: the neighbours of a
    word (of a postcode, of a job) are more like it than any others.

    Example:
        >>> column = learned(Column("job", "category"), Counter({"b": 6, "a": 1, "c": 1}), most=2)
        >>> column.categories, column.counts, column.states
        (('a', 'b', 'c'), (1, 6, 1), (1, 0, 1))
    """
    words = tuple(sorted(counts))
    column = replace(column, categories=words, counts=tuple(counts[word] for word in words), states=())
    if len(words) <= most:
        return column
    return replace(column, states=_states(np.array(column.counts), most))


def _states(counts: Array, most: int) -> tuple[int, ...]:
    """Finds the state of each of the words, which stand in the order of the alphabet."""
    room = max(1, most - 1)  # for a stretch at least
    often = np.argsort(-counts, kind="stable")[: min(_OWN, room)]
    own = often[counts[often] >= _OFTEN]
    states = np.full(len(counts), -1)
    states[own] = np.arange(len(own))
    rest = np.flatnonzero(states < 0)
    stretches = min(_STRETCHES, max(1, most - len(own)), len(rest))
    # The middle of each word on a line of all values that they are.
    middle = (np.cumsum(counts[rest]) - counts[rest] / 2) / counts[rest].sum()
    _, ranks = np.unique((middle * stretches).astype(int), return_inverse=True)
    states[rest] = len(own) + ranks
    return tuple(states.tolist())


def shortened_notices(columns: Iterable[Column]) -> list[str]:
    """Says of which columns a model does not know every word apart, and how it would."""
    found = []
    for column in columns:
        if column.states:
            sizes = np.bincount(column.states)
            own = int((sizes == 1).sum())
            found.append(
                f"column '{column.name:.{_LONGEST}}' has {len(column.categories)} different words: "
                f"{own} of the commonest are learned each by itself, the others in "
                f"{len(sizes) - own} stretches of the alphabet; "
                f"max_categories={len(column.categories)} learns each by itself, which takes long"
            )
    return found


def codes(
    column: Column,
    labels: Sequence[str | None],
    where: str,
    place: int = 0,
    unseen: list[Unseen] | None = None,
) -> Array:
    """Converts labels to their places among a column's categories (N,), NaN where one is missing.

    Args:
        column: of categories.
        labels: N, ``None`` where one is missing.
        where: what to call the column in an error message.
        place: of the column among others.
        unseen: a list that is told of labels that are no category, which become ``UNSEEN``; where it
            is left out they are refused.

    Raises:
        DataError: with the first label that was never seen.
    """
    places = {label: float(i) for i, label in enumerate(column.categories)}
    found = np.array([np.nan if v is None else places.get(v, UNSEEN) for v in labels], dtype=np.float64)
    rows = np.flatnonzero(found == UNSEEN)
    if not len(rows):
        return found
    words = tuple(str(labels[row]) for row in rows.tolist())
    if unseen is not None:
        unseen.append(Unseen(column.name, place, rows, words))
        return found
    different = len(set(words))
    more = f" and {different - 1} more" if different > 1 else ""
    raise DataError(
        f"{where}: the category {words[0][:_LONGEST]!r}{more} (first at row {rows[0]}) was never seen "
        "in training; handle_unknown='ignore' takes it as none of those that are known"
    )


def unseen_notices(unseen: Sequence[Unseen]) -> list[str]:
    """Says in one line which values were never seen, of the first columns, and what becomes of them."""
    if not unseen:
        return []
    more = f"; and {len(unseen) - 2} more columns" if len(unseen) > 2 else ""
    told = "; ".join(one.told for one in unseen[:2])
    return [f"{told}{more}; taken as none of the known, handle_unknown='error' refuses such"]
