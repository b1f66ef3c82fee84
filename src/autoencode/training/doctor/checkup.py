"""The measurements of the training doctor: one probe of the model, and the training figures so far.

The probe is one forward pass in evaluation mode, through the objective that is trained, so that its
losses, its output and the activations of its layers belong together.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from autoencode.distributions import basic as distributions
from autoencode.training.plan import TrainingPlan
from autoencode.training.records import EpochRecord
from autoencode.types import Batch, Distribution, Objective, Observation, Output, Progress, Source

# They pass on what they are given (an empty Sequential, too), so that a unit that is dead before them
# would be counted twice.
_PASSIVE = (
    *(nn.Identity, nn.Sequential, nn.Flatten, nn.Unflatten),
    *(nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d),
)
# A unit that passes on less than this share of what its input varies by is constant. The flat side
# of LeakyReLU passes 0.01.
_CONSTANT = 1e-4
_FAR, _UNBOUNDED = 1e6, 100.0
_SPREAD_OVER = 20  # batches


@dataclass(frozen=True)
class Layer:
    """Activations of one layer over the probe; ``floor`` is the lowest of them all."""

    name: str
    kind: str
    units: int
    dead: int
    floor: float


@dataclass(frozen=True)
class Checkup:
    """The measurements of a model and its training that the doctor's rules judge by.

    Attributes:
        batch: the examples of the probe.
        output: what the model made of them.
        losses: named losses of the probe, ``loss`` is the total.
        layers: the activation layers in the order of their calls.
        reach: lowest and highest mean that the output can have, infinite where nothing bounds it.
        weights: weights of the objective's terms now, empty when it does not say.
        moving: whether those weights change during training.
        history: all epochs so far.
        plan: the figures of the run.
        progress: where training stands.
        n_codes: entries of the codebook, where there is one that says so.
        alone: there is one update only, so that its loss ought to fall.
        blended: held-out rows will tell how much of the network is used.
    """

    batch: Batch
    output: Output
    losses: Mapping[str, float]
    layers: tuple[Layer, ...]
    reach: tuple[float, float]
    weights: Mapping[str, float]
    moving: bool
    history: Sequence[EpochRecord]
    plan: TrainingPlan
    progress: Progress
    n_codes: int | None = None
    alone: bool = True
    blended: bool = False

    @property
    def size(self) -> int:
        """Number of entries in one example."""
        return self.batch.target[0].numel()


@dataclass
class _Watch:
    """The outputs and activations that hooks record during the probe."""

    output: Output | None = None
    layers: list[Layer] = field(default_factory=list)
    last: tuple[nn.Module, Tensor] | None = None
    params: Tensor | None = None

    def see_output(self, module: nn.Module, inputs: Any, output: Any) -> None:
        if self.output is None and isinstance(output, Output):
            self.output = output

    def see_params(self, module: nn.Module, inputs: Any, output: Any) -> None:
        if self.params is None and inputs and isinstance(inputs[0], Tensor):
            self.params = inputs[0]

    def see_layer(self, name: str) -> Callable[[nn.Module, Any, Any], None]:
        def see(module: nn.Module, inputs: Any, output: Any) -> None:
            if torch.is_grad_enabled():  # a term that takes derivatives passes by a second time
                return
            if not isinstance(output, Tensor) or not inputs or not isinstance(inputs[0], Tensor):
                return
            if output.shape == inputs[0].shape and output.dim() > 1:
                self.layers.append(_layer(name, module, inputs[0], output))
                self.last = module, output

        return see

    def squash(self) -> nn.Module | None:
        """Returns the activation that the decoder ends with, if it ends with one."""
        if self.last is None or self.params is None:
            return None
        module, output = self.last
        return module if torch.equal(output.flatten(), self.params.flatten()) else None


def _layer(name: str, module: nn.Module, given: Tensor, output: Tensor) -> Layer:
    """Counts the units, along axis 1 of (B, U, ...), that are constant while their input is not."""
    others = (0, *range(2, output.dim()))
    low, high = output.amin(others), output.amax(others)
    if given.data_ptr() == output.data_ptr():  # written in place: what was given is gone
        dead = high == low
    else:
        varied = given.amax(others) - given.amin(others)
        dead = (high - low <= _CONSTANT * varied) & (varied > 0)
    return Layer(name, type(module).__name__, len(low), int(dead.sum()), float(low.min()))


@contextmanager
def _watching(model: nn.Module) -> Iterator[_Watch]:
    """Records the output and the activations of the forward passes in a block."""
    watch = _Watch()
    handles = [model.register_forward_hook(watch.see_output)]
    likelihood = getattr(model, "likelihood", None)
    if isinstance(likelihood, nn.Module):
        handles.append(likelihood.register_forward_hook(watch.see_params))
    for name, module in model.named_modules():
        leaf = next(module.children(), None) is None and next(module.parameters(), None) is None
        if leaf and not isinstance(module, _PASSIVE):
            handles.append(module.register_forward_hook(watch.see_layer(name)))
    try:
        yield watch
    finally:
        for handle in handles:
            handle.remove()


def examine(
    model: nn.Module,
    objective: Objective,
    batch: Batch,
    history: Sequence[EpochRecord],
    plan: TrainingPlan,
    progress: Progress,
    alone: bool = True,
) -> Checkup | None:
    """Probes a model in its current state; returns ``None`` when the objective never calls it.

    Nothing of the model moves: it runs in evaluation mode and without gradients.
    """
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad(), _watching(model) as watch:
            losses = objective(model, batch, progress)  # type: ignore[arg-type]
    finally:
        model.train(was_training)
    if watch.output is None:
        return None
    ends = [_weights(objective, Progress(i, 4, progress.n_train)) for i in range(5)]
    bottleneck = getattr(model, "bottleneck", None)
    return Checkup(
        batch=batch,
        output=watch.output,
        losses={"loss": float(losses.total), **{n: float(v) for n, v in losses.terms.items()}},
        layers=tuple(watch.layers),
        reach=_reach(model, watch.output.x_dist, watch.squash(), batch.target.device),
        weights=_weights(objective, progress),
        moving=any(weights != ends[0] for weights in ends),
        history=history,
        plan=plan,
        progress=progress,
        n_codes=getattr(bottleneck, "n_codes", None),
        alone=alone,
        blended=bool(getattr(model, "blended", False)),
    )


def _weights(objective: Any, progress: Progress) -> Mapping[str, float]:
    """Returns the weights that an objective, or the one that it wraps, gives its terms."""
    while hasattr(objective, "objective"):
        objective = objective.objective
    weights = getattr(objective, "weights", None)
    found: Mapping[str, float] = weights(progress) if callable(weights) else {}
    return found


def is_bernoulli(x_dist: Observation | Distribution) -> bool:
    """Tells whether p(x|z) is a product of Bernoulli distributions, ours or torch's."""
    inner = getattr(x_dist, "base_dist", x_dist)
    return isinstance(inner, distributions.Bernoulli | torch.distributions.Bernoulli)


