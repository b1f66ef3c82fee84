"""What a job reads, and the model it uses."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from autoencode.data.frames import names_of
from autoencode.data.inputs import Input, read_input
from autoencode.data.tables import TableOptions, open_table
from autoencode.errors import OptionError, RunFolderError
from autoencode.io import load_config, load_trained
from autoencode.trained import Trained, choose_device


def model_for(
    given: Input,
    run: str | os.PathLike[str] | None,
    recipe: str,
    *,
    table: TableOptions | None = None,
    save: str | os.PathLike[str] | None = None,
    seed: int = 0,
    device: str = "auto",
    verbose: bool = False,
) -> Trained:
    """A run's model, or one that is trained on what a file holds.

    Args:
        given: what the file holds.
        run: the run folder; ``None`` to train.
        recipe: what to train then.
        table: of what kind its columns are, where the file does not tell.
        save: a folder for what was trained.
        seed: of the training.
        device: auto, cpu, cuda or mps.
        verbose: whether to show the progress of training.
    """
    if run is not None:
        return load_trained(run, device=choose_device(device))
    from autoencode.estimators import Autoencoder

    estimator = Autoencoder(
        recipe,
        column_kinds=dict(table.kinds) if table else None,
        random_state=seed,
        device=device,
        verbose=verbose,
    ).fit(given.x)
    keep(estimator, save, table)
    trained: Trained = estimator.trained_
    return trained


def refuse_taken(save: str | os.PathLike[str] | None, run: str | os.PathLike[str] | None) -> None:
    """Refuses a folder to save into that holds something, before any work is done.

    Raises:
        OptionError: nothing will be trained that could be saved.
        RunFolderError: the folder is not empty.
    """
    if save is None:
        return
    if run is not None:
        raise OptionError("a run is saved already; leave one of run and save out")
    target = Path(save)
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise RunFolderError(f"{target} exists already; choose another folder to save into")


def keep(estimator: Any, save: str | os.PathLike[str] | None, table: TableOptions | None) -> None:
    """Saves an estimator, and with it which columns were set aside, where a folder is given."""
    if save is None:
        return
    if table:
        facts = estimator.trained_.info
        facts["data"] = {**facts.get("data", {}), "table": table.as_dict()}
    estimator.save(save)


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
