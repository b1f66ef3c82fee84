"""Writing and reading of codes, by the file's ending."""

from __future__ import annotations

import math
import os
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from autoencode.errors import DataError, OptionError, StorageError
from autoencode.files.atomic import replacing, writing
from autoencode.jobs.results import TABLES
from autoencode.trained.trained import flat
from autoencode.types import Array

CODES = (".npy", ".npz", *TABLES)
EXAMPLES = (*CODES, ".png", "")  # without an ending, a new folder of images


def check_ending(path: str, endings: tuple[str, ...] = EXAMPLES) -> Path:
    """Refuses a path, before any work, when nothing can be written to its ending.

    Raises:
        OptionError: with the endings that there are.
        StorageError: when its folder is not there.
    """
    target = Path(path)
    if target.suffix.lower() not in endings:
        known = ", ".join(ending for ending in endings if ending)
        folder = " (or none, for a folder of images)" if "" in endings else ""
        raise OptionError(f"cannot write {target}: its ending must be {known}{folder}")
    if target.is_dir():
        raise StorageError(f"cannot write {target}: it is a folder already; choose another name")
    if not target.parent.is_dir():
        raise StorageError(f"cannot write {target}: no such folder; create it first")
    return target


def write_codes(path: Path, pieces: Iterable[Array], shape: tuple[int, ...]) -> int:
    """Writes codes while they come, and returns how many; a failure leaves the file that was there.

    Args:
        path: .npy, .npz or .csv.
        pieces: (n, *Z) float32 at a time; no more than one of them is in memory.
        shape: of one code.

    Raises:
        StorageError: it cannot be written.
    """
    ending = path.suffix.lower()
    with replacing(path) as file:
        if ending == ".npz":  # an archive is told the size of what it holds before the content
            with tempfile.TemporaryFile(dir=path.parent) as held, writing(path):
                n = _npy(held, pieces, shape, path)
                with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
                    held.seek(0)
                    with archive.open("x.npy", "w", force_zip64=True) as entry:
                        shutil.copyfileobj(held, entry, 1 << 20)
            return n
        if ending == ".npy":
            return _npy(file, pieces, shape, path)
        n, header = 0, _header("z", shape)
        for codes in pieces:
            with writing(path):
                _table(file, flat(codes), "" if n else header)
            n += len(codes)
        return n


def _npy(file: Any, pieces: Iterable[Array], shape: tuple[int, ...], path: Path) -> int:
    """Writes an array whose length is known at the end only; numpy's headers leave room for it."""
    n = 0
    with writing(path):
        _npy_header(file, n, shape)
    for codes in pieces:
        with writing(path):
            file.write(np.ascontiguousarray(codes, "<f4").data)
        n += len(codes)
    with writing(path):
        file.seek(0)
        _npy_header(file, n, shape)
        file.seek(0, os.SEEK_END)
    return n


def _npy_header(file: Any, n: int, shape: tuple[int, ...]) -> None:
    facts = {"descr": "<f4", "fortran_order": False, "shape": (n, *shape)}
    np.lib.format.write_array_header_1_0(file, facts)


def _table(file: Any, table: Array, header: str) -> None:
    np.savetxt(file, table, fmt="%.9g", delimiter=",", header=header, comments="")


def _header(column: str, shape: tuple[int, ...]) -> str:
    return ",".join(f"{column}{i}" for i in range(math.prod(shape)))


def read_codes(path: str) -> Array:
    """Reads codes from .npy, .npz, .csv (with or without a header line), .parquet or .feather.

    Raises:
        DataError: when the file is missing or holds no table of numbers.
    """
    from autoencode.data import read_file
    from autoencode.data.formats.tables import read_table
    from autoencode.data.formats.text_tables import facts_of
    from autoencode.data.values.frames import encode, learn_columns
    from autoencode.reading.meaning import read_meaning

    file = Path(path)
    if file.suffix.lower() not in TABLES:
        return np.asarray(read_file(file).x)
    table, _, _ = read_meaning(facts_of(read_table(file))[0], part=str(file))
    named = [name for name in table.column_names if re.fullmatch(r"z\d+", name)]
    if named:  # beside them the rows' own names may stand
        table = table.select(sorted(named, key=lambda name: int(name[1:])))
    columns = learn_columns(table, part=str(file))
    if not all(column.kind == "real" for column in columns):
        raise DataError(f"{file}: not a table of numbers; embed writes such files")
    return encode(table, columns, str(file))
