"""Recipes of deep autoencoders that are trained a layer at a time, then as a whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from torch import Tensor, nn

from autoencode.errors import IncompatibleError
from autoencode.limits import Count, InnerPart
from autoencode.models import AutoencoderModule
from autoencode.nets import MLPDecoder, MLPEncoder, NetOptions
from autoencode.objectives import (
    CORRUPTIONS,
    LayerError,
    Staged,
    WeightedSum,
    mean_squared_error,
)
from autoencode.recipes.built import Recipe
from autoencode.recipes.registry import MSE, Facts, recipe
from autoencode.recipes.shared.networks import DenseNetworks
from autoencode.recipes.shared.plain import NO_NOISE, CodeActivation, NoiseOptions, plain
from autoencode.recipes.shared.schedules import adam, tuned
from autoencode.training import Update
from autoencode.types import DataSpec

SIGMOID_NET = NetOptions(activation="sigmoid")


@recipe(
    paper=adam(60, 1e-3, 128),
    fast=tuned(lr=5e-3, batch_size=128, epochs=20, warmup=0.0),
    widest=0.5,
    facts=Facts(unit=MSE, context=False, gaps=False, layerwise=True),
)
def stacked(
    spec: DataSpec,
    hidden: tuple[Count, ...] = (256, 64),
    latent_dim: Count = 32,
    code_activation: CodeActivation = "none",
    pretraining: InnerPart = 0.5,
    net: NetOptions = SIGMOID_NET,
    noise: NoiseOptions = NO_NOISE,
) -> Recipe:
    """Each layer learns to reconstruct what the layers below give it, then all are trained together.

    Greedy Layer-Wise Training of Deep Networks (Bengio et al., 2007),
    https://proceedings.neurips.cc/paper/2006/hash/5da713a690c067105aeb2fae32403405-Abstract.html

    With noise, which acts while layers are trained by themselves, these are the stacked denoising
    autoencoders of Vincent et al. (2010), https://jmlr.org/papers/v11/vincent10a.html. Squared errors;
    weights are not tied.

    Args:
        hidden: widths of the encoder's hidden layers; the decoder mirrors them.
        latent_dim: width of the code.
        code_activation: none, or tanh, sigmoid (bounded code), relu (positive code).
        pretraining: share of training that the layers take by themselves, in equal parts.
    """
    if noise.readable(spec).gaps or spec.mixed or spec.context_dim:
        raise IncompatibleError(
            "layers are trained on complete numbers without a context; use mlp for gaps, categories "
            "and contexts"
        )
    whole = plain(
        spec,
        DenseNetworks(hidden, replace(net, shortcut="none")),  # each layer has its mirror
        latent_dim=latent_dim,
        code_activation=code_activation,
        noise=NO_NOISE,
    )
    layers = [LayerError(*parts, _corruption(noise)) for parts in _pairs(whole.model)]
    together = WeightedSum({"mse": mean_squared_error})
    ends = [pretraining * (i + 1) / len(layers) for i in range(len(layers))]
    objective = Staged([*layers, together], [*ends, 1.0])
    return Recipe(whole.model, (Update(objective, (whole.model,)),), spec)


def _corruption(noise: NoiseOptions) -> Callable[[Tensor], Tensor]:
    if noise.noise in ("auto", "none"):
        return lambda given: given
    return lambda given: CORRUPTIONS[noise.noise](given, noise.noise_level)


Map = Callable[[Tensor], Tensor]


def _pairs(model: AutoencoderModule) -> list[tuple[Map, Map, Map]]:
    """Pairs each layer with what lies below it and its mirror, from the outermost."""
    assert isinstance(model.encoder, MLPEncoder)
    assert isinstance(model.decoder, MLPDecoder)
    up: list[Map] = [*_blocks(model.encoder.layers), model.bottleneck.embed]  # type: ignore[list-item]
    down: list[Map] = [*_blocks(model.decoder.layers), model.decoder.output]
    outermost = down.pop()
    mirrored: list[Map] = [lambda h: model.likelihood(outermost(h)).mean, *reversed(down)]
    found: list[tuple[Map, Map, Map]] = []
    for i, (encode, decode) in enumerate(zip(up, mirrored, strict=True)):
        found.append((_chain(up[:i]), encode, decode))
    return found


def _chain(maps: list[Map]) -> Map:
    def below(x: Tensor) -> Tensor:
        h = x.flatten(1)
        for one in maps:
            h = one(h)
        return h

    return below


def _blocks(layers: nn.Sequential) -> list[nn.Sequential]:
    """Groups each linear layer with its normalisation, activation and dropout."""
    found: list[list[nn.Module]] = []
    for module in layers:
        if not found or (next(module.parameters(), None) is not None and _is_linear(module)):
            found.append([])
        found[-1].append(module)
    return [nn.Sequential(*block) for block in found]


def _is_linear(module: nn.Module) -> bool:
    weight = getattr(module, "weight", None)
    return isinstance(weight, Tensor) and weight.dim() == 2
