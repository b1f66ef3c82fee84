"""Pictures of a run: what each kind shows, made from a trained model and examples.

Of tables and signals a page shows tables and panels (``view``), and a figure shows the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure

from autoencode.data import Examples, known_labels
from autoencode.data.values.apply_spec import to_shape
from autoencode.errors import OptionError
from autoencode.evaluate.codes import Codes, codes_of
from autoencode.pictures import plots
from autoencode.pictures.cell_text import entry_columns, in_words, row_names
from autoencode.pictures.column_errors import ColumnErrors, errors_of_signals, errors_of_table
from autoencode.pictures.compared_rows import MOST_ROWS, compare_rows
from autoencode.pictures.histograms import compare_draws
from autoencode.pictures.of_views import View, figure_of, planes_figure, rows_figure
from autoencode.pictures.planes import planes
from autoencode.pictures.signal_panels import (
    MOST_SIGNALS,
    compare_signals,
    drawn_signals,
    swept_signals,
)
from autoencode.pictures.sweeps import sweeps_of_rows
from autoencode.priors import FittedGaussian
from autoencode.trained import Trained
from autoencode.trained.trained import flat
from autoencode.types import Array, DataSpec

KINDS = ("columns", "reconstructions", "loss", "latent", "grid", "traversals", "samples")
MOST_DIMENSIONS = 10  # of a code, swept in one picture
STEPS = 11  # of a sweep
Extent = tuple[float, float, float, float]
_VIEWS = ("reconstructions", "samples", "traversals")  # of tables and signals no pictures
_FEW_ENTRIES = 64  # rows of more entries without names may be spectra, which are lines
_MEASURED = 5000  # examples, by which the errors of columns are measured
_WRITTEN = 8  # rows on a sheet
_DRAWS = 1000  # rows, whose histograms stand beside real ones

CAPTIONS = {
    "columns": (
        "How well held-out examples are reconstructed: 0 is without error, 1 no better than the same "
        "guess for all (the mean, or the most frequent value)."
    ),
    "rows": "The first held-out rows, cell by cell; the columns with the largest errors first.",
    "signals": "Held-out signals; the channels with the largest errors first.",
    "draws": "Held-out rows, and draws from the prior.",
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

    A grid needs a code of two numbers, traversals one that is a vector; samples need a prior, errors
    of columns a table or signals of several channels.
    """
    without = {"grid"} if trained.latent_shape != (2,) else set()
    if not _has_columns(trained.spec):
        without.add("columns")
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
        OptionError: for an unknown kind, a grid of a code that is not two numbers, sweeps of one
            that is no vector or has no such dimension, or columns of data that have none.
    """
    seen = view(kind, trained, examples, seed=seed, dimensions=dimensions, sweep=sweep)
    if seen is not None:
        return figure_of(seen)
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


def view(
    kind: str,
    trained: Trained,
    examples: Examples,
    *,
    seed: int = 0,
    dimensions: Sequence[int] | None = None,
    sweep: tuple[float, float] | None = None,
) -> View | None:
    """Gives what one kind shows of tables and signals; ``None`` for all that is a picture.

    Args:
        kind: one of ``KINDS``.
        trained: the model.
        examples: held-out examples.
        seed: of the samples.
        dimensions, sweep: see ``draw``.

    Raises:
        OptionError: for columns of data that have none, or sweeps of a code that has no such dimension.
    """
    spec = trained.spec
    if kind == "columns":
        if not _has_columns(spec):
            raise OptionError(
                f"there are no columns in an example of shape {spec.shape}; leave the kind columns out"
            )
        return _compared(trained, examples)[2]
    if kind not in _VIEWS or not (_as_table(spec) or spec.layout == "sequence"):
        return None
    if kind == "traversals":
        return _swept_view(trained, examples, _swept(trained, examples, dimensions, sweep))
    if kind == "samples":
        return _draws(trained, examples, seed)
    x, made, errors = _compared(trained, examples)
    if spec.layout == "sequence":
        few = row_names(examples.ids, min(MOST_SIGNALS, len(x)), "signal")
        return compare_signals(spec, x, made, errors, few)
    return compare_rows(spec, x, made, errors, row_names(examples.ids, min(MOST_ROWS, len(x))))


def sheet(trained: Trained, x: Array) -> Figure:
    """Draws the first of examples (N, *D) in the data's own units: images, rows in words, or lines."""
    spec, title = trained.spec, "{} of {} examples"
    if _as_table(spec):
        few = np.asarray(x[:_WRITTEN], np.float64)
        names = [column.name for column in entry_columns(spec)]
        return rows_figure(names, in_words(spec, few), title.format(len(few), len(x)))
    if spec.layout == "sequence":
        few = np.asarray(x, np.float64)
        return figure_of(drawn_signals(spec, few, title.format(min(MOST_SIGNALS, len(x)), len(x))))
    return plots.samples(_as_drawn(trained, x), title=title.format(min(len(x), 64), len(x)))


