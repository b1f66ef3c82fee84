"""Pictures of a run: what each kind shows, made from a trained model and examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure

from autoencode.data import Examples, known_labels
from autoencode.data.values.apply_spec import to_shape
from autoencode.errors import OptionError
from autoencode.evaluate.codes import Codes, codes_of
from autoencode.pictures import plots
from autoencode.priors import FittedGaussian
from autoencode.trained import Trained
from autoencode.trained.trained import flat
from autoencode.types import Array

KINDS = ("reconstructions", "loss", "latent", "grid", "traversals", "samples")
MOST_DIMENSIONS = 10  # of a code, swept in one picture
STEPS = 11  # of a sweep
Extent = tuple[float, float, float, float]

CAPTIONS = {
    "reconstructions": "Held-out examples above their reconstructions.",
    "loss": "Training and validation loss.",
    "latent": "Codes of held-out examples.",
    "grid": "What the decoder makes of a regular grid of codes.",
    "traversals": (
        "One held-out example while one dimension of its code is swept; the most active ones first."
    ),
    "samples": "Decoded draws from the prior.",
    "samples_fitted": (
        "Decoded draws from a Gaussian fitted to the codes. Nothing asked this model to give its "
        "codes that shape, so some draws fall where no code lies."
    ),
}


def available(trained: Trained) -> tuple[str, ...]:
    """Lists the kinds that can be drawn for this model.

    A grid needs a code of two numbers, traversals one that is a vector; samples need a prior.
    """
    without = {"grid"} if trained.latent_shape != (2,) else set()
    if len(trained.latent_shape) != 1:
        without.add("traversals")
    if trained.model.prior is None:
        without.add("samples")
    return tuple(kind for kind in KINDS if kind not in without)


def check_kind(kind: str) -> None:
    """Refuses an unknown kind before any work.

    Raises:
        OptionError: with the kinds that there are.
    """
    if kind not in (*KINDS, "all"):
        raise OptionError(f"unknown kind of picture '{kind}'; use {', '.join(KINDS)} or all")


def draw(
    kind: str,
    trained: Trained,
    examples: Examples,
    history: Sequence[Mapping[str, Any]],
    *,
    extent: Extent | None = None,
    rows: int = 20,
    seed: int = 0,
    dimensions: Sequence[int] | None = None,
    sweep: tuple[float, float] | None = None,
) -> Figure:
    """Draws one picture of a trained model.

    Args:
        kind: one of ``KINDS``.
        trained: the model.
        examples: held-out examples.
        history: the lines of ``history.jsonl``.
        extent: of the grid, (x0, x1, y0, y1); the central 98 % of the codes by default.
        rows: of the grid.
        seed: of the samples.
        dimensions: of the code, which to sweep; the ten most active by default.
        sweep: from where to where; the central 98 % of each dimension's codes by default.

    Raises:
        OptionError: for an unknown kind, a grid of a code that is not two numbers, or sweeps of one
            that is no vector or has no such dimension.
    """
    if kind == "reconstructions":
        few = examples.take(np.arange(min(10, len(examples))))
        reconstructed = _as_drawn(trained, trained.reconstruct(few))
        return plots.reconstructions(_as_drawn(trained, few.x), reconstructed)
    if kind == "loss":
        return plots.loss(history, unit=trained.recipe.unit)
    if kind == "latent":
        return _latent(trained, examples)
    if kind == "grid":
        return _grid(trained, examples, extent, rows)
    if kind == "traversals":
        return _traversals(trained, examples, dimensions, sweep)
    if kind == "samples":
        return _samples(trained, seed)
    check_kind(kind)
    raise OptionError("'all' is not one picture; choose one")


def _as_drawn(trained: Trained, raw: Array) -> Array:
    """Examples as the model sees them, pixels in 0..1: images (N, C, H, W) or rows (N, F).

    Of a volume the slice in its middle is drawn; all else is a row.
    """
    raw = to_shape(raw, trained.spec)
    seen: Array = trained.spec.to_model(torch.from_numpy(raw)).numpy()
    if trained.spec.layout == "volume" and seen.ndim == 5:
        return seen[:, :, seen.shape[2] // 2]
    return seen if trained.spec.layout == "image" else flat(seen)


def _latent(trained: Trained, examples: Examples) -> Figure:
    z = flat(trained.embed(examples))
    return plots.latent(z, examples.labels)


def _grid(trained: Trained, examples: Examples, extent: Extent | None, rows: int) -> Figure:
    if trained.latent_shape != (2,):
        size = "x".join(map(str, trained.latent_shape))
        raise OptionError(f"a grid needs a code of two numbers and this model's has {size}")
    if extent is None:
        low, high = np.quantile(trained.embed(examples), [0.01, 0.99], axis=0)
        extent = (float(low[0]), float(high[0]), float(low[1]), float(high[1]))
    x0, x1, y0, y1 = extent
    across, up = np.meshgrid(np.linspace(x0, x1, rows), np.linspace(y1, y0, rows))
    codes = np.stack([across.ravel(), up.ravel()], axis=1)
    # A conditional model draws the grid of its first class.
    labels = [trained.spec.classes[0]] * len(codes) if trained.spec.classes else None
    decoded = _as_drawn(trained, trained.decode(codes, labels))
    return plots.grid(decoded.reshape(rows, rows, *decoded.shape[1:]), extent)


def _traversals(
    trained: Trained,
    examples: Examples,
    dimensions: Sequence[int] | None,
    sweep: tuple[float, float] | None,
) -> Figure:
    if len(trained.latent_shape) != 1:
        size = "x".join(map(str, trained.latent_shape))
        raise OptionError(f"traversals need a code that is a vector and this model's is a map, {size}")
    codes = codes_of(trained, examples)
    chosen = _chosen(codes, dimensions)
    middle = int(np.square(codes.z - codes.z.mean(axis=0)).sum(axis=1).argmin())
    steps = _steps(codes.z[:, chosen], sweep)
    swept = np.tile(codes.z[middle], (len(chosen), STEPS, 1))
    for row, j in enumerate(chosen):
        swept[row, :, j] = steps[row]
    labels = _same_class(trained, examples, middle, len(chosen) * STEPS)
    decoded = _as_drawn(trained, trained.decode(swept.reshape(-1, swept.shape[-1]), labels))
    shown = "{:.2g} sd" if codes.nats is None else "{:.2f} nats"
    names = [f"z{j} ({shown.format(codes.activity[j])})" for j in chosen]
    if sweep is None:
        ticks = ["1 %", *[""] * (STEPS - 2), "99 %"]
        across = "from the 1 % to the 99 % quantile of each dimension, in equal steps"
    else:
        ticks, across = [f"{value:.3g}" for value in steps[0]], "value of the dimension"
    n = len(codes.activity)
    title = f"Traversals of {len(chosen)} of {n} latent dimensions, the others held"
    shape = (len(chosen), STEPS, *decoded.shape[1:])
    return plots.traversals(decoded.reshape(shape), names, ticks, title=title, sweep=across)


def _same_class(trained: Trained, examples: Examples, row: int, n: int) -> list[Any] | None:
    """Repeats one example's label n times for a conditional model; without labels its first class."""
    if not trained.spec.classes:
        return None
    label = trained.spec.classes[0]
    if examples.labels is not None:
        names, known = known_labels(examples.labels)
        label = str(names[row]) if known[row] else label
    return [label] * n


