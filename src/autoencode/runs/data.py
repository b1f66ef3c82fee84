"""The data of a run that is there, and others that are read as its own were."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

from autoencode.data import (
    Data,
    Examples,
    ExampleSet,
    ImageOptions,
    Origin,
    TableOptions,
    load_data,
    load_examples,
    open_examples,
    reopened,
)
from autoencode.data.examples import check_part
from autoencode.data.formats.download import OnBytes
from autoencode.data.values.layouts import image_depth, image_shape
from autoencode.errors import DataError, OptionError
from autoencode.recipes.catalogue import scaling
from autoencode.trained import Trained, fit_prior
from autoencode.trained.priors import prior_for
from autoencode.types import DataSpec, Standardize


def check_split(name: str, own: bool) -> None:
    """Refuses a part that data do not have, and a choice among those of other data than the run's own.

    Raises:
        OptionError: for such a name.
    """
    check_part(name)
    if not own and name != "test":
        raise OptionError("--split chooses a part of the run's own data; leave DATA out")


def read_again(
    origin: Origin,
    scaled: Standardize,
    changed: str,
    *,
    source: Any = None,
    spec: DataSpec | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    on_bytes: OnBytes | None = None,
) -> Data:
    """Reads the data of a training again, and makes sure that they are the same.

    Args:
        origin: how they were read.
        scaled: how the recipe scales values, where nothing else was asked for.
        changed: the message of the error when they are not the same.
        source: the data themselves, where they were given in memory.
        spec: how the model sees them, where there is one: data that stay on disk then need not be
            surveyed once more.
        data_dir: where named data sets lie.
        on_bytes: told of downloaded bytes.

    Raises:
        DataError: when they cannot be read or are not the same.
    """
    where = origin.source if source is None else source
    images = origin.images
    if spec is not None and not spec.given_dtype:
        images = _as_before(images, spec)
    if origin.streamed and spec is not None:
        data = reopened(where, spec, data_dir, images)
    else:
        data = load_data(
            where,
            data_dir=data_dir,
            standardize=origin.standardize or scaled,
            stream=origin.streamed,
            table=origin.table,
            images=images,
            leave_out=origin.left_out,
            layout=origin.layout,
            channels=origin.channels,
            progress=on_bytes,
        )
    if data.fingerprint() != origin.sha256:
        raise DataError(changed)
    return data


def _as_before(images: ImageOptions, spec: DataSpec) -> ImageOptions:
    """How images were read for a run from before they kept their depth: 8 bits, of one size."""
    shape = image_shape(spec)
    size = images.size if shape is None else (shape[1], shape[2])
    return replace(images, depth=image_depth(spec), size=size)


def run_data(
    trained: Trained, folder: str | os.PathLike[str], data_dir: str | os.PathLike[str] | None
) -> Data:
    """Reads the data that a run was trained on.

    Raises:
        DataError: when they were given in memory, or have changed since.
        ModelFileError: when what the run says of them is damaged.
    """
    origin, recipe = trained.origin, trained.recipe
    if not origin.source:
        raise DataError(f"{folder} was trained on data in memory; give DATA")
    changed = f"{origin.source} is not what {folder} was trained on any more; give DATA"
    scaled = scaling(recipe.name, recipe.options)
    return read_again(origin, scaled, changed, spec=trained.spec, data_dir=data_dir)


def _as_in_training(
    trained: Trained, on_bad_file: str | None, table: TableOptions | None
) -> dict[str, Any]:
    """Gives what was said of columns and images in training, for other data that are read alike."""
    origin = trained.origin
    said = table.over(origin.table) if table else origin.table
    return {"table": said, "images": origin.images_with(on_bad_file)}


def examples_for(
    trained: Trained,
    folder: str | os.PathLike[str],
    source: Any = None,
    split: str = "test",
    data_dir: str | os.PathLike[str] | None = None,
    on_bad_file: str | None = None,
    table: TableOptions | None = None,
) -> Examples:
    """Reads a part of the run's own data, or other data (their test part if any, else all).

    Of other data ``table`` says how they are read where that differs from training.

    Raises:
        OptionError: for an unknown split, or one of other data.
        DataError: when the data cannot be read or do not fit.
    """
    check_split(split, own=source is None)
    if source is not None:
        return load_examples(
            source, trained.spec, data_dir=data_dir, **_as_in_training(trained, on_bad_file, table)
        )
    data = run_data(trained, folder, data_dir)
    if split == "train" and not isinstance(data.train, Examples):
        raise DataError(
            f"{data.name} stays on disk, so its training part cannot be given whole; use --split test "
            "or validation, or give DATA (embed takes it)"
        )
    return data.part(split, trained.recipe.plan.validation, trained.seed)


def examples_to_embed(
    trained: Trained,
    folder: str | os.PathLike[str],
    source: Any = None,
    split: str = "test",
    data_dir: str | os.PathLike[str] | None = None,
    on_bad_file: str | None = None,
    table: TableOptions | None = None,
) -> ExampleSet:
    """Opens the examples of ``examples_for``; those on disk stay there, the training part too.

    Raises:
        OptionError: for an unknown split, or one of other data.
        DataError: when the data cannot be read or do not fit.
    """
    check_split(split, own=source is None)
    if source is not None:
        return open_examples(
            source, trained.spec, data_dir=data_dir, **_as_in_training(trained, on_bad_file, table)
        )
    if split != "train":
        return examples_for(trained, folder, None, split, data_dir)
    data = run_data(trained, folder, data_dir)
    return data.split(trained.recipe.plan.validation, trained.seed)[0]


def with_prior(
    trained: Trained,
    folder: str | os.PathLike[str],
    kind: str,
    seed: int = 0,
    data_dir: str | os.PathLike[str] | None = None,
    n_components: int | None = None,
) -> Trained:
    """Gives a run's model another prior, fitted to the codes of its training examples.

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
    train = data.part("train", trained.recipe.plan.validation, trained.seed)
    return fit_prior(trained, train, seed, kind, n_components)
