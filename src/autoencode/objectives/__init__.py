"""What is minimised: named terms, their weights and schedules, bounds, and corruption."""

from autoencode.objectives.bounds import ImportanceWeighted
from autoencode.objectives.corrupt import CORRUPTIONS, Corrupted, OwnCorruption
from autoencode.objectives.objective import WeightedSum
from autoencode.objectives.schedule import Constant, Linear, WeightSchedule
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
    "Linear",
    "OwnCorruption",
    "WeightSchedule",
    "WeightedSum",
    "kl",
    "mean_squared_error",
    "penalties",
    "reconstruction",
    "squared_error",
]
