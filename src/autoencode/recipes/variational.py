"""Variational autoencoders."""

from __future__ import annotations

from autoencode.nets import NetOptions
from autoencode.recipes.compose import CodeActivation, LikelihoodName, NoiseOptions, variational
from autoencode.recipes.deterministic import DEFAULT_NET, NO_NOISE
from autoencode.recipes.networks import Convolutional, Dense, Networks
from autoencode.recipes.recipe import Recipe
from autoencode.types import DataSpec


def vae(
    spec: DataSpec,
    hidden: tuple[int, ...] = (256,),
    latent_dim: int = 20,
    likelihood: LikelihoodName = "auto",
    beta: float = 1.0,
    code_activation: CodeActivation = "none",
    net: NetOptions = DEFAULT_NET,
    noise: NoiseOptions = NO_NOISE,
    networks: Networks | None = None,
) -> Recipe:
    """A Gaussian code with a standard normal prior, trained on the ELBO in nats.

    Auto-Encoding Variational Bayes (Kingma & Welling, 2013), https://arxiv.org/abs/1312.6114

    Args:
        hidden: widths of the encoder's hidden layers; the decoder mirrors them.
        latent_dim: width of z.
        likelihood: bernoulli (data in [0, 1]), gaussian (unit variance), gaussian_learned (the
            decoder gives each entry's scale); auto is bernoulli on [0, 1] data, else gaussian.
        beta: weight of the KL term; 1 is the ELBO.
        code_activation: bounds the posterior's mean: none, tanh, sigmoid, relu.
    """
    return variational(
        spec,
        networks or Dense(hidden, net),
        latent_dim=latent_dim,
        likelihood=likelihood,
        beta=beta,
        code_activation=code_activation,
        noise=noise,
    )


def conv_vae(
    spec: DataSpec,
    channels: tuple[int, ...] = (32, 64),
    strides: tuple[int, ...] = (2, 2),
    latent_dim: int = 20,
    likelihood: LikelihoodName = "auto",
    beta: float = 1.0,
    code_activation: CodeActivation = "none",
    net: NetOptions = DEFAULT_NET,
    noise: NoiseOptions = NO_NOISE,
    networks: Networks | None = None,
) -> Recipe:
    """The networks of ``conv`` around a Gaussian code, trained on the ELBO in nats.

    Auto-Encoding Variational Bayes (Kingma & Welling, 2013), https://arxiv.org/abs/1312.6114

    Args:
        channels: output channels of the encoder's 3x3 convolutions; the decoder mirrors them.
        strides: their strides.
        latent_dim: width of z.
        likelihood: bernoulli (data in [0, 1]), gaussian (unit variance), gaussian_learned (the
            decoder gives each entry's scale); auto is bernoulli on [0, 1] data, else gaussian.
        beta: weight of the KL term; 1 is the ELBO.
        code_activation: bounds the posterior's mean: none, tanh, sigmoid, relu.
    """
    networks = networks or Convolutional(channels, strides, net)
    return variational(
        spec,
        networks,
        latent_dim=latent_dim,
        likelihood=likelihood,
        beta=beta,
        code_activation=code_activation,
        noise=noise,
    )
