"""Examples and data sets: arrays, their ``DataSpec`` and a test part."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from autoencode.data.raw import Factors
from autoencode.data.values.vocabulary import Unseen
from autoencode.errors import DataError, OptionError
from autoencode.files.sparse_rows import Held, SparseRows, as_dense
from autoencode.reading import NO_OPTIONS, TableOptions
from autoencode.types import Array, DataSpec

PARTS = ("test", "validation", "train")  # of data
HELD_OUT_SHARE = 0.1
HELD_OUT_FROM = 10  # examples; fewer are all needed for training
_HELD_OUT_SEED = 0
_CHUNK = 4096  # examples; of those that are some rows of more, copied at a time
SPARSE_BYTES = 128 << 20  # of sparse examples that are looked at together, as an array
_VALIDATED = 1 << 29  # of sparse examples to validate on, as an array, which is made in parts
_COPIED = 32 << 20  # bytes; more rows of more are known by their numbers


class Examples:
    """Examples in memory as they are stored; a ``DataSpec`` says how a model sees them.

    Args:
        x: (N, *D) uint8, float32 or float64, images as (N, C, H, W); rows may be sparse.
        labels: (N,) or ``None``.
        ids: (N,) what the source calls each example, or ``None``.
        target: (N, *D) what is to be made of each, where that is not the example itself.
        notices: what the user should know of the reading.
        factors: what each example was made from, or ``None``.
        like: what they were read from, for results in its form (``as_given``): a table, or an array
            without rows; ``None`` where that is not known.
        unseen: values of a table that are no category which training saw.
        rows: (M,) which of the rows of ``x`` and ``target`` are the examples; all when ``None``. So a
            part of data that fill the memory needs no copy of them.
    """

    def __init__(
        self,
        x: Held,
        labels: Array | None = None,
        ids: Array | None = None,
        target: Held | None = None,
        notices: tuple[str, ...] = (),
        factors: Factors | None = None,
        *,
        like: Any = None,
        unseen: tuple[Unseen, ...] = (),
        rows: Array | None = None,
    ) -> None:
        self.held, self.held_target, self.rows = x, target, rows
        self.labels: Array | None = labels
        self.ids: Array | None = ids
        self.factors, self.notices = factors, notices
        self.like, self.unseen = like, unseen

    @property
    def x(self) -> Array:
        """The examples, (N, *D); a copy where they are sparse, or a selection of rows."""
        return as_dense(self.values)

    @property
    def values(self) -> Held:
        """The examples as they are held, sparse where they came so."""
        return self.held if self.rows is None else self.held[self.rows]

    @property
    def target(self) -> Array | None:
        """The targets, (N, *D), ``None`` where each example is its own."""
        found = self.held_target
        if found is None:
            return None
        return as_dense(found if self.rows is None else found[self.rows])

    @property
    def wanted(self) -> Held:
        """What is to be made of the examples, as it is held: targets, or the examples themselves."""
        if self.held_target is None:
            return self.values
        return self.held_target if self.rows is None else self.held_target[self.rows]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape (N, *D) of the examples."""
        return (len(self), *self.held.shape[1:])

    def __len__(self) -> int:
        return len(self.held) if self.rows is None else len(self.rows)

    def take(self, rows: Array) -> Examples:
        """Selects the examples with these row numbers (M,), or where this mask (N,) is true."""
        rows = np.flatnonzero(rows) if rows.dtype == bool else rows
        if len(rows) * self.held[:1].nbytes <= _COPIED:
            return self._copied(rows)
        places = rows if self.rows is None else self.rows[rows]
        small = np.int32 if len(self.held) <= np.iinfo(np.int32).max else np.int64
        places = places.astype(small)
        return Examples(self.held, target=self.held_target, rows=places, **self._beside(rows))

    def chunks(self, size: int) -> Iterator[Examples]:
        """Yields the examples in order, ``size`` at a time."""
        for start in range(0, len(self), size):
            yield self._copied(slice(start, start + size))

    def _copied(self, rows: Array | slice) -> Examples:
        places = rows if self.rows is None else self.rows[rows]
        target = _rows(self.held_target, places)
        return Examples(self.held[places], target=target, **self._beside(rows))

    def _beside(self, rows: Array | slice) -> dict[str, Any]:
        """Selects labels, ids and factors of these rows, as arguments for ``Examples``."""
        factors = None if self.factors is None else self.factors.take(rows)
        found = {"labels": _rows(self.labels, rows), "ids": _rows(self.ids, rows), "factors": factors}
        if not self.unseen:
            return found
        chosen = np.arange(len(self))[rows]
        return {**found, "unseen": tuple(one.of(chosen) for one in self.unseen)}

    def labelled(self, labels: Array | None) -> Examples:
        """Returns the same examples with other labels (N,), or none."""
        return Examples(
            self.held,
            labels,
            self.ids,
            self.held_target,
            self.notices,
            self.factors,
            unseen=self.unseen,
            rows=self.rows,
        )

    def bounded(self) -> Examples:
        """Returns all of the examples, since they are in memory already.

        Of sparse ones as many, evenly spread, as do not fill the memory when they are looked at.
        """
        most = len(self)
        if isinstance(self.held, SparseRows):
            most = max(1, SPARSE_BYTES // max(1, 4 * self.held.shape[1]))
        if len(self) <= most:
            return self
        return self.take(np.linspace(0, len(self) - 1, most).astype(np.int64))

    def split(self, validation: float, seed: int) -> tuple[Examples, Examples]:
        """Splits into training examples and validation examples; see ``Data.split``.

        Of sparse examples no more are validated on than can be looked at after each epoch.
        """
        if isinstance(self.held, SparseRows):
            most = max(1, _VALIDATED // max(1, 4 * self.held.shape[1]))
            validation = min(validation, most / len(self))
        chosen = _some_rows(len(self), validation, seed)
        return self.take(~chosen), self.take(chosen)

    def fingerprint(self, test: Examples | None = None) -> str:
        """Computes a SHA-256 over shapes, dtypes and values of these examples and of a test part.

        Of float64 what float32 holds of it, so that runs are recognised that kept no more.
        """
        digest = hashlib.sha256()
        for part in (self, test):
            if part is None:
                continue
            for name in ("held", "held_target"):
                held: Held | None = getattr(part, name)
                if isinstance(held, SparseRows):
                    for chunk in part.chunks(_CHUNK):
                        digest.update(f"sparse {getattr(chunk, name).shape}\n".encode())
                        for values in getattr(chunk, name).parts():
                            digest.update(np.ascontiguousarray(values).data)
                elif held is not None:
                    kept = np.float32 if held.dtype == np.float64 else held.dtype
                    digest.update(f"{part.shape} {np.dtype(kept).str}\n".encode())
                    for chunk in part.chunks(_CHUNK):
                        digest.update(np.ascontiguousarray(getattr(chunk, name), kept).data)
        return digest.hexdigest()


def _rows(values: Any, rows: Any) -> Any:
    return None if values is None else values[rows]


class ExampleSet(Protocol):
    """A set of examples: ``Examples`` in memory or ``Stored`` on disk."""

    @property
    def labels(self) -> Array | None:
        """One label for each example, (N,), or ``None``."""

    @property
    def ids(self) -> Array | None:
        """Name of each example in its source, (N,), or ``None``."""

    @property
    def notices(self) -> tuple[str, ...]:
        """Notices about the reading for the user."""

    def __len__(self) -> int: ...

    def split(self, validation: float, seed: int) -> tuple[ExampleSet, Examples]:
        """Splits into training examples and validation examples; see ``Data.split``."""

    def bounded(self) -> Examples:
        """Reads as many of the examples as memory allows."""

    def fingerprint(self, test: Examples | None = None) -> str:
        """Computes a SHA-256 that tells whether the examples are the same."""


@dataclass(frozen=True, eq=False)
class Data:
    """A data set, ready to learn from: its training part, test part and spec.

    Attributes:
        name: the data set's name, the file's stem, or ``array``.
        train: the examples to learn from, in memory or in a store.
        test: the data set's own test part or a held-out one, ``None`` when there are too few.
        spec: how models see both.
        notices: things done to the data that the user should know.
        table: how a table was read, with what was found in it.
        validation: the examples to validate on, where they are no share of ``train``.
    """

    name: str
    train: ExampleSet
    test: Examples | None
    spec: DataSpec
    notices: tuple[str, ...] = ()
    table: TableOptions = NO_OPTIONS
    validation: Examples | None = None

    def fingerprint(self) -> str:
        """Computes a SHA-256 over shapes, dtypes and values: the same exactly when the examples are.

        Of data in a store, a part is read (``Stored.fingerprint``).
        """
        return self.train.fingerprint(self.test)

    def split(self, validation: float, seed: int) -> tuple[ExampleSet, Examples | None]:
        """Splits off validation examples; both parts keep their original order.

        Where the data have validation examples of their own, these are given beside the whole part.

        Args:
            validation: the share to validate on, at least one row on either side; 0 for none.
            seed: which rows these are.

        Returns:
            Training examples, and validation examples or ``None``.

        Raises:
            OptionError: for a share outside of [0, 1).
        """
        if not 0 <= validation < 1:
            raise OptionError(f"validation must lie in [0, 1), got {validation}")
        if self.validation is not None:
            return self.train, self.validation
        return self.train.split(validation, seed) if validation else (self.train, None)

    def part(self, name: str, validation: float, seed: int) -> Examples:
        """Gives the test, validation or training examples; of a store as many as memory allows.

        Args:
            name: one of ``PARTS``.
            validation, seed: as in ``split``.

        Raises:
            OptionError: for another name.
            DataError: when there are no such examples.
        """
        check_part(name)
        train, held_out = self.split(validation, seed)
        found = {"test": self.test, "validation": held_out, "train": train}[name]
        if found is None:
            raise DataError(f"{self.name} has no {name} examples; use --split train")
        return found.bounded()


def check_part(name: str) -> None:
    """Refuses a name that no part of data has.

    Raises:
        OptionError: for another name than those of ``PARTS``.
    """
    if name not in PARTS:
        raise OptionError(f"unknown split '{name}'; use {', '.join(PARTS)}")


def _some_rows(n: int, share: float, seed: int) -> Array:
    """Draws a mask (N,) of about ``share`` of the rows, at least one and never all."""
    n_chosen = min(max(1, round(n * share)), n - 1)
    mask = np.zeros(n, dtype=bool)
    mask[np.random.default_rng(seed).permutation(n)[:n_chosen]] = True
    return mask
