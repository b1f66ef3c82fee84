"""The result of a recipe function: a model, its updates, and the plan to train it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import nn

from autoencode.bottlenecks import Plain, TopK
from autoencode.errors import IncompatibleError
from autoencode.models import AutoencoderModule
from autoencode.objectives import WeightedSum
from autoencode.randomness import seeded
from autoencode.training import Stepper, TrainingPlan, Update
from autoencode.types import DataSpec, Source

_ROWS, _BATCHES = 1000, 100  # of the data that are looked at before training


@dataclass(frozen=True)
class Recipe:
    """A model ready to train.

    Attributes:
        model: the parts, wired.
        updates: each optimiser's objective and the modules it moves.
        spec: the data it was built for.
        name: the recipe's name.
        options: every option of the recipe with its value, enough to build it again.
        plan: epochs, batch size, rates.
        custom: the encoder or decoder is the user's own, so a file cannot build it again.
        helpers: modules that training needs and the trained model does not (a critic), by name.
        fitted: options that were left to the recipe and fitted to the data, of which a notice tells.
    """

    model: AutoencoderModule
    updates: tuple[Update, ...]
    spec: DataSpec
    name: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    plan: TrainingPlan = field(default_factory=TrainingPlan)
    custom: bool = False
    helpers: Mapping[str, nn.Module] = field(default_factory=dict)
    fitted: tuple[str, ...] = ()

    @property
    def unit(self) -> str:
        """Unit of the training loss."""
        return self.updates[0].objective.unit

    @property
    def latent_shape(self) -> tuple[int, ...]:
        """Shape Z of one latent."""
        return tuple(self.probe(self.model.embed).shape[1:])

    def probe(
        self, method: Callable[[torch.Tensor, torch.Tensor | None], torch.Tensor]
    ) -> torch.Tensor:
        """Calls a method of the model with two examples of zeros and a context of zeros."""
        model = self.model
        was_training = model.training
        device = next(model.parameters()).device
        with torch.no_grad():
            x = torch.zeros(2, *self.spec.shape, device=device)
            model.eval()
            found = method(x, self._no_context(device))
        model.train(was_training)
        return found

    def _no_context(self, device: torch.device | None = None) -> torch.Tensor | None:
        """Makes zeros in place of a context, to try the parts with."""
        width = self.spec.context_dim
        return torch.zeros(2, width, device=device) if width else None

    def notices(self, n_train: int) -> list[str]:
        """Lists what a user should know of this recipe with that many training examples."""
        found = [
            f"{name}={self.options[name]}, fitted to the width of the data; set it for another"
            for name in self.fitted
        ]
        with seeded(0, self._device, self.model), torch.no_grad():
            x = self.spec.batch(torch.zeros(2, *self.spec.shape, device=self._device))
            was_training = self.model.training
            latent = self.model.eval()(replace(x, context=self._no_context(self._device))).latent
            self.model.train(was_training)
        size = int(self.options.get("n_codes", 0))
        made = 0 if latent.codes is None else latent.codes[0, 0].numel() * n_train
        if latent.codes is not None and size > made:
            found.append(
                f"a codebook of {size} vectors for the {made} codes of the training data; "
                f"use n_codes={max(2, made // 8)} or less"
            )
        objective = self.updates[0].objective
        restrained = not isinstance(objective, WeightedSum) or len(objective.terms) > 1
        plain = type(self.model.bottleneck) is Plain and not any(
            isinstance(module, TopK) for module in self.model.bottleneck.modules()
        )
        width = latent.z[0, 0].numel()
        if plain and not restrained and latent.z.dim() == 3 and width > self.spec.size:
            found.append(
                f"a code of {width} numbers for examples of {self.spec.size} can copy them; use a "
                "smaller latent_dim, noise, or a sparse recipe"
            )
        return found

    @property
    def _device(self) -> torch.device:
        return next(self.model.parameters()).device

    def stepper(self) -> Stepper:
        """Makes a stepper, which takes one training step at a time in a loop of your own.

        >>> from autoencode import build, DataSpec, Batch
        >>> stepper = build("mlp_small", DataSpec((30,))).stepper()
        >>> sorted(stepper.step(Batch.from_examples(torch.rand(8, 30))))
        ['loss', 'mse']
        """
        updates = self.plan.arrange(self.updates)
        return Stepper(self.model, updates, self.plan.make_optimizer, helpers=self.helpers)

    def check_data(self, source: Source) -> None:
        """Checks some examples against the likelihood before training on them.

        Raises:
            DataError: when the likelihood gives such values no probability.
        """
        check = getattr(self.model.likelihood, "check", None)
        if check is not None:
            for batch in itertools.islice(source.batches(_ROWS), _BATCHES):
                check(batch.target)

    def with_plan(self, **figures: Any) -> Recipe:
        """Returns the same recipe with other training settings."""
        return replace(self, plan=replace(self.plan, **figures))

    def check(self) -> Recipe:
        """Tries the parts together on two examples before anything is trained.

        Raises:
            IncompatibleError: when shapes do not fit, an objective asks for what the bottleneck does
                not give, or a trainable parameter belongs to no update.
        """
        x = self.spec.batch(torch.full((2, *self.spec.shape), 0.5))
        batch = replace(x, context=self._no_context())
        with seeded(0, self._device, self.model), torch.no_grad():
            try:
                output = self.model.eval()(batch)
            except RuntimeError as error:
                raise IncompatibleError(
                    f"the networks do not fit data of shape {self.spec.shape}: {error}"
                ) from error
        self.model.train()
        expected, got = self.spec.shape, tuple(output.x_dist.mean.shape[2:])
        if got != expected:
            raise IncompatibleError(
                f"the decoder returns examples of shape {got} and the data have {expected}"
            )
        for update in self.updates:
            try:
                update.objective.check(output)
            except IncompatibleError as error:
                kind = type(self.model.bottleneck).__name__
                raise IncompatibleError(f"{kind} cannot serve this objective: {error}") from None
        owned = {id(p) for update in self.updates for p in update.parameters()}
        named = list(self.model.named_parameters())
        for helper, module in self.helpers.items():
            named += [(f"{helper}.{name}", p) for name, p in module.named_parameters()]
        idle = [n for n, p in named if p.requires_grad and id(p) not in owned]
        if idle:
            raise IncompatibleError(f"no update moves these parameters: {', '.join(idle)}")
        return self
