"""A job that fills the gaps of a file."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from autoencode.data.values.frames import count_missing, is_frame
from autoencode.errors import DataError, OptionError
from autoencode.jobs.common import Note, model_for, read_for, refuse_layout, refuse_taken
from autoencode.jobs.results import write_frame, write_plain
from autoencode.reading import TableOptions
from autoencode.types import Channels, Layout, Unknown


def impute(
    source: Any,
    out: str | os.PathLike[str],
    run: str | os.PathLike[str] | None = None,
    *,
    recipe: str | None = None,
    draws: int | None = None,
    table: TableOptions | None = None,
    handle_unknown: Unknown | None = None,
    layout: Layout | None = None,
    channels: Channels | None = None,
    save: str | os.PathLike[str] | None = None,
    seed: int = 0,
    device: str = "auto",
    verbose: bool = False,
    note: Note = warnings.warn,
) -> tuple[list[Path], int]:
    """Fills the gaps of a file; what is known stays as it is.

    Args:
        source: a table or an array with NaN.
        out: what to write, with a number for each of several draws.
        run: a run that was trained on such data; else one is trained on these.
        recipe: what to train then; ``mlp_impute`` by default, for draws ``vae``.
        draws: how many fillings to draw; one of expected values by default.
        table: which columns of a table are labels, names of rows or left out; as in training by
            default.
        handle_unknown: with a run, of categories that it did not see: ignore or error.
        layout, channels: without a run, what an example is and where its channels are, where its axes
            do not tell (``load_data``).
        save: without a run, a folder for what is trained, which then can be one.
        seed: of the training and the draws.
        device, verbose: see ``model_for``.
        note: told what the user should know of the reading.

    Returns:
        The files, and how many values were missing.

    Raises:
        OptionError: when the model was trained without gaps, or a recipe is given beside a run.
        DataError: when nothing is missing.
    """
    if run is not None and recipe is not None:
        raise OptionError("a run has its recipe already; leave one of run and recipe out")
    refuse_taken(save, run)
    refuse_layout(layout, run, channels, source)
    recipe = recipe or ("vae" if draws else "auto")
    given = read_for(source, run, table, note=note)
    missing = _missing(given.x)
    if not missing:
        raise DataError(f"{source}: no value is missing; there is nothing to fill")
    trained = model_for(
        given,
        run,
        recipe,
        table=table,
        layout=layout,
        channels=channels,
        save=save,
        seed=seed,
        device=device,
        verbose=verbose,
    ).handling_unknown(handle_unknown)
    whole, target = given.table if given.table is not None else np.asarray(given.x), Path(out)
    if draws is None:
        _write(target, trained.impute(whole))
        return [target], missing
    files = []
    for i, filled in enumerate(trained.imputations(whole, draws, seed)):
        files.append(target.with_stem(f"{target.stem}-{i + 1}"))
        _write(files[-1], filled)
    return files, missing


def _missing(x: Any) -> int:
    """Counts the missing values."""
    if is_frame(x):
        return count_missing(x)
    values = np.asarray(x)
    return int(np.isnan(values).sum()) if values.dtype.kind == "f" else 0


def _write(path: Path, filled: Any) -> None:
    if is_frame(filled):
        write_frame(path, filled)
    else:
        write_plain(path, filled)
