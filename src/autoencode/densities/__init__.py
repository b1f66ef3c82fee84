"""Distributions over latents beyond the Gaussian, and the spaces that they live in."""

from autoencode.densities.ancestral import Ancestral
from autoencode.densities.classes import OneHotCategorical
from autoencode.densities.flows import Autoregressive, FlowDensity, Inverse, Planar, Radial
from autoencode.densities.hmc import hamiltonian_monte_carlo
from autoencode.densities.hyperbolic import PoincareBall, WrappedNormal
from autoencode.densities.joined import Joined
from autoencode.densities.mixture import NormalMixture
from autoencode.densities.relaxed import RelaxedCategorical, UniformCategorical
from autoencode.densities.riemannian import InverseMetric, cholesky, log_diagonal
from autoencode.densities.sequences import IntegerRows
from autoencode.densities.spherical import PowerSpherical, UniformSphere, VonMisesFisher
from autoencode.densities.stacked import Stacked

__all__ = [
    "Ancestral",
    "Autoregressive",
    "FlowDensity",
    "IntegerRows",
    "Inverse",
    "InverseMetric",
    "Joined",
    "NormalMixture",
    "OneHotCategorical",
    "Planar",
    "PoincareBall",
    "PowerSpherical",
    "Radial",
    "RelaxedCategorical",
    "Stacked",
    "UniformCategorical",
    "UniformSphere",
    "VonMisesFisher",
    "WrappedNormal",
    "cholesky",
    "hamiltonian_monte_carlo",
    "log_diagonal",
]
