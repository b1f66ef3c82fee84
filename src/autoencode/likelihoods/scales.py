"""Scales of columns that are learned beside the networks, one number for each column."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

# Standard deviations of a column from a thousandth of its own to a thousand times as much; raw
# columns, which nothing has scaled, may be far wider still.
MIN_LOG_SCALE, MAX_LOG_SCALE = -7.0, 30.0
# What a parameter is multiplied by. Adam moves a number by its rate at each step, of which a hundred
# have to take a log-scale from 0 to -3.
_GAIN = 10.0


class Bounded(torch.autograd.Function):
    """A number kept within bounds, which a gradient that would bring it back still reaches.

    ``clamp`` has no gradient outside: a scale that went beyond a bound would stay there, whatever the
    errors become.
    """

    @staticmethod
    def forward(x: Tensor, low: float, high: float) -> Tensor:
        return x.clamp(low, high)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, float, float], output: Tensor) -> None:
        ctx.save_for_backward(inputs[0])
        ctx.bounds = inputs[1:]

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None, None]:
        (x,) = ctx.saved_tensors
        low, high = ctx.bounds
        # A step goes against the slope.
        farther = ((x <= low) & (slope > 0)) | ((x >= high) & (slope < 0))
        return slope.masked_fill(farther, 0.0), None, None


class LearnedLog(nn.Module):
    """Logarithms of positive numbers that are learned, one for each column, within bounds.

    Args:
        n: how many.
        start: of the logarithms, where training begins.
        low, high: bounds of the logarithms.
        before: what they were before they were learned, in files of that time; ``start`` by default.

    Example:
        >>> logs = LearnedLog(2)
        >>> logs.set(torch.tensor([-3.0, -100.0]))
        >>> [round(v, 4) for v in logs().tolist()]
        [-3.0, -7.0]
    """

    def __init__(
        self,
        n: int,
        start: float = 0.0,
        low: float = MIN_LOG_SCALE,
        high: float = MAX_LOG_SCALE,
        before: float | None = None,
    ) -> None:
        super().__init__()
        self.start, self.low, self.high = start, low, high
        self.before = start if before is None else before
        # One axis, so that Muon takes it for no matrix and leaves it to Adam.
        self.moved = nn.Parameter(torch.zeros(n))

    def forward(self) -> Tensor:
        if not (self.moved.requires_grad and torch.is_grad_enabled()):  # nor in what is exported
            return (self.start + _GAIN * self.moved).clamp(self.low, self.high)
        logs: Tensor = Bounded.apply(self.start + _GAIN * self.moved, self.low, self.high)  # type: ignore[no-untyped-call]
        return logs

    @torch.no_grad()
    def set(self, logs: Tensor) -> None:
        """Sets the logarithms (n,), within their bounds."""
        self.moved.copy_((logs.clamp(self.low, self.high) - self.start) / _GAIN)

    def complete(self, state: dict[str, Tensor], prefix: str) -> None:
        """Adds what files from before these were learned lack."""
        moved = (self.before - self.start) / _GAIN
        state.setdefault(f"{prefix}moved", torch.full((len(self.moved),), moved, device="cpu"))


def log_scale_of(variance: Tensor) -> Tensor:
    """Computes the log-scale (*D) at which squared errors of that mean (*D) are likeliest.

    >>> round(log_scale_of(torch.tensor(0.01)).exp().item(), 4)
    0.1
    """
    return 0.5 * variance.clamp_min(torch.finfo(variance.dtype).tiny).log()
