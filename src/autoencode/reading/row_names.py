"""Columns that number or name the rows of a table, from which nothing can be learned."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from autoencode.types import Array

_NUMBERED = 10  # rows from which consecutive numbers are no accident
_NAMED = 50  # rows from which different texts are none
_SAME = 0.95  # share of different texts that names have
_INDEX = re.compile(
    r"^(unnamed: ?\d+|row_?names?|rows?|nr|no|num|number|pk|seq|sequence|obs|observation|record|"
    r"lfd\.? ?nr\.?|#)$|"
    r"(^|[_\s.\-])(ids?|uuid|guid|key|nr|no|idx|index)$|"
    r"[a-zäöüß](nr|nummer)$|"  # German joins words: Kundennr
    r"^(user|customer|client|patient|person|product|item|order|sample|subject|transaction|account)id$",
    re.IGNORECASE,
)
_CAMEL = re.compile(r"[a-z](Id|ID|Nr|No|Key|Index)$")
_TIME = re.compile(
    r"^(t|x|time|times|zeit|step|steps|day|days|tag|hour|hours|minute|minutes|second|seconds|week|weeks|"
    r"month|months|year|years|jahr|age|epoch|frame|depth|distance|position|pos|temperature|dose|level)"
    r"([_\s].*)?$",
    re.IGNORECASE,
)
_UUID = r"^\{?[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}\}?$"
_MAIL = r"^[^@\s]+@[^@\s]+\.[A-Za-z]{2,}$"


def names_rows(name: str, values: Any) -> str | None:
    """Tells why a column looks like one that numbers or names rows; ``None`` where it does not.

    Args:
        name: of the column.
        values: (N,) whole numbers as an array, or text as a pyarrow array.
    """
    if isinstance(values, np.ndarray):
        return _numbers_rows(name, values)
    import pyarrow.compute as pc

    known = pc.drop_null(values)
    if not len(known):
        return None
    n = pc.count_distinct(known).as_py()
    for pattern, what in ((_UUID, "UUIDs"), (_MAIL, "e-mail addresses")):
        if n * 2 > len(known) and pc.all(pc.match_substring_regex(known, pattern)).as_py():
            return f"holds {what}, an identifier"
    if len(known) >= _NAMED and n >= _SAME * len(known):
        return f"holds {n} different texts in {len(values)} rows, an identifier"
    return None


def _numbers_rows(name: str, values: Array) -> str | None:
    n = len(values)
    if n < 2 or values.dtype.kind not in "iu":
        return None
    called = is_called_an_index(name)
    if n < _NUMBERED and not called:
        return None
    steps = np.diff(values)
    begins = values[0] in (0, 1) or n >= _NAMED  # many in a row are no accident, wherever they begin
    if begins and (steps == 1).all() and not _TIME.match(name):
        return f"holds {values[0]} to {values[-1]}, the numbers of the rows"
    if called and len(np.unique(values)) == n:
        return "holds a different whole number in each row, an identifier"
    return None


def is_called_an_index(name: str) -> bool:
    """Tells whether a name is one of those that numbers and keys of rows bear.

    >>> (
    ...     is_called_an_index("PassengerId"),
    ...     is_called_an_index("customer_no"),
    ...     is_called_an_index("humid"),
    ... )
    (True, True, False)
    """
    return bool(_CAMEL.search(name) or _INDEX.search(name))
