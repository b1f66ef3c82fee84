"""The case that a card judges: a model and data, and what several measures need of both."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from torch import Tensor

from autoencode.data import Examples, Resident
from autoencode.errors import OptionError
from autoencode.evaluate.features import Features, Space, as_space, space_of
from autoencode.likelihoods import Bernoulli
from autoencode.objectives import Binarized, binarized
from autoencode.trained import Trained
from autoencode.trained.trained import CHUNK
from autoencode.types import Array, Batch

Binarization = Literal["grey", "static", "dynamic"]
#: What likelihoods are of: binarised or grey values, values that are 0 and 1, or any others.
ValuesAs = Literal["grey", "static", "dynamic", "binary", "values"]
Tick = Callable[[int, int], None]
T = TypeVar("T")

SEEN: dict[ValuesAs, str] = {
    "grey": "grey values as they are",
    "static": "statically binarised values (each drawn once as 0 or 1)",
    "dynamic": "dynamically binarised values (each drawn as 0 or 1)",
    "binary": "values that are 0 or 1 as they are",
    "values": "values as the model sees them",
}
_PIECE = 500  # rows whose features are computed together


def silent(done: int, total: int) -> None:
    """Ignores progress, where nobody watches."""


@dataclass(eq=False)
class Case:
    """A trained model with the examples it is judged by and what is asked for.

    Attributes:
        trained: the model.
        examples: raw examples that fit its ``spec``.
        train: what it was trained on, or a part of it; without it some measures have no meaning.
        seed: of all draws and of the choice of rows.
        held_out: whether the model has not seen ``examples`` in training.
        n_draws: draws of z for each example behind the likelihood by importance sampling.
        n_examples: how many examples that likelihood is of, at most.
        binarization: what is done to values in [0, 1] before a likelihood; by default what was done in
            training.
        anomalies: examples of another kind, to be told from ``examples``.
        features: where samples are compared; the built-in space by default.
        tick: told how far a measure is.
    """

    trained: Trained
    examples: Examples
    train: Examples | None = None
    seed: int = 0
    held_out: bool = True
    n_draws: int = 500
    n_examples: int = 2000
    binarization: Binarization | None = None
    anomalies: Examples | None = None
    features: Features | None = None
    tick: Tick = field(default=silent, repr=False)
    _memo: dict[Any, Any] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        for name, value in (("draws", self.n_draws), ("examples", self.n_examples)):
            if value < 1:
                raise OptionError(f"the number of {name} must be at least 1, got {value}")
        if self.binarization not in (None, "grey") and self.trained.spec.kind != "unit":
            raise OptionError("only values in [0, 1] can be binarised; leave the binarisation out")

    def once(self, function: Callable[[Case], T]) -> T:
        """Computes what a function makes of this case, once for all measures that ask.

        It must draw nothing, or draw from a seed of its own (``drawing``): no figure may depend on
        which other ones were asked for.
        """
        if function not in self._memo:
            self._memo[function] = function(self)
        found: T = self._memo[function]
        return found

    # The examples

    @functools.cached_property
    def source(self) -> Resident:
        """Examples on the model's device, without labels for a model that guesses them."""
        return Resident(self.asked(self.examples), self.trained.spec, self.trained.device)

    def asked(self, examples: Examples) -> Examples:
        """Gives examples as the model is asked about them: without labels where it guesses them."""
        return examples if self.trained.spec.labelled is None else examples.labelled(None)

    def batches(self, size: int = CHUNK) -> Iterator[Batch]:
        """Gives all examples as the model sees them, ``size`` at a time."""
        for done, batch in enumerate(self.source.batches(size)):
            self.tick(min(done * size, len(self.source)), len(self.source))
            yield batch

    def seen_batches(self, size: int = CHUNK) -> Iterator[Batch]:
        """Gives all examples as likelihoods are taken of them: binarised where training was so."""
        for batch in self.batches(size):
            yield as_seen(batch, self.seen)

    @functools.cached_property
    def seen(self) -> ValuesAs:
        """Treatment of the examples before their likelihood is taken."""
        if self.trained.spec.kind != "unit":
            return "values"
        if self.binarization is not None:
            return self.binarization
        if any(isinstance(update.objective, Binarized) for update in self.trained.recipe.updates):
            return "dynamic"
        binary = all(_is_binary(batch.x) for batch in self.source.batches(CHUNK))
        return "binary" if binary else "grey"

    @property
    def seen_in_words(self) -> str:
        """Treatment of the examples in words, with a warning where a figure is no likelihood."""
        grey = self.seen == "grey" and isinstance(self.trained.model.likelihood, Bernoulli)
        return SEEN[self.seen] + (" (a cross-entropy, no likelihood of them)" if grey else "")

    @property
    def has_mass(self) -> bool:
        """Whether p(x|z) gives probabilities of what likelihoods are of, not a density."""
        likelihood = self.trained.model.likelihood
        if isinstance(likelihood, Bernoulli):
            return self.seen in ("static", "dynamic", "binary")
        return bool(getattr(likelihood, "discrete", False))

    @functools.cached_property
    def stochastic(self) -> bool:
        """Whether the code is a draw from a posterior."""
        return self.trained.stochastic

    def rows(self, n: int, most: int) -> Array:
        """Chooses the numbers of at most ``most`` of n rows by the seed, in order."""
        if n <= most:
            return np.arange(n)
        chosen: Array = np.sort(np.random.default_rng(self.seed).permutation(n)[:most])
        return chosen

    def some(self, most: int) -> Examples:
        """Chooses at most so many of the examples."""
        rows = self.rows(len(self.examples), most)
        few = self.examples if len(rows) == len(self.examples) else self.examples.take(rows)
        return self.asked(few)

    @functools.cached_property
    def space(self) -> Space:
        """Feature space in which samples are compared with real examples."""
        return space_of(self.trained.spec) if self.features is None else as_space(self.features)

    def features_of(self, raw: Array) -> Tensor:
        """Computes features (N, F) of raw examples (N, *D), not standardised."""
        spec, space, pieces = self.trained.spec, self.space, []
        device = self.trained.device if space.device is None else space.device
        for first in range(0, len(raw), _PIECE):
            self.tick(first, len(raw))
            rows = torch.from_numpy(np.ascontiguousarray(raw[first : first + _PIECE]))
            pieces.append(space(spec.seen_on(device, rows)))
        return torch.cat(pieces)


def _is_binary(x: Tensor) -> bool:
    return bool(((x == 0) | (x == 1) | x.isnan()).all())


def as_seen(batch: Batch, seen: ValuesAs) -> Batch:
    """Draws the values of a batch as 0 and 1 where that is asked for."""
    if seen not in ("static", "dynamic"):
        return batch
    x = binarized(batch.x)
    return replace(batch, x=x, target=x)
