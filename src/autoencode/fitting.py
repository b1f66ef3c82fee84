"""Priors fitted to the codes of a trained model: which kinds there are, and how each is fitted.

Those that have to be trained are trained by the one loop, with the codes as their data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

import torch
from torch import Tensor, nn

from autoencode import distributions
from autoencode.bottlenecks import RiemannianHamiltonian
from autoencode.data import Examples, Resident
from autoencode.densities import IntegerRows
from autoencode.errors import DataError, IncompatibleError, OptionError, nearest
from autoencode.models import AutoencoderModule
from autoencode.nets.transformer import CausalTransformer
from autoencode.objectives.terms import NATS
from autoencode.priors import (
    FittedFlow,
    FittedGaussian,
    FittedMixture,
    FittedSphere,
    Manifold,
    StandardNormal,
    Vamp,
)
from autoencode.randomness import epoch_order, seeded
from autoencode.recipes import Recipe, build
from autoencode.training import TrainingPlan, Update, fit
from autoencode.types import Batch, DataSpec, Distribution, Losses, Model, Output, Progress

_FLOW_PLAN = TrainingPlan(
    epochs=20, batch_size=256, lr=2e-3, decay="linear", min_steps=1500, doctor=False
)
_INVERSE_PLAN = replace(_FLOW_PLAN, epochs=10, min_steps=500)  # each step takes a pass per entry
_MAX_STAGE = 2048  # entries of a code; a second stage of a feature map would dwarf the first
_CODES_PLAN = TrainingPlan(
    epochs=1, batch_size=64, lr=2e-3, warmup=0.1, decay="linear", min_steps=1500, doctor=False
)
_HELD_OUT, _PATIENCE = 0.1, 0.1  # of the codes, which say when to stop; of the epochs, without gain
_PSEUDO_INPUTS = 500
_VAMP_PLAN = replace(_FLOW_PLAN, epochs=1, lr=1e-2, min_steps=500)
_MAX_ROW, _MAX_VALUES = 4096, 1 << 16  # attention takes the square of a row, the last layer all values


class FittedPrior(Protocol):
    """A prior that can be fitted to codes, and that a file names by its ``kind``."""

    kind: str

    def fit(self, z: Tensor, seed: int = 0) -> FittedPrior: ...


class Normal(StandardNormal):
    """N(0, I), whatever the codes are."""

    kind = "normal"

    def fit(self, z: Tensor, seed: int = 0) -> Normal:
        """Learns nothing."""
        return self


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


@dataclass(frozen=True)
class Integers:
    """What the codes of a quantised model are.

    Attributes:
        shape: of one example's integers.
        n_values: how many values each can take, from 0.
        books: for each place of the flat row the number of the codebook that its integer is from.
    """

    shape: tuple[int, ...]
    n_values: int
    books: tuple[int, ...]

    @classmethod
    def of(cls, recipe: Recipe) -> Integers | None:
        """Those of a recipe; ``None`` where its codes are no integers."""
        bottleneck = recipe.model.bottleneck
        if not hasattr(bottleneck, "codes"):
            return None
        shape = recipe.probe(recipe.model.codes).shape[1:]
        count = shape.numel()
        return cls(tuple(shape), bottleneck.n_codes, tuple(bottleneck.books(count)))  # type: ignore[operator, arg-type]


class AutoregressivePrior(nn.Module):
    """A transformer over the integers of a code, each in sight of those before it.

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
        held_out, train = (_source(z[rows]) for rows in (order[:n_held_out], order[n_held_out:]))
        update = Update(_Likelihood(self), (self,))
        patience = max(2, round(_PATIENCE * _CODES_PLAN.n_epochs(len(train))))
        plan = replace(_CODES_PLAN, patience=patience)
        fit(self, (update,), train, plan, validation=held_out, seed=seed, device=z.device)
        return self

    def forward(self, posterior: object, context: Tensor | None) -> Distribution:
        return IntegerRows(self.network, self.shape)


class PseudoInputs(Vamp):
    """A VampPrior that is learned for a model that stays as it is.

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
    def of(cls, recipe: Recipe) -> PseudoInputs:
        """One for a recipe's model, yet to be fitted.

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
        """One whose pseudo-inputs were moved by the training loop."""
        device = next(recipe.model.parameters()).device
        prior = cls.of(recipe).to(device)
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
        return isinstance(posterior(x), distributions.Normal)


