"""The one training loop, and what it is made of."""

from autoencode.training.doctor import Diagnosis, Doctor
from autoencode.training.loop import Observer, fit
from autoencode.training.optimizers import Adam, Muon, Optimizer, TorchOptimizer
from autoencode.training.plan import TrainingPlan
from autoencode.training.state import EpochRecord, Keeper, Position, TrainingState
from autoencode.training.tuning import tuned
from autoencode.training.update import Stepper, Update

__all__ = [
    "Adam",
    "Diagnosis",
    "Doctor",
    "EpochRecord",
    "Keeper",
    "Muon",
    "Observer",
    "Optimizer",
    "Position",
    "Stepper",
    "TorchOptimizer",
    "TrainingPlan",
    "TrainingState",
    "Update",
    "fit",
    "tuned",
]
