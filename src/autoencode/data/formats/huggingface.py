"""Data sets of Hugging Face's ``datasets``: objects, and folders that ``save_to_disk`` wrote.

Columns of numbers are read in place from Arrow files, in any order of rows. Images are decoded once, as
those of folders are. The library is imported when such a folder is opened; an object brings it along.
"""

from __future__ import annotations

import functools
import hashlib
import io
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from autoencode.data.disk.store import Store
from autoencode.data.formats.arrow_files import check_stream, short
from autoencode.data.formats.chunked import needed
from autoencode.data.formats.folders import ImageOptions
from autoencode.data.formats.format import Format, Opening, as_path
from autoencode.data.raw import LABEL_KEYS
from autoencode.data.values.arrays import refuse_dtype
from autoencode.errors import DataError
from autoencode.files.regular import open_regular, read_regular
from autoencode.files.sealed import parse_json
from autoencode.types import Array

_LIBRARY = "datasets"
_SAVED, _SAVED_DICT = "dataset_info.json", "dataset_dict.json"
_FILES = ("_data_files", "_indices_data_files")
_JSON_TIMES = 60  # the bytes of a file that it takes once it is read
_ONE = "keep one with select_columns"


def is_dataset(source: Any) -> bool:
    """Tells whether something is a data set (or several) of the library, without importing it."""
    named = any(kind.__module__.partition(".")[0] == _LIBRARY for kind in type(source).__mro__)
    return named and hasattr(source, "column_names")


def is_saved(path: Path) -> bool:
    """Tells whether a folder is one that ``save_to_disk`` wrote."""
    return (path / _SAVED_DICT).is_file() or (
        (path / _SAVED).is_file() and (path / "state.json").is_file()
    )


@dataclass(frozen=True, eq=False)
class DatasetStore:
    """A store on number columns of a data set: scalars side by side, or one column of lists.

    Attributes:
        table: the data set with these columns alone, in Arrow's format.
    """

    name: str
    table: Any
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    labels: Array | None = None

    def __len__(self) -> int:
        return len(self.table)

    def read(self, start: int, stop: int) -> Array:
        """Reads the rows from ``start`` to ``stop`` (stop - start, *shape).

        Raises:
            DataError: a list has another length, or a value is missing where none can be.
        """
        return self._rows(self.table[start:stop], f"{self.name}, rows {start} to {stop - 1}")

    def take(self, rows: Array) -> Array:
        """Reads the rows with these numbers (M,)."""
        return self._rows(self.table[rows.tolist()], self.name)

    def bounds(self, rows: int) -> Array:
        """Lists row numbers ``rows`` apart, since any row can begin a read."""
        return np.append(np.arange(0, len(self), rows), len(self))

    def _rows(self, table: Any, where: str) -> Array:
        found = [_values(table.column(name), where, name) for name in table.column_names]
        if found[0].ndim == 1:
            found = [np.stack(found, axis=1)]
        if found[0].shape[1:] != self.shape:
            raise DataError(
                f"{where}: lists of the shape {found[0].shape[1:]} and elsewhere {self.shape}; "
                "bring all to one shape"
            )
        if self.dtype.kind != "f" and found[0].dtype.kind == "f":
            raise DataError(f"{where}: missing values; drop or fill them first")
        return np.ascontiguousarray(found[0], self.dtype)


def open_dataset(source: Any, shape: tuple[int, ...] | None = None, depth: str = "") -> Store:
    """Opens the examples of a data set; labels are a column of class labels, or one named so.

    Args:
        source: a ``datasets.Dataset`` or the folder of a saved one.
        shape: (C, H, W) that images are brought to.
        depth: name of the dtype that they are brought to; empty for their own.

    Raises:
        DataError: it cannot be read, or one cannot tell what to learn from.
    """
    dataset, name = _loaded(source) if isinstance(source, Path) else (source, _name_of(source))
    if not hasattr(dataset, "__len__") or isinstance(dataset.column_names, Mapping):
        _refuse_kind(dataset, name)
    features = dict(dataset.features)
    labels = _label_columns(features)
    rest = [column for column in features if column not in labels]
    label = labels[0] if labels else None
    pictures = [column for column in rest if _kind(features[column]) == "Image"]
    if pictures:
        if len(rest) > 1:
            raise DataError(f"{name}: the columns {', '.join(rest)} beside each other; {_ONE}")
        return _images(dataset, name, rest[0], label, shape, depth, isinstance(source, Path))
    return _numbers(dataset, name, rest, _labels(dataset, label))


