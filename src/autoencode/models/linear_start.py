"""The start of training at PCA: the linear paths of a model take the principal axes of some rows.

Let r be what the encoder reads (numbers, and a one for each category) and c the context. PCA of what c
leaves of r gives r = b + M c + sum of z_i v_i, with codes z of variance 1. The encoder's linear path
starts at (r, c) -> z, the decoder's at (z, c) -> b + M c + sum of z_i v_i, and the last layers beside
them start at zero. A Gaussian code starts at the posterior of probabilistic PCA [1]_: with no hidden
layers none is better.

.. [1] Probabilistic Principal Component Analysis (Tipping & Bishop, 1999),
   https://doi.org/10.1111/1467-9868.00196
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from autoencode.types import ZEROS_SHARE, ZEROS_WIDTH, Batch

#: Rows that are asked for.
ROWS = 10_000
#: Entries of these rows: 128 MB of float64, and as much again for what is left of them.
MOST_ENTRIES = 1 << 24
#: Rows or columns up to which the axes are exact: some seconds of one core.
_EXACT = 2048
_MORE, _PASSES = 10, 4  # directions beside those asked for, and rounds, of subspace iteration
_LEAST = 1e-6  # of the largest variance: axes of less are rounding
_ROUNDING = 1e-12
_SMALL = 0.01  # weights of codes that have no axis, and their share of the posterior's mean


@dataclass(frozen=True)
class Lines:
    """The principal axes of what a context leaves of some rows.

    Attributes:
        bias, slope: b (R,) and M (R, C).
        axes: (R, k) orthonormal columns, the largest variance first.
        variances: (k,) of the rows along them.
        total: (R,) variance of each entry.
    """

    bias: Tensor
    slope: Tensor
    axes: Tensor
    variances: Tensor
    total: Tensor

    @classmethod
    def of(cls, rows: Tensor, context: Tensor, width: int, *, from_zero: bool = False) -> Lines:
        """Finds the first axes of rows (N, R) beside contexts (N, C): ``width`` or all there are."""
        rows, context = rows.double(), context.double()
        # What is nearly always zero is explained from zero on, as truncated SVD does.
        constant = torch.full_like(rows[:, :1], 0.0 if from_zero else 1.0)
        known = torch.cat([constant, context], dim=1)
        # One-hot contexts and a constant are dependent: the shortest solution.
        fitted = torch.linalg.pinv(known) @ rows
        rest = rows - known @ fitted
        axes, variances = _axes(rest, width)
        return cls(fitted[0], fitted[1:].T, axes, variances, rest.square().mean(0))


def _is_mostly_zeros(x: Tensor) -> bool:
    """Tells whether values are a wide table of which nine tenths are zeros, which were not moved."""
    rows = x.flatten(1)
    return (
        rows.shape[1] >= ZEROS_WIDTH and int(rows.count_nonzero()) <= (1 - ZEROS_SHARE) * rows.numel()
    )


def _axes(rest: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """Finds principal axes (R, k) of centred rows (N, R), with the variances (k,) along them."""
    n, size = rest.shape
    if size <= _EXACT:
        values, axes = torch.linalg.eigh(rest.T @ rest / n)
        values, axes = values.flip(0)[:width], axes.flip(1)[:, :width]
    elif n <= _EXACT:
        values, ways = torch.linalg.eigh(rest @ rest.T / n)
        values, ways = values.flip(0)[:width], ways.flip(1)[:, :width]
        axes = rest.T @ ways / (values.clamp_min(_LEAST * float(values[0])) * n).sqrt()
    else:
        # Halko, Martinsson & Tropp (2011), https://arxiv.org/abs/0909.4061
        random, short = torch.Generator().manual_seed(0), rest.float()
        axes = torch.randn(size, min(width + _MORE, n, size), generator=random)
        for _ in range(_PASSES):
            axes = torch.linalg.qr(short.T @ (short @ axes)).Q
        along, axes = (short @ axes).double(), axes.double()
        values, turn = torch.linalg.eigh(along.T @ along / n)
        values, axes = values.flip(0)[:width], axes @ turn.flip(1)[:, :width]
    kept = values > max(_LEAST * float(values[0]), _ROUNDING)
    return axes[:, kept], values[kept]


def start_at_lines(model: Any, examples: Callable[[int], Batch]) -> bool:
    """Sets the linear paths of a model to PCA of some rows; tells whether it has such.

    Args:
        model: encoder, bottleneck, decoder and likelihood.
        examples: a number to that many training examples, or all there are.
    """
    encoder, decoder, bottleneck = model.encoder, model.decoder, model.bottleneck
    width = getattr(bottleneck, "latent_dim", 0)
    fits = getattr(encoder, "n_straight", 0) and getattr(decoder, "can_start", False)
    target = params_for_mean(model.likelihood, next(model.parameters()).device)
    if not (fits and width and target is not None and getattr(bottleneck, "can_start", False)):
        return False
    batch = examples(max(2, min(ROWS, MOST_ENTRIES // math.prod(decoder.shape))))
    with torch.no_grad():
        read = encoder.straight(batch.x, batch.context).cpu()
        context = read[:, read.shape[1] - (0 if batch.context is None else batch.context.shape[1]) :]
        if not bool(read.isfinite().all()) or len(read) < 2:  # labels may be missing
            return False
        size = getattr(model.likelihood, "n_read", batch.x[0].numel())
        # Of the values: vectors of categories are mostly zeros, whatever the values are.
        from_zero = _is_mostly_zeros(batch.x)
        found = Lines.of(read[:, :size], context, width, from_zero=from_zero)
        _set(model, found, target, read.shape[1], width)
    return True


def params_for_mean(likelihood: nn.Module, device: torch.device) -> Callable[[Tensor], Tensor] | None:
    """Finds the function from the mean of what is read to the decoder's output for it."""
    first = getattr(likelihood, "params_for_read_mean", None)
    made = first or getattr(likelihood, "params_for_mean", None)
    return None if made is None else lambda mean: made(mean.float().to(device))


