"""p(x|z): modules that turn the decoder's output into a distribution over data.

A likelihood says how many numbers it needs for each entry of x (``n_params``); the decoder emits that
many, side by side along the first data axis (channels of an image, columns of a table).
"""

from autoencode.likelihoods.continuous import (
    CLIP,
    IDENTITY,
    LINKS,
    SIGMOID,
    Gaussian,
    GaussianObservation,
    Laplace,
    Link,
    LogCosh,
)
from autoencode.likelihoods.counts import NegativeBinomial, Poisson
from autoencode.likelihoods.discrete import Categorical, DiscretizedLogistic
from autoencode.likelihoods.entries import Entries
from autoencode.likelihoods.sizes import EvenLogarithm, Sized, Sizes
from autoencode.likelihoods.unit import Bernoulli, ContinuousBernoulli

__all__ = [
    "CLIP",
    "IDENTITY",
    "LINKS",
    "SIGMOID",
    "Bernoulli",
    "Categorical",
    "ContinuousBernoulli",
    "DiscretizedLogistic",
    "Entries",
    "EvenLogarithm",
    "Gaussian",
    "GaussianObservation",
    "Laplace",
    "Link",
    "LogCosh",
    "NegativeBinomial",
    "Poisson",
    "Sized",
    "Sizes",
]
