"""Recipes that regularise the code as a whole: its capacity, independence, distance to the prior."""

from __future__ import annotations

import math
from typing import Annotated

from torch import nn

from autoencode.bottlenecks import DiagonalGaussian, GumbelSoftmax, SideBySide
from autoencode.limits import AtLeast, AtMost, Count, NotNegative, Positive
from autoencode.nets import MLPDecoder, NetOptions
from autoencode.objectives import (
    Discriminator,
    Linear,
    WeightedSum,
    capacity,
    codes_and_permuted,
    density_ratio,
    dip,
    mmd,
    reconstruction,
    total_correlation,
)
from autoencode.objectives import kl as kl_term
from autoencode.objectives.terms import NATS
from autoencode.priors import JoinedPrior, StandardNormal, UniformCategories
from autoencode.recipes.built import Recipe
from autoencode.recipes.registry import Facts, recipe
from autoencode.recipes.shared.facts import LATENT
from autoencode.recipes.shared.latent import ELBO, KLOptions, LatentOptions, latent_model, recipe_of
from autoencode.recipes.shared.networks import Networks
from autoencode.recipes.shared.plain import DEFAULT_NET, NO_NOISE, NoiseOptions
from autoencode.recipes.shared.schedules import adam, tuned
from autoencode.types import DataSpec

DEFAULT_BODY = LatentOptions()
#: A critic's layers; their slope is that of the paper on factorising.
CRITIC_NET = NetOptions(activation="leaky_relu")


@recipe(
    paper=adam(100, 5e-4),
    fast=tuned(lr=2e-3, batch_size=128, epochs=20),
    widest=1,
    facts=LATENT,
)
def beta_vae_capacity(
    spec: DataSpec,
    latent_dim: Count = 10,
    gamma: NotNegative = 1000.0,
    capacity_nats: NotNegative = 25.0,
    capacity_until: NotNegative = 1.0,
    body: LatentOptions = DEFAULT_BODY,
    net: NetOptions = DEFAULT_NET,
    noise: NoiseOptions = NO_NOISE,
    networks: Networks | None = None,
) -> Recipe:
    """A code whose information is held at a capacity that grows during training.

    Understanding disentangling in beta-VAE (Burgess et al., 2018), https://arxiv.org/abs/1804.03599

    Args:
        latent_dim: width of z.
        gamma: weight of |KL - C|.
        capacity_nats: C at the end, in nats.
        capacity_until: share of training over which C grows from 0.
    """
    spec, networks = body.ready(spec, noise, net, networks)
    model = latent_model(spec, networks, body, latent_dim)
    held = capacity(Linear(0.0, capacity_nats, capacity_until))
    objective = WeightedSum({"reconstruction": reconstruction, "capacity": held}, capacity=gamma)
    return recipe_of(spec, model, networks, (objective, ()), body=body, noise=noise)


@recipe(
    paper=adam(50, 1e-3, 2048),
    fast=tuned(lr=3e-3, batch_size=256, epochs=20),
    widest=1,
    facts=LATENT,
)
def beta_tcvae(
    spec: DataSpec,
    latent_dim: Count = 10,
    tc_weight: NotNegative = 6.0,
    stratified: bool = False,
    body: LatentOptions = DEFAULT_BODY,
    net: NetOptions = DEFAULT_NET,
    noise: NoiseOptions = NO_NOISE,
    networks: Networks | None = None,
) -> Recipe:
    """The ELBO with more weight on the total correlation of the code alone.

    Isolating Sources of Disentanglement in Variational Autoencoders (Chen et al., 2018),
    https://arxiv.org/abs/1802.04942

    Args:
        latent_dim: width of z.
        tc_weight: weight of the total correlation, the paper's beta; 1 is the ELBO.
        stratified: estimate q(z) by minibatch stratified in place of weighted sampling.
    """
    spec, networks = body.ready(spec, noise, net, networks)
    model = latent_model(spec, networks, body, latent_dim)
    # The ELBO's KL has the total correlation in it once.
    more = (total_correlation(stratified), tc_weight - 1)
    objective = ELBO.negative_elbo(total_correlation=more)
    return recipe_of(spec, model, networks, (objective, ()), body=body, noise=noise)


