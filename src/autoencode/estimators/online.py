"""Training in parts: one pass over each, with an optimiser that goes on."""

from __future__ import annotations

from typing import Any, Self

from autoencode.data import Examples, Resident
from autoencode.data.reservoir import Reservoir
from autoencode.errors import TrainingError
from autoencode.randomness import seed_step, seeded
from autoencode.recipes import Recipe
from autoencode.training import Stepper
from autoencode.training.processor import tuned
from autoencode.training.update import NonFiniteError
from autoencode.types import Pass, Progress

_MOST_SKIPPED = 10  # steps one after the other, before training is given up
_ROOM, _ROOM_BYTES = 10_000, 64 << 20  # of rows that are remembered


class Online:
    """A recipe's stepper with its optimiser and its place in time, over any number of parts.

    Args:
        recipe: what is trained, in place, at the constant rate of its plan.
        seed: of the order of examples and the noise.

    Attributes:
        remembered: a fair sample of all rows, up to 10 000 of them or 64 MB, for what is fitted to rows
            once the networks have learned: where codes lie, and how columns are distributed.
    """

    def __init__(self, recipe: Recipe, seed: int) -> None:
        self.recipe = recipe
        self.seed = seed
        self.stepper = Stepper(
            recipe.model,
            recipe.plan.arrange(recipe.updates),
            recipe.plan.make_optimizer,
            check_gradients=True,
            helpers=recipe.helpers,
        )
        room = max(1, min(_ROOM, _ROOM_BYTES // (8 * recipe.spec.size)))
        self.remembered = Reservoir(room, seed)
        self.step = 0
        self.parts = 0
        self.skipped = 0
        self.slowed = 1.0

    def moved_to(self, recipe: Recipe) -> Self:
        """Goes on with a recipe of the same networks in another scaling, which has the weights."""
        moved = type(self)(recipe, self.seed)
        moved.step, moved.parts, moved.remembered = self.step, self.parts, self.remembered
        moved.skipped, moved.slowed = self.skipped, self.slowed
        for new, old in zip(moved.stepper.optimizers, self.stepper.optimizers, strict=True):
            new.load_state_dict(old.state_dict())
        for name, helper in recipe.helpers.items():
            helper.load_state_dict(self.recipe.helpers[name].state_dict())
        return moved

    def learn(self, examples: Examples, rate: float = 1.0) -> dict[str, Any]:
        """Trains by one pass over some examples, and gives the line of the history on it.

        A step whose loss or gradient is not finite is left out, and halves the rate from there on.

        Args:
            examples: the part.
            rate: factor on the learning rate.

        Raises:
            TrainingError: when ten steps one after the other had to be left out.
        """
        recipe, n = self.recipe, len(examples)
        device = next(recipe.model.parameters()).device
        source = Resident(examples, recipe.spec, device)
        sums: dict[str, float] = {}
        seen = 0
        with seeded(self.seed, device, recipe), tuned(device):
            recipe.model.train()
            for batch in source.shuffled(Pass(self.seed, self.parts, recipe.plan.batch_size)):
                seed_step(self.seed, self.step, device)
                progress = Progress(self.step, self.step + 1, n)
                self.step += 1
                try:
                    losses = self.stepper.step(batch, progress, rate * self.slowed)
                except NonFiniteError as error:
                    self._skip(error)
                    continue
                self.skipped = 0
                seen += len(batch.x)
                for name, value in losses.items():
                    sums[name] = sums.get(name, 0.0) + float(value) * len(batch.x)
        self.parts += 1
        self.remembered.add(examples.values)
        means = {name: total / seen for name, total in sums.items()}
        return {"epoch": self.parts, "step": self.step, **means}

    def _skip(self, error: NonFiniteError) -> None:
        self.skipped += 1
        self.slowed /= 2
        if self.skipped > _MOST_SKIPPED:
            raise TrainingError(
                f"training diverged: {error} in {self.skipped} steps one after the other; try a lower "
                f"learning rate than {self.recipe.plan.lr:g}, or standardize='robust'"
            )