def _loaded(path: Path) -> tuple[Any, str]:
    library = needed(_LIBRARY, "stream-datasets", path)
    _refuse_odd(path)
    try:
        dataset = library.load_from_disk(str(path))
        dataset.data.table.validate(full=True)
        return dataset, str(path)
    except Exception as error:  # damage surfaces as anything
        said = " ".join(str(error).split())[:120]
        raise DataError(f"{path}: not an intact data set ({said}); save it again") from error


def _refuse_odd(path: Path) -> None:
    """Refuses a folder of several data sets, and one that names files elsewhere or claims too much.

    Raises:
        DataError: with the reason.
    """
    try:
        if (path / _SAVED_DICT).is_file():
            splits = parse_json(read_regular(path / _SAVED_DICT, _JSON_TIMES)).get("splits", ())
            raise DataError(
                f"{path}: holds several data sets ({', '.join(map(str, splits))}); give one of them"
            )
        facts = parse_json(read_regular(path / "state.json", _JSON_TIMES))
        read_regular(path / _SAVED, _JSON_TIMES)
        files = [entry["filename"] for key in _FILES for entry in facts.get(key) or ()]
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}: not an intact data set ({short(error)}); save it again") from error
    for file in files:
        if not isinstance(file, str) or Path(file).name != file or (path / file).is_symlink():
            raise DataError(f"{path}: names a file elsewhere; save it again")
        check_stream(path / file)


def _name_of(dataset: Any) -> str:
    return str(getattr(getattr(dataset, "info", None), "dataset_name", None) or "dataset")


def _refuse_kind(dataset: Any, name: str) -> None:
    """Refuses a dictionary of several splits and streams of unknown length."""
    if isinstance(dataset.column_names, Mapping):
        splits = ", ".join(map(str, dataset.column_names))
        raise DataError(f"{name}: holds several data sets ({splits}); give one of them")
    raise DataError(f"{name}: has no length; give a datasets.Dataset, not an IterableDataset")


def _kind(feature: Any) -> str:
    return type(feature).__name__


def _label_columns(features: Mapping[str, Any]) -> list[str]:
    """Finds the columns that are labels; none where nothing else would be left."""
    named = [c for c in features if c in LABEL_KEYS or _kind(features[c]) == "ClassLabel"]
    return named if len(named) < len(features) else []


def _labels(dataset: Any, column: str | None) -> Array | None:
    """Reads the labels (N,), names of classes where they have any."""
    if column is None:
        return None
    found = dataset.select_columns([column]).with_format("arrow")[0 : len(dataset)]
    values: Array = found.column(column).combine_chunks().to_numpy(zero_copy_only=False)
    names = getattr(dataset.features[column], "names", None)
    if names and values.dtype.kind == "i" and len(values) and values.min() >= 0:
        values = np.array(names)[values]
    return values


def _numbers(dataset: Any, name: str, columns: list[str], labels: Array | None) -> DatasetStore:
    table = dataset.select_columns(columns).with_format("arrow")
    if not len(table):
        return DatasetStore(name, table, (len(columns),), np.dtype(np.float32), labels)
    first = table[0:1]
    found = [_values(first.column(column), name, column) for column in columns]
    if len(found) > 1 and any(values.ndim > 1 for values in found):
        lists = ", ".join(c for c, v in zip(columns, found, strict=True) if v.ndim > 1)
        raise DataError(f"{name}: columns of lists ({lists}) beside others; {_ONE}")
    kinds = [_number_type(first.column(c).type, name, c) for c in columns]
    dtype = np.result_type(*kinds)
    refuse_dtype(dtype, name)
    shape = found[0].shape[1:] or (len(found),)
    return DatasetStore(name, table, shape, dtype, labels)


