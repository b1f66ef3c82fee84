"""Values over the whole batch of a step, of which each process holds some rows."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from autoencode.errors import IncompatibleError
from autoencode.parallel.group import Group, Share, current, current_share


def global_batch(rows: Tensor, axis: int = 0) -> Tensor:
    """Gathers the whole batch, in the order of one process, from the rows of all processes.

    For terms that couple the examples of a batch (a discrepancy, a covariance, a codebook).
    Differentiable, and right for whatever follows: the averaged gradient is that of one process.
    Every process must call it, in the same order. The identity in one process.

    Args:
        rows: this process's part; any shape.
        axis: along which the examples lie; 1 for (S, B, *Z).
    """
    share = current_share()
    if share is None:
        return rows
    whole: Tensor = _Gather.apply(rows.movedim(axis, 0), current(), share)  # type: ignore[no-untyped-call]
    return whole.movedim(0, axis)


def batch_sum(values: Tensor) -> Tensor:
    """Sums values over all processes, without gradients; for counts and running statistics."""
    if current_share() is None:
        return values
    return current().sum_(values.detach().clone())


def batch_weight() -> float:
    """Returns the share of the batch that this process has, 1 in one process."""
    share = current_share()
    return 1.0 if share is None else share.weight


class _Gather(torch.autograd.Function):
    """An autograd function that interleaves the rows of all processes."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, group: Group, share: Share) -> Tensor:
        if len(rows) != share.rows:
            raise IncompatibleError(
                f"global_batch got {len(rows)} rows and this process has {share.rows} of the batch; "
                "give the axis of the examples"
            )
        ctx.group, ctx.share = group, share
        padded = rows.new_zeros((-(-share.total // share.world), *rows.shape[1:]))
        padded[: len(rows)] = rows
        return group.gather(padded).transpose(0, 1).flatten(0, 1)[: share.total].contiguous()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        # The loss of the whole batch is the weighted mean of the processes' losses, and the averaging
        # of the parameters' gradients will apply the weight of this process.
        share: Share = ctx.share
        whole = gradient * share.weight if share.rows else torch.zeros_like(gradient)
        rows = share.of(ctx.group.sum_(whole.contiguous()))
        return (rows / share.weight if share.rows else rows), None, None
