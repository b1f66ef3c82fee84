"""The training doctor, which examines a model now and then and says what is wrong with it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn

from autoencode.randomness import seed_step, seeded
from autoencode.training.doctor.checkup import examine, probe_of
from autoencode.training.doctor.rules import RULES
from autoencode.training.plan import TrainingPlan
from autoencode.training.records import Diagnosis, EpochRecord
from autoencode.training.update import Update
from autoencode.types import Batch, Progress, Source

_PROBE, _PROBE_ENTRIES = 500, 1 << 22
_ENOUGH_HELD_OUT = 250
# An example of the probe costs about half of one in training, and a check in itself about two steps.
_EXAMPLES_APART, _STEPS_APART = 100, 200


class Doctor:
    """The training doctor of one model, which it examines after some of the epochs.

    It keeps nothing but its probe: what stood before is read from the records, so that a run that is
    taken up again gets the same diagnoses.

    Args:
        updates: what is minimised; the first one's objective is looked at.
        plan: the figures of the run.
        train: training examples.
        validation: held-out examples; they are probed when there are enough of them.
        seed: of the run.
        device: where it runs.
    """

    def __init__(
        self,
        updates: Sequence[Update],
        plan: TrainingPlan,
        train: Source,
        validation: Source | None,
        seed: int,
        device: torch.device,
    ) -> None:
        self.updates, self.plan, self.seed, self.device = updates, plan, seed, device
        self.n_train = len(train)
        self.n_steps = plan.n_epochs(self.n_train) * math.ceil(self.n_train / plan.batch_size)
        held_out = validation is not None and len(validation) >= _ENOUGH_HELD_OUT
        self._source = validation if held_out and validation is not None else train
        self._probe: Batch | None = None

    @property
    def every(self) -> int:
        """Number of epochs between checks, so that checks take less than 1 % of the time."""
        size = min(_PROBE, len(self._source))
        steps = math.ceil(self.n_train / self.plan.batch_size)
        apart = max(_EXAMPLES_APART * size / self.n_train, _STEPS_APART / steps)
        return math.ceil(apart)

    def diagnose(
        self, model: nn.Module, history: Sequence[EpochRecord], last: bool = False
    ) -> tuple[Diagnosis, ...]:
        """Diagnoses a model after the last epoch of the history.

        Args:
            model: as that epoch left it; nothing of it moves.
            history: all epochs.
            last: training ends here.
        """
        epoch = history[-1].epoch
        standing = history[-2].diagnoses if len(history) > 1 else ()
        if epoch % self.every and not last:
            return standing
        since = {diagnosis.rule: diagnosis.epoch for diagnosis in standing}
        with seeded(self.seed, self.device):
            seed_step(self.seed, -1, self.device)
            return self._check(model, history, since)

    @torch.no_grad()
    def _check(
        self, model: nn.Module, history: Sequence[EpochRecord], since: dict[str, int]
    ) -> tuple[Diagnosis, ...]:
        if self._probe is None:
            self._probe = self._gather()
        progress = Progress(history[-1].step, self.n_steps, self.n_train)
        checkup = examine(
            model,
            self.updates[0].objective,
            self._probe,
            history,
            self.plan,
            progress,
            alone=len(self.updates) == 1,
        )
        if checkup is None:
            return ()
        epoch, found = history[-1].epoch, []
        for rule in RULES:
            finding = rule(checkup)
            if finding is not None:
                name = rule.__name__
                found.append(Diagnosis(name, *finding, epoch=since.get(name, epoch)))
        return tuple(found)

    def _gather(self) -> Batch:
        first = next(iter(self._source.batches(1)))
        most = min(_PROBE, max(16, _PROBE_ENTRIES // first.x.numel()))
        return probe_of(self._source, most)
