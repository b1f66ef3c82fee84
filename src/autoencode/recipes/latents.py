"""Recipes with other posteriors and other priors than the plain Gaussian."""

from __future__ import annotations

from typing import Annotated, Literal

from torch import nn

from autoencode.bottlenecks import (
    DiagonalGaussian,
    FlowPosterior,
    GumbelSoftmax,
    InPoincareBall,
    OnSphere,
)
from autoencode.distributions import (
    Autoregressive,
    Planar,
    PoincareBall,
    PowerSpherical,
    Radial,
    VonMisesFisher,
)
from autoencode.limits import AtLeast, Count, Depth, Positive
from autoencode.nets import DecoderAfter, Gyroplanes, LogMap, NetOptions
from autoencode.priors import (
    HyperbolicNormal,
    MixtureOfGaussians,
    UniformCategories,
    UniformOnSphere,
    Vamp,
)
from autoencode.recipes.built import Recipe
from autoencode.recipes.disentangled import DEFAULT_BODY
from autoencode.recipes.registry import Facts, recipe
from autoencode.recipes.shared.facts import LATENT
from autoencode.recipes.shared.latent import (
    ELBO,
    WARM_UP,
    KLOptions,
    LatentOptions,
    complete_numbers,
    latent_model,
    recipe_of,
)
from autoencode.recipes.shared.networks import Networks
from autoencode.recipes.shared.plain import DEFAULT_NET, NO_NOISE, NoiseOptions
from autoencode.recipes.shared.schedules import BY_MUON, adam, tuned
from autoencode.types import DataSpec

_UNITS = (64,)  # hyperplanes before a decoder without hidden layers
_FLOWS = {"planar": Planar, "radial": Radial}


@recipe(
    paper=adam(50, 1e-3, 100),
    fast=tuned(lr=2e-3, batch_size=128, epochs=20),
    widest=1,
    facts=LATENT,
)
def flow_vae(
    spec: DataSpec,
    latent_dim: Count = 20,
    flow: Literal["planar", "radial"] = "planar",
    n_flows: Depth = 10,
    body: LatentOptions = DEFAULT_BODY,
    kl: KLOptions = ELBO,
    net: NetOptions = DEFAULT_NET,
    noise: NoiseOptions = NO_NOISE,
    networks: Networks | None = None,
) -> Recipe:
    """A posterior that a chain of planar or radial maps bends, each chosen for the example.

    Variational Inference with Normalizing Flows (Rezende & Mohamed, 2015),
    https://arxiv.org/abs/1505.05770

    Args:
        latent_dim: width of z.
        flow: planar or radial.
        n_flows: maps in the chain.
    """
    spec, networks = body.ready(spec, noise, net, networks)

    def bottleneck(features: int) -> nn.Module:
        maps = [_FLOWS[flow](latent_dim, features) for _ in range(n_flows)]
        return FlowPosterior(DiagonalGaussian(features, latent_dim), maps)

    model = latent_model(spec, networks, body, latent_dim, bottleneck)
    return recipe_of(spec, model, networks, (kl.negative_elbo(), ()), body=body, noise=noise)


@recipe(
    paper=adam(50, 1e-3, 100),
    fast=tuned(lr=2e-3, batch_size=128, epochs=20),
    widest=1,
    facts=LATENT,
)
def iaf_vae(
    spec: DataSpec,
    latent_dim: Count = 20,
    n_flows: Depth = 2,
    flow_hidden: Count = 128,
    body: LatentOptions = DEFAULT_BODY,
    kl: KLOptions = ELBO,
    net: NetOptions = DEFAULT_NET,
    noise: NoiseOptions = NO_NOISE,
    networks: Networks | None = None,
) -> Recipe:
    """A posterior that inverse autoregressive maps bend, conditioned on the example.

    Improving Variational Inference with Inverse Autoregressive Flow (Kingma et al., 2016),
    https://arxiv.org/abs/1606.04934

    Args:
        latent_dim: width of z.
        n_flows: maps in the chain; every other one goes through z in the opposite order.
        flow_hidden: width of their hidden layers.
    """
    spec, networks = body.ready(spec, noise, net, networks)

    def bottleneck(features: int) -> nn.Module:
        maps = [
            Autoregressive(latent_dim, flow_hidden, features, reverse=bool(i % 2))
            for i in range(n_flows)
        ]
        return FlowPosterior(DiagonalGaussian(features, latent_dim), maps)

    model = latent_model(spec, networks, body, latent_dim, bottleneck)
    return recipe_of(spec, model, networks, (kl.negative_elbo(), ()), body=body, noise=noise)


