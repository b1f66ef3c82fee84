"""Recipes of plain convolutional autoencoders."""

from __future__ import annotations

from dataclasses import replace

from autoencode.limits import Count, Stride
from autoencode.nets import NetOptions
from autoencode.recipes.built import Recipe
from autoencode.recipes.registry import MSE, Facts, recipe
from autoencode.recipes.shared.facts import MAPS
from autoencode.recipes.shared.networks import ConvNetworks, Networks, SkipNetworks
from autoencode.recipes.shared.plain import (
    DEFAULT_NET,
    NO_NOISE,
    CodeActivation,
    NoiseOptions,
    OutputRange,
    SquaredLoss,
    plain,
)
from autoencode.recipes.shared.schedules import adam, tuned
from autoencode.types import DataSpec

LINEAR_NET = NetOptions(activation="none")
LEAKY_NET = NetOptions(activation="leaky_relu")
GROUP_NET = NetOptions(normalization="group")
GAUSSIAN_NOISE = NoiseOptions("gaussian")


@recipe(
    paper=adam(10, 1e-3),
    fast=tuned(lr=0.01, batch_size=64, optimizer="muon"),
    facts=Facts(unit=MSE, networks="conv", images_only=True, bounded=False, context=False),
)
def conv_linear(
    spec: DataSpec,
    channels: tuple[Count, ...] = (32, 64),
    strides: tuple[Stride, ...] = (2, 2),
    latent_dim: Count = 32,
    code_activation: CodeActivation = "none",
    output: OutputRange = "identity",
    loss: SquaredLoss = "mse",
    net: NetOptions = LINEAR_NET,
    noise: NoiseOptions = NO_NOISE,
    networks: Networks | None = None,
) -> Recipe:
    """``conv`` without activations: a linear map with shared, local weights.

    Neural Networks and Principal Component Analysis: Learning from Examples Without Local Minima
    (Baldi & Hornik, 1989), https://doi.org/10.1016/0893-6080(89)90014-2, says what it can reach: no
    linear map does better than PCA of the same width.

    Args:
        channels: output channels of the encoder's 3x3 convolutions; the decoder mirrors them.
        strides: their strides.
        latent_dim: width of the code.
        code_activation: none, or tanh, sigmoid (bounded code), relu (positive code).
        output: identity, to stay linear; sigmoid for data in [0, 1]; auto decides by the data.
        loss: mse (mean over entries) or sse (sum over entries).
    """
    return conv(
        spec, channels, strides, latent_dim, code_activation, output, loss, net, noise, networks
    )


@recipe(
    paper=adam(10, 1e-3),
    fast=tuned(lr=0.01, batch_size=64, optimizer="muon"),
    facts=MAPS,
)
def conv(
    spec: DataSpec,
    channels: tuple[Count, ...] = (32, 64),
    strides: tuple[Stride, ...] = (2, 2),
    latent_dim: Count = 32,
    code_activation: CodeActivation = "none",
    output: OutputRange = "auto",
    loss: SquaredLoss = "mse",
    net: NetOptions = DEFAULT_NET,
    noise: NoiseOptions = NO_NOISE,
    networks: Networks | None = None,
) -> Recipe:
    """Convolutions and a linear map to the code, mirrored by transposed convolutions.

    Stacked Convolutional Auto-Encoders for Hierarchical Feature Extraction (Masci et al., 2011),
    https://doi.org/10.1007/978-3-642-21735-7_7

    Args:
        channels: output channels of the encoder's 3x3 convolutions; the decoder mirrors them.
        strides: their strides.
        latent_dim: width of the code.
        code_activation: none, or tanh, sigmoid (bounded code), relu (positive code).
        output: sigmoid or clip for data in [0, 1], identity for any; auto decides by the data.
        loss: mse (mean over entries) or sse (sum over entries).
    """
    return plain(
        spec,
        networks or ConvNetworks(channels, strides, net),
        latent_dim=latent_dim,
        code_activation=code_activation,
        output=output,
        loss=loss,
        noise=noise,
    )


