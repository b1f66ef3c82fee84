"""What a form of data is: how to tell that a source has it, and how to open such a source."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autoencode.data.formats.download import OnBytes
from autoencode.data.formats.folders import AS_THEY_ARE, ImageOptions
from autoencode.files.free_memory import available_memory
from autoencode.reading import NO_OPTIONS, TableOptions

# Training in memory holds the file, its training part and the values as the model sees them.
_SHARE_OF_MEMORY = 1 / 4


@dataclass(frozen=True)
class Opening:
    """How a source is opened.

    Attributes:
        stream: whether it is to stay on disk, if that is decided.
        table: whether a file that may be a table is read as one; by default unless it is large, or is
            to be streamed.
        data_dir: where named data sets lie; see ``data_folders``.
        shape: (C, H, W) that images are brought to.
        images: how they are brought to one form.
        progress: called with bytes and total while something is downloaded.
        said: how a table is read.
        names: of the columns that a model knows, which a table's first line may hold.
    """

    stream: bool | None = None
    table: bool | None = None
    data_dir: str | os.PathLike[str] | None = None
    shape: tuple[int, ...] | None = None
    images: ImageOptions = AS_THEY_ARE
    progress: OnBytes | None = None
    said: TableOptions = NO_OPTIONS
    names: tuple[str, ...] = ()


AS_IT_IS = Opening()


@dataclass(frozen=True)
class Format:
    """One form in which data come.

    Attributes:
        name: what such sources are called, in the plural.
        matches: whether a source is of this form; looks at no more than a name or a few bytes.
        open: gives what a source of this form holds: a ``Raw`` of what is in memory, a ``Store`` of
            what may stay on disk, or a table with named columns; ``None`` where this one cannot be
            opened as it is asked for, but can be as an array.
        endings: of such files, for whoever looks for one that can be read.
        stores: whether it may give a ``Store``.
        tables: whether it may give a table.
    """

    name: str
    matches: Callable[[Any], bool]
    open: Callable[[Any, Opening], Any]
    endings: tuple[str, ...] = ()
    stores: bool = False
    tables: bool = False


def as_path(source: Any) -> Path | None:
    """The path that a source is, ``None`` for anything else, a blank name too."""
    if not isinstance(source, str | os.PathLike) or (isinstance(source, str) and not source.strip()):
        return None
    return Path(source)


def ends_with(*endings: str) -> Callable[[Any], bool]:
    """Whether a source is a path with one of these endings, in small letters or large ones."""

    def matches(source: Any) -> bool:
        path = as_path(source)
        return path is not None and path.suffix.lower() in endings

    return matches


def is_large(n_bytes: int) -> bool:
    """Whether data of this size are rather read from disk while they are used."""
    available = available_memory()
    return available is not None and n_bytes > available * _SHARE_OF_MEMORY