@recipe(
    paper=adam(50, 1e-3),
    fast=tuned(lr=3e-3, batch_size=128, epochs=20),
    widest=1,
    facts=LATENT,
)
def vmf_vae(
    spec: DataSpec,
    latent_dim: Annotated[int, AtLeast(2)] = 10,
    body: LatentOptions = DEFAULT_BODY,
    kl: KLOptions = ELBO,
    net: NetOptions = DEFAULT_NET,
    noise: NoiseOptions = NO_NOISE,
    networks: Networks | None = None,
) -> Recipe:
    """Codes on the unit sphere, von Mises-Fisher around a direction; the prior is uniform.

    Hyperspherical Variational Auto-Encoders (Davidson et al., 2018), https://arxiv.org/abs/1804.00891

    Args:
        latent_dim: dimensions of the space around the sphere, at least 2.
    """
    spec, networks = body.ready(spec, noise, net, networks)

    def bottleneck(features: int) -> nn.Module:
        return OnSphere(features, latent_dim, VonMisesFisher)

    prior = UniformOnSphere(latent_dim)
    model = latent_model(spec, networks, body, latent_dim, bottleneck, prior)
    return recipe_of(spec, model, networks, (kl.negative_elbo(), ()), body=body, noise=noise)


@recipe(
    paper=adam(50, 1e-3),
    fast=tuned(lr=3e-3, batch_size=128, epochs=20),
    widest=1,
    facts=LATENT,
)
def power_spherical_vae(
    spec: DataSpec,
    latent_dim: Annotated[int, AtLeast(2)] = 10,
    body: LatentOptions = DEFAULT_BODY,
    kl: KLOptions = ELBO,
    net: NetOptions = DEFAULT_NET,
    noise: NoiseOptions = NO_NOISE,
    networks: Networks | None = None,
) -> Recipe:
    """Codes on the unit sphere, power spherical around a direction; the prior is uniform.

    The Power Spherical distribution (De Cao & Aziz, 2020), https://arxiv.org/abs/2006.04437

    Args:
        latent_dim: dimensions of the space around the sphere, at least 2.
    """
    spec, networks = body.ready(spec, noise, net, networks)

    def bottleneck(features: int) -> nn.Module:
        return OnSphere(features, latent_dim, PowerSpherical)

    prior = UniformOnSphere(latent_dim)
    model = latent_model(spec, networks, body, latent_dim, bottleneck, prior)
    return recipe_of(spec, model, networks, (kl.negative_elbo(), ()), body=body, noise=noise)


@recipe(
    paper=adam(80, 5e-4, 128),
    fast=tuned(lr=3e-3, batch_size=128, epochs=20),
    widest=1,
    facts=Facts(variational=True, curved=True),
)
def poincare_vae(
    spec: DataSpec,
    latent_dim: Count = 5,
    curvature: Positive = 1.0,
    first_layer: Literal["gyroplanes", "log_map"] = "gyroplanes",
    body: LatentOptions = DEFAULT_BODY,
    kl: KLOptions = ELBO,
    net: NetOptions = DEFAULT_NET,
    noise: NoiseOptions = NO_NOISE,
    networks: Networks | None = None,
) -> Recipe:
    """Codes in hyperbolic space, which has room for trees; wrapped Gaussians, near and far.

    Continuous Hierarchical Representations with Poincaré Variational Auto-Encoders (Mathieu et al.,
    2019), https://arxiv.org/abs/1901.06033

    Posterior and prior are wrapped normal. A code is a point of the ball of radius 1 / sqrt(curvature).
    Decoders of your own are given its tangent vector (log_map).

    Args:
        latent_dim: width of z.
        curvature: c of the space's curvature -c, above 0; near 0 it is flat and this the VAE.
        first_layer: what the decoder sees of z: its distances to as many hyperplanes as the encoder has
            units in its last hidden layer (gyroplanes), or its tangent vector at the centre (log_map).
    """
    spec, networks = body.ready(spec, noise, net, networks)
    ball = PoincareBall(curvature)

    def bottleneck(features: int) -> nn.Module:
        return InPoincareBall(features, latent_dim, ball)

    flat = first_layer == "log_map" or networks.own
    units = latent_dim if flat else (body.hidden or _UNITS)[-1]
    prior = HyperbolicNormal(latent_dim, ball)
    model = latent_model(spec, networks, body, units, bottleneck, prior)
    first: nn.Module = LogMap(ball)
    if not flat:
        first = nn.Sequential(*net.hidden(Gyroplanes(ball, latent_dim, units), units))
    model.decoder = DecoderAfter(first, model.decoder)
    return recipe_of(spec, model, networks, (kl.negative_elbo(), ()), body=body, noise=noise)


