"""The state of a training run: all that decides its future, and nothing else.

Order and noise come from the seed and the position (see ``randomness``), so that no generator has to be
kept. What is left is the weights, the optimisers, the position, and the sums of the epoch under way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from autoencode.errors import ModelFileError
from autoencode.training.records import EpochRecord
from autoencode.training.sharding import gathered, put
from autoencode.training.update import Stepper
from autoencode.training.weight_average import WeightAverage


@dataclass
class Position:
    """The position of a training run, in numbers that JSON holds to the bit.

    Attributes:
        epoch: the one under way, from 0.
        batch: batches of it that are done.
        step: steps taken in all.
        sums: of the losses over the examples of this epoch so far.
        seen: how many examples each of the sums is over.
        seconds: of training in this epoch so far.
        slowed: factor on the learning rate, below 1 after steps that had to be skipped.
        skipped: how many steps were skipped one after the other just now.
        best: lowest validation loss so far, where the best weights are kept.
        best_epoch: the epoch that left it, from 1; 0 for the start.
        start: losses of the start on parts of the held-out examples.
        kept: validation loss of the weights that are kept.
        kept_epoch: the epoch that left them, from 1; 0 for the start.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    seen: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    slowed: float = 1.0
    skipped: int = 0
    best: float | None = None
    best_epoch: int = 0
    start: list[float] = field(default_factory=list)
    kept: float | None = None
    kept_epoch: int = 0


@dataclass(frozen=True)
class TrainingState:
    """A state to continue training from: position, history and tensors.

    Attributes:
        position: how far training has come.
        records: one for each epoch that is over.
        tensors: weights and buffers (``model.``, with its ``helpers.``), optimisers
            (``optimizer.0.``), the best weights where they are kept (``best.``), and with ``ema`` the
            averaged ones (``average.``).
    """

    position: Position
    records: tuple[EpochRecord, ...]
    tensors: Mapping[str, Tensor]

    def facts(self) -> dict[str, Any]:
        """Returns everything but the tensors, as JSON."""
        return {"position": asdict(self.position), "records": [asdict(r) for r in self.records]}

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> TrainingState:
        """Makes a state from ``facts`` and tensors.

        Raises:
            TypeError, ValueError: when a fact is of another type than it was written with.
        """
        records = tuple(EpochRecord.from_dict(record) for record in facts["records"])
        position = Position(**facts["position"])
        if not _is_sound(position) or not all(map(_is_sound, records)):
            raise TypeError("a position or a record holds what is no number")
        return cls(position, records, tensors)


def _is_sound(facts: Position | EpochRecord) -> bool:
    """Whether every number of a position or record has the type it was written with."""
    for entry in fields(facts):
        value = getattr(facts, entry.name)
        if entry.name == "diagnoses" or (value is None and entry.default is None):
            continue
        kind = (int,) if "int" in str(entry.type) else (float, int)
        if isinstance(value, dict):
            value = list(value.values())
        for number in value if isinstance(value, list) else (value,):
            if type(number) not in kind or (kind == (int,) and number < 0):
                return False
    return True


class Keeper(Protocol):
    """An object that keeps training states, so that training can go on from the last one."""

    def due(self) -> bool:
        """Tells, after every step, whether a state should be kept now."""

    def keep(self, state: TrainingState) -> None: ...


class Totals:
    """The sums of losses over the examples of an epoch, kept on the device without waiting.

    Args:
        sums: of what was counted before.
    """

    def __init__(self, sums: Mapping[str, float] | None = None) -> None:
        self._sums: dict[str, Tensor | float] = dict(sums or {})

    def add(self, losses: Mapping[str, Tensor | float], size: int) -> None:
        """Adds means over ``size`` examples: numbers, or scalars on a device."""
        targets, values = [], []
        for name, value in losses.items():
            if not isinstance(value, Tensor):
                self._sums[name] = self._sums.get(name, 0.0) + value * size
                continue
            total = self._sums.get(name, 0.0)
            if not isinstance(total, Tensor):
                total = self._sums[name] = torch.full_like(value, total)
            targets.append(total)
            values.append(value)
        if targets:  # one kernel for all of them
            torch._foreach_add_(targets, values, alpha=size)

    def floats(self) -> dict[str, float]:
        """Returns the sums so far; waits for the device."""
        return {name: float(total) for name, total in self._sums.items()}


def collect(
    stepper: Stepper, best: Mapping[str, Tensor], average: WeightAverage | None = None
) -> dict[str, Tensor]:
    """Collects the tensors of a training run by name; references, but where they are sharded."""
    tensors = _named("model", model_tensors(stepper))
    for i, optimizer in enumerate(stepper.optimizers):
        tensors |= _named(f"optimizer.{i}", optimizer.state_dict())
    if average is not None:
        tensors |= _named("average", average.state_dict())
    return gathered(tensors | _named("best", best))


def restore(
    stepper: Stepper, tensors: Mapping[str, Tensor], average: WeightAverage | None = None
) -> dict[str, Tensor]:
    """Puts collected tensors back where they were, and returns the best weights.

    Raises:
        ModelFileError: when they are those of another model or another optimiser.
    """
    model = model_tensors(stepper)
    kept = _under("model", tensors)
    found = {n: (t.shape, t.dtype) for n, t in kept.items()}
    if {n: (t.shape, t.dtype) for n, t in model.items()} != found:
        raise ModelFileError("the checkpoint holds the weights of another model; train again")
    for name, value in model.items():
        put(value, kept[name])
    for i, optimizer in enumerate(stepper.optimizers):
        try:
            optimizer.load_state_dict(_under(f"optimizer.{i}", tensors))
        except (KeyError, RuntimeError, TypeError, ValueError) as error:
            raise ModelFileError(
                f"the checkpoint holds the state of another optimiser ({error}); train again"
            ) from None
    if average is not None:
        average.load_state_dict(_under("average", tensors))
    return _under("best", tensors)


def model_tensors(stepper: Stepper) -> dict[str, Tensor]:
    """Returns weights and buffers of the model and its helpers by name; references, not copies."""
    model: nn.Module = stepper.model  # type: ignore[assignment]
    tensors = {name: value.detach() for name, value in model.state_dict().items()}
    for helper, module in stepper.helpers.items():
        named = {name: value.detach() for name, value in module.state_dict().items()}
        tensors |= _named(f"helpers.{helper}", named)
    return tensors


def _named(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}.{name}": value for name, value in tensors.items()}


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    cut = len(prefix) + 1
    return {name[cut:]: t for name, t in tensors.items() if name.startswith(f"{prefix}.")}


__all__: Sequence[str] = [
    "EpochRecord",
    "Keeper",
    "Position",
    "Totals",
    "TrainingState",
    "collect",
    "model_tensors",
    "restore",
]
