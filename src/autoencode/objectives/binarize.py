"""Dynamic binarisation: grey values drawn as black or white at every step."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from autoencode.randomness import uniform_like
from autoencode.types import Batch, Losses, Model, Objective, Output, Progress


def binarized(x: Tensor, gaps: bool = True) -> Tensor:
    """Draws zeros and ones for values x (B, *D) in [0, 1], each 1 with its value as probability.

    What is missing (NaN) stays so; looking for it takes as long as drawing, so say where nothing is.
    """
    drawn = (uniform_like(x) < x).to(x.dtype)
    return torch.where(x.isnan(), x, drawn) if gaps else drawn


class Binarized:
    """An objective on data that are drawn as zeros and ones anew at every step.

    Dynamic binarisation, as in Importance Weighted Autoencoders (Burda et al., 2015), section 5,
    https://arxiv.org/abs/1509.00519. Log-likelihoods of binarised and of grey data, or of data that
    were binarised once, cannot be compared.

    Args:
        objective: any objective; it sees zeros and ones as x and as target.
    """

    def __init__(self, objective: Objective) -> None:
        self.objective = objective
        self.unit = objective.unit

    def __call__(self, model: Model, batch: Batch, progress: Progress) -> Losses:
        x = binarized(batch.x, gaps=batch.mask is not None)
        return self.objective(model, replace(batch, x=x, target=x), progress)

    def check(self, output: Output) -> None:
        """Checks what the wrapped objective asks for."""
        self.objective.check(output)
