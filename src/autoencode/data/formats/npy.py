"""Arrays from ``.npy`` and ``.npz`` files, without pickle and without trusting their headers."""

from __future__ import annotations

import contextlib
import math
import mmap
import os
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import numpy as np

from autoencode.data.formats.sparse_files import is_sparse_archive, read_sparse
from autoencode.data.raw import FACTOR_KEYS, LABEL_KEYS, X_KEYS, Factors, Raw
from autoencode.data.values.arrays import refuse_dtype
from autoencode.errors import DataError
from autoencode.files.free_memory import CHUNK, DEFLATE_RATIO, human, require_memory_to_learn
from autoencode.files.regular import open_regular
from autoencode.types import Array

SUPPORTED = (".npy", ".npz")

_X_TEST_KEYS = ("x_test", "X_test", "test_images", "test")
_LABEL_TEST_KEYS = ("y_test", "Y_test", "test_labels", "labels_test")

_ZIP_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}  # the two that numpy writes
_ENCRYPTED = 0x1
_END_OF_ARCHIVE, _END_BYTES = b"PK\5\6", 22 + (1 << 16)
_MOST_DIRECTORY = 1 << 24  # bytes


def read_file(path: str | os.PathLike[str]) -> Raw:
    """Reads the arrays of a ``.npy`` or ``.npz`` file.

    A ``.npz`` of ``scipy.sparse.save_npz`` is a sparse matrix. In another the examples are looked for
    under the names in common use (``x``, ``x_train``, ``data``, ...), and so are their labels, a test
    part, and ``factors`` (N, F) that the examples were made from, called ``factor_names`` (F,).

    Args:
        path: the file.

    Returns:
        Its arrays as they are stored, under the name of the file.

    Raises:
        DataError: the file is missing, damaged or holds nothing to learn from.
    """
    path = Path(path)
    if path.suffix.lower() not in SUPPORTED:
        raise DataError(
            f"{path}: cannot read this kind of file (supported: {', '.join(SUPPORTED)}); "
            "load it in Python and store it with numpy.save"
        )
    with in_words(path), open_regular(path) as stream:
        size = _size(stream, path)
        if path.suffix.lower() == ".npy":
            return Raw(path.stem, _read_array(stream, size, str(path)))
        _refuse_crowded(stream, path)
        with zipfile.ZipFile(stream) as archive:
            return _read_archive(archive, path)


def npy_layout(path: Path) -> tuple[tuple[int, ...], np.dtype[Any], int]:
    """Reads shape, dtype and data offset of a ``.npy`` file whose rows lie in order.

    Raises:
        DataError: the file is missing or damaged, or its rows do not lie one after the other.
    """
    with in_words(path), open_regular(path) as stream:
        shape, fortran_order, dtype = _checked_header(stream, _size(stream, path), str(path))
        if fortran_order and len(shape) > 1:
            raise DataError(
                f"{path}: stored column by column, so its rows cannot be read one after the other; "
                "save it again with numpy.ascontiguousarray"
            )
        return shape, dtype, stream.tell()


def rows_in_order(path: Path) -> bool:
    """Tells whether a ``.npy`` file has its rows one after the other, and not its columns.

    Raises:
        DataError: the file is missing or damaged.
    """
    with in_words(path), open_regular(path) as stream:
        shape, fortran_order, _ = _checked_header(stream, _size(stream, path), str(path))
        return len(shape) > 1 and not fortran_order


@contextlib.contextmanager
def in_words(path: Path) -> Iterator[None]:
    """Turns the errors of a file that cannot be read into one line."""
    try:
        yield
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; check the path") from error
    # What zipfile makes of a damaged directory is at times a name that is no text.
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, UnicodeError) as error:
        raise DataError(f"{path}: not an intact .npz file ({error}); write it again") from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise DataError(f"{path}: cannot be read ({reason}); give a file") from error


def _size(stream: IO[bytes], path: Path) -> int:
    size = os.fstat(stream.fileno()).st_size
    if not size:
        raise DataError(f"{path}: the file is empty; write it again")
    return size


def _refuse_crowded(stream: IO[bytes], path: Path) -> None:
    """Refuses an archive whose directory alone would fill the memory."""
    stream.seek(max(0, stream.seek(0, os.SEEK_END) - _END_BYTES))
    tail = stream.read()
    at = tail.rfind(_END_OF_ARCHIVE)
    size = int.from_bytes(tail[at + 12 : at + 16], "little") if at >= 0 else 0
    if size > _MOST_DIRECTORY:
        raise DataError(f"{path}: claims more arrays than there can be; write it with numpy.savez")
    stream.seek(0)


