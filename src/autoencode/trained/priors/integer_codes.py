"""Priors fitted to the integers of quantised codes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from torch import Tensor, nn

from autoencode.distributions import IntegerRows
from autoencode.errors import DataError, IncompatibleError
from autoencode.nets.transformer import CausalTransformer
from autoencode.randomness import epoch_order
from autoencode.recipes import Recipe
from autoencode.trained.priors.real_codes import NegativeLogDensity, codes_as_data
from autoencode.training import TrainingPlan, Update, fit
from autoencode.types import Distribution

_CODES_PLAN = TrainingPlan(
    epochs=1, batch_size=64, lr=2e-3, warmup=0.1, decay="linear", min_steps=1500, doctor=False
)
_HELD_OUT, _PATIENCE = 0.1, 0.1  # of the codes, which say when to stop; of the epochs, without gain
_MAX_ROW, _MAX_VALUES = 4096, 1 << 16  # attention takes the square of a row, the last layer all values


@dataclass(frozen=True)
class Integers:
    """A description of the integer codes of a quantised model.

    Attributes:
        shape: of one example's integers.
        n_values: how many values each can take, from 0.
        books: for each place of the flat row the number of the codebook that its integer is from.
    """

    shape: tuple[int, ...]
    n_values: int
    books: tuple[int, ...]

    @classmethod
    def from_recipe(cls, recipe: Recipe) -> Integers | None:
        """Describes the integer codes of a recipe; ``None`` where its codes are no integers."""
        bottleneck = recipe.model.bottleneck
        if not hasattr(bottleneck, "codes"):
            return None
        shape = recipe.probe(recipe.model.codes).shape[1:]
        count = shape.numel()
        return cls(tuple(shape), bottleneck.n_codes, tuple(bottleneck.books(count)))  # type: ignore[operator, arg-type]


class AutoregressivePrior(nn.Module):
    """A prior of integer codes: a transformer over the integers, each given those before it.

    Neural Discrete Representation Learning (van den Oord et al., 2017), https://arxiv.org/abs/1711.00937,
    has a PixelCNN in its place; transformers are those of Taming Transformers for High-Resolution Image
    Synthesis (Esser et al., 2021), https://arxiv.org/abs/2012.09841. The codebooks stay as they are.

    Args:
        integers: what the codes are.
    """

    kind = "autoregressive"

    def __init__(self, integers: Integers) -> None:
        super().__init__()
        length = len(integers.books)
        if length > _MAX_ROW or integers.n_values > _MAX_VALUES:
            raise IncompatibleError(
                f"an autoregressive prior takes up to {_MAX_ROW} integers of {_MAX_VALUES} values and "
                f"these codes have {length} of {integers.n_values}; use strides that make a smaller "
                "map, a smaller codebook, or gaussian"
            )
        self.shape = integers.shape
        self.network = CausalTransformer(integers.books, integers.n_values)

    def fit(self, z: Tensor, seed: int = 0) -> AutoregressivePrior:
        """Trains on integers (N, *shape) until those that are held out are explained no better."""
        if len(z) < 2:
            raise DataError(f"an autoregressive prior needs at least 2 codes, got {len(z)}")
        order = epoch_order(len(z), seed, 0)
        n_held_out = max(1, round(_HELD_OUT * len(z)))
        held_out, train = (codes_as_data(z[rows]) for rows in (order[:n_held_out], order[n_held_out:]))
        update = Update(NegativeLogDensity(self), (self,))
        patience = max(2, round(_PATIENCE * _CODES_PLAN.n_epochs(len(train))))
        plan = replace(_CODES_PLAN, patience=patience)
        fit(self, (update,), train, plan, validation=held_out, seed=seed, device=z.device)
        return self

    def forward(self, posterior: object, context: Tensor | None) -> Distribution:
        return IntegerRows(self.network, self.shape)


#: Kinds of priors fitted to integer codes by name; each is called with what those are.
OF_INTEGERS: Mapping[str, Callable[[Integers], nn.Module]] = {"autoregressive": AutoregressivePrior}