@recipe(
    paper=adam(50, 1e-3, 100),
    fast=tuned(lr=3e-3, batch_size=128, epochs=20),
    width="n_variables and n_categories",
    facts=Facts(variational=True, integers=True),
)
def gumbel_vae(
    spec: DataSpec,
    n_variables: Count = 20,
    n_categories: Annotated[int, AtLeast(2)] = 10,
    temperature: Positive = 0.67,
    body: LatentOptions = DEFAULT_BODY,
    kl: KLOptions = ELBO,
    net: NetOptions = DEFAULT_NET,
    noise: NoiseOptions = NO_NOISE,
    networks: Networks | None = None,
) -> Recipe:
    """A code of categories, which a relaxation makes differentiable.

    Categorical Reparameterization with Gumbel-Softmax (Jang, Gu & Poole, 2016),
    https://arxiv.org/abs/1611.01144

    Args:
        n_variables: categorical variables in a code.
        n_categories: of each.
        temperature: of the relaxation, above 0; constant.
    """
    spec, networks = body.ready(spec, noise, net, networks)

    def bottleneck(features: int) -> nn.Module:
        return GumbelSoftmax(features, n_variables, n_categories, temperature)

    prior = UniformCategories(n_variables, n_categories, temperature)
    model = latent_model(spec, networks, body, n_variables * n_categories, bottleneck, prior)
    return recipe_of(spec, model, networks, (kl.negative_elbo(), ()), body=body, noise=noise)


@recipe(
    paper=adam(2000, 5e-4, 100),
    fast=tuned(epochs=20, weight_decay=0.1, **BY_MUON),
    widest=1,
    facts=Facts(variational=True, context=False, gaps=False),
)
def vamp_vae(
    spec: DataSpec,
    latent_dim: Count = 40,
    n_components: Count = 500,
    body: LatentOptions = LatentOptions((300, 300)),  # noqa: B008
    kl: KLOptions = WARM_UP,
    net: NetOptions = DEFAULT_NET,
    noise: NoiseOptions = NO_NOISE,
    networks: Networks | None = None,
) -> Recipe:
    """A prior that is the mean of the posteriors at learned pseudo-inputs.

    VAE with a VampPrior (Tomczak & Welling, 2017), https://arxiv.org/abs/1705.07120

    The weight of the KL term grows at first, as in the original: at full weight from the start all
    posteriors can become one, and the prior with them.

    Args:
        latent_dim: width of z.
        n_components: pseudo-inputs; they start at training examples.
    """
    complete_numbers(spec, "vamp_vae")
    spec, networks = body.ready(spec, noise, net, networks)
    prior = Vamp(spec.shape, n_components, spec.kind == "unit")
    model = latent_model(spec, networks, body, latent_dim, prior=prior)
    return recipe_of(spec, model, networks, (kl.negative_elbo(), ()), body=body, noise=noise)


@recipe(
    paper=adam(2000, 5e-4, 100),
    fast=tuned(epochs=20, weight_decay=0.1, **BY_MUON),
    widest=1,
    facts=LATENT,
)
def mog_vae(
    spec: DataSpec,
    latent_dim: Count = 40,
    n_components: Count = 500,
    body: LatentOptions = LatentOptions((300, 300)),  # noqa: B008
    kl: KLOptions = WARM_UP,
    net: NetOptions = DEFAULT_NET,
    noise: NoiseOptions = NO_NOISE,
    networks: Networks | None = None,
) -> Recipe:
    """A prior that is a mixture of Gaussians, learned with the rest.

    VAE with a VampPrior (Tomczak & Welling, 2017), https://arxiv.org/abs/1705.07120

    Args:
        latent_dim: width of z.
        n_components: Gaussians in the mixture.
    """
    spec, networks = body.ready(spec, noise, net, networks)
    prior = MixtureOfGaussians(latent_dim, n_components)
    model = latent_model(spec, networks, body, latent_dim, prior=prior)
    return recipe_of(spec, model, networks, (kl.negative_elbo(), ()), body=body, noise=noise)
