"""autoencode: any encoder and decoder around any bottleneck, trained by one fast loop.

    >>> from autoencode import Autoencoder, load
    >>> import numpy as np
    >>> x = np.random.default_rng(0).random((64, 30))
    >>> z = Autoencoder("vae", n_components=2, epochs=1).fit(x).transform(x)
    >>> z.shape
    (64, 2)

Names are imported when they are first used, so that ``import autoencode`` is instant.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from autoencode.version import __version__

_HOMES = {
    "AnomalyDetector": "autoencode.estimators",
    "Autoencoder": "autoencode.estimators",
    "AutoencodeError": "autoencode.errors",
    "AutoencoderModule": "autoencode.models",
    "Batch": "autoencode.types",
    "DataSpec": "autoencode.types",
    "Denoiser": "autoencode.estimators",
    "DoctorWarning": "autoencode.errors",
    "Observer": "autoencode.training",
    "Progress": "autoencode.types",
    "RECIPES": "autoencode.recipes",
    "Recipe": "autoencode.recipes",
    "Run": "autoencode.runs",
    "Stepper": "autoencode.training",
    "Trained": "autoencode.trained",
    "TrainingPlan": "autoencode.training",
    "Update": "autoencode.training",
    "build": "autoencode.recipes",
    "explore": "autoencode.explorer",
    "fit": "autoencode.training",
    "fit_prior": "autoencode.trained",
    "load": "autoencode.estimators",
    "load_data": "autoencode.data",
    "load_trained": "autoencode.trained",
    "recipe": "autoencode.recipes.registry",
    "reconstruction_scorer": "autoencode.estimators",
    "resume": "autoencode.runs",
    "train": "autoencode.runs",
}

__all__ = ["__version__", *_HOMES]

if TYPE_CHECKING:
    from autoencode.data import load_data as load_data
    from autoencode.errors import AutoencodeError as AutoencodeError
    from autoencode.errors import DoctorWarning as DoctorWarning
    from autoencode.estimators import AnomalyDetector as AnomalyDetector
    from autoencode.estimators import Autoencoder as Autoencoder
    from autoencode.estimators import Denoiser as Denoiser
    from autoencode.estimators import load as load
    from autoencode.estimators import reconstruction_scorer as reconstruction_scorer
    from autoencode.explorer import explore as explore
    from autoencode.models import AutoencoderModule as AutoencoderModule
    from autoencode.recipes import RECIPES as RECIPES
    from autoencode.recipes import Recipe as Recipe
    from autoencode.recipes import build as build
    from autoencode.recipes.registry import recipe as recipe
    from autoencode.runs import Run as Run
    from autoencode.runs import resume as resume
    from autoencode.runs import train as train
    from autoencode.trained import Trained as Trained
    from autoencode.trained import fit_prior as fit_prior
    from autoencode.trained import load_trained as load_trained
    from autoencode.training import Observer as Observer
    from autoencode.training import Stepper as Stepper
    from autoencode.training import TrainingPlan as TrainingPlan
    from autoencode.training import Update as Update
    from autoencode.training import fit as fit
    from autoencode.types import Batch as Batch
    from autoencode.types import DataSpec as DataSpec
    from autoencode.types import Progress as Progress


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'autoencode' has no attribute '{name}'")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
