"""Reading of a job's input, and the model that a job uses."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from autoencode.data import Origin
from autoencode.data.formats.all import open_table
from autoencode.data.formats.arrow_files import converting
from autoencode.data.formats.folders import AS_THEY_ARE, ImageOptions
from autoencode.data.formats.tables import column_values, names_apart, refuse_absent
from autoencode.data.formats.text_tables import facts_of
from autoencode.data.loading import UNNAMED, read, refuse_channels
from autoencode.data.values.frames import names_of, select
from autoencode.data.values.layouts import image_depth, image_shape
from autoencode.data.values.patches import is_patch
from autoencode.errors import OptionError, RunFolderError
from autoencode.reading import NO_OPTIONS, TableOptions
from autoencode.reading.meaning import named, read_meaning
from autoencode.trained import Trained, choose_device, load_trained
from autoencode.trained.model_files import load_config, read_columns
from autoencode.types import Array, Channels, Column, DataSpec, Layout

Note = Callable[[str], Any]


def model_for(
    given: Input,
    run: str | os.PathLike[str] | None,
    recipe: str,
    *,
    table: TableOptions | None = None,
    layout: Layout | None = None,
    channels: Channels | None = None,
    save: str | os.PathLike[str] | None = None,
    seed: int = 0,
    device: str = "auto",
    verbose: bool = False,
) -> Trained:
    """Loads a run's model, or trains one on what a file holds.

    Args:
        given: what the file holds.
        run: the run folder; ``None`` to train.
        recipe: what to train then.
        table: of what kind its columns are, where the file does not tell.
        layout, channels: what an example is, where the file does not tell.
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
        max_categories=(table or NO_OPTIONS).max_categories,
        layout=layout,
        channels=channels,
        random_state=seed,
        device=device,
        verbose=verbose,
    ).fit(given.x)
    keep(estimator, save, given.options)
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


def refuse_layout(
    layout: Layout | None,
    run: str | os.PathLike[str] | None,
    channels: Channels | None = None,
    source: Any = None,
) -> None:
    """Refuses a layout of data for a model that has one.

    Raises:
        OptionError: with what to do.
    """
    if layout is not None and run is not None:
        raise OptionError("a run has its layout already; leave one of run and layout out")
    if channels is not None and run is not None:
        raise OptionError("a run has its channels already; leave one of run and channels out")
    refuse_channels(channels, source)


def keep(
    estimator: Any,
    save: str | os.PathLike[str] | None,
    table: TableOptions | None,
    images: ImageOptions | None = None,
) -> None:
    """Saves an estimator, and with it how its data were read, where a folder is given."""
    if save is None:
        return
    trained = estimator.trained_
    if table or images:
        origin = trained.origin
        origin = replace(origin, table=table or origin.table, images=images or origin.images)
        trained.info["data"] = origin.as_dict()
    estimator.save(save)


def read_for(
    source: Any,
    run: str | os.PathLike[str] | None,
    table: TableOptions | None,
    images: ImageOptions | None = None,
    note: Note = warnings.warn,
) -> Input:
    """Reads a file the way the run's training data were read.

    Args:
        source: the file, or what else ``read_input`` takes.
        run: the run folder, if there is one.
        table: which columns are set aside; as in training by default, where they are there.
        images: how images of a folder are read. Those for a run have the size of its own.
        note: told what the user should know of the reading.

    Raises:
        OptionError: for a size of images beside a run.
    """
    if run is None:
        given = read_input(source, table or NO_OPTIONS, images=images or AS_THEY_ARE)
    else:
        given = _for_run(source, load_config(run), table, images)
    for notice in given.notices:
        note(notice)
    return given


