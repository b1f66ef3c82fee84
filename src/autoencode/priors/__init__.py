"""Priors p(z): modules that return a distribution over latents.

A prior is called with the model's own posterior, so that one which needs the encoder (a VampPrior)
does not have to own it, and with the context.
"""

from autoencode.priors.fitted import FittedFlow, FittedMixture, FittedSphere
from autoencode.priors.gaussian import MAX_FULL, FittedGaussian, StandardNormal
from autoencode.priors.learned import MixtureOfGaussians, Vamp
from autoencode.priors.manifold import Manifold
from autoencode.priors.simple import (
    HyperbolicNormal,
    JoinedPrior,
    PathPrior,
    StackedPrior,
    UniformCategories,
    UniformOnSphere,
)

__all__ = [
    "MAX_FULL",
    "FittedFlow",
    "FittedGaussian",
    "FittedMixture",
    "FittedSphere",
    "HyperbolicNormal",
    "JoinedPrior",
    "Manifold",
    "MixtureOfGaussians",
    "PathPrior",
    "StackedPrior",
    "StandardNormal",
    "UniformCategories",
    "UniformOnSphere",
    "Vamp",
]
