"""The common structure of plain recipes, and the noise of denoising ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from torch import nn

from autoencode.bottlenecks import Plain
from autoencode.errors import IncompatibleError
from autoencode.likelihoods import CLIP, IDENTITY, SIGMOID, Bernoulli, Gaussian, Link
from autoencode.likelihoods.columns import Mixed
from autoencode.likelihoods.gaussian_columns import GaussianColumns
from autoencode.limits import NotNegative
from autoencode.models import AutoencoderModule
from autoencode.nets import DecoderBesideFactors, NetOptions, make_activation, scratch
from autoencode.objectives import (
    CORRUPTIONS,
    Corrupted,
    WeightedSum,
    WeightSchedule,
    column_errors,
    mean_squared_error,
    reconstruction,
    squared_error,
)
from autoencode.objectives.terms import NamedTerm
from autoencode.recipes.built import Recipe
from autoencode.recipes.shared.networks import ConvNetworks, Networks
from autoencode.training import Update
from autoencode.types import DataSpec, Objective

CodeActivation = Literal["none", "relu", "tanh", "sigmoid"]
OutputRange = Literal["auto", "sigmoid", "identity", "clip"]
SquaredLoss = Literal["mse", "sse"]
PlainLoss = Literal["mse", "sse", "nll"]
Terms = Mapping[str, tuple[NamedTerm, float | WeightSchedule]]
Noise = Literal["auto", "none", "gaussian", "masking", "dropout", "salt_and_pepper", "blur", "missing"]

ERRORS = {"mse": mean_squared_error, "sse": squared_error, "nll": reconstruction}
_SCRATCH_SIGMOID = Link("sigmoid", scratch.sigmoid, SIGMOID.inverse)


@dataclass(frozen=True)
class NoiseOptions:
    """Options of denoising: how the encoder's input is corrupted while the target stays clean.

    Attributes:
        noise: none, gaussian, masking (entries set to zero), dropout (masking that scales the others
            up, so that the mean stays), salt_and_pepper, blur (images only) or
            missing (entries hidden from the encoder, to be guessed from the others); auto is missing
            in a plain recipe for data with gaps, else none.
        noise_level: standard deviation of gaussian noise, that of a blur in pixels, else the share of
            entries that is hit.
    """

    noise: Noise = "auto"
    noise_level: NotNegative = 0.3

    def readable(self, spec: DataSpec) -> DataSpec:
        """Returns the spec of data after this noise, which may add missing values."""
        if self.noise in ("auto", "none", "missing"):
            return replace(spec, gaps=spec.gaps or self.noise == "missing")
        if spec.mixed:
            raise IncompatibleError(
                f"noise={self.noise} has no meaning for categories and counts; use noise=missing"
            )
        if self.noise == "blur" and spec.layout != "image":
            raise IncompatibleError(
                f"noise=blur is for images, and these are {spec.layout}s; use another noise, or give "
                "the data as images (N, height, width)"
            )
        return spec

    def wrap(self, objective: Objective, spec: DataSpec, for_gaps: Noise = "missing") -> Objective:
        """Wraps the objective for corrupted inputs; ``for_gaps`` is the noise for data with gaps."""
        name = self.noise
        if name == "auto":
            name = for_gaps if spec.gaps else "none"
        return (
            objective if name == "none" else Corrupted(objective, CORRUPTIONS[name], self.noise_level)
        )


# What built-in networks are made of, and no noise: the defaults of nearly every recipe.
DEFAULT_NET = NetOptions()
NO_NOISE = NoiseOptions()


def plain(
    spec: DataSpec,
    networks: Networks,
    *,
    latent_dim: int | None,
    code_activation: CodeActivation = "none",
    output: OutputRange = "auto",
    loss: PlainLoss = "mse",
    noise: NoiseOptions,
    bottleneck: Callable[[nn.Module | None], nn.Module] | None = None,
    terms: Terms | None = None,
    prior: nn.Module | None = None,
    make: Callable[..., AutoencoderModule] = AutoencoderModule,
) -> Recipe:
    """Makes a recipe with a deterministic code, trained on squared errors or nats and regularisers.

    Args:
        spec: the data.
        networks: make encoder and decoder.
        latent_dim: width of the code; ``None`` where it is the encoder's map.
        code_activation: of the code, unless there is a ``bottleneck``.
        output: what bounds the reconstruction.
        loss: mean or sum of squares, or nll: -log p(x|z).
        noise: what is done to the encoder's input.
        bottleneck: makes it from the linear map that gives the code (``None`` for networks of the
            user's own).
        terms: more terms, or others of the name of the loss, with their weights.
        prior: p(z), where the recipe has one.
        make: puts encoder, decoder, bottleneck, likelihood and prior together.
    """
    spec = noise.readable(spec)
    encoder, features = networks.encoder(spec)
    passed: int = getattr(encoder, "n_passed", 0)
    own = None if latent_dim is None else latent_dim - passed
    project = _project(networks, features - passed, own)
    if bottleneck is None:
        made: nn.Module = Plain(project, _activation(code_activation, networks), passed)
    else:
        made = bottleneck(project)
    p_x = _observed(spec, output, loss, networks)
    decoder = decoder_for(networks, own, spec, p_x)
    if passed:
        decoder = DecoderBesideFactors(decoder, passed, math.prod(decoder.shape))  # type: ignore[arg-type]
    model = make(encoder, decoder, made, p_x, prior)
    # Categories have no squared errors; nats are what they share with the other columns.
    name = "reconstruction" if spec.mixed or loss == "nll" else loss
    first: dict[str, NamedTerm] = {name: reconstruction if spec.mixed else ERRORS[loss]}
    more = terms or {}
    weights = {name: weight for name, (_, weight) in more.items()}
    every = first | {name: term for name, (term, _) in more.items()}
    # Nats of categories rise where a model that reconstructs more of them is too sure of the others.
    compared_by = column_errors if spec.mixed and not more else None
    return _single(spec, model, WeightedSum(every, compared_by, **weights), networks, noise)


def _project(networks: Networks, features: int, latent_dim: int | None) -> nn.Module | None:
    """Makes the linear layer from features to the code; ``None`` where the features are the code."""
    if latent_dim is None or networks.own:
        return None
    if isinstance(networks, ConvNetworks) and networks.spatial:
        return nn.Conv2d(networks.channels[-1], latent_dim, 1)
    return networks.options.make_linear(features, latent_dim)


def _observed(
    spec: DataSpec, output: OutputRange, loss: PlainLoss, networks: Networks
) -> Mixed | Bernoulli | Gaussian | GaussianColumns:
    """Makes the likelihood p(x|z) of a plain recipe."""
    if spec.mixed:
        return Mixed(spec, scales="shared")
    if loss == "nll" and output == "auto" and spec.kind == "unit":
        return Bernoulli(len(spec.shape))
    link = IDENTITY if networks.own and output == "auto" else _link(spec, output, networks)
    if link is IDENTITY and spec.kind == "real" and spec.layout in ("row", "sequence"):
        return GaussianColumns(spec.shape, "fixed")
    return Gaussian(len(spec.shape), link)


def _single(
    spec: DataSpec,
    model: AutoencoderModule,
    objective: Objective,
    networks: Networks,
    noise: NoiseOptions,
) -> Recipe:
    """Makes a recipe with one update that moves the whole model."""
    networks.options.initialize(model)
    update = Update(noise.wrap(objective, spec), (model,))
    return Recipe(model, (update,), spec, custom=networks.own)


def decoder_for(
    networks: Networks, latent_dim: int | None, spec: DataSpec, p_x: nn.Module
) -> nn.Module:
    """Makes the decoder that gives the numbers which a likelihood needs."""
    if isinstance(p_x, Mixed):
        spec = replace(spec, shape=(p_x.width,), columns=())
    n_params: int = p_x.n_params  # type: ignore[assignment]
    return networks.decoder(latent_dim, spec, n_params)


def _activation(name: str, networks: Networks) -> nn.Module | None:
    return None if name == "none" else make_activation(name, networks.options.layers)


def _link(spec: DataSpec, output: OutputRange, networks: Networks) -> Link:
    if output == "auto":
        output = "sigmoid" if spec.kind == "unit" else "identity"
    if output in ("identity", "clip"):
        return IDENTITY if output == "identity" else CLIP
    return _SCRATCH_SIGMOID if networks.options.layers == "scratch" else SIGMOID
