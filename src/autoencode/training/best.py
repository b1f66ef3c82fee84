"""The weights of a training that were best on held-out examples, the start included."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from autoencode.training.sharding import gather_whole, put
from autoencode.training.state import Position, model_tensors
from autoencode.training.update import Stepper

#: Parts of the held-out examples, whose losses tell how sure a gain is.
PARTS = 16
#: Of so many of them a gain must be: 14 of 16 are by chance once in 500 times.
SURE = 0.85


class Best:
    """The best weights so far.

    The start is taken from data by closed forms where a model has such, and hundreds of epochs are
    compared with it on what may be a dozen rows: the best of them would often be so by luck, or by one
    row. So an epoch takes the place of such a start only where 85 % of the parts of the held-out
    examples are better as well; among such epochs the lowest loss counts. A random start has no such
    right.

    Args:
        stepper: whose model is trained.
        weights: the best so far, by name.
    """

    def __init__(self, stepper: Stepper, weights: dict[str, Tensor] | None = None) -> None:
        self.stepper = stepper
        self.weights = weights or {}

    def begin(self, at: Position, loss: float, losses: Sequence[float]) -> None:
        """Takes the weights of the start, its loss, and where it is no random one those of parts."""
        at.start = list(losses)
        at.best = at.kept = loss
        self._take()

    def compare(self, at: Position, loss: float, losses: Callable[[], Sequence[float]]) -> None:
        """Takes the weights of the epoch that ended if they are the best; notes them in ``at``.

        Args:
            at: with ``epoch`` that of the weights.
            loss: their mean over all held-out examples.
            losses: measures that of each part, where it is asked for.
        """
        if at.best is None or loss < at.best:
            at.best, at.best_epoch = loss, at.epoch
        if at.kept is not None and loss >= at.kept:
            return
        if not at.start or gain_is_sure(at.start, losses()):
            at.kept, at.kept_epoch = loss, at.epoch
            self._take()

    def put(self) -> None:
        """Gives the model the best weights."""
        for name, value in model_tensors(self.stepper).items():
            put(value, self.weights[name])

    def _take(self) -> None:
        tensors = model_tensors(self.stepper).items()
        self.weights = {name: gather_whole(tensor).clone() for name, tensor in tensors}


def gain_is_sure(before: Sequence[float], now: Sequence[float]) -> bool:
    """Tells whether the losses of 85 % of the parts fell.

    >>> gain_is_sure([1.0, 2.0, 3.0], [0.9, 1.9, 2.9]), gain_is_sure([1.0, 2.0, 3.0], [0.0, 2.1, 3.1])
    (True, False)
    """
    fell = [after < one for one, after in zip(before, now, strict=True)]
    return sum(fell) >= SURE * len(fell)
