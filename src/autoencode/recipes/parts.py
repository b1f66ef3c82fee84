"""What variational recipes are put together from: networks, likelihood, weights, updates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from torch import nn

from autoencode.bottlenecks import DiagonalGaussian
from autoencode.errors import IncompatibleError
from autoencode.likelihoods import (
    IDENTITY,
    SIGMOID,
    Bernoulli,
    Categorical,
    ContinuousBernoulli,
    DiscretizedLogistic,
    Gaussian,
    Laplace,
    Link,
    NegativeBinomial,
    Poisson,
)
from autoencode.mixed import Mixed
from autoencode.models import AutoencoderModule
from autoencode.nets import NetOptions
from autoencode.objectives import (
    Binarized,
    Constant,
    Cyclical,
    Linear,
    WeightedSum,
    WeightSchedule,
    free_bits,
    reconstruction,
)
from autoencode.objectives import kl as kl_term
from autoencode.objectives.terms import NamedTerm
from autoencode.priors import StandardNormal
from autoencode.recipes.compose import NoiseOptions, decoder_for
from autoencode.recipes.networks import Networks, Widths
from autoencode.recipes.recipe import Recipe
from autoencode.training import Update
from autoencode.types import DataSpec, Objective

LikelihoodName = Literal[
    "auto",
    "bernoulli",
    "continuous_bernoulli",
    "gaussian",
    "gaussian_shared",
    "gaussian_learned",
    "laplace",
    "laplace_learned",
    "logistic",
    "logistic_mixture",
    "categorical",
    "poisson",
    "negative_binomial",
    "zero_inflated",
]

_MIXED = 5  # components of a mixture of logistics
_UNIT: Mapping[str, Callable[[int], nn.Module]] = {
    "bernoulli": Bernoulli,
    "continuous_bernoulli": ContinuousBernoulli,
    "logistic": DiscretizedLogistic,
    "logistic_mixture": lambda dims: DiscretizedLogistic(dims, _MIXED),
    "categorical": Categorical,
}
_REAL: Mapping[str, Callable[[int, Link], nn.Module]] = {
    "gaussian": Gaussian,
    "gaussian_shared": lambda dims, link: Gaussian(dims, link, "shared"),
    "gaussian_learned": lambda dims, link: Gaussian(dims, link, "learned"),
    "laplace": Laplace,
    "laplace_learned": lambda dims, link: Laplace(dims, link, "learned"),
}
_COUNTS: Mapping[str, Callable[[int], nn.Module]] = {
    "poisson": Poisson,
    "negative_binomial": NegativeBinomial,
    "zero_inflated": lambda dims: NegativeBinomial(dims, zero_inflated=True),
}


@dataclass(frozen=True)
class Body(Widths):
    """The networks of a variational recipe and what they say of the data.

    Attributes:
        hidden: widths of the encoder's hidden layers; the decoder mirrors them.
        channels: 3x3 convolutions with these output channels in the place of hidden, for images;
            none by default.
        strides: strides of the convolutions.
        likelihood: for data in [0, 1] bernoulli, continuous_bernoulli, or, over 256 levels, logistic,
            logistic_mixture (of 5) and categorical; for any data gaussian or laplace of unit scale,
            gaussian_shared (one learned scale), gaussian_learned and laplace_learned (the decoder
            gives each entry's); for counts poisson, negative_binomial, zero_inflated. auto is
            bernoulli on [0, 1] data, else gaussian.
        binarize: draw each entry of [0, 1] data as 0 or 1 anew at every step of training.
    """

    hidden: tuple[int, ...] = (256,)
    likelihood: LikelihoodName = "auto"
    binarize: bool = False

    def ready(
        self, spec: DataSpec, noise: NoiseOptions, net: NetOptions, own: Networks | None
    ) -> tuple[DataSpec, Networks]:
        """The data as the noise leaves them, and the networks for them."""
        return noise.readable(spec), self.networks(net, own)

    def wrap(self, objective: Objective, spec: DataSpec, noise: NoiseOptions) -> Objective:
        """The objective on noisy inputs and, if so asked, on binarised data."""
        # A bound on log p of what is known is one as it is. An encoder that must guess more than is
        # missing leaves the rest to the likelihood's scale, and draws become too wide.
        objective = noise.wrap(objective, spec, for_gaps="none")
        if not self.binarize:
            return objective
        if spec.kind != "unit":
            raise IncompatibleError(
                "binarize needs values in [0, 1] and these data have others; leave it out"
            )
        return Binarized(objective)


@dataclass(frozen=True)
class KLOptions:
    """How much the KL term weighs, and when.

    Attributes:
        beta: weight of the KL term; 1 is the ELBO.
        beta_schedule: constant; linear, from 0; cyclical, from 0 again and again.
        beta_until: share of training over which a linear weight grows.
        beta_cycles: cycles of a cyclical weight.
        free_bits: nats of KL that each latent dimension has for nothing.
    """

    beta: float = 1.0
    beta_schedule: Literal["constant", "linear", "cyclical"] = "constant"
    beta_until: float = 0.5
    beta_cycles: int = 4
    free_bits: float = 0.0

    def weight(self) -> WeightSchedule:
        """The weight's schedule."""
        if self.beta_schedule == "linear":
            return Linear(0.0, self.beta, self.beta_until)
        if self.beta_schedule == "cyclical":
            return Cyclical(0.0, self.beta, self.beta_cycles)
        return Constant(self.beta)

    def term(self) -> NamedTerm:
        """The term itself."""
        return free_bits(self.free_bits) if self.free_bits else kl_term

    def negative_elbo(self, **more: tuple[NamedTerm, float | WeightSchedule]) -> WeightedSum:
        """Reconstruction and KL, and more terms with their weights."""
        terms = {"reconstruction": reconstruction, "kl": self.term()}
        weights = {name: weight for name, (_, weight) in more.items()}
        return WeightedSum(
            {**terms, **{name: term for name, (term, _) in more.items()}}, kl=self.weight(), **weights
        )


ELBO = KLOptions()
DEFAULT_NET = NetOptions()
TANH = NetOptions(activation="tanh")
NO_NOISE = NoiseOptions()


def complete_numbers(spec: DataSpec, recipe: str) -> None:
    """Raises ``IncompatibleError`` for data with gaps or categories, which some recipes cannot take."""
    if spec.gaps or spec.mixed:
        raise IncompatibleError(
            f"{recipe} needs numbers without gaps and these data have gaps or categories; use vae"
        )


def likelihood_of(spec: DataSpec, name: LikelihoodName) -> nn.Module:
    """The likelihood of that name.

    Raises:
        IncompatibleError: when the data are of another kind.
    """
    dims, unit = len(spec.shape), spec.kind == "unit"
    if spec.mixed:
        if name not in ("auto", "gaussian", "gaussian_learned"):
            raise IncompatibleError(
                f"likelihood={name} is for columns of one kind and these are mixed; use likelihood=auto"
            )
        return Mixed(spec, learned=name == "gaussian_learned")
    chosen: str = name if name != "auto" else "bernoulli" if unit else "gaussian"
    if chosen in _UNIT:
        if not unit:
            raise IncompatibleError(
                f"likelihood={chosen} needs values in [0, 1] and these data have others; "
                "use likelihood=gaussian, or scale the data"
            )
        return _UNIT[chosen](dims)
    if chosen in _COUNTS:
        if unit or any(spec.offset) or set(spec.scale) != {1.0}:
            raise IncompatibleError(
                f"likelihood={chosen} needs counts 0, 1, 2, ... as they are and these data are scaled; "
                "use likelihood=gaussian, or load them with standardize='none'"
            )
        return _COUNTS[chosen](dims)
    return _REAL[chosen](dims, SIGMOID if unit else IDENTITY)


def latent_model(
    spec: DataSpec,
    networks: Networks,
    body: Body,
    latent_dim: int,
    bottleneck: Callable[[int], nn.Module] | None = None,
    prior: nn.Module | None = None,
) -> AutoencoderModule:
    """Encoder, bottleneck, decoder, likelihood and prior, wired.

    Args:
        spec: the data.
        networks: make encoder and decoder.
        body: says which likelihood.
        latent_dim: width of z.
        bottleneck: makes it from the width of the features; a diagonal Gaussian by default.
        prior: standard normal by default.
    """
    encoder, features = networks.encoder(spec)
    p_x = likelihood_of(spec, body.likelihood)
    made = bottleneck(features) if bottleneck else DiagonalGaussian(features, latent_dim)
    decoder = decoder_for(networks, latent_dim, spec, p_x)
    model = AutoencoderModule(encoder, decoder, made, p_x, prior or StandardNormal((latent_dim,)))
    networks.options.initialize(model)
    return model


def recipe_of(
    spec: DataSpec,
    model: AutoencoderModule,
    networks: Networks,
    *turns: tuple[Objective, tuple[nn.Module, ...]],
    body: Body,
    noise: NoiseOptions,
    helpers: Mapping[str, nn.Module] | None = None,
) -> Recipe:
    """A recipe of one or more updates, each an objective and what it moves (all, if nothing)."""
    updates = tuple(
        Update(body.wrap(objective, spec, noise), modules or (model,)) for objective, modules in turns
    )
    return Recipe(model, updates, spec, custom=networks.own, helpers=helpers or {})
