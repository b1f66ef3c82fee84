"""The IDX format, in which MNIST and its relatives are published.

magic    0 0 dtype ndim        four bytes
shape    ndim x uint32         big-endian
payload  shape x dtype         big-endian, and nothing after it
"""

from __future__ import annotations

import gzip
import hashlib
import math
import os
import struct
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from autoencode.errors import DataError
from autoencode.files.free_memory import CHUNK, DEFLATE_RATIO, require_memory
from autoencode.files.regular import open_regular

_DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_CODES = {np.dtype(name).newbyteorder("="): code for code, name in _DTYPES.items()}
_MAX_NDIM = 32
_GZIP_MAGIC = b"\x1f\x8b"
_Stream = IO[bytes] | gzip.GzipFile
_AGAIN = "delete it and fetch it again"


def read_idx(path: str | os.PathLike[str]) -> NDArray[Any]:
    """Reads the array of an IDX file, plain or gzipped (its first bytes decide, not its name).

    Args:
        path: the file.

    Returns:
        The array in native byte order, of the shape that the file states.

    Raises:
        DataError: the file is missing, damaged, cut short or too long.
    """
    path = Path(path)
    try:
        with open_regular(path) as plain:
            packed = plain.read(2) == _GZIP_MAGIC
            plain.seek(0)
            size = os.fstat(plain.fileno()).st_size
            if not size:
                raise DataError(f"{path}: the file is empty; {_AGAIN}")
            if not packed:
                return _read_array(plain, path, most=size)
            with gzip.GzipFile(fileobj=plain) as unpacked:
                return _read_array(unpacked, path, most=size * DEFLATE_RATIO)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path}: damaged or incomplete gzip archive ({error}); {_AGAIN}") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error


def content_md5(array: NDArray[Any]) -> str:
    """Computes the MD5 of the unpacked IDX file that holds ``array``."""
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, _CODES[array.dtype], array.ndim, *array.shape)
    digest = hashlib.md5(header, usedforsecurity=False)
    digest.update(np.ascontiguousarray(array, array.dtype.newbyteorder(">")).data)
    return digest.hexdigest()


def _read_array(stream: _Stream, path: Path, most: int) -> NDArray[Any]:
    dtype, shape = _read_header(stream, path)
    expected = math.prod(shape) * dtype.itemsize
    if expected > most:
        raise DataError(
            f"{path}: the header claims {expected} bytes {_times(shape)}, "
            f"more than the file can hold; {_AGAIN}"
        )
    require_memory(3 * expected, str(path))  # as it is unpacked, and parted
    # One byte more than expected: enough to notice a file that is too long, and for gzip to reach
    # its own checksum.
    payload = _read_up_to(stream, expected + 1)
    if len(payload) != expected:
        got = "more" if len(payload) > expected else f"{len(payload)} bytes"
        raise DataError(f"{path}: expected {expected} bytes {_times(shape)}, got {got}; {_AGAIN}")
    return np.frombuffer(payload, dtype).reshape(shape).astype(dtype.newbyteorder("="), copy=False)


def _read_header(stream: _Stream, path: Path) -> tuple[np.dtype[Any], tuple[int, ...]]:
    magic = _read_up_to(stream, 4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _DTYPES:
        raise DataError(f"{path}: not an IDX file (starts with {magic.hex(' ')}); {_AGAIN}")
    ndim = magic[3]
    if not 1 <= ndim <= _MAX_NDIM:
        raise DataError(f"{path}: not an IDX file (claims {ndim} dimensions); {_AGAIN}")
    sizes = _read_up_to(stream, 4 * ndim)
    if len(sizes) < 4 * ndim:
        raise DataError(
            f"{path}: expected {4 + 4 * ndim} bytes of header, got {4 + len(sizes)}; {_AGAIN}"
        )
    return np.dtype(_DTYPES[magic[2]]), struct.unpack(f">{ndim}I", sizes)


def _read_up_to(stream: _Stream, n_bytes: int) -> bytearray:
    data = bytearray()
    while len(data) < n_bytes and (piece := stream.read(min(CHUNK, n_bytes - len(data)))):
        data += piece
    return data


def _times(shape: tuple[int, ...]) -> str:
    return f"({' x '.join(map(str, shape))})"