def _chosen(codes: Codes, dimensions: Sequence[int] | None) -> list[int]:
    """Chooses the numbers of the dimensions to sweep."""
    n = codes.z.shape[1]
    if dimensions is None:
        most_active = np.argsort(-codes.activity, kind="stable")[:MOST_DIMENSIONS]
        return [int(j) for j in most_active]
    for j in dimensions:
        if not 0 <= j < n:
            raise OptionError(f"there is no latent dimension {j}; the code's are 0 to {n - 1}")
    return list(dimensions)


def _steps(z: Array, sweep: tuple[float, float] | None) -> Array:
    """Computes the values (R, K) of each of R dimensions along its sweep."""
    if sweep is not None:
        return np.tile(np.linspace(*sweep, STEPS), (z.shape[1], 1))
    low, high = np.quantile(z, [0.01, 0.99], axis=0)
    return np.linspace(low, high, STEPS, axis=1)


def _samples(trained: Trained, seed: int) -> Figure:
    fitted = isinstance(trained.model.prior, FittedGaussian)
    title = "Samples from a Gaussian fitted to the codes" if fitted else "Samples from the prior"
    return plots.samples(
        _as_drawn(trained, trained.sample(64, seed, mean=not trained.draws)), title=title
    )


def caption(kind: str, trained: Trained) -> str:
    """Says what a picture of this kind shows for this model."""
    if kind == "samples" and isinstance(trained.model.prior, FittedGaussian):
        kind = "samples_fitted"
    return CAPTIONS[kind]
