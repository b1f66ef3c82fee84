"""A job that exports what a run or a saved estimator has learned."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

from autoencode.data import Examples
from autoencode.errors import DataError, ThresholdWarning, own_warnings
from autoencode.estimators import load
from autoencode.estimators.saved import ESTIMATOR
from autoencode.export import Exported, export
from autoencode.jobs.anomalies import detector_of
from autoencode.jobs.common import Note
from autoencode.runs.data import examples_for
from autoencode.trained import Trained

_SCORE = "score"


def export_run(
    run: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    part: str = "all",
    *,
    data: Any = None,
    data_dir: str | os.PathLike[str] | None = None,
    device: str = "auto",
    note: Note = warnings.warn,
    **how: Any,
) -> Exported:
    """Exports parts of a run, or of a saved estimator, into a new folder.

    Files are checked by the test part of the run's own data, or by its training part where it has none.
    The scores of a run that is no detector compare with its training rows, which are read again.

    Args:
        run: the folder.
        folder: what is written.
        part: one of ``autoencode.export.PARTS``, or all that there are.
        data: by which files are checked instead.
        data_dir: where named data sets lie.
        device: auto, cpu, cuda or mps: where Python's side is computed.
        note: told what the user should know.
        **how: format, opset and overwrite of ``autoencode.export.export``.

    Raises:
        InputError: for what cannot be used, exported, or written; with what to do.
    """
    with own_warnings():
        warnings.simplefilter("ignore", ThresholdWarning)
        if part == _SCORE and not (Path(run) / ESTIMATOR).is_file():
            plain = {"contamination": "auto", "measure": "combined"}
            model = detector_of(run, plain, 0, device, data_dir)
        else:
            model = load(run, device=device)
    rows = _rows(model.trained_, run, data, data_dir, note)
    source = "" if rows is None else str(data or "the run's own data")
    done = export(model, folder, part, data=rows, source=source, **how)
    for name, why in done.left_out.items():
        note(f"{name} is left out: {why}")
    return done


def _rows(
    trained: Trained,
    run: str | os.PathLike[str],
    data: Any,
    data_dir: str | os.PathLike[str] | None,
    note: Note,
) -> Examples | None:
    """Reads examples to check files by; ``None`` where the data of the run are not at hand."""
    if data is not None:
        return examples_for(trained, run, data, data_dir=data_dir)
    if not trained.origin.source:
        return None
    for split in ("test", "train"):
        try:
            return examples_for(trained, run, None, split, data_dir)
        except DataError as error:
            said = str(error)
    note(f"files are checked by values made up, for the run's own data cannot be read ({said})")
    return None
