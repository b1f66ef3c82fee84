"""What the text in a table's columns means: numbers, money, dates, times.

Programs write numbers and dates as such. People write ``1.234,50 €``, ``12 %``, ``31.12.2020`` and
``n/a``. What is recognised is said in one line for each column, with the option by which it is read
otherwise; what was found in training is kept in ``Column.text``, and new rows are read by it where they
do not tell.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from autoencode.errors import DataError
from autoencode.reading import dates as text_dates
from autoencode.reading import numbers as text_numbers
from autoencode.reading.dates import Dates
from autoencode.reading.numbers import MISSING, Numbers, NumberText
from autoencode.types import Array, ColumnKind

Spelling = tuple[str | None, str | None, str | None]  # decimal, thousands, order of dates
UNKNOWN: Spelling = (None, None, None)
_SHOWN = 40  # characters of a value in a message
_LISTED = 4  # words
_SAMPLED = 2000  # values that tell whether the others are worth looking at
_READ = ("real", "count", "date")  # kinds whose values text may spell


@dataclass(frozen=True)
class Meant:
    """What a column of text means.

    Attributes:
        values: (N,) float64, int64 or datetime64; NaN or NaT where a value is missing.
        text: how they are spelled, for ``Column.text``.
        notices: what was recognised.
        zoned: whether times are in UTC.
        timed: whether dates have times of a day, be it midnight.
    """

    values: Array
    text: str
    notices: tuple[str, ...] = ()
    zoned: bool = False
    timed: bool = False


@dataclass(frozen=True)
class _Looked:
    """A column of text at a first look."""

    text: Any
    numbers: Numbers | None = None
    pairs: tuple[tuple[str, str], ...] = ()
    dates: Dates | None = None


def recognise(
    texts: Mapping[str, Any],
    said: Spelling = UNKNOWN,
    *,
    kinds: Mapping[str, ColumnKind] | None = None,
    before: Mapping[str, str] | None = None,
    delimiter: str | None = None,
    part: str = "data",
    place: Callable[[int], str] | None = None,
) -> dict[str, Meant]:
    """Recognises numbers, dates and times in columns of text; what is plain text is left out.

    Example:
        >>> import pyarrow
        >>> found = recognise({"price": pyarrow.array(["1.234,50 €", "3,00 €", None])})
        >>> found["price"].values.tolist()
        [1234.5, 3.0, nan]
        >>> found["price"].notices[0]
        "column 'price': numbers with a decimal comma, points between thousands, in €"

    Args:
        texts: pyarrow arrays of text by the names of the columns.
        said: decimal sign, sign between thousands and order of dates, as the user says.
        kinds: what columns are; a category stays text.
        before: how columns were spelled in training.
        delimiter: what parts the cells of the text file; ``None`` where there is no such file.
        part: what to call the data in an error message.
        place: what to call a row there; "row" and its number by default.

    Raises:
        DataError: a column holds numbers or dates and values that are none, or dates in two orders.
    """
    kinds, before, place = kinds or {}, before or {}, place or _row
    decimal, thousands, order = said
    looked = {
        name: _look(text, kinds.get(name), decimal, thousands, order, before.get(name, ""))
        for name, text in texts.items()
    }
    tell = {text_numbers.tells(one.numbers, one.pairs) for one in looked.values() if one.numbers}
    tell -= {None}
    common = decimal or (tell.pop() if len(tell) == 1 else None)
    orders = {
        one.dates.order
        for one in looked.values()
        if one.dates and not one.dates.guessed and one.dates.order in ("dmy", "mdy")
    }
    common_order = orders.pop() if len(orders) == 1 else None
    found = {}
    for name, one in looked.items():
        where = f"{part}: column '{name}'"
        if one.text.null_count == len(one.text) and (
            nothing := _nothing(one.text, before.get(name, ""))
        ):
            found[name] = nothing
        elif one.dates is not None:
            dates = one.dates
            if dates.guessed and common_order is not None:
                dates = text_dates.parse(one.text, common_order) or dates
            found[name] = _as_dates(name, one.text, dates, where, place)
        elif one.numbers is not None:
            known = NumberText.from_text(before.get(name, ""))
            usual = known.decimal if known else common
            found[name] = _as_numbers(name, one, usual, delimiter, where, place, decimal is not None)
    return found


def _row(number: int) -> str:
    return f"row {number}"


def _nothing(text: Any, before: str) -> Meant | None:
    """What a column means without a value, by what it was in training."""
    if before in text_dates.ORDERS:
        return Meant(np.full(len(text), np.datetime64("NaT", "s")), before)
    if before == text_dates.TIME or NumberText.from_text(before):
        return Meant(np.full(len(text), np.nan), before)
    return None


def _look(
    text: Any,
    kind: ColumnKind | None,
    decimal: str | None,
    thousands: str | None,
    order: str | None,
    before: str,
) -> _Looked:
    import pyarrow.compute as pc

    text = text_numbers.plainer(text)
    if kind not in (None, *_READ) or not pc.any(pc.is_valid(text)).as_py():
        return _Looked(text)
    sample = _sample(text)
    if kind != "count" and text_dates.parse(_without_words(sample), order) is not None:
        guess = before if before in text_dates.ORDERS else None
        dates = text_dates.parse(_without_words(text), order, guess)
        if dates is not None and (kind != "real" or dates.order == text_dates.TIME):
            return _Looked(text, dates=dates)
    if kind == "date":
        return _Looked(text)
    numbers = text_numbers.take_apart(text) if text_numbers.take_apart(sample) else None
    pairs = text_numbers.possible(numbers, decimal, thousands) if numbers else []
    if numbers is None or not pairs:
        if numbers is None or (decimal is None and thousands is None):
            return _Looked(text)
        pairs = [(decimal or ".", thousands or "")]
    return _Looked(text, numbers, tuple(pairs))


def _sample(text: Any) -> Any:
    """Some values of a column, evenly spread, by which it is told quickly that it is plain text."""
    import pyarrow
    import pyarrow.compute as pc

    rows = np.flatnonzero(np.asarray(pc.is_valid(text)))
    if len(rows) <= _SAMPLED:
        return text
    return text.take(pyarrow.array(rows[np.linspace(0, len(rows) - 1, _SAMPLED).astype(int)]))


def _without_words(text: Any) -> Any:
    """Makes words that stand for missing values null."""
    import pyarrow
    import pyarrow.compute as pc

    words = pyarrow.array(sorted(MISSING))
    return pc.if_else(pc.is_in(pc.utf8_lower(text), value_set=words), None, text)


def _as_numbers(
    name: str,
    one: _Looked,
    usual: str | None,
    delimiter: str | None,
    where: str,
    place: Callable[[int], str],
    asked: bool,
) -> Meant:
    numbers = one.numbers
    assert numbers is not None
    pair, guessed = text_numbers.chosen(one.pairs, usual, delimiter == ";")
    spelled = NumberText(*pair, numbers.unit)
    values = numbers.values(spelled)
    words = _refuse_words(one.text, numbers.known & np.isnan(values), where, place, _spelt(spelled))
    _refuse_currencies(numbers, where)
    whole = numbers.whole and not np.isnan(values).any()
    if whole and (np.abs(values) < 2**53).all():
        values = values.astype(np.int64)
    notices = _told_numbers(name, one, spelled, guessed and not asked, words, delimiter)
    return Meant(values, str(spelled), notices)


def _told_numbers(
    name: str,
    one: _Looked,
    spelled: NumberText,
    guessed: bool,
    words: list[str],
    delimiter: str | None,
) -> tuple[str, ...]:
    """What is to be said of a column of numbers in text; nothing of plain ones of a text file."""
    import pyarrow.compute as pc

    numbers = one.numbers
    assert numbers is not None
    grouped = (
        bool(spelled.thousands)
        and pc.any(pc.match_substring(numbers.digits, spelled.thousands)).as_py()
    )
    comma = spelled.decimal == "," and pc.any(pc.match_substring(numbers.digits, ",")).as_py()
    parts = ["a decimal comma"] if comma else []
    parts += [f"{_SIGNS[spelled.thousands]} between thousands"] if grouped else []
    parts += ["negative ones in brackets"] if numbers.bracketed else []
    units = [unit for unit in numbers.units if unit]
    parts = ["numbers" + (f" with {', '.join(parts)}" if parts else "")]
    parts += [f"in {' and '.join(units)}"] if units else []
    if units and numbers.units.get(""):
        parts.append(f"{numbers.units['']} without a unit taken as the others")
    # With commas between cells, a point before three digits is as sure as any other.
    points = delimiter in (None, ";") and pc.any(pc.match_substring(numbers.digits, ".")).as_py()
    unsure = guessed and (comma or grouped or points)
    if parts == ["numbers"] and not words:
        if delimiter is not None and not unsure:
            return ()
        parts = ["text that spells numbers"]
    told = f"column '{name}': {', '.join(parts)}"
    if unsure:
        example = _example(one.text, numbers.digits, "[.,]")
        other = "." if spelled.decimal == "," else ","
        told += (
            f"; {example!r} is read as {_value(example, spelled):.10g}; decimal={other!r} (--decimal "
            f"{other}) reads it otherwise"
        )
    if words:
        told += f"; {_listed(words)} taken as missing"
    return (told,)


_SIGNS = {",": "commas", ".": "points", " ": "spaces", "'": "apostrophes"}


def _value(example: str, spelled: NumberText) -> float:
    import pyarrow

    apart = text_numbers.take_apart(pyarrow.array([example]))
    return float("nan") if apart is None else float(apart.values(spelled)[0])


def _example(text: Any, digits: Any, pattern: str) -> str:
    import pyarrow.compute as pc

    fits = np.asarray(pc.fill_null(pc.match_substring_regex(digits, pattern), False))
    return str(text[int(fits.argmax())].as_py())[:_SHOWN]


def _spelt(spelled: NumberText) -> str:
    name = "a comma" if spelled.decimal == "," else "a point"
    return f"numbers with {name} before the fraction"


def _refuse_currencies(numbers: Numbers, where: str) -> None:
    """Refuses amounts of several currencies or per cents beside amounts, which are no one scale."""
    same = {"€": "EUR", "$": "USD", "US$": "USD", "£": "GBP", "¥": "JPY", "Fr": "CHF", "Kr": "kr"}
    different = sorted({same.get(unit, unit) for unit in numbers.units if unit})
    if len(different) > 1:
        raise DataError(
            f"{where} holds amounts in {_listed(different)}, which cannot be compared; bring them to "
            "one, or declare the column a category"
        )


def _refuse_words(
    text: Any, wrong: Array, where: str, place: Callable[[int], str], what: str
) -> list[str]:
    """Refuses text among numbers or dates; returns the words that stand for missing values."""
    if not wrong.any():
        return []
    rows = np.flatnonzero(wrong)
    odd = [(int(row), str(text[int(row)].as_py())) for row in rows[:1000]]
    words = sorted({word for _, word in odd if word.lower() in MISSING})
    bad = [(row, word) for row, word in odd if word.lower() not in MISSING]
    if bad:
        row, word = bad[0]
        n = len(rows) if not words else f"at least {len(bad)}"
        raise DataError(
            f"{where} holds {what} and {n} text, first {word[:_SHOWN]!r} at {place(row)}; leave what "
            "is missing empty, say how it is spelled (decimal, thousands, date_order), or declare the "
            "column a category"
        )
    return words


def _as_dates(name: str, text: Any, dates: Dates, where: str, place: Callable[[int], str]) -> Meant:
    import pyarrow.compute as pc

    if dates.conflict:
        first, second = dates.conflict
        raise DataError(
            f"{where} holds dates in two orders, {first!r} and {second!r}; write them in one, or say "
            "date_order"
        )
    known = np.asarray(pc.is_valid(text))
    words = _refuse_words(text, known & ~dates.found, where, place, "dates")
    told = []
    if dates.order == text_dates.TIME:
        hours = dates.values.astype("int64") / 3.6e9
        values = np.where(np.isnat(dates.values), np.nan, hours)
        told.append("times of a day, read as hours (13:30 is 13.5)")
    else:
        values = dates.values
        if not dates.timed:
            values = values.astype("datetime64[D]").astype("datetime64[s]")
        elif not (values.astype("int64")[dates.found] % 1_000_000).any():
            values = values.astype("datetime64[s]")
        told += _told_dates(text, dates)
    if words:
        told.append(f"{_listed(words)} taken as missing")
    notices = (f"column '{name}': {'; '.join(told)}",) if told else ()
    return Meant(values, dates.order, notices, bool(dates.zoned), dates.timed)


def _told_dates(text: Any, dates: Dates) -> list[str]:
    first = int(dates.found.argmax())
    meant = str(dates.values[first])[: 19 if dates.timed else 10]
    example = f"{str(text[first].as_py())[:_SHOWN]!r} is {meant}"
    told = [f"dates, {example}"]
    if dates.order in ("dmy", "mdy") and dates.guessed:
        other = "mdy" if dates.order == "dmy" else "dmy"
        which = "the day comes first" if dates.order == "dmy" else "the month comes first"
        told = [
            f"dates, no number above 12 tells, so {which}: {example}; date_order='{other}' "
            f"(--date-order {other}) reads them otherwise"
        ]
    if len(dates.forms) > 1:
        told.append(f"in several forms, as {_listed(dates.forms)}")
    if dates.short_years:
        told.append("years of two digits are 1969 to 2068")
    n = int(dates.found.sum())
    if dates.zoned > 0:
        told.append("times in UTC")
    return told if n else []


def _listed(words: Sequence[str]) -> str:
    more = f" and {len(words) - _LISTED} more" if len(words) > _LISTED else ""
    return ", ".join(repr(word[:_SHOWN]) for word in words[:_LISTED]) + more
