"""Conversion of anything array-like into a clean numpy array, or into a clear error."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset, IterableDataset

from autoencode.errors import DataError, DataTypeError
from autoencode.files.free_memory import require_memory
from autoencode.files.sparse_rows import Held, SparseRows, is_sparse, sparse_rows
from autoencode.types import Array

_FLOAT32_MAX = float(np.finfo(np.float32).max)
_ENCODE = "encode them as numbers first"


def as_array(source: Any, part: str = "data", gaps: bool = False) -> Any:
    """Converts examples to a numpy array, in the dtype and layout that they come in.

    Args:
        source: numpy array, nested lists, torch tensor, a table with columns (pandas, polars), or a
            matrix of ``scipy.sparse``, which becomes ``SparseRows``.
        part: what to call the data in an error message.
        gaps: whether values may be missing (NaN).

    Returns:
        (N, ...) finite numbers with at least one example of at least one value.

    Raises:
        DataError: there is anything else in it.
    """
    x = _numbers(source, part)
    if x.ndim < 2:
        raise DataError(
            f"{part}: expected one row for each example, got {x.ndim}-D data. Reshape your data: "
            "x.reshape(-1, 1) for examples of one value, x.reshape(1, -1) for a single example"
        )
    if not x.size:
        shape = " x ".join(map(str, x.shape))
        if len(x):  # in scikit-learn's words
            raise DataError(f"{part}: 0 feature(s) (shape={x.shape}) while a minimum of 1 is required.")
        raise DataError(f"{part}: no values in it (shape {shape}), 0 examples")
    refuse_unusable(x, part, gaps=gaps)
    return x


def as_labels(source: Any, n_examples: int, part: str = "data") -> Array | None:
    """Converts labels to an array (N,), ``None`` if there are none; missing text becomes empty."""
    if source is None:
        return None
    if isinstance(source, torch.Tensor):
        source = source.detach().cpu().numpy()
    labels = np.asarray(source)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.shape != (n_examples,):
        shape = " x ".join(map(str, labels.shape)) or "one value"
        raise DataError(f"{part}: expected one label for each of {n_examples} examples, got {shape}")
    if labels.dtype == object:  # pandas keeps text so; a plain dtype can be sorted and stored
        labels = as_text(labels)
    return labels.astype(labels.dtype.newbyteorder("="), copy=False)


def as_text(values: Array) -> Array:
    """Converts objects (N,) to text, empty where one is missing."""
    return np.where([_is_gone(value) for value in values], "", values.astype(str))


def _is_gone(label: Any) -> bool:
    """Tells whether a label is missing: None, NaN, or pandas' NA, which equals nothing."""
    differs = label != label
    return label is None or not isinstance(differs, bool | np.bool_) or bool(differs)


def refuse_dtype(dtype: np.dtype[Any], where: str) -> None:
    """Refuses a dtype that is not of real numbers."""
    if dtype.names is not None:
        names = ", ".join(dtype.names)
        raise DataError(f"{where}: a structured array (fields {names}); store plain numbers")
    if dtype.kind == "c":
        raise DataError(
            f"{where}: Complex data not supported; give the real and imaginary parts as columns"
        )
    if dtype.kind in "OSUT":
        raise DataError(f"{where}: text columns ({dtype}); {_ENCODE}")
    if dtype.kind not in "biuf":
        raise DataError(f"{where}: dtype {dtype} is not numeric; {_ENCODE}")


def _numbers(source: Any, part: str) -> Any:
    if isinstance(source, SparseRows):
        return source
    if is_sparse(source):
        refuse_dtype(source.dtype, part)
        return sparse_rows(source, part)
    if isinstance(source, torch.Tensor):
        return _from_tensor(source, part)
    if isinstance(source, Dataset):
        return from_dataset(source)[0]
    if hasattr(source, "columns") and hasattr(source, "dtypes"):
        return _from_table(source, part)
    if np.ma.isMaskedArray(source) and np.ma.getmaskarray(source).any():
        raise DataError(f"{part}: masked values; drop or fill them first")
    try:
        x = np.asarray(source)
    except (ValueError, TypeError) as error:  # rows of different lengths
        raise DataError(f"{part}: cannot be made an array {_why(source, error)}") from error
    if x.dtype == object:
        x = _from_objects(x, part)
    refuse_dtype(x.dtype, part)
    return x


