"""Runs that are there: their data, metrics on other data, and a list to compare them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from autoencode.data import (
    Data,
    Examples,
    ExampleSet,
    ImageOptions,
    TableOptions,
    load_data,
    load_examples,
    open_examples,
    reopened,
)
from autoencode.errors import DataError, OptionError
from autoencode.recipes.catalogue import scaling
from autoencode.trained import Trained, fit_prior
from autoencode.trained.priors import prior_for

SPLITS = ("test", "validation", "train")


def table_of(trained: Trained) -> TableOptions:
    """What was said of the columns when the model was trained."""
    return TableOptions.from_dict(trained.info.get("data", {}).get("table"))


def images_of(trained: Trained, on_bad_file: str | None = None) -> ImageOptions:
    """What was said of images when the model was trained, perhaps with another word on bad files."""
    found = ImageOptions.from_dict(trained.info.get("data", {}).get("images"))
    return replace(found, on_bad_file=on_bad_file) if on_bad_file else found  # type: ignore[arg-type]


def pick_split(data: Data, name: str, validation: float, seed: int) -> Examples:
    """One of the three parts of a data set, as training saw them; of a store as many as fit."""
    _check_split(name)
    train, held_out = data.split(validation, seed)
    found = {"test": data.test, "validation": held_out, "train": train}[name]
    if found is None:
        raise DataError(f"{data.name} has no {name} examples; use --split train")
    return found.bounded()


def _check_split(name: str, own: bool = True) -> None:
    if name not in SPLITS:
        raise OptionError(f"unknown split '{name}'; use {', '.join(SPLITS)}")
    if not own and name != "test":
        raise OptionError("--split chooses a part of the run's own data; leave DATA out")


def run_data(
    trained: Trained, folder: str | os.PathLike[str], data_dir: str | os.PathLike[str] | None
) -> Data:
    """The data that a run was trained on, read again.

    Raises:
        DataError: when they were given in memory, or have changed since.
    """
    facts: Mapping[str, Any] = trained.info.get("data", {})
    source = facts.get("source")
    if not source:
        raise DataError(f"{folder} was trained on data in memory; give DATA")
    if facts.get("streamed"):
        data = reopened(source, trained.spec, data_dir, images_of(trained))
    else:
        data = load_data(
            source,
            data_dir=data_dir,
            standardize=facts.get("standardize")
            or scaling(trained.recipe.name, trained.recipe.options),
            stream=False,
            table=table_of(trained),
            images=images_of(trained),
            leave_out=facts.get("left_out", ()),
        )
    if data.fingerprint() != facts.get("sha256"):
        raise DataError(f"{source} is not what {folder} was trained on any more; give DATA")
    return data


def examples_for(
    trained: Trained,
    folder: str | os.PathLike[str],
    source: Any = None,
    split: str = "test",
    data_dir: str | os.PathLike[str] | None = None,
    on_bad_file: str | None = None,
) -> Examples:
    """A part of the run's own data, or other data (their test part where they have one, else all).

    Raises:
        OptionError: for an unknown split, or one of other data.
        DataError: when the data cannot be read or do not fit.
    """
    _check_split(split, own=source is None)
    if source is not None:
        return load_examples(
            source,
            trained.spec,
            data_dir=data_dir,
            table=table_of(trained),
            images=images_of(trained, on_bad_file),
        )
    data = run_data(trained, folder, data_dir)
    if split == "train" and not isinstance(data.train, Examples):
        raise DataError(
            f"{data.name} stays on disk, so its training part cannot be given whole; use --split test "
            "or validation, or give DATA (embed takes it)"
        )
    return pick_split(data, split, trained.recipe.plan.validation, trained.info.get("seed", 0))


def examples_to_embed(
    trained: Trained,
    folder: str | os.PathLike[str],
    source: Any = None,
    split: str = "test",
    data_dir: str | os.PathLike[str] | None = None,
    on_bad_file: str | None = None,
) -> ExampleSet:
    """``examples_for``, but what lies on disk stays there; the training part too.

    Raises:
        OptionError: for an unknown split, or one of other data.
        DataError: when the data cannot be read or do not fit.
    """
    _check_split(split, own=source is None)
    if source is not None:
        return open_examples(
            source,
            trained.spec,
            data_dir=data_dir,
            table=table_of(trained),
            images=images_of(trained, on_bad_file),
        )
    if split != "train":
        return examples_for(trained, folder, None, split, data_dir)
    data = run_data(trained, folder, data_dir)
    return data.split(trained.recipe.plan.validation, trained.info.get("seed", 0))[0]


def with_prior(
    trained: Trained,
    folder: str | os.PathLike[str],
    kind: str,
    seed: int = 0,
    data_dir: str | os.PathLike[str] | None = None,
    n_components: int | None = None,
) -> Trained:
    """A run's model with another prior, fitted to the codes of its training examples.

    Args:
        trained: the model of the run; changed in place, the run's files stay as they are.
        folder: the run folder.
        kind, n_components: see ``fit_prior``.
        seed: of the fit.
        data_dir: where named data sets lie.

    Raises:
        OptionError: for an unknown kind.
        IncompatibleError: for a kind that is not for this model's codes.
        DataError: when the training data cannot be read again.
    """
    prior_for(trained.recipe, kind, n_components)  # refuses before any work what cannot be fitted
    data = run_data(trained, folder, data_dir)
    plan, run_seed = trained.recipe.plan, trained.info.get("seed", 0)
    train = pick_split(data, "train", plan.validation, run_seed)
    return fit_prior(trained, train, seed, kind, n_components)