@recipe(
    paper=adam(100, 1e-4),
    fast=tuned(lr=1e-3, batch_size=128, epochs=20),
    widest=1,
    facts=Facts(variational=True, critic=True),
)
def factor_vae(
    spec: DataSpec,
    latent_dim: Count = 10,
    tc_weight: NotNegative = 6.4,
    critic_hidden: tuple[Count, ...] = (256, 256, 256),
    body: LatentOptions = DEFAULT_BODY,
    net: NetOptions = DEFAULT_NET,
    noise: NoiseOptions = NO_NOISE,
    networks: Networks | None = None,
) -> Recipe:
    """The ELBO and the total correlation of the code, which a critic tells from shuffled codes.

    Disentangling by Factorising (Kim & Mnih, 2018), https://arxiv.org/abs/1802.05983

    Args:
        latent_dim: width of z.
        tc_weight: weight of the total correlation, the paper's gamma.
        critic_hidden: widths of the critic's hidden layers; six of 1000 in the paper.
    """
    spec, networks = body.ready(spec, noise, net, networks)
    model = latent_model(spec, networks, body, latent_dim)
    critic = code_critic(latent_dim, critic_hidden)
    objective = ELBO.negative_elbo(total_correlation=(density_ratio(critic), tc_weight))
    return recipe_of(
        spec,
        model,
        networks,
        (objective, ()),
        (Discriminator(critic, codes_and_permuted), (critic,)),
        body=body,
        noise=noise,
        helpers={"critic": critic},
    )


def code_critic(latent_dim: int, hidden: tuple[int, ...]) -> nn.Module:
    """Makes a critic that gives a logit for each code."""
    return MLPDecoder(latent_dim, hidden, (1,), options=CRITIC_NET)


@recipe(
    paper=adam(50, 1e-4, 400),
    fast=tuned(lr=3e-3, batch_size=256, epochs=20),
    widest=1,
    facts=LATENT,
)
def dip_vae_i(
    spec: DataSpec,
    latent_dim: Count = 10,
    off_diagonal: NotNegative = 10.0,
    diagonal: NotNegative = 100.0,
    body: LatentOptions = DEFAULT_BODY,
    kl: KLOptions = ELBO,
    net: NetOptions = DEFAULT_NET,
    noise: NoiseOptions = NO_NOISE,
    networks: Networks | None = None,
) -> Recipe:
    """The ELBO, and a covariance of the posterior's means near the identity.

    Variational Inference of Disentangled Latent Concepts from Unlabeled Observations (Kumar,
    Sattigeri & Balakrishnan, 2017), https://arxiv.org/abs/1711.00848

    Args:
        latent_dim: width of z.
        off_diagonal: weight of the squared covariances.
        diagonal: weight of the squares of the variances minus 1.
    """
    return _dip(spec, latent_dim, (off_diagonal, diagonal, False), body, kl, net, noise, networks)


@recipe(
    paper=adam(50, 1e-4, 400),
    fast=tuned(lr=3e-3, batch_size=256, epochs=20),
    widest=1,
    facts=LATENT,
)
def dip_vae_ii(
    spec: DataSpec,
    latent_dim: Count = 10,
    off_diagonal: NotNegative = 10.0,
    diagonal: NotNegative = 10.0,
    body: LatentOptions = DEFAULT_BODY,
    kl: KLOptions = ELBO,
    net: NetOptions = DEFAULT_NET,
    noise: NoiseOptions = NO_NOISE,
    networks: Networks | None = None,
) -> Recipe:
    """The ELBO, and a covariance of the codes themselves near the identity.

    Variational Inference of Disentangled Latent Concepts from Unlabeled Observations (Kumar,
    Sattigeri & Balakrishnan, 2017), https://arxiv.org/abs/1711.00848

    Args:
        latent_dim: width of z.
        off_diagonal: weight of the squared covariances.
        diagonal: weight of the squares of the variances minus 1.
    """
    return _dip(spec, latent_dim, (off_diagonal, diagonal, True), body, kl, net, noise, networks)


