"""The training loop, and the parts that it is made of."""

from autoencode.training.doctor.doctor import Doctor
from autoencode.training.loop import Observer, fit
from autoencode.training.optimizers import Adam, Muon, Optimizer, TorchOptimizer
from autoencode.training.plan import TrainingPlan
from autoencode.training.processor import tuned
from autoencode.training.records import Diagnosis, EpochRecord
from autoencode.training.state import Keeper, Position, TrainingState
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
