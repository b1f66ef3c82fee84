"""Dates and times that are spelled in text, in any common form.

The order of day and month is told by a number above 12 in any row; where there is none, by other
columns of dates; else a point or a hyphen between the numbers means that the day comes first, as in
Germany, and a slash that the month does, as in the United States. The option ``date_order`` decides
before all. Years of two digits are 1969 to 2068.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from autoencode.types import Array

DateOrder = Literal["dmy", "mdy", "ymd"]
ORDERS: tuple[DateOrder, ...] = get_args(DateOrder)
TIME = "time"  # of a day, without a date
_PIVOT = 69  # of years of two digits, the first of the last century

_NAMES: Mapping[int, str] = {
    1: "january jan januar jänner jän janvier janv enero ene gennaio gen januari",
    2: "february feb februar feber février fevrier févr fevr fév febrero febbraio februari",
    3: "march mar märz maerz mrz mär mars marzo mars maart mrt",
    4: "april apr avril avr abril abr aprile",
    5: "may mai mayo maggio mag mei maj",
    6: "june jun juni juin junio giugno giu",
    7: "july jul juli juillet juil julio luglio lug",
    8: "august aug août aout agosto ago augusti augustus",
    9: "september sep sept septembre septiembre settembre set",
    10: "october oct oktober okt octobre octubre ottobre ott",
    11: "november nov novembre noviembre novembro",
    12: "december dec dezember dez décembre decembre déc diciembre dic dicembre",
}
_MONTHS = {name: month for month, names in _NAMES.items() for name in names.split()}
_NAME = r"[A-Za-zÀ-ÿ]{3,10}"
_CLOCK = (
    r"(?P<H>[0-9]{1,2}):(?P<M>[0-9]{2})(?::(?P<S>[0-9]{2})(?:[.,](?P<F>[0-9]{1,9}))?)?"
    r"(?:\s*(?P<P>[AaPp])\.?[Mm]\.?)?(?:\s*Uhr)?"
    r"(?:\s*(?P<Z>Z|z|UTC|GMT|(?:UTC|GMT)?[+-][0-9]{2}:?[0-9]{2}|(?:UTC|GMT)?[+-][0-9]{1,2}))?"
)
_TIME = rf"(?:(?:[T,]|\s)\s*{_CLOCK})?"
_WEEKDAY = rf"(?:{_NAME}\.?,?\s+|(?:[A-Za-z]{{2}})\.?,\s*)?"
# Each form and its fields: y year, m month, n name of a month, d day; a, b the first and second number.
_FORMS = {
    "iso": rf"^(?P<y>[0-9]{{4}})[-/.](?P<m>[0-9]{{1,2}})[-/.](?P<d>[0-9]{{1,2}}){_TIME}$",
    "numbers": rf"^{_WEEKDAY}(?P<a>[0-9]{{1,2}})(?P<s>[-/.]|\.? )(?P<b>[0-9]{{1,2}})"
    rf"(?:[-/.]|\.? )(?P<y>[0-9]{{4}}|'?[0-9]{{2}}){_TIME}$",
    "day first": rf"^{_WEEKDAY}(?P<d>[0-9]{{1,2}})(?:st|nd|rd|th)?[-\s./]*(?:of |de )?(?P<n>{_NAME})"
    rf"[-\s./,]*(?:de )?(?P<y>[0-9]{{4}}|'?[0-9]{{2}}){_TIME}$",
    "month first": rf"^{_WEEKDAY}(?P<n>{_NAME})[-\s./]*(?P<d>[0-9]{{1,2}})(?:st|nd|rd|th)?"
    rf"(?:\s*,\s*|[-\s./]+)(?P<y>[0-9]{{4}}|'[0-9]{{2}}){_TIME}$",
    "year first": rf"^(?P<y>[0-9]{{4}})[-\s./]*(?P<n>{_NAME})[-\s./]*(?P<d>[0-9]{{1,2}}){_TIME}$",
    "C": rf"^{_NAME}\s+(?P<n>{_NAME})\s+(?P<d>[0-9]{{1,2}})\s+{_CLOCK}\s+(?P<y>[0-9]{{4}})$",
    "compact": r"^(?P<y>[0-9]{4})(?P<m>[0-9]{2})(?P<d>[0-9]{2})[T ](?P<H>[0-9]{2}):?(?P<M>[0-9]{2})"
    r"(?::?(?P<S>[0-9]{2})(?:\.(?P<F>[0-9]{1,9}))?)?(?P<Z>Z|[+-][0-9]{2}:?[0-9]{2})?$",
    "month": r"^(?P<y>[0-9]{4})[-/](?P<m>[0-9]{1,2})$",
    "month of year": r"^(?P<m>[0-9]{1,2})[/-](?P<y>[0-9]{4})$",
    "name of month": rf"^(?P<n>{_NAME})\.?[-\s/,']*(?P<y>[0-9]{{4}})$",
    "year and name": rf"^(?P<y>[0-9]{{4}})[-\s/]*(?P<n>{_NAME})$",
    "quarter": r"^(?P<y>[0-9]{4})[-\s/]?[Qq](?P<q>[1-4])$",
    "quarter of year": r"^[Qq](?P<q>[1-4])[-\s/]*(?P<y>[0-9]{4})$",
    TIME: f"^{_CLOCK}$",
}


@dataclass(frozen=True)
class Dates:
    """Dates that text spells.

    Attributes:
        values: (N,) datetime64[us] in UTC where zones are given; NaT where there is no date. Of times
            of a day, datetime64 of 1970-01-01.
        order: of day, month and year as numbers, ``time`` for times of a day.
        guessed: whether nothing tells that order.
        timed: whether there are times of a day.
        zoned: how many have a time zone.
        forms: an example of each form in which there are some.
        short_years: whether there are years of two digits.
        conflict: an example of each order of day and month, where a column holds both.
    """

    values: Array
    order: str
    guessed: bool
    timed: bool
    zoned: int
    forms: tuple[str, ...]
    short_years: bool
    conflict: tuple[str, ...] = ()

    @property
    def found(self) -> Array:
        """Tells where there is a date (N,)."""
        return ~np.isnat(self.values)


#: What numbers that are declared dates count, by what ``Column.text`` calls it.
UNITS: Mapping[str, str] = {
    "epoch s": "seconds since 1970",
    "epoch ms": "milliseconds since 1970",
    "epoch us": "microseconds since 1970",
    "epoch ns": "nanoseconds since 1970",
    "yyyymmdd": "years, months and days (20201231)",
}


def moments_of(numbers: Array, unit: str | None = None) -> tuple[Array, str] | None:
    """Reads numbers (N,) that are declared dates; ``None`` where they are no such numbers.

    Args:
        numbers: in any of ``UNITS``.
        unit: which; by default told by how large they are: seconds are those from 1970 to 5138.

    Example:
        >>> values, unit = moments_of(np.array([1577836800, 1577923200]))
        >>> values.astype("datetime64[D]").tolist()[0].isoformat(), unit
        ('2020-01-01', 'epoch s')
    """
    if numbers.dtype.kind not in "iuf":
        return None
    gone = np.isnan(numbers) if numbers.dtype.kind == "f" else np.zeros(len(numbers), bool)
    known = numbers[~gone].astype(np.float64)
    if not len(known):
        return None
    if unit in (None, "yyyymmdd") and ((known >= 1e7) & (known < 1e8)).all():
        whole = known.astype(np.int64)
        fields = {"y": whole // 10_000, "m": whole // 100 % 100, "d": whole % 100}
        made, _ = _made({name: _text(field) for name, field in fields.items()})
        if not np.isnat(made).any():
            return _spread(made.astype("datetime64[s]"), gone), "yyyymmdd"
    largest = float(np.abs(known).max())
    sizes = {"epoch s": 1e11, "epoch ms": 1e14, "epoch us": 1e17, "epoch ns": np.inf}
    unit = unit or next(name for name, size in sizes.items() if largest < size)
    if unit not in sizes:
        return None
    scale = {"epoch s": 1e6, "epoch ms": 1e3, "epoch us": 1.0, "epoch ns": 1e-3}[unit]
    return _spread(np.rint(known * scale).astype("int64").astype("datetime64[us]"), gone), unit


def _spread(values: Array, gone: Array) -> Array:
    """Puts values at the places that are not gone."""
    spread = np.full(len(gone), np.datetime64("NaT"), values.dtype)
    spread[~gone] = values
    return spread


def _text(numbers: Array) -> Any:
    import pyarrow

    return pyarrow.array(numbers.astype(str))


def could_hold(text: Any) -> bool:
    """Tells quickly whether text may be dates: some digit beside a sign or letters that dates have."""
    import pyarrow.compute as pc

    pattern = r"[0-9](?:[-/:.'QqT]|\.?\s)|[A-Za-zÀ-ÿ]{3}.*[0-9]{4}|^[Qq][1-4]"
    return bool(pc.any(pc.match_substring_regex(text, pattern)).as_py())


def parse(text: Any, order: str | None, guess: str | None = None) -> Dates | None:
    """Reads a pyarrow array of text as dates; ``None`` where most of it is something else.

    Args:
        text: (N,) without blanks around it, null where a value is missing.
        order: of day, month and year, as the user says; ``None`` to find out.
        guess: their order where the column does not tell.
    """
    import pyarrow.compute as pc

    if not could_hold(text):
        return None
    coded = pc.dictionary_encode(text)
    different, places = coded.dictionary, coded.indices
    found = _parse(different, order, guess)
    if found is None:
        return None
    shares = np.asarray(pc.fill_null(places, len(different)))
    values = np.append(found.values, np.datetime64("NaT", "us"))[shares]
    known = shares < len(different)
    if int((~np.isnat(values)).sum()) * 2 < int(known.sum()):
        return None
    return Dates(
        values, *(getattr(found, name) for name in Dates.__dataclass_fields__ if name != "values")
    )


def _parse(text: Any, order: str | None, guess: str | None) -> Dates | None:
    import pyarrow
    import pyarrow.compute as pc

    n = len(text)
    values = np.full(n, np.datetime64("NaT", "us"))
    left = np.ones(n, bool)
    forms: list[tuple[str, str]] = []
    orders: set[str] = set()
    conflict: tuple[str, ...] = ()
    timed, zoned, short, guessed = False, 0, False, False
    for form, pattern in _FORMS.items():
        if not left.any():
            break
        some = pc.drop_null(text.filter(pyarrow.array(left)))
        parts = pc.extract_regex(some, pattern)
        hit = np.asarray(pc.is_valid(parts))
        if not hit.any():
            continue
        places = np.flatnonzero(left)[hit]
        fields = {
            field.name: parts.field(field.name).filter(pyarrow.array(hit)) for field in parts.type
        }
        years = fields.get("y")
        if years is not None:
            short = short or bool(pc.any(pc.less(pc.utf8_length(years), 4)).as_py())
        if form == "numbers":
            own, sure, conflict = _order_of(fields, some.filter(pyarrow.array(hit)), order, guess)
            orders.add(own)
            guessed = not sure
            fields = _named(fields, own)
        elif form == "iso":
            orders.add("ymd")
        made, with_zone = _made(fields)
        good = ~np.isnat(made)
        if not good.any():
            continue
        values[places[good]] = made[good]
        left[places[good]] = False
        first = places[good][0]
        forms.append((form, text[int(first)].as_py()))
        timed = timed or bool("H" in fields and pc.any(pc.not_equal(fields["H"], "")).as_py())
        zoned += with_zone
    if not forms:
        return None
    times = [example for form, example in forms if form == TIME]
    if times and len(forms) > 1:  # times of a day among dates are none
        return None
    own = TIME if times else next((one for one in sorted(orders - {"ymd"})), "ymd")
    examples = tuple(example for _, example in forms)
    return Dates(values, own, guessed, timed, zoned, examples, short, conflict)


def _order_of(
    fields: Mapping[str, Any], text: Any, order: str | None, guess: str | None
) -> tuple[str, bool, tuple[str, ...]]:
    """The order of the numbers of dates, whether that is sure, and examples of both orders if any."""
    first, second = _numbers(fields["a"]), _numbers(fields["b"])
    years = _numbers(fields["y"])
    if order is not None:
        return order, True, ()
    days_first, months_first = first > 12, second > 12
    if days_first.any() and months_first.any():
        lasts = {len(year) for year in fields["y"].to_pylist()}
        if lasts == {2} and (first > 31).any():
            return "ymd", True, ()
        both = tuple(str(text[int(np.argmax(rows))].as_py()) for rows in (days_first, months_first))
        return "dmy", True, both
    if days_first.any():
        short = bool((years <= 31).all())  # as days, so that years may come first
        return ("ymd" if (first > 31).any() and short else "dmy"), not short, ()
    if months_first.any():
        return "mdy", True, ()
    if guess in ("dmy", "mdy"):
        return guess, True, ()
    signs = set(fields["s"].to_pylist())
    if signs <= {".", ". ", " "}:
        return "dmy", True, ()
    return ("mdy" if "/" in signs else "dmy"), False, ()


def _named(fields: Mapping[str, Any], order: str) -> dict[str, Any]:
    """Calls the first, second and last number of dates what the order says they are."""
    places = dict(zip(order, ("a", "b", "y"), strict=True))
    named = {name: fields[place] for name, place in places.items()}
    return {**{name: field for name, field in fields.items() if name not in "abys"}, **named}


def _numbers(text: Any) -> Array:
    """Converts digits to whole numbers, 0 where there are none."""
    import pyarrow
    import pyarrow.compute as pc

    digits = pc.replace_substring(text, "'", "")
    digits = pc.if_else(pc.equal(digits, ""), "0", digits)
    return np.asarray(pc.cast(digits, pyarrow.int64()))


def _made(fields: Mapping[str, Any]) -> tuple[Array, int]:
    """Makes datetime64[us] of the fields of a form, NaT where no calendar has such a date."""
    import pyarrow.compute as pc

    n = len(next(iter(fields.values())))
    year = _years(fields["y"]) if "y" in fields else np.full(n, 1970)
    if "n" in fields:
        month = _month_numbers(fields["n"])
    elif "q" in fields:
        month = 3 * _numbers(fields["q"]) - 2
    else:
        month = _numbers(fields["m"]) if "m" in fields else np.ones(n, np.int64)
    day = _numbers(fields["d"]) if "d" in fields else np.ones(n, np.int64)
    good = (month >= 1) & (month <= 12) & (day >= 1) & (year >= 1)
    months = (np.where(good, year, 1970) - 1970) * 12 + np.where(good, month, 1) - 1
    firsts = months.astype("datetime64[M]")
    dates = firsts.astype("datetime64[D]") + (np.where(good, day, 1) - 1)
    good &= dates.astype("datetime64[M]") == firsts  # no 31st of April
    values = dates.astype("datetime64[us]")
    if "H" not in fields:
        return np.where(good, values, np.datetime64("NaT", "us")), 0
    hour, minute, second = (_numbers(fields[name]) for name in "HMS")
    good &= (hour <= 24) & (minute < 60) & (second <= 60)
    half = pc.utf8_lower(fields["P"]) if "P" in fields else None
    if half is not None:
        morning, evening = (np.asarray(pc.equal(half, letter)) for letter in "ap")
        good &= ~(morning | evening) | ((hour >= 1) & (hour <= 12))
        hour = np.where(morning | evening, hour % 12, hour) + 12 * evening
    micro = _numbers(pc.utf8_slice_codeunits(pc.utf8_rpad(fields["F"], 6, "0"), 0, 6))
    seconds = hour * 3600 + minute * 60 + second - _offsets(fields["Z"])
    values = values + (seconds * 1_000_000 + micro).astype("timedelta64[us]")
    zoned = int(pc.sum(pc.not_equal(fields["Z"], "")).as_py() or 0)
    return np.where(good, values, np.datetime64("NaT", "us")), zoned


def _years(text: Any) -> Array:
    import pyarrow.compute as pc

    numbers = _numbers(text)
    short = np.asarray(pc.less(pc.utf8_length(pc.replace_substring(text, "'", "")), 4))
    return np.where(short, numbers + np.where(numbers >= _PIVOT, 1900, 2000), numbers)


def _month_numbers(names: Any) -> Array:
    """Converts names of months to their numbers, 0 for a word that is none."""
    import pyarrow
    import pyarrow.compute as pc

    known = pyarrow.array(list(_MONTHS))
    places = pc.index_in(pc.utf8_lower(names), value_set=known)
    numbers = np.array([*_MONTHS.values(), 0])
    found: Array = numbers[np.asarray(pc.fill_null(places, len(known)))]
    return found


def _offsets(zones: Any) -> Array:
    """Converts time zones to seconds east of Greenwich."""
    import pyarrow.compute as pc

    coded = pc.dictionary_encode(zones)
    each = [_offset(zone) for zone in coded.dictionary.to_pylist()]
    found: Array = np.array(each, np.int64)[np.asarray(coded.indices)]
    return found


def _offset(zone: str) -> int:
    digits = zone.upper().removeprefix("UTC").removeprefix("GMT").replace(":", "")
    if not digits or digits == "Z":
        return 0
    hours, minutes = (digits[1:3], digits[3:]) if len(digits) > 3 else (digits[1:], "0")
    seconds = int(hours) * 3600 + int(minutes or 0) * 60
    return -seconds if digits[0] == "-" else seconds
