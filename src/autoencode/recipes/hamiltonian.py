"""Recipes whose posteriors follow the joint density p(x, z) by Hamiltonian dynamics."""

from __future__ import annotations

from typing import Annotated

from torch import nn

from autoencode.bottlenecks import (
    DiagonalGaussian,
    Hamiltonian,
    LearnedMetric,
    RiemannianHamiltonian,
)
from autoencode.bottlenecks.hamiltonian import Tempering
from autoencode.errors import IncompatibleError
from autoencode.limits import Above, Count, Depth, Positive, Within
from autoencode.nets import NetOptions
from autoencode.recipes.built import Recipe
from autoencode.recipes.disentangled import DEFAULT_BODY
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
from autoencode.recipes.shared.schedules import adam, tuned
from autoencode.types import DataSpec


@recipe(
    paper=adam(2000, 5e-4, 100),
    fast=tuned(lr=2e-3, batch_size=128, epochs=20),
    widest=1,
    facts=LATENT,
)
def hvae(
    spec: DataSpec,
    latent_dim: Count = 20,
    n_leapfrog: Depth = 3,
    step_size: Annotated[float, Within(0, 0.5, "()")] = 0.05,
    tempering: Tempering = "quadratic",
    heat: Annotated[float, Above(1)] = 2.0,
    body: LatentOptions = DEFAULT_BODY,
    kl: KLOptions = ELBO,
    net: NetOptions = DEFAULT_NET,
    noise: NoiseOptions = NO_NOISE,
    networks: Networks | None = None,
) -> Recipe:
    """A posterior whose draws follow the slope of p(x, z) for some leapfrog steps.

    Hamiltonian Variational Auto-Encoder (Caterini, Doucet & Sejdinovic, 2018),
    https://arxiv.org/abs/1805.11328

    The bound is over z and a momentum together. A step for each dimension is learned, up to 0.5.

    Args:
        latent_dim: width of z.
        n_leapfrog: steps, each of which takes two slopes of the decoder.
        step_size: of the steps at the start, in (0, 0.5).
        tempering: momenta start hot and cool by a quadratic rule, or not (none).
        heat: temperature of the momenta at the start, above 1; learned.
    """
    spec, networks = body.ready(spec, noise, net, networks)

    def bottleneck(features: int) -> nn.Module:
        base = DiagonalGaussian(features, latent_dim)
        steps = {"n_steps": n_leapfrog, "step_size": step_size}
        return Hamiltonian(base, latent_dim, **steps, tempering=tempering, temperature=heat)  # type: ignore[arg-type]

    model = latent_model(spec, networks, body, latent_dim, bottleneck)
    return recipe_of(spec, model, networks, (kl.negative_elbo(), ()), body=body, noise=noise)


@recipe(
    paper=adam(1000, 1e-3, 200),
    fast=tuned(lr=2e-3, batch_size=128, epochs=20),
    widest=1,
    facts=Facts(variational=True, context=False, gaps=False),
)
def rhvae(
    spec: DataSpec,
    latent_dim: Count = 10,
    n_leapfrog: Depth = 3,
    step_size: Positive = 0.001,
    heat: Annotated[float, Above(1)] = 2.0,
    n_centroids: Count = 200,
    reach: Positive = 1.5,
    regularization: Positive = 0.01,
    body: LatentOptions = DEFAULT_BODY,
    kl: KLOptions = ELBO,
    net: NetOptions = DEFAULT_NET,
    noise: NoiseOptions = NO_NOISE,
    networks: Networks | None = None,
) -> Recipe:
    """A posterior whose draws follow p(x, z) along a metric that is learned with the model.

    Geometry-Aware Hamiltonian Variational Auto-Encoder (Chadebec, Mantoux & Allassonniere, 2020),
    https://arxiv.org/abs/2010.11518

    The metric is spanned by the codes of training examples. ``fit_prior(kind="manifold")`` draws from
    its volume, after Data Generation in Low Sample Size Setting Using Manifold Sampling and a
    Geometry-Aware VAE (Chadebec & Allassonniere, 2021), https://arxiv.org/abs/2105.00026

    Args:
        latent_dim: width of z.
        n_leapfrog: steps of the generalised leapfrog.
        step_size: of each.
        heat: temperature of the momenta at the start, above 1.
        n_centroids: training examples whose codes span the metric; all where there are fewer.
        reach: how far the metric of a centroid reaches, the paper's temperature T.
        regularization: of the inverse metric, all that is left of it far from the centroids.
    """
    complete_numbers(spec, "rhvae")
    if spec.context_dim:
        raise IncompatibleError("a metric of examples takes no context; use hvae")
    spec, networks = body.ready(spec, noise, net, networks)
    network, width = networks.encoder(spec)
    metric = LearnedMetric(network, width, latent_dim, spec.shape, n_centroids, reach, regularization)

    def bottleneck(features: int) -> nn.Module:
        base = DiagonalGaussian(features, latent_dim)
        return RiemannianHamiltonian(base, metric, n_leapfrog, step_size, heat)

    model = latent_model(spec, networks, body, latent_dim, bottleneck)
    return recipe_of(spec, model, networks, (kl.negative_elbo(), ()), body=body, noise=noise)
