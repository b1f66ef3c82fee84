"""The one training loop, and what it is made of."""

from autoencode.training.doctor import Diagnosis, Doctor
from autoencode.training.loop import EpochRecord, Observer, fit
from autoencode.training.optimizers import Adam, Muon, Optimizer, TorchOptimizer
from autoencode.training.plan import TrainingPlan
from autoencode.training.tuning import tuned
from autoencode.training.update import Stepper, Update

__all__ = [
    "Adam",
    "Diagnosis",
    "Doctor",
    "EpochRecord",
    "Muon",
    "Observer",
    "Optimizer",
    "Stepper",
    "TorchOptimizer",
    "TrainingPlan",
    "Update",
    "fit",
    "tuned",
]
