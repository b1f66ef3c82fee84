"""What is minimised: named terms, their weights and schedules, bounds, and corruption."""

from autoencode.objectives.bounds import ImportanceWeighted
from autoencode.objectives.codes import (
    half_square,
    hidden_error,
    l1,
    nested,
    penalty,
    revival,
    sparsity,
)
from autoencode.objectives.corrupt import CORRUPTIONS, Corrupted
from autoencode.objectives.discrepancies import prior_mmd, sliced_wasserstein
from autoencode.objectives.jacobians import contraction, decoder_weights, smoothness
from autoencode.objectives.objective import WeightedSum
from autoencode.objectives.schedule import Constant, Linear, WeightSchedule
from autoencode.objectives.stages import LayerError, Staged
from autoencode.objectives.terms import (
    kl,
    mean_squared_error,
    penalties,
    reconstruction,
    squared_error,
)

__all__ = [
    "CORRUPTIONS",
    "Constant",
    "Corrupted",
    "ImportanceWeighted",
    "LayerError",
    "Linear",
    "Staged",
    "WeightSchedule",
    "WeightedSum",
    "contraction",
    "decoder_weights",
    "half_square",
    "hidden_error",
    "kl",
    "l1",
    "mean_squared_error",
    "nested",
    "penalties",
    "penalty",
    "prior_mmd",
    "reconstruction",
    "revival",
    "sliced_wasserstein",
    "smoothness",
    "sparsity",
    "squared_error",
]
