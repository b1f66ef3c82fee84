"""Bottlenecks: what stands between the encoder's features and the latent that the decoder reads."""

from autoencode.bottlenecks.deterministic import Plain
from autoencode.bottlenecks.gaussian import DiagonalGaussian

__all__ = ["DiagonalGaussian", "Plain"]
