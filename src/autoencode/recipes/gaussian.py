"""The variational autoencoder: a Gaussian code, trained on the ELBO."""

from __future__ import annotations

from torch import nn

from autoencode.bottlenecks import DiagonalGaussian
from autoencode.limits import Count, Positive, Stride
from autoencode.nets import NetOptions, make_activation
from autoencode.recipes.built import Recipe
from autoencode.recipes.registry import Facts, recipe
from autoencode.recipes.shared.facts import LATENT
from autoencode.recipes.shared.latent import ELBO, KLOptions, LatentOptions, latent_model, recipe_of
from autoencode.recipes.shared.likelihood import LikelihoodName, SizeFactor
from autoencode.recipes.shared.networks import ConvNetworks, Networks
from autoencode.recipes.shared.plain import DEFAULT_NET, NO_NOISE, CodeActivation, NoiseOptions
from autoencode.recipes.shared.schedules import TABLES, adam, tuned
from autoencode.types import DataSpec


@recipe(
    paper=adam(10, 1e-3),
    fast=tuned(lr=7e-3, batch_size=128),
    tables=TABLES,
    widest=1,
    facts=LATENT,
)
def vae(
    spec: DataSpec,
    latent_dim: Count = 20,
    code_activation: CodeActivation = "none",
    body: LatentOptions = LatentOptions(),  # noqa: B008  frozen
    kl: KLOptions = ELBO,
    net: NetOptions = DEFAULT_NET,
    noise: NoiseOptions = NO_NOISE,
    networks: Networks | None = None,
) -> Recipe:
    """A Gaussian code with a standard normal prior, trained on the ELBO in nats.

    Auto-Encoding Variational Bayes (Kingma & Welling, 2013), https://arxiv.org/abs/1312.6114

    Args:
        latent_dim: width of z.
        code_activation: bounds the posterior's mean: none, tanh, sigmoid, relu.
    """
    spec, networks = body.ready(spec, noise, net, networks)
    activation: nn.Module | None = None
    if code_activation != "none":
        activation = make_activation(code_activation, net.layers)

    def bottleneck(features: int) -> nn.Module:
        return DiagonalGaussian(features, latent_dim, activation)

    model = latent_model(spec, networks, body, latent_dim, bottleneck)
    return recipe_of(spec, model, networks, (kl.negative_elbo(), ()), body=body, noise=noise)


@recipe(
    paper=adam(10, 1e-3),
    fast=tuned(lr=0.01, batch_size=64, optimizer="muon"),
    facts=Facts(variational=True, networks="conv", images_only=True, context=False),
)
def conv_vae(
    spec: DataSpec,
    channels: tuple[Count, ...] = (32, 64),
    strides: tuple[Stride, ...] = (2, 2),
    latent_dim: Count = 20,
    likelihood: LikelihoodName = "auto",
    scale: Positive = 1.0,
    binarize: bool = False,
    size_factor: SizeFactor = "auto",
    code_activation: CodeActivation = "none",
    kl: KLOptions = ELBO,
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
        likelihood: p(x|z), as of the recipe vae.
        scale: of gaussian (its standard deviation), laplace and log_cosh, in the model's units.
        binarize: draw each entry of [0, 1] data as 0 or 1 anew at every step of training.
        size_factor: of counts, as of the recipe vae.
        code_activation: bounds the posterior's mean: none, tanh, sigmoid, relu.
    """
    body = LatentOptions((), channels, strides, likelihood, scale, binarize, size_factor)
    networks = networks or ConvNetworks(channels, strides, net)
    return vae(spec, latent_dim, code_activation, body, kl, net, noise, networks)
