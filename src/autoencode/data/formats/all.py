"""The forms of data there are, and which of them a source has.

A new one is a file that makes a ``Format``, and a line in ``FORMATS``.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from autoencode.data.formats.format import AS_IT_IS, Format, Opening
from autoencode.data.formats.huggingface import HUGGING_FACE
from autoencode.data.formats.image_folders import IMAGES
from autoencode.data.formats.named import NAMED, catalogue
from autoencode.data.formats.numpy_arrays import ARRAYS, DATASETS, MEMORY_MAPS, NPY, NPZ, as_it_is
from autoencode.data.formats.tables import COLUMN_FILES, FRAMES, TEXT_FILES
from autoencode.data.formats.zarr_arrays import ZARR
from autoencode.data.raw import Raw
from autoencode.data.values.frames import is_frame
from autoencode.errors import DataError, OptionError, nearest
from autoencode.reading import NO_OPTIONS, TableOptions

#: The first that a source matches is its form: names go before files, and folders of something known
#: before folders of images.
FORMATS: list[Format] = [
    NAMED,
    NPY,
    NPZ,
    MEMORY_MAPS,
    HUGGING_FACE,
    ZARR,
    TEXT_FILES,
    COLUMN_FILES,
    IMAGES,
    FRAMES,
    DATASETS,
    ARRAYS,
]


def format_of(source: Any) -> Format | None:
    """The form that a source has, ``None`` for a path to something unknown."""
    return next((form for form in FORMATS if form.matches(source)), None)


def endings() -> str:
    """The endings of all files that can be read."""
    return ", ".join(dict.fromkeys(ending for form in FORMATS for ending in form.endings))


def open_source(source: Any, how: Opening = AS_IT_IS) -> Any:
    """What a source holds: a ``Raw``, a ``Store``, or a table with named columns (``is_frame``).

    Args:
        source: see ``load_data``.
        how: whether it stays on disk, and what else is said of the reading.

    Raises:
        OptionError: there is no such data set or file, or it has to be streamed and cannot be.
        DataError: it cannot be read.
    """
    form = format_of(source)
    if form is None:
        raise _unknown(source)
    if how.stream and not form.stores:
        raise _refused(source)
    found = form.open(source, how)
    if how.stream and (found is None or isinstance(found, Raw) or is_frame(found)):
        raise _refused(source)
    return as_it_is(source) if found is None else found


def open_table(source: Any, said: TableOptions = NO_OPTIONS, names: tuple[str, ...] = ()) -> Any | None:
    """Opens a source or file as a table, ``None`` when it is something else.

    Args:
        source: see ``load_data``.
        said: how a table is read.
        names: of the columns that a model knows.

    Raises:
        DataError: the file cannot be read.
    """
    form = format_of(source)
    if form is None or not form.tables:
        return None
    found = form.open(source, Opening(stream=False, table=True, said=said, names=names))
    return found if is_frame(found) else None


def on_disk(source: Any) -> bool:
    """Tells whether a source given in Python may be a store: a memory map, a file or a data set."""
    if isinstance(source, str | os.PathLike):
        return True
    form = format_of(source)
    return form is not None and form not in (FRAMES, DATASETS, ARRAYS)


def is_image_folder(source: Any) -> bool:
    """Tells whether a source is a folder or are shards of images."""
    return format_of(source) is IMAGES


def _unknown(source: Any) -> OptionError | DataError:
    """What to say of a path to something unknown."""
    path = Path(source)
    if isinstance(source, str) and not path.exists():
        return OptionError(
            f"no data set or file {source!r}; {nearest(source.lower(), catalogue())} "
            f"(or give a file: {endings()})"
        )
    return DataError(
        f"{path}: cannot read this kind of file (supported: {endings()}); "
        "load it in Python and store it with numpy.save"
    )


def _refused(source: Any) -> OptionError:
    what = f"{source!r}" if isinstance(source, str | os.PathLike) else type(source).__name__
    known = [form.name for form in FORMATS if form.stores]
    return OptionError(
        f"{what} cannot be streamed, only {', '.join(known[:-1])} and {known[-1]}; leave the option out"
    )
