"""The records that training leaves of every epoch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Diagnosis:
    """A fault that the doctor found.

    Attributes:
        rule: the name of the rule.
        message: what is wrong, in one line with the figure that shows it.
        suggestion: one change to try.
        epoch: from 1, the epoch since which it stands.
    """

    rule: str
    message: str
    suggestion: str
    epoch: int

    def as_dict(self) -> dict[str, Any]:
        """Returns the fields as they are written to ``history.jsonl``."""
        return asdict(self)


@dataclass(frozen=True)
class EpochRecord:
    """The record of one epoch: one line of the history.

    Attributes:
        epoch: from 1.
        step: steps taken so far.
        losses: named training losses, averaged over the epoch's examples; ``loss`` is the total.
        validation: the same on the held-out examples, empty without any.
        lr_factor: factor on the learning rate at the epoch's end.
        seconds: of training in this epoch (validation excluded).
        diagnoses: faults that stand after this epoch.
    """

    epoch: int
    step: int
    losses: dict[str, float]
    validation: dict[str, float] = field(default_factory=dict)
    lr_factor: float = 1.0
    seconds: float = 0.0
    diagnoses: tuple[Diagnosis, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Returns flat fields as in ``history.jsonl``; validation losses get a prefix."""
        found = [diagnosis.as_dict() for diagnosis in self.diagnoses]
        return {
            "epoch": self.epoch,
            "step": self.step,
            **self.losses,
            **{f"validation_{name}": value for name, value in self.validation.items()},
            "lr_factor": self.lr_factor,
            "seconds": round(self.seconds, 4),
            **({"diagnoses": found} if found else {}),
        }

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> EpochRecord:
        """Makes a record from the fields of ``dataclasses.asdict``."""
        diagnoses = tuple(Diagnosis(**found) for found in facts["diagnoses"])
        return cls(**{**facts, "diagnoses": diagnoses})