def _for_run(
    source: Any,
    config: Mapping[str, Any],
    table: TableOptions | None,
    images: ImageOptions | None,
) -> Input:
    origin = Origin.from_dict(config.get("data"))
    how = table.over(origin.table) if table else origin.table
    columns = read_columns(config)
    found = open_table(source, how, tuple(column.name for column in columns))
    if found is not None:
        before = origin.table_for(names_of(found))
        return _table_input(found, table.over(before) if table else before, str(source), columns)
    if images is not None and images.size is not None:
        raise OptionError("a run has its image size already; leave one of run and image size out")
    said = origin.images_with(None if images is None else images.on_bad_file)
    sides = [config["spec"].get(key) for key in ("shape", "given_shape")]
    shape, given = (tuple(found) if isinstance(found, list) else () for found in sides)
    dtype, kind = config["spec"].get("given_dtype", ""), config["spec"].get("kind")
    spec = DataSpec(shape, kind, given_shape=given, given_dtype=dtype)
    said = replace(said, depth=image_depth(spec))
    return read_input(source, table or NO_OPTIONS, shape=image_shape(spec), images=said)


@dataclass(frozen=True, eq=False)
class Input:
    """Rows of a source, with their labels and names.

    Attributes:
        x: what an estimator is given: an array (N, ...), or a table of the columns to learn from.
        table: the whole table, ``None`` for arrays.
        labels: (N,) or ``None``.
        ids: (N,) the rows' own names, or ``None``.
        notices: what the user should know of the reading.
        options: how the table is read, with what was found in it.
        depth: of images, the name of the dtype of their pixels; else empty.
    """

    x: Any
    table: Any | None = None
    labels: Array | None = None
    ids: Array | None = None
    notices: tuple[str, ...] = ()
    options: TableOptions = NO_OPTIONS
    depth: str = ""

    def __len__(self) -> int:
        return len(self.x)

    @property
    def cut(self) -> bool:
        """Whether rows are patches of images."""
        return bool(self.depth) and self.ids is not None and any(map(is_patch, self.ids.tolist()))


def read_input(
    source: Any,
    options: TableOptions = NO_OPTIONS,
    data_dir: str | os.PathLike[str] | None = None,
    shape: tuple[int, ...] | None = None,
    images: ImageOptions = AS_THEY_ARE,
) -> Input:
    """Reads all that a source holds; of a named data set its training part.

    Args:
        source: see ``load_data``.
        options: which columns of a table are labels, names of rows or left out.
        data_dir: see ``load_data``.
        shape: (C, H, W) that the images of a folder are brought to, for a model that is there.
        images: how they are brought to one form.

    Raises:
        DataError: it cannot be read.
        OptionError: an option names a column that is not there.
    """
    table = open_table(source, options)
    if table is not None:
        return _table_input(table, options, str(source))
    if options:
        raise OptionError(UNNAMED)
    raw = read(source, data_dir, shape, images)
    return Input(raw.x, None, raw.labels, raw.ids, tuple(raw.notices), depth=raw.depth)


def _table_input(
    table: Any, options: TableOptions, name: str, columns: Sequence[Column] | None = None
) -> Input:
    """Makes the input of a table.

    Args:
        table: of any library.
        options: how it is read.
        name: what to call it.
        columns: of the model that there is; where there is none, columns that name rows are left out.
    """
    table, facts = facts_of(named(table))
    refuse_absent(table, options, name)
    kept = [column for column in names_of(table) if column not in options.aside]
    model = columns or ()
    with converting(name):
        table, texts, told = read_meaning(
            table,
            options.spelling,
            kinds={column.name: column.kind for column in model} or options.kinds,
            before={column.name: column.text for column in model},
            names=kept,
            delimiter=facts.delimiter,
            place=facts.place,
            part=name,
        )
    if columns is None:
        kept, options, notices = names_apart(table, kept, options, True)
        told = [*notices, *told]
    else:
        told = []  # as in training
    labels, ids = (column_values(table, column) for column in (options.label, options.id))
    options = options.spelled_as(texts.values())
    if not facts.header:
        options = replace(options, header=False)
    return Input(select(table, kept), table, labels, ids, (*facts.notices, *told), options)
