"""Objectives that run another one in bfloat16 or compiled, and the precision of float32 products.

Both are for training only: without gradients (validation) the objective runs as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from autoencode.errors import IncompatibleError
from autoencode.training.settings import Setting
from autoencode.types import Batch, Losses, Model, Objective, Output, Progress


@contextmanager
def products(precision: str, device: torch.device) -> Iterator[None]:
    """Sets how a CUDA GPU multiplies float32 in a block: exactly, or with 10-bit factors (tf32).

    Left alone, torch rounds in convolutions and not in matrix products. The settings are the process's,
    and as they were afterwards; on other devices nothing changes.
    """
    if device.type != "cuda":
        yield
        return
    wanted = "tf32" if precision == "tf32" else "ieee"
    with _cuda.held((wanted, wanted)):
        yield


def _read() -> tuple[str, ...]:
    return tuple(setting.fp32_precision for setting in _settings())


def _write(values: tuple[str, ...]) -> None:
    for setting, value in zip(_settings(), values, strict=True):
        setting.fp32_precision = value


def _settings() -> tuple[Any, ...]:
    return torch.backends.cuda.matmul, torch.backends.cudnn.conv  # type: ignore[attr-defined]


_cuda = Setting(_read, _write)


class Bfloat16:
    """An objective whose networks multiply in bfloat16.

    Weights, latents, likelihoods and losses stay float32: only the products inside the networks are
    rounded, to 8 bits.

    Args:
        objective: any objective.
    """

    def __init__(self, objective: Objective) -> None:
        self.objective = objective
        self.unit = objective.unit

    def __call__(self, model: Model, batch: Batch, progress: Progress) -> Losses:
        with torch.autocast(batch.x.device.type, torch.bfloat16, enabled=torch.is_grad_enabled()):
            return self.objective(model, batch, progress)

    def check(self, output: Output) -> None:
        """Checks what the wrapped objective asks for."""
        self.objective.check(output)


class Compiled:
    """An objective whose forward and backward passes are compiled at its first call.

    Takes seconds, once for each model. Batches of another size than the first one (the rest of an
    epoch) run as they are, so that nothing is compiled twice.

    Args:
        objective: any objective.
    """

    def __init__(self, objective: Objective) -> None:
        self.objective = objective
        self.unit = objective.unit
        self._shape: torch.Size | None = None
        self._compiled: Callable[[Model, Batch, Progress], Losses] | None = None

    def __call__(self, model: Model, batch: Batch, progress: Progress) -> Losses:
        if not torch.is_grad_enabled():
            return self.objective(model, batch, progress)
        if self._compiled is None:
            return self._first(model, batch, progress)
        if batch.x.shape != self._shape:
            return self.objective(model, batch, progress)
        return self._compiled(model, batch, progress)

    def _first(self, model: Model, batch: Batch, progress: Progress) -> Losses:
        """Compiles the objective; a machine without a compiler gets a clear error."""
        compiled = torch.compile(self.objective.__call__)
        try:
            losses = compiled(model, batch, progress)
        except torch._dynamo.exc.BackendCompilerFailed as error:
            reason = str(error).strip().splitlines()[0]
            raise IncompatibleError(
                f"compile=true needs a working C++ compiler ({reason}); install g++ or leave it out"
            ) from error
        self._shape, self._compiled = batch.x.shape, compiled
        return losses

    def check(self, output: Output) -> None:
        """Checks what the wrapped objective asks for."""
        self.objective.check(output)
