"""A trained model together with what compares rows with those it was trained on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Self

from torch import Tensor

from autoencode.anomaly.calibrate import Tail, fence
from autoencode.anomaly.memory import row_keys
from autoencode.anomaly.scores import Scorer
from autoencode.anomaly.seen import entries_of, see
from autoencode.anomaly.tensors import scorer_of, tensors_of
from autoencode.data import Examples
from autoencode.data.raw import Array
from autoencode.trained import Trained


@dataclass(frozen=True)
class Learned:
    """A trained model, and what compares rows with those it was trained on.

    Attributes:
        trained: the model.
        history: one entry for each epoch.
        scorer: the comparison.
    """

    trained: Trained
    history: list[dict[str, Any]]
    scorer: Scorer

    def scores(self, examples: Examples, name: str) -> Array:
        """Anomaly scores (N,)."""
        return self.scorer.scores(see(self.trained, examples), row_keys(examples.x), name)

    def usual_scores(self, train: Examples, name: str) -> Array:
        """Anomaly scores (R,) of the training rows that stand for all."""
        known = self.scorer.usual_scores(name)
        return self.scores(train.take(self.scorer.reference), name) if known is None else known

    def fence(self, train: Examples, name: str) -> float:
        """The score that about one clean row in a hundred exceeds (``fence``)."""
        usual = self.usual_scores(train, name)
        if name == "combined":  # made of heights
            return fence(usual)
        tail = Tail.of(usual)
        return tail.inverse(fence(tail(usual)))

    def tensors(self, prefix: str) -> dict[str, Tensor]:
        """The scorer as tensors whose names begin with a prefix."""
        return {f"{prefix}{name}": tensor for name, tensor in tensors_of(self.scorer).items()}

    @classmethod
    def of_tensors(cls, trained: Trained, tensors: dict[str, Tensor], prefix: str) -> Self:
        """A model with the scorer that ``tensors`` gave.

        Raises:
            ModelFileError: when they do not fit the model.
        """
        own = {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
        spec = trained.spec
        code = math.prod(trained.latent_shape)
        return cls(trained, [], scorer_of(own, spec.size, len(entries_of(spec)), code))