def _reach(
    model: nn.Module, x_dist: Observation, squash: nn.Module | None, device: torch.device
) -> tuple[float, float]:
    """Finds the lowest and highest mean of p(x|z) by trying very small and very large outputs."""
    ends = torch.tensor([-_FAR, _FAR], device=device)
    link = getattr(getattr(model, "likelihood", None), "link", None)
    if squash is not None:
        ends = squash(ends)
    if is_bernoulli(x_dist):
        ends = ends.sigmoid()
    elif link is not None:
        ends = link.forward(ends)
    low, high = ends.tolist()
    return (
        -math.inf if low < -_UNBOUNDED else low,
        math.inf if high > _UNBOUNDED else high,
    )


def probe_of(source: Source, most: int) -> Batch:
    """Takes up to ``most`` examples, evenly spread over the first ones of a source."""
    size = max(1, most)
    stride = math.ceil(min(len(source), _SPREAD_OVER * size) / size)
    parts = [
        Batch(
            batch.x[::stride],
            batch.target[::stride],
            None if batch.context is None else batch.context[::stride],
            None if batch.mask is None else batch.mask[::stride],
        )
        for batch in itertools.islice(source.batches(size), _SPREAD_OVER)
    ]
    x = torch.cat([part.x for part in parts])
    same = all(part.target is part.x for part in parts)
    return Batch(
        x,
        x if same else torch.cat([part.target for part in parts]),
        _joined([part.context for part in parts]),
        _joined([part.mask for part in parts]),
    )


def _joined(parts: Sequence[Tensor | None]) -> Tensor | None:
    there = [part for part in parts if part is not None]
    return torch.cat(there) if there else None
