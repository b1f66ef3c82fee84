"""Priors fitted to codes of real numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn

from autoencode.data import Examples, Resident
from autoencode.errors import IncompatibleError
from autoencode.models import AutoencoderModule
from autoencode.objectives.terms import NATS
from autoencode.priors import FittedFlow, FittedGaussian, FittedMixture, FittedSphere, StandardNormal
from autoencode.recipes import build
from autoencode.training import TrainingPlan, Update, fit
from autoencode.types import Batch, DataSpec, Distribution, Losses, Model, Output, Progress

_FLOW_PLAN = TrainingPlan(
    epochs=20, batch_size=256, lr=2e-3, decay="linear", min_steps=1500, doctor=False
)
_INVERSE_PLAN = replace(_FLOW_PLAN, epochs=10, min_steps=500)  # each step takes a pass per entry
_MAX_STAGE = 2048  # entries of a code; a second stage of a feature map would dwarf the first


class Normal(StandardNormal):
    """The standard normal prior N(0, I), whatever the codes are."""

    kind = "normal"

    def fit(self, z: Tensor, seed: int = 0) -> Normal:
        """Returns the prior unchanged, since it learns nothing from codes."""
        return self


class SecondStage(nn.Module):
    """A prior that is a VAE of the codes: its samples are samples of the prior.

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
        source = codes_as_data((flat - self.loc) / self.scale)
        plan = TrainingPlan(epochs=1, batch_size=128, lr=2e-3, min_steps=self.steps, doctor=False)
        fit(self.stage, self.recipe.updates, source, plan, seed=seed)
        return self

    def forward(self, posterior: object, context: Tensor | None) -> Distribution:
        return _Second(self)


class _Second:
    """The marginal distribution of codes under the second stage; it can only be sampled."""

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


class TrainedFlow(FittedFlow):
    """A prior that is a chain of autoregressive maps, fitted by the training loop."""

    def fit(self, z: Tensor, seed: int = 0) -> TrainedFlow:
        """Takes mean and scale from codes (N, *Z) and trains the maps on them."""
        super().fit(z, seed)
        update = Update(NegativeLogDensity(self), (self,))
        plan = _INVERSE_PLAN if self.kind == "iaf" else _FLOW_PLAN
        fit(self, (update,), codes_as_data(z), plan, seed=seed)
        return self


#: Kinds of priors fitted to real codes by name; each is called with the shape of a code.
FITTED: Mapping[str, Callable[[tuple[int, ...]], nn.Module]] = {
    "gaussian": FittedGaussian,
    "mixture": FittedMixture,
    "maf": TrainedFlow,
    "iaf": partial(TrainedFlow, inverse=True),
    "two_stage": SecondStage,
    "sphere": FittedSphere,
    "normal": Normal,
}


class NegativeLogDensity:
    """The objective that a prior is trained on: minus the log-density of the batch, nats."""

    unit = NATS

    def __init__(self, prior: nn.Module) -> None:
        self.prior = prior

    def __call__(self, model: Model, batch: Batch, progress: Progress) -> Losses:
        density: Distribution = self.prior(None, None)
        loss = -density.log_prob(batch.target).mean()
        return Losses(loss, {"nll": loss.detach()})

    def check(self, output: Output) -> None:
        """Accepts any output, since a prior has none to check."""


def codes_as_data(z: Tensor) -> Resident:
    """Makes codes (N, *Z) a source of training data."""
    codes = z.detach().float().cpu().numpy()
    return Resident(Examples(codes), DataSpec(tuple(z.shape[1:]), "real"), z.device)
