"""Operations for which ONNX or onnxruntime has no word, written in those that it has.

Matrices are small and of a known size here, so loops over their columns are written out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

# Of Cephes (Moshier, 1989), which torch takes for the same: rational functions of the middle and of the
# tails of the normal quantile.
_P0 = (
    -59.96335010141079,
    98.00107541859997,
    -56.67628574690703,
    13.931260938727968,
    -1.2391658386738125,
)
_Q0 = (
    1.0,
    1.9544885833814176,
    4.676279128988815,
    86.36024213908905,
    -225.46268785411937,
    200.26021238006066,
    -82.03722561683334,
    15.90562251262117,
    -1.1833162112133,
)
_P1 = (
    4.0554489230596245,
    31.525109459989388,
    57.16281922464213,
    44.08050738932008,
    14.684956192885803,
    2.1866330685079025,
    -0.1402560791713545,
    -0.03504246268278482,
    -0.0008574567851546854,
)
_Q1 = (
    1.0,
    15.779988325646675,
    45.39076351288792,
    41.3172038254672,
    15.04253856929075,
    2.504649462083094,
    -0.14218292285478779,
    -0.03808064076915783,
    -0.0009332594808954574,
)


def asinh(x: Tensor) -> Any:
    """Computes the inverse of sinh, which onnxruntime knows of float32 alone.

    >>> x = torch.linspace(-9, 9, 7, dtype=torch.float64)
    >>> bool((asinh(x) - x.asinh()).abs().max() < 1e-14)
    True
    """
    if x.dtype == torch.float32:
        return NotImplemented  # so that it stays as it is
    far, square = x.abs(), x * x
    return x.sign() * (far + square / (1 + (square + 1).sqrt())).log1p()


def cholesky_ex(
    matrix: Tensor, upper: bool = False, check_errors: bool = False
) -> tuple[Tensor, Tensor]:
    """Computes the lower root (..., n, n) of positive definite matrices, and no faults.

    >>> a = torch.tensor([[4.0, 2.0], [2.0, 5.0]])
    >>> cholesky_ex(a)[0].tolist()
    [[2.0, 0.0], [1.0, 2.0]]
    """
    size = matrix.shape[-1]
    below = torch.ones(size, size, dtype=matrix.dtype, device=matrix.device).tril()
    columns, rest = [], matrix
    for j in range(size):
        column = rest[..., j] * below[:, j] / rest[..., j, j].sqrt().unsqueeze(-1)
        columns.append(column)
        rest = rest - column.unsqueeze(-1) * column.unsqueeze(-2)
    root = torch.stack(columns, dim=-1)
    faults = torch.zeros(matrix.shape[:-2], dtype=torch.int32, device=matrix.device)
    return (root.mT if upper else root), faults


def cholesky_solve(right: Tensor, root: Tensor, upper: bool = False) -> Tensor:
    """Solves A x = b (..., n, m) by the root of A.

    >>> a = torch.tensor([[4.0, 2.0], [2.0, 5.0]])
    >>> cholesky_solve(torch.tensor([[6.0], [7.0]]), torch.linalg.cholesky(a)).tolist()
    [[1.0], [1.0]]
    """
    lower = root.mT if upper else root
    return _substituted(_substituted(right, lower, False), lower.mT, True)


def _substituted(right: Tensor, triangle: Tensor, backward: bool) -> Tensor:
    size = triangle.shape[-1]
    found: list[Tensor] = [right] * size
    for j in reversed(range(size)) if backward else range(size):
        found[j] = right[..., j : j + 1, :] / triangle[..., j : j + 1, j : j + 1]
        right = right - triangle[..., :, j : j + 1] * found[j]
    return torch.cat(found, dim=-2)


def ndtri(p: Tensor) -> Tensor:
    """Computes the quantile of the normal distribution for p from 1e-13 to 1 - 1e-13, float64.

    >>> p = torch.linspace(1e-5, 1 - 1e-5, 1001, dtype=torch.float64)
    >>> bool((ndtri(p) - torch.special.ndtri(p)).abs().max() < 1e-14)
    True
    """
    edge = math.exp(-2)
    upper = p > 1 - edge
    below = torch.where(upper, 1 - p, p)
    middle = below - 0.5
    square = middle * middle
    near = middle + middle * (square * _polynomial(square, _P0) / _polynomial(square, _Q0))
    root = (-2 * below.clamp_min(1e-300).log()).sqrt()
    tail = 1 / root
    far = root - root.log() / root - tail * _polynomial(tail, _P1) / _polynomial(tail, _Q1)
    return torch.where(below > edge, near * math.sqrt(2 * math.pi), torch.where(upper, far, -far))


def _polynomial(x: Tensor, coefficients: Sequence[float]) -> Tensor:
    found = torch.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        found = found * x + coefficient
    return found


def table() -> dict[torch._ops.OperatorBase, object]:
    """Lists what torch would translate by itself, and the operations above."""
    known: dict[torch._ops.OperatorBase, object] = dict(torch.export.default_decompositions())
    aten = torch.ops.aten
    return known | {
        aten.asinh.default: asinh,
        aten.special_ndtri.default: ndtri,
        aten.linalg_cholesky_ex.default: cholesky_ex,
        aten.cholesky_solve.default: cholesky_solve,
    }