def _read_archive(archive: zipfile.ZipFile, path: Path) -> Raw:
    members = {
        info.filename.removesuffix(".npy"): info
        for info in archive.infolist()
        if info.filename.endswith(".npy")
    }

    def read(keys: tuple[str, ...], text: bool = False) -> Array | None:
        key = next((key for key in keys if key in members), None)
        return None if key is None else _read_member(archive, members[key], f"{path}, {key}", text)

    if is_sparse_archive(members):
        matrix = read_sparse(
            members,
            lambda key: _read_member(archive, members[key], f"{path}, {key}", key == "format"),
            str(path),
        )
        return Raw(path.stem, matrix)
    x = read(X_KEYS)
    if x is None:
        x = read((_only_candidate(archive, members, path),))
    assert x is not None
    labels, labels_test = (read(keys, text=True) for keys in (LABEL_KEYS, _LABEL_TEST_KEYS))
    found = Raw(path.stem, x, labels, read(_X_TEST_KEYS), labels_test)
    names = read(("factor_names",), text=True)
    factors, factors_test = (_factors(read(keys), names) for keys in (FACTOR_KEYS, ("factors_test",)))
    return replace(found, factors=factors, factors_test=factors_test)


def _factors(values: Array | None, names: Array | None) -> Factors | None:
    if values is None:
        return None
    if names is None:
        names = np.arange(values.shape[-1] if values.ndim else 0)
    return Factors(values, tuple(str(name) for name in names.ravel()))


def _only_candidate(archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo], path: Path) -> str:
    """Finds the one array that is not a mere row of numbers, when there is exactly one."""
    candidates = []
    for key, info in members.items():
        with archive.open(_checked(info, str(path))) as stream:
            shape = _read_header(stream, f"{path}, {key}")[0]
        if len(shape) != 1:
            candidates.append(key)
    if len(candidates) == 1:
        return candidates[0]
    found = ", ".join(sorted(members)) or "none"
    raise DataError(f"{path}: cannot tell which array holds the examples (arrays: {found}); name it x")


def _read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, where: str, text: bool) -> Array:
    with archive.open(_checked(info, where)) as stream:
        return _read_array(stream, info.file_size, where, text)


def _checked(info: zipfile.ZipInfo, where: str) -> zipfile.ZipInfo:
    if info.flag_bits & _ENCRYPTED or info.compress_type not in _ZIP_METHODS:
        raise DataError(f"{where}: encrypted or unusually packed; write it with numpy.savez")
    if info.file_size > (info.compress_size + 1) * DEFLATE_RATIO:
        raise DataError(
            f"{where}: claims {human(info.file_size)}, more than {human(info.compress_size)} can "
            "be unpacked to; write the file again"
        )
    return info


def _read_array(stream: IO[bytes], size: int, where: str, text: bool = False) -> Array:
    """Reads an array in numpy's format from a stream, with no memory claimed beyond its ``size``."""
    shape, fortran_order, dtype = _checked_header(stream, size, where, text)
    require_memory_to_learn(math.prod(shape), dtype.itemsize, where)
    flat = np.empty(math.prod(shape), dtype)
    _fill(stream, flat.view(np.uint8).data, where)
    return flat.reshape(shape, order="F" if fortran_order else "C")