class _Lending(nn.Module):
    """A model that stays as it is and lends its posterior; and what is learned at it."""

    unit = NATS

    def __init__(self, model: AutoencoderModule, prior: Vamp) -> None:
        super().__init__()
        self.lender, self.prior = model, prior

    def train(self, mode: bool = True) -> _Lending:
        """Lets the prior train; the model does nothing then that it does not do later."""
        self.prior.train(mode)
        self.lender.eval()
        return self

    def start_at_data(self, examples: Callable[[int], Tensor]) -> None:
        """Starts at training examples, at some of them more than once where there are few."""
        x = examples(self.prior.n_examples)
        self.prior.start_at(x[torch.arange(self.prior.n_examples) % len(x)])

    def forward(self, model: Model, batch: Batch, progress: Progress) -> Losses:
        """Minus the log-density of a draw of z for each example, nats."""
        with torch.no_grad():
            z = self.lender.encode(batch.x).z[0]
        loss = -self.prior(self.lender.posterior, None).log_prob(z).mean()
        return Losses(loss, {"nll": loss.detach()})

    def check(self, output: Output) -> None:
        """A prior has no output to be checked."""


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
#: Kinds of priors fitted to integer codes by name; each is called with what those are.
OF_INTEGERS: Mapping[str, Callable[[Integers], nn.Module]] = {"autoregressive": AutoregressivePrior}


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
    """The prior on the manifold that a recipe's own metric describes; it has learned it already."""
    with torch.no_grad():
        return Manifold.of(_riemannian(recipe).inverse_metric(recipe.model.encoder))


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
    PseudoInputs.kind: OfModel(PseudoInputs.of, PseudoInputs.fitted),
    Manifold.kind: OfModel(_empty_manifold, _manifold),
}
KINDS = (*FITTED, *OF_INTEGERS, *OF_MODEL)


def prior_for(recipe: Recipe, kind: str) -> nn.Module:
    """A prior of that kind for the codes of a recipe, yet to be fitted or to be read from a file.

    Raises:
        OptionError: for an unknown kind, with the nearest names.
        IncompatibleError: for a kind that is not for these codes.
    """
    space = getattr(recipe.model.bottleneck, "space", None)
    if space is not None and kind in KINDS:
        raise IncompatibleError(
            f"codes are points of {space} and a {kind} prior is one of flat space; keep the model's own"
        )
    if kind in OF_MODEL:
        return OF_MODEL[kind].empty(recipe)
    return empty_prior(kind, recipe.latent_shape, Integers.of(recipe))


def prior_of_model(kind: str, recipe: Recipe, examples: Examples, seed: int = 0) -> nn.Module:
    """A prior of one of the kinds ``OF_MODEL``, fitted to examples that the model was trained on."""
    with seeded(seed, torch.device("cpu")):
        prior = OF_MODEL[kind].fitted(recipe, examples, seed)
    return prior.eval().requires_grad_(False)


def empty_prior(kind: str, shape: tuple[int, ...], integers: Integers | None = None) -> nn.Module:
    """A prior of that kind that is yet to be fitted, or to be read from a file.

    Args:
        kind: a name.
        shape: of one code.
        integers: what the integers are that codes stand for, where there are any.

    Raises:
        OptionError: for an unknown kind, with the nearest names.
        IncompatibleError: for a prior of integers where codes are none.
    """
    if kind in OF_INTEGERS:
        if integers is None:
            raise IncompatibleError(
                f"prior '{kind}' is for integer codes and this model's are real numbers; use "
                f"{' or '.join(FITTED)}, or a quantised recipe (vqvae)"
            )
        return OF_INTEGERS[kind](integers)
    if kind not in FITTED:
        raise OptionError(f"unknown prior '{kind}'; {nearest(kind, KINDS)}")
    return FITTED[kind](shape)


def prior_of(kind: str, z: Tensor, seed: int = 0, integers: Integers | None = None) -> nn.Module:
    """A prior of that kind, fitted to codes (N, *Z), or to integers (N, *G) if it is one of integers.

    >>> prior = prior_of("mixture", torch.randn(200, 3))
    >>> prior(None, None).rsample(torch.Size((5,))).shape
    torch.Size([5, 3])
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        empty = empty_prior(kind, tuple(z.shape[1:]), integers).to(z.device)
    prior: FittedPrior = empty  # type: ignore[assignment]
    prior.fit(z, seed)
    return empty.eval().requires_grad_(False)


def _source(z: Tensor) -> Resident:
    codes = z.detach().float().cpu().numpy()
    return Resident(Examples(codes), DataSpec(tuple(z.shape[1:]), "real"), z.device)
