"""All recipes by name, each with the figures of its original and those that train it faster."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import nn

from autoencode.errors import IncompatibleError, OptionError, nearest
from autoencode.randomness import building, mix
from autoencode.recipes import (
    adversarial,
    bounds,
    convolutional,
    deterministic,
    disentangled,
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
from autoencode.recipes.options import Option, arguments, options_of, resolve
from autoencode.recipes.recipe import Recipe
from autoencode.recipes.shared.likelihood import COUNTS
from autoencode.recipes.shared.networks import Own
from autoencode.training import TrainingPlan
from autoencode.types import DataSpec

ScheduleName = Literal["fast", "paper"]
Standardize = Literal["columns", "all_columns", "global", "none"]


@dataclass(frozen=True)
class RecipeInfo:
    """A recipe function and the two ways to train it.

    Attributes:
        function: builds it from a ``DataSpec`` and options.
        paper: the figures of the original write-up, at a constant rate.
        fast: reaches a better model in the same number of epochs or fewer (chosen on a validation
            split, see ``benchmarks/``); the default.
        standardize: how tables are scaled for it, see ``data.ranges``.
        conditional: the labels of the data are its context.
        guesses: it guesses labels that are missing.
    """

    function: Callable[..., Recipe]
    paper: TrainingPlan
    fast: TrainingPlan
    standardize: Standardize = "columns"
    conditional: bool = False
    guesses: bool = False

    @property
    def name(self) -> str:
        return self.function.__name__

    @property
    def summary(self) -> str:
        """The first sentence of the recipe's documentation."""
        return inspect.getdoc(self.function).split("\n", 1)[0]  # type: ignore[union-attr]

    @property
    def source(self) -> str:
        """The paper: title, authors, year and link."""
        body = inspect.getdoc(self.function).split("\n\n")[1]  # type: ignore[union-attr]
        return " ".join(body.split())

    @property
    def url(self) -> str:
        """The paper's link."""
        link = re.search(r"https?://[^\s,]+", self.source)
        assert link is not None
        return link.group()

    @property
    def options(self) -> dict[str, Option]:
        """The model's options by name."""
        return options_of(self.function)

    def plan(self, schedule: ScheduleName) -> TrainingPlan:
        """The figures of a schedule."""
        if schedule not in ("fast", "paper"):
            raise OptionError(f"unknown schedule '{schedule}'; use fast or paper")
        return self.fast if schedule == "fast" else self.paper


def _adam(epochs: int, lr: float, batch_size: int = 64, **more: Any) -> TrainingPlan:
    return TrainingPlan(epochs=epochs, lr=lr, batch_size=batch_size, **more)


def _tuned(paper: TrainingPlan, lr: float, batch_size: int, **more: Any) -> TrainingPlan:
    """The original's length with a rate that rises and falls."""
    figures: dict[str, Any] = {
        "warmup": 0.2,
        "decay": "linear",
        "mean_start": True,
        "min_steps": 2000,
    }
    return replace(paper, lr=lr, batch_size=batch_size, **{**figures, **more})


def _info(
    function: Callable[..., Recipe], paper: TrainingPlan, lr: float, size: int, **more: Any
) -> RecipeInfo:
    standardize = more.pop("standardize", "columns")
    labels = {name: more.pop(name, False) for name in ("conditional", "guesses")}
    return RecipeInfo(function, paper, _tuned(paper, lr, size, **more), standardize, **labels)


# For perceptrons of two or three layers on bounds.
_BY_MUON: dict[str, Any] = {"lr": 0.012, "size": 512, "optimizer": "muon", "min_steps": 1000}
# Over hundreds of epochs weights would grow until they hardly move; over few the decay does nothing.
_BOUND_BY_MUON: dict[str, Any] = {**_BY_MUON, "epochs": 50, "weight_decay": 0.01}
# Of many draws of z, where small batches fit the processor's cache and the optimiser costs little.
_MANY_DRAWS_BY_MUON: dict[str, Any] = {**_BOUND_BY_MUON, "lr": 6e-3, "size": 128}

