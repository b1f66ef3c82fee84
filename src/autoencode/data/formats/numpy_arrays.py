"""Arrays as forms of data: files of numpy, memory maps, and whatever else lies in memory."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from autoencode.data.disk.store import Store
from autoencode.data.formats.format import Format, Opening, ends_with, is_large
from autoencode.data.formats.npy import open_memmap, open_npy, read_file
from autoencode.data.raw import Raw
from autoencode.data.values.arrays import from_dataset
from autoencode.files.regular import is_regular, size_of


def _open_npy(source: Any, how: Opening) -> Raw | Store:
    path = Path(source)
    large = how.stream is None and is_regular(path) and is_large(size_of(path))
    return open_npy(path) if how.stream or large else read_file(path)


def _read_npz(source: Any, how: Opening) -> Raw:
    return read_file(source)


def _open_memmap(source: Any, how: Opening) -> Store | None:
    return None if how.stream is False else open_memmap(source)


def _read_dataset(source: Any, how: Opening) -> Raw:
    x, labels = from_dataset(source)
    return Raw("array", x, labels)


def as_it_is(source: Any) -> Raw:
    """Anything that lies in memory, to be made an array."""
    return Raw("array", source)


NPY = Format(".npy files", ends_with(".npy"), _open_npy, (".npy",), stores=True)
NPZ = Format(".npz files", ends_with(".npz"), _read_npz, (".npz",))
MEMORY_MAPS = Format(
    "memory maps", lambda source: isinstance(source, np.memmap), _open_memmap, stores=True
)
DATASETS = Format("torch data sets", lambda source: isinstance(source, Dataset), _read_dataset)
ARRAYS = Format(
    "arrays",
    lambda source: not isinstance(source, str | os.PathLike),
    lambda source, how: as_it_is(source),
)
