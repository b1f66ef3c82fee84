"""What a job reads, and the model it uses."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from autoencode.data.frames import names_of
from autoencode.data.inputs import Input, read_input
from autoencode.data.tables import TableOptions, open_table
from autoencode.io import load_config, load_trained
from autoencode.trained import Trained, choose_device
from autoencode.types import ColumnKind


def model_for(
    given: Input,
    run: str | os.PathLike[str] | None,
    recipe: str,
    *,
    kinds: Mapping[str, ColumnKind] | None = None,
    seed: int = 0,
    device: str = "auto",
    verbose: bool = False,
) -> Trained:
    """A run's model, or one that is trained on what a file holds.

    Args:
        given: what the file holds.
        run: the run folder; ``None`` to train.
        recipe: what to train then.
        kinds: of the table's columns, where the file does not tell.
        seed: of the training.
        device: auto, cpu, cuda or mps.
        verbose: whether to show the progress of training.
    """
    if run is not None:
        return load_trained(run, device=choose_device(device))
    from autoencode.estimators import Autoencoder

    estimator = Autoencoder(
        recipe, column_kinds=kinds, random_state=seed, device=device, verbose=verbose
    )
    trained: Trained = estimator.fit(given.x).trained_
    return trained


def given_by(source: Any, run: str | os.PathLike[str] | None, options: TableOptions | None) -> Input:
    """What a file holds; columns that training set aside are set aside here, where they are there."""
    if run is None or options is not None:
        return read_input(source, options or TableOptions())
    table = open_table(source)
    if table is None:
        return read_input(source)
    names = names_of(table)
    before = TableOptions.from_dict(load_config(run).get("data", {}).get("table"))
    label, row = (name if name in names else None for name in (before.label, before.id))
    drop = tuple(name for name in before.drop if name in names)
    return read_input(source, TableOptions(label, row, drop))
