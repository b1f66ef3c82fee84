"""The families of built-in recipes in their order, and how a recipe of any is built."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from autoencode.errors import IncompatibleError, OptionError
from autoencode.nets import NetOptions
from autoencode.randomness import building, mix, seeded
from autoencode.randomness.own_code import is_own_code
from autoencode.recipes import (
    adversarial,
    bounds,
    convolutional,
    deterministic,
    disentangled,
    gaussian,
    hamiltonian,
    hierarchical,
    labelled,
    latents,
    layerwise,
    masked,
    quantised,
    regularised,
    sparse,
    variational,
)
from autoencode.recipes.built import Recipe
from autoencode.recipes.lookup import Named, recipe_info
from autoencode.recipes.options import arguments, resolve
from autoencode.recipes.registry import PLAN_OPTIONS, ScheduleName, put_in_order
from autoencode.recipes.shared.likelihood import COUNTS, SHARES
from autoencode.recipes.shared.networks import UserNetworks
from autoencode.recipes.weight_memory import refuse_too_large
from autoencode.recipes.width import WIDTH, fitted_width, refuse_width
from autoencode.types import DataSpec, Standardize

# In the order in which lists show their recipes.
_FAMILIES = (
    deterministic,
    convolutional,
    gaussian,
    regularised,
    sparse,
    layerwise,
    masked,
    quantised,
    variational,
    labelled,
    bounds,
    disentangled,
    latents,
    hamiltonian,
    hierarchical,
    adversarial,
)
put_in_order([family.__name__ for family in _FAMILIES])


def default_recipe(spec: DataSpec) -> str:
    """Chooses the recipe for data where none is asked for: ``mlp``, for gaps ``mlp_impute``.

    >>> default_recipe(DataSpec((4,), "real", gaps=True))
    'mlp_impute'
    """
    return "mlp_impute" if spec.gaps and spec.layout == "row" else "mlp"


def scaling(recipe: Named, options: Mapping[str, Any]) -> Standardize:
    """Chooses how the numbers of a table are scaled for a recipe with these options.

    Counts are learned from as they are, and so are values that a likelihood or an output has in [0, 1].

    >>> [scaling("vae", {"likelihood": name}) for name in ("gaussian", "poisson", "bernoulli")]
    ['columns', 'none', 'unit']
    """
    likelihood = options.get("likelihood")
    if likelihood in COUNTS:
        return "none"
    if likelihood in SHARES or options.get("binarize") or options.get("output") in ("sigmoid", "clip"):
        return "unit"
    return recipe_info(recipe).standardize


def build(
    name: Named,
    spec: DataSpec,
    *,
    schedule: ScheduleName = "fast",
    seed: int = 0,
    encoder: nn.Module | None = None,
    decoder: nn.Module | None = None,
    **options: Any,
) -> Recipe:
    """Builds a recipe for data of the given kind.

    Args:
        name: one of ``RECIPES``, ``module:function``, or a function that ``recipe`` decorates.
        spec: the data.
        schedule: ``fast`` or ``paper``.
        seed: of the initial weights; the caller's random state stays as it was.
        encoder, decoder: your own modules, both or none; they are copied. The encoder takes
            (B, *D) and gives the code (features, for a variational recipe), the decoder takes
            (B, latent_dim) and gives (B, *D): the mean, or the logits under a Bernoulli.
        **options: options of the recipe (``autoencode recipes NAME`` lists them) and of
            ``TrainingPlan``; text is parsed.

    Returns:
        A recipe whose parts have been tried together.

    Raises:
        OptionError: for an unknown recipe or option, or a value that does not fit.
        IncompatibleError: for parts or data that do not fit together.

    Example:
        >>> from autoencode import DataSpec
        >>> recipe = build("vae", DataSpec((30,)), latent_dim=4, epochs=3)
        >>> recipe.latent_shape, recipe.plan.epochs, recipe.unit
        ((4,), 3, 'nats per example')
    """
    info = recipe_info(name)
    known = info.options
    values = check_options(info.function, options)
    fitted = None if encoder is not None else fitted_width(info, spec, options, values)
    if fitted is not None:
        values[WIDTH] = fitted
    model_values = {option: values[option] for option in known}
    figures = {option: values[option] for option in PLAN_OPTIONS if option in options}
    if "epochs" in figures:
        figures.setdefault("min_steps", 0)  # who asks for 3 epochs gets 3
    call = arguments(info.function, known, model_values)
    if (encoder is None) != (decoder is None):
        raise IncompatibleError("give both encoder and decoder, or neither")
    if encoder is None:
        refuse_too_large(info, spec, call, model_values)
    # A function of the user's own may seed and draw as it likes; ours draw as constructors of torch do.
    own = is_own_code((info.function,))
    with seeded(seed, None, info.function) if own else building(mix(seed)):
        if encoder is not None and decoder is not None:
            if "networks" not in inspect.signature(info.function).parameters:
                raise IncompatibleError(
                    f"recipe '{info.name}' takes no networks of your own; use mlp or another recipe"
                )
            recipe = info.function(
                spec, networks=UserNetworks(encoder, decoder, call.get("net", NetOptions())), **call
            )
        else:
            recipe = info.function(spec, **call)
    if not isinstance(recipe, Recipe):
        raise OptionError(
            f"recipe '{info.name}' returns {type(recipe).__name__}; it must return a Recipe"
        )
    if any(isinstance(module, nn.Conv2d) for module in recipe.model.modules()):
        # As in training: a loaded model must round as the trained one did.
        recipe.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    plan = replace(info.plan(schedule, spec), **figures)
    recipe = replace(recipe, name=info.name, options=model_values, plan=plan)
    return replace(recipe, fitted=() if fitted is None else (WIDTH,)).check()


def check_options(recipe: Named, options: Mapping[str, Any]) -> dict[str, Any]:
    """Checks all options of a recipe and its training before any work; returns their values.

    Args:
        recipe: as ``build`` takes it.
        options: those that were given; text is parsed.

    Raises:
        OptionError: for an unknown recipe or option, or a value that does not fit.
    """
    info = recipe_info(recipe)
    refuse_width(info, options)
    return resolve({**info.options, **PLAN_OPTIONS}, options, f"recipe '{info.name}'")