_INFOS = (
    _info(
        deterministic.linear,
        _adam(12, 1e-3, 128),
        lr=0.01,
        size=256,
        optimizer="muon",
        standardize="global",
    ),
    _info(
        deterministic.mlp,
        _adam(12, 1e-3, 128),
        lr=0.02,
        size=512,
        optimizer="muon",
        min_steps=300,  # more learn small data by heart
    ),
    _info(deterministic.mlp_small, _adam(10, 1e-3), lr=0.016, size=256, optimizer="muon"),
    _info(deterministic.mlp_latent2, _adam(20, 1e-3, 128), lr=4e-3, size=128),
    _info(
        deterministic.mlp_impute,
        _adam(500, 1e-3, 500),
        lr=4e-3,
        size=128,
        standardize="all_columns",
        epochs=12,
        min_steps=1500,
    ),
    _info(
        deterministic.mlp_masked,
        _adam(20, 1e-3, 128),
        lr=1e-2,
        size=128,
        epochs=1,
        min_steps=140,
        warmup=0.0,
        validation=0.0,
        mean_start=False,
        doctor=False,
    ),
    _info(convolutional.conv_linear, _adam(10, 1e-3), lr=0.01, size=64, optimizer="muon"),
    _info(convolutional.conv, _adam(10, 1e-3), lr=0.01, size=64, optimizer="muon"),
    _info(
        convolutional.conv_small,
        _adam(10, 1e-3),
        lr=0.02,
        size=64,
        optimizer="muon",
        mean_start=False,
    ),
    _info(
        convolutional.conv_latent2,
        _adam(200, 5e-4, validation=0.2),
        lr=7e-3,
        size=64,
        optimizer="muon",
        validation=1 / 60,
    ),
    _info(
        convolutional.conv_skip,
        _adam(10, 1e-3),
        lr=0.01,
        size=16,
        optimizer="muon",
        min_steps=4000,
        mean_start=False,
    ),
    _info(variational.vae, _adam(10, 1e-3), lr=7e-3, size=128),
    _info(variational.conv_vae, _adam(10, 1e-3), lr=0.01, size=64, optimizer="muon"),
    _info(regularised.denoising, _adam(50, 1e-3), lr=3e-3, size=128, epochs=10),
    _info(regularised.contractive, _adam(50, 1e-3), lr=3e-3, size=128, epochs=10),
    _info(regularised.spherical, _adam(50, 1e-3), lr=4e-3, size=128, epochs=12),
    _info(regularised.wae_mmd, _adam(100, 1e-3, 100), lr=3e-3, size=128, epochs=20),
    _info(regularised.swae, _adam(30, 1e-3, 500), lr=3e-3, size=256, epochs=20),
    _info(regularised.rae_l2, _adam(100, 1e-3, 100), lr=4e-3, size=128, epochs=12),
    _info(regularised.rae_gp, _adam(100, 1e-3, 100), lr=4e-3, size=128, epochs=12),
    _info(sparse.sparse, _adam(20, 1e-3, 128), lr=3e-3, size=128, epochs=10),
    _info(sparse.sparse_kl, _adam(50, 1e-3, 128), lr=1e-2, size=128, epochs=10),
    _info(sparse.topk, _adam(50, 1e-3, 128), lr=2e-3, size=128, epochs=10),
    _info(sparse.batch_topk, _adam(20, 3e-4, 128), lr=2e-3, size=128, epochs=10),
    _info(sparse.jumprelu, _adam(20, 7e-5, 128), lr=2e-3, size=128, epochs=10),
    _info(sparse.matryoshka_sparse, _adam(20, 3e-4, 128), lr=2e-3, size=128, epochs=10),
    _info(layerwise.stacked, _adam(60, 1e-3, 128), lr=5e-3, size=128, epochs=20, warmup=0.0),
    _info(masked.mae, _adam(800, 1.5e-4, 128), lr=2e-3, size=128, epochs=20),
    _info(
        masked.mae_table,
        _adam(600, 1e-3, 64),
        lr=2e-3,
        size=128,
        standardize="all_columns",
        epochs=12,
        min_steps=1500,
    ),
    _info(quantised.vqvae, _adam(530, 2e-4, 128), lr=0.015, size=128, epochs=10, optimizer="muon"),
    _info(quantised.vqvae2, _adam(530, 3e-4, 128), lr=0.015, size=128, epochs=10, optimizer="muon"),
    _info(quantised.rvq, _adam(100, 3e-4, 128), lr=2e-3, size=128, epochs=10),
    _info(quantised.pvq, _adam(100, 1e-3, 128), lr=2e-3, size=128, epochs=10),
    _info(quantised.fsq, _adam(100, 1e-3, 128), lr=3e-3, size=128, epochs=10),
    _info(quantised.lfq, _adam(270, 1e-4, 256), lr=3e-3, size=128, epochs=10),
    _info(quantised.simvq, _adam(50, 1e-4, 256), lr=2e-3, size=128, epochs=10),
    _info(variational.beta_vae, _adam(50, 1e-3), lr=5e-3, size=128, epochs=10),
    _info(variational.sigma_vae, _adam(50, 1e-3, 128), lr=5e-3, size=128, epochs=10),
    _info(variational.log_cosh_vae, _adam(50, 1e-3), lr=3e-3, size=128, epochs=10),
    _info(variational.ms_ssim_vae, _adam(50, 1e-3), lr=3e-3, size=128, epochs=10),
    _info(variational.cvae, _adam(50, 1e-3), lr=5e-3, size=128, epochs=10, conditional=True),
    _info(
        labelled.m2_vae,
        _adam(3000, 3e-4, 250),
        lr=1e-3,
        size=128,
        epochs=20,
        conditional=True,
        guesses=True,
    ),
    _info(bounds.iwae, _adam(3280, 1e-3, 20), **_BOUND_BY_MUON),
    _info(bounds.miwae, _adam(3280, 1e-3, 20), **_MANY_DRAWS_BY_MUON),
    _info(bounds.piwae, _adam(3280, 1e-3, 20), **_MANY_DRAWS_BY_MUON),
    _info(bounds.ciwae, _adam(3280, 1e-3, 20), **_MANY_DRAWS_BY_MUON),
    _info(bounds.iwae_two_layers, _adam(3280, 1e-3, 20), **_BOUND_BY_MUON),
    _info(disentangled.beta_vae_capacity, _adam(100, 5e-4), lr=2e-3, size=128, epochs=20),
    _info(disentangled.beta_tcvae, _adam(50, 1e-3, 2048), lr=3e-3, size=256, epochs=20),
    _info(disentangled.factor_vae, _adam(100, 1e-4), lr=1e-3, size=128, epochs=20),
    _info(disentangled.dip_vae_i, _adam(50, 1e-4, 400), lr=3e-3, size=256, epochs=20),
    _info(disentangled.dip_vae_ii, _adam(50, 1e-4, 400), lr=3e-3, size=256, epochs=20),
    _info(disentangled.info_vae, _adam(50, 1e-3, 200), lr=3e-3, size=128, epochs=20),
    _info(disentangled.joint_vae, _adam(100, 5e-4), lr=2e-3, size=128, epochs=20),
    _info(latents.flow_vae, _adam(50, 1e-3, 100), lr=2e-3, size=128, epochs=20),
    _info(latents.iaf_vae, _adam(50, 1e-3, 100), lr=2e-3, size=128, epochs=20),
    _info(latents.vmf_vae, _adam(50, 1e-3), lr=3e-3, size=128, epochs=20),
    _info(latents.power_spherical_vae, _adam(50, 1e-3), lr=3e-3, size=128, epochs=20),
    _info(latents.poincare_vae, _adam(80, 5e-4, 128), lr=3e-3, size=128, epochs=20),
    _info(latents.gumbel_vae, _adam(50, 1e-3, 100), lr=3e-3, size=128, epochs=20),
    _info(latents.vamp_vae, _adam(2000, 5e-4, 100), epochs=20, weight_decay=0.1, **_BY_MUON),
    _info(latents.mog_vae, _adam(2000, 5e-4, 100), epochs=20, weight_decay=0.1, **_BY_MUON),
    _info(hamiltonian.hvae, _adam(2000, 5e-4, 100), lr=2e-3, size=128, epochs=20),
    _info(hamiltonian.rhvae, _adam(1000, 1e-3, 200), lr=2e-3, size=128, epochs=20),
    _info(
        hierarchical.ladder_vae,
        _adam(2000, 1e-3, 256),
        epochs=50,
        **{**_BY_MUON, "lr": 0.01, "min_steps": 500},
    ),
    _info(
        hierarchical.vdvae,
        _adam(400, 2e-4, 32, weight_decay=0.01, ema=0.999),
        lr=5e-3,
        size=64,
        epochs=5,
        optimizer="muon",
        min_steps=1000,
        ema=0.0,  # the rate falls to zero, and few steps are averaged with the first ones
    ),
    _info(adversarial.aae, _adam(100, 1e-3, 100), lr=1e-3, size=128, epochs=20),
    _info(adversarial.wae_gan, _adam(100, 1e-3, 100), lr=1e-3, size=128, epochs=20),
    _info(adversarial.vq_patch_gan, _adam(100, 3.6e-5, 8), lr=1e-3, size=128, epochs=20),
    _info(adversarial.vae_gan, _adam(100, 3e-4), lr=5e-4, size=128, epochs=20),
)

