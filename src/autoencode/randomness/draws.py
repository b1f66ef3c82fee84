"""What the parts of this package draw with: the noise of the call in work (see ``noise``)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from autoencode import parallel
from autoencode.randomness.noise import generator_for, is_common
from autoencode.randomness.redirected import drop


def standard_normal(shape: tuple[int, ...], like: Tensor, axis: int | None = None) -> Tensor:
    """Draws N(0, 1) noise with the dtype and device of ``like``.

    Args:
        shape: of the result.
        like: dtype and device.
        axis: along which the examples of the batch lie, ``None`` where none do.
    """
    if axis is not None and is_common():
        one = (*shape[:axis], 1, *shape[axis:][1:])
        return _normal(one, like).expand(shape)
    share = parallel.current_share()
    # What has another length along that axis than the batch has belongs to the model.
    if share is None or axis is None or shape[axis] != share.rows:
        return _normal(shape, like)
    whole = list(shape)
    whole[axis] = share.total
    return share.of(_normal(tuple(whole), like), axis)


def normal_like(x: Tensor) -> Tensor:
    """Draws N(0, 1) noise for examples x (B, ...)."""
    share = parallel.current_share()
    if share is None or len(x) != share.rows:
        return normal_entries(x)
    return share.of(normal_entries(x.new_empty((share.total, *x.shape[1:]))))


def uniform_like(x: Tensor) -> Tensor:
    """Draws noise from the uniform distribution on [0, 1) for examples x (B, ...)."""
    share = parallel.current_share()
    if share is None or len(x) != share.rows:
        return uniform_entries(x)
    return share.of(uniform_entries(x.new_empty((share.total, *x.shape[1:]))))


def uniform(shape: tuple[int, ...], like: Tensor) -> Tensor:
    """Draws uniform noise on [0, 1) for the model as a whole: the same on all processes."""
    generator = generator_for(like.device)
    return torch.rand(shape, generator=generator, device=like.device, dtype=like.dtype)


def permuted(rows: Tensor) -> Tensor:
    """Shuffles every column of examples (B, Z) by itself over the whole batch.

    What is left are draws from the product of the columns' distributions.
    """
    whole = parallel.global_batch(rows)
    order = uniform_entries(whole).argsort(0)
    shuffled = whole.gather(0, order)
    share = parallel.current_share()
    return shuffled if share is None else share.of(shuffled)


def _normal(shape: tuple[int, ...], like: Tensor) -> Tensor:
    generator = generator_for(like.device)
    return torch.randn(shape, generator=generator, device=like.device, dtype=like.dtype)


# Draws that know nothing of the batch: each process makes its own.


def normal_entries(like: Tensor) -> Tensor:
    """Draws from N(0, 1), one for each entry of a tensor."""
    generator = generator_for(like.device)
    if generator is None:
        return torch.randn_like(like)
    return torch.empty_like(like).normal_(generator=generator)


def uniform_entries(like: Tensor) -> Tensor:
    """Draws from the uniform distribution on [0, 1), one for each entry of a tensor."""
    generator = generator_for(like.device)
    if generator is None:
        return torch.rand_like(like)
    return torch.empty_like(like).uniform_(generator=generator)


def bernoulli(probabilities: Tensor) -> Tensor:
    """Zeros and ones, 1 with the probability of each entry."""
    return torch.bernoulli(probabilities, generator=generator_for(probabilities.device))


def poisson(rates: Tensor) -> Tensor:
    """Counts from the Poisson distribution of each entry's rate."""
    return torch.poisson(rates, generator=generator_for(rates.device))


@torch.no_grad()
def gamma(concentration: Tensor, rate: Tensor) -> Tensor:
    """Draws from the Gamma distribution of each entry, above 0, without a gradient."""
    generator = generator_for(concentration.device)
    concentration, rate = torch.broadcast_tensors(concentration, rate)
    drawn = torch._standard_gamma(concentration, generator=generator) / rate
    return drawn.clamp_(min=torch.finfo(drawn.dtype).tiny)


def choices(weights: Tensor, n: int = 1, replacement: bool = False) -> Tensor:
    """N places of each row of weights (..., K), each with a probability in proportion to its weight."""
    generator = generator_for(weights.device)
    return torch.multinomial(weights, n, replacement=replacement, generator=generator)


def integers(high: int, n: int, device: torch.device) -> Tensor:
    """N integers from 0 to ``high`` - 1, all as probable."""
    return torch.randint(high, (n,), generator=generator_for(device), device=device)


def dropout(x: Tensor, p: float, training: bool) -> Tensor:
    """Sets a share p of the entries to zero in training, and scales the others up by 1 / (1 - p)."""
    generator = generator_for(x.device)
    return F.dropout(x, p, training) if generator is None else drop(x, p, training, generator)


def dropout2d(x: Tensor, p: float, training: bool) -> Tensor:
    """The same for whole feature maps (N, C, H, W)."""
    generator = generator_for(x.device)
    if generator is None:
        return F.dropout2d(x, p, training)
    return drop(x, p, training, generator, whole_maps=True)
