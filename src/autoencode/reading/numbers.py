"""Numbers that are spelled in text: decimal commas, thousands, per cent, money, negatives in brackets.

The rule where a column alone does not tell: ``1.234`` is 1.234, and ``1,234`` is 1234, but 1.234 where
semicolons part the cells of the file; other columns of the same table that do tell decide before that,
and the options ``decimal`` and ``thousands`` before all.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from autoencode.types import Array

DECIMALS = (".", ",")
THOUSANDS = ("", ",", ".", " ", "'")
#: What stands for a missing value beside numbers or dates, in small letters.
MISSING = frozenset(
    {"-", "--", "---", "–", "—", "?", ".", "..", "...", "", "na", "n/a", "n.a.", "n.a", "k.a.", "nan"}
    | {"null", "none", "nil", "missing", "#n/a", "#na", "#value!", "#div/0!", "#ref!", "#num!", "<na>"}
)
_CODES = (
    "USD|EUR|GBP|CHF|JPY|CNY|RMB|INR|SEK|NOK|DKK|ISK|PLN|CZK|HUF|RON|BGN|TRY|RUB|UAH|BRL|MXN|ARS|CLP|COP|"
    "PEN|AUD|CAD|NZD|ZAR|SGD|HKD|KRW|TWD|THB|IDR|MYR|PHP|VND|ILS|AED|SAR|EGP|NGN|KES|BTC|ETH|DM|ATS|Kr|kr"
    r"|Kč|zł|Ft|lei|Fr\.?|SFr\.?|Rs\.?|Rp|RM|Mio\.? ?€|Tsd\.? ?€"
)
_MONEY = rf"(?:[A-Z]{{1,3}})?[$€£¥₹₽₩₺₪₫฿₴₦₱₡₲₵₸]|(?:{_CODES})\.?|,-|,–"
_SIGN = "%|‰|°|°C|°F"
_UNIT = r"[A-Za-zµμΩ°²³]{1,4}(?:/[A-Za-zµ²³]{1,4})?"  # of measures, the same throughout a column
_DIGITS = r"[0-9](?:[0-9.,' ]*[0-9])?\.?|[.,][0-9]+"
_NUMBER = (
    rf"^(?P<o1>\()?\s*(?P<s1>[+-])?\s*(?P<u1>{_MONEY}|%)?\s*(?P<s2>[+-])?(?P<o2>\()?\s*"
    rf"(?P<n>{_DIGITS})(?P<e>[eE][+-]?[0-9]{{1,3}})?"
    rf"(?P<o3>\))?(?:\s*(?P<u2>{_MONEY}|{_SIGN})|\s+(?P<u3>{_UNIT}))?\s*(?P<o4>\))?(?P<s3>-)?$"
)
_ODD = (  # signs that mean plainer ones
    ("[−‒﹣－]", "-"),
    ("[\u00a0\u202f\u2009\u2007\u2008\u3000\t]", " "),
    ("[’‘´`]", "'"),
)
_ZERO_FIRST = r"^[+-]?0[0-9]"
_MOST_EXACT = r"^[+-]?[0-9]{19,}$"


@dataclass(frozen=True)
class NumberText:
    """How numbers are spelled.

    Attributes:
        decimal: the sign before the fraction.
        thousands: the sign between groups of digits, empty for none.
        unit: what stands before or behind the digits, empty for nothing.
    """

    decimal: str = "."
    thousands: str = ""
    unit: str = ""

    def __str__(self) -> str:
        return f"{self.decimal}|{self.thousands}|{self.unit}"

    @classmethod
    def from_text(cls, text: str) -> NumberText | None:
        """Reads what ``str`` gave; ``None`` for anything else."""
        parts = text.split("|", 2)
        if len(parts) != 3 or parts[0] not in DECIMALS or parts[1] not in THOUSANDS:
            return None
        return cls(*parts)


@dataclass(frozen=True)
class Numbers:
    """A column of text in which most values are numbers, taken apart.

    Attributes:
        digits: a pyarrow array (N,) of digits and the signs between them, null where is no number.
        exponent: the same of ``e-3``, empty where there is none.
        negative: (N,) whether the number is negative.
        bracketed: whether brackets mean negative numbers.
        units: what units there are and how often, empty for none.
        known: (N,) whether there is any text at all.
    """

    digits: Any
    exponent: Any
    negative: Array
    bracketed: bool
    units: dict[str, int]
    known: Array

    @property
    def found(self) -> Array:
        """Tells where there is a number (N,)."""
        return np.asarray(self.digits.is_valid())

    @property
    def unit(self) -> str:
        """The unit of the column, the most frequent of them."""
        return max((unit for unit in self.units if unit), key=lambda unit: self.units[unit], default="")

    def matching(self, decimal: str, thousands: str) -> Array:
        """Tells which numbers (N,) can be meant by these signs."""
        import pyarrow.compute as pc

        good = pc.match_substring_regex(self.digits, _pattern(decimal, thousands))
        return np.asarray(pc.fill_null(good, False))

    def values(self, spelled: NumberText) -> Array:
        """Converts to (N,) float64; NaN where there is no number or it is not spelled so."""
        import pyarrow
        import pyarrow.compute as pc

        fits = pyarrow.array(self.matching(spelled.decimal, spelled.thousands))
        plain = pc.if_else(fits, self.digits, None)
        if spelled.thousands:
            plain = pc.replace_substring(plain, spelled.thousands, "")
        if spelled.decimal != ".":
            plain = pc.replace_substring(plain, spelled.decimal, ".")
        plain = pc.binary_join_element_wise(plain, self.exponent, "")
        values: Array = pc.cast(plain, pyarrow.float64()).to_numpy(zero_copy_only=False)
        return np.where(self.negative, -values, values)

    @property
    def whole(self) -> bool:
        """Whether nothing but digits is in them, so that they are whole numbers."""
        import pyarrow.compute as pc

        odd = pc.match_substring_regex(self.digits, "[^0-9]")
        return not (pc.any(odd).as_py() or pc.any(pc.not_equal(self.exponent, "")).as_py())


def plainer(text: Any) -> Any:
    """Replaces signs of a pyarrow array of text that mean plainer ones: minus signs, spaces."""
    import pyarrow.compute as pc

    if pc.all(pc.string_is_ascii(text)).as_py() is not False:
        return pc.utf8_trim_whitespace(text)
    for odd, sign in _ODD:
        text = pc.replace_substring_regex(text, odd, sign)
    return pc.utf8_trim_whitespace(text)


def take_apart(text: Any) -> Numbers | None:
    """Takes a pyarrow array of text apart into numbers; ``None`` where most of it is something else.

    Zip codes and other digits that begin with 0, telephone numbers and numbers of 19 digits and more
    are no numbers.
    """
    import pyarrow
    import pyarrow.compute as pc

    parts = pc.extract_regex(text, _NUMBER)
    got = {name: pc.struct_field(parts, name) for name in ("o1", "s1", "u1", "s2", "o2", "n", "e")}
    got |= {name: pc.struct_field(parts, name) for name in ("o3", "u2", "u3", "o4", "s3")}

    def there(name: str) -> Array:
        return np.asarray(pc.fill_null(pc.not_equal(got[name], ""), False))

    opened, closed = there("o1") | there("o2"), there("o3") | there("o4")
    signs = there("s1").astype(int) + there("s2") + there("s3")
    even = (opened == closed) & (signs + opened <= 1)
    units = pc.binary_join_element_wise(got["u1"], got["u2"], got["u3"], "")
    twice = (there("u1").astype(int) + there("u2") + there("u3")) > 1
    digits = pc.if_else(pyarrow.array(even & ~twice), got["n"], None)
    known = np.asarray(pc.is_valid(text))
    n_found = int(pc.sum(pc.is_valid(digits)).as_py() or 0)
    n_words = int(known.sum()) - n_found - _n_missing(text)
    if not n_found or n_words * 2 > int(known.sum()):
        return None
    if _are_names(pc.drop_null(digits), pc.drop_null(text)):
        return None
    minus = np.zeros(len(text), bool)
    for name in ("s1", "s2", "s3"):
        minus |= np.asarray(pc.fill_null(pc.equal(got[name], "-"), False))
    counted = pc.value_counts(pc.drop_null(pc.if_else(pc.is_valid(digits), units, None))).to_pylist()
    tally: dict[str, int] = {}
    for each in counted:  # EUR and €, kr and kr. are what they look like: units of their own
        unit = each["values"].strip(".").replace(",-", "").replace(",–", "").strip()
        tally[unit] = tally.get(unit, 0) + each["counts"]
    measures = {unit for unit in tally if re.fullmatch(_UNIT, unit) and not re.fullmatch(_MONEY, unit)}
    if (measures - {"°C", "°F", "°"}) and len(tally) > 1:  # 5 kg and 5 g, or 3 rooms and 3
        return None
    return Numbers(digits, pc.fill_null(got["e"], ""), minus | opened, bool(opened.any()), tally, known)


def _are_names(digits: Any, text: Any) -> bool:
    """Tells whether digits name things: they begin with 0, are too many, or are telephone numbers."""
    import pyarrow.compute as pc

    for pattern in (_ZERO_FIRST + "[0-9]*$", _MOST_EXACT):
        if pc.any(pc.match_substring_regex(digits, pattern)).as_py():
            return True
    calls = pc.all(pc.match_substring_regex(text, r"^\+[0-9][0-9 ]{6,}$")).as_py()
    return bool(calls)


def _n_missing(text: Any) -> int:
    import pyarrow
    import pyarrow.compute as pc

    words = pyarrow.array(sorted(MISSING))
    return int(pc.sum(pc.is_in(pc.utf8_lower(text), value_set=words)).as_py() or 0)


def _pattern(decimal: str, thousands: str) -> str:
    """The digits that these signs allow: groups of three, of two before the last three in India."""
    d, t = re.escape(decimal), re.escape(thousands)
    plain = rf"[0-9]+(?:{d}[0-9]*)?|{d}[0-9]+"
    if not thousands:
        return f"^(?:{plain})$"
    groups = rf"[1-9][0-9]{{0,2}}(?:{t}[0-9]{{3}})+(?:{d}[0-9]*)?"
    if (decimal, thousands) == (".", ","):
        groups += rf"|[1-9][0-9]?(?:{t}[0-9]{{2}})+{t}[0-9]{{3}}(?:{d}[0-9]*)?"
    return f"^(?:{plain}|{groups})$"


def possible(numbers: Numbers, decimal: str | None, thousands: str | None) -> list[tuple[str, str]]:
    """Lists the pairs of signs by which most of the numbers can be meant, the usual ones first."""
    pairs = [
        (d, t)
        for t in ("", ",", ".", " ", "'")
        for d in DECIMALS
        if d != t and (decimal is None or d == decimal) and (thousands is None or t == thousands)
    ]
    counts = [int(numbers.matching(*pair).sum()) for pair in pairs]
    return [pair for pair, count in zip(pairs, counts, strict=True) if count and count == max(counts)]


def tells(numbers: Numbers, pairs: Sequence[tuple[str, str]]) -> str | None:
    """The decimal sign that a column's numbers tell by themselves; ``None`` where they do not."""
    import pyarrow.compute as pc

    parted = pc.any(pc.match_substring_regex(numbers.digits, "[.,]")).as_py()
    signs = {decimal for decimal, _ in pairs}
    return signs.pop() if parted and len(signs) == 1 else None


def chosen(
    pairs: Sequence[tuple[str, str]], decimal: str | None, semicolons: bool
) -> tuple[tuple[str, str], bool]:
    """Chooses among pairs of signs that are all possible, and tells whether the choice is a guess.

    Args:
        pairs: what ``possible`` gives.
        decimal: what other columns tell.
        semicolons: whether they part the cells of the file.
    """
    if decimal is not None and (told := [pair for pair in pairs if pair[0] == decimal]):
        return told[0], False
    # A point is a decimal point; a comma before three digits groups thousands.
    order = [(".", ""), (",", ""), (".", ",")] if semicolons else [(".", ""), (".", ","), (",", "")]
    best = next((pair for pair in order if pair in pairs), pairs[0])
    return best, len({d for d, _ in pairs}) > 1
