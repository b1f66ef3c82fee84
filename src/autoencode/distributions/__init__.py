"""Probability distributions over data and latents, and the spaces that they live in."""

from autoencode.distributions.ancestral import Ancestral
from autoencode.distributions.basic import Bernoulli, Normal, StandardNormal, full_precision, sum_event
from autoencode.distributions.classes import OneHotCategorical
from autoencode.distributions.flows import Autoregressive, FlowDensity, Inverse, Planar, Radial
from autoencode.distributions.hmc import hamiltonian_monte_carlo
from autoencode.distributions.hyperbolic import PoincareBall, WrappedNormal
from autoencode.distributions.mixture import NormalMixture
from autoencode.distributions.products import Joined, Stacked
from autoencode.distributions.relaxed import RelaxedCategorical, UniformCategorical
from autoencode.distributions.riemannian import InverseMetric, cholesky, log_diagonal
from autoencode.distributions.sequences import IntegerRows
from autoencode.distributions.spherical import PowerSpherical, UniformSphere, VonMisesFisher

__all__ = [
    "Ancestral",
    "Autoregressive",
    "Bernoulli",
    "FlowDensity",
    "IntegerRows",
    "Inverse",
    "InverseMetric",
    "Joined",
    "Normal",
    "NormalMixture",
    "OneHotCategorical",
    "Planar",
    "PoincareBall",
    "PowerSpherical",
    "Radial",
    "RelaxedCategorical",
    "Stacked",
    "StandardNormal",
    "UniformCategorical",
    "UniformSphere",
    "VonMisesFisher",
    "WrappedNormal",
    "cholesky",
    "full_precision",
    "hamiltonian_monte_carlo",
    "log_diagonal",
    "sum_event",
]
