"""Loading of estimators from the folders that they, or a training, left."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from autoencode.errors import ModelFileError, OptionError
from autoencode.estimators.anomaly import AnomalyDetector
from autoencode.estimators.autoencoder import Autoencoder
from autoencode.estimators.denoiser import Denoiser
from autoencode.estimators.saved import ESTIMATOR, SavedState, read_estimator
from autoencode.trained import Trained, choose_device, load_trained
from autoencode.trained.model_files import read_history

_CLASSES: dict[str, type[AnomalyDetector] | type[Autoencoder] | type[Denoiser]] = {
    "AnomalyDetector": AnomalyDetector,
    "Autoencoder": Autoencoder,
    "Denoiser": Denoiser,
}


def load(
    folder: str | os.PathLike[str],
    *,
    device: str = "auto",
    encoder: nn.Module | None = None,
    decoder: nn.Module | None = None,
) -> Any:
    """Loads a trained estimator from its folder.

    Args:
        folder: what ``save`` of an estimator wrote, or ``autoencode train``.
        device: auto, cpu, cuda or mps.
        encoder, decoder: for a run with networks of your own, which no file can hold.

    Returns:
        The ``Autoencoder``, ``AnomalyDetector`` or ``Denoiser`` that was saved; for a run an
        ``Autoencoder``.

    Raises:
        RunFolderError: when the folder is missing or not complete.
        ModelFileError: when a file in it cannot be trusted or used.
    """
    where = choose_device(device)
    found = read_estimator(Path(folder))
    trained = load_trained(folder, device=where, encoder=encoder, decoder=decoder)
    networks = {"device": device, "encoder": encoder, "decoder": decoder}
    estimator = _autoencoder(trained, networks) if found is None else _rebuilt(found, trained, networks)
    if columns := trained.spec.columns:
        estimator.feature_names_in_ = np.array([column.name for column in columns], dtype=object)
    if found is not None:
        kept = SavedState(Path(folder), found["facts"], found["tensors"], trained)
        try:
            estimator._restore(kept)
        except (ModelFileError, OptionError, TypeError) as error:
            raise ModelFileError(f"{folder} cannot be used: {error}; save it again") from None
    return estimator._adopt(trained, read_history(folder))


def _rebuilt(
    found: dict[str, Any], trained: Trained, networks: dict[str, Any]
) -> AnomalyDetector | Autoencoder | Denoiser:
    if ":" in str(found["parameters"].get("recipe")):
        raise ModelFileError(f"{ESTIMATOR} names a module, which no file may; save it again")
    parameters = {**found["parameters"], **networks}
    if "options" not in parameters:  # JSON has no words for one of them, but the model's file has
        parameters["options"] = {**trained.recipe.options, **asdict(trained.recipe.plan)}
    if "checkpoint" in parameters:
        parameters["checkpoint"] = None  # a file chooses no folder that is written to
    try:
        return _CLASSES[found["estimator"]](**parameters)
    except (KeyError, TypeError) as error:
        raise ModelFileError(f"{ESTIMATOR} names what this version does not know: {error}") from None


def _autoencoder(trained: Trained, networks: dict[str, Any]) -> Autoencoder:
    """Builds an ``Autoencoder`` whose ``fit`` would do the same again."""
    options = {**trained.recipe.options, **asdict(trained.recipe.plan)}
    own = {name: options.pop(name, None) for name in ("latent_dim", "epochs", "batch_size", "lr")}
    estimator = Autoencoder(
        trained.recipe.name,
        own.pop("latent_dim"),
        schedule=trained.info.get("schedule", "fast"),
        options=options,
        standardize=trained.origin.standardize,
        layout=trained.origin.layout,
        handle_unknown=trained.spec.handle_unknown,
        max_categories=trained.origin.table.max_categories,
        channels=trained.origin.channels,
        **own,
        **networks,
    )
    estimator._template = None
    return estimator
