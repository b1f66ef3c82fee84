"""Denoising: the encoder sees a corrupted x, the target stays clean.

Extracting and Composing Robust Features with Denoising Autoencoders (Vincent et al., 2008),
https://www.cs.toronto.edu/~larocheh/publications/icml-2008-denoising-autoencoders.pdf
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from autoencode.errors import IncompatibleError, OptionError
from autoencode.randomness import normal_like, uniform_like
from autoencode.types import Batch, Losses, Model, Objective, Output, Progress

Corruption = Callable[[Tensor, float], Tensor]


def gaussian(x: Tensor, level: float) -> Tensor:
    """Adds Gaussian noise of standard deviation ``level``."""
    return x + level * normal_like(x)


def masking(x: Tensor, level: float) -> Tensor:
    """Sets a share ``level`` of the entries to zero."""
    return x * (uniform_like(x) >= level)


def dropout(x: Tensor, level: float) -> Tensor:
    """Sets a share ``level`` of the entries to zero and scales up the others, so that the mean stays x.

    What learns from masked entries alone expects less of them than clean examples have.

    Raises:
        OptionError: level is 1 or more.
    """
    if level >= 1:
        raise OptionError(f"noise=dropout leaves nothing at noise_level={level:g}; use less than 1")
    return masking(x, level) / (1 - level)


def salt_and_pepper(x: Tensor, level: float) -> Tensor:
    """Sets a share ``level`` of the entries to 0 or 1, each as often."""
    u = uniform_like(x)
    return torch.where(u < level / 2, 0.0, torch.where(u < level, 1.0, x))


def missing(x: Tensor, level: float) -> Tensor:
    """Hides a share ``level`` of the entries: they become NaN, as what was never observed."""
    return torch.where(uniform_like(x) < level, torch.nan, x)


def blur(x: Tensor, level: float) -> Tensor:
    """Blurs images (B, C, H, W) by a Gaussian of ``level`` pixels (its standard deviation).

    The kernel reaches four standard deviations; beyond the edge the outermost pixels are repeated.

    Raises:
        IncompatibleError: x are no images.
    """
    if x.dim() != 4:
        raise IncompatibleError(
            f"only images can be blurred, and an example has the shape {tuple(x.shape[1:])}; "
            "use another noise, or give the data as images"
        )
    if not level:
        return x
    radius = math.ceil(4 * level)
    at = torch.arange(-radius, radius + 1, device=x.device, dtype=x.dtype)
    kernel = torch.softmax(-0.5 * (at / level).square(), 0)
    rows = x.flatten(0, 1).unsqueeze(1)
    wide = torch.nn.functional.pad(rows, (radius,) * 4, mode="replicate")
    down = torch.nn.functional.conv2d(wide, kernel.view(1, 1, -1, 1))
    return torch.nn.functional.conv2d(down, kernel.view(1, 1, 1, -1)).reshape(x.shape)


CORRUPTIONS: dict[str, Corruption] = {
    "gaussian": gaussian,
    "masking": masking,
    "dropout": dropout,
    "salt_and_pepper": salt_and_pepper,
    "blur": blur,
    "missing": missing,
}


class OwnCorruption:
    """A corruption by a function of the user's, ``(x, level) -> x`` or ``x -> x``.

    Args:
        function: what is done to x (B, *D).

    Raises:
        OptionError: it takes something else; when called, it gives no tensor of x's shape.

    Example:
        >>> stripes = OwnCorruption(lambda x: x * (torch.arange(x.shape[-1]) % 2))
        >>> stripes(torch.ones(1, 4), 0.5).tolist()
        [[0.0, 1.0, 0.0, 1.0]]
    """

    def __init__(self, function: Callable[..., Tensor]) -> None:
        self.function = function
        self.takes_level = _takes(function, 2)
        if not self.takes_level and not _takes(function, 1):
            raise OptionError("a corruption of your own must take (x, level) or x alone")

    def __call__(self, x: Tensor, level: float) -> Tensor:
        found = self.function(x, level) if self.takes_level else self.function(x)
        if not isinstance(found, Tensor) or found.shape != x.shape:
            got = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise OptionError(
                f"the corruption must return a tensor of the shape {tuple(x.shape)}, got {got}"
            )
        return found


def _takes(function: Callable[..., Tensor], n: int) -> bool:
    """Tells whether a function can be called with n arguments."""
    try:
        inspect.signature(function).bind(*range(n))
    except TypeError:
        return False
    except ValueError:  # a built-in function that does not say; both are tried as they come
        return True
    return True


class Corrupted:
    """An objective whose encoder sees a corrupted x while the target stays clean.

    Args:
        objective: any objective.
        corruption: ``(x, level) -> x``; one of ``CORRUPTIONS`` or the user's own.
        level: its strength.
    """

    def __init__(self, objective: Objective, corruption: Corruption, level: float) -> None:
        self.objective = objective
        self.corruption = corruption
        self.level = level
        self.unit = objective.unit

    def __call__(self, model: Model, batch: Batch, progress: Progress) -> Losses:
        noisy = replace(batch, x=self.corruption(batch.x, self.level))
        return self.objective(model, noisy, progress)

    def check(self, output: Output) -> None:
        """Checks what the wrapped objective asks for."""
        self.objective.check(output)