#: Every recipe by name.
RECIPES: Mapping[str, RecipeInfo] = {info.name: info for info in _INFOS}


def default_recipe(spec: DataSpec) -> str:
    """The recipe that serves such data where none is asked for: ``mlp``, for gaps ``mlp_impute``.

    >>> default_recipe(DataSpec((4,), "real", gaps=True))
    'mlp_impute'
    """
    return "mlp_impute" if spec.gaps and spec.layout == "row" else "mlp"


def scaling(name: str, options: Mapping[str, Any]) -> Standardize:
    """How the numbers of a table are scaled for a recipe with these options, see ``data.ranges``.

    >>> scaling("vae", {}), scaling("vae", {"likelihood": "poisson"})
    ('columns', 'none')
    """
    counted = options.get("likelihood") in COUNTS
    return "none" if counted else recipe_info(name).standardize


PLAN_OPTIONS: Mapping[str, Option] = options_of(TrainingPlan)


def recipe_info(name: str) -> RecipeInfo:
    """The recipe of that name.

    Raises:
        OptionError: when there is none, with the nearest names.
    """
    if name not in RECIPES:
        raise OptionError(f"unknown recipe '{name}'; {nearest(name, RECIPES)}")
    return RECIPES[name]


def build(
    name: str,
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
        name: one of ``RECIPES``.
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
    values = check_options(name, options)
    model_values = {option: values[option] for option in known}
    figures = {option: values[option] for option in PLAN_OPTIONS if option in options}
    if "epochs" in figures:
        figures.setdefault("min_steps", 0)  # who asks for 3 epochs gets 3
    call = arguments(info.function, known, model_values)
    if (encoder is None) != (decoder is None):
        raise IncompatibleError("give both encoder and decoder, or neither")
    with building(mix(seed)):
        if encoder is not None and decoder is not None:
            if "networks" not in inspect.signature(info.function).parameters:
                raise IncompatibleError(
                    f"recipe '{name}' takes no networks of your own; use mlp or another recipe"
                )
            recipe = info.function(spec, networks=Own(encoder, decoder, call["net"]), **call)
        else:
            recipe = info.function(spec, **call)
    if any(isinstance(module, nn.Conv2d) for module in recipe.model.modules()):
        # As in training: a loaded model must round as the trained one did.
        recipe.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    plan = replace(info.plan(schedule), **figures)
    return replace(recipe, name=name, options=model_values, plan=plan).check()


def check_options(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """All options of a recipe and of its training with their values, checked before any work.

    Args:
        name: one of ``RECIPES``.
        options: those that were given; text is parsed.

    Raises:
        OptionError: for an unknown recipe or option, or a value that does not fit.
    """
    known = {**recipe_info(name).options, **PLAN_OPTIONS}
    values = resolve(known, options, f"recipe '{name}'")
    _check_ranges(values)
    return values


_MOST = {int: 2**31, float: 1e36}  # what is far above overflows somewhere in torch
_AT_LEAST_ONE = (
    *("epochs", "batch_size", "latent_dim", "n_samples", "n_groups", "n_components", "n_flows"),
    *("top_dim", "continuous_dim", "n_variables", "n_categories", "flow_hidden", "beta_cycles"),
)
_NOT_NEGATIVE = (
    *("beta", "noise_level", "weight_decay", "min_steps", "patience", "free_bits", "gamma"),
    *("capacity_nats", "capacity_z", "capacity_c", "capacity_until", "beta_until", "tc_weight"),
    *("off_diagonal", "diagonal", "mmd_weight", "critic_weight"),
)
_ABOVE_ZERO = ("lr", "scale", "curvature", "step_size", "reach", "regularization")
_SHARES = ("ema", "dropout", "warmup", "validation", "codebook_decay", "critic_from")
# These are counts as well, in whatever recipe they are.
_COUNTS = (
    *("k", "k_eval", "k_dead", "n_nested", "n_directions", "positions", "n_codes", "code_dim"),
    *("n_levels", "n_parts", "n_bits", "patch", "width", "depth", "heads", "decoder_width"),
    *("decoder_depth", "patience_dead", "n_scales", "window", "inner", "latent_channels"),
    *("n_leapfrog", "n_centroids"),
)


def _check_ranges(values: Mapping[str, Any]) -> None:
    """Refuses numbers outside their range before they become a strange failure later."""
    for name, value in values.items():
        for entry in value if isinstance(value, tuple) else (value,):
            if type(entry) in _MOST and abs(entry) >= _MOST[type(entry)]:
                raise OptionError(f"option {name}: {entry:g} is too large")
    for name in (*_AT_LEAST_ONE, *_COUNTS):
        if name in values and values[name] < 1:
            raise OptionError(f"option {name}: must be at least 1, got {values[name]}")
    for name in _SHARES:
        if name in values and not 0 <= values[name] < 1:
            raise OptionError(f"option {name}: must lie in [0, 1), got {values[name]}")
    for name, value in values.items():
        if name.endswith("_weight") and value < 0:
            raise OptionError(f"option {name}: must not be negative, got {value}")
    for name in _ABOVE_ZERO:
        if name in values and not values[name] > 0:
            raise OptionError(f"option {name}: must be above 0, got {values[name]}")
    for name in _NOT_NEGATIVE:
        if name in values and values[name] < 0:
            raise OptionError(f"option {name}: must not be negative, got {values[name]}")
