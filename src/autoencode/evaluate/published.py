"""Published figures that a run may be set beside: shown only where data and recipe match."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from autoencode.evaluate.case import ValuesAs

_IWAE = "Importance Weighted Autoencoders (Burda et al., 2015), https://arxiv.org/abs/1509.00519"
_TIGHTER = (
    "Tighter Variational Bounds are Not Necessarily Better (Rainforth et al., 2018), "
    "https://arxiv.org/abs/1802.04537"
)
_LADDER = "Ladder Variational Autoencoders (Sønderby et al., 2016), https://arxiv.org/abs/1602.02282"
_ONE_LAYER = {"hidden": (200, 200), "latent_dim": 50, "activation": "tanh", "likelihood": "auto"}
_TWO_LAYERS = {**_ONE_LAYER, "latent_dim": 100, "top_dim": 50, "top_hidden": (100, 100)}
_FIVE_LAYERS = {"latent_dims": (64, 32, 16, 8, 4), "hidden": (512, 256, 128, 64, 32)}


@dataclass(frozen=True)
class Published:
    """A figure from a paper, and what it is of.

    Attributes:
        figure: which one of a card.
        value: as printed.
        recipe: the recipe that computes the paper's objective.
        options: of the recipe, as the paper has them; others do not matter.
        source: the paper.
        protocol: how it was measured.
        data: name of the data set, on whose own test part it is.
        seen: how values were binarised.
    """

    figure: str
    value: float
    recipe: str
    options: Mapping[str, Any] = field(default_factory=dict)
    source: str = _IWAE
    protocol: str = "5000 draws of z, all 10 000 test images"
    data: str = "mnist"
    seen: ValuesAs = "dynamic"


def _nll(value: float, recipe: str, source: str = _IWAE, **options: Any) -> Published:
    base = _TWO_LAYERS if recipe == "iwae_two_layers" else _ONE_LAYER
    return Published("nll", value, recipe, {**base, **options}, source)


PUBLISHED = (
    _nll(86.76, "iwae", n_samples=1),
    _nll(85.54, "iwae", n_samples=5),
    _nll(84.78, "iwae", n_samples=50),
    _nll(85.33, "iwae_two_layers", n_samples=1),
    _nll(83.89, "iwae_two_layers", n_samples=5),
    _nll(84.97, "miwae", _TIGHTER, n_samples=8, n_groups=8),
    _nll(84.46, "piwae", _TIGHTER, n_samples=8, n_groups=8),
    _nll(84.57, "ciwae", _TIGHTER, n_samples=64, elbo_share=0.05),
    # After fine tuning on the bound of ten samples.
    Published("nll", 81.74, "ladder_vae", _FIVE_LAYERS, _LADDER),
)


def neighbours(
    recipe: str, options: Mapping[str, Any], data: str | None, seen: ValuesAs
) -> tuple[Published, ...]:
    """Finds the published figures of a recipe with these options on a data set's own test part.

    >>> found = neighbours("iwae", {**_ONE_LAYER, "n_samples": 1}, "mnist", "dynamic")
    >>> [(each.figure, each.value) for each in found]
    [('nll', 86.76)]

    Args:
        recipe: its name.
        options: all of them, as a configuration has them.
        data: name of the data set, ``None`` for other data or another part.
        seen: how values were binarised.
    """

    def same(name: str, value: Any) -> bool:
        given = options.get(name)
        return bool((tuple(given) if isinstance(given, list) else given) == value)

    return tuple(
        each
        for each in PUBLISHED
        if (each.recipe, each.data, each.seen) == (recipe, data, seen)
        and all(same(name, value) for name, value in each.options.items())
    )
