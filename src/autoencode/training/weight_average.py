"""An exponential moving average of the weights during training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from autoencode.errors import ModelFileError


class WeightAverage:
    """An exponential moving average of a model's parameters.

    Acceleration of Stochastic Approximation by Averaging (Polyak & Juditsky, 1992),
    https://doi.org/10.1137/0330046, in the form that is usual for deep networks. After t steps it is
    the mean of the weights w_1 ... w_t with shares proportional to decay^(t - i): the initial weights
    have none, so that short trainings need no other decay. Buffers are what they are.

    Args:
        model: whose parameters; they are read at every ``update``.
        decay: in (0, 1); 0.999 looks back some 1000 steps.

    Example:
        >>> model = nn.Linear(1, 1)
        >>> average = WeightAverage(model, 0.5)
        >>> for step, value in enumerate((3.0, 6.0), 1):
        ...     _ = nn.init.constant_(model.weight, value)
        ...     average.update(step)
        >>> with average.in_place():
        ...     print(model.weight.item())  # (0.5 * 3 + 1 * 6) / 1.5
        5.0
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        named = dict(model.named_parameters())
        self.decay = decay
        self._names, self._parameters = list(named), [p.detach() for p in named.values()]
        self._means = [p.clone() for p in self._parameters]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Adds the current weights, those after ``step`` steps (from 1), to the average."""
        share = (1 - self.decay) / (1 - self.decay**step)
        torch._foreach_lerp_(self._means, self._parameters, share)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Gives the model the averaged weights for the length of a block."""
        held = [p.clone() for p in self._parameters]
        self.put()
        try:
            yield
        finally:
            torch._foreach_copy_(self._parameters, held)

    def put(self) -> None:
        """Gives the model the averaged weights."""
        torch._foreach_copy_(self._parameters, self._means)

    def state_dict(self) -> dict[str, Tensor]:
        """Returns the averaged weights by name; references, not copies."""
        return dict(zip(self._names, self._means, strict=True))

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Goes on from a ``state_dict``.

        Raises:
            ModelFileError: when it is that of another model.
        """
        if {n: t.shape for n, t in state.items()} != {n: t.shape for n, t in self.state_dict().items()}:
            raise ModelFileError("the checkpoint holds no averaged weights of this model; train again")
        for name, mean in self.state_dict().items():
            mean.copy_(state[name])
