"""Regularisers of the code: its size, its sparsity, and the bottleneck's own penalties.

Most are without a unit of their own: the weight brings them into that of the terms beside them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from autoencode.errors import IncompatibleError
from autoencode.objectives.terms import (
    ANY,
    MEAN_SQUARED,
    SUM_SQUARED,
    NamedTerm,
    example_errors,
)
from autoencode.parallel import global_batch
from autoencode.types import Batch, Model, Observation, Output, Progress


def penalty(name: str) -> NamedTerm:
    """Makes the term of one of the bottleneck's own losses (commitment, entropy, l0), by its name."""

    def compute(model: Model, batch: Batch, output: Output, progress: Progress) -> Tensor:
        return output.latent.penalties[name]

    def demand(output: Output) -> str | None:
        if name in output.latent.penalties:
            return None
        there = ", ".join(output.latent.penalties) or "none"
        return (
            f"needs a bottleneck with the penalty '{name}' and this one has {there}; use a bottleneck "
            "that gives it, or leave the term out"
        )

    return NamedTerm(compute, ANY, demand=demand)


def _l1(model: Model, batch: Batch, output: Output, progress: Progress) -> Tensor:
    return output.latent.z.abs().flatten(2).sum(2)


def _half_square(model: Model, batch: Batch, output: Output, progress: Progress) -> Tensor:
    return 0.5 * output.latent.z.square().flatten(2).sum(2)


#: Sum of the absolute values of the code.
l1 = NamedTerm(_l1, ANY)
#: Half of the squared norm of the code.
half_square = NamedTerm(_half_square, ANY)


def sparsity(target: float) -> NamedTerm:
    """Makes the term sum over units of KL(Bernoulli(target) || Bernoulli(mean activation)), nats.

    Sparse autoencoder (Ng, 2011), https://web.stanford.edu/class/cs294a/sparseAutoencoder.pdf. The mean
    is that of the whole batch.

    Args:
        target: the mean that each unit's activation shall have, in (0, 1).
    """
    if not 0 < target < 1:
        raise IncompatibleError(f"the target of the mean activation must lie in (0, 1), got {target}")

    def compute(model: Model, batch: Batch, output: Output, progress: Progress) -> Tensor:
        mean = global_batch(output.latent.z, axis=1).flatten(2).mean((0, 1)).clamp(1e-6, 1 - 1e-6)
        on = target * (target / mean).log()
        return (on + (1 - target) * ((1 - target) / (1 - mean)).log()).sum()

    def demand(output: Output) -> str | None:
        z = output.latent.z
        if z.device.type == "meta" or bool(((z >= 0) & (z <= 1)).all()):
            return None
        return "needs a code in [0, 1] and this one has others; use code_activation=sigmoid"

    return NamedTerm(compute, ANY, demand=demand)


def decode(model: Model, z: Tensor, context: Tensor | None = None) -> Observation:
    """Decodes latents (N, *Z) into p(x|z).

    Raises:
        IncompatibleError: when the model cannot go from latents to data.
    """
    decoding = getattr(model, "decode", None)
    if decoding is None:
        raise IncompatibleError("the objective decodes other codes and the model has no decode")
    x_dist: Observation = decoding(z, context)
    return x_dist


def _revival(model: Model, batch: Batch, output: Output, progress: Progress) -> Tensor:
    dead = output.latent.views["dead"][0]
    left = (batch.target - output.x_dist.mean[0]).detach()
    ends = torch.cat([dead, torch.zeros_like(dead)])
    context = None if batch.context is None else batch.context.repeat(2, 1)
    made, nothing = decode(model, ends, context).mean.chunk(2)
    # Where no dead unit is on there is nothing to learn, and the whole error would only be counted.
    on = (dead != 0).any(1)
    return example_errors((made - nothing)[None], left, batch.mask) * on


def _has_dead(output: Output) -> str | None:
    if "dead" in output.latent.views:
        return None
    return "needs a bottleneck that knows its dead units; use BatchTopK, or leave the term out"


#: Squared error of what units that no longer fire make of the error that is left (the "AuxK" loss of
#: Scaling and evaluating sparse autoencoders, Gao et al., 2024, https://arxiv.org/abs/2406.04093).
revival = NamedTerm(_revival, SUM_SQUARED, demand=_has_dead)


def nested(sizes: Sequence[int]) -> NamedTerm:
    """Makes the term that sums the squared errors from the first m units, for each m of ``sizes``.

    Learning Multi-Level Features with Matryoshka Sparse Autoencoders (Bussmann et al., 2025),
    https://arxiv.org/abs/2503.17547

    Args:
        sizes: numbers of units; the last one is the width of the code.
    """

    def compute(model: Model, batch: Batch, output: Output, progress: Progress) -> Tensor:
        z = output.latent.z[0]
        units = torch.arange(z.shape[1], device=z.device)
        total = example_errors(output.x_dist.mean, batch.target, batch.mask)
        for size in sizes[:-1]:
            mean = decode(model, z * (units < size), batch.context).mean
            total = total + example_errors(mean[None], batch.target, batch.mask)
        return total

    def demand(output: Output) -> str | None:
        width = output.latent.z.shape[2]
        if output.latent.z.dim() == 3 and sizes[-1] == width and list(sizes) == sorted(set(sizes)):
            return None
        return (
            f"needs a vector code and sizes that rise to its width {width}, got "
            f"{', '.join(map(str, sizes))}"
        )

    return NamedTerm(compute, SUM_SQUARED, demand=demand)


def _asked(batch: Batch, output: Output, hidden: bool) -> Tensor:
    """Selects the known entries that were hidden from the model, or those that were not, (S, B, *D)."""
    which = output.latent.views["hidden"] == hidden
    return which if batch.mask is None else which & batch.mask


def _mean_error(hidden: bool) -> Callable[[Model, Batch, Output, Progress], Tensor]:
    def compute(model: Model, batch: Batch, output: Output, progress: Progress) -> Tensor:
        asked = _asked(batch, output, hidden)
        errors = example_errors(output.x_dist.mean, batch.target, asked)
        return errors / asked.flatten(2).sum(2).clamp_min(1)

    return compute


def _nats(hidden: bool) -> Callable[[Model, Batch, Output, Progress], Tensor]:
    def compute(model: Model, batch: Batch, output: Output, progress: Progress) -> Tensor:
        entries = output.x_dist.entries(batch.target, _asked(batch, output, hidden))
        return -entries.flatten(2).sum(2)

    return compute


def _has_hidden(output: Output) -> str | None:
    if "hidden" in output.latent.views:
        return None
    return "needs a model that hides a part of x; use MaskedAutoencoder, or mse"


#: Mean squared error of the entries that the model did not see.
hidden_error = NamedTerm(_mean_error(True), MEAN_SQUARED, demand=_has_hidden)
#: Mean squared error of those that it saw.
seen_error = NamedTerm(_mean_error(False), MEAN_SQUARED, demand=_has_hidden)
#: -log p(x|z) of the entries that the model did not see.
hidden_nats = NamedTerm(_nats(True), demand=_has_hidden)
#: -log p(x|z) of those that it saw.
seen_nats = NamedTerm(_nats(False), demand=_has_hidden)
