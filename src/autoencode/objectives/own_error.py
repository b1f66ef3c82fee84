"""An error of the user's own in the place of an objective's reconstruction term."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from autoencode.errors import OptionError
from autoencode.objectives.binarize import Binarized
from autoencode.objectives.corrupt import Corrupted
from autoencode.objectives.objective import WeightedSum
from autoencode.objectives.stages import Staged
from autoencode.objectives.terms import (
    MEAN_SQUARED,
    NamedTerm,
    mean_squared_error,
    reconstruction,
    squared_error,
)
from autoencode.types import Batch, Model, Objective, Output, Progress

OwnError = NamedTerm | Callable[[Tensor, Tensor], Tensor]

#: What the term is called in losses and histories.
OWN = "own_loss"
# Terms that say how well x is explained, in whose place another one can stand.
_REPLACEABLE = (reconstruction, mean_squared_error, squared_error)


def own_error(function: Callable[[Tensor, Tensor], Tensor], unit: str) -> NamedTerm:
    """Makes a term of a function ``(reconstruction, x) -> error``.

    The function gets both as the model sees them, (B, *D), with zeros in either where x is missing. It
    gives one number for each example, (B,), or for each entry, (B, *D). Errors of entries are summed,
    or averaged in an objective whose unit is a mean over entries.

    Args:
        function: differentiable in the reconstruction.
        unit: of the objective, whose other terms it is added to.

    Raises:
        OptionError: when called, where the function gives anything else.

    Example:
        >>> term = own_error(lambda made, x: (made - x).abs(), MEAN_SQUARED)
        >>> term.unit
        'mean squared error per entry'
    """

    def compute(model: Model, batch: Batch, output: Output, progress: Progress) -> Tensor:
        mean = output.x_dist.mean
        target = batch.target.expand_as(mean)
        known = None if batch.mask is None else batch.mask.expand_as(mean)
        if known is not None:
            mean, target = (torch.where(known, one, 0.0) for one in (mean, target))
        made, wanted = mean.flatten(0, 1), target.flatten(0, 1)
        found = function(made, wanted)
        if isinstance(found, Tensor) and found.shape == made.shape:
            errors = found.flatten(1)
            if known is None:
                return errors.mean(1) if unit == MEAN_SQUARED else errors.sum(1)
            errors = errors * known.flatten(0, 1).flatten(1)
            total = errors.sum(1)
            return (
                total / known.flatten(0, 1).flatten(1).sum(1).clamp_min(1)
                if unit == MEAN_SQUARED
                else total
            )
        if isinstance(found, Tensor) and found.shape == made.shape[:1]:
            return found
        got = f"shape {tuple(found.shape)}" if isinstance(found, Tensor) else type(found).__name__
        raise OptionError(
            f"the loss must give one number for each example ({len(made)},) or for each entry "
            f"{tuple(made.shape)}, got {got}; take no mean in it (reduction='none')"
        )

    return NamedTerm(compute, unit)


def with_error(objective: Objective, error: OwnError) -> Objective | None:
    """Puts an error in the place of an objective's reconstruction term.

    Args:
        objective: a weighted sum, or one that wraps such.
        error: a term of ``objectives``, or a function as ``own_error`` takes it.

    Returns:
        The new objective, ``None`` where it has no such term.

    Raises:
        IncompatibleError: when the term bears another unit than those beside it.
    """
    if isinstance(objective, Corrupted):
        inner = with_error(objective.objective, error)
        return None if inner is None else Corrupted(inner, objective.corruption, objective.level)
    if isinstance(objective, Binarized):
        inner = with_error(objective.objective, error)
        return None if inner is None else Binarized(inner)
    if isinstance(objective, Staged):
        found = [with_error(one, error) for one in objective.objectives]
        if all(one is None for one in found):
            return None
        stages = [new or old for new, old in zip(found, objective.objectives, strict=True)]
        return Staged(stages, objective.until)
    if not isinstance(objective, WeightedSum):
        return None
    name = next((name for name, term in objective.terms.items() if term in _REPLACEABLE), None)
    if name is None:
        return None
    term: Any = error if isinstance(error, NamedTerm) else own_error(error, objective.terms[name].unit)
    return objective.with_term(name, term, OWN)
