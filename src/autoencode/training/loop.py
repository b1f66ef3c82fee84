"""The one training loop."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from autoencode.errors import TrainingError
from autoencode.randomness import seed_step, seeded
from autoencode.training.doctor import Diagnosis, Doctor
from autoencode.training.plan import TrainingPlan
from autoencode.training.tuning import tuned
from autoencode.training.update import Stepper, Update
from autoencode.types import Batch, Model, Objective, Pass, Progress, Source


@dataclass(frozen=True)
class EpochRecord:
    """One line of the history.

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
        """Flat, as it is written to ``history.jsonl``; validation losses get a prefix."""
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


class Observer:
    """Watches training; all methods may be overridden, none may change the run but ``stop``."""

    def start(self, n_steps: int, n_epochs: int) -> None:
        """Called once before the first step."""

    def step(self, step: int) -> None:
        """Called after every step; keep it cheap."""

    def epoch(self, record: EpochRecord) -> None:
        """Called after every epoch."""

    def stop(self) -> bool:
        """Asked after every step; true ends training there."""
        return False


def fit(
    model: nn.Module,
    updates: Sequence[Update],
    train: Source,
    plan: TrainingPlan,
    *,
    validation: Source | None = None,
    seed: int = 0,
    device: torch.device | str = "cpu",
    observer: Observer | None = None,
) -> list[EpochRecord]:
    """Trains the model in place.

    The same arguments give the same weights, whatever the caller's random state is; that state is
    left as it was.

    Args:
        model: moved to ``device``.
        updates: what is minimised and which modules move.
        train: training examples, on ``device``.
        plan: epochs, batch size, rates.
        validation: held-out examples, measured after each epoch.
        seed: of the order of examples and of all noise.
        device: where to train.
        observer: watches.

    Returns:
        One record for each epoch (the last may be partial when the observer stopped it).

    Raises:
        TrainingError: when the loss stops being a finite number.
    """
    device = torch.device(device)
    with seeded(seed, device), tuned(device):
        model.to(device)
        if any(isinstance(module, nn.Conv2d) for module in model.modules()):
            model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        start_at_mean = getattr(model, "start_at_mean", None)
        if plan.mean_start and start_at_mean is not None:
            start_at_mean(train.mean())
        stepper = Stepper(model, updates, plan.make_optimizer)  # type: ignore[arg-type]
        return _Loop(stepper, train, plan, validation, seed, device, observer or Observer()).run()


class _Loop:
    """The state of one run of ``fit``."""

    def __init__(
        self,
        stepper: Stepper,
        train: Source,
        plan: TrainingPlan,
        validation: Source | None,
        seed: int,
        device: torch.device,
        observer: Observer,
    ) -> None:
        self.stepper, self.train, self.validation = stepper, train, validation
        self.plan, self.seed, self.device, self.observer = plan, seed, device, observer
        self.model: nn.Module = stepper.model  # type: ignore[assignment]
        self.n = len(train)
        self.n_epochs = plan.n_epochs(self.n)
        self.n_steps = self.n_epochs * math.ceil(self.n / plan.batch_size)
        self.position = 0
        self.doctor = (
            Doctor(stepper.updates, plan, train, validation, seed, device) if plan.doctor else None
        )

    def run(self) -> list[EpochRecord]:
        records: list[EpochRecord] = []
        self.observer.start(self.n_steps, self.n_epochs)
        for epoch in range(self.n_epochs):
            record, stopped = self._epoch(epoch)
            records.append(record)
            if self.doctor is not None:
                last = stopped or epoch + 1 == self.n_epochs
                found = self.doctor.diagnose(self.model, records, last)
                records[-1] = replace(record, diagnoses=found)
            self.observer.epoch(records[-1])
            if stopped:
                break
        self.model.eval()
        return records

    def _epoch(self, epoch: int) -> tuple[EpochRecord, bool]:
        self.model.train()
        start, stopped = time.perf_counter(), False
        sums: dict[str, Tensor | float] = {}
        seen: dict[str, int] = {}  # an update may take its turn at some steps only
        for batch in self.train.shuffled(Pass(self.seed, epoch, self.plan.batch_size)):
            losses, size = self._step(batch), len(batch.x)
            for name, value in losses.items():
                weighted = value * size
                seen[name] = seen.get(name, 0) + size
                sums[name] = sums[name] + weighted if name in sums else weighted
            self.observer.step(self.position)
            stopped = self.observer.stop()
            if stopped:
                break
        means = {name: float(total) / seen[name] for name, total in sums.items()}
        self._check_finite(means, f"in epoch {epoch + 1}")
        seconds = time.perf_counter() - start
        rate = self.plan.rate(max(0, self.position - 1), self.n_steps)
        held_out = self._validate() if self.validation is not None else {}
        return EpochRecord(epoch + 1, self.position, means, held_out, rate, seconds), stopped

    def _step(self, batch: Batch) -> Mapping[str, Tensor | float]:
        seed_step(self.seed, self.position, self.device)
        progress = Progress(self.position, self.n_steps, self.n)
        losses = self.stepper.step(batch, progress, self.plan.rate(self.position, self.n_steps))
        self.position += 1
        if self.device.type != "cpu":
            return losses
        # Reading a scalar costs a microsecond here; elsewhere it would stall the queue.
        values = {name: value.item() for name, value in losses.items()}
        self._check_finite(values, f"at step {self.position - 1}")
        return values

    def _check_finite(self, losses: Mapping[str, float], where: str) -> None:
        bad = [name for name, value in losses.items() if not math.isfinite(value)]
        if bad:
            raise TrainingError(
                f"training diverged {where}: {', '.join(bad)} became {losses[bad[0]]}; "
                f"try a lower learning rate than {self.plan.lr:g}"
            )

    def _validate(self) -> dict[str, float]:
        assert self.validation is not None
        seed_step(self.seed, -1, self.device)
        objective = self.stepper.updates[0].objective
        progress = Progress(self.position, self.n_steps, self.n)
        return evaluate_losses(self.model, objective, self.validation, progress)


def evaluate_losses(
    model: nn.Module, objective: Objective, source: Source, progress: Progress, size: int = 1000
) -> dict[str, float]:
    """The objective's losses over a source, averaged over its examples, without training."""
    was_training = model.training
    model.eval()
    sums: dict[str, float] = {}
    with torch.no_grad():
        for batch in source.batches(size):
            losses = objective(_as_model(model), batch, progress)
            for name, value in {"loss": losses.total, **losses.terms}.items():
                sums[name] = sums.get(name, 0.0) + float(value) * len(batch.x)
    model.train(was_training)
    return {name: total / len(source) for name, total in sums.items()}


def _as_model(module: nn.Module) -> Model:
    return module  # type: ignore[return-value]
