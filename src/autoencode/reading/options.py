"""How a table is read and what its columns are for: what the user says, and what is found in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from autoencode.errors import OptionError, nearest
from autoencode.reading.dates import ORDERS, DateOrder
from autoencode.reading.numbers import DECIMALS, NumberText
from autoencode.types import ColumnKind

#: Categories that a column may have for a model to know each by itself.
MOST_CATEGORIES = 2000
_GROUPS = (",", ".", " ", "'", "")


@dataclass(frozen=True)
class TableOptions:
    """Options of how a table is read and what its columns are for.

    What is not said is recognised, and a notice tells what was.

    Attributes:
        label: the column that holds each row's label, of which only recipes that are conditional on
            labels learn; the others colour pictures by it.
        id: the column that names each row, for the files that are written.
        drop: columns that are left out.
        kinds: what the values of a column are, where the file does not tell.
        keep: columns that are learned from although they look like row numbers or identifiers.
        header: whether the first line of a text file names the columns.
        decimal: the sign before the fraction of numbers in text, ``"."`` or ``","``.
        thousands: the sign between their groups of digits: ``","``, ``"."``, ``" "``, ``"'"`` or ``""``
            for none.
        date_order: of the numbers of dates in text, ``"dmy"``, ``"mdy"`` or ``"ymd"``.
        max_categories: categories that a column may have for a model to know each by itself; of more
            the rarer ones share states (``vocabulary.learned``).

    Raises:
        OptionError: for a sign or an order that there is not.

    Example:
        >>> TableOptions(decimal=",", date_order="dmy").spelling
        (',', None, 'dmy')
    """

    label: str | None = None
    id: str | None = None
    drop: tuple[str, ...] = ()
    kinds: Mapping[str, ColumnKind] = field(default_factory=dict)
    keep: tuple[str, ...] = ()
    header: bool | None = None
    decimal: str | None = None
    thousands: str | None = None
    date_order: DateOrder | None = None
    max_categories: int = MOST_CATEGORIES

    def __post_init__(self) -> None:
        most = self.max_categories
        if type(most) is not int or most < 2:
            raise OptionError(f"max_categories must be a whole number, 2 or more, got {most!r}")
        if self.decimal not in (None, *DECIMALS):
            raise OptionError(f"decimal must be '.' or ',', got {self.decimal!r}")
        if self.thousands not in (None, *_GROUPS):
            raise OptionError(
                f"thousands must be ',', '.', ' ', an apostrophe or empty, got {self.thousands!r}"
            )
        if self.decimal is not None and self.decimal == self.thousands:
            raise OptionError(f"decimal and thousands are both {self.decimal!r}; change one")
        if self.date_order not in (None, *ORDERS):
            raise OptionError(
                f"unknown date_order {self.date_order!r}; {nearest(str(self.date_order), ORDERS)}"
            )

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any] | None) -> TableOptions:
        """Makes options from what ``as_dict`` gave."""
        facts = dict(facts or {})
        lists = {name: tuple(facts.get(name, ())) for name in ("drop", "keep")}
        known = {name: facts[name] for name in cls.__dataclass_fields__ if name in facts}
        return cls(**{**known, **lists})

    def as_dict(self) -> dict[str, Any]:
        """Returns the options as JSON has them; how text is read only where that was said."""
        facts = {**asdict(self), "drop": list(self.drop), "kinds": dict(self.kinds)}
        facts["keep"] = list(self.keep)
        later = ("keep", "max_categories", "header", "decimal", "thousands", "date_order")
        return {
            name: v
            for name, v in facts.items()
            if name not in later or v not in (None, [], MOST_CATEGORIES)
        }

    @property
    def aside(self) -> list[str]:
        """Names of all columns that are not learned from."""
        return [name for name in (self.label, self.id, *self.drop) if name is not None]

    @property
    def columns(self) -> list[str]:
        """Names of all columns of which something is said."""
        return [*self.aside, *self.kinds, *self.keep]

    @property
    def spelling(self) -> tuple[str | None, str | None, DateOrder | None]:
        """How numbers and dates are spelled: decimal, thousands, order of dates."""
        return self.decimal, self.thousands, self.date_order

    def over(self, other: TableOptions) -> TableOptions:
        """Takes what is not said here from other options."""
        said = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return replace(other, **{name: v for name, v in said.items() if v != getattr(NO_OPTIONS, name)})

    def spelled_as(self, texts: Iterable[str]) -> TableOptions:
        """Notes how numbers and dates were found to be spelled (``Column.text``), if all alike."""
        texts = list(texts)
        decimals = {found.decimal for text in texts if (found := NumberText.from_text(text))}
        orders = {text for text in texts if text in ("dmy", "mdy")}
        decimal = decimals.pop() if len(decimals) == 1 else None
        order: Any = orders.pop() if len(orders) == 1 else None
        return replace(self, decimal=self.decimal or decimal, date_order=self.date_order or order)

    def without(self, names: list[str]) -> TableOptions:
        """Leaves further columns out."""
        return replace(self, drop=(*self.drop, *(n for n in names if n not in self.drop)))

    def __bool__(self) -> bool:
        return self != NO_OPTIONS


NO_OPTIONS = TableOptions()
