"""Tar archives of images, none of whose claims are believed: sizes, names and packing.

``tarfile`` reads headers of any claimed length whole and remembers every member, and what is packed by
gzip may be a thousand times as large. So each read is bounded, and members are forgotten.
"""

from __future__ import annotations

import bz2
import contextlib
import gzip
import tarfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from autoencode.errors import DataError
from autoencode.files.free_memory import human, require_memory
from autoencode.files.regular import open_regular

_MOST_HEADER = 1 << 20  # bytes of one read of a header
_MOST_PADDING = 1 << 24  # bytes after the last member
_MOST_MEMBER = 1 << 28  # bytes of an image's file
_MOST_NAME = 4096  # characters
_PACKED: dict[bytes, Callable[[Any], Any]] = {
    b"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file),
    b"BZ": bz2.BZ2File,
}
_XZ = b"\xfd7"
# Damage surfaces as any of these: in numbers that are none, in names that are no text, in packing.
_DAMAGE = (tarfile.TarError, EOFError, OSError, ValueError, ArithmeticError, LookupError, zlib.error)


class _Bounded:
    """A stream that refuses to be read in pieces larger than ``most``."""

    def __init__(self, stream: Any) -> None:
        self.stream, self.most = stream, _MOST_HEADER
        self.seek, self.tell = stream.seek, stream.tell

    def read(self, n: int = -1) -> bytes:
        if not 0 <= n <= self.most:
            raise tarfile.ReadError(f"a header claims {human(n)}" if n >= 0 else "an endless header")
        content: bytes = self.stream.read(n)
        return content


class Shard:
    """An open tar archive, whose files are read one after the other."""

    def __init__(self, path: Path, archive: tarfile.TarFile, stream: _Bounded) -> None:
        self.path, self.archive, self._stream = path, archive, stream

    def __iter__(self) -> Iterator[tarfile.TarInfo]:
        """Iterates over the members that are files.

        Raises:
            DataError: the archive is damaged, or a name is none that a file can have.
        """
        while (member := self._next()) is not None:
            if not member.isfile():
                continue
            if "\0" in member.name or len(member.name) > _MOST_NAME:
                raise DataError(
                    f"{self.path}: not an intact shard (a name that no file can have); write it again"
                )
            yield member
        with in_words(self.path):  # what is packed has its checksum at the end
            for _ in range(_MOST_PADDING // _MOST_HEADER):
                if not self._stream.read(_MOST_HEADER):
                    break

    def _next(self) -> tarfile.TarInfo | None:
        with in_words(self.path):
            member = self.archive.next()
            self.archive.members = []  # type: ignore[attr-defined]  # else all are remembered
            return member

    def content(self, member: tarfile.TarInfo, most: int = _MOST_MEMBER) -> bytes:
        """Reads a member's bytes.

        Raises:
            DataError: it claims more than there can be, or is damaged.
        """
        where = f"{self.path}, {member.name}"
        if member.size > most:
            raise DataError(f"{where}: claims {human(member.size)}, more than {human(most)}; remove it")
        require_memory(2 * member.size, where, "remove it")
        self._stream.most = max(_MOST_HEADER, member.size)
        try:
            with in_words(self.path):
                stream = self.archive.extractfile(member)
                return b"" if stream is None else stream.read()
        finally:
            self._stream.most = _MOST_HEADER


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Shard]:
    """Opens a tar archive, plain or packed by gzip or bzip2.

    Raises:
        DataError: it is none, or no regular file.
    """
    with contextlib.ExitStack() as stack:
        with in_words(path):
            file: BinaryIO = stack.enter_context(open_regular(path))
            mark = file.read(2)
            file.seek(0)
            if mark == _XZ:  # says itself how much memory unpacking takes
                raise DataError(f"{path}: packed by xz; unpack it first")
            unpack = _PACKED.get(mark)
            plain = file if unpack is None else stack.enter_context(unpack(file))
            stream = _Bounded(plain)
            archive = stack.enter_context(tarfile.TarFile(fileobj=stream))  # type: ignore[arg-type]
        yield Shard(path, archive, stream)


@contextlib.contextmanager
def in_words(path: Path) -> Iterator[None]:
    """Turns what tarfile and the unpackers say of damage into an error of one line."""
    try:
        yield
    except DataError:
        raise
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; check the path") from error
    except _DAMAGE as error:
        said = (getattr(error, "strerror", None) or str(error) or type(error).__name__).partition("\n")[
            0
        ]
        raise DataError(f"{path}: not an intact shard ({said:.120}); write it again") from error