def _dip(
    spec: DataSpec,
    latent_dim: int,
    covariance: tuple[float, float, bool],
    body: LatentOptions,
    kl: KLOptions,
    net: NetOptions,
    noise: NoiseOptions,
    networks: Networks | None,
) -> Recipe:
    spec, networks = body.ready(spec, noise, net, networks)
    model = latent_model(spec, networks, body, latent_dim)
    objective = kl.negative_elbo(covariance=(dip(*covariance), 1.0))
    return recipe_of(spec, model, networks, (objective, ()), body=body, noise=noise)


@recipe(
    paper=adam(50, 1e-3, 200),
    fast=tuned(lr=3e-3, batch_size=128, epochs=20),
    widest=1,
    facts=LATENT,
)
def info_vae(
    spec: DataSpec,
    latent_dim: Count = 10,
    alpha: Annotated[float, AtMost(1)] = 0.0,
    mmd_weight: NotNegative = 1000.0,
    body: LatentOptions = DEFAULT_BODY,
    net: NetOptions = DEFAULT_NET,
    noise: NoiseOptions = NO_NOISE,
    networks: Networks | None = None,
) -> Recipe:
    """A KL term of weight 1 - alpha, and the discrepancy between codes and prior.

    InfoVAE: Information Maximizing Variational Autoencoders (Zhao, Song & Ermon, 2017),
    https://arxiv.org/abs/1706.02262

    Args:
        latent_dim: width of z.
        alpha: weight of the information between x and z, at most 1; 1 leaves no KL term (MMD-VAE).
        mmd_weight: the paper's lambda; the discrepancy weighs alpha + lambda - 1.
    """
    spec, networks = body.ready(spec, noise, net, networks)
    model = latent_model(spec, networks, body, latent_dim)
    objective = WeightedSum(
        {"reconstruction": reconstruction, "kl": kl_term, "mmd": mmd(NATS, unbiased=False)},
        kl=1 - alpha,
        mmd=alpha + mmd_weight - 1,
    )
    return recipe_of(spec, model, networks, (objective, ()), body=body, noise=noise)


@recipe(
    paper=adam(100, 5e-4),
    fast=tuned(lr=2e-3, batch_size=128, epochs=20),
    width="continuous_dim and n_categories",
    facts=LATENT,
)
def joint_vae(
    spec: DataSpec,
    continuous_dim: Count = 10,
    n_categories: Annotated[int, AtLeast(2)] = 10,
    temperature: Positive = 0.67,
    gamma: NotNegative = 30.0,
    capacity_z: NotNegative = 5.0,
    capacity_c: NotNegative = 5.0,
    capacity_until: NotNegative = 0.5,
    body: LatentOptions = DEFAULT_BODY,
    net: NetOptions = DEFAULT_NET,
    noise: NoiseOptions = NO_NOISE,
    networks: Networks | None = None,
) -> Recipe:
    """A continuous code and a category side by side, each held at a capacity that grows.

    Learning Disentangled Joint Continuous and Discrete Representations (Dupont, 2018),
    https://arxiv.org/abs/1804.00104

    Args:
        continuous_dim: width of the continuous part.
        n_categories: of the category.
        temperature: of its relaxation.
        gamma: weight of both |KL - C|.
        capacity_z: C of the continuous part at the end, in nats.
        capacity_c: C of the category at the end, in nats; at most log(n_categories) is used.
        capacity_until: share of training over which both grow from 0.
    """
    spec, networks = body.ready(spec, noise, net, networks)

    def bottleneck(features: int) -> nn.Module:
        category = GumbelSoftmax(features, 1, n_categories, temperature)
        return SideBySide({"z": DiagonalGaussian(features, continuous_dim), "c": category})

    category = UniformCategories(1, n_categories, temperature)
    prior = JoinedPrior({"z": StandardNormal((continuous_dim,)), "c": category})
    model = latent_model(spec, networks, body, continuous_dim + n_categories, bottleneck, prior)
    ends = {"z": capacity_z, "c": min(capacity_c, math.log(n_categories))}
    held = {
        f"capacity_{site}": capacity(Linear(0.0, end, capacity_until), site)
        for site, end in ends.items()
    }
    objective = WeightedSum(
        {"reconstruction": reconstruction, **held}, capacity_z=gamma, capacity_c=gamma
    )
    return recipe_of(spec, model, networks, (objective, ()), body=body, noise=noise)
