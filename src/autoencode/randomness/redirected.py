"""Makes torch's functions draw from another generator than torch's default one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

GeneratorFor = Callable[[torch.device], torch.Generator | None]

_NAMES = ("rand", "randn", "randint", "randperm", "normal", "bernoulli", "multinomial", "poisson")
_IN_PLACE = (
    *("normal_", "uniform_", "bernoulli_", "exponential_", "geometric_", "cauchy_"),
    *("log_normal_", "random_"),
)
_INITS = ("normal_", "uniform_", "trunc_normal_", "kaiming_uniform_", "kaiming_normal_")
# All of these take a generator by its name.
_DRAWS = {
    *(getattr(torch, name) for name in _NAMES),
    *(torch._standard_gamma, torch._sample_dirichlet, torch.binomial),
    *(Tensor.bernoulli, Tensor.multinomial),
    *(getattr(Tensor, name) for name in _IN_PLACE),
    *(getattr(nn.init, name) for name in _INITS),
}
_FILLS: dict[Any, str] = {torch.rand_like: "uniform_", torch.randn_like: "normal_"}
# Whether whole maps are dropped.
_DROPOUTS: dict[Any, bool] = {
    F.dropout: False,
    F.dropout1d: True,
    F.dropout2d: True,
    F.dropout3d: True,
}
#: Functions of torch that draw.
DRAWING: frozenset[Any] = frozenset({*_DRAWS, *_FILLS, *_DROPOUTS})


class Redirected(TorchFunctionMode):
    """Lets torch's functions in a block of this thread draw from generators that are chosen for them.

    The numbers are those that torch's default generator would give in the same state. Functions of
    torch that take no generator (dropout inside attention, alpha dropout) go on as they are.

    Args:
        generator_for: the generator for draws on a device, ``None`` for torch's own.
    """

    def __init__(self, generator_for: GeneratorFor) -> None:
        super().__init__()
        self._generator_for = generator_for

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func not in DRAWING:
            return func(*args, **kwargs)
        generator = self._generator_for(_device_of(args, kwargs))
        if generator is None or kwargs.get("generator") is not None:
            return func(*args, **kwargs)
        if func in _FILLS:
            empty = torch.empty_like(*args, **kwargs).detach()
            filled = getattr(empty, _FILLS[func])(generator=generator)
            return filled.requires_grad_(bool(kwargs.get("requires_grad")))
        if func in _DROPOUTS:
            return _dropped(func, generator, *args, **kwargs)
        return func(*args, **{**kwargs, "generator": generator})


def _dropped(
    func: Any,
    generator: torch.Generator,
    input: Tensor,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
) -> Tensor:
    whole_maps = _DROPOUTS[func]
    if inplace or (whole_maps and input.dim() < 4):
        dropped: Tensor = func(input, p, training, inplace)
        return dropped
    return drop(input, p, training, generator, whole_maps)


def drop(
    x: Tensor, p: float, training: bool, generator: torch.Generator, whole_maps: bool = False
) -> Tensor:
    """Dropout with the numbers that torch's own would draw from the same generator.

    Args:
        x: (N, ...); (N, C, ...) where whole maps are dropped.
        p: probability of dropping an entry.
        training: whether anything is dropped.
        generator: to draw from.
        whole_maps: draw once for each of the N * C maps.
    """
    if not training or p <= 0 or not x.numel():
        return x
    if p >= 1:
        return x * 0.0
    mask = x.new_empty((*x.shape[:2], *(1,) * (x.dim() - 2))) if whole_maps else torch.empty_like(x)
    with torch.no_grad():
        mask.bernoulli_(1 - p, generator=generator).div_(1 - p)
    return x * mask


def _device_of(args: Sequence[Any], kwargs: dict[str, Any]) -> torch.device:
    """Where a function of torch draws."""
    for value in (*args, *kwargs.values()):
        if isinstance(value, Tensor):
            return value.device
    device = kwargs.get("device")
    return torch.get_default_device() if device is None else torch.device(device)
