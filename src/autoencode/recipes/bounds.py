"""Recipes trained on bounds on the log-likelihood from several samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import nn

from autoencode.bottlenecks import DiagonalGaussian, TwoLayers
from autoencode.errors import IncompatibleError
from autoencode.limits import Count, Share
from autoencode.nets import MLPEncoder, NetOptions
from autoencode.objectives import DoublyReparameterized, ImportanceWeighted, StickingTheLanding
from autoencode.priors import StackedPrior, StandardNormal
from autoencode.recipes.built import Recipe
from autoencode.recipes.registry import recipe
from autoencode.recipes.shared.facts import LATENT
from autoencode.recipes.shared.latent import TANH, LatentOptions, latent_model, recipe_of
from autoencode.recipes.shared.networks import Networks
from autoencode.recipes.shared.plain import NO_NOISE, NoiseOptions
from autoencode.recipes.shared.schedules import BOUND_BY_MUON, MANY_DRAWS_BY_MUON, adam, tuned
from autoencode.types import DataSpec, Objective

#: The networks of the paper on importance weighting.
TANH_200 = LatentOptions((200, 200))


@dataclass(frozen=True)
class BoundOptions:
    """Options of how a bound of several samples is trained.

    Attributes:
        gradient: standard; dreg (Tucker et al., 2018, https://arxiv.org/abs/1810.04152), less noisy for
            the encoder; stl (Roeder et al., 2017, https://arxiv.org/abs/1703.09194), for one sample.
        growth: share of training over which the number of draws K grows from 1, each doubling taking as
            long, 0 to 1.
    """

    gradient: Literal["standard", "dreg", "stl"] = "standard"
    growth: Share = 0.0

    def objective(self, n_samples: int, n_groups: int = 1, elbo_share: float = 0.0) -> Objective:
        """Makes the objective: the mean bound of groups of draws, mixed with the ELBO."""
        if self.gradient == "dreg":
            return DoublyReparameterized(n_samples, n_groups, elbo_share, self.growth)
        if self.gradient == "standard":
            return ImportanceWeighted(n_samples, n_groups, elbo_share, self.growth)
        if n_samples > 1:
            raise IncompatibleError(
                "gradient=stl is biased for several samples together; use gradient=dreg, or n_samples=1"
            )
        return StickingTheLanding(n_groups)


ALL_AT_ONCE = BoundOptions()


@recipe(
    paper=adam(3280, 1e-3, 20),
    fast=tuned(**BOUND_BY_MUON),
    widest=1,
    facts=LATENT,
)
def iwae(
    spec: DataSpec,
    n_samples: Count = 5,
    bound: BoundOptions = ALL_AT_ONCE,
    latent_dim: Count = 50,
    body: LatentOptions = TANH_200,
    net: NetOptions = TANH,
    noise: NoiseOptions = NO_NOISE,
    networks: Networks | None = None,
) -> Recipe:
    """A tighter bound than the ELBO: the mean weight of K draws of z, in its logarithm.

    Importance Weighted Autoencoders (Burda, Grosse & Salakhutdinov, 2015),
    https://arxiv.org/abs/1509.00519

    Args:
        n_samples: K; 1 gives a VAE.
        latent_dim: width of z.
    """
    spec, networks = body.ready(spec, noise, net, networks)
    model = latent_model(spec, networks, body, latent_dim)
    return recipe_of(spec, model, networks, (bound.objective(n_samples), ()), body=body, noise=noise)


@recipe(
    paper=adam(3280, 1e-3, 20),
    fast=tuned(**MANY_DRAWS_BY_MUON),
    widest=1,
    facts=LATENT,
)
def miwae(
    spec: DataSpec,
    n_samples: Count = 8,
    n_groups: Count = 8,
    bound: BoundOptions = ALL_AT_ONCE,
    latent_dim: Count = 50,
    body: LatentOptions = TANH_200,
    net: NetOptions = TANH,
    noise: NoiseOptions = NO_NOISE,
    networks: Networks | None = None,
) -> Recipe:
    """The mean of M importance-weighted bounds of K draws each: a less noisy gradient.

    Tighter Variational Bounds are Not Necessarily Better (Rainforth et al., 2018),
    https://arxiv.org/abs/1802.04537

    Args:
        n_samples: K, draws in a group.
        n_groups: M, groups.
        latent_dim: width of z.
    """
    spec, networks = body.ready(spec, noise, net, networks)
    model = latent_model(spec, networks, body, latent_dim)
    objective = bound.objective(n_samples, n_groups)
    return recipe_of(spec, model, networks, (objective, ()), body=body, noise=noise)


@recipe(
    paper=adam(3280, 1e-3, 20),
    fast=tuned(**MANY_DRAWS_BY_MUON),
    widest=1,
    facts=LATENT,
)
def piwae(
    spec: DataSpec,
    n_samples: Count = 8,
    n_groups: Count = 8,
    latent_dim: Count = 50,
    body: LatentOptions = TANH_200,
    net: NetOptions = TANH,
    noise: NoiseOptions = NO_NOISE,
    networks: Networks | None = None,
) -> Recipe:
    """The decoder on the bound of all M * K draws, the encoder on the mean of M bounds of K.

    Tighter Variational Bounds are Not Necessarily Better (Rainforth et al., 2018),
    https://arxiv.org/abs/1802.04537

    Args:
        n_samples: K, draws in a group.
        n_groups: M, groups.
        latent_dim: width of z.
    """
    spec, networks = body.ready(spec, noise, net, networks)
    model = latent_model(spec, networks, body, latent_dim)
    generative = ImportanceWeighted(n_samples * n_groups)
    inference = ImportanceWeighted(n_samples, n_groups, name="encoder_bound")
    return recipe_of(
        spec,
        model,
        networks,
        (generative, (model.decoder, model.likelihood)),
        (inference, (model.encoder, model.bottleneck)),
        body=body,
        noise=noise,
    )


@recipe(
    paper=adam(3280, 1e-3, 20),
    fast=tuned(**MANY_DRAWS_BY_MUON),
    widest=1,
    facts=LATENT,
)
def ciwae(
    spec: DataSpec,
    n_samples: Count = 64,
    elbo_share: Share = 0.05,
    bound: BoundOptions = ALL_AT_ONCE,
    latent_dim: Count = 50,
    body: LatentOptions = TANH_200,
    net: NetOptions = TANH,
    noise: NoiseOptions = NO_NOISE,
    networks: Networks | None = None,
) -> Recipe:
    """The importance-weighted bound of K draws, mixed with the ELBO of the same draws.

    Tighter Variational Bounds are Not Necessarily Better (Rainforth et al., 2018),
    https://arxiv.org/abs/1802.04537

    Args:
        n_samples: K, draws of z.
        elbo_share: share of the ELBO in the mixture, 0 to 1.
        latent_dim: width of z.
    """
    spec, networks = body.ready(spec, noise, net, networks)
    model = latent_model(spec, networks, body, latent_dim)
    objective = bound.objective(n_samples, elbo_share=elbo_share)
    return recipe_of(spec, model, networks, (objective, ()), body=body, noise=noise)


@recipe(
    paper=adam(3280, 1e-3, 20),
    fast=tuned(**BOUND_BY_MUON),
    facts=LATENT,
)
def iwae_two_layers(
    spec: DataSpec,
    n_samples: Count = 5,
    bound: BoundOptions = ALL_AT_ONCE,
    latent_dim: Count = 100,
    top_dim: Count = 50,
    top_hidden: tuple[Count, ...] = (100, 100),
    body: LatentOptions = TANH_200,
    net: NetOptions = TANH,
    noise: NoiseOptions = NO_NOISE,
    networks: Networks | None = None,
) -> Recipe:
    """Two stochastic layers, the upper one the prior of the lower, on the importance-weighted bound.

    Importance Weighted Autoencoders (Burda, Grosse & Salakhutdinov, 2015),
    https://arxiv.org/abs/1509.00519

    Args:
        n_samples: K; 1 gives the ELBO.
        latent_dim: width of the lower latent, which the decoder reads.
        top_dim: width of the upper one.
        top_hidden: widths of the hidden layers between them; mirrored on the way down.
    """
    spec, networks = body.ready(spec, noise, net, networks)
    up = MLPEncoder((latent_dim,), top_hidden, net)
    down = MLPEncoder((top_dim,), top_hidden[::-1], net)

    def bottleneck(features: int) -> nn.Module:
        lower = DiagonalGaussian(features, latent_dim)
        return TwoLayers(lower, up, DiagonalGaussian(up.features, top_dim))

    prior = StackedPrior(StandardNormal((top_dim,)), down, down.features, latent_dim)
    model = latent_model(spec, networks, body, latent_dim, bottleneck, prior)
    return recipe_of(spec, model, networks, (bound.objective(n_samples), ()), body=body, noise=noise)
