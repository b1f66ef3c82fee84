"""Priors fitted to the codes of a trained model: their kinds, and how each is fitted.

Those that have to be trained are trained by the one loop.
"""

from autoencode.trained.priors.from_model import OF_MODEL, PseudoInputs
from autoencode.trained.priors.integer_codes import OF_INTEGERS, AutoregressivePrior, Integers
from autoencode.trained.priors.kinds import KINDS, empty_prior, prior_for, prior_of, prior_of_model
from autoencode.trained.priors.real_codes import FITTED, SecondStage, TrainedFlow

__all__ = [
    "FITTED",
    "KINDS",
    "OF_INTEGERS",
    "OF_MODEL",
    "AutoregressivePrior",
    "Integers",
    "PseudoInputs",
    "SecondStage",
    "TrainedFlow",
    "empty_prior",
    "prior_for",
    "prior_of",
    "prior_of_model",
]
