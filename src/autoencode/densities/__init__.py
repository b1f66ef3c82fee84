"""Distributions over latents beyond the Gaussian: mixtures, flows, spheres, categories, products."""

from autoencode.densities.ancestral import Ancestral
from autoencode.densities.flows import Autoregressive, FlowDensity, Inverse, Planar, Radial
from autoencode.densities.joined import Joined
from autoencode.densities.mixture import NormalMixture
from autoencode.densities.relaxed import RelaxedCategorical, UniformCategorical
from autoencode.densities.sequences import IntegerRows
from autoencode.densities.spherical import PowerSpherical, UniformSphere, VonMisesFisher
from autoencode.densities.stacked import Stacked

__all__ = [
    "Ancestral",
    "Autoregressive",
    "FlowDensity",
    "IntegerRows",
    "Inverse",
    "Joined",
    "NormalMixture",
    "Planar",
    "PowerSpherical",
    "Radial",
    "RelaxedCategorical",
    "Stacked",
    "UniformCategorical",
    "UniformSphere",
    "VonMisesFisher",
]
