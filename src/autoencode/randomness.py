"""Randomness that depends on nothing but the seed and the position in training.

The order of an epoch comes from (seed, epoch) and the noise of a step from (seed, step), so a run can
be taken up anywhere without saving the state of a generator. Among many processes the noise of a step
is drawn for the whole batch and each keeps its own rows, so it is that of one process.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from autoencode import parallel

_MASK = (1 << 63) - 1
_DRAWING = 5  # beside the numbers of the other streams, below


def mix(*values: int) -> int:
    """A well-spread 63-bit seed from integers (splitmix64)."""
    state = 0
    for value in values:
        state = (state + value + 0x9E3779B97F4A7C15) & (1 << 64) - 1
        state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & (1 << 64) - 1
        state = (state ^ state >> 27) * 0x94D049BB133111EB & (1 << 64) - 1
        state ^= state >> 31
    return state & _MASK


def epoch_order(n: int, seed: int, epoch: int) -> Tensor:
    """The order in which the n examples come in an epoch (from 0)."""
    generator = torch.Generator().manual_seed(mix(seed, 1, epoch))
    return torch.randperm(n, generator=generator)


def block_order(n: int, seed: int, epoch: int) -> Tensor:
    """The order in which n blocks of examples come in an epoch that reads them block by block."""
    generator = torch.Generator().manual_seed(mix(seed, 3, epoch))
    return torch.randperm(n, generator=generator)


def window_order(n: int, seed: int, epoch: int, window: int) -> Tensor:
    """The order of the n examples of some blocks that are shuffled together (from 0)."""
    generator = torch.Generator().manual_seed(mix(seed, 4, epoch, window))
    return torch.randperm(n, generator=generator)


def seed_step(seed: int, step: int, device: torch.device) -> None:
    """Sets the generators that the noise of a step is drawn from."""
    value = mix(seed, 2, step)
    # torch.manual_seed does this for every backend there is, at a hundred times the cost.
    torch.default_generator.manual_seed(value)
    if device.type == "cuda":
        torch.cuda.manual_seed(value)
    elif device.type == "mps":
        torch.mps.manual_seed(value)


@contextmanager
def seeded(seed: int, device: torch.device | None = None) -> Iterator[None]:
    """Runs a block from a seed and gives the caller's random state back afterwards."""
    devices = [device] if device is not None and device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(mix(seed))
        yield


# Like torch's generators it belongs to the process; a compiled step can read it, as no ContextVar.
_common = False


@contextmanager
def common_noise() -> Iterator[None]:
    """Gives every example of a batch the same draws inside the block.

    An estimate is then the same for the same example, whatever stands beside it.
    """
    global _common
    before, _common = _common, True
    try:
        yield
    finally:
        _common = before


@contextmanager
def drawing(seed: int, device: torch.device | None = None) -> Iterator[None]:
    """Runs a block that draws from a trained model, and gives the caller's random state back.

    The first weights of a model come from its seed. Draws that are compared with some of them (the
    components of a prior) must not be the same numbers again, whatever the seed.
    """
    with seeded(mix(seed, _DRAWING), device):
        yield


def standard_normal(shape: tuple[int, ...], like: Tensor, axis: int | None = None) -> Tensor:
    """Draws from N(0, 1) with the dtype and device of ``like``.

    Args:
        shape: of the result.
        like: dtype and device.
        axis: along which the examples of the batch lie, ``None`` where none do.
    """
    if axis is not None and _common:
        one = (*shape[:axis], 1, *shape[axis:][1:])
        return torch.randn(one, device=like.device, dtype=like.dtype).expand(shape)
    share = parallel.current_share()
    # What has another length along that axis than the batch has belongs to the model.
    if share is None or axis is None or shape[axis] != share.rows:
        return torch.randn(shape, device=like.device, dtype=like.dtype)
    whole = list(shape)
    whole[axis] = share.total
    return share.of(torch.randn(whole, device=like.device, dtype=like.dtype), axis)


def normal_like(x: Tensor) -> Tensor:
    """Draws from N(0, 1) for examples x (B, ...)."""
    share = parallel.current_share()
    if share is None or len(x) != share.rows:
        return torch.randn_like(x)
    return share.of(torch.randn_like(x.new_empty((share.total, *x.shape[1:]))))


def uniform_like(x: Tensor) -> Tensor:
    """Draws from the uniform distribution on [0, 1) for examples x (B, ...)."""
    share = parallel.current_share()
    if share is None or len(x) != share.rows:
        return torch.rand_like(x)
    return share.of(torch.rand_like(x.new_empty((share.total, *x.shape[1:]))))


def uniform(shape: tuple[int, ...], like: Tensor) -> Tensor:
    """Draws from the uniform distribution on [0, 1) that belong to the model: the same everywhere."""
    return torch.rand(shape, device=like.device, dtype=like.dtype)


def permuted(rows: Tensor) -> Tensor:
    """Examples (B, Z) with every column shuffled by itself over the whole batch.

    What is left are draws from the product of the columns' distributions.
    """
    whole = parallel.global_batch(rows)
    order = torch.rand_like(whole).argsort(0)
    shuffled = whole.gather(0, order)
    share = parallel.current_share()
    return shuffled if share is None else share.of(shuffled)
