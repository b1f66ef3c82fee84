"""Recipes with several latents, one below the other, inferred from the top down."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import torch
from torch import nn

from autoencode.bottlenecks import LadderLayer, ResidualLayer, TopDown
from autoencode.errors import IncompatibleError
from autoencode.limits import AtLeast, Count, Positive
from autoencode.models import HierarchicalAutoencoder
from autoencode.nets import LadderEncoder, MLPEncoder, NetOptions
from autoencode.nets.pyramid import (
    Larger,
    MapDecoder,
    PyramidEncoder,
    Shortcut,
    residual_block,
    resolutions,
)
from autoencode.priors import PathPrior
from autoencode.recipes.built import Recipe
from autoencode.recipes.registry import Facts, recipe
from autoencode.recipes.shared.latent import WARM_UP, KLOptions, LatentOptions, recipe_of
from autoencode.recipes.shared.likelihood import LikelihoodName, SizeFactor
from autoencode.recipes.shared.networks import DenseNetworks, reading
from autoencode.recipes.shared.plain import DEFAULT_NET, NO_NOISE, NoiseOptions, decoder_for
from autoencode.recipes.shared.schedules import BY_MUON, adam, tuned
from autoencode.types import DataSpec

LADDER_NET = NetOptions(activation="leaky_relu", normalization="layer")
_LAYERS = 2  # of each mapping between two latents
_SLOWER_WARM_UP = KLOptions(beta_schedule="linear", beta_until=0.3)


def _readable(spec: DataSpec, noise: NoiseOptions, recipe: str) -> DataSpec:
    if spec.context_dim:
        raise IncompatibleError(f"{recipe} takes no context; use cvae for data with labels")
    return noise.readable(spec)


def _recipe(
    spec: DataSpec,
    encoder: nn.Module,
    path: TopDown,
    decoder: Callable[[nn.Module], nn.Module],
    net: NetOptions,
    kl: KLOptions,
    body: LatentOptions,
    noise: NoiseOptions,
) -> Recipe:
    """Makes the recipe of a top-down path between an encoder and a decoder, trained on the ELBO."""
    p_x = body.observed(spec)
    encoder = body.reads(encoder, spec)
    model = HierarchicalAutoencoder(encoder, decoder(p_x), path, p_x, PathPrior(path))
    net.initialize(model)
    networks = body.networks(net)
    return recipe_of(spec, model, networks, (kl.negative_elbo(), ()), body=body, noise=noise)


@recipe(
    paper=adam(2000, 1e-3, 256),
    fast=tuned(epochs=50, **{**BY_MUON, "lr": 0.01, "min_steps": 500}),
    width="latent_dims, which it holds all",
    facts=Facts(variational=True, networks="ladder", context=False),
)
def ladder_vae(
    spec: DataSpec,
    latent_dims: tuple[Count, ...] = (64, 32, 16, 8, 4),
    hidden: tuple[Count, ...] = (512, 256, 128, 64, 32),
    likelihood: LikelihoodName = "auto",
    scale: Positive = 1.0,
    binarize: bool = False,
    size_factor: SizeFactor = "auto",
    kl: KLOptions = WARM_UP,
    net: NetOptions = LADDER_NET,
    noise: NoiseOptions = NO_NOISE,
) -> Recipe:
    """Latents one below the other; what is seen corrects each prior, weighted by precision.

    Ladder Variational Autoencoders (Sønderby et al., 2016), https://arxiv.org/abs/1602.02282

    Layer normalisation stands in the place of the paper's batch normalisation. The code is the means of
    all latents, the top one first.

    Args:
        latent_dims: width of each latent, the lowest first.
        hidden: width of the two layers between each latent and what is below it, both ways.
        likelihood: p(x|z), as of the recipe vae.
        scale: of gaussian (its standard deviation), laplace and log_cosh, in the model's units.
        binarize: draw each entry of [0, 1] data as 0 or 1 anew at every step of training.
        size_factor: of counts, as of the recipe vae.
    """
    if not hidden or len(hidden) != len(latent_dims):
        raise IncompatibleError(
            "latent_dims and hidden need at least one layer and the same length, got "
            f"{latent_dims} and {hidden}"
        )
    spec = _readable(spec, noise, "ladder_vae")
    encoder, _ = reading(spec, lambda shape: LadderEncoder(shape, hidden, _LAYERS, net))
    layers = [LadderLayer(hidden[-1], latent_dims[-1])]
    order = range(len(hidden))[::-1]
    for i in order[1:]:
        above = MLPEncoder((latent_dims[i + 1],), (hidden[i + 1],) * _LAYERS, net)
        layers.append(LadderLayer(hidden[i], latent_dims[i], above, above.features))
    path = TopDown(layers, [(width,) for width in hidden], order)

    def decoder(p_x: nn.Module) -> nn.Module:
        return decoder_for(DenseNetworks((hidden[0],) * _LAYERS, net), latent_dims[0], spec, p_x)

    body = LatentOptions(
        hidden, likelihood=likelihood, scale=scale, binarize=binarize, size_factor=size_factor
    )
    return _recipe(spec, encoder, path, decoder, net, kl, body, noise)


@recipe(
    paper=adam(400, 2e-4, 32, weight_decay=0.01, ema=0.999),
    fast=tuned(
        lr=5e-3,
        batch_size=64,
        epochs=5,
        optimizer="muon",
        min_steps=1000,
        ema=0.0,  # the rate falls to zero, and few steps are averaged with the first ones
    ),
    width="latent_channels and blocks",
    facts=Facts(variational=True, networks="pyramid", images_only=True, context=False),
)
def vdvae(
    spec: DataSpec,
    width: Count = 32,
    inner: Count = 16,
    latent_channels: Count = 4,
    blocks: tuple[Annotated[int, AtLeast(1, 100)], ...] = (1, 1, 2, 2, 1),
    patch: Count = 1,
    likelihood: LikelihoodName = "auto",
    scale: Positive = 1.0,
    binarize: bool = False,
    size_factor: SizeFactor = "auto",
    kl: KLOptions = _SLOWER_WARM_UP,
    noise: NoiseOptions = NO_NOISE,
) -> Recipe:
    """Latent maps from one position to the size of the image, added to a residual stream.

    Very Deep VAEs Generalize Autoregressive Models and Can Outperform Them on Images (Child, 2021),
    https://arxiv.org/abs/2011.10650

    Small by default: 384 channels, 96 inner ones, latent maps of 16 channels and 45 latents in the
    original. What a block reads is scaled to a mean square of one, and means and log-scales are
    bounded, in the place of the original's clipped gradients and skipped steps. The weight of the KL
    grows at first, without which small grey images are learned without any latent; the original has
    the ELBO from the start (``beta_schedule=constant``) and averages weights (``ema``). The code is the
    means of all latents, flat, the top one first.

    Args:
        width: channels of every map.
        inner: channels inside the residual blocks.
        latent_channels: channels of each latent map.
        blocks: blocks at each resolution, the finest first, each way; the last number is that of all
            coarser ones. Resolutions are the image's, its halves down to 4, and 1.
        patch: side of the squares of pixels that the finest resolution has a position for. With 2 the
            resolutions start at half of the image's, at a third of the time.
        likelihood: p(x|z), as of the recipe vae.
        scale: of gaussian (its standard deviation), laplace and log_cosh, in the model's units.
        binarize: draw each entry of [0, 1] data as 0 or 1 anew at every step of training.
        size_factor: of counts, as of the recipe vae.
    """
    if not blocks:
        raise IncompatibleError("blocks needs at least one number, got none")
    spec = _readable(spec, noise, "vdvae")
    sizes = resolutions(spec.shape, patch)
    counts = [blocks[min(i, len(blocks) - 1)] for i in range(len(sizes))]
    encoder, _ = reading(spec, lambda shape: PyramidEncoder(shape, width, inner, counts, patch))
    reads = [i for i in range(len(sizes))[::-1] for _ in range(counts[i])]
    layers = []
    for i, below in zip(reads, [*reads[1:], 0], strict=True):
        leave = Larger(width, sizes[below]) if below != i else None
        layers.append(_block(width, inner, latent_channels, sizes[i], len(reads), leave))
    start = nn.Parameter(torch.zeros(width, 1, 1))
    path = TopDown(layers, [(*size, width) for size in sizes], reads, start)

    def decoder(p_x: nn.Module) -> nn.Module:
        n_params: int = p_x.n_params  # type: ignore[assignment]
        channels, height, wide = spec.shape
        return MapDecoder(width, (n_params * channels, height, wide), patch)

    body = LatentOptions(
        (), likelihood=likelihood, scale=scale, binarize=binarize, size_factor=size_factor
    )
    return _recipe(spec, encoder, path, decoder, DEFAULT_NET, kl, body, noise)


def _block(
    width: int, inner: int, channels: int, size: tuple[int, int], count: int, leave: nn.Module | None
) -> ResidualLayer:
    """Makes one of ``count`` top-down blocks; its prior and what it adds are zero at the start."""
    scale = count**-0.5
    project = nn.Conv2d(channels, width, 1)
    with torch.no_grad():
        project.weight.mul_(scale)
    return ResidualLayer(
        (channels, *size),
        residual_block(width, inner, 2 * channels + width, size, scale=0.0),
        residual_block(2 * width, inner, 2 * channels, size),
        project,
        Shortcut(residual_block(width, inner, width, size, scale)),
        leave,
    )
