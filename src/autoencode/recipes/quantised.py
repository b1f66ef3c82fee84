"""Recipes whose codes are integers: a map of them for images, a row for other data."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal

from torch import nn

from autoencode.bottlenecks import (
    FiniteScalar,
    LearnedCodebook,
    LinearCodebook,
    LookupFree,
    MovingCodebook,
    Product,
    Quantised,
    Residual,
    TwoLevels,
    VectorQuantiser,
)
from autoencode.errors import IncompatibleError, OptionError
from autoencode.limits import AtLeast, Count, Depth, NotNegative, Part, Positive, Stride
from autoencode.nets import NetOptions
from autoencode.nets.conv import feature_shape
from autoencode.objectives import penalty
from autoencode.recipes.built import Recipe
from autoencode.recipes.registry import SSE, Facts, recipe
from autoencode.recipes.shared.facts import GRIDS
from autoencode.recipes.shared.networks import ConvNetworks, DenseNetworks, Networks
from autoencode.recipes.shared.plain import DEFAULT_NET, NO_NOISE, NoiseOptions, PlainLoss, Terms, plain
from autoencode.recipes.shared.schedules import adam, tuned
from autoencode.types import DataSpec

CodebookName = Literal["moving", "learned"]


@dataclass(frozen=True)
class Grid:
    """The grid of positions at which a quantised recipe has codes.

    Attributes:
        channels: output channels of the encoder's 3x3 convolutions, for images; the decoder mirrors
            them, and each position of the last map is a code.
        strides: their strides.
        hidden: widths of the hidden layers for data that are no images.
        positions: codes of an example that is no image.
    """

    channels: tuple[Count, ...] = (32, 64)
    strides: tuple[Stride, ...] = (2, 2)
    hidden: tuple[Count, ...] = (256,)
    positions: Count = 8

    def build(
        self,
        spec: DataSpec,
        quantiser: nn.Module,
        net: NetOptions,
        own: Networks | None,
        loss: PlainLoss,
        noise: NoiseOptions,
        terms: Terms,
    ) -> Recipe:
        """Builds the recipe around a quantiser of vectors."""
        width = int(quantiser.dim)  # type: ignore[arg-type]
        images = own is None and spec.layout == "image"
        rows = nn.Identity() if images else nn.Unflatten(1, (width, self.positions))
        return plain(
            spec,
            own or self.networks(spec, net),
            latent_dim=width if images else width * self.positions,
            loss=loss,
            noise=noise,
            bottleneck=lambda project: Quantised(
                nn.Sequential(project or nn.Identity(), rows), quantiser
            ),
            terms=terms,
        )

    def networks(self, spec: DataSpec, net: NetOptions) -> Networks:
        """Makes convolutions for images, else dense layers."""
        if spec.layout == "image":
            return ConvNetworks(self.channels, self.strides, net, spatial=True)
        return DenseNetworks(self.hidden, net)


_GRID = Grid()


def commitment(weight: float, learned: bool = False) -> Terms:
    """Makes the terms that train codebooks: moving ones, or those ``learned`` by gradients."""
    codebook: Terms = {"codebook": (penalty("codebook"), 1.0)} if learned else {}
    return {"commitment": (penalty("commitment"), weight), **codebook}


def moving(n_codes: int, width: int, decay: float) -> VectorQuantiser:
    """Makes a quantiser whose codebook follows the vectors that choose its codes."""
    if n_codes < 2:
        raise OptionError(f"option n_codes: a codebook needs at least 2 vectors, got {n_codes}")
    return VectorQuantiser(MovingCodebook(n_codes, width, decay))


@recipe(
    paper=adam(530, 2e-4, 128),
    fast=tuned(lr=0.015, batch_size=128, epochs=10, optimizer="muon"),
    width="code_dim and positions (strides for images)",
    facts=GRIDS,
)
def vqvae(
    spec: DataSpec,
    grid: Grid = _GRID,
    n_codes: Count = 512,
    code_dim: Count = 64,
    codebook: CodebookName = "moving",
    codebook_decay: Part = 0.99,
    commitment_weight: NotNegative = 0.25,
    loss: PlainLoss = "sse",
    net: NetOptions = DEFAULT_NET,
    noise: NoiseOptions = NO_NOISE,
    networks: Networks | None = None,
) -> Recipe:
    """Each position of the code is the nearest vector of a codebook.

    Neural Discrete Representation Learning (van den Oord et al., 2017), https://arxiv.org/abs/1711.00937

    On data that are no images the code is a row of positions. The codebook starts at k-means centres
    and vectors that are hardly used start again, which the paper does not do.

    Args:
        n_codes: vectors in the codebook, K in the paper.
        code_dim: their width, D in the paper.
        codebook: moving (running means, the paper's appendix) or learned (by gradients).
        codebook_decay: of the running means.
        commitment_weight: beta in the paper.
        loss: sse, mse or nll.
    """
    learned = codebook == "learned"
    quantiser = (
        VectorQuantiser(LearnedCodebook(n_codes, code_dim))
        if learned
        else moving(n_codes, code_dim, codebook_decay)
    )
    terms = commitment(commitment_weight, learned)
    return grid.build(spec, quantiser, net, networks, loss, noise, terms)


@recipe(
    paper=adam(530, 3e-4, 128),
    fast=tuned(lr=0.015, batch_size=128, epochs=10, optimizer="muon"),
    width="code_dim and strides",
    facts=Facts(
        unit=SSE, networks="conv", images_only=True, context=False, integers=True, any_size=True
    ),
)
def vqvae2(
    spec: DataSpec,
    channels: tuple[Count, ...] = (32, 64),
    strides: tuple[Stride, ...] = (2, 2),
    n_codes: Count = 512,
    code_dim: Count = 64,
    codebook_decay: Part = 0.99,
    commitment_weight: NotNegative = 0.25,
    loss: PlainLoss = "sse",
    net: NetOptions = DEFAULT_NET,
    noise: NoiseOptions = NO_NOISE,
) -> Recipe:
    """Two maps of codes: a coarse one of the whole, and a fine one chosen in sight of it.

    Generating Diverse High-Fidelity Images with VQ-VAE-2 (Razavi et al., 2019),
    https://arxiv.org/abs/1906.00446

    The coarse map has half of the fine one's height and width.

    Args:
        channels: output channels of the encoder's 3x3 convolutions; the decoder mirrors them.
        strides: their strides, down to the fine map.
        n_codes: vectors in each codebook.
        code_dim: their width.
        codebook_decay: of the running means.
        commitment_weight: beta in the paper.
        loss: sse, mse or nll.
    """
    networks = ConvNetworks(channels, strides, net, spatial=True)
    width, *fine = feature_shape(spec.shape, channels, strides)
    coarse = [(size + 1) // 2 for size in fine]
    quantisers = [moving(n_codes, code_dim, codebook_decay) for _ in range(2)]
    down = nn.Sequential(*net.hidden(nn.Conv2d(width, width, 3, 2, 1), width, spatial=True))
    up = nn.Sequential(
        nn.Upsample((fine[0], fine[1])),
        *net.hidden(nn.Conv2d(code_dim, width, 3, 1, 1), width, spatial=True),
    )
    top = Quantised(nn.Conv2d(width, code_dim, 1), quantisers[0])
    bottom = Quantised(nn.Conv2d(2 * width, code_dim, 1), quantisers[1])
    return plain(
        spec,
        networks,
        latent_dim=2 * code_dim,
        loss=loss,
        noise=noise,
        bottleneck=lambda _: TwoLevels(down, top, up, bottom, coarse, fine),
        terms=commitment(commitment_weight),
    )


@recipe(
    paper=adam(100, 3e-4, 128),
    fast=tuned(lr=2e-3, batch_size=128, epochs=10),
    width="code_dim and positions (strides for images)",
    facts=GRIDS,
)
def rvq(
    spec: DataSpec,
    grid: Grid = _GRID,
    n_levels: Depth = 4,
    n_codes: Count = 256,
    code_dim: Count = 64,
    codebook_decay: Part = 0.99,
    commitment_weight: NotNegative = 0.25,
    loss: PlainLoss = "sse",
    net: NetOptions = DEFAULT_NET,
    noise: NoiseOptions = NO_NOISE,
    networks: Networks | None = None,
) -> Recipe:
    """Residual quantisation: each codebook takes what those before it left over.

    SoundStream: An End-to-End Neural Audio Codec (Zeghidour et al., 2021),
    https://arxiv.org/abs/2107.03312

    The quantiser of the paper, for any data; its adversarial losses for audio are left out.

    Args:
        n_levels: codebooks; 8 in the original.
        n_codes: vectors in each; 1024 in the original.
        code_dim: their width.
        codebook_decay: of their running means.
        commitment_weight: of the squared distance at each level.
        loss: sse, mse or nll.
    """
    quantiser = Residual([moving(n_codes, code_dim, codebook_decay) for _ in range(n_levels)])
    terms = commitment(commitment_weight)
    return grid.build(spec, quantiser, net, networks, loss, noise, terms)


@recipe(
    paper=adam(100, 1e-3, 128),
    fast=tuned(lr=2e-3, batch_size=128, epochs=10),
    width="code_dim and positions (strides for images)",
    facts=GRIDS,
)
def pvq(
    spec: DataSpec,
    grid: Grid = _GRID,
    n_parts: Depth = 4,
    n_codes: Count = 256,
    code_dim: Count = 64,
    codebook_decay: Part = 0.99,
    commitment_weight: NotNegative = 0.25,
    loss: PlainLoss = "sse",
    net: NetOptions = DEFAULT_NET,
    noise: NoiseOptions = NO_NOISE,
    networks: Networks | None = None,
) -> Recipe:
    """Product quantisation: each part of the vector has a codebook of its own.

    Learning Product Codebooks using Vector Quantized Autoencoders for Image Retrieval (Wu & Flierl,
    2018), https://arxiv.org/abs/1807.04629

    Args:
        n_parts: parts of the vector.
        n_codes: vectors in each codebook.
        code_dim: width of the whole vector, a multiple of n_parts.
        codebook_decay: of the running means.
        commitment_weight: of the squared distance.
        loss: sse, mse or nll.
    """
    if code_dim % n_parts:
        raise IncompatibleError(
            f"code_dim must be a multiple of n_parts, got {code_dim} and {n_parts}; "
            f"use code_dim={n_parts * math.ceil(code_dim / n_parts)}"
        )
    parts = [moving(n_codes, code_dim // n_parts, codebook_decay) for _ in range(n_parts)]
    terms = commitment(commitment_weight)
    return grid.build(spec, Product(parts), net, networks, loss, noise, terms)


@recipe(
    paper=adam(100, 1e-3, 128),
    fast=tuned(lr=3e-3, batch_size=128, epochs=10),
    width="levels and positions (strides for images)",
    facts=GRIDS,
)
def fsq(
    spec: DataSpec,
    grid: Grid = _GRID,
    levels: tuple[Annotated[int, AtLeast(2)], ...] = (8, 5, 5, 5),
    loss: PlainLoss = "sse",
    net: NetOptions = DEFAULT_NET,
    noise: NoiseOptions = NO_NOISE,
    networks: Networks | None = None,
) -> Recipe:
    """A few entries at each position, each rounded to a few levels; no codebook and no other loss.

    Finite Scalar Quantization: VQ-VAE Made Simple (Mentzer et al., 2023),
    https://arxiv.org/abs/2309.15505

    Args:
        levels: of each entry; the default makes 1000 codes.
        loss: sse, mse or nll.
    """
    return grid.build(spec, FiniteScalar(levels), net, networks, loss, noise, {})


@recipe(
    paper=adam(270, 1e-4, 256),
    fast=tuned(lr=3e-3, batch_size=128, epochs=10),
    width="n_bits and positions (strides for images)",
    facts=GRIDS,
)
def lfq(
    spec: DataSpec,
    grid: Grid = _GRID,
    n_bits: Annotated[int, AtLeast(1, 16)] = 10,
    entropy_weight: NotNegative = 30.0,
    commitment_weight: NotNegative = 1.0,
    temperature: Positive = 1.0,
    loss: PlainLoss = "sse",
    net: NetOptions = DEFAULT_NET,
    noise: NoiseOptions = NO_NOISE,
    networks: Networks | None = None,
) -> Recipe:
    """The code is the signs of a few entries, held sure and varied by an entropy penalty.

    Language Model Beats Diffusion: Tokenizer is Key to Visual Generation (Yu et al., 2023),
    https://arxiv.org/abs/2310.05737

    The quantiser of MAGVIT-v2, for any data; its losses for videos are left out.

    Args:
        n_bits: entries at each position; there are 2^n_bits codes.
        entropy_weight: of the entropy penalty; where the squared error is a mean over pixels, 0.1 is
            usual, which is 78 beside their sum on MNIST.
        commitment_weight: of the squared distance from the signs.
        temperature: of the soft choices that the entropy is of.
        loss: sse, mse or nll.
    """
    entropy: Terms = {"entropy": (penalty("entropy"), entropy_weight)}
    terms = {**commitment(commitment_weight), **entropy}
    quantiser = LookupFree(n_bits, temperature)
    return grid.build(spec, quantiser, net, networks, loss, noise, terms)


@recipe(
    paper=adam(50, 1e-4, 256),
    fast=tuned(lr=2e-3, batch_size=128, epochs=10),
    width="code_dim and positions (strides for images)",
    facts=GRIDS,
)
def simvq(
    spec: DataSpec,
    grid: Grid = _GRID,
    n_codes: Count = 1024,
    code_dim: Count = 64,
    commitment_weight: NotNegative = 0.25,
    loss: PlainLoss = "sse",
    net: NetOptions = DEFAULT_NET,
    noise: NoiseOptions = NO_NOISE,
    networks: Networks | None = None,
) -> Recipe:
    """``vqvae`` whose codebook is a learned linear map of fixed random vectors; none is left out.

    Addressing Representation Collapse in Vector Quantized Models with One Linear Layer (Zhu et al.,
    2024), https://arxiv.org/abs/2411.02038

    Args:
        n_codes: vectors in the codebook; 65 536 in the original.
        code_dim: their width.
        commitment_weight: beta in the paper.
        loss: sse, mse or nll.
    """
    quantiser = VectorQuantiser(LinearCodebook(n_codes, code_dim))
    terms = commitment(commitment_weight, learned=True)
    return grid.build(spec, quantiser, net, networks, loss, noise, terms)
