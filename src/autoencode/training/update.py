"""Updates, each of one optimiser, and the stepper that takes them in turn."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from autoencode import parallel
from autoencode.errors import IncompatibleError
from autoencode.training.gradients import Average
from autoencode.training.optimizers import Optimizer, OptimizerFactory
from autoencode.types import Batch, Model, Objective, Progress


class NonFiniteError(ArithmeticError):
    """An error for a loss or gradient that is not finite; the parameters are unchanged."""


@dataclass(frozen=True)
class Update:
    """An objective, the modules that it may move, and their optimiser.

    Attributes:
        objective: called as ``objective(model, batch, progress)``; runs its own forward pass, so no
            two updates share a graph.
        modules: the modules whose parameters move; all others are frozen meanwhile.
        optimizer: makes the optimiser over their parameters; the training plan's when ``None``.
        every: takes its turn at every so many steps.
    """

    objective: Objective
    modules: tuple[nn.Module, ...]
    optimizer: OptimizerFactory | None = None
    every: int = 1

    def parameters(self) -> list[nn.Parameter]:
        """Lists the trainable parameters that the update owns, each once."""
        seen: dict[int, nn.Parameter] = {}
        for module in self.modules:
            for parameter in module.parameters():
                if parameter.requires_grad:
                    seen.setdefault(id(parameter), parameter)
        return list(seen.values())


@contextmanager
def only(owned: Sequence[nn.Parameter], everything: Sequence[nn.Parameter]) -> Iterator[None]:
    """Freezes all parameters but the owned ones, so that no gradient can reach them."""
    mine = {id(p) for p in owned}
    frozen = [p for p in everything if id(p) not in mine]
    for parameter in frozen:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in frozen:
            parameter.requires_grad_(True)


class Stepper:
    """A training step: every update in its turn.

    Use it in a loop of your own::

        stepper = Stepper(model, recipe.updates, plan.make_optimizer)
        for batch in batches:
            losses = stepper.step(batch, Progress(step, n_steps, n_train))

    Args:
        model: the model that the objectives are called with.
        updates: the turns in order.
        make_optimizer: for updates that bring no optimiser of their own.
        check_gradients: look at every gradient before parameters move, besides the loss.
        average: makes what averages the gradients of some parameters over all processes.
        helpers: modules besides the model whose state belongs to training, by name.

    Raises:
        IncompatibleError: when two updates own the same parameter, or one owns none.
    """

    def __init__(
        self,
        model: Model,
        updates: Sequence[Update],
        make_optimizer: OptimizerFactory,
        check_gradients: bool = False,
        average: Callable[[Sequence[nn.Parameter]], Average] = Average,
        helpers: Mapping[str, nn.Module] | None = None,
    ) -> None:
        self.model = model
        self.helpers = dict(helpers or {})
        self.check_gradients = check_gradients
        self.updates = tuple(updates)
        self._owned = [update.parameters() for update in self.updates]
        self._all = [p for owned in self._owned for p in owned]
        if len({id(p) for p in self._all}) < len(self._all):
            raise IncompatibleError("two updates own the same parameter; give each its own modules")
        if not all(self._owned):
            raise IncompatibleError("an update owns no trainable parameter; check its modules")
        # What no update owns is frozen as well, or gradients would pile up in it.
        mine = {id(p) for p in self._all}
        modules = [model] if isinstance(model, nn.Module) else []
        for module in [*modules, *self.helpers.values()]:
            free = [p for p in module.parameters() if p.requires_grad and id(p) not in mine]
            self._all += free
            mine |= {id(p) for p in free}
        self.optimizers: list[Optimizer] = [
            (update.optimizer or make_optimizer)(owned)
            for update, owned in zip(self.updates, self._owned, strict=True)
        ]
        self._averages = [average(owned) for owned in self._owned]

    @property
    def parameters(self) -> list[nn.Parameter]:
        """All parameters, of the updates and of the model."""
        return self._all

    @property
    def buffers(self) -> list[Tensor]:
        """All buffers, of the updates' modules and of the model."""
        modules = [module for update in self.updates for module in update.modules]
        modules += self.helpers.values()
        if isinstance(self.model, nn.Module):
            modules.append(self.model)
        return list({id(b): b for module in modules for b in module.buffers()}.values())

    def step(
        self,
        batch: Batch,
        progress: Progress | None = None,
        rate: float | Tensor = 1.0,
        total: int | None = None,
    ) -> dict[str, Tensor]:
        """Takes one training step.

        Args:
            batch: the examples; this process's, where there are many (``parallel``).
            progress: where training stands.
            rate: factor on the learning rates; a scalar tensor for optimisers that are ``replayable``.
            total: examples of the batch over all processes; counted when ``None``.

        Returns:
            The named losses over the whole batch, detached scalars; ``loss`` is the first update's
            total.

        Raises:
            NonFiniteError: when the loss is not finite (on the CPU, where looking costs nothing) or,
                with ``check_gradients``, a gradient. The update whose turn it was moved nothing.
        """
        progress = progress or Progress()
        group = parallel.current()
        if group.world == 1:
            return self._turns(batch, progress, rate)
        if total is None:
            total = int(group.sum_(torch.tensor(len(batch.x))))
        with parallel.sharing(total):
            return self._turns(batch, progress, rate)

    def _turns(self, batch: Batch, progress: Progress, rate: float | Tensor) -> dict[str, Tensor]:
        losses: dict[str, Tensor] = {}
        for i, update in enumerate(self.updates):
            if update.every > 1 and progress.step % update.every:
                continue
            if len(self._owned[i]) == len(self._all):
                turn = self._turn(i, batch, progress, rate)
            else:
                with only(self._owned[i], self._all):
                    turn = self._turn(i, batch, progress, rate)
            if i:  # `loss` is the first update's, or nobody's
                del turn["loss"]
            losses = turn | losses
        return losses

    def _turn(
        self, i: int, batch: Batch, progress: Progress, rate: float | Tensor
    ) -> dict[str, Tensor]:
        losses = self.updates[i].objective(self.model, batch, progress)
        share = parallel.current_share()
        total = losses.total if share is None else self._averages[i].weighed(losses.total, share)
        total.backward()
        values = {"loss": losses.total.detach(), **losses.terms}
        if share is not None:
            values = self._averages[i](values, share)
        self._refuse_non_finite(i, values)
        self.optimizers[i].step(rate)  # type: ignore[arg-type]  # tensors for those that take them
        self.optimizers[i].zero_grad()
        return values

    def _refuse_non_finite(self, i: int, losses: Mapping[str, Tensor]) -> None:
        if losses["loss"].device.type != "cpu" and not self.check_gradients:
            return  # it would stall the queue; the loop looks at the end of the epoch
        bad = None
        if not math.isfinite(losses["loss"].item()):
            terms = [n for n in losses if n != "loss" and not math.isfinite(losses[n].item())]
            bad = f"{', '.join(terms or ['loss'])} became {losses[(terms or ['loss'])[0]].item()}"
        elif self.check_gradients:
            gradients = [p.grad for p in self._owned[i] if p.grad is not None]
            # A sum of norms is finite if all of them are, and is one number to read.
            if not math.isfinite(torch.stack(torch._foreach_norm(gradients)).sum().item()):
                bad = "a gradient was not finite"
        if bad is not None:
            self.optimizers[i].zero_grad()
            raise NonFiniteError(bad)
