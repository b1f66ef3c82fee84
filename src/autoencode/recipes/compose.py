"""The shape of plain recipes, and the noise of denoising ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import nn

from autoencode.bottlenecks import Plain
from autoencode.likelihoods import IDENTITY, SIGMOID, Gaussian, Link
from autoencode.models import AutoencoderModule
from autoencode.nets import make_activation, scratch
from autoencode.objectives import (
    CORRUPTIONS,
    Corrupted,
    WeightedSum,
    mean_squared_error,
    squared_error,
)
from autoencode.recipes.networks import Networks
from autoencode.recipes.recipe import Recipe
from autoencode.training import Update
from autoencode.types import DataSpec, Objective

CodeActivation = Literal["none", "relu", "tanh", "sigmoid"]
Output = Literal["auto", "sigmoid", "identity"]
Loss = Literal["mse", "sse"]

_SCRATCH_SIGMOID = Link("sigmoid", scratch.sigmoid, SIGMOID.inverse)


@dataclass(frozen=True)
class NoiseOptions:
    """Denoising: what is done to the encoder's input, the target staying clean.

    Attributes:
        noise: none, gaussian, masking or salt_and_pepper.
        noise_level: standard deviation of gaussian noise, else the share of entries that is hit.
    """

    noise: Literal["none", "gaussian", "masking", "salt_and_pepper"] = "none"
    noise_level: float = 0.3

    def wrap(self, objective: Objective) -> Objective:
        """The objective on corrupted inputs."""
        if self.noise == "none":
            return objective
        return Corrupted(objective, CORRUPTIONS[self.noise], self.noise_level)


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
    encoder, features = networks.encoder(spec)
    # The user's encoder gives the code itself, as does one that keeps its map.
    project = None
    if latent_dim is not None and not networks.own:
        project = networks.options.make_linear(features, latent_dim)
    link = IDENTITY if networks.own and output == "auto" else _link(spec, output, networks)
    model = AutoencoderModule(
        encoder,
        networks.decoder(latent_dim, spec, 1),
        Plain(project, _activation(code_activation, networks)),
        Gaussian(len(spec.shape), link),
    )
    term = {"mse": mean_squared_error, "sse": squared_error}[loss]
    return _single(spec, model, WeightedSum({loss: term}), networks, noise)


def _single(
    spec: DataSpec,
    model: AutoencoderModule,
    objective: Objective,
    networks: Networks,
    noise: NoiseOptions,
) -> Recipe:
    """One update that moves the whole model."""
    networks.options.initialize(model)
    update = Update(noise.wrap(objective), (model,))
    return Recipe(model, (update,), spec, custom=networks.own)


def _activation(name: str, networks: Networks) -> nn.Module | None:
    return None if name == "none" else make_activation(name, networks.options.layers)


def _link(spec: DataSpec, output: Output, networks: Networks) -> Link:
    if output == "auto":
        output = "sigmoid" if spec.kind == "unit" else "identity"
    if output == "identity":
        return IDENTITY
    return _SCRATCH_SIGMOID if networks.options.layers == "scratch" else SIGMOID
