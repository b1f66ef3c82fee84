"""What every source of data is read into, before anything is decided about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from autoencode.types import Column, DataSpec

Array = NDArray[Any]

# The first key that is there is taken. Keras' mnist.npz, the ADBench files and plain np.savez fit.
X_KEYS = ("x", "X", "x_train", "X_train", "train_images", "train", "images", "data", "arr_0")
LABEL_KEYS = ("y", "Y", "y_train", "Y_train", "train_labels", "labels", "label", "targets")


@dataclass(frozen=True, eq=False)
class Raw:
    """Arrays as a source has them.

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
    """

    name: str
    x: Array
    labels: Array | None = None
    x_test: Array | None = None
    labels_test: Array | None = None
    spec: DataSpec | None = None
    notices: tuple[str, ...] = ()
    columns: tuple[Column, ...] = ()
    gaps: bool = False
    ids: Array | None = None
    ids_test: Array | None = None
