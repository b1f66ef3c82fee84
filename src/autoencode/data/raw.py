"""The arrays that every source of data is read into, before anything is decided about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from autoencode.files.sparse_rows import Held
from autoencode.reading import NO_OPTIONS, TableOptions
from autoencode.types import Array, Column, DataSpec

# The first key that is there is taken. Keras' mnist.npz, the ADBench files and plain np.savez fit.
X_KEYS = ("x", "X", "x_train", "X_train", "train_images", "train", "images", "imgs", "data", "arr_0")
LABEL_KEYS = ("y", "Y", "y_train", "Y_train", "train_labels", "labels", "label", "targets")
FACTOR_KEYS = ("factors", "factors_train", "latents_classes")  # the last one is dSprites'


@dataclass(frozen=True, eq=False)
class Factors:
    """The known factors that examples were made from.

    Attributes:
        values: (N, F) integers, the number of each factor's value.
        names: what the F factors are called.
        unordered: those whose values have no order.
    """

    values: Array
    names: tuple[str, ...]
    unordered: tuple[str, ...] = ()

    def take(self, rows: Array | slice) -> Factors:
        """Selects the factors of examples with these row numbers (M,), or of a mask (N,)."""
        return replace(self, values=self.values[rows])

    def of(self, names: Sequence[str]) -> Factors:
        """Selects the factors with these names."""
        columns = [self.names.index(name) for name in names]
        unordered = tuple(name for name in self.unordered if name in names)
        return Factors(self.values[:, columns], tuple(names), unordered)

    def varying(self) -> Factors:
        """Selects the factors that have more than one value."""
        varies = (self.values != self.values[:1]).any(axis=0)
        return self.of([name for name, one in zip(self.names, varies, strict=True) if one])


@dataclass(frozen=True, eq=False)
class Raw:
    """The arrays of a source, unchanged.

    Attributes:
        name: what the data are called.
        x: (N, ...) the training examples.
        labels: (N,) or ``None``.
        x_test: (M, ...) the source's own test part, ``None`` when it has none.
        labels_test: (M,) or ``None``.
        spec: how models see the data, where the source is so well known that nothing is to be
            guessed; the arrays are then laid out as it says.
        notices: what the user should know about the reading.
        columns: names and kinds of a table's columns.
        gaps: whether values may be missing (NaN).
        ids: (N,) what the source calls each example, ``None`` when it has no names for them.
        ids_test: (M,) the same of the test part.
        factors: what each example was made from, ``None`` where that is not known.
        factors_test: the same of the test part.
        table: how a table was read, with what was found in it.
        depth: of images that were decoded, the name of the dtype of their pixels; empty otherwise.
    """

    name: str
    x: Held
    labels: Array | None = None
    x_test: Held | None = None
    labels_test: Array | None = None
    spec: DataSpec | None = None
    notices: tuple[str, ...] = ()
    columns: tuple[Column, ...] = ()
    gaps: bool = False
    ids: Array | None = None
    ids_test: Array | None = None
    factors: Factors | None = None
    factors_test: Factors | None = None
    table: TableOptions = NO_OPTIONS
    depth: str = ""