def _checked_header(
    stream: IO[bytes], size: int, where: str, text: bool = False
) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Reads shape, order and dtype, and checks that the ``size`` bytes hold just that array."""
    shape, fortran_order, dtype = _read_header(stream, where)
    if not (text and dtype.kind in "US"):
        refuse_dtype(dtype, where)
    expected = math.prod(shape) * dtype.itemsize
    actual = size - stream.tell()
    if expected != actual:
        raise DataError(
            f"{where}: the header promises {human(expected)} ({' x '.join(map(str, shape))} "
            f"{dtype}) and {human(actual)} follow; write the file again"
        )
    return shape, fortran_order, dtype


def _fill(stream: IO[bytes], target: memoryview, where: str) -> None:
    while target:
        piece = stream.read(min(CHUNK, len(target)))
        if not piece:
            raise DataError(f"{where}: {len(target)} bytes are missing; write the file again")
        target[: len(piece)] = piece
        target = target[len(piece) :]


def _read_header(stream: IO[bytes], where: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    try:
        version = np.lib.format.read_magic(stream)
        if version == (3, 0):  # exists only for structured arrays with names in Unicode
            raise DataError(f"{where}: a structured array; store plain numbers with numpy.save")
        shape, fortran_order, dtype = readers[version](stream)
    except (DataError, OSError, zipfile.BadZipFile, zlib.error):
        raise
    except Exception as error:  # a header is Python source: damage can surface as anything
        raise DataError(f"{where}: not an array in numpy's format; write it again") from error
    if any(length < 0 for length in shape):
        raise DataError(f"{where}: the header claims a negative shape {shape}; write it again")
    return shape, fortran_order, dtype


@dataclass(frozen=True, eq=False)
class FileStore:
    """A store on rows that lie one after the other in a file, as in a ``.npy`` file.

    Read with plain reads: pages of a mapping count as the process's memory, and a pass over a large
    file would fill all there is with them.

    Attributes:
        path: the file.
        offset: where in it the first row begins, bytes.
        rows: how many there are.
        ids: (N,) what each is called, or ``None``.
        title: what to call all of it, where the file has no name that the user knows.
        notices: what the user should know.
        depth: of images that were decoded, the name of the dtype of their pixels; empty otherwise.
    """

    path: Path
    offset: int
    rows: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    labels: Array | None = None
    ids: Array | None = None
    title: str = ""
    notices: tuple[str, ...] = ()
    depth: str = ""

    @property
    def name(self) -> str:
        return self.title or str(self.path)

    def __len__(self) -> int:
        return self.rows

    def read(self, start: int, stop: int) -> Array:
        """Reads the rows from ``start`` to ``stop`` (stop - start, *shape).

        Raises:
            DataError: the file ends before, or cannot be read.
        """
        block = np.empty((stop - start, *self.shape), self.dtype)
        self._fill(block, start)
        return block

    def take(self, rows: Array) -> Array:
        """Reads the rows with these numbers (M,) as (M, *shape), each by itself."""
        found = np.empty((len(rows), *self.shape), self.dtype)
        for i, row in enumerate(rows.tolist()):
            self._fill(found[i : i + 1], row)
        return found

    def bounds(self, rows: int) -> Array:
        """Lists row numbers ``rows`` apart, since any row can begin a read."""
        return np.append(np.arange(0, self.rows, rows), self.rows)

    def _fill(self, block: Array, start: int) -> None:
        row_bytes = math.prod(self.shape) * self.dtype.itemsize
        target = block.reshape(-1).view(np.uint8).data
        # Opened for each block, which costs next to nothing: a store can be copied, pickled and
        # shared between threads, and holds nothing that must be closed.
        with in_words(self.path), open_regular(self.path) as file:
            file.seek(self.offset + start * row_bytes)
            while target:
                n_read = file.readinto(target)
                if not n_read:
                    row = max(0, os.fstat(file.fileno()).st_size - self.offset) // row_bytes
                    raise DataError(
                        f"{self.path}: ends in row {row} of {self.rows}; it was cut off since it was "
                        "opened, write it again"
                    )
                target = target[n_read:]


def open_npy(path: Path) -> FileStore:
    """Opens a ``.npy`` file as a store, none of its rows read yet.

    Raises:
        DataError: the file is missing or damaged, or holds nothing to learn from.
    """
    shape, dtype, offset = npy_layout(path)
    return FileStore(path, offset, shape[0] if shape else 0, shape[1:], dtype)


def open_memmap(x: np.memmap[Any, Any]) -> FileStore | None:
    """Opens the file behind a memory map, ``None`` where its rows do not lie one after the other."""
    root: Any = x
    while isinstance(root.base, np.ndarray):
        root = root.base
    in_file = isinstance(root, np.memmap) and isinstance(root.base, mmap.mmap) and root.filename
    # What was written to a copy-on-write map is in no file.
    if not in_file or root.mode == "c" or not x.flags.c_contiguous or x.ndim < 2:
        return None
    # A view has its root's offset, whatever part of it it shows.
    offset = root.offset + x.__array_interface__["data"][0] - root.__array_interface__["data"][0]
    return FileStore(Path(root.filename), offset, len(x), x.shape[1:], x.dtype)
