"""Parts of an evaluation card: figures, the measures that give them, and how they are taken.

A measure is a function of a ``Case`` (a trained model and the data it is judged by). It says what its
figures are, what it costs, and for which cases it has no meaning, and knows nothing of other measures.
Sections are lists of measures; ``card`` names all sections.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch

from autoencode.errors import AutoencodeError, IncompatibleError, OptionError, nearest
from autoencode.evaluate.case import Case, Tick
from autoencode.randomness import drawing
from autoencode.training.processor import tuned

#: ``quick`` takes about one pass over the examples and is part of every training; ``moderate`` some
#: passes, ``long`` may take minutes.
Cost = Literal["quick", "moderate", "long"]
Better = Literal["lower", "higher", ""]


@dataclass(frozen=True)
class Figure:
    """A number of a card: its name, unit and meaning.

    Attributes:
        name: by which it is asked for, and its key in JSON.
        unit: what it counts.
        meaning: one line.
        better: which way a better model moves it; empty where neither way is better by itself.
    """

    name: str
    unit: str
    meaning: str
    better: Better = ""


@dataclass(frozen=True)
class Result:
    """Result of a measure.

    Attributes:
        values: by the names of its figures; ``None``, or left out, where one has no meaning.
        errors: standard errors of some of them.
        how: what a reader must know to compare: numbers of examples and draws, conventions.
    """

    values: Mapping[str, float | None]
    errors: Mapping[str, float] = field(default_factory=dict)
    how: str = ""


class TooDear(IncompatibleError):
    """A measure would take more memory or time than it may."""


def always(case: Case) -> str | None:
    """Lets a measure be taken of every case."""
    return None


@dataclass(frozen=True)
class Measure:
    """A measure: figures that are computed together.

    Attributes:
        name: by which it is asked for.
        figures: what it gives.
        compute: takes it. An ``IncompatibleError`` means that it has no meaning for the case, the
            ``TooDear`` among them that it would take more than it may.
        obstacle: why it has no meaning for a case, ``None`` where it has one.
        cost: see ``Cost``.
        source: the work that defines it.
    """

    name: str
    figures: tuple[Figure, ...]
    compute: Callable[[Case], Result]
    obstacle: Callable[[Case], str | None] = always
    cost: Cost = "moderate"
    source: str = ""

    def take(self, case: Case, tolerant: bool = False) -> Entry:
        """Computes the figures, from the seed of the case, whatever was computed before.

        Args:
            case: what is judged.
            tolerant: whether a measure that fails is left out and says why, and ends nothing.
        """
        reason = self.obstacle(case)
        if reason is not None:
            return Entry(self, absent=reason)
        device = case.trained.device
        try:
            with tuned(device), drawing(case.seed, device, case.trained.model), torch.inference_mode():
                case.trained.model.eval()
                return Entry(self, self.compute(case))
        except IncompatibleError as error:
            return Entry(self, absent=str(error), left_out=isinstance(error, TooDear))
        except Exception as error:
            if not tolerant:
                raise
            return Entry(self, absent=in_words(error), left_out=True)


@dataclass(frozen=True)
class Section:
    """Measures that belong together, under one title."""

    title: str
    measures: tuple[Measure, ...]


@dataclass(frozen=True)
class Entry:
    """A measure and what it found, or why it found nothing.

    Attributes:
        measure: which.
        found: its figures.
        absent: why there are none.
        left_out: whether it has a meaning here, and failed or would have been too dear.
    """

    measure: Measure
    found: Result | None = None
    absent: str | None = None
    left_out: bool = False

    @property
    def values(self) -> dict[str, float | None]:
        """Values of the figures by name, ``None`` where one has no meaning."""
        known = {} if self.found is None else self.found.values
        return {figure.name: known.get(figure.name) for figure in self.measure.figures}


def in_words(error: Exception) -> str:
    r"""Says in one line why something failed.

    >>> in_words(MemoryError()), in_words(ValueError("too few\nrows"))
    ('out of memory', 'ValueError: too few')
    """
    text = next(iter(str(error).splitlines()), "")
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "memory" in text):
        return "out of memory"
    if isinstance(error, AutoencodeError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


#: Told of each measure when it begins and how far it is: (measure, done, of how many).
Watch = Callable[[Measure, int, int], None]


def taken(
    measures: Sequence[Measure], case: Case, watch: Watch | None = None, tolerant: bool = False
) -> Iterator[Entry]:
    """What the measures find, one after the other, each from the seed of the case; see ``take``."""
    for measure in measures:
        case.tick = _teller(measure, watch)
        case.tick(0, 0)
        yield measure.take(case, tolerant)


def _teller(measure: Measure, watch: Watch | None) -> Tick:
    def tell(done: int, total: int) -> None:
        if watch is not None:
            watch(measure, done, total)

    return tell


def chosen(
    sections: Sequence[Section],
    only: Sequence[str] = (),
    skip: Sequence[str] = (),
    quick: bool = False,
) -> tuple[Section, ...]:
    """Keeps the sections with measures that are asked for; sections without any are left out.

    Args:
        sections: all there are.
        only: names of sections, measures or figures; all by default.
        skip: what to leave out, in the same way.
        quick: only what costs about one pass over the examples, where ``only`` names nothing.

    Raises:
        OptionError: for a name that nothing bears, or when nothing is left.
    """
    known = sorted({name for s in sections for m in s.measures for name in _names(s, m)})
    for name in (*only, *skip):
        if name not in known:
            raise OptionError(f"no measure is called '{name}'; {nearest(name, known)}")

    def wanted(section: Section, measure: Measure) -> bool:
        names = _names(section, measure)
        if names & set(skip):
            return False
        return bool(names & set(only)) if only else not quick or measure.cost == "quick"

    kept = [Section(s.title, tuple(m for m in s.measures if wanted(s, m))) for s in sections]
    if not any(section.measures for section in kept):
        raise OptionError("nothing is left to measure; skip less")
    return tuple(section for section in kept if section.measures)


def _names(section: Section, measure: Measure) -> set[str]:
    return {section.title.lower(), measure.name, *(figure.name for figure in measure.figures)}
