"""Opening of regular files only: a pipe would keep the reader waiting, a device never ends."""

from __future__ import annotations

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path

from autoencode.files.free_memory import require_memory

_KINDS = (
    (stat.S_ISDIR, "it is a folder"),
    (stat.S_ISFIFO, "it is a pipe, not a file"),
    (stat.S_ISSOCK, "it is a socket, not a file"),
    (lambda mode: stat.S_ISCHR(mode) or stat.S_ISBLK(mode), "it is a device, not a file"),
)


def open_regular(path: str | os.PathLike[str]) -> BufferedReader:
    """Opens a regular file, or a link to one, for reading; never waits for another process.

    Raises:
        OSError: it is missing, or anything but a regular file, also where it is exchanged meanwhile.
    """
    try:
        _refuse(os.stat(path).st_mode, path)  # a device may act upon being opened
        flags = os.O_RDONLY | getattr(os, "O_BINARY", 0)
        waits = getattr(os, "O_NONBLOCK", 0)
        handle = os.open(path, flags | waits | getattr(os, "O_CLOEXEC", 0))
    except ValueError:  # a null byte
        raise OSError(errno.EINVAL, "no file can have such a name", os.fspath(path)) from None
    try:
        _refuse(os.fstat(handle).st_mode, path)
        if waits:
            os.set_blocking(handle, True)
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def is_regular(path: str | os.PathLike[str]) -> bool:
    """Tells whether there is a regular file, or a link to one, of this name."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False


def read_regular(path: str | os.PathLike[str], times: int = 1) -> bytes:
    """Reads all of a regular file whose content fits into memory so many times.

    Raises:
        OSError: it cannot be read, or is no regular file.
        DataError: it is too large.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        require_memory(size * times, str(path), remedy="check what file it is")
        return file.read(size)


def size_of(path: str | os.PathLike[str]) -> int:
    """The size of a regular file in bytes.

    Raises:
        OSError: it is missing, or no regular file.
    """
    facts = Path(path).stat()
    _refuse(facts.st_mode, path)
    return facts.st_size


def _refuse(mode: int, path: str | os.PathLike[str]) -> None:
    if stat.S_ISREG(mode):
        return
    what = next((words for known, words in _KINDS if known(mode)), "it is no regular file")
    number = errno.EISDIR if stat.S_ISDIR(mode) else errno.EINVAL
    raise OSError(number, what, os.fspath(path))