def _why(source: Any, error: Exception) -> str:
    """Says why rows are no array and, where their lengths differ, what to do."""
    lengths = {len(row) for row in source if hasattr(row, "__len__")} if len(source) else set()
    if len(lengths) < 2:
        return f"({error})"
    return (
        f"(rows have {min(lengths)} to {max(lengths)} values); fill the shorter ones up with NaN, or "
        "give an estimator a list of arrays, one for each sequence"
    )


def _from_tensor(tensor: torch.Tensor, part: str) -> Array:
    if tensor.layout != torch.strided:
        raise DataError(f"{part}: a sparse tensor; make it dense with .to_dense()")
    tensor = tensor.detach().cpu()
    if tensor.dtype == torch.bfloat16:  # numpy has none
        tensor = tensor.float()
    x: Array = tensor.numpy()
    refuse_dtype(x.dtype, part)
    return x


def _from_objects(x: Array, part: str) -> Array:
    """Unboxes numbers in an object array; text is refused even where it spells a number."""
    if x.ndim == 0:
        raise DataError(
            f"{part}: cannot learn from an object of type {type(x.item()).__name__}; give an array"
        )
    try:
        if not any(isinstance(value, str | bytes) for value in x.flat):
            return x.astype(np.float64)
    except TypeError as error:  # in Python's words, which name the type
        raise DataTypeError(f"{part}: {error}; {_ENCODE}") from None
    except ValueError:
        pass
    raise DataError(f"{part}: text columns or other non-numbers in it; {_ENCODE}")


def _from_table(table: Any, part: str) -> Array:
    columns: list[Array] = []
    text: list[str] = []
    for name in table.columns:
        values = _column(table[name])
        if values is None:
            text.append(str(name))
        else:
            columns.append(values)
    if text:
        named = ", ".join(text[:5]) + (", ..." if len(text) > 5 else "")
        raise DataError(f"{part}: text columns ({named}); drop them or {_ENCODE}")
    return np.stack(columns, axis=1) if columns else np.empty((len(table), 0))


def _column(column: Any) -> Array | None:
    """Returns a column's numbers, missing ones as NaN; ``None`` if it holds anything else."""
    values = np.asarray(column)
    if values.ndim != 1:
        raise DataError("the table has two columns of one name; rename one")
    if values.dtype == object and not any(isinstance(value, str | bytes) for value in values):
        try:
            return np.array([_or_nan(value) for value in values], np.float64)
        except (ValueError, TypeError):
            return None
    return values if values.dtype.kind in "biuf" else None


def _or_nan(value: Any) -> Any:
    # pandas' NA is neither None nor equal to anything, itself included.
    return float("nan") if value is None or type(value).__name__ == "NAType" else value


def _item(item: Any, i: int) -> tuple[Array, Any]:
    label = None
    if isinstance(item, Sequence) and not isinstance(item, str | bytes):
        if not item:
            raise DataError(f"dataset: item {i} is empty")
        label = item[1] if len(item) > 1 else None
        item = item[0]
    if isinstance(item, dict | str | bytes):
        raise DataError(f"dataset: item {i} is a {type(item).__name__}; return x or (x, label) instead")
    # A palette image holds indices into its colours, which mean nothing by themselves.
    if getattr(item, "mode", None) in ("P", "PA", "CMYK", "YCbCr", "HSV", "LAB"):
        item = item.convert("RGB")
    x = _numbers(item, f"dataset: item {i}")
    scalar = label is not None and np.ndim(label) == 0
    return np.atleast_1d(x), np.asarray(label).item() if scalar else None


def _described(x: Array) -> str:
    return f"{' x '.join(map(str, x.shape))} {x.dtype}"


