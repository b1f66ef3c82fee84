"""The list of recipes, and the decorator that puts a function on it with all that is known of it."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar, get_args

from autoencode.errors import OptionError, nearest
from autoencode.recipes.options import Option, options_of
from autoencode.recipes.signatures import check_signature
from autoencode.training import TrainingPlan
from autoencode.types import DataSpec, Standardize

ScheduleName = Literal["fast", "paper"]
Figures = TrainingPlan | Mapping[str, Any]
Function = TypeVar("Function", bound=Callable[..., Any])

NATS, SSE = "nats per example", "squared error per example"
MSE = "mean squared error per entry"

PLAN_OPTIONS: Mapping[str, Option] = options_of(TrainingPlan)
# Tables that are mostly zeros have many columns and few rows: more steps learn these by heart, and
# codes become worse at telling topics (``benchmarks/sparse.py``).
_STEPS_ON_ZEROS = 200
_LINK = re.compile(r"https?://[^\s,]+")


@dataclass(frozen=True)
class Facts:
    """What is true of a recipe with the options that it has by default.

    Attributes:
        unit: what the loss counts.
        variational: whether its code is drawn from a posterior.
        networks: what its encoder's class is called without that word (``conv`` of ``ConvEncoder``), or
            ``dictionary`` by its decoder; of ``conv`` for images at least.
        hidden: whether there are layers between the data and the code.
        images_only: whether it takes images alone.
        unit_only: whether it takes values in [0, 1] alone.
        bounded: whether reconstructions of values in [0, 1] lie there too.
        context: whether it can be conditioned on a context.
        gaps: whether it takes data with missing values.
        integers: whether a code has integers that stand for it.
        curved: whether codes lie in a curved space, so that no other prior can be fitted to them.
        critic: whether a critic is trained beside it.
        layerwise: whether layers are trained one after the other, each on an error of its own.
        any_size: whether a model of images takes those of any size, whatever it was trained on.
    """

    unit: str = NATS
    variational: bool = False
    networks: str = "mlp"
    hidden: bool = True
    images_only: bool = False
    unit_only: bool = False
    bounded: bool = True
    context: bool = True
    gaps: bool = True
    integers: bool = False
    curved: bool = False
    critic: bool = False
    layerwise: bool = False
    any_size: bool = False


@dataclass(frozen=True)
class RecipeInfo:
    """A recipe function, the ways to train it, and what is known of it.

    Attributes:
        function: builds it from a ``DataSpec`` and options.
        paper: the figures of the original write-up, at a constant rate.
        fast: reaches a better model in the same number of epochs or fewer (chosen on a validation
            split, see ``benchmarks/``); the default.
        tables: what ``fast`` is for rows of measurements.
        source: the paper: title, authors, year and link.
        standardize: how tables are scaled for it, see ``data.ranges``.
        conditional: the labels of the data are its context.
        guesses: it guesses labels that are missing.
        widest: of a code that is to be narrow, how many numbers it has at most for each number of an
            example that is no image, where no ``latent_dim`` is given.
        width: what sets the width of the code, in words, where the recipe has no ``latent_dim``.
        facts: what is true of it; ``None`` where nobody said, which only an own recipe may be.
    """

    function: Callable[..., Any]
    paper: TrainingPlan
    fast: TrainingPlan
    tables: TrainingPlan
    source: str
    standardize: Standardize = "columns"
    conditional: bool = False
    guesses: bool = False
    widest: float | None = None
    width: str = ""
    facts: Facts | None = None

    @property
    def name(self) -> str:
        return self.function.__name__

    @property
    def summary(self) -> str:
        """The first line of the recipe's documentation, or the title of its source."""
        documented = inspect.getdoc(self.function)
        return documented.split("\n", 1)[0] if documented else _LINK.split(self.source)[0].rstrip(", ")

    @property
    def url(self) -> str:
        """The link to the recipe's paper."""
        link = _LINK.search(self.source)
        assert link is not None
        return link.group()

    @property
    def any_size(self) -> bool:
        """Whether a model of images takes those of any size."""
        return self.facts is not None and self.facts.any_size

    @property
    def options(self) -> dict[str, Option]:
        """The model's options by name."""
        return dict(options_of(self.function))

    def plan(self, schedule: ScheduleName, spec: DataSpec | None = None) -> TrainingPlan:
        """Returns the training plan of a schedule, for such data where it depends on them."""
        if schedule not in ("fast", "paper"):
            raise OptionError(f"unknown schedule '{schedule}'; use fast or paper")
        if schedule == "paper":
            return self.paper
        if spec is None or not spec.measured:
            return self.fast
        if spec.mostly_zeros:
            return replace(self.tables, min_steps=min(self.tables.min_steps, _STEPS_ON_ZEROS))
        return self.tables


_RECIPES: dict[str, RecipeInfo] = {}
#: Every recipe by name.
RECIPES: Mapping[str, RecipeInfo] = _RECIPES


