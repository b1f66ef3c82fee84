"""Training steps recorded once and replayed as CUDA graphs.

A small network's step is some hundred kernels that take longer to start than to run. A graph starts all
of them at once. What is recorded reads from tensors that stay where they are::

    batch ──copy──┐
    rate  ──fill──┤  recorded: forward, backward, optimiser  ──> losses, parameters in place
    seed  ─────── ┘  (torch hands the generator's seed to every replay)

Steps on batches of another size, and the first few, are taken as they are. Nothing here knows of CUDA
but ``CudaGraphs``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from autoencode import parallel
from autoencode.training.plan import TrainingPlan
from autoencode.training.update import Stepper
from autoencode.types import Batch, Progress

_WARM_UP = 3  # steps, in which libraries choose their kernels and claim their memory

Step = Callable[[], dict[str, Tensor]]


class Recorder(Protocol):
    """A way to record and replay training steps."""

    def warm(self, step: Step) -> dict[str, Tensor]:
        """Takes a step without recording it, on memory that recording will find prepared."""

    def record(self, step: Step) -> tuple[Callable[[], None], dict[str, Tensor]]:
        """Records a step without taking it; returns the function that takes it, and its losses.

        Raises:
            RuntimeError: the step does what cannot be recorded.
        """


class CudaGraphs:
    """A recorder that uses CUDA graphs."""

    def warm(self, step: Step) -> dict[str, Tensor]:
        """Takes a step on a stream of its own, as torch's manual asks for."""
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            losses = step()
        torch.cuda.current_stream().wait_stream(stream)
        return losses

    def record(self, step: Step) -> tuple[Callable[[], None], dict[str, Tensor]]:
        """Records a step into a new graph."""
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            losses = step()
        return graph.replay, losses


def recorder_for(device: torch.device) -> Recorder | None:
    """Returns the recorder for a device, ``None`` where recording is not worth it."""
    return CudaGraphs() if device.type == "cuda" else None


class _Watched(Progress):
    """A ``Progress`` that notes whether anybody reads the step, which a replay could not know."""

    asked = False

    def __getattribute__(self, name: str) -> Any:
        if name in ("step", "fraction"):
            object.__setattr__(self, "asked", True)
        return super().__getattribute__(name)


@dataclass(frozen=True)
class _Static:
    """The tensors at fixed addresses that a recorded step reads from."""

    batch: Batch
    rate: Tensor

    @classmethod
    def like(cls, batch: Batch, rate: Tensor) -> _Static:
        x = batch.x.clone()
        target = x if batch.target is batch.x else batch.target.clone()
        others = (None if t is None else t.clone() for t in (batch.context, batch.mask))
        return cls(Batch(x, target, *others), rate)

    def fits(self, batch: Batch) -> bool:
        """Tells whether a batch has the same tensors of the same shapes."""
        mine, given = _tensors(self.batch), _tensors(batch)
        return [None if t is None else t.shape for t in mine] == [
            None if t is None else t.shape for t in given
        ]

    def fill(self, batch: Batch) -> None:
        for mine, given in zip(_tensors(self.batch), _tensors(batch), strict=True):
            if mine is not None and given is not None:
                mine.copy_(given, non_blocking=True)


def _tensors(batch: Batch) -> tuple[Tensor | None, ...]:
    target = None if batch.target is batch.x else batch.target
    return batch.x, target, batch.context, batch.mask