def _number_type(kind: Any, name: str, column: str) -> np.dtype[Any]:
    """Finds the dtype of the numbers in a column, whatever lists they are nested in."""
    while hasattr(kind, "storage_type") or hasattr(kind, "value_type"):
        kind = kind.storage_type if hasattr(kind, "storage_type") else kind.value_type
    try:
        dtype: np.dtype[Any] = np.dtype(kind.to_pandas_dtype())
    except (NotImplementedError, TypeError):
        dtype = np.dtype(object)
    if dtype.kind not in "biuf":
        raise DataError(f"{name}: column {column} holds {kind}; drop it or encode it as numbers first")
    return dtype


def _values(column: Any, where: str, name: str) -> Array:
    """Converts an Arrow column to (n,), or (n, *shape) for lists; missing numbers become NaN."""
    _number_type(column.type, where, name)
    values = column.combine_chunks()
    lengths = [len(values)]
    while True:
        values = getattr(values, "storage", values)  # of an extension, such as Array2D
        if not hasattr(values.type, "value_type"):
            break
        if values.null_count:
            raise DataError(f"{where}: missing lists in column {name}; drop them first")
        inner = values.flatten()
        length = len(inner) // max(1, len(values))
        if not hasattr(values.type, "list_size") and len(values):
            sizes = values.value_lengths()
            if not len(sizes) or sizes[0].as_py() != length or len(sizes.unique()) > 1:
                raise DataError(
                    f"{where}: lists of different lengths in column {name}; crop or pad them"
                )
        lengths.append(length)
        values = inner
    flat: Array = values.to_numpy(zero_copy_only=False)
    return flat.reshape(lengths)


def _images(
    dataset: Any,
    name: str,
    column: str,
    label: str | None,
    shape: tuple[int, ...] | None,
    depth: str,
    saved: bool,
) -> Store:
    """Opens the images of a data set, decoded once under the library's own fingerprint.

    One that was ``saved`` holds its images; a path in it could lead anywhere, and is not followed.
    """
    from autoencode.data.formats import images
    from autoencode.data.formats.image_pixels import Entry

    encoded = dataset.with_format(None).cast_column(column, _undecoded(dataset.features[column]))
    labels = _labels(dataset, label)

    def entries() -> Iterator[Entry]:
        for i, row in enumerate(encoded.select_columns([column])):
            found = row[column] or {"bytes": b"", "path": None}
            content, path = found["bytes"], found["path"]
            if content is None and saved:
                raise DataError(f"{name}, row {i}: names a file elsewhere; save it with its images")
            opened = (
                functools.partial(open_regular, path or "")
                if content is None
                else functools.partial(io.BytesIO, content)
            )
            yield Entry(f"{name}, row {i}", opened, None if labels is None else str(labels[i]))

    what = f"{images.RULE} {dataset._fingerprint} {column} {label} {len(dataset)} {shape} {depth}"
    key = hashlib.sha256(what.encode()).hexdigest()[:32]
    return images.decoded(Path(name), entries, key, shape, ImageOptions(depth=depth))


def _undecoded(feature: Any) -> Any:
    return type(feature)(decode=False)


def _matches(source: Any) -> bool:
    path = as_path(source)
    return is_dataset(source) if path is None else is_saved(path)


def _open(source: Any, how: Opening) -> Store:
    given = Path(source) if isinstance(source, str | os.PathLike) else source
    return open_dataset(given, how.shape, how.images.depth)


HUGGING_FACE = Format("data sets of Hugging Face", _matches, _open, stores=True)
