"""Bottlenecks: what stands between the encoder's features and the latent that the decoder reads."""

from autoencode.bottlenecks.codebooks import LearnedCodebook, LinearCodebook, MovingCodebook
from autoencode.bottlenecks.deterministic import Plain, UnitSphere
from autoencode.bottlenecks.finite import FiniteScalar, LookupFree
from autoencode.bottlenecks.gaussian import DiagonalGaussian
from autoencode.bottlenecks.quantised import (
    Product,
    Quantised,
    Residual,
    TwoLevels,
    VectorQuantiser,
)
from autoencode.bottlenecks.sparse import BatchTopK, JumpReLU, TopK

__all__ = [
    "BatchTopK",
    "DiagonalGaussian",
    "FiniteScalar",
    "JumpReLU",
    "LearnedCodebook",
    "LinearCodebook",
    "LookupFree",
    "MovingCodebook",
    "Plain",
    "Product",
    "Quantised",
    "Residual",
    "TopK",
    "TwoLevels",
    "UnitSphere",
    "VectorQuantiser",
]
