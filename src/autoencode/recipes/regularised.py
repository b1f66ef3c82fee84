"""Recipes of plain autoencoders with a regularised code: noise, derivatives, distance to a prior."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from torch import nn

from autoencode.bottlenecks import Plain, UnitSphere
from autoencode.limits import Count, NotNegative
from autoencode.nets import NetOptions
from autoencode.objectives import (
    contraction,
    decoder_weights,
    half_square,
    prior_mmd,
    sliced_wasserstein,
    smoothness,
)
from autoencode.priors import StandardNormal
from autoencode.recipes.built import Recipe
from autoencode.recipes.registry import Facts, recipe
from autoencode.recipes.shared.facts import MEANS, SQUARES
from autoencode.recipes.shared.networks import Networks, Widths
from autoencode.recipes.shared.plain import (
    DEFAULT_NET,
    NO_NOISE,
    CodeActivation,
    Noise,
    NoiseOptions,
    PlainLoss,
    Terms,
    plain,
)
from autoencode.recipes.shared.schedules import TABLES, adam, tuned
from autoencode.types import DataSpec

Jacobian = Literal["exact", "estimate"]

_NONE, _TWO = Widths(()), Widths((256, 64))
_MASKING = NoiseOptions(noise_level=0.25)


@recipe(
    paper=adam(50, 1e-3),
    fast=tuned(lr=3e-3, batch_size=128, epochs=10),
    tables=TABLES,
    facts=Facts(hidden=False),
)
def denoising(
    spec: DataSpec,
    widths: Widths = _NONE,
    latent_dim: Count = 500,
    code_activation: CodeActivation = "sigmoid",
    loss: PlainLoss = "nll",
    net: NetOptions = DEFAULT_NET,
    noise: NoiseOptions = _MASKING,
    networks: Networks | None = None,
) -> Recipe:
    """The encoder sees a corrupted example, and what is reconstructed is the clean one.

    Extracting and Composing Robust Features with Denoising Autoencoders (Vincent et al., 2008),
    https://www.cs.toronto.edu/~larocheh/publications/icml-2008-denoising-autoencoders.pdf

    Weights are not tied. The paper's layers have 500 to 4000 units and its noise hits 10 to 25 %. With
    noise=auto entries are masked by zeros as there; in rows of measurements, where what is clean is to
    be reconstructed as well, the others are scaled up for it, and in data with gaps or categories
    entries are hidden.

    Args:
        latent_dim: width of the code, which may exceed that of the data.
        code_activation: sigmoid as in the original, or none, tanh, relu.
        loss: nll (cross-entropy on pixels, as in the original), mse or sse.
    """
    if noise.noise == "auto":
        complete: Noise = "dropout" if spec.measured else "masking"
        noise = replace(noise, noise="missing" if spec.gaps or spec.mixed else complete)
    return plain(
        spec,
        widths.networks(net, networks),
        latent_dim=latent_dim,
        code_activation=code_activation,
        loss=loss,
        noise=noise,
    )


@recipe(
    paper=adam(50, 1e-3),
    fast=tuned(lr=3e-3, batch_size=128, epochs=10),
    facts=Facts(hidden=False),
)
def contractive(
    spec: DataSpec,
    widths: Widths = _NONE,
    latent_dim: Count = 120,
    code_activation: CodeActivation = "sigmoid",
    loss: PlainLoss = "nll",
    contraction_weight: NotNegative = 0.1,
    jacobian: Jacobian = "estimate",
    net: NetOptions = DEFAULT_NET,
    noise: NoiseOptions = NO_NOISE,
    networks: Networks | None = None,
) -> Recipe:
    """The code moves as little as it can with x: the squared norm of the encoder's Jacobian is a loss.

    Contractive Auto-Encoders: Explicit Invariance During Feature Extraction (Rifai et al., 2011),
    https://icml.cc/2011/papers/455_icmlpaper.pdf

    Weights are not tied; the original's are, and its layers have up to 1000 units.

    Args:
        latent_dim: width of the code.
        code_activation: sigmoid as in the original, or none, tanh, relu.
        loss: nll (cross-entropy on pixels, as in the original), mse or sse.
        contraction_weight: of the squared Frobenius norm of dz/dx.
        jacobian: exact takes a backward pass for every entry of the code; estimate takes one in all and
            has the same mean.
    """
    return plain(
        spec,
        widths.networks(net, networks),
        latent_dim=latent_dim,
        code_activation=code_activation,
        loss=loss,
        noise=noise,
        terms={"contraction": (contraction(jacobian == "exact"), contraction_weight)},
    )


@recipe(
    paper=adam(50, 1e-3),
    fast=tuned(lr=4e-3, batch_size=128, epochs=12),
    widest=0.5,
    facts=MEANS,
)
def spherical(
    spec: DataSpec,
    widths: Widths = _TWO,
    latent_dim: Count = 32,
    loss: PlainLoss = "mse",
    net: NetOptions = DEFAULT_NET,
    noise: NoiseOptions = NO_NOISE,
    networks: Networks | None = None,
) -> Recipe:
    """The code is centred and lies on the unit sphere; nothing else is asked of it.

    Latent Variables on Spheres for Autoencoders in High Dimensions (Zhao et al., 2019),
    https://arxiv.org/abs/1912.10233

    Args:
        latent_dim: width of the code; the original has 512.
        loss: mse, sse or nll.
    """
    return plain(
        spec,
        widths.networks(net, networks),
        latent_dim=latent_dim,
        loss=loss,
        noise=noise,
        bottleneck=lambda project: Plain(project, UnitSphere()),
    )


@recipe(
    paper=adam(100, 1e-3, 100),
    fast=tuned(lr=3e-3, batch_size=128, epochs=20),
    widest=0.5,
    facts=SQUARES,
)
def wae_mmd(
    spec: DataSpec,
    widths: Widths = _TWO,
    latent_dim: Count = 8,
    loss: PlainLoss = "sse",
    mmd_weight: NotNegative = 10.0,
    net: NetOptions = DEFAULT_NET,
    noise: NoiseOptions = NO_NOISE,
    networks: Networks | None = None,
) -> Recipe:
    """Codes as a whole are to look like draws from a standard normal: MMD with a multi-scale kernel.

    Wasserstein Auto-Encoders (Tolstikhin et al., 2018), https://arxiv.org/abs/1711.01558

    WAE-MMD with a deterministic encoder. The original has convolutions (channels, strides).

    Args:
        latent_dim: width of the code; 8 on MNIST in the original.
        loss: sse as in the original, mse or nll.
        mmd_weight: of the squared discrepancy of the batch, 10 on MNIST in the original.
    """
    terms: Terms = {"mmd": (prior_mmd, mmd_weight)}
    prior = StandardNormal((latent_dim,))
    return _shaped(spec, widths.networks(net, networks), latent_dim, loss, noise, terms, prior)


@recipe(
    paper=adam(30, 1e-3, 500),
    fast=tuned(lr=3e-3, batch_size=256, epochs=20),
    widest=0.5,
    facts=SQUARES,
)
def swae(
    spec: DataSpec,
    widths: Widths = _TWO,
    latent_dim: Count = 8,
    loss: PlainLoss = "sse",
    sliced_weight: NotNegative = 10.0,
    n_directions: Count = 50,
    net: NetOptions = DEFAULT_NET,
    noise: NoiseOptions = NO_NOISE,
    networks: Networks | None = None,
) -> Recipe:
    """Codes as a whole are to look like draws from a standard normal: sliced Wasserstein distance.

    Sliced-Wasserstein Autoencoder: An Embarrassingly Simple Generative Model (Kolouri et al., 2018),
    https://arxiv.org/abs/1804.01947

    Args:
        latent_dim: width of the code.
        loss: sse as in the original, mse or nll.
        sliced_weight: of the squared distance.
        n_directions: random projections at each step, 50 in the original.
    """
    terms: Terms = {"sliced": (sliced_wasserstein(n_directions), sliced_weight)}
    prior = StandardNormal((latent_dim,))
    return _shaped(spec, widths.networks(net, networks), latent_dim, loss, noise, terms, prior)


@recipe(
    paper=adam(100, 1e-3, 100),
    fast=tuned(lr=4e-3, batch_size=128, epochs=12),
    widest=0.5,
    facts=MEANS,
)
def rae_l2(
    spec: DataSpec,
    widths: Widths = _TWO,
    latent_dim: Count = 16,
    loss: PlainLoss = "mse",
    code_weight: NotNegative = 1.25e-5,
    decoder_weight: NotNegative = 1e-7,
    net: NetOptions = DEFAULT_NET,
    noise: NoiseOptions = NO_NOISE,
    networks: Networks | None = None,
) -> Recipe:
    """A VAE's noise replaced by what it does: small codes, and a decoder with small weights.

    From Variational to Deterministic Autoencoders (Ghosh et al., 2020), https://arxiv.org/abs/1903.12436

    Samples come from the density that is fitted to the codes after training.

    Args:
        latent_dim: width of the code; 16 on MNIST in the original.
        loss: mse, sse or nll.
        code_weight: of half the squared norm of z, beta in the paper, whose
            program takes 1e-4 times the mean square of 16 entries.
        decoder_weight: of the squared norm of the decoder's parameters, lambda in the paper.
    """
    terms: Terms = {
        "code": (half_square, code_weight),
        "decoder": (decoder_weights, decoder_weight),
    }
    return _shaped(spec, widths.networks(net, networks), latent_dim, loss, noise, terms)


@recipe(
    paper=adam(100, 1e-3, 100),
    fast=tuned(lr=4e-3, batch_size=128, epochs=12),
    widest=0.5,
    facts=MEANS,
)
def rae_gp(
    spec: DataSpec,
    widths: Widths = _TWO,
    latent_dim: Count = 16,
    loss: PlainLoss = "mse",
    code_weight: NotNegative = 1.25e-5,
    smoothness_weight: NotNegative = 1e-5,
    jacobian: Jacobian = "estimate",
    net: NetOptions = DEFAULT_NET,
    noise: NoiseOptions = NO_NOISE,
    networks: Networks | None = None,
) -> Recipe:
    """A VAE's noise replaced by what it does: small codes, and a decoder with a small gradient.

    From Variational to Deterministic Autoencoders (Ghosh et al., 2020), https://arxiv.org/abs/1903.12436

    The gradient is that of the decoder by z. Samples come from the density that is fitted to the codes
    after training.

    Args:
        latent_dim: width of the code; 16 on MNIST in the original.
        loss: mse, sse or nll.
        code_weight: of half the squared norm of z, beta in the paper, whose
            program takes 1e-4 times the mean square of 16 entries.
        smoothness_weight: of half the squared Frobenius norm of dx/dz, lambda in the paper.
        jacobian: estimate takes one more backward pass, exact one for every entry of x.
    """
    terms: Terms = {
        "code": (half_square, code_weight),
        "smoothness": (smoothness(jacobian == "exact"), smoothness_weight),
    }
    return _shaped(spec, widths.networks(net, networks), latent_dim, loss, noise, terms)


def _shaped(
    spec: DataSpec,
    networks: Networks,
    latent_dim: int,
    loss: PlainLoss,
    noise: NoiseOptions,
    terms: Terms,
    prior: nn.Module | None = None,
) -> Recipe:
    """Makes a recipe with an unbounded vector code and regularisers."""
    return plain(
        spec, networks, latent_dim=latent_dim, loss=loss, noise=noise, terms=terms, prior=prior
    )
