"""The options that every built-in network has, and the layers they choose."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from autoencode import parallel
from autoencode.limits import Part
from autoencode.nets import scratch
from autoencode.randomness import dropout, dropout2d
from autoencode.types import DataSpec

Activation = Literal["relu", "leaky_relu", "elu", "gelu", "silu", "tanh", "sigmoid", "softplus", "none"]
Normalization = Literal["none", "layer", "group"]
Initialization = Literal["torch", "xavier", "kaiming"]
Layers = Literal["torch", "scratch"]
Shortcut = Literal["auto", "none", "linear"]

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": lambda: nn.LeakyReLU(0.01),
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "softplus": nn.Softplus,
    "none": nn.Identity,
}
SCRATCH_ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    **ACTIVATIONS,
    "relu": scratch.ReLU,
    "sigmoid": scratch.Sigmoid,
}


@dataclass(frozen=True)
class NetOptions:
    """The options of the layers of a built-in network.

    Attributes:
        activation: nonlinearity between layers; LeakyReLU has slope 0.01.
        normalization: after each hidden layer: none, layer (LayerNorm) or group (GroupNorm). There
            is no batch normalisation: its running statistics would move whenever anything looks at
            the data, and a batch of one would break it.
        dropout: probability of dropping a hidden unit (a whole map in convolutions), 0 to 1.
        init: weights as torch makes them, Xavier-uniform or Kaiming-uniform (with zero biases).
        layers: torch's linear layer, ReLU and sigmoid, or those of ``nets.scratch`` (MLPs only).
        shortcut: linear puts a linear path beside the hidden layers of MLPs, each way, which starts at
            PCA where the bottleneck allows it; none does not; auto does for rows of measurements.
    """

    activation: Activation = "relu"
    normalization: Normalization = "none"
    dropout: Part = 0.0
    init: Initialization = "torch"
    layers: Layers = "torch"
    shortcut: Shortcut = "auto"

    def straight(self, spec: DataSpec) -> bool:
        """Tells whether networks for such data have a linear path beside their hidden layers."""
        if self.shortcut != "auto":
            return self.shortcut == "linear"
        return spec.measured and self.layers == "torch"

    def make_activation(self) -> nn.Module:
        """Makes a new activation module."""
        return make_activation(self.activation, self.layers)

    def make_linear(self, inputs: int, outputs: int) -> nn.Module:
        """Makes a new linear layer."""
        if self.layers == "scratch":
            return scratch.Linear(inputs, outputs)
        return nn.Linear(inputs, outputs)

    def hidden(self, layer: nn.Module, channels: int, spatial: bool = False) -> list[nn.Module]:
        """Makes a hidden layer with its normalisation, activation and dropout."""
        parts = [layer]
        if self.normalization == "group" or (self.normalization == "layer" and spatial):
            # One group over channels and pixels is what LayerNorm means for feature maps.
            groups = 1 if self.normalization == "layer" else _groups(channels)
            parts.append(nn.GroupNorm(groups, channels))
        elif self.normalization == "layer":
            parts.append(nn.LayerNorm(channels))
        if self.activation != "none":
            parts.append(self.make_activation())
        if self.dropout:
            parts.append(Dropout2d(self.dropout) if spatial else Dropout(self.dropout))
        return parts

    def initialize(self, module: nn.Module) -> None:
        """Draws the weights of a module again as ``init`` says."""
        if self.init == "torch":
            return
        draw = nn.init.xavier_uniform_ if self.init == "xavier" else _kaiming_uniform
        for parameter_owner in module.modules():
            weight = getattr(parameter_owner, "weight", None)
            if isinstance(weight, nn.Parameter) and weight.dim() >= 2:
                draw(weight)
                bias = getattr(parameter_owner, "bias", None)
                if isinstance(bias, nn.Parameter):
                    nn.init.zeros_(bias)


class Dropout(nn.Dropout):
    """A dropout layer that draws the same over several processes as one process would."""

    def forward(self, x: Tensor) -> Tensor:
        share = parallel.current_share()
        if share is None or not self.training or not share.rows:
            return dropout(x, self.p, self.training)
        # A decoder sees the rows of all its samples in one axis.
        samples = len(x) // share.rows
        mask = dropout(x.new_ones((samples * share.total, *self._drawn(x))), self.p, True)
        mask = share.of(mask.unflatten(0, (samples, share.total)), 1)
        return x * mask.flatten(0, 1)

    def _drawn(self, x: Tensor) -> tuple[int, ...]:
        """Returns the shape of what is drawn for each example."""
        return tuple(x.shape[1:])


class Dropout2d(Dropout):
    """A dropout layer for whole feature maps (N, C, H, W), the same over several processes."""

    def forward(self, x: Tensor) -> Tensor:
        if parallel.current_share() is None:
            return dropout2d(x, self.p, self.training)
        return super().forward(x)

    def _drawn(self, x: Tensor) -> tuple[int, ...]:
        return (x.shape[1], 1, 1)


def make_activation(name: str, layers: Layers = "torch") -> nn.Module:
    """Makes the activation module of that name.

    >>> make_activation("tanh")
    Tanh()
    """
    return (SCRATCH_ACTIVATIONS if layers == "scratch" else ACTIVATIONS)[name]()


def _kaiming_uniform(weight: nn.Parameter) -> None:
    nn.init.kaiming_uniform_(weight, nonlinearity="relu")


def _groups(channels: int) -> int:
    """Finds the largest usual number of groups that divides the channels."""
    return next(groups for groups in (8, 4, 2, 1) if channels % groups == 0)