def refuse_unusable(x: Held, part: str, first_row: int = 0, gaps: bool = False) -> None:
    """Refuses values that float32, in which models compute, cannot hold.

    Args:
        x: (N, ...) examples.
        part: what to call them in an error message.
        first_row: the number of the first of them, where they are a stretch of more.
        gaps: whether values may be missing (NaN).
    """
    if isinstance(x, SparseRows) and (row := _first_unusable(x, gaps)) is not None:
        x, first_row = x[row : row + 1].dense(), first_row + row
    elif isinstance(x, SparseRows):
        return
    if x.dtype.kind == "f":
        _refuse_missing(x, part, first_row, gaps)
    # Only these can hold finite numbers that float32 cannot.
    if x.dtype.kind != "f" or x.dtype.itemsize <= 4:
        return
    low, high = extremes(x)
    if max(-low, high) > _FLOAT32_MAX:
        worst = low if -low > high else high
        index = np.unravel_index(int(np.argmax(x == worst)), x.shape)
        raise DataError(
            f"{part}: the value {worst:.3g} at {place(index, first_row)} is too large for float32; "
            "rescale the data first"
        )


def _first_unusable(x: SparseRows, gaps: bool) -> int | None:
    """Finds the first of some sparse rows that holds a value that float32 cannot hold."""
    if x.dtype.kind != "f":
        return None
    with np.errstate(invalid="ignore"):
        bad = np.abs(x.values) > _FLOAT32_MAX
    bad |= np.zeros_like(bad) if gaps else np.isnan(x.values)
    first = int(bad.argmax()) if len(bad) else 0
    if not len(bad) or not bad[first]:
        return None
    return int(np.searchsorted(x.matrix.indptr, first, side="right")) - 1


def extremes(x: Held) -> tuple[float, float]:
    """Finds the lowest and the highest known value; NaN for both when there is none."""
    if isinstance(x, SparseRows):
        return x.extremes()
    low, high = float(x.min()), float(x.max())
    if low != low and not np.isnan(x).all():
        low, high = float(np.nanmin(x)), float(np.nanmax(x))
    return low, high


def _refuse_missing(x: Array, part: str, first_row: int, gaps: bool) -> None:
    finite = ~np.isinf(x) if gaps else np.isfinite(x)
    if finite.all():
        return
    first = np.unravel_index(int(np.argmin(finite)), x.shape)
    n_nan = 0 if gaps else int(np.isnan(x).sum())
    n_infinite = x.size - int(finite.sum()) - n_nan
    counts = [f"{n_nan} NaN"] if n_nan else []
    counts += [f"{n_infinite} infinite"] if n_infinite else []
    noun = "value" if (n_infinite or n_nan) == 1 else "values"
    where = place(first, first_row)
    raise DataError(f"{part}: {' and '.join(counts)} {noun}, first at {where}; drop or fill them first")


def place(index: Sequence[Any], first_row: int = 0) -> str:
    """Describes a place in an array for people.

    >>> place((3, 5))
    'row 3, column 5 (index (3, 5))'
    """
    index = tuple(int(i) for i in index)
    index = (index[0] + first_row, *index[1:])
    if len(index) == 2:
        return f"row {index[0]}, column {index[1]} (index {index})"
    return f"example {index[0]} (index {index})"


def from_dataset(dataset: Dataset[Any]) -> tuple[Array, Array | None]:
    """Reads the examples (N, ...) of a torch map-style dataset, and labels when every item has one.

    Items are ``x`` or ``(x, label, ...)``, with tensors, arrays or PIL images as ``x``.
    """
    if isinstance(dataset, IterableDataset) or not hasattr(dataset, "__len__"):
        raise DataError("dataset: has no length; give a map-style dataset or an array")
    n_items = len(dataset)
    if not n_items:
        raise DataError("dataset: no values in it, 0 examples")
    first, label = _item(dataset[0], 0)
    require_memory(n_items * first.nbytes, "dataset")
    x = np.empty((n_items, *first.shape), first.dtype)
    labels = [label]
    x[0] = first
    for i in range(1, n_items):
        values, label = _item(dataset[i], i)
        if values.shape != first.shape or values.dtype != first.dtype:
            raise DataError(
                f"dataset: item 0 is {_described(first)} and item {i} is {_described(values)}; "
                "bring all items to one shape and dtype"
            )
        x[i] = values
        labels.append(label)
    return x, None if any(label is None for label in labels) else np.asarray(labels)