def _as_table(spec: DataSpec) -> bool:
    """Whether rows are shown as cells; many entries without names are lines."""
    return spec.layout == "row" and (bool(spec.columns) or spec.size <= _FEW_ENTRIES)


def _has_columns(spec: DataSpec) -> bool:
    if spec.layout == "sequence":
        return spec.shape[-1] > 1
    return _as_table(spec) or spec.measured


def _compared(trained: Trained, examples: Examples) -> tuple[Array, Array, ColumnErrors]:
    """Gives examples, their reconstructions, and the errors of their columns or channels."""
    some = examples.take(np.arange(min(_MEASURED, len(examples))))
    x, made = (part.astype(np.float64) for part in (some.x, trained.reconstruct(some)))
    of = errors_of_signals if trained.spec.layout == "sequence" else errors_of_table
    return x, made, of(trained.spec, x, made)


def _draws(trained: Trained, examples: Examples, seed: int) -> View:
    spec = trained.spec
    if spec.layout == "sequence":
        signals = to_shape(trained.sample(MOST_SIGNALS, seed), spec)
        return drawn_signals(spec, signals, _drawn_title(trained))
    real = examples.take(np.arange(min(_MEASURED, len(examples)))).x.astype(np.float64)
    return compare_draws(spec, real, trained.sample(_DRAWS, seed).astype(np.float64))


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
    decoded = trained.decode(codes, labels)
    if _as_table(trained.spec):
        columns = _compared(trained, examples)[2].columns
        return planes_figure(planes(trained.spec, decoded, columns, rows), extent)
    decoded = _as_drawn(trained, decoded)
    return plots.grid(decoded.reshape(rows, rows, *decoded.shape[1:]), extent)


@dataclass(frozen=True)
class _Swept:
    """An example while R dimensions of its code are swept in K steps: (R, K, *D) in its own units."""

    decoded: Array
    names: list[str]
    ticks: list[str]
    title: str
    across: str


def _swept(
    trained: Trained,
    examples: Examples,
    dimensions: Sequence[int] | None,
    sweep: tuple[float, float] | None,
) -> _Swept:
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
    decoded = trained.decode(swept.reshape(-1, swept.shape[-1]), labels)
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
    return _Swept(decoded.reshape(shape), names, ticks, title, across)


def _traversals(
    trained: Trained,
    examples: Examples,
    dimensions: Sequence[int] | None,
    sweep: tuple[float, float] | None,
) -> Figure:
    swept = _swept(trained, examples, dimensions, sweep)
    decoded = swept.decoded
    drawn = _as_drawn(trained, decoded.reshape(-1, *decoded.shape[2:]))
    cells = drawn.reshape(*decoded.shape[:2], *drawn.shape[1:])
    return plots.traversals(cells, swept.names, swept.ticks, title=swept.title, sweep=swept.across)


def _swept_view(trained: Trained, examples: Examples, swept: _Swept) -> View:
    spec = trained.spec
    if spec.layout == "sequence":
        ends = swept.ticks[0], swept.ticks[-1]
        return swept_signals(spec, swept.decoded, swept.names, ends, swept.title)
    columns = _compared(trained, examples)[2].columns
    return sweeps_of_rows(
        *(spec, swept.decoded, columns, swept.names, swept.ticks),
        title=swept.title,
        across=swept.across,
    )


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
    drawn = trained.sample(64, seed, mean=not trained.draws)
    return plots.samples(_as_drawn(trained, drawn), title=_drawn_title(trained))


def _drawn_title(trained: Trained) -> str:
    fitted = isinstance(trained.model.prior, FittedGaussian)
    return "Samples from a Gaussian fitted to the codes" if fitted else "Samples from the prior"


def caption(kind: str, trained: Trained) -> str:
    """Says what a picture of this kind shows for this model."""
    spec = trained.spec
    if kind == "samples" and isinstance(trained.model.prior, FittedGaussian):
        return CAPTIONS["samples_fitted"]
    if kind == "samples" and _as_table(spec):
        return CAPTIONS["draws"]
    if kind == "reconstructions" and spec.layout == "sequence":
        return CAPTIONS["signals"]
    if kind == "reconstructions" and _as_table(spec):
        return CAPTIONS["rows"]
    return CAPTIONS[kind]
