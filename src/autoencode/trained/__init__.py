"""Trained models: arrays in, arrays out; their training, files and priors."""

from autoencode.trained.devices import choose_device
from autoencode.trained.fit import fit_recipe
from autoencode.trained.model_files import load_trained, save_model
from autoencode.trained.priors.fit import fit_prior, fit_prior_again, fit_prior_later
from autoencode.trained.trained import Trained

__all__ = [
    "Trained",
    "choose_device",
    "fit_prior",
    "fit_prior_again",
    "fit_prior_later",
    "fit_recipe",
    "load_trained",
    "save_model",
]
