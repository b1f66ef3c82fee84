"""The blend, after training, of what a network and a factor analysis expect of hidden entries.

A network learns what is not linear, a factor analysis is exact where data are Gaussian, and the two are
wrong in different places. So a number is guessed as ``share * network + (1 - share) * factors``, where
the share is what leaves the least squared error of entries that are hidden from rows that were held
out: least squares of one number a column. What is found in few rows, or by a few far values, is not
sure, so shares have a normal prior around that of all columns, which has one around a half.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from autoencode.models.linear_start import params_for_mean, secants
from autoencode.randomness import uniform
from autoencode.types import Batch

#: Held-out rows that are asked for.
ROWS = 2000
_ROWS_IN_ALL, _FEWEST, _MOST = 10_000, 4, 16  # rows times patterns of gaps
_LEAST, _LARGEST = 0.1, 0.5  # shares of the entries that are hidden
_HALF, _SPREAD = 0.5, 0.3  # what the share of all columns is before anything is seen, +- so much
_APART = 0.2  # how far columns differ from it


def blend(model: Any, examples: Callable[[int], Batch], held_out: Batch | None, anew: bool) -> None:
    """Fits the factors of a model that has such, and the share of its network beside them.

    Args:
        model: encoder, bottleneck, decoder and likelihood.
        examples: a number to that many training examples, or all there are.
        held_out: other examples; without any the share is a half.
        anew: whether factors are fitted; else those that are there stay, and the share alone is fitted.
    """
    if not model.blended:
        return
    factors = model.encoder.factors
    with torch.no_grad():
        if anew:
            factors.fit_to(*model.encoder.reader.entries(examples(factors.n_rows).x))
            _set_lines(model)
        params, columns = _numbers(model.likelihood, model.decoder.share)
        model.decoder.share.fill_(1.0)
        model.decoder.share[params] = _share(model, held_out, params, columns)


def _set_lines(model: Any) -> None:
    """Tells the decoder what factors expect, as params of its likelihood."""
    factors, share = model.encoder.factors, model.decoder.share
    target = params_for_mean(model.likelihood, share.device)
    assert target is not None  # all likelihoods of measurements have one
    mean = factors.mean.double().cpu()
    slope = secants(target, mean, factors.loadings.double().cpu())
    unbounded = torch.finfo(share.dtype).max  # files hold finite numbers alone
    low, high = torch.full_like(share, -unbounded), torch.full_like(share, unbounded)
    params, _ = _numbers(model.likelihood, share)
    read = getattr(model.likelihood, "read_real", params)
    low[params], high[params] = factors.low[read], factors.high[read]
    model.decoder.set_lines(slope.to(share), target(mean.float()).flatten(), low, high)


def _numbers(likelihood: Any, like: Tensor) -> tuple[Tensor, Tensor]:
    """Finds which params are means of numbers, and the columns of these.

    Others (logits of categories) are left to the network.
    """
    columns = getattr(likelihood, "real", torch.arange(len(like), device=like.device))
    return torch.arange(len(columns), device=like.device), columns


def _share(model: Any, held_out: Batch | None, params: Tensor, columns: Tensor) -> Tensor:
    """Computes the share (n,) of the network at each number."""
    if held_out is None or not len(held_out.x):
        return torch.full_like(model.decoder.share[params], _HALF)
    x = held_out.x[:ROWS]
    known = ~x.isnan()
    level = float((~known).float().mean().clamp(_LEAST, _LARGEST))
    products, squares = (x.new_zeros(len(x), len(params)) for _ in range(2))
    context = None if held_out.context is None else held_out.context[:ROWS]
    patterns = min(_MOST, max(_FEWEST, _ROWS_IN_ALL // len(x)))
    for _ in range(patterns):
        hidden = known & (uniform(tuple(x.shape), x) < level)
        z = model.embed(x.masked_fill(hidden, torch.nan), context)
        learned, expected = (found[:, params] for found in model.decoder.both(z, context))
        judged = hidden[:, columns]
        left = (x[:, columns] - expected).masked_fill(~judged, 0.0)
        step = (learned - expected).masked_fill(~judged, 0.0)
        products += left * step
        squares += step.square()
    half = torch.full_like(products[0, :1], _HALF)
    together = _towards(half, _SPREAD, products.sum(1, keepdim=True), squares.sum(1, keepdim=True))
    return _towards(together, _APART, products, squares).clamp(0, 1)


def _towards(prior: Tensor, spread: float, products: Tensor, squares: Tensor) -> Tensor:
    """Computes shares (n,) by least squares and a normal prior.

    Args:
        prior: (1,), the mean of the prior.
        spread: its standard deviation.
        products, squares: (rows, n), of what the factors leave with the network's step from them, and
            of that step. Rows are independent, the entries of a row are not.
    """
    whole = squares.sum(0)
    found = products.sum(0) / whole
    unsure = (products - prior * squares).square().sum(0) / whole.square()
    share = prior + (found - prior) * spread**2 / (spread**2 + unsure)
    return torch.where(whole > 0, share, prior)