def recipe(
    bare: Callable[..., Any] | None = None,
    /,
    *,
    source: str | None = None,
    fast: Figures | None = None,
    paper: Figures | None = None,
    tables: Figures | None = None,
    standardize: Standardize = "columns",
    conditional: bool = False,
    guesses: bool = False,
    widest: float | None = None,
    width: str = "",
    facts: Facts | None = None,
) -> Callable[[Function], Function]:
    """Makes a recipe of a function: it can be trained by its name, saved and loaded.

    The function takes a ``DataSpec`` named ``spec`` and options with types and defaults, and returns a
    ``Recipe``. Ranges of numbers stand in their types, as ``Annotated[int, AtLeast(1)]`` with
    ``autoencode.limits``. The decorator returns the function as it is. Decorating it again, as a
    notebook does, replaces it; a name that another function has is refused.

    Args:
        source: where it comes from, with a link: "Title (Authors, year), https://..."; by default the
            second paragraph of the function's documentation.
        fast: figures of ``TrainingPlan`` that train it by default; those that are not named are as in
            ``paper``.
        paper: the figures of the original write-up; by default those of ``fast``.
        tables: figures that ``fast`` has for rows of measurements, where they are others.
        standardize: how tables are scaled for it (``load_data``).
        conditional: whether the labels of the data are its context.
        guesses: whether it guesses labels that are missing.
        widest: where no ``latent_dim`` is given, the code has at most this many numbers for each number
            of an example that is no image: 0.5 for a code that is to reduce tables. As the function has
            it by default.
        width: where the recipe has no ``latent_dim``, what sets the width of its code, for an error.
        facts: what else is true of it, which the tests of built-in recipes read.

    Raises:
        OptionError: for a function or a figure that cannot be used, or a name that is taken.

    Example:
        >>> import autoencode
        >>> from autoencode.recipes.variational import vae
        >>> @autoencode.recipe(source="Notes, https://example.org", fast=dict(epochs=3, lr=3e-3))
        ... def narrow_vae(spec, latent_dim: int = 2):
        ...     return vae(spec, latent_dim)
        >>> autoencode.build("narrow_vae", autoencode.DataSpec((30,))).latent_shape
        (2,)
        >>> from autoencode.recipes.registry import forget
        >>> forget("narrow_vae")
    """
    if bare is not None:
        raise OptionError('recipe needs a source; write @recipe(source="Title, https://...")')

    def register(function: Function) -> Function:
        check_signature(function, PLAN_OPTIONS)
        name = function.__name__
        if standardize not in get_args(Standardize):
            raise OptionError(
                f"recipe '{name}': unknown standardize {standardize!r}; use "
                f"{', '.join(get_args(Standardize))}"
            )
        original = _plan(name, "paper", TrainingPlan(), paper)
        tuned = _plan(name, "fast", original, fast)
        info = RecipeInfo(
            function,
            paper=tuned if paper is None else original,
            fast=tuned,
            tables=_plan(name, "tables", tuned, tables),
            source=_source(function, source),
            standardize=standardize,
            conditional=conditional,
            guesses=guesses,
            widest=widest,
            width=width,
            facts=facts,
        )
        enlist(info)
        function.__recipe__ = info  # type: ignore[attr-defined]
        return function

    return register


def enlist(info: RecipeInfo) -> None:
    """Puts a recipe on the list, or in the place of the same function's earlier version.

    Raises:
        OptionError: when another function has the name.
    """
    before = _RECIPES.get(info.name)
    if before is not None and not _same(before.function, info.function):
        raise OptionError(
            f"there is a recipe '{info.name}' already, in {before.function.__module__}; give the "
            f"function in {info.function.__module__} another name"
        )
    _RECIPES[info.name] = info


def forget(name: str) -> None:
    """Takes a recipe off the list, so that its name can be given anew."""
    _RECIPES.pop(name, None)


def put_in_order(modules: list[str]) -> None:
    """Puts the recipes of these modules in the modules' order."""
    place = {module: i for i, module in enumerate(modules)}
    listed = sorted(_RECIPES.items(), key=lambda item: place.get(item[1].function.__module__, 99))
    _RECIPES.clear()
    _RECIPES.update(listed)


def _same(one: Callable[..., Any], other: Callable[..., Any]) -> bool:
    """Whether two functions are one, made twice: by a reload, a notebook, or a script as a module."""
    if one.__qualname__ != other.__qualname__:
        return False
    files = {os.path.abspath(function.__code__.co_filename) for function in (one, other)}
    return one.__module__ == other.__module__ or (len(files) == 1 and os.path.isfile(files.pop()))


def _source(function: Callable[..., Any], source: str | None) -> str:
    if source is None:
        paragraphs = (inspect.getdoc(function) or "").split("\n\n")
        source = paragraphs[1] if len(paragraphs) > 1 else ""
    if not isinstance(source, str) or _LINK.search(source) is None:
        raise OptionError(
            f"recipe '{function.__name__}' needs a source with a link; write "
            '@recipe(source="Title (Authors, year), https://...")'
        )
    return " ".join(source.split())


def _plan(name: str, schedule: str, base: TrainingPlan, figures: Figures | None) -> TrainingPlan:
    """The plan of a schedule: figures that differ from those of another."""
    if figures is None or isinstance(figures, TrainingPlan):
        return base if figures is None else figures
    known = PLAN_OPTIONS
    if not isinstance(figures, Mapping):
        raise OptionError(f"recipe '{name}': {schedule} takes figures by name, as dict(epochs=3)")
    for figure in figures:
        if figure not in known:
            raise OptionError(
                f"recipe '{name}': {schedule} has no figure '{figure}'; {nearest(figure, known)}"
            )
    return replace(base, **{figure: known[figure].parse(value) for figure, value in figures.items()})
