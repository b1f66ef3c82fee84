"""Variational autoencoders with other weights of the KL term, other likelihoods, and contexts."""

from __future__ import annotations

from typing import Annotated

from autoencode.errors import IncompatibleError
from autoencode.limits import AtLeast, Count, NotNegative
from autoencode.nets import NetOptions
from autoencode.objectives import WeightedSum, dissimilarity
from autoencode.recipes.built import Recipe
from autoencode.recipes.gaussian import vae
from autoencode.recipes.registry import Facts, recipe
from autoencode.recipes.shared.facts import LATENT
from autoencode.recipes.shared.latent import (
    ELBO,
    KLOptions,
    LatentOptions,
    complete_numbers,
    latent_model,
    recipe_of,
)
from autoencode.recipes.shared.networks import Networks
from autoencode.recipes.shared.plain import DEFAULT_NET, NO_NOISE, NoiseOptions
from autoencode.recipes.shared.schedules import TABLES, adam, tuned
from autoencode.types import DataSpec


@recipe(
    paper=adam(50, 1e-3),
    fast=tuned(lr=5e-3, batch_size=128, epochs=10),
    tables=TABLES,
    widest=1,
    facts=LATENT,
)
def beta_vae(
    spec: DataSpec,
    latent_dim: Count = 10,
    body: LatentOptions = LatentOptions(),  # noqa: B008
    kl: KLOptions = KLOptions(beta=4.0),  # noqa: B008
    net: NetOptions = DEFAULT_NET,
    noise: NoiseOptions = NO_NOISE,
    networks: Networks | None = None,
) -> Recipe:
    """A KL term that weighs more than the ELBO's, for a code whose dimensions are independent.

    beta-VAE: Learning Basic Visual Concepts with a Constrained Variational Framework (Higgins et al.,
    2017), https://openreview.net/forum?id=Sy2fzU9gl

    Args:
        latent_dim: width of z.
    """
    return vae(spec, latent_dim, "none", body, kl, net, noise, networks)


@recipe(
    paper=adam(50, 1e-3, 128),
    fast=tuned(lr=5e-3, batch_size=128, epochs=10),
    tables=TABLES,
    widest=1,
    facts=LATENT,
)
def sigma_vae(
    spec: DataSpec,
    latent_dim: Count = 20,
    body: LatentOptions = LatentOptions(likelihood="gaussian_shared"),  # noqa: B008
    kl: KLOptions = ELBO,
    net: NetOptions = DEFAULT_NET,
    noise: NoiseOptions = NO_NOISE,
    networks: Networks | None = None,
) -> Recipe:
    """A Gaussian likelihood whose one scale is learned, which balances the ELBO by itself.

    Simple and Effective VAE Training with Calibrated Decoders (Rybkin, Daniilidis & Levine, 2021),
    https://arxiv.org/abs/2006.13202

    Args:
        latent_dim: width of z.
    """
    return vae(spec, latent_dim, "none", body, kl, net, noise, networks)


@recipe(
    paper=adam(50, 1e-3),
    fast=tuned(lr=3e-3, batch_size=128, epochs=10),
    tables=TABLES,
    widest=1,
    facts=LATENT,
)
def log_cosh_vae(
    spec: DataSpec,
    latent_dim: Count = 20,
    body: LatentOptions = LatentOptions(likelihood="log_cosh", scale=0.1),  # noqa: B008
    kl: KLOptions = ELBO,
    net: NetOptions = DEFAULT_NET,
    noise: NoiseOptions = NO_NOISE,
    networks: Networks | None = None,
) -> Recipe:
    """Errors that count squared near zero and as they are far from it, so that outliers weigh less.

    Log Hyperbolic Cosine Loss Improves Variational Auto-Encoder (Chen et al., 2018),
    https://openreview.net/forum?id=rkglvsC9Ym

    The paper's loss sum log(cosh(a (x - mean))) / a is the negative logarithm of a density, but for its
    constant, which is added here so that the loss is in nats; ``scale`` is 1 / a.

    Args:
        latent_dim: width of z.
    """
    return vae(spec, latent_dim, "none", body, kl, net, noise, networks)


@recipe(
    paper=adam(50, 1e-3),
    fast=tuned(lr=3e-3, batch_size=128, epochs=10),
    facts=Facts(variational=True, images_only=True, unit_only=True, gaps=False),
)
def ms_ssim_vae(
    spec: DataSpec,
    latent_dim: Count = 20,
    ssim_weight: NotNegative = 300.0,
    window: Count = 11,
    n_scales: Annotated[int, AtLeast(1, 5)] = 5,
    body: LatentOptions = LatentOptions(likelihood="gaussian"),  # noqa: B008
    kl: KLOptions = ELBO,
    net: NetOptions = DEFAULT_NET,
    noise: NoiseOptions = NO_NOISE,
    networks: Networks | None = None,
) -> Recipe:
    """Reconstructions that look like their images, by structural similarity over several scales.

    Learning to Generate Images with Perceptual Similarity Metrics (Snell et al., 2017),
    https://arxiv.org/abs/1511.06409

    C E[1 - MS-SSIM] + KL, the expected-loss VAE of the paper: no likelihood is fitted, and an ELBO of
    such a model is that of the likelihood around its mean. A smaller image has fewer scales: 28 x 28
    pixels two of a window of 11, or three of a window of 7.

    Args:
        latent_dim: width of z.
        ssim_weight: C, in nats.
        window: side of the Gaussian window, odd; smaller where the image is.
        n_scales: at most, 1 to 5.
    """
    complete_numbers(spec, "ms_ssim_vae")
    if spec.layout != "image" or spec.kind != "unit":
        raise IncompatibleError("ms_ssim_vae needs images with values in [0, 1]; use vae")
    spec, networks = body.ready(spec, noise, net, networks)
    model = latent_model(spec, networks, body, latent_dim)
    terms = {"dissimilarity": dissimilarity(window, n_scales), "kl": kl.term()}
    objective = WeightedSum(terms, dissimilarity=ssim_weight, kl=kl.weight())
    return recipe_of(spec, model, networks, (objective, ()), body=body, noise=noise)


@recipe(
    paper=adam(50, 1e-3),
    fast=tuned(lr=5e-3, batch_size=128, epochs=10),
    conditional=True,
    tables=TABLES,
    widest=1,
    facts=LATENT,
)
def cvae(
    spec: DataSpec,
    latent_dim: Count = 20,
    body: LatentOptions = LatentOptions(),  # noqa: B008
    kl: KLOptions = ELBO,
    net: NetOptions = DEFAULT_NET,
    noise: NoiseOptions = NO_NOISE,
    networks: Networks | None = None,
) -> Recipe:
    """A VAE whose encoder and decoder are told the label, so that the code holds the rest.

    Learning Structured Output Representation using Deep Conditional Generative Models (Sohn, Lee & Yan,
    2015), https://proceedings.neurips.cc/paper/2015/hash/8d55a249e6baa5c06772297520da2051-Abstract.html

    Its prior does not depend on the label.

    Args:
        latent_dim: width of z.
    """
    if not spec.context_dim:
        raise IncompatibleError(
            "labels missing for a conditional recipe; train it on data with labels, or use vae"
        )
    return vae(spec, latent_dim, "none", body, kl, net, noise, networks)
