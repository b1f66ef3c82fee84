"""Priors made of a model's own parts: its posteriors, its metric."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from autoencode.bottlenecks import RiemannianHamiltonian
from autoencode.data import Examples, Resident
from autoencode.distributions.basic import Normal
from autoencode.errors import IncompatibleError
from autoencode.models import AutoencoderModule
from autoencode.objectives.terms import NATS
from autoencode.priors import Manifold, Vamp
from autoencode.recipes import Recipe
from autoencode.trained.priors.real_codes import FITTED
from autoencode.training import TrainingPlan, Update, fit
from autoencode.types import Batch, Losses, Model, Output, Progress

_PSEUDO_INPUTS = 500
_VAMP_PLAN = TrainingPlan(
    epochs=1, batch_size=256, lr=1e-2, decay="linear", min_steps=500, doctor=False
)


class PseudoInputs(Vamp):
    """A VampPrior that is learned afterwards, for a model that stays as it is.

    VAE with a VampPrior (Tomczak & Welling, 2017), https://arxiv.org/abs/1705.07120, learns both
    together (``vamp_vae``). Here the pseudo-inputs alone are moved, from training examples to where the
    mean of the posteriors at them explains draws of z best.

    Args:
        shape: D of the data.
        unit: keep the pseudo-inputs in [0, 1].
    """

    kind = "vamp"

    def __init__(self, shape: tuple[int, ...], unit: bool) -> None:
        super().__init__(shape, _PSEUDO_INPUTS, unit)

    @classmethod
    def from_recipe(cls, recipe: Recipe) -> PseudoInputs:
        """Makes a VampPrior for a recipe's model, yet to be fitted.

        Raises:
            IncompatibleError: when there is no Gaussian posterior that can be asked at any x.
        """
        spec = recipe.spec
        if spec.context_dim or spec.gaps or spec.mixed:
            raise IncompatibleError(
                "a vamp prior needs numbers without gaps, categories and labels; use mixture"
            )
        if not _has_gaussian_posterior(recipe):
            raise IncompatibleError(
                "a vamp prior is made of the model's own diagonal Gaussian posteriors and this one has "
                "none; use mixture"
            )
        return cls(spec.shape, spec.kind == "unit")

    @classmethod
    def fitted(cls, recipe: Recipe, examples: Examples, seed: int = 0) -> PseudoInputs:
        """Makes a VampPrior and moves its pseudo-inputs by the training loop."""
        device = next(recipe.model.parameters()).device
        prior = cls.from_recipe(recipe).to(device)
        lending = _Lending(recipe.model, prior)
        source = Resident(examples, recipe.spec, device)
        fit(lending, (Update(lending, (prior,)),), source, _VAMP_PLAN, seed=seed, device=device)
        return prior


def _has_gaussian_posterior(recipe: Recipe) -> bool:
    posterior = recipe.model.posterior
    if posterior is None:
        return False
    with torch.no_grad():
        x = torch.zeros(1, *recipe.spec.shape, device=next(recipe.model.parameters()).device)
        return isinstance(posterior(x), Normal)


class _Lending(nn.Module):
    """A module to train a prior in, with a fixed model that lends its posterior."""

    unit = NATS

    def __init__(self, model: AutoencoderModule, prior: Vamp) -> None:
        super().__init__()
        self.lender, self.prior = model, prior

    def train(self, mode: bool = True) -> _Lending:
        """Sets the prior to training mode; the model stays in evaluation mode."""
        self.prior.train(mode)
        self.lender.eval()
        return self

    def start_at_data(self, examples: Callable[[int], Tensor]) -> None:
        """Starts the pseudo-inputs at training examples, repeated where there are too few."""
        x = examples(self.prior.n_examples)
        self.prior.start_at(x[torch.arange(self.prior.n_examples) % len(x)])

    def forward(self, model: Model, batch: Batch, progress: Progress) -> Losses:
        """Computes minus the log-density of a draw of z for each example, nats."""
        with torch.no_grad():
            z = self.lender.encode(batch.x).z[0]
        loss = -self.prior(self.lender.posterior, None).log_prob(z).mean()
        return Losses(loss, {"nll": loss.detach()})

    def check(self, output: Output) -> None:
        """Accepts any output, since a prior has none to check."""


@dataclass(frozen=True)
class OfModel:
    """A kind of prior that is made of a model's own parts.

    Attributes:
        empty: makes one for a recipe, yet to be fitted or read from a file; refuses other models.
        fitted: makes one of a recipe, training examples and a seed.
    """

    empty: Callable[[Recipe], nn.Module]
    fitted: Callable[[Recipe, Examples, int], nn.Module]


def _empty_manifold(recipe: Recipe) -> Manifold:
    bottleneck = _riemannian(recipe)
    return Manifold(bottleneck.n_examples, bottleneck.metric.latent_dim)


def _manifold(recipe: Recipe, examples: Examples, seed: int) -> Manifold:
    """Makes the prior on the manifold of a recipe's metric, which training has learned already."""
    with torch.no_grad():
        return Manifold.from_metric(_riemannian(recipe).inverse_metric(recipe.model.encoder))


def _riemannian(recipe: Recipe) -> RiemannianHamiltonian:
    bottleneck = recipe.model.bottleneck
    if not isinstance(bottleneck, RiemannianHamiltonian):
        raise IncompatibleError(
            "a manifold prior draws from the metric of an rhvae and this model has none; use "
            f"{', '.join(FITTED)}"
        )
    return bottleneck


#: Kinds of priors made of a model's own parts by name.
OF_MODEL: Mapping[str, OfModel] = {
    PseudoInputs.kind: OfModel(PseudoInputs.from_recipe, PseudoInputs.fitted),
    Manifold.kind: OfModel(_empty_manifold, _manifold),
}
