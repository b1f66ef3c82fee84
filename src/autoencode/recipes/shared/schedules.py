"""Figures of training that recipes share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Figures = Mapping[str, Any]

# For perceptrons of two or three layers on bounds.
BY_MUON: Figures = {"lr": 0.012, "batch_size": 512, "optimizer": "muon", "min_steps": 1000}
# Over hundreds of epochs weights would grow until they hardly move; over few the decay does nothing.
BOUND_BY_MUON: Figures = {**BY_MUON, "epochs": 50, "weight_decay": 0.01}
# Of many draws of z, where small batches fit the processor's cache and the optimiser costs little.
MANY_DRAWS_BY_MUON: Figures = {**BOUND_BY_MUON, "lr": 6e-3, "batch_size": 128}


# For rows of measurements, whose training starts at PCA: the rate rises slowly, so that this start is
# not lost, and of all epochs and the start what was best on the rows that are held out is kept.
TABLES: Figures = {
    "epochs": 10,
    "lr": 4e-3,
    "batch_size": 128,
    "optimizer": "adam",
    "warmup": 0.2,
    "decay": "linear",
    "mean_start": True,
    "min_steps": 2000,
    "validation": 0.15,
    "keep": "best",
    "patience": 150,
}


def adam(epochs: int, lr: float, batch_size: int = 64, **more: Any) -> Figures:
    """Adam at a constant rate, as most papers have it."""
    return {"epochs": epochs, "lr": lr, "batch_size": batch_size, **more}


def tuned(**figures: Any) -> Figures:
    """A rate that rises and falls, from the mean of the data on, over 2000 steps at least."""
    rising_and_falling = {"warmup": 0.2, "decay": "linear", "mean_start": True, "min_steps": 2000}
    return {**rising_and_falling, **figures}
