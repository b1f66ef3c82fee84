"""First values of a model that are taken from the data it is to learn."""

from __future__ import annotations

import torch
from torch import nn

from autoencode.training.plan import TrainingPlan
from autoencode.types import Batch, Pass, Source


def start(
    model: nn.Module, train: Source, beside: Source | None, plan: TrainingPlan, seed: int
) -> bool:
    """Starts a model at the mean, at examples and at PCA of the training data; tells whether at PCA.

    Held-out examples that shall only tell the better of two weights serve the start as well, which is a
    matter of few rows: they then favour the start, and what is learned must win by more.
    """
    device = next(model.parameters()).device

    def first(n: int) -> Batch:
        return next(train.shuffled(Pass(seed, 0, n))).to(device)

    start_at_mean = getattr(model, "start_at_mean", None)
    if plan.mean_start and start_at_mean is not None:
        start_at_mean(train.mean().to(device))
    start_at_data = getattr(model, "start_at_data", None)
    if plan.data_start and start_at_data is not None:
        start_at_data(lambda n: first(n).x)
    start_at_lines = getattr(model, "start_at_lines", None)
    if not plan.data_start or start_at_lines is None:
        return False
    return bool(start_at_lines(lambda n: _together(first(n), beside, n, seed)))


def _together(batch: Batch, beside: Source | None, n: int, seed: int) -> Batch:
    """Puts examples of another source after a batch, up to ``n`` in all."""
    left = n - len(batch.x)
    if beside is None or left <= 0:
        return batch
    more = next(beside.shuffled(Pass(seed, 0, left))).to(batch.x.device)
    x = torch.cat([batch.x, more.x])
    if batch.context is None or more.context is None:
        return Batch(x, x)
    return Batch(x, x, torch.cat([batch.context, more.context]))
