"""Regularisers of derivatives: of the code with respect to x, and of x with respect to the code."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from autoencode.errors import IncompatibleError
from autoencode.objectives.codes import decode
from autoencode.objectives.terms import ANY, NamedTerm
from autoencode.randomness import normal_like
from autoencode.types import Batch, Model, Output, Progress

MAX_EXACT = 1024  # backward passes for one Jacobian


def squared_jacobian(function: Callable[[Tensor], Tensor], at: Tensor, exact: bool = True) -> Tensor:
    """Computes the squared Frobenius norm of each example's Jacobian, (B,), differentiable.

    Args:
        function: (B, *I) to (B, *O), every example by itself.
        at: (B, *I).
        exact: a backward pass for every output; else one with normal directions v, since the mean of
            |J^T v|² over v is the squared norm.

    >>> squared_jacobian(lambda x: 3 * x, torch.zeros(2, 5)).tolist()
    [45.0, 45.0]
    """
    training = torch.is_grad_enabled()
    with torch.enable_grad():
        at = at if at.requires_grad else at.detach().requires_grad_()
        out = function(at).flatten(1)
        if exact:
            size, width = out.shape
            ones = torch.eye(width, dtype=out.dtype, device=out.device)
            each = ones[:, None].expand(width, size, width)
            (rows,) = torch.autograd.grad(out, at, each, create_graph=training, is_grads_batched=True)
            return rows.flatten(2).square().sum((0, 2))
        (row,) = torch.autograd.grad(out, at, normal_like(out), create_graph=training)
        return row.flatten(1).square().sum(1)


def contraction(exact: bool = True) -> NamedTerm:
    """Makes the term of the squared Frobenius norm of the Jacobian of the code with respect to x.

    Contractive Auto-Encoders (Rifai et al., 2011), https://icml.cc/2011/papers/455_icmlpaper.pdf

    Args:
        exact: see ``squared_jacobian``.
    """

    def compute(model: Model, batch: Batch, output: Output, progress: Progress) -> Tensor:
        return squared_jacobian(lambda x: model.embed(x, batch.context), batch.x, exact)

    def demand(output: Output) -> str | None:
        width = output.latent.z[0, 0].numel()
        if not exact or width <= MAX_EXACT:
            return None
        return (
            f"would take {width} backward passes a step for a code of that width; use "
            f"jacobian=estimate, or a code of at most {MAX_EXACT}"
        )

    return NamedTerm(compute, ANY, demand=demand)


def smoothness(exact: bool = False) -> NamedTerm:
    """Makes the term of half the squared Frobenius norm of the decoder mean's Jacobian by z.

    From Variational to Deterministic Autoencoders (Ghosh et al., 2020), the gradient penalty,
    https://arxiv.org/abs/1903.12436

    Args:
        exact: see ``squared_jacobian``.
    """

    def compute(model: Model, batch: Batch, output: Output, progress: Progress) -> Tensor:
        z = output.latent.z[0]
        return 0.5 * squared_jacobian(lambda z: decode(model, z, batch.context).mean, z, exact)

    return NamedTerm(compute, ANY)


def _decoder_weights(model: Model, batch: Batch, output: Output, progress: Progress) -> Tensor:
    decoder = getattr(model, "decoder", None)
    if not isinstance(decoder, nn.Module):
        raise IncompatibleError("a penalty on the decoder's weights needs a model with a decoder")
    return sum((p.square().sum() for p in decoder.parameters()), start=torch.zeros(()))


#: Squared norm of the decoder's parameters.
decoder_weights = NamedTerm(_decoder_weights, ANY)
