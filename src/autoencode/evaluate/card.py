"""The evaluation card: every figure of a trained model that has a meaning for it, in sections.

::

    Case (model, examples, seed) ──► Section: Measure, Measure, ... ──► Card ──► values · JSON · page
                                     Section: ...

To add a section, write a module with one and name it in ``SECTIONS``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from autoencode.evaluate import metrics
from autoencode.evaluate.case import Case
from autoencode.evaluate.codebook import CODEBOOK
from autoencode.evaluate.constant import CONSTANT
from autoencode.evaluate.disentanglement import DISENTANGLEMENT
from autoencode.evaluate.information import LATENT
from autoencode.evaluate.measures import Entry, Figure, Section, Watch, chosen, taken
from autoencode.evaluate.nll import LIKELIHOOD as NLL
from autoencode.evaluate.outliers import ANOMALIES
from autoencode.evaluate.published import Published, neighbours
from autoencode.evaluate.representation import REPRESENTATION
from autoencode.evaluate.samples import SAMPLES
from autoencode.evaluate.structure import SIMILARITY

SECTIONS = (
    Section("Reconstructions", (metrics.ERRORS, SIMILARITY, metrics.YARDSTICK, CONSTANT)),
    Section("Likelihood", (metrics.BOUND, NLL)),
    LATENT,
    REPRESENTATION,
    DISENTANGLEMENT,
    CODEBOOK,
    SAMPLES,
    ANOMALIES,
)
#: Every figure by name.
FIGURES: dict[str, Figure] = {f.name: f for s in SECTIONS for m in s.measures for f in m.figures}


@dataclass(frozen=True)
class Card:
    """Figures that were measured, section by section.

    Attributes:
        sections: title and entries of each.
        published: figures from papers whose data and recipe are the same.
        facts: what it was measured on, in words.
        seen_in_words: what likelihoods are of.
    """

    sections: tuple[tuple[str, tuple[Entry, ...]], ...]
    published: tuple[Published, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    seen_in_words: str = ""

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Entries of all sections."""
        return tuple(entry for _, entries in self.sections for entry in entries)

    @property
    def values(self) -> dict[str, float | None]:
        """Every figure that was asked for, ``None`` where it has no meaning."""
        return {name: value for entry in self.entries for name, value in entry.values.items()}

    @property
    def errors(self) -> dict[str, float]:
        """Standard errors by figure, of those that have one."""
        found = (entry.found for entry in self.entries if entry.found is not None)
        return {name: error for one in found for name, error in one.errors.items()}

    def beside(self, figure: str) -> tuple[Published, ...]:
        """Finds published figures to set beside one."""
        return tuple(one for one in self.published if one.figure == figure)

    def as_dict(self) -> dict[str, Any]:
        """Writes the card for JSON: the figures, and how each was measured or why it has no meaning."""
        return {
            **self.values,
            "standard_error": self.errors,
            "how": {e.measure.name: e.found.how for e in self.entries if e.found and e.found.how},
            "absent": {e.measure.name: e.absent for e in self.entries if e.absent},
            "published": [
                {"figure": p.figure, "value": p.value, "source": p.source, "protocol": p.protocol}
                for p in self.published
                if p.figure in self.values
            ],
            **self.facts,
        }


def card(
    case: Case,
    *,
    only: Sequence[str] = (),
    skip: Sequence[str] = (),
    quick: bool = False,
    facts: Mapping[str, Any] | None = None,
    catalogued: str | None = None,
    sections: Sequence[Section] = SECTIONS,
    watch: Watch | None = None,
) -> Card:
    """Measures a trained model and puts its figures on a card.

    Every measure starts from the seed of the case, so that no figure depends on which others are asked
    for.

    Args:
        case: the model and what it is judged by.
        only: names of sections, measures or figures; all by default.
        skip: what to leave out, in the same way.
        quick: only what costs about one pass over the examples.
        facts: what the examples are, in words.
        catalogued: name of the data set whose own test part they are, to find published figures by.
        sections: what there is to measure.
        watch: told of each measure and how far it is.

    Raises:
        OptionError: for a name that nothing bears.

    Example:
        >>> from autoencode import train
        >>> from autoencode.evaluate.case import Case
        >>> run = train("digits", "vae", epochs=1)
        >>> found = card(Case(run.trained, run.data.test, run.split("train")), only=["latent"])
        >>> found.values["units"]
        20
    """
    wanted = chosen(sections, only, skip, quick)
    measured = {section.title: tuple(taken(section.measures, case, watch)) for section in wanted}
    recipe = case.trained.recipe
    beside = neighbours(recipe.name, recipe.options, catalogued, case.seen)
    words = {"recipe": recipe.name, **(facts or {}), "binarization": case.seen, "seed": case.seed}
    return Card(tuple(measured.items()), beside, words, case.seen_in_words)
