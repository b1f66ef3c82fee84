"""Reads data from wherever they are into ``Data``.

source -> read -> Raw -> as_array -> arrangement -> choose_storage -> Examples + DataSpec
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from autoencode.data.disk.conformed import Conformed
from autoencode.data.disk.opening import read_whole, refuse_unusable_store, stays, streamed
from autoencode.data.disk.store import Store
from autoencode.data.disk.value_ranges import blocks
from autoencode.data.examples import (
    _HELD_OUT_SEED,
    HELD_OUT_FROM,
    HELD_OUT_SHARE,
    Data,
    Examples,
    ExampleSet,
    _some_rows,
)
from autoencode.data.formats.all import format_of, open_source
from autoencode.data.formats.download import OnBytes
from autoencode.data.formats.folders import AS_THEY_ARE, ImageOptions
from autoencode.data.formats.format import Opening
from autoencode.data.formats.image_folders import IMAGES
from autoencode.data.formats.named import NAMED
from autoencode.data.formats.npy import rows_in_order
from autoencode.data.formats.numpy_arrays import as_it_is
from autoencode.data.formats.tables import (
    is_too_large,
    table_for_model,
    table_for_training,
)
from autoencode.data.labels import as_factors, without
from autoencode.data.raw import Raw
from autoencode.data.values.apply_spec import (
    apply_spec,
    are_fractions,
    fractions_error,
    scaled_up,
    times,
    to_spec,
)
from autoencode.data.values.arrays import as_array, as_labels, refuse_unusable
from autoencode.data.values.as_given import template_of
from autoencode.data.values.frames import is_frame
from autoencode.data.values.layouts import (
    Arrangement,
    arrangement,
    arrangement_of,
    check_layout,
    image_depth,
    image_shape,
)
from autoencode.data.values.moments import column_extremes
from autoencode.data.values.patches import images_of
from autoencode.data.values.ragged import is_ragged, notice_of, padded
from autoencode.data.values.ranges import Storage, choose_storage, raw_dtype, spec_for
from autoencode.data.values.support import support_of
from autoencode.errors import DataError, OptionError, say_once
from autoencode.files.sparse_rows import Held, SparseRows, as_dense
from autoencode.reading import NO_OPTIONS, TableOptions
from autoencode.types import Array, Channels, ColumnKind, DataSpec, Layout, Standardize

_ROWS = 1 << 10  # compared at a time: nearly always these already differ
_ENTRIES = 1 << 20  # of sparse rows, likewise
UNNAMED = "these data have no named columns; leave the options of tables (label, id, drop, ...) out"


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
    layout: Layout | None = None,
    channels: Channels | None = None,
    progress: OnBytes | None = None,
) -> Data:
    """Reads a data set from wherever it is.

    Example:
        >>> data = load_data("digits")
        >>> data.train.x.shape, data.spec.scale
        ((1438, 1, 8, 8), (16.0,))

    Args:
        source: the name of a known data set (see ``catalogue``), a ``.npy`` or ``.npz`` file (also of
            ``scipy.sparse.save_npz``), a CSV, Parquet, Feather or Arrow file, a Zarr array, a folder of
            images, ``.tar`` shards, an array, a ``scipy.sparse`` matrix, nested lists, a tensor, a
            table of pandas, polars or pyarrow, a torch map-style dataset or a ``datasets.Dataset`` of
            Hugging Face (or the folder of a saved one); ``Data`` as they are.
        data_dir: where data sets are looked for and downloaded to; by default they are looked for in
            ``$AUTOENCODE_DATA`` and in the cache, and downloaded to the latter (``data_folders``).
        labels: (N,) one label for each example, where the source has none.
        standardize: how columns and other values that are no pixels are scaled; see
            ``ranges.spec_for``.
        stream: whether the data stay on disk and are read while they are used; by default what
            would take more than a quarter of the free memory, and memory maps
            (``docs/large_data.md``).
        table: which columns of a table are labels, names of rows or left out, of what kind, and how
            numbers and dates in text are spelled; what is not said is recognised (``docs/tables.md``).
        images: the size that images of a folder are brought to, how, and what becomes of damaged ones.
        leave_out: labels whose examples are in neither part, so that a model never sees them.
        layout: what an example is: ``row`` (entries that are flattened), ``image`` (height, width, and
            channels first or last), ``sequence`` (steps, and features of each) or ``volume`` (depth,
            height, width, and channels first or last). By default an array of 2 axes is rows, of 3 or 4
            images, of 5 volumes; where that is not the only reading, a notice says so.
        channels: where the channels of arrays of images and volumes are, ``first`` or ``last``. By
            default last where 1, 3 or 4 are there and not in front; where both may be, that is said.
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
        if labels is not None:
            raise OptionError("these data are made already; give their labels when they are loaded")
        if layout is not None and layout != source.spec.layout:
            raise OptionError("these data are made already; give their layout when they are loaded")
        return source
    check_layout(layout)
    refuse_channels(channels, source)
    if table and (stream or is_too_large(source) or not _may_be_table(source)):
        raise OptionError(UNNAMED)
    how = Opening(stream, data_dir=data_dir, images=images, progress=progress, said=table)
    found = open_source(source, how)
    if is_frame(found):
        found = table_for_training(found, table, _name(source))
    elif table:
        raise OptionError(UNNAMED)
    elif not isinstance(found, Raw):
        if stays(source, found, stream):
            if leave_out:
                raise DataError("classes are left out of data in memory only; use stream=False")
            data = streamed(found, labels, standardize, layout=layout, channels=channels)
            if data.test is None or _alike([data.test.x]) is not None:
                _refuse_alike(found.read(*ends) for ends in blocks(found))
            return data
        found = read_whole(found)
    raw = without(_for_training(_clean(found, labels)), leave_out)
    _refuse_alike(_pieces(raw.x))
    held_out = None
    notices = list(raw.notices)
    if raw.x_test is None and len(raw.x) >= HELD_OUT_FROM:
        held_out = _held_out(raw)
        notices.append(
            f"{held_out.sum()} of {len(raw.x)} examples held out as the test part "
            f"(seed {_HELD_OUT_SEED})"
        )
    xs, spec, more = _fit(raw, standardize, held_out, layout, channels)
    say_once([*raw.notices, *more])
    train = Examples(xs[0], raw.labels, raw.ids, factors=raw.factors)
    test = None
    if len(xs) > 1:
        test = Examples(xs[1], raw.labels_test, raw.ids_test, factors=raw.factors_test)
    if held_out is not None:
        train, test = train.take(~held_out), train.take(held_out)
    return Data(raw.name, train, test, spec, (*notices, *more), raw.table)


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
    """Reads new examples for a trained model; nothing about their range is guessed.

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
    images = replace(images, depth=image_depth(spec))
    how = Opening(False, True, data_dir, image_shape(spec), images, progress, table, spec.column_names)
    return _examples(source, open_source(source, how), spec, table, labels)


def _examples(
    source: Any, found: Any, spec: DataSpec, table: TableOptions, labels: Any = None
) -> Examples:
    """What a source was found to hold, as a trained model takes it."""
    like = None
    if is_frame(found):
        like, found = found, table_for_model(found, table, spec, _name(source))
    elif not isinstance(found, Raw):
        found = read_whole(found)
    say_once(found.notices)
    raw = _clean(replace(found, gaps=spec.gaps), labels, training=False)
    told: list[str] = []
    if raw.x_test is not None:
        x_test = apply_spec(raw.x_test, spec, "test", told.append)
        like, notices = template_of(raw.x_test), (*raw.notices, *told)
        more: dict[str, Any] = {"notices": notices, "factors": raw.factors_test, "like": like}
        return Examples(x_test, raw.labels_test, **more)
    x = apply_spec(raw.x, spec, tell=told.append)
    like = template_of(raw.x) if like is None else like
    notices = (*raw.notices, *told)
    return Examples(x, raw.labels, raw.ids, notices=notices, factors=raw.factors, like=like)


def prepare(
    x: Any,
    labels: Any = None,
    *,
    standardize: Standardize = "columns",
    kinds: Mapping[str, ColumnKind] | None = None,
    gaps: bool = False,
    layout: Layout | None = None,
    channels: Channels | None = None,
    table: TableOptions = NO_OPTIONS,
) -> tuple[ExampleSet, DataSpec, tuple[str, ...]]:
    """Turns examples given in memory into training examples, their spec and notices.

    Example:
        >>> examples, spec, notices = prepare([[0.0, 5.0], [2.0, 7.0]])
        >>> spec.kind, spec.offset, spec.scale
        ('real', (1.0, 6.0), (1.0, 1.0))

    Args:
        x: (N, ...) anything array-like; see ``load_data``. A list of arrays (steps,) or (steps,
            features) of different lengths is taken for sequences.
        labels: (N,) or ``None``.
        standardize: see ``load_data``.
        kinds: of a table's columns, where the dtype does not tell.
        gaps: whether values of an array may be missing (NaN); in a table with names they may.
        layout, channels: what an example is, and where its channels are; see ``load_data``.
        table: how columns of text are spelled, and how many categories are learned.

    Returns:
        The examples as they are stored, how models see them, and what was done to them. A memory
        map is read in place, not copied; so is a data set of Hugging Face that is large.
    """
    check_layout(layout)
    if is_ragged(x):
        told: dict[str, Any] = {"labels": labels, "standardize": standardize, "kinds": kinds}
        examples, spec, said = prepare(padded(x), **told, gaps=True, layout=layout or "sequence")
        return examples, replace(spec, gaps=True, ragged=True), (notice_of(x), *said)
    found = as_it_is(x) if isinstance(x, str | os.PathLike) else open_source(x)
    if is_frame(found):
        raw = table_for_training(found, replace(table, kinds=kinds or {}), "train", leave_out=False)
    elif kinds:
        raise OptionError("these data have no named columns; leave the kinds out")
    elif isinstance(found, Raw):
        raw = found
    elif stays(x, found, None):
        data = streamed(found, labels, standardize, hold_out=False, layout=layout, channels=channels)
        return data.train, data.spec, data.notices
    else:
        raw = read_whole(found)
    raw = _for_training(_clean(replace(raw, gaps=raw.gaps or gaps), labels))
    (stored,), spec, notices = _fit(raw, standardize, layout=layout, channels=channels)
    return Examples(stored, raw.labels), spec, (*raw.notices, *notices)


def read(
    source: Any,
    data_dir: str | os.PathLike[str] | None = None,
    shape: tuple[int, ...] | None = None,
    images: ImageOptions = AS_THEY_ARE,
) -> Raw:
    """All that a source holds, in memory and as it is; see ``load_data`` and ``Opening``."""
    found = open_source(source, Opening(False, False, data_dir, shape, images))
    return found if isinstance(found, Raw) else read_whole(found)


def reopened(
    source: Any,
    spec: DataSpec,
    data_dir: str | os.PathLike[str] | None = None,
    images: ImageOptions = AS_THEY_ARE,
) -> Data:
    """Opens data that were streamed before, without reading them to find their spec once more.

    Raises:
        DataError: they cannot be read.
    """
    store = open_source(source, Opening(True, data_dir=data_dir, images=images))
    arranged = arrangement_of(store.shape, spec)
    layout = None if arranged.guessed else arranged.layout
    return streamed(store, None, "none", spec=spec, layout=layout, channels=spec.channels)


def refuse_channels(channels: Channels | None, source: Any) -> None:
    """Refuses to be told where channels are of data that say so themselves.

    Raises:
        OptionError: for files of images and known data sets.
    """
    if channels is not None and format_of(source) in (NAMED, IMAGES):
        raise OptionError("these images say themselves where their channels are; leave channels out")


def _held_out(raw: Raw) -> Array:
    """Chooses the rows (N,) of the test part; of patches, those of whole images where they are many."""
    images = None if raw.ids is None or not raw.depth else images_of(raw.ids.tolist())
    n = 0 if images is None else int(images.max()) + 1
    if images is None or not HELD_OUT_FROM <= n < len(raw.x):
        return _some_rows(len(raw.x), HELD_OUT_SHARE, _HELD_OUT_SEED)
    chosen: Array = _some_rows(n, HELD_OUT_SHARE, _HELD_OUT_SEED)[images]
    return chosen


def _may_be_table(source: Any) -> bool:
    form = format_of(source)
    return form is not None and form.tables


def _name(source: Any) -> str:
    """Names a table: the stem of its file, else ``table``."""
    return Path(source).stem if isinstance(source, str | os.PathLike) else "table"


def _clean(raw: Raw, labels: Any, training: bool = True) -> Raw:
    """Checks and cleans data, so that nothing is left in it that cannot be learned from."""
    x = as_array(raw.x, "train", raw.gaps)
    if training:
        _refuse_empty_columns(x, raw.gaps)
    labels = as_labels(raw.labels if labels is None else labels, len(x), "train")
    factors = as_factors(raw.factors, len(x), "train")
    raw = replace(raw, x=x, labels=labels, factors=factors)
    if raw.x_test is None:
        return replace(raw, labels_test=None, factors_test=None)
    x_test = as_array(raw.x_test, "test", raw.gaps)
    if x_test.shape[1:] != x.shape[1:]:
        raise DataError(
            f"test: examples are {times(x_test.shape[1:])} and those of train "
            f"{times(x.shape[1:])}; give both one shape"
        )
    labels_test = as_labels(raw.labels_test, len(x_test), "test")
    factors_test = as_factors(raw.factors_test, len(x_test), "test")
    return replace(raw, x_test=x_test, labels_test=labels_test, factors_test=factors_test)


def _refuse_empty_columns(x: Held, gaps: bool) -> None:
    if not gaps or x.ndim != 2 or x.dtype.kind != "f":
        return
    empty = np.isnan(column_extremes(x)[0])
    if empty.any():
        raise DataError(f"train: column {int(empty.argmax())} has no values; drop it")


def _refuse_alike(pieces: Iterable[Array]) -> None:
    """Refuses examples that are all the same, so that there is nothing to learn from them.

    Raises:
        DataError: with their value, where it is only one.
    """
    first = _alike(pieces)
    if first is None:
        return
    value = first.flat[0]
    told = f"all values are {float(value):g}" if (first == value).all() else "all examples are the same"
    raise DataError(f"train: {told}: there is nothing to learn from them; give data that vary")


def _alike(pieces: Iterable[Array]) -> Array | None:
    """The one example (1, *D) that all of them are; ``None`` where some differ."""
    first = None
    for piece in pieces:
        first = piece[:1] if first is None else first
        gone = np.isnan(first) & np.isnan(piece) if piece.dtype.kind == "f" else False
        if not ((piece == first) | gone).all():
            return None
    return first if first is not None and first.size else None


def _pieces(x: Held) -> Iterator[Array]:
    """Yields examples some rows at a time, fewer of sparse ones that are wide."""
    rows = min(_ROWS, max(2, _ENTRIES // x.shape[1])) if isinstance(x, SparseRows) else _ROWS
    for start in range(0, len(x), rows):
        yield as_dense(x[start : start + rows])


def _for_training(raw: Raw) -> Raw:
    if len(raw.x) < 2:
        raise DataError("train: needs at least 2 examples, got 1 sample")
    return raw


def _fit(
    raw: Raw,
    standardize: str,
    held_out: Array | None = None,
    layout: Layout | None = None,
    channels: Channels | None = None,
) -> tuple[list[Held], DataSpec, list[str]]:
    """Decides how the data are stored; returns the stored parts, their spec and notices.

    Args:
        raw: what was read.
        standardize: see ``load_data``.
        held_out: (N,) true for rows of the first part that the spec may not know of.
        layout, channels: see ``load_data``.
    """
    names = [column.name for column in raw.columns]
    raw = _arranged(raw, layout)
    parts = [raw.x] if raw.x_test is None else [raw.x, raw.x_test]
    dtype = str(raw.x.dtype)
    if raw.spec is not None:
        shape = raw.spec.given_shape or (() if raw.x.shape[1:] == raw.spec.shape else raw.x.shape[1:])
        spec = replace(raw.spec, given_shape=shape, given_dtype=dtype)
        return [apply_spec(part, raw.spec) for part in parts], spec, []
    arranged = arrangement(raw.x.shape[1:], layout, channels)
    moved = [arranged(_whole_unless_row(part, arranged)) for part in parts]
    mixed = not all(column.numeric for column in raw.columns)
    guessed = arranged.guessed
    storage = Storage(np.float64, "real") if mixed else choose_storage(moved, standardize, guessed)
    stored = [storage.store(part) for part in moved]
    known, source = stored[0], moved[0]
    # What pixels mean does not hang on which of them are held out.
    if held_out is not None and (storage.kind == "real" or storage.dtype != np.uint8):
        known, source = known[~held_out], source[~held_out]
    spec, notices = spec_for(known, storage, standardize, source, raw.columns)
    in_columns = spec.layout in ("row", "sequence")
    support = support_of(source, raw.columns) if in_columns else None
    spec = replace(
        spec,
        given_shape=arranged.given_shape,
        given_dtype=raw.depth or dtype,
        support=support,
        channels=arranged.told,
    )
    n_train = len(raw.x) if held_out is None else int((~held_out).sum())
    if names and not raw.columns:
        order = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
        told = f"with layout={layout!r} columns lose their names; new data need this order: {order}"
        notices = [told, *notices]
    return stored, spec, [*arranged.notices(n_train), *notices]


def _whole_unless_row(part: Held, arranged: Arrangement) -> Held:
    """Makes an array of sparse rows that are no rows to the model, and so are sparse no longer."""
    return part if arranged.layout == "row" else as_dense(part)


def _arranged(raw: Raw, layout: Layout | None) -> Raw:
    """What is known of data beforehand, for the layout that is asked for."""
    if layout not in (None, "row"):  # columns of one meaning can be steps; they lose their names
        for column in raw.columns:
            if column.kind != "real":
                raise DataError(
                    f"layout={layout!r} is for columns of plain numbers, and {column.name} is of the "
                    f"kind {column.kind}; drop it, or leave the layout out"
                )
        raw = replace(raw, columns=())
    if raw.spec is None or layout in (None, raw.spec.layout):
        return raw
    found = arrangement(raw.spec.shape, layout)
    spec = replace(raw.spec, shape=found.shape, layout=layout, given_shape=found.given_shape)
    return replace(raw, spec=spec)


def open_examples(
    source: Any,
    spec: DataSpec,
    *,
    data_dir: str | os.PathLike[str] | None = None,
    table: TableOptions = NO_OPTIONS,
    images: ImageOptions = AS_THEY_ARE,
) -> Examples | Conformed:
    """Opens new examples for a trained model; those in a store are read when they are used.

    Args:
        source: see ``load_data``.
        spec: what the model was trained on.
        data_dir: see ``load_data``.
        table: what was said of the columns in training.
        images: what was said of images in training; their size is the model's.

    Raises:
        DataError: the examples do not fit; values are looked at when they are read.
    """
    named = bool(spec.columns) and not is_too_large(source)  # columns are found by their names
    stream = None if named else _in_place(source)
    images = replace(images, depth=image_depth(spec))
    how = Opening(
        stream, named, data_dir, image_shape(spec), images, said=table, names=spec.column_names
    )
    store = open_source(source, how)
    if isinstance(store, Raw) or is_frame(store) or named:
        return _examples(source, store, spec, table)
    refuse_unusable_store(store)
    to_spec(np.empty((0, *store.shape), store.dtype), spec, store.name)
    _refuse_fractions(store, spec)
    kept = raw_dtype(store.dtype, spec.kind, spec.shape)
    return Conformed(store, np.dtype(kept), labels=store.labels, spec=spec)


def _in_place(source: Any) -> bool | None:
    """Tells whether a ``.npy`` file can be read where it is; ``None`` for other sources."""
    if not isinstance(source, str | os.PathLike):
        return None
    path = Path(source)
    return rows_in_order(path) if path.suffix.lower() == ".npy" else None


def _refuse_fractions(store: Store, spec: DataSpec) -> None:
    """Refuses a store of fractions where a model expects pixels, as ``apply_spec`` does."""
    if not scaled_up(spec, store.dtype):
        return
    found = False
    for start, stop in blocks(store):
        block = store.read(start, stop)
        refuse_unusable(block, store.name, start)
        if block.max() > 1:
            return
        found = found or are_fractions(block)
    if found:
        raise fractions_error(spec.offset[0] + spec.scale[0], store.name)
