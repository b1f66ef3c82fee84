"""The shape of plain recipes, and the noise of denoising ones."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from torch import nn

from autoencode.bottlenecks import Plain
from autoencode.errors import IncompatibleError
from autoencode.likelihoods import IDENTITY, SIGMOID, Gaussian, Link
from autoencode.mixed import Mixed
from autoencode.models import AutoencoderModule
from autoencode.nets import make_activation, scratch
from autoencode.objectives import (
    CORRUPTIONS,
    Corrupted,
    WeightedSum,
    mean_squared_error,
    reconstruction,
    squared_error,
)
from autoencode.objectives.terms import NamedTerm
from autoencode.recipes.networks import Networks
from autoencode.recipes.recipe import Recipe
from autoencode.training import Update
from autoencode.types import DataSpec, Objective

CodeActivation = Literal["none", "relu", "tanh", "sigmoid"]
Output = Literal["auto", "sigmoid", "identity"]
Loss = Literal["mse", "sse"]
Noise = Literal["auto", "none", "gaussian", "masking", "salt_and_pepper", "missing"]

_ERRORS = {"mse": mean_squared_error, "sse": squared_error}
_SCRATCH_SIGMOID = Link("sigmoid", scratch.sigmoid, SIGMOID.inverse)


@dataclass(frozen=True)
class NoiseOptions:
    """Denoising: what is done to the encoder's input, the target staying clean.

    Attributes:
        noise: none, gaussian, masking (entries set to zero), salt_and_pepper or missing (entries
            hidden from the encoder, to be guessed from the others); auto is missing in a plain recipe
            for data with gaps, else none.
        noise_level: standard deviation of gaussian noise, else the share of entries that is hit.
    """

    noise: Noise = "auto"
    noise_level: float = 0.3

    def readable(self, spec: DataSpec) -> DataSpec:
        """The data with what this noise does to them."""
        if self.noise in ("auto", "none", "missing"):
            return replace(spec, gaps=spec.gaps or self.noise == "missing")
        if spec.mixed:
            raise IncompatibleError(
                f"noise={self.noise} has no meaning for categories and counts; use noise=missing"
            )
        return spec

    def wrap(self, objective: Objective, spec: DataSpec, for_gaps: Noise = "missing") -> Objective:
        """The objective on corrupted inputs; ``for_gaps`` is what auto means for data with gaps."""
        name = self.noise
        if name == "auto":
            name = for_gaps if spec.gaps else "none"
        return (
            objective if name == "none" else Corrupted(objective, CORRUPTIONS[name], self.noise_level)
        )


def plain(
    spec: DataSpec,
    networks: Networks,
    *,
    latent_dim: int | None,
    code_activation: CodeActivation,
    output: Output,
    loss: Loss,
    noise: NoiseOptions,
) -> Recipe:
    """A deterministic bottleneck trained on squared errors."""
    spec = noise.readable(spec)
    encoder, features = networks.encoder(spec)
    # The user's encoder gives the code itself, as does one that keeps its map.
    project = None
    if latent_dim is not None and not networks.own:
        project = networks.options.make_linear(features, latent_dim)
    link = IDENTITY if networks.own and output == "auto" else _link(spec, output, networks)
    p_x = Mixed(spec) if spec.mixed else Gaussian(len(spec.shape), link)
    model = AutoencoderModule(
        encoder,
        decoder_for(networks, latent_dim, spec, p_x),
        Plain(project, _activation(code_activation, networks)),
        p_x,
    )
    # Categories have no squared errors; nats are what they share with the other columns.
    terms: dict[str, NamedTerm] = {loss: _ERRORS[loss]}
    if spec.mixed:
        terms = {"reconstruction": reconstruction}
    return _single(spec, model, WeightedSum(terms), networks, noise)


def _single(
    spec: DataSpec,
    model: AutoencoderModule,
    objective: Objective,
    networks: Networks,
    noise: NoiseOptions,
) -> Recipe:
    """One update that moves the whole model."""
    networks.options.initialize(model)
    update = Update(noise.wrap(objective, spec), (model,))
    return Recipe(model, (update,), spec, custom=networks.own)


def decoder_for(
    networks: Networks, latent_dim: int | None, spec: DataSpec, p_x: nn.Module
) -> nn.Module:
    """The decoder that gives the numbers which a likelihood needs."""
    if isinstance(p_x, Mixed):
        spec = replace(spec, shape=(p_x.width,), columns=())
    n_params: int = p_x.n_params  # type: ignore[assignment]
    return networks.decoder(latent_dim, spec, n_params)


def _activation(name: str, networks: Networks) -> nn.Module | None:
    return None if name == "none" else make_activation(name, networks.options.layers)


def _link(spec: DataSpec, output: Output, networks: Networks) -> Link:
    if output == "auto":
        output = "sigmoid" if spec.kind == "unit" else "identity"
    if output == "identity":
        return IDENTITY
    return _SCRATCH_SIGMOID if networks.options.layers == "scratch" else SIGMOID