@recipe(
    paper=adam(10, 1e-3),
    fast=tuned(lr=0.02, batch_size=64, optimizer="muon", mean_start=False),
    width="channels and strides: it is the last map",
    facts=replace(MAPS, any_size=True),
)
def conv_small(
    spec: DataSpec,
    channels: tuple[Count, ...] = (16, 32),
    strides: tuple[Stride, ...] = (2, 2),
    code_activation: CodeActivation = "relu",
    output: OutputRange = "auto",
    loss: SquaredLoss = "mse",
    net: NetOptions = DEFAULT_NET,
    noise: NoiseOptions = NO_NOISE,
    networks: Networks | None = None,
) -> Recipe:
    """Two strided convolutions whose map is the code itself (32x7x7 on MNIST).

    Stacked Convolutional Auto-Encoders for Hierarchical Feature Extraction (Masci et al., 2011),
    https://doi.org/10.1007/978-3-642-21735-7_7

    Args:
        channels: output channels of the encoder's 3x3 convolutions; the decoder mirrors them.
        strides: their strides.
        code_activation: relu as in the original (the last layer has one anyway), none, tanh, sigmoid.
        output: sigmoid or clip for data in [0, 1], identity for any; auto decides by the data.
        loss: mse (mean over entries) or sse (sum over entries).
    """
    return plain(
        spec,
        networks or ConvNetworks(channels, strides, net, spatial=True),
        latent_dim=None,
        code_activation=code_activation,
        output=output,
        loss=loss,
        noise=noise,
    )


@recipe(
    paper=adam(200, 5e-4, validation=0.2),
    fast=tuned(lr=7e-3, batch_size=64, optimizer="muon", validation=1 / 60),
    facts=MAPS,
)
def conv_latent2(
    spec: DataSpec,
    channels: tuple[Count, ...] = (32, 64, 64, 64),
    strides: tuple[Stride, ...] = (1, 2, 2, 1),
    latent_dim: Count = 2,
    code_activation: CodeActivation = "none",
    output: OutputRange = "auto",
    loss: SquaredLoss = "mse",
    net: NetOptions = LEAKY_NET,
    noise: NoiseOptions = NO_NOISE,
    networks: Networks | None = None,
) -> Recipe:
    """Four convolutions each way around a code of two numbers.

    Stacked Convolutional Auto-Encoders for Hierarchical Feature Extraction (Masci et al., 2011),
    https://doi.org/10.1007/978-3-642-21735-7_7

    Args:
        channels: output channels of the encoder's 3x3 convolutions; the decoder mirrors them.
        strides: their strides.
        latent_dim: width of the code.
        code_activation: none, or tanh, sigmoid (bounded code), relu (positive code).
        output: sigmoid or clip for data in [0, 1], identity for any; auto decides by the data.
        loss: mse (mean over entries) or sse (sum over entries).
    """
    return conv(
        spec, channels, strides, latent_dim, code_activation, output, loss, net, noise, networks
    )


@recipe(
    paper=adam(10, 1e-3),
    fast=tuned(lr=0.01, batch_size=16, optimizer="muon", min_steps=4000, mean_start=False),
    width="channels and strides: it is all maps together",
    facts=replace(MAPS, networks="skip", any_size=True),
)
def conv_skip(
    spec: DataSpec,
    channels: tuple[Count, ...] = (16, 32, 64),
    strides: tuple[Stride, ...] = (1, 2, 2),
    output: OutputRange = "auto",
    loss: SquaredLoss = "mse",
    net: NetOptions = GROUP_NET,
    noise: NoiseOptions = GAUSSIAN_NOISE,
    networks: Networks | None = None,
) -> Recipe:
    """Convolutions whose every map the decoder sees, x among them: for denoising, not for short codes.

    Image Restoration Using Very Deep Convolutional Encoder-Decoder Networks with Symmetric Skip
    Connections (Mao, Shen & Yang, 2016), https://arxiv.org/abs/1603.09056, whose skip connections and
    squared error these are; it is far deeper and keeps the size of the image throughout. The code is
    all maps together, wider than x, so that without noise nothing is learned but a copy. The layers
    learn what is to be added to x, at first hardly anything: an untrained model gives x nearly back.

    Args:
        channels: output channels of the encoder's 3x3 convolutions; the decoder mirrors them.
        strides: their strides.
        output: clip (cut off at 0 and 1) for data in [0, 1], identity for any, or sigmoid; auto decides
            by the data.
        loss: mse (mean over entries) or sse (sum over entries).
    """
    if output == "auto" and networks is None:
        output = "clip" if spec.kind == "unit" else "identity"
    return plain(
        spec,
        networks or SkipNetworks(channels, strides, net),
        latent_dim=None,
        code_activation="none",
        output=output,
        loss=loss,
        noise=noise,
    )
