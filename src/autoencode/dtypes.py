"""Types of values: numbers rounded to one, and the types of a table's columns as text."""

from __future__ import annotations

import ast
import re
from typing import Any

import numpy as np

from autoencode.types import Array

_ROWS = 1 << 12
_NAMED = re.compile(r"(\w+)(?:\((.*)\))?")
_BELOW_2_63 = float(np.nextafter(2.0**63, 0))
_BELOW_2_64 = float(np.nextafter(2.0**64, 0))


def in_dtype(x: Array, dtype: Any) -> Array:
    """Converts numbers to a dtype: whole numbers to the nearest, and all into the range that it has.

    Truth values are true from a half on. Numbers beside gaps (NaN) stay as they are where the dtype has
    no gap: nothing stands in for what is not known.

    Args:
        x: numbers of any shape.
        dtype: of numpy; an empty text for that of ``x``.

    Example:
        >>> in_dtype(np.array([-3.0, 1.6, 300.0]), "uint8")
        array([  0,   2, 255], dtype=uint8)
        >>> in_dtype(np.array([0.4, np.nan]), bool)
        array([0.4, nan])
    """
    wanted: np.dtype[Any] = x.dtype if isinstance(dtype, str) and not dtype else np.dtype(dtype)
    if wanted == x.dtype:
        return x
    if wanted.kind != "f" and x.dtype.kind == "f" and np.isnan(x).any():
        return x
    made = np.empty(x.shape, wanted)
    for first in range(0, len(x), _ROWS):  # so that much needs no second copy of it
        rows = slice(first, first + _ROWS)
        made[rows] = _rounded(x[rows], wanted)
    return made


def _rounded(x: Array, wanted: np.dtype[Any]) -> Array:
    if wanted.kind == "f":
        ends: Any = np.finfo(wanted)
        wide = wanted.itemsize >= x.dtype.itemsize or x.dtype.kind != "f"
        return (x if wide else x.clip(ends.min, ends.max)).astype(wanted)
    if wanted.kind == "b":
        return np.asarray(x >= 0.5)
    ends = np.iinfo(wanted)
    if x.dtype.kind != "f":
        return x.astype(np.int64).clip(ends.min, min(ends.max, 2**63 - 1)).astype(wanted)
    # The largest numbers of 64 bits are no floats, and the next one is out of range.
    highest = {2**63 - 1: _BELOW_2_63, 2**64 - 1: _BELOW_2_64}.get(ends.max, ends.max)
    whole = np.rint(x if x.dtype.itemsize >= 4 else x.astype(np.float32))
    if whole.dtype.itemsize < 8 and wanted.itemsize >= 4:
        whole = whole.astype(np.float64)  # in which the ends are exact
    clipped: Array = np.clip(whole, ends.min, highest, out=whole)
    return clipped.astype(wanted)


def dtype_text(dtype: Any) -> str:
    """Writes the type of a table's column, as narwhals has it, as text; empty where it has none.

    >>> import narwhals.stable.v2 as nw
    >>> dtype_text(nw.Int8()), dtype_text(nw.Datetime("us", "UTC")), dtype_text(nw.Object())
    ('Int8', "Datetime(time_unit='us', time_zone='UTC')", '')
    """
    import narwhals.stable.v2 as nw

    if isinstance(dtype, nw.Enum):  # whose categories the column has
        return "Categorical"
    text = repr(dtype)
    return text if dtype_of(text) is not None else ""


def dtype_of(text: str) -> Any:
    """Reads what ``dtype_text`` wrote; ``None`` where it is nothing that a column can be made of.

    >>> dtype_of("Int8"), dtype_of(""), dtype_of("List(Int8)")
    (Int8, None, None)
    """
    import narwhals.stable.v2 as nw

    found = _NAMED.fullmatch(text)
    if found is None or found[1] not in _KNOWN:
        return None
    try:
        called: Any = ast.parse(f"f({found[2] or ''})", mode="eval").body
        named = {word.arg: ast.literal_eval(word.value) for word in called.keywords}
        if called.args or None in named:
            return None
        return getattr(nw, found[1])(**named)
    except (SyntaxError, ValueError, TypeError, AttributeError, MemoryError, RecursionError):
        return None


_KNOWN = (
    *("Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64"),
    *("Float32", "Float64", "Decimal", "Boolean", "String", "Categorical", "Date", "Datetime"),
)
