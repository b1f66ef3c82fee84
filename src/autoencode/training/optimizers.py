"""Optimisers: Adam in one fused call, Muon for matrices, and an adapter for any of torch's.

torch's own classes import the compiler at their first use (1.5 s) and spend more time in Python at
each step than the arithmetic takes for the small networks that are usual here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import compress
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Optimizer(Protocol):
    """An optimiser as the training loop uses it.

    One with an attribute ``replayable`` that is true takes the factor as a scalar tensor as well and
    keeps all that it counts in tensors, so that a step of it can be recorded and replayed.
    """

    def step(self, factor: float = 1.0) -> None:
        """Moves the parameters by their gradients, at ``factor`` times the base rate."""

    def zero_grad(self) -> None: ...
    def state_dict(self) -> dict[str, Tensor]: ...
    def load_state_dict(self, state: Mapping[str, Tensor]) -> None: ...


OptimizerFactory = Callable[[Sequence[nn.Parameter]], Optimizer]


def _clear(parameters: Iterable[nn.Parameter]) -> None:
    for parameter in parameters:
        parameter.grad = None


def _copy(state: Mapping[str, Tensor], prefix: str, targets: Sequence[Tensor]) -> None:
    for i, target in enumerate(targets):
        target.copy_(state[f"{prefix}.{i}"])


class Adam:
    """The Adam optimiser (Kingma & Ba, 2014), https://arxiv.org/abs/1412.6980

    Args:
        parameters: what to move.
        lr: base learning rate.
        betas: decay of the two moments.
        eps: added to the root of the second moment.
        weight_decay: decoupled (AdamW), 0 for none.
    """

    replayable = True

    def __init__(
        self,
        parameters: Sequence[nn.Parameter],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        self.parameters = list(parameters)
        self.lr, self.betas, self.eps, self.weight_decay = lr, betas, eps, weight_decay
        self._first = [torch.zeros_like(p) for p in self.parameters]
        self._second = [torch.zeros_like(p) for p in self.parameters]
        # One tensor under all step counts, so that they grow in one operation.
        device = self.parameters[0].device if self.parameters else None
        self._counts = torch.zeros(len(self.parameters), device=device)
        self._steps = list(self._counts.unbind())

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        # A pickle does not remember that tensors share memory.
        self._counts = torch.stack(self._steps) if self._steps else self._counts
        self._steps = list(self._counts.unbind())

    @torch.no_grad()
    def step(self, factor: float | Tensor = 1.0) -> None:
        """Updates all parameters that have a gradient in one fused call."""
        gradients = [p.grad for p in self.parameters]
        moved = [gradient is not None for gradient in gradients]
        if not any(moved):
            return
        groups: list[list[Any]]
        groups = [self.parameters, gradients, self._first, self._second, self._steps]
        if all(moved):
            self._counts.add_(1.0)
        else:
            groups = [list(compress(group, moved)) for group in groups]
            torch._foreach_add_(groups[-1], 1.0)
        parameters, slopes, first, second, steps = groups
        torch._fused_adamw_(
            parameters,
            slopes,
            first,
            second,
            [],
            steps,
            lr=self.lr * factor,
            beta1=self.betas[0],
            beta2=self.betas[1],
            weight_decay=self.weight_decay,
            eps=self.eps,
            amsgrad=False,
            maximize=False,
        )

    def zero_grad(self) -> None:
        """Forgets the gradients."""
        _clear(self.parameters)

    def state_dict(self) -> dict[str, Tensor]:
        """Returns the moments and step counts by name."""
        steps = [count.clone() for count in self._steps]  # files hold no tensors that share memory
        groups = {"first": self._first, "second": self._second, "steps": steps}
        return {f"{name}.{i}": t for name, ts in groups.items() for i, t in enumerate(ts)}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Goes on from a ``state_dict``."""
        _copy(state, "first", self._first)
        _copy(state, "second", self._second)
        _copy(state, "steps", self._steps)


# Entries of a gradient that count for nothing beside the floor of ``orthogonalize``, 1e-7. Momenta of
# inputs that hardly ever differ from zero decay to them, and their squares are no longer normal
# floats, with which many processors multiply a hundred times as slowly.
_NEGLIGIBLE = 1e-15

# Odd quintics (a, b, c), each the best at taking what the one before left of [0.003, 1] to about 1.
_QUINTICS = (
    (8.3837, -24.7659, 18.3571),
    (4.0434, -3.0114, 0.5695),
    (3.5056, -2.6267, 0.5257),
    (2.4901, -1.8343, 0.4368),
)


