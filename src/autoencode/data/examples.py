"""From anything that holds examples to ``Data``: arrays, a ``DataSpec`` and a test part.

source -> read -> Raw -> as_array -> channels_first -> choose_storage -> Examples + DataSpec
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch.utils.data import Dataset

from autoencode.data.arrays import as_array, as_labels, extremes, from_dataset, place
from autoencode.data.catalogue import catalogue, read_named
from autoencode.data.download import OnBytes
from autoencode.data.files import SUPPORTED, read_file
from autoencode.data.folders import AS_THEY_ARE, ImageOptions
from autoencode.data.frames import encode, is_frame
from autoencode.data.leaving import without
from autoencode.data.ranges import (
    CHANNELS,
    Standardize,
    Storage,
    channels_first,
    choose_storage,
    spec_for,
)
from autoencode.data.raw import Array, Raw
from autoencode.data.tables import (
    NO_OPTIONS,
    TABLES,
    TableOptions,
    fitted,
    learned,
    open_table,
)
from autoencode.errors import DataError, OptionError, nearest
from autoencode.types import ColumnKind, DataSpec

if TYPE_CHECKING:
    from autoencode.data.stored import Stored

HELD_OUT_SHARE = 0.1
HELD_OUT_FROM = 10  # examples; fewer are all needed for training
_HELD_OUT_SEED = 0
_ROUNDING = 1e-6  # of the range; as far outside as a float32 on its way through a file may come
_NOISE = 10  # of the range; farther outside no noise comes that anything could be seen behind


@dataclass(frozen=True, eq=False)
class Examples:
    """Examples as they are stored, raw: a ``DataSpec`` says how a model sees them.

    Attributes:
        x: (N, *D) uint8 or float32, images as (N, C, H, W).
        labels: (N,) or ``None``.
        ids: (N,) what the source calls each example, or ``None``.
        target: (N, *D) what is to be made of each, where that is not the example itself.
        notices: what the user should know of the reading.
    """

    x: Array
    labels: Array | None = None
    ids: Array | None = None
    target: Array | None = None
    notices: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.x)

    def take(self, rows: Array) -> Examples:
        """The examples with these row numbers (M,)."""
        labels, ids = _rows(self.labels, rows), _rows(self.ids, rows)
        return Examples(self.x[rows], labels, ids, _rows(self.target, rows))

    def bounded(self) -> Examples:
        """All of them: they are in memory."""
        return self


def _rows(values: Array | None, rows: Any) -> Array | None:
    return None if values is None else values[rows]


@dataclass(frozen=True, eq=False)
class Data:
    """A data set, ready to learn from.

    Attributes:
        name: the data set's name, the file's stem, or ``array``.
        train: the examples to learn from, in memory or in a store.
        test: the data set's own test part or a held-out one, ``None`` when there are too few.
        spec: how models see both.
        notices: things done to the data that the user should know.
    """

    name: str
    train: Examples | Stored
    test: Examples | None
    spec: DataSpec
    notices: tuple[str, ...] = ()

    def fingerprint(self) -> str:
        """SHA-256 over shapes, dtypes and values: the same exactly when the examples are.

        Of data in a store, a part is read (``Stored.fingerprint``).
        """
        if not isinstance(self.train, Examples):
            return self.train.fingerprint()
        digest = hashlib.sha256()
        parts = [part for part in (self.train, self.test) if part is not None]
        for array in (array for part in parts for array in (part.x, part.target)):
            if array is not None:
                digest.update(f"{array.shape} {array.dtype.str}\n".encode())
                digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    def split(self, validation: float, seed: int) -> tuple[Examples | Stored, Examples | None]:
        """Training examples and validation examples, both in their original order.

        Args:
            validation: the share to validate on, at least one row on either side; 0 for none.
            seed: which rows these are.

        Returns:
            Training examples, and validation examples or ``None``.
        """
        if not 0 <= validation < 1:
            raise OptionError(f"validation must lie in [0, 1), got {validation}")
        if not validation:
            return self.train, None
        if not isinstance(self.train, Examples):
            return self.train.split(validation, seed)
        chosen = _some_rows(len(self.train), validation, seed)
        return self.train.take(~chosen), self.train.take(chosen)


def load_data(
    source: Any,
    *,
    data_dir: str | os.PathLike[str] | None = None,
    labels: Any = None,
    standardize: Standardize = "columns",
    stream: bool | None = None,
    table: TableOptions = NO_OPTIONS,
    images: ImageOptions = AS_THEY_ARE,
    leave_out: Sequence[str] = (),
    progress: OnBytes | None = None,
) -> Data:
    """Read a data set from wherever it is.

    Example:
        >>> data = load_data("digits")
        >>> data.train.x.shape, data.spec.scale
        ((1438, 1, 8, 8), (16.0,))

    Args:
        source: the name of a known data set (see ``catalogue``), a ``.npy`` or ``.npz`` file, a CSV,
            Parquet, Feather or Arrow file, a Zarr array, a folder of images, ``.tar`` shards, an array,
            nested lists, a tensor, a table of pandas, polars or pyarrow, a torch map-style dataset or a
            ``datasets.Dataset`` of Hugging Face (or the folder of a saved one); ``Data`` as they are.
        data_dir: where data sets are looked for and downloaded to, and decoded images kept.
        labels: (N,) one label for each example, where the source has none.
        standardize: how values that are neither pixels nor in [0, 1] are scaled; see
            ``ranges.spec_for``.
        stream: whether the data stay on disk and are read while they are used; by default what
            would take more than a quarter of the free memory, and memory maps
            (``docs/large_data.md``).
        table: which columns of a table are labels, names of rows or left out, and of what kind.
        images: the size that images of a folder are brought to, how, and what becomes of damaged ones.
        leave_out: labels whose examples are in neither part, so that a model never sees them.
        progress: called with bytes and total while something is downloaded.

    Returns:
        The data. Where the source has no test part, a tenth of ten or more examples is held out.

    Raises:
        DataError: the data cannot be learned from.
        OptionError: there is no data set of this name, or it cannot be streamed.
    """
    if isinstance(source, Data):  # made ready by the caller
        if leave_out:
            raise OptionError("these data are made already; leave classes out when they are loaded")
        return source
    from autoencode.data.large import is_too_large, open_store, stays, streamed, whole

    named = None if stream or is_too_large(source) else open_table(source)
    if table and named is None:
        raise OptionError("these data have no named columns; leave label, id, drop and kinds out")
    if named is not None:
        found = learned(named, table, _name(source))
    else:
        store = open_store(source, stream, data_dir, images=images)
        if store is not None and stays(source, store, stream):
            if leave_out:
                raise DataError("classes are left out of data in memory only; use stream=False")
            return streamed(store, labels, standardize)
        found = _read(source, data_dir, progress) if store is None else whole(store)
    raw = without(_for_training(_clean(found, labels)), leave_out)
    notices = list(raw.notices)
    if raw.x_test is None and len(raw.x) >= HELD_OUT_FROM:
        held_out = _some_rows(len(raw.x), HELD_OUT_SHARE, _HELD_OUT_SEED)
        notices.append(
            f"{held_out.sum()} of {len(raw.x)} examples held out as the test part "
            f"(seed {_HELD_OUT_SEED})"
        )
        raw = _hold_out(raw, held_out)
    xs, spec, more = _fit(raw, standardize)
    train = Examples(xs[0], raw.labels, raw.ids)
    test = Examples(xs[1], raw.labels_test, raw.ids_test) if len(xs) > 1 else None
    return Data(raw.name, train, test, spec, (*notices, *more))


def load_examples(
    source: Any,
    spec: DataSpec,
    *,
    data_dir: str | os.PathLike[str] | None = None,
    labels: Any = None,
    table: TableOptions = NO_OPTIONS,
    images: ImageOptions = AS_THEY_ARE,
    progress: OnBytes | None = None,
) -> Examples:
    """Read new examples for a trained model; nothing about their range is guessed.

    Args:
        source: see ``load_data``; one example is enough.
        spec: what the model was trained on.
        data_dir: see ``load_data``.
        labels: (N,) one label for each example, where the source has none.
        table: what was said of the columns in training.
        images: what was said of images in training; their size is the model's.
        progress: see ``load_data``.

    Returns:
        The source's own test part where it has one, else all its examples.

    Raises:
        DataError: the examples do not fit.
    """
    from autoencode.data.large import open_store, whole

    named = open_table(source)
    if named is not None:
        found = fitted(named, table, spec, _name(source))
    else:
        shape = spec.shape if len(spec.shape) == 3 else None
        store = open_store(source, False, data_dir, shape, images)
        found = _read(source, data_dir, progress) if store is None else whole(store)
    raw = _clean(replace(found, gaps=spec.gaps), labels, training=False)
    if raw.x_test is not None:
        return Examples(apply_spec(raw.x_test, spec, "test"), raw.labels_test)
    return Examples(apply_spec(raw.x, spec), raw.labels, raw.ids, notices=raw.notices)


def prepare(
    x: Any,
    labels: Any = None,
    *,
    standardize: Standardize = "columns",
    kinds: Mapping[str, ColumnKind] | None = None,
    gaps: bool = False,
) -> tuple[Examples | Stored, DataSpec, tuple[str, ...]]:
    """Examples that are given as they are, all of them for training.

    Example:
        >>> examples, spec, notices = prepare([[0.0, 5.0], [2.0, 7.0]])
        >>> spec.kind, spec.offset, spec.scale
        ('real', (1.0, 6.0), (1.0, 1.0))

    Args:
        x: (N, ...) anything array-like; see ``load_data``.
        labels: (N,) or ``None``.
        standardize: see ``load_data``.
        kinds: of a table's columns, where the dtype does not tell.
        gaps: whether values of an array may be missing (NaN); in a table with names they may.

    Returns:
        The examples as they are stored, how models see them, and what was done to them. A memory
        map is read in place, not copied; so is a data set of Hugging Face that is large.
    """
    from autoencode.data.large import on_disk, open_store, stays, streamed, whole

    path = isinstance(x, str | os.PathLike)
    store = open_store(x, None) if on_disk(x) and not path else None
    if store is not None and stays(x, store, None):
        data = streamed(store, labels, standardize, hold_out=False)
        return data.train, data.spec, data.notices
    named = open_table(x) if not path else None
    if kinds and named is None:
        raise OptionError("these data have no named columns; leave the kinds out")
    if named is not None:
        raw = learned(named, TableOptions(kinds=kinds or {}), "train")
    else:
        raw = _in_memory(x) if store is None else whole(store)
    raw = _for_training(_clean(replace(raw, gaps=raw.gaps or gaps), labels))
    (stored,), spec, notices = _fit(raw, standardize)
    return Examples(stored, raw.labels), spec, tuple(notices)


def apply_spec(x: Any, spec: DataSpec, part: str = "data") -> Array:
    """Bring new examples to the layout and range that a spec expects.

    Example:
        >>> apply_spec(np.zeros((5, 784)), DataSpec((1, 28, 28))).shape
        (5, 1, 28, 28)

    Args:
        x: (N, ...) anything array-like: in the spec's shape, flat, without the axis of a single
            channel, or with channels last.
        spec: what the model was trained on.
        part: what to call the data in an error message.

    Returns:
        (N, *D) raw values, uint8 or float32, for ``spec.to_model``.

    Raises:
        DataError: the examples do not fit.
    """
    if spec.columns and is_frame(x):
        x = encode(x, spec.columns, part)
    given = as_array(x, part, spec.gaps)
    fitted = to_spec(given, spec, part)
    if scaled_up(spec, given.dtype):
        _refuse_scaled(given, _range(spec)[1], part)
    return fitted


def to_spec(given: Array, spec: DataSpec, part: str, first_row: int = 0) -> Array:
    """``apply_spec`` for clean rows, perhaps a stretch of more that begins at ``first_row``.

    Whether values are in 0..1 that should reach to 255 is not looked at: all of them must say so.
    """
    array = _to_shape(given, spec, part)
    if spec.kind == "unit":
        _refuse_outside(given, spec, part, first_row)
        if given.dtype.kind == "f" and not spec.noisy:
            array = array.clip(*_range(spec))  # of what rounding left outside
    dtype = np.uint8 if given.dtype in (bool, np.uint8) else np.float32
    return np.ascontiguousarray(array, dtype=dtype)


def scaled_up(spec: DataSpec, dtype: np.dtype[Any]) -> bool:
    """Whether fractions of 1 could be taken for values that reach to 255."""
    return spec.kind == "unit" and _range(spec)[1] > 1 and dtype.kind == "f"


def are_fractions(x: Array) -> bool:
    """Whether values lie in 0..1 and not only at its ends."""
    return bool(extremes(x)[1] <= 1 and ((x != np.rint(x)) & ~np.isnan(x)).any())


def read(source: Any, data_dir: str | os.PathLike[str] | None = None) -> Raw:
    """All that a source holds, in memory and as it is; see ``load_data``."""
    from autoencode.data.large import open_store, whole

    store = open_store(source, False, data_dir)
    return _read(source, data_dir, None) if store is None else whole(store)


def _read(source: Any, data_dir: str | os.PathLike[str] | None, progress: OnBytes | None) -> Raw:
    if isinstance(source, str):
        if source.lower() in catalogue():
            return read_named(source.lower(), data_dir, progress)
        if not source.lower().endswith(SUPPORTED) and not Path(source).exists():
            endings = ", ".join((*SUPPORTED, *TABLES))
            raise OptionError(
                f"no data set or file {source!r}; {nearest(source.lower(), catalogue())} "
                f"(or give a file: {endings})"
            )
        source = Path(source)
    if isinstance(source, os.PathLike):
        return read_file(source)
    return _in_memory(source)


def _name(source: Any) -> str:
    """What a table is called."""
    return Path(source).stem if isinstance(source, str | os.PathLike) else "table"


def _in_memory(source: Any) -> Raw:
    if isinstance(source, Dataset):
        x, labels = from_dataset(source)
        return Raw("array", x, labels)
    return Raw("array", source)


def _clean(raw: Raw, labels: Any, training: bool = True) -> Raw:
    """The same data with nothing in it that cannot be learned from."""
    x = as_array(raw.x, "train", raw.gaps)
    if training:
        _refuse_empty_columns(x, raw.gaps)
    labels = as_labels(raw.labels if labels is None else labels, len(x), "train")
    if raw.x_test is None:
        return replace(raw, x=x, labels=labels, labels_test=None)
    x_test = as_array(raw.x_test, "test", raw.gaps)
    if x_test.shape[1:] != x.shape[1:]:
        raise DataError(
            f"test: examples are {_times(x_test.shape[1:])} and those of train "
            f"{_times(x.shape[1:])}; give both one shape"
        )
    labels_test = as_labels(raw.labels_test, len(x_test), "test")
    return replace(raw, x=x, labels=labels, x_test=x_test, labels_test=labels_test)


def _refuse_empty_columns(x: Array, gaps: bool) -> None:
    if not gaps or x.ndim != 2 or x.dtype.kind != "f":
        return
    empty = np.isnan(x).all(axis=0)
    if empty.any():
        raise DataError(f"train: column {int(empty.argmax())} has no values; drop it")


def _for_training(raw: Raw) -> Raw:
    if len(raw.x) < 2:
        raise DataError("train: needs at least 2 examples, got 1 sample")
    return raw


def _hold_out(raw: Raw, rows: Array) -> Raw:
    labels, labels_test = (None, None) if raw.labels is None else (raw.labels[~rows], raw.labels[rows])
    ids, ids_test = _rows(raw.ids, ~rows), _rows(raw.ids, rows)
    return replace(
        raw,
        x=raw.x[~rows],
        labels=labels,
        ids=ids,
        x_test=raw.x[rows],
        labels_test=labels_test,
        ids_test=ids_test,
    )


def _fit(raw: Raw, standardize: str) -> tuple[list[Array], DataSpec, list[str]]:
    """The parts as they are stored, their spec (from the source or from the values), notices."""
    parts = [raw.x] if raw.x_test is None else [raw.x, raw.x_test]
    if raw.spec is not None:
        return [apply_spec(part, raw.spec) for part in parts], raw.spec, []
    moved, notice = zip(*(channels_first(part) for part in parts), strict=True)
    mixed = not all(column.numeric for column in raw.columns)
    storage = Storage(np.float32, "real") if mixed else choose_storage(moved, standardize)
    stored = [storage.store(part) for part in moved]
    spec, notices = spec_for(stored[0], storage, standardize, moved[0], raw.columns)
    return stored, spec, [*filter(None, notice[:1]), *notices]


def _some_rows(n: int, share: float, seed: int) -> Array:
    """A mask (N,) of about ``share`` of the rows, at least one and never all."""
    n_chosen = min(max(1, round(n * share)), n - 1)
    mask = np.zeros(n, dtype=bool)
    mask[np.random.default_rng(seed).permutation(n)[:n_chosen]] = True
    return mask


def _to_shape(x: Array, spec: DataSpec, part: str) -> Array:
    shape = x.shape[1:]
    if shape == spec.shape:
        return x
    channels_last = len(shape) == 3 and shape[-1] in CHANNELS
    if channels_last and (shape[-1], *shape[:-1]) == spec.shape:
        return np.moveaxis(x, -1, 1)
    same_but_ones = _without_ones(shape) == _without_ones(spec.shape)
    if math.prod(shape) == spec.size and (min(len(shape), len(spec.shape)) == 1 or same_but_ones):
        return x.reshape(len(x), *spec.shape)
    hint = "; for a single example give x[None]" if x.size == spec.size else ""
    raise DataError(
        f"{part}: expected {spec.size} values per example ({_times(spec.shape)}), "
        f"got {math.prod(shape)} ({_times(shape)}){hint}"
    )


def _range(spec: DataSpec) -> tuple[float, float]:
    """Lowest and highest raw value of a unit spec."""
    return spec.offset[0], spec.offset[0] + spec.scale[0]


def _refuse_outside(x: Array, spec: DataSpec, part: str, first_row: int) -> None:
    """Refuse values that a unit spec has no place for, by more than rounding."""
    if not x.size:
        return
    low, high = _range(spec)
    slack = (_NOISE if spec.noisy else _ROUNDING) * (high - low)
    lowest, highest = extremes(x)
    if lowest < low - slack:
        flat = int(np.argmax(x == lowest))
    elif highest > high + slack:
        flat = int(np.argmax(x == highest))
    else:
        return
    where = place(np.unravel_index(flat, x.shape), first_row)
    raise DataError(
        f"{part}: the value {x.flat[flat]:g} at {where} lies outside {low:g}..{high:g}, "
        "the range that the model was trained on"
    )


def _refuse_scaled(x: Array, high: float, part: str) -> None:
    """Refuse fractions of 1 where pixels to 255 are due: taken as they are, all would be black."""
    if are_fractions(x):
        raise fractions_error(high, part)


def fractions_error(high: float, part: str) -> DataError:
    """What to say of values in 0..1 for a model of pixels."""
    return DataError(
        f"{part}: values are in 0..1, the model was trained on 0..{high:g}; multiply them by {high:g}"
    )


def _without_ones(shape: Sequence[int]) -> list[int]:
    return [length for length in shape if length != 1]


def _times(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))
