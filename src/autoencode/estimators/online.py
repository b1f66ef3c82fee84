"""Learning from data that come in parts: one pass over each."""

from __future__ import annotations

from typing import Any

from autoencode.data import Examples, Resident
from autoencode.randomness import seed_step, seeded
from autoencode.recipes import Recipe
from autoencode.training.tuning import tuned
from autoencode.types import Pass, Progress


class Online:
    """A recipe's stepper with its optimiser and its place in time, over any number of parts.

    Args:
        recipe: what is trained, in place, at the constant rate of its plan.
        seed: of the order of examples and the noise.
    """

    def __init__(self, recipe: Recipe, seed: int) -> None:
        self.recipe = recipe
        self.seed = seed
        self.stepper = recipe.stepper()
        self.step = 0
        self.parts = 0

    def learn(self, examples: Examples) -> dict[str, Any]:
        """One pass over some examples; what a line of the history says of it."""
        recipe, n = self.recipe, len(examples)
        device = next(recipe.model.parameters()).device
        source = Resident(examples, recipe.spec, device)
        sums: dict[str, float] = {}
        with seeded(self.seed, device), tuned(device):
            recipe.model.train()
            for batch in source.shuffled(Pass(self.seed, self.parts, recipe.plan.batch_size)):
                seed_step(self.seed, self.step, device)
                losses = self.stepper.step(batch, Progress(self.step, self.step + 1, n))
                for name, value in losses.items():
                    sums[name] = sums.get(name, 0.0) + float(value) * len(batch.x)
                self.step += 1
        self.parts += 1
        means = {name: total / n for name, total in sums.items()}
        return {"epoch": self.parts, "step": self.step, **means}
