"""Parts of variational recipes: networks, likelihood, weights, updates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from torch import nn

from autoencode.bottlenecks import DiagonalGaussian
from autoencode.errors import IncompatibleError
from autoencode.likelihoods import EvenLogarithm, Sized, Sizes
from autoencode.limits import Count, Depth, NotNegative, Positive
from autoencode.models import AutoencoderModule
from autoencode.nets import Logarithm, NetOptions, Read
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
from autoencode.recipes.built import Recipe
from autoencode.recipes.shared.likelihood import COUNTS, LikelihoodName, SizeFactor, likelihood_of
from autoencode.recipes.shared.networks import Networks, Widths
from autoencode.recipes.shared.plain import NoiseOptions, decoder_for
from autoencode.training import Update
from autoencode.types import DataSpec, Objective


@dataclass(frozen=True)
class LatentOptions(Widths):
    """The options of a variational recipe's networks and likelihood.

    Attributes:
        hidden: widths of the encoder's hidden layers; the decoder mirrors them.
        channels: 3x3 convolutions with these output channels in the place of hidden, for images;
            none by default.
        strides: strides of the convolutions.
        likelihood: for data in [0, 1] bernoulli, continuous_bernoulli, or, over 256 levels, logistic,
            logistic_mixture (of 5) and categorical; for any data gaussian, laplace or log_cosh of a
            fixed scale, gaussian_shared (one learned scale), gaussian_columns (a learned scale for
            each column), gaussian_learned, laplace_learned and log_cosh_learned (the decoder gives
            each entry's); for counts poisson, negative_binomial, zero_inflated. auto is bernoulli on
            pixels and booleans, gaussian_columns on other rows and sequences, else gaussian.
        scale: of gaussian (its standard deviation), laplace and log_cosh, in the model's units.
        binarize: draw each entry of [0, 1] data as 0 or 1 anew at every step of training.
        size_factor: of counts, whether the rates of a row are multiplied by its size, the sum of its
            counts beside the median of such sums, so that codes are of what is left: observed, or
            none; auto is observed where sums vary widely.
    """

    hidden: tuple[Count, ...] = (256,)
    likelihood: LikelihoodName = "auto"
    scale: Positive = 1.0
    binarize: bool = False
    size_factor: SizeFactor = "auto"

    def ready(
        self, spec: DataSpec, noise: NoiseOptions, net: NetOptions, own: Networks | None
    ) -> tuple[DataSpec, Networks]:
        """Returns the spec of the data after the noise, and the networks for such data."""
        return noise.readable(spec), self.networks(net, own)

    def reads(self, encoder: nn.Module, spec: DataSpec) -> nn.Module:
        """Returns the encoder, which reads the logarithms of counts where the data are counts."""
        if self.likelihood not in COUNTS:
            return encoder
        if self.size_factor == "none":
            return Read(Logarithm(), encoder)
        return Read(EvenLogarithm(self._sizes(spec)), encoder)

    def observed(self, spec: DataSpec) -> nn.Module:
        """Makes the likelihood p(x|z)."""
        p_x = likelihood_of(spec, self.likelihood, self.scale)
        if self.likelihood not in COUNTS or self.size_factor == "none":
            return p_x
        return Sized(p_x, self._sizes(spec))

    def _sizes(self, spec: DataSpec) -> Sizes:
        return Sizes(spec.shape, always=self.size_factor == "observed")

    def wrap(self, objective: Objective, spec: DataSpec, noise: NoiseOptions) -> Objective:
        """Wraps the objective for noisy inputs and, if so asked, for binarised data."""
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
    """Options of how much the KL term weighs, and when.

    Attributes:
        beta: weight of the KL term; 1 is the ELBO.
        beta_schedule: constant; linear, from 0; cyclical, from 0 again and again.
        beta_until: share of training over which a linear weight grows.
        beta_cycles: cycles of a cyclical weight.
        free_bits: nats of KL that each latent dimension has for nothing.
    """

    beta: NotNegative = 1.0
    beta_schedule: Literal["constant", "linear", "cyclical"] = "constant"
    beta_until: NotNegative = 0.5
    beta_cycles: Depth = 4
    free_bits: NotNegative = 0.0

    def weight(self) -> WeightSchedule:
        """Makes the schedule of the KL term's weight."""
        if self.beta_schedule == "linear":
            return Linear(0.0, self.beta, self.beta_until)
        if self.beta_schedule == "cyclical":
            return Cyclical(0.0, self.beta, self.beta_cycles)
        return Constant(self.beta)

    def term(self) -> NamedTerm:
        """Makes the KL term."""
        return free_bits(self.free_bits) if self.free_bits else kl_term

    def negative_elbo(self, **more: tuple[NamedTerm, float | WeightSchedule]) -> WeightedSum:
        """Makes the sum of reconstruction, KL and more terms with their weights."""
        terms = {"reconstruction": reconstruction, "kl": self.term()}
        weights = {name: weight for name, (_, weight) in more.items()}
        return WeightedSum(
            {**terms, **{name: term for name, (term, _) in more.items()}}, kl=self.weight(), **weights
        )


ELBO = KLOptions()
WARM_UP = KLOptions(beta_schedule="linear", beta_until=0.1)
TANH = NetOptions(activation="tanh")


def complete_numbers(spec: DataSpec, recipe: str) -> None:
    """Raises ``IncompatibleError`` for data with gaps or categories, which some recipes cannot take."""
    if spec.gaps or spec.mixed:
        raise IncompatibleError(
            f"{recipe} needs numbers without gaps and these data have gaps or categories; use vae"
        )


def latent_model(
    spec: DataSpec,
    networks: Networks,
    body: LatentOptions,
    latent_dim: int,
    bottleneck: Callable[[int], nn.Module] | None = None,
    prior: nn.Module | None = None,
) -> AutoencoderModule:
    """Builds a model of encoder, bottleneck, decoder, likelihood and prior.

    Args:
        spec: the data.
        networks: make encoder and decoder.
        body: says which likelihood.
        latent_dim: width of z.
        bottleneck: makes it from the width of the features; a diagonal Gaussian by default.
        prior: standard normal by default.
    """
    encoder, features = networks.encoder(spec)
    if not networks.own:
        encoder = body.reads(encoder, spec)
    p_x = body.observed(spec)
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
    body: LatentOptions,
    noise: NoiseOptions,
    helpers: Mapping[str, nn.Module] | None = None,
) -> Recipe:
    """Makes a recipe of updates, each an objective and the modules it moves (all, if none given)."""
    updates = tuple(
        Update(body.wrap(objective, spec, noise), modules or (model,)) for objective, modules in turns
    )
    return Recipe(model, updates, spec, custom=networks.own, helpers=helpers or {})