def orthogonalize(matrix: Tensor) -> Tensor:
    """Approximates the nearest semi-orthogonal matrix to (m, n) by four polynomials.

    The Polar Express (Amsel et al., 2025), https://arxiv.org/abs/2505.16932: a polynomial of its own at
    each step needs one step less than the same one five times. Singular values of at least 0.003 of
    (the sum of all fourth powers) ** (1 / 4) become 0.8 to 1.2, smaller ones up to 296 times as large.
    Entries below 1e-15 are taken as zero.

    Each step multiplies x by an even polynomial p(x x^T). All of them are applied to the small Gram
    matrix and x is multiplied once at the end, a third less work for the wide matrices of
    autoencoders. In float32 on the CPU, where few processors have bfloat16 arithmetic.
    """
    tall = matrix.shape[0] > matrix.shape[1]
    x = F.hardshrink(matrix.T if tall else matrix, _NEGLIGIBLE)
    gram = x @ x.T
    squared_size = gram.norm() + 1e-14  # of no less than the largest singular value
    gram /= squared_size
    product: Tensor | None = None
    for i, (a, b, c) in enumerate(_QUINTICS):
        # p = a + z; the polynomials commute, so the next Gram matrix is p p gram.
        z = torch.addmm(gram, gram, gram, beta=b, alpha=c)
        if product is None:
            product = z.clone()
            product.diagonal().add_(a)
        else:
            product = torch.addmm(product, product, z, beta=a)
        if i + 1 < len(_QUINTICS):
            once = torch.addmm(gram, z, gram, beta=a)
            gram = torch.addmm(once, z, once, beta=a)
    assert product is not None
    result: Tensor = (product * squared_size.rsqrt()) @ x
    return result.T if tall else result


# Dimensions of what is a matrix to Muon: (m, n), and kernels of images (m, n, height, width).
MATRICES = (2, 4)


class Muon:
    """The Muon optimiser for matrices and kernels of convolutions, with Adam for everything else.

    A kernel (m, n, height, width) is taken as the matrix (m, n * height * width).

    Muon: An optimizer for hidden layers in neural networks (Jordan et al., 2024),
    https://kellerjordan.github.io/posts/muon/; the update is scaled to Adam's usual size as in Muon is
    Scalable for LLM Training (Liu et al., 2025), https://arxiv.org/abs/2502.16982.

    Args:
        parameters: what to move.
        lr: base rate of the matrices.
        adam_lr: base rate of the rest.
        momentum: decay of the (Nesterov) momentum.
        weight_decay: decoupled, of everything; 0 for none.
    """

    replayable = True

    def __init__(
        self,
        parameters: Sequence[nn.Parameter],
        lr: float = 1e-2,
        adam_lr: float = 3e-3,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
    ) -> None:
        parameters = list(parameters)
        self.matrices = [p for p in parameters if p.dim() in MATRICES]
        self.lr, self.momentum = lr, momentum
        self.weight_decay = weight_decay
        rest = [p for p in parameters if p.dim() not in MATRICES]
        self._adam = Adam(rest, lr=adam_lr, weight_decay=weight_decay)
        self._momenta = [torch.zeros_like(p) for p in self.matrices]

    @torch.no_grad()
    def step(self, factor: float | Tensor = 1.0) -> None:
        """Updates all parameters that have a gradient."""
        for matrix, momentum in zip(self.matrices, self._momenta, strict=True):
            if matrix.grad is None:
                continue
            momentum.lerp_(matrix.grad, 1 - self.momentum)
            direction = matrix.grad.lerp_(momentum, self.momentum)
            update = orthogonalize(direction.flatten(1))
            if self.weight_decay:
                matrix.mul_(1 - factor * self.lr * self.weight_decay)
            size = -self.lr * 0.2 * math.sqrt(max(update.shape))
            update = update.view_as(matrix)
            if isinstance(factor, Tensor):
                matrix.add_(update * (factor * size))
            else:
                matrix.add_(update, alpha=factor * size)
        self._adam.step(factor)

    def zero_grad(self) -> None:
        """Forgets the gradients."""
        _clear(self.matrices)
        self._adam.zero_grad()

    def state_dict(self) -> dict[str, Tensor]:
        """Returns momenta and Adam's state by name."""
        momenta = {f"momentum.{i}": t for i, t in enumerate(self._momenta)}
        return momenta | {f"adam.{name}": t for name, t in self._adam.state_dict().items()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Goes on from a ``state_dict``."""
        _copy(state, "momentum", self._momenta)
        self._adam.load_state_dict(
            {name[5:]: t for name, t in state.items() if name.startswith("adam.")}
        )


class TorchOptimizer:
    """An adapter of any ``torch.optim`` optimiser to the training loop.

    Args:
        optimizer: built over the parameters that it shall move.

    Example:
        >>> factory = lambda params: TorchOptimizer(torch.optim.SGD(params, lr=0.1))
    """

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self.optimizer = optimizer
        self._base = [float(group["lr"]) for group in optimizer.param_groups]

    def step(self, factor: float = 1.0) -> None:
        """Takes one step at ``factor`` times the optimiser's own rates."""
        for group, lr in zip(self.optimizer.param_groups, self._base, strict=True):
            group["lr"] = lr * factor
        self.optimizer.step()

    def zero_grad(self) -> None:
        """Forgets the gradients."""
        self.optimizer.zero_grad(set_to_none=True)

    def state_dict(self) -> dict[str, Tensor]:
        """Returns the tensors of the optimiser's state by name."""
        state = self.optimizer.state_dict()["state"]
        return {
            f"{index}.{name}": value
            for index, entries in state.items()
            for name, value in entries.items()
            if isinstance(value, Tensor)
        }

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Goes on from a ``state_dict``."""
        full = self.optimizer.state_dict()
        for key, value in state.items():
            index, name = key.split(".", 1)
            full["state"].setdefault(int(index), {})[name] = value
        self.optimizer.load_state_dict(full)
