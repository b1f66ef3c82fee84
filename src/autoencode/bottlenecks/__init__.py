"""Bottlenecks: what stands between the encoder's features and the latent that the decoder reads."""

from autoencode.bottlenecks.categorical import GumbelSoftmax
from autoencode.bottlenecks.deterministic import Plain
from autoencode.bottlenecks.flow import FlowPosterior
from autoencode.bottlenecks.gaussian import DiagonalGaussian
from autoencode.bottlenecks.nested import SideBySide, TwoLayers
from autoencode.bottlenecks.spherical import OnSphere

__all__ = [
    "DiagonalGaussian",
    "FlowPosterior",
    "GumbelSoftmax",
    "OnSphere",
    "Plain",
    "SideBySide",
    "TwoLayers",
]
