"""Objectives that take turns during training, one after another."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from autoencode.errors import IncompatibleError
from autoencode.objectives.terms import MEAN_SQUARED
from autoencode.types import Batch, Losses, Model, Objective, Output, Progress


class Staged:
    """An objective that is one of several, by how far training has come.

    What an objective does not use has no gradient meanwhile, and optimisers leave it as it is: so
    layers can be trained one after the other by one update.

    Args:
        objectives: in order, all of one unit.
        until: the share of training at which each ends, rising to 1.

    Raises:
        IncompatibleError: when units differ or the shares do not rise to 1.
    """

    def __init__(self, objectives: Sequence[Objective], until: Sequence[float]) -> None:
        units = {objective.unit for objective in objectives}
        if len(units) != 1:
            raise IncompatibleError(f"stages of different units follow each other: {', '.join(units)}")
        rising = all(a < b for a, b in zip([0.0, *until], until, strict=False))
        if len(objectives) != len(until) or not rising or until[-1] != 1:
            raise IncompatibleError(f"the ends of the stages must rise to 1, got {list(until)}")
        self.objectives, self.until = tuple(objectives), tuple(until)
        self.unit = units.pop()

    def stage(self, progress: Progress) -> int:
        """Returns the number of the current stage, from 0."""
        return sum(progress.fraction >= end for end in self.until[:-1])

    def __call__(self, model: Model, batch: Batch, progress: Progress) -> Losses:
        return self.objectives[self.stage(progress)](model, batch, progress)

    def weights(self, progress: Progress) -> dict[str, float]:
        """Returns 1 for the current stage and 0 for the others, so that logs show which loss it is."""
        now = self.stage(progress)
        return {f"stage {i + 1}": float(i == now) for i in range(len(self.objectives))}

    def check(self, output: Output) -> None:
        """Checks what each of the objectives asks for."""
        for objective in self.objectives:
            objective.check(output)


class LayerError:
    """The mean squared error of one layer that reconstructs the output of the layers below it.

    Those below are left as they are. Greedy Layer-Wise Training of Deep Networks (Bengio et al., 2007),
    https://proceedings.neurips.cc/paper/2006/hash/5da713a690c067105aeb2fae32403405-Abstract.html

    Args:
        below: x (B, *D) to what the layer is given.
        encode: the layer.
        decode: its mirror.
        corrupt: what is done to the layer's input, its target staying clean.
    """

    unit = MEAN_SQUARED

    def __init__(
        self,
        below: Callable[[Tensor], Tensor],
        encode: Callable[[Tensor], Tensor],
        decode: Callable[[Tensor], Tensor],
        corrupt: Callable[[Tensor], Tensor],
    ) -> None:
        self.below, self.encode, self.decode, self.corrupt = below, encode, decode, corrupt

    def __call__(self, model: Model, batch: Batch, progress: Progress) -> Losses:
        with torch.no_grad():
            given = self.below(batch.target)
        made = self.decode(self.encode(self.corrupt(given)))
        loss = F.mse_loss(made, given)
        return Losses(loss, {"layer": loss.detach()})

    def check(self, output: Output) -> None:
        """Accepts any output."""
