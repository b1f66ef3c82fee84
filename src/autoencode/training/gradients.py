"""Gradients and losses averaged over the examples of all processes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from autoencode import parallel
from autoencode.parallel import Share


class Average:
    """A callable that averages gradients over all processes, in one exchange for each dtype.

    DistributedDataParallel does this in hooks of one module's ``forward``; objectives call other
    methods as well, and several updates freeze each other's parameters. Here it is done once, after
    ``backward``. Memory for a copy of the gradients is kept, from the first call on.

    Args:
        parameters: whose gradients.
    """

    def __init__(self, parameters: Sequence[nn.Parameter]) -> None:
        self.parameters = list(parameters)
        self._flats: dict[torch.dtype, Tensor] = {}
        self._views: list[Tensor] = []
        self._tail = torch.empty(0)  # losses, then a count for each parameter

    @torch.no_grad()
    def __call__(self, losses: Mapping[str, Tensor], share: Share) -> dict[str, Tensor]:
        """Replaces the gradients and returns the losses over the whole batch.

        Args:
            losses: this process's, scalars; the same names on all processes.
            share: this process's part of the batch, by which it counts.
        """
        if len(self._tail) != len(losses) + len(self.parameters):
            self._allocate(len(losses))
        present = self._collect(losses, share)
        for flat in self._flats.values():
            parallel.current().sum_(flat)
        values, counts = self._tail[: len(losses)].clone(), self._tail[len(losses) :]
        # Reading the counts would stall a GPU's queue; who has all gradients knows what they say.
        used = [True] * len(present) if all(present) else (counts > 0).tolist()
        for parameter, view, there in zip(self.parameters, self._views, used, strict=True):
            parameter.grad = view if there else None
        return dict(zip(losses, values.unbind(), strict=True))

    def _allocate(self, n_losses: int) -> None:
        """Allocates a buffer for each dtype, with views for the gradients and a tail for the losses."""
        n_tail = n_losses + len(self.parameters)
        sizes = {torch.float32: n_tail}
        for p in self.parameters:
            sizes[p.dtype] = sizes.get(p.dtype, 0) + p.numel()
        device = self.parameters[0].device
        self._flats = {d: torch.zeros(n, dtype=d, device=device) for d, n in sizes.items()}
        self._tail = self._flats[torch.float32][:n_tail]
        ends = {torch.float32: n_tail}
        self._views = []
        for p in self.parameters:
            start = ends.get(p.dtype, 0)
            ends[p.dtype] = start + p.numel()
            # Optimisers that see memory, not shapes, need the parameter's own layout.
            self._views.append(self._flats[p.dtype].as_strided(p.shape, p.stride(), start))

    def _collect(self, losses: Mapping[str, Tensor], share: Share) -> list[bool]:
        """Fills the buffers with this process's part of the averages."""
        present = [p.grad is not None for p in self.parameters]
        # Means over no rows are not numbers, and what has no gradient adds nothing.
        if not share.rows or not all(present):
            for flat in self._flats.values():
                flat.zero_()
        if share.rows:
            views = [v for v, there in zip(self._views, present, strict=True) if there]
            if views:
                torch._foreach_copy_(views, [p.grad for p in self.parameters if p.grad is not None])
            self._tail[: len(losses)] = torch.stack([v.to(self._tail) for v in losses.values()])
            self._weigh(len(losses), share)
        counts = self._tail[len(losses) :]
        if all(present):  # without a copy from the processor, which would wait for the device
            counts.fill_(1.0)
        else:
            counts.copy_(torch.tensor([float(there) for there in present]))
        return present

    def weighed(self, total: Tensor, share: Share) -> Tensor:
        """Returns the loss for ``backward``, unchanged: gradients are weighted later."""
        return total

    def _weigh(self, n_losses: int, share: Share) -> None:
        """Weights the buffers by this process's share; the tail begins with ``n_losses`` losses."""
        for flat in self._flats.values():
            flat.mul_(share.weight)
