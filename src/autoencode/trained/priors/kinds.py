"""The kinds of priors there are, and how each is made for a model."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn

from autoencode.data import Examples
from autoencode.errors import IncompatibleError, OptionError, nearest
from autoencode.priors import FittedMixture
from autoencode.randomness import building, seeded
from autoencode.recipes import Recipe
from autoencode.trained.priors.from_model import OF_MODEL
from autoencode.trained.priors.integer_codes import OF_INTEGERS, Integers
from autoencode.trained.priors.real_codes import FITTED

KINDS = (*FITTED, *OF_INTEGERS, *OF_MODEL)


class FittedPrior(Protocol):
    """A prior that can be fitted to codes, and that a file names by its ``kind``."""

    kind: str

    def fit(self, z: Tensor, seed: int = 0) -> FittedPrior: ...


def prior_for(recipe: Recipe, kind: str, n_components: int | None = None) -> nn.Module:
    """Makes an unfitted prior of that kind for the codes of a recipe.

    Raises:
        OptionError: for an unknown kind, with the nearest names.
        IncompatibleError: for a kind that is not for these codes, or not made of components.
    """
    space = getattr(recipe.model.bottleneck, "space", None)
    if space is not None and kind in KINDS:
        raise IncompatibleError(
            f"codes are points of {space} and a {kind} prior is one of flat space; keep the model's own"
        )
    if kind in OF_MODEL and n_components is None:
        return OF_MODEL[kind].empty(recipe)
    return empty_prior(kind, recipe.latent_shape, Integers.from_recipe(recipe), n_components)


def prior_of_model(kind: str, recipe: Recipe, examples: Examples, seed: int = 0) -> nn.Module:
    """Makes a prior of one of the kinds ``OF_MODEL``, fitted to examples of the training data."""
    with seeded(seed, torch.device("cpu"), recipe.model):
        prior = OF_MODEL[kind].fitted(recipe, examples, seed)
    return prior.eval().requires_grad_(False)


def empty_prior(
    kind: str,
    shape: tuple[int, ...],
    integers: Integers | None = None,
    n_components: int | None = None,
) -> nn.Module:
    """Makes an unfitted prior of that kind, to be fitted or read from a file.

    Args:
        kind: a name.
        shape: of one code.
        integers: what the integers are that codes stand for, where there are any.
        n_components: Gaussians of a mixture, where their number is not to depend on the codes.

    Raises:
        OptionError: for an unknown kind, with the nearest names.
        IncompatibleError: for a prior of integers where codes are none, or components of one without.
    """
    if n_components is not None and kind in KINDS:
        if kind != FittedMixture.kind:
            raise IncompatibleError(
                f"n_components is for a mixture and prior '{kind}' has none; leave it out"
            )
        return FittedMixture(shape, n_components)
    if kind in OF_INTEGERS:
        if integers is None:
            raise IncompatibleError(
                f"prior '{kind}' is for integer codes and this model's are real numbers; use "
                f"{' or '.join(FITTED)}, or a quantised recipe (vqvae)"
            )
        return OF_INTEGERS[kind](integers)
    if kind not in FITTED:
        raise OptionError(f"unknown prior '{kind}'; {nearest(kind, KINDS)}")
    return FITTED[kind](shape)


def prior_of(
    kind: str,
    z: Tensor,
    seed: int = 0,
    integers: Integers | None = None,
    n_components: int | None = None,
) -> nn.Module:
    """Makes a prior of that kind, fitted to codes (N, *Z), or to integers (N, *G) for integer codes.

    >>> prior = prior_of("mixture", torch.randn(200, 3))
    >>> prior(None, None).rsample(torch.Size((5,))).shape
    torch.Size([5, 3])
    """
    with building(seed):
        empty = empty_prior(kind, tuple(z.shape[1:]), integers, n_components).to(z.device)
    prior: FittedPrior = empty  # type: ignore[assignment]
    prior.fit(z, seed)
    return empty.eval().requires_grad_(False)
