"""Bottlenecks: modules between the encoder's features and the latent that the decoder reads."""

from autoencode.bottlenecks.categorical import Guess, GumbelSoftmax
from autoencode.bottlenecks.codebooks import (
    LearnedCodebook,
    LinearCodebook,
    MovingCodebook,
)
from autoencode.bottlenecks.deterministic import (
    Plain,
    UnitSphere,
)
from autoencode.bottlenecks.finite import (
    FiniteScalar,
    LookupFree,
)
from autoencode.bottlenecks.flow import FlowPosterior
from autoencode.bottlenecks.gaussian import DiagonalGaussian
from autoencode.bottlenecks.hamiltonian import (
    Hamiltonian,
    RiemannianHamiltonian,
)
from autoencode.bottlenecks.hierarchy import (
    LadderLayer,
    ResidualLayer,
    TopDown,
    precision_weighted,
)
from autoencode.bottlenecks.hyperbolic import InPoincareBall
from autoencode.bottlenecks.metric import LearnedMetric
from autoencode.bottlenecks.nested import (
    SideBySide,
    TwoLayers,
)
from autoencode.bottlenecks.quantised import (
    Product,
    Quantised,
    Residual,
    TwoLevels,
    VectorQuantiser,
)
from autoencode.bottlenecks.sparse import (
    BatchTopK,
    JumpReLU,
    TopK,
)
from autoencode.bottlenecks.spherical import OnSphere

__all__ = [
    "BatchTopK",
    "DiagonalGaussian",
    "FiniteScalar",
    "FlowPosterior",
    "Guess",
    "GumbelSoftmax",
    "Hamiltonian",
    "InPoincareBall",
    "JumpReLU",
    "LadderLayer",
    "LearnedCodebook",
    "LearnedMetric",
    "LinearCodebook",
    "LookupFree",
    "MovingCodebook",
    "OnSphere",
    "Plain",
    "Product",
    "Quantised",
    "Residual",
    "ResidualLayer",
    "RiemannianHamiltonian",
    "SideBySide",
    "TopDown",
    "TopK",
    "TwoLayers",
    "TwoLevels",
    "UnitSphere",
    "VectorQuantiser",
    "precision_weighted",
]
