"""Fully connected encoders and decoders for data of any shape."""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from autoencode.nets.layers import NetOptions

_NEAR = 3.0  # standard deviations within which values stay nearly as they are


def _stack(widths: tuple[int, ...], options: NetOptions) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(widths):
        layers += options.hidden(options.make_linear(inputs, outputs), outputs)
    return nn.Sequential(*layers)


def drawn_in(x: Tensor) -> Tensor:
    """Draws far values in: within some three standard deviations x is as it was, beyond logarithmic.

    Layers that learned from values near zero would be driven far from all they know by a hundred.

    >>> [round(value, 2) for value in drawn_in(torch.tensor([0.0, 1.0, 100.0])).tolist()]
    [0.0, 0.98, 12.6]
    """
    return _NEAR * (x / _NEAR).asinh()


class MLPEncoder(nn.Module):
    """A fully connected encoder of flattened x (B, *D) into features (B, hidden[-1]).

    With a shortcut the flat x itself stands after the features, so that whatever is linear in them is
    linear in x as well. The hidden layers then read ``drawn_in(x)``.

    Args:
        shape: D.
        hidden: widths of the layers; none gives the flat x itself.
        options: how layers are made.
        context_dim: width of the context, which is put beside x.
        shortcut: put x beside the features.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        hidden: tuple[int, ...],
        options: NetOptions | None = None,
        context_dim: int = 0,
        shortcut: bool = False,
    ) -> None:
        super().__init__()
        widths = (math.prod(shape) + context_dim, *hidden)
        self.shortcut = shortcut and bool(hidden)
        self.features = widths[-1] + self.shortcut * widths[0]
        #: How many of the features, the last ones, are what the network reads.
        self.n_straight = widths[0] if shortcut or not hidden else 0
        self.layers = _stack(widths, options or NetOptions())

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        flat = self.straight(x, context)
        if self.shortcut:
            return torch.cat([self.layers(drawn_in(flat)), flat], dim=1)
        h: Tensor = self.layers(flat)
        return h

    def straight(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Returns what the layers read, flat: x and the context beside it."""
        flat = x.flatten(1)
        return flat if context is None else torch.cat([flat, context], dim=1)


class LadderEncoder(nn.Module):
    """A fully connected encoder of x (B, *D) whose features (B, F) are the outputs of all its levels.

    Args:
        shape: D.
        hidden: width of each level.
        depth: layers of a level.
        options: how layers are made.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        hidden: tuple[int, ...],
        depth: int,
        options: NetOptions | None = None,
    ) -> None:
        super().__init__()
        self.maps = [(width,) for width in hidden]
        self.features = sum(hidden)
        pairs = itertools.pairwise((math.prod(shape), *hidden))
        self.levels = nn.ModuleList(
            _stack((below, *(width,) * depth), options or NetOptions()) for below, width in pairs
        )

    def forward(self, x: Tensor) -> Tensor:
        h, found = x.flatten(1), list[Tensor]()
        for level in self.levels:
            h = level(h)
            found.append(h)
        return torch.cat(found, dim=1)


class MLPDecoder(nn.Module):
    """A fully connected decoder of latents (N, latent_dim) into params (N, n_params * D0, ...).

    Args:
        latent_dim: width of z.
        hidden: widths of the hidden layers, in the decoder's own order.
        shape: D.
        n_params: numbers that the likelihood needs for each entry.
        options: how layers are made.
        context_dim: width of the context, which is put beside z.
        shortcut: add a linear map of z to the output of the layers, which then read ``drawn_in(z)``.
    """

    def __init__(
        self,
        latent_dim: int,
        hidden: tuple[int, ...],
        shape: tuple[int, ...],
        n_params: int = 1,
        options: NetOptions | None = None,
        context_dim: int = 0,
        shortcut: bool = False,
    ) -> None:
        super().__init__()
        options = options or NetOptions()
        widths = (latent_dim + context_dim, *hidden)
        size = n_params * math.prod(shape)
        self.layers = _stack(widths, options)
        self.output = options.make_linear(widths[-1], size)
        self.shape = (n_params * shape[0], *shape[1:])
        self.shortcut = nn.Linear(widths[0], size, bias=False) if shortcut and hidden else None

    def forward(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        flat = z.flatten(1)
        if context is not None:
            flat = torch.cat([flat, context], dim=1)
        flat_params: Tensor
        if self.shortcut is None:
            flat_params = self.output(self.layers(flat))
        else:
            flat_params = self.output(self.layers(drawn_in(flat))) + self.shortcut(flat)
        return flat_params.reshape(flat.shape[0], *self.shape)

    @property
    def can_start(self) -> bool:
        """Whether there is a linear path that ``start_linear`` can set."""
        return self.shortcut is not None or not len(self.layers)

    def start_linear(self, weight: Tensor, bias: Tensor) -> None:
        """Sets the decoder to a linear map: the linear path to that map, the last layer to zero.

        Args:
            weight: (size of the output, latent_dim + context_dim).
            bias: (size of the output,).
        """
        with torch.no_grad():
            path = self.output if self.shortcut is None else self.shortcut
            if path is not self.output:
                self.output.weight.zero_()  # type: ignore[operator]
            path.weight.copy_(weight)  # type: ignore[operator]
        self.set_output_bias(bias)

    @property
    def atoms(self) -> Tensor:
        """The weights (D, Z) of a decoder without hidden layers, a vector for each unit of z.

        Raises:
            AttributeError: when there are hidden layers.
        """
        if len(self.layers):
            raise AttributeError("a decoder with hidden layers has no atoms")
        weight: Tensor = self.output.weight  # type: ignore[assignment]
        return weight

    def set_output_bias(self, params: Tensor) -> None:
        """Sets the output's bias to ``params`` (n_params * D0, ...), where training starts."""
        with torch.no_grad():
            self.output.bias.copy_(params.flatten())  # type: ignore[operator]


class DictionaryDecoder(nn.Module):
    """The linear decoder x = b + sum of z_i times atom i, whose atoms have length 1.

    Args:
        latent_dim: number of atoms.
        shape: D.
        context_dim: width of the context, which has atoms of its own.
    """

    def __init__(self, latent_dim: int, shape: tuple[int, ...], context_dim: int = 0) -> None:
        super().__init__()
        self.shape = shape
        self.atoms = nn.Parameter(torch.randn(math.prod(shape), latent_dim + context_dim))
        self.bias = nn.Parameter(torch.zeros(math.prod(shape)))
        with torch.no_grad():
            self.atoms.copy_(F.normalize(self.atoms, dim=0))

    def forward(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        flat = z if context is None else torch.cat([z, context], dim=1)
        params = F.linear(flat, F.normalize(self.atoms, dim=0), self.bias)
        return params.reshape(flat.shape[0], *self.shape)

    def set_output_bias(self, params: Tensor) -> None:
        """Sets the output's bias to ``params`` (D0, ...), where training starts."""
        with torch.no_grad():
            self.bias.copy_(params.flatten())
