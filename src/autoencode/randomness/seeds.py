"""Seeds, and the orders of examples that come from them."""

from __future__ import annotations

import torch
from torch import Tensor

_MASK = (1 << 63) - 1


def mix(*values: int) -> int:
    """Mixes integers into a well-spread 63-bit seed (splitmix64)."""
    state = 0
    for value in values:
        state = (state + value + 0x9E3779B97F4A7C15) & (1 << 64) - 1
        state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & (1 << 64) - 1
        state = (state ^ state >> 27) * 0x94D049BB133111EB & (1 << 64) - 1
        state ^= state >> 31
    return state & _MASK


def epoch_order(n: int, seed: int, epoch: int) -> Tensor:
    """Draws the order of the n examples in an epoch (from 0)."""
    generator = torch.Generator().manual_seed(mix(seed, 1, epoch))
    return torch.randperm(n, generator=generator)


def block_order(n: int, seed: int, epoch: int) -> Tensor:
    """Draws the order of n blocks of examples in an epoch that reads them block by block."""
    generator = torch.Generator().manual_seed(mix(seed, 3, epoch))
    return torch.randperm(n, generator=generator)


def window_order(n: int, seed: int, epoch: int, window: int) -> Tensor:
    """Draws the order of the n examples of a window of blocks that are shuffled together (from 0)."""
    generator = torch.Generator().manual_seed(mix(seed, 4, epoch, window))
    return torch.randperm(n, generator=generator)
