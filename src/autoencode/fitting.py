"""Priors fitted to the codes of a trained model: which kinds there are, and how each is fitted.

Those that have to be trained are trained by the one loop, with the codes as their data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Protocol

import torch
from torch import Tensor, nn

from autoencode.bottlenecks import RiemannianHamiltonian
from autoencode.data import Examples, Resident
from autoencode.errors import IncompatibleError, OptionError, nearest
from autoencode.models import AutoencoderModule
from autoencode.objectives.terms import NATS
from autoencode.priors import FittedFlow, FittedGaussian, FittedMixture, FittedSphere, Manifold
from autoencode.recipes import build
from autoencode.training import TrainingPlan, Update, fit
from autoencode.types import Batch, DataSpec, Distribution, Losses, Model, Output, Progress

_FLOW_PLAN = TrainingPlan(
    epochs=20, batch_size=256, lr=2e-3, decay="linear", min_steps=1500, doctor=False
)
_INVERSE_PLAN = replace(_FLOW_PLAN, epochs=10, min_steps=500)  # each step takes a pass per entry
_MAX_STAGE = 2048  # entries of a code; a second stage of a feature map would dwarf the first


class FittedPrior(Protocol):
    """A prior that can be fitted to codes, and that a file names by its ``kind``."""

    kind: str

    def fit(self, z: Tensor, seed: int = 0) -> FittedPrior: ...


class SecondStage(nn.Module):
    """A VAE of the codes, whose samples are samples of the prior.

    Diagnosing and Enhancing VAE Models (Dai & Wipf, 2019), https://arxiv.org/abs/1903.05789. Its
    latent is as wide as the code, and the scale of its Gaussian likelihood is learned.

    Args:
        shape: shape of one code.
    """

    kind = "two_stage"
    steps = 2000
    loc: Tensor
    scale: Tensor

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        size = int(torch.Size(shape).numel())
        if size > _MAX_STAGE:
            raise IncompatibleError(
                f"a second stage takes codes of up to {_MAX_STAGE} entries, got {size}; use gaussian"
            )
        self.shape = shape
        self.recipe = build("sigma_vae", DataSpec((size,), "real"), latent_dim=size, hidden=(256, 256))
        self.stage = self.recipe.model
        with torch.no_grad():  # the codes have variance 1; a scale of 1 would explain them alone
            self.stage.likelihood.log_scale.fill_(-2.0)  # type: ignore[operator]
        self.register_buffer("loc", torch.zeros(size))
        self.register_buffer("scale", torch.ones(size))

    def fit(self, z: Tensor, seed: int = 0) -> SecondStage:
        """Trains the second stage on codes (N, *Z)."""
        flat = z.flatten(1)
        self.loc.copy_(flat.mean(0))
        self.scale.copy_(flat.std(0).clamp_min(1e-3 * float(flat.std().clamp_min(1e-6))))
        source = _source((flat - self.loc) / self.scale)
        plan = TrainingPlan(epochs=1, batch_size=128, lr=2e-3, min_steps=self.steps, doctor=False)
        fit(self.stage, self.recipe.updates, source, plan, seed=seed)
        return self

    def forward(self, posterior: object, context: Tensor | None) -> Distribution:
        return _Second(self)


class _Second:
    """The marginal of the codes under the second stage; it can be drawn from."""

    def __init__(self, owner: SecondStage) -> None:
        self._owner = owner
        self._stage: AutoencoderModule = owner.stage

    def _raw(self, flat: Tensor) -> Tensor:
        owner = self._owner
        return (owner.loc + owner.scale * flat).reshape(*flat.shape[:-1], *owner.shape)

    @property
    def mean(self) -> Tensor:
        return self._raw(self._stage.decode(self._owner.loc.new_zeros(1, len(self._owner.loc))).mean[0])

    def rsample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
        u = self._stage.sample_latent(sample_shape.numel())
        drawn = self._stage.decode(u).sample()
        return self._raw(drawn.reshape(*sample_shape, -1))

    def log_prob(self, value: Tensor) -> Tensor:
        raise IncompatibleError("a two-stage prior has no density in closed form; use maf")


class _Likelihood:
    """Minus the log-density of the batch under a prior, which is all that a flow learns from."""

    unit = NATS

    def __init__(self, prior: nn.Module) -> None:
        self.prior = prior

    def __call__(self, model: Model, batch: Batch, progress: Progress) -> Losses:
        density: Distribution = self.prior(None, None)
        loss = -density.log_prob(batch.target).mean()
        return Losses(loss, {"nll": loss.detach()})

    def check(self, output: Output) -> None:
        """A prior has no output to be checked."""


class TrainedFlow(FittedFlow):
    """A chain of autoregressive maps, fitted by the training loop."""

    def fit(self, z: Tensor, seed: int = 0) -> TrainedFlow:
        """Takes mean and scale from codes (N, *Z) and trains the maps on them."""
        super().fit(z, seed)
        update = Update(_Likelihood(self), (self,))
        plan = _INVERSE_PLAN if self.kind == "iaf" else _FLOW_PLAN
        fit(self, (update,), _source(z), plan, seed=seed)
        return self


#: Kinds of fitted priors by name; each is called with the shape of a code.
FITTED: Mapping[str, Callable[[tuple[int, ...]], nn.Module]] = {
    "gaussian": FittedGaussian,
    "mixture": FittedMixture,
    "maf": TrainedFlow,
    "iaf": partial(TrainedFlow, inverse=True),
    "two_stage": SecondStage,
    "sphere": FittedSphere,
}


#: All kinds: besides them a prior on the manifold that a model's own metric describes.
KINDS = (*FITTED, Manifold.kind)


def check_prior(kind: str, model: nn.Module | None = None) -> None:
    """Refuses a prior that cannot be fitted, before any work.

    Raises:
        OptionError: for an unknown kind, with the nearest names.
        IncompatibleError: for a kind that the model's latents do not allow.
    """
    if kind not in KINDS:
        raise OptionError(f"unknown prior '{kind}'; {nearest(kind, KINDS)}")
    space = getattr(getattr(model, "bottleneck", None), "space", None)
    if space is not None:
        raise IncompatibleError(
            f"codes are points of {space} and a {kind} prior is one of flat space; keep the model's own"
        )
    if kind == Manifold.kind and _riemannian(model) is None:
        raise IncompatibleError(
            "a manifold prior draws from the metric of an rhvae and this model has none; use "
            f"{', '.join(FITTED)}"
        )


def empty_prior(kind: str, shape: tuple[int, ...], model: nn.Module | None = None) -> nn.Module:
    """A prior of that kind that is yet to be fitted, or to be read from a file.

    Args:
        kind: one of ``KINDS``.
        shape: of a code.
        model: whose codes these are.

    Raises:
        OptionError: for an unknown kind, with the nearest names.
        IncompatibleError: for a kind that the model's latents do not allow.
    """
    check_prior(kind, model)
    bottleneck = _riemannian(model)
    if kind == Manifold.kind and bottleneck is not None:
        return Manifold(bottleneck.n_examples, shape[0])
    return FITTED[kind](shape)


def _riemannian(model: nn.Module | None) -> RiemannianHamiltonian | None:
    bottleneck = getattr(model, "bottleneck", None)
    return bottleneck if isinstance(bottleneck, RiemannianHamiltonian) else None


def prior_of(kind: str, z: Tensor, seed: int = 0, model: nn.Module | None = None) -> nn.Module:
    """A prior of that kind, fitted to codes (N, *Z) of a model.

    >>> prior = prior_of("mixture", torch.randn(200, 3))
    >>> prior(None, None).rsample(torch.Size((5,))).shape
    torch.Size([5, 3])
    """
    check_prior(kind, model)
    bottleneck = _riemannian(model)
    if kind == Manifold.kind and bottleneck is not None:
        with torch.no_grad():
            encoder: nn.Module = model.encoder  # type: ignore[union-attr, assignment]
            return Manifold.of(bottleneck.inverse_metric(encoder)).eval()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        prior: FittedPrior = empty_prior(kind, tuple(z.shape[1:])).to(z.device)  # type: ignore[assignment]
    prior.fit(z, seed)
    return prior.eval().requires_grad_(False)  # type: ignore[attr-defined, no-any-return]


def _source(z: Tensor) -> Resident:
    codes = z.detach().float().cpu().numpy()
    return Resident(Examples(codes), DataSpec(tuple(z.shape[1:]), "real"), z.device)