class Replayed:
    """A stepper that replays its steps on full batches, once they can be recorded.

    When they cannot, it takes them as they are and says why.

    Args:
        stepper: takes the steps.
        rows: examples of a full batch.
        recorder: records.
        tell: is told in one line why steps are not replayed.
    """

    def __init__(
        self, stepper: Stepper, rows: int, recorder: Recorder, tell: Callable[[str], None]
    ) -> None:
        self.stepper, self.rows, self.recorder, self._tell = stepper, rows, recorder, tell
        self._to_warm = _WARM_UP
        self._static: _Static | None = None
        self._replay: Callable[[], None] | None = None
        self._losses: dict[str, Tensor] = {}
        device = stepper.parameters[0].device
        # What the fused optimiser of each device reads: float32 on a GPU.
        kind = torch.float64 if device.type == "cpu" else torch.float32
        self._rate: Tensor | None = torch.ones((), dtype=kind, device=device)
        self._refuse(_unfit(stepper))

    def step(
        self,
        batch: Batch,
        progress: Progress | None = None,
        rate: float = 1.0,
        total: int | None = None,
    ) -> dict[str, Tensor]:
        """Takes a step as ``Stepper.step`` does; the losses are valid until the next step."""
        if self._rate is None:
            return self.stepper.step(batch, progress, rate, total)
        progress = progress or Progress()
        self._rate.fill_(rate)
        if self._static is None and len(batch.x) == self.rows and not self._to_warm:
            self._record(batch, progress)
            if self._rate is None:
                return self.stepper.step(batch, progress, rate, total)
        if self._replay is None or self._static is None or not self._static.fits(batch):
            return self._as_it_is(batch, progress, total)
        self._static.fill(batch)
        self._replay()
        return self._losses

    def _as_it_is(self, batch: Batch, progress: Progress, total: int | None) -> dict[str, Tensor]:
        rate = self._rate
        assert rate is not None

        def step() -> dict[str, Tensor]:
            return self.stepper.step(batch, progress, rate, total)

        if not self._to_warm or len(batch.x) != self.rows:
            return step()
        self._to_warm -= 1
        return self.recorder.warm(step)

    def _record(self, batch: Batch, progress: Progress) -> None:
        assert self._rate is not None
        static = _Static.like(batch, self._rate)
        watched = _Watched(progress.step, progress.n_steps, progress.n_train)
        held = _held(self.stepper)
        reason = None
        try:
            self._replay, self._losses = self.recorder.record(
                lambda: self.stepper.step(static.batch, watched, static.rate, self.rows)
            )
        except RuntimeError as error:  # how torch says it, of whatever kind it is
            reason = str(error).strip().partition("\n")[0] or type(error).__name__
            for optimizer in self.stepper.optimizers:
                optimizer.zero_grad()
        if watched.asked:
            reason = "an objective changes with the step"
        if _put_back(held):
            reason = "a module replaces one of its buffers, where it should write into it"
        self._static = static
        self._refuse(reason)

    def _refuse(self, reason: str | None) -> None:
        if reason is not None:
            self._rate = self._replay = self._static = None
            self._losses = {}
            self._tell(f"steps are not replayed as a CUDA graph: {reason}")


def _unfit(stepper: Stepper) -> str | None:
    """Explains why steps cannot be recorded, as far as can be told before trying; else ``None``."""
    if parallel.current().world > 1:
        return "several processes train together"
    if stepper.check_gradients:
        return "non_finite=skip looks at every step"
    if any(update.every > 1 for update in stepper.updates):
        return "an update takes its turn at some steps only"
    if not all(getattr(optimizer, "replayable", False) for optimizer in stepper.optimizers):
        return "its optimiser is not one of ours"
    return None


def _held(stepper: Stepper) -> list[tuple[nn.Module, str, Tensor | None]]:
    """Lists every buffer with its module and name, to see whether a step replaces one."""
    modules = [module for update in stepper.updates for module in update.modules]
    if isinstance(stepper.model, nn.Module):
        modules.append(stepper.model)
    return [
        (module, name, buffer)
        for whole in modules
        for module in whole.modules()
        for name, buffer in module._buffers.items()
    ]


def _put_back(held: list[tuple[nn.Module, str, Tensor | None]]) -> bool:
    """Puts back the buffers that were replaced and tells whether any was."""
    moved = [(m, name, buffer) for m, name, buffer in held if m._buffers[name] is not buffer]
    for module, name, buffer in moved:
        module._buffers[name] = buffer
    return bool(moved)


def replayed(
    stepper: Stepper, plan: TrainingPlan, device: torch.device, tell: Callable[[str], None]
) -> Stepper | Replayed:
    """Returns the stepper, or one that replays its steps where the plan and the device allow it."""
    recorder = recorder_for(device) if plan.replay == "auto" else None
    return stepper if recorder is None else Replayed(stepper, plan.batch_size, recorder, tell)