def _set(model: Any, found: Lines, target: Callable[[Tensor], Tensor], n_read: int, width: int) -> None:
    """Gives encoder, bottleneck and decoder their lines.

    Args:
        model: as of ``start_at_lines``.
        found: the axes.
        target: means to the decoder's output.
        n_read: what the encoder passes on, R + indicators of gaps + C.
        width: of the code.
    """
    device = next(model.parameters()).device
    size, n_axes = found.axes.shape
    if model.bottleneck.stochastic:
        gain, spread = _posterior(model.likelihood, found, target)
    else:
        gain, spread = torch.ones_like(found.variances), torch.zeros_like(found.variances)
        _set_scale(model.likelihood, _errors(found, torch.zeros(())))
    # The code is gain^(1/2) times the whitened coordinate, and so is the axis that it moves along.
    weight = torch.zeros(width, n_read, dtype=torch.float64)
    rows = (found.axes * (gain / found.variances).sqrt()).T
    weight[:n_axes, :size] = rows
    if found.slope.shape[1]:
        weight[:n_axes, n_read - found.slope.shape[1] :] = -rows @ found.slope
    bias = torch.zeros(width, dtype=torch.float64)
    bias[:n_axes] = -rows @ found.bias
    random = torch.Generator().manual_seed(0)
    more = torch.randn(width - n_axes, size, generator=random, dtype=torch.float64)
    weight[n_axes:, :size] = _SMALL * more / size**0.5
    wide = torch.zeros(width, dtype=torch.float64)
    wide[:n_axes] = spread
    at, unit = model.bottleneck.start_linear(weight.float().to(device), bias.float().to(device), wide)
    steps = torch.zeros(size, width, dtype=torch.float64)
    steps[:, :n_axes] = found.axes * (found.variances * gain).sqrt()
    lines = secants(target, found.bias, torch.cat([steps, found.slope], dim=1))
    lines[:, :width] /= unit
    middle = target(found.bias).flatten() - lines[:, :width].sum(1) * at
    model.decoder.start_linear(lines, middle.reshape(model.decoder.shape))


def secants(target: Callable[[Tensor], Tensor], mean: Tensor, steps: Tensor) -> Tensor:
    """Computes by how much the decoder's output changes for each step (R, K) of the mean, (P, K)."""
    moved = [target(mean + step).flatten() - target(mean - step).flatten() for step in steps.T]
    return torch.stack(moved, dim=1) / 2


def _posterior(
    likelihood: nn.Module, found: Lines, target: Callable[[Tensor], Tensor]
) -> tuple[Tensor, Tensor]:
    """Computes the squared length of the mean of each code, and the log of its standard deviation.

    The mean of squares that probabilistic PCA leaves of each entry is told to the likelihood before,
    whose scale is what counts where it cannot be set.
    """
    size, n_axes = found.axes.shape
    left = float(found.total.sum() - found.variances.sum()) / max(1, size - n_axes)
    noise = torch.tensor(max(left, _LEAST * float(found.variances.sum())), dtype=torch.float64)
    _set_scale(likelihood, _errors(found, noise))
    params = target(found.bias)
    scale = getattr(likelihood(params[None, None]), "scale", None)
    if isinstance(scale, Tensor):
        noise = scale.double().square().mean().cpu()
    gain = (1 - noise / found.variances).clamp_min(_SMALL)
    return gain, 0.5 * (1 - gain).clamp_min(_LEAST).log()


def _set_scale(likelihood: Any, errors: Tensor) -> None:
    """Tells a likelihood that can be told the mean square (R,) that is left of what is read."""
    if hasattr(likelihood, "start_at_errors"):
        errors = errors.float().to(next(likelihood.parameters(), errors).device)
        by_column = getattr(likelihood, "by_column", None)
        likelihood.start_at_errors(errors if by_column is None else by_column(errors))


def _errors(found: Lines, noise: Tensor) -> Tensor:
    """Computes the mean square (R,) that is left of each entry under the posterior's draws."""
    gain = (1 - noise / found.variances).clamp_min(0.0)
    explained = found.axes.square() * found.variances
    shrunk = explained @ (1 - gain).square() - explained.sum(1)
    drawn = explained @ (gain * (1 - gain))
    return (found.total + shrunk + drawn).clamp_min(0.0)
