"""The ranges that numbers given as options may lie in, which stand in the options' types.

    >>> from typing import Annotated
    >>> def tiny(latent_dim: Annotated[int, AtLeast(1)] = 4): ...

``NaN`` lies in none of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, Protocol, runtime_checkable


@runtime_checkable
class Limit(Protocol):
    """A range that knows what is wrong with a number outside of it."""

    def fault(self, value: float) -> str | None:
        """What the number must be, for an error; ``None`` when it lies in the range."""

    @property
    def words(self) -> str:
        """The range, for a list of options."""


@dataclass(frozen=True)
class AtLeast:
    """Numbers from ``low`` on, up to ``most`` where there is such.

    >>> AtLeast(1).fault(0), AtLeast(0).fault(-1.5), AtLeast(1, 64).fault(65), AtLeast(1).fault(1)
    ('must be at least 1', 'must not be negative', 'must be at most 64', None)
    """

    low: float
    most: float | None = None

    def fault(self, value: float) -> str | None:
        if not value >= self.low:
            return f"must be at least {self.low}" if self.low else "must not be negative"
        return None if self.most is None or value <= self.most else f"must be at most {self.most}"

    @property
    def words(self) -> str:
        if self.most is not None:
            return f"{self.low} to {self.most}"
        return f"at least {self.low}"


@dataclass(frozen=True)
class Above:
    """Numbers above ``low``, up to ``most`` where there is such.

    >>> Above(0).fault(0.0), Above(0).words
    ('must be above 0', 'above 0')
    """

    low: float
    most: float | None = None

    def fault(self, value: float) -> str | None:
        if not value > self.low:
            return f"must be above {self.low}"
        return None if self.most is None or value <= self.most else f"must be at most {self.most}"

    @property
    def words(self) -> str:
        return f"above {self.low}" + ("" if self.most is None else f" to {self.most}")


@dataclass(frozen=True)
class AtMost:
    """Numbers up to ``high``.

    >>> AtMost(1).fault(1.5)
    'must be at most 1'
    """

    high: float

    def fault(self, value: float) -> str | None:
        return None if value <= self.high else f"must be at most {self.high}"

    @property
    def words(self) -> str:
        return f"at most {self.high}"


@dataclass(frozen=True)
class Within:
    """Numbers between two ends; a round bracket leaves that end out.

    >>> Within(0, 1, "[)").fault(1.0), Within(0, 1).words
    ('must lie in [0, 1)', 'in [0, 1]')
    """

    low: float
    high: float
    ends: Literal["[]", "[)", "(]", "()"] = "[]"

    def fault(self, value: float) -> str | None:
        above = value >= self.low if self.ends[0] == "[" else value > self.low
        below = value <= self.high if self.ends[1] == "]" else value < self.high
        return None if above and below else f"must lie {self.words}"

    @property
    def words(self) -> str:
        return f"in {self.ends[0]}{self.low}, {self.high}{self.ends[1]}"


Count = Annotated[int, AtLeast(1)]
#: Of which there may be none.
Natural = Annotated[int, AtLeast(0)]
#: Of layers and steps, each of which is made or taken one by one.
Depth = Annotated[int, AtLeast(1, 1000)]
#: Pixels from one position of a convolution to the next.
Stride = Annotated[int, AtLeast(1, 64)]
NotNegative = Annotated[float, AtLeast(0)]
Positive = Annotated[float, Above(0)]
Share = Annotated[float, Within(0, 1)]
#: A share that is never the whole.
Part = Annotated[float, Within(0, 1, "[)")]
#: A share that is neither nothing nor the whole.
InnerPart = Annotated[float, Within(0, 1, "()")]

__all__ = [
    "Above",
    "AtLeast",
    "AtMost",
    "Count",
    "Depth",
    "InnerPart",
    "Limit",
    "Natural",
    "NotNegative",
    "Part",
    "Positive",
    "Share",
    "Stride",
    "Within",
]
