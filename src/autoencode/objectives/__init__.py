"""What is minimised: named terms, their weights and schedules, bounds, games, and corruption."""

from autoencode.objectives.adversarial import (
    Discriminator,
    ImageCritic,
    codes_and_permuted,
    codes_and_prior,
    density_ratio,
    examples_and_made,
    feature_error,
    fooling,
    passing_for_real,
)
from autoencode.objectives.binarize import Binarized, binarized
from autoencode.objectives.bounds import (
    DoublyReparameterized,
    ImportanceWeighted,
    StickingTheLanding,
    log_weights,
)
from autoencode.objectives.corrupt import CORRUPTIONS, Corrupted
from autoencode.objectives.divergences import (
    capacity,
    dip,
    free_bits,
    maximum_mean_discrepancy,
    mmd,
    total_correlation,
)
from autoencode.objectives.objective import WeightedSum
from autoencode.objectives.schedule import Constant, Cyclical, Linear, WeightSchedule
from autoencode.objectives.terms import (
    kl,
    mean_squared_error,
    penalties,
    reconstruction,
    squared_error,
)

__all__ = [
    "CORRUPTIONS",
    "Binarized",
    "Constant",
    "Corrupted",
    "Cyclical",
    "Discriminator",
    "DoublyReparameterized",
    "ImageCritic",
    "ImportanceWeighted",
    "Linear",
    "StickingTheLanding",
    "WeightSchedule",
    "WeightedSum",
    "binarized",
    "capacity",
    "codes_and_permuted",
    "codes_and_prior",
    "density_ratio",
    "dip",
    "examples_and_made",
    "feature_error",
    "fooling",
    "free_bits",
    "kl",
    "log_weights",
    "maximum_mean_discrepancy",
    "mean_squared_error",
    "mmd",
    "passing_for_real",
    "penalties",
    "reconstruction",
    "squared_error",
    "total_correlation",
]
