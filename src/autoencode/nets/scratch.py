"""A linear layer, ReLU and sigmoid written out from tensor operations.

The teaching example: nothing here calls a ready-made layer, and the results equal torch's own to
float32 accuracy, in values and gradients. ``--set layers=scratch`` builds an MLP from them;
``docs/from_scratch.md`` explains each line.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class Linear(nn.Module):
    """The linear layer y = x W^T + b with Xavier-uniform weights and zero bias.

    Understanding the difficulty of training deep feedforward neural networks (Glorot & Bengio,
    2010), https://proceedings.mlr.press/v9/glorot10a.html

    Args:
        inputs, outputs: widths; x is (..., inputs), y is (..., outputs).
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        # The variance of both activations and gradients stays near 1 when the weights' variance
        # is 2 / (inputs + outputs); a uniform draw in [-a, a] has variance a² / 3.
        bound = math.sqrt(6.0 / (inputs + outputs))
        self.weight = nn.Parameter((2.0 * torch.rand(outputs, inputs) - 1.0) * bound)
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight.T + self.bias


def relu(x: Tensor) -> Tensor:
    """Computes max(x, 0), with gradient 0 at 0."""
    return torch.where(x > 0, x, torch.zeros_like(x))


def sigmoid(x: Tensor) -> Tensor:
    """Computes 1 / (1 + exp(-x)), written as (1 + tanh(x/2)) / 2.

    The two are the same function; the textbook form overflows for large negative x, and its gradient
    becomes 0 * inf.
    """
    return 0.5 * (1.0 + torch.tanh(0.5 * x))


class ReLU(nn.Module):
    """A module that applies ``relu``."""

    def forward(self, x: Tensor) -> Tensor:
        return relu(x)


class Sigmoid(nn.Module):
    """A module that applies ``sigmoid``."""

    def forward(self, x: Tensor) -> Tensor:
        return sigmoid(x)
