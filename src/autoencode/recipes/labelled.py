"""Recipes that learn from labels where there are some."""

from __future__ import annotations

from dataclasses import replace

from autoencode.bottlenecks import Guess
from autoencode.errors import IncompatibleError
from autoencode.limits import Count, NotNegative
from autoencode.models import SemiSupervisedAutoencoder
from autoencode.nets import NetOptions
from autoencode.objectives import SemiSupervised
from autoencode.recipes.built import Recipe
from autoencode.recipes.registry import recipe
from autoencode.recipes.shared.facts import LATENT
from autoencode.recipes.shared.latent import LatentOptions, latent_model, recipe_of
from autoencode.recipes.shared.plain import NO_NOISE, NoiseOptions
from autoencode.recipes.shared.schedules import adam, tuned
from autoencode.types import DataSpec

# A code that starts at PCA holds the class already, so that nothing is left for a label to say.
SOFTPLUS = NetOptions(activation="softplus", shortcut="none")


@recipe(
    paper=adam(3000, 3e-4, 250),
    fast=tuned(lr=1e-3, batch_size=128, epochs=20),
    conditional=True,
    guesses=True,
    widest=1,
    facts=LATENT,
)
def m2_vae(
    spec: DataSpec,
    latent_dim: Count = 50,
    alpha: NotNegative = 0.1,
    body: LatentOptions = LatentOptions((500,)),  # noqa: B008  frozen
    net: NetOptions = SOFTPLUS,
    noise: NoiseOptions = NO_NOISE,
) -> Recipe:
    """A VAE of x and its class that learns from labels where there are some and guesses the others.

    Semi-supervised Learning with Deep Generative Models (Kingma et al., 2014), model M2,
    https://arxiv.org/abs/1406.5298

    Where the label y is known, the bound on log p(x, y) is maximised; where not, the one on log p(x),
    summed over all classes; and log q(y|x) of the known labels, with weight alpha N for N examples. The
    classes are equally probable, and the scale of q(z|x,y) depends on y as its mean does.

    Args:
        latent_dim: width of z.
        alpha: how much the classification weighs; the paper's alpha, which is 0.1 N, divided by N.
    """
    if not spec.context_dim:
        raise IncompatibleError(
            "labels missing for a conditional recipe; train it on data with labels, or use vae"
        )
    share = 1.0 if spec.labelled is None else spec.labelled
    spec = replace(spec, labelled=share)
    spec, networks = body.ready(spec, noise, net, None)
    made = latent_model(spec, networks, body, latent_dim)
    assert made.prior is not None  # standard normal
    classifier, features = networks.encoder(replace(spec, context_dim=0))
    model = SemiSupervisedAutoencoder(
        made.encoder,
        made.decoder,
        made.bottleneck,
        made.likelihood,
        made.prior,
        body.reads(classifier, spec),
        Guess(features, spec.context_dim),
    )
    networks.options.initialize(model)
    objective = SemiSupervised(alpha, share)
    return recipe_of(spec, model, networks, (objective, ()), body=body, noise=noise)
