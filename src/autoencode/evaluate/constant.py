"""One guess for each column, the same for every row: the yardstick for gaps and categories."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from autoencode.data import Resident
from autoencode.evaluate.case import Case
from autoencode.evaluate.measures import Figure, Measure, Result
from autoencode.types import Batch, DataSpec

_CHUNK = 4096
_WHOSE = "over the training examples"


@dataclass(frozen=True)
class Constant:
    """Guesses for columns: the mean of numbers, the most frequent value of anything else.

    Attributes:
        guess: (*D) as the model sees values.
        numeric, coded: (*D) which columns are numbers; which are categories or booleans.
    """

    guess: Tensor
    numeric: Tensor
    coded: Tensor

    @classmethod
    def fit(cls, train: Resident, spec: DataSpec) -> Constant:
        """Makes the guesses from what is known of the training examples."""
        kinds = [column.kind for column in spec.columns]
        named = [column.numeric for column in spec.columns] or [True]
        coded = [kind in ("category", "boolean") for kind in kinds] or [False]
        guess = train.mean().cpu().clone()
        counts = {
            i: torch.zeros(max(2, len(spec.columns[i].categories)), dtype=torch.long)
            for i, one in enumerate(coded)
            if one
        }
        for batch in train.batches(_CHUNK):
            there = _known(batch)
            for i, count in counts.items():
                values = batch.target[:, i].cpu()[there[:, i]]
                seen = values[values >= 0].round().long()
                count += torch.bincount(seen, minlength=len(count))
        for i, count in counts.items():
            guess[i] = float(count.argmax())
        numeric, other = torch.tensor(named), torch.tensor(coded)
        return cls(guess, numeric.expand(spec.shape), other.expand(spec.shape))

    def errors(self, source: Resident) -> tuple[float | None, float | None]:
        """Computes the mean squared error of numbers and the share of right guesses of the rest."""
        squares, numbers, right, guessed = 0.0, 0, 0, 0
        for batch in source.batches(_CHUNK):
            there = _known(batch)
            miss = torch.where(there, batch.target.cpu() - self.guess, 0.0)
            counted, named = there & self.numeric, there & self.coded
            squares += float((miss.square() * counted).sum(dtype=torch.float64))
            numbers += int(counted.sum())
            right += int(((miss == 0) & named).sum())
            guessed += int(named.sum())
        return squares / numbers if numbers else None, right / guessed if guessed else None


def _known(batch: Batch) -> Tensor:
    x = batch.target.cpu()
    return torch.ones_like(x, dtype=torch.bool) if batch.mask is None else batch.mask.cpu()


def _guessed(case: Case) -> Result:
    assert case.train is not None  # or there was an obstacle
    spec = case.trained.spec
    errors = Constant.fit(Resident(case.train, spec), spec).errors(case.source)
    return Result(dict(zip(("mean_mse", "mode_accuracy"), errors, strict=True)))


def _no_guess(case: Case) -> str | None:
    if case.train is None:
        return "there are no training examples to take means of"
    if not (case.trained.spec.gaps or case.trained.spec.mixed):
        return "the data have neither gaps nor categories; explained_variance says the same"
    return None


CONSTANT = Measure(
    "constant",
    (
        Figure(
            "mean_mse",
            "squared units per entry",
            f"mse of guessing each column's mean {_WHOSE}; tables with gaps or categories",
        ),
        Figure(
            "mode_accuracy",
            "share",
            f"accuracy of guessing each column's most frequent value {_WHOSE}; mixed tables",
        ),
    ),
    _guessed,
    _no_guess,
    cost="quick",
)
