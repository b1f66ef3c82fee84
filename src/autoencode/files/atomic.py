"""Writing a file whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from autoencode.errors import StorageError

_TEMPORARY = re.compile(r"\.[0-9a-f]{32}\.part")
_ELSEWHERE = "choose another folder"
_REASONS = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), f"no space left; free some space or {_ELSEWHERE}"),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), f"no permission; get it or {_ELSEWHERE}"),
    **dict.fromkeys((errno.ENOENT, errno.ENOTDIR), f"no such folder; create it or {_ELSEWHERE}"),
    errno.EISDIR: "it is a folder; choose another name",
}


def write_atomically(path: str | os.PathLike[str], content: bytes) -> None:
    """Writes a file so that readers, a crash and a power cut find it old or new, never half.

    The bytes go to a temporary file in the same folder, which is flushed and fsynced and then
    takes the name by ``os.replace``; last comes an fsync of the folder. The file has mode 0644
    less what the umask takes away, whatever the one it replaces had.

    Raises:
        StorageError: it cannot be written. No temporary file is left, and the old content is
            still there unless only the last step, the fsync of the folder, failed.

    """
    with replacing(path) as file, writing(path):
        file.write(content)


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Opens a temporary file to write piece by piece, which replaces the named one when complete.

    As ``write_atomically`` does it. An error in the block leaves the old file, and no temporary one.

    Raises:
        StorageError: it cannot be made or completed; what goes wrong inside the block is passed on.
    """
    target = Path(path)
    part = target.parent / f".{uuid.uuid4().hex}.part"  # as short for long names as for others
    try:
        with writing(target):
            file = open(part, "x+b", opener=_create)  # noqa: SIM115  closed below, or its error is lost
        try:
            yield file
            with writing(target):
                file.flush()
                os.fsync(file.fileno())
        finally:
            with writing(target):
                file.close()
        with writing(target):
            os.replace(part, target)
            sync_folder(target.parent)
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


@contextlib.contextmanager
def new_folder(path: str | os.PathLike[str], *, overwrite: bool = False) -> Iterator[Path]:
    """Makes a folder to fill, which gets its name when complete; an error in the block leaves none.

    Args:
        path: its name.
        overwrite: whether a folder of that name may be there; it steps aside in the end.

    Raises:
        StorageError: something of that name is there, or it cannot be made or completed.
    """
    target = Path(path)
    part, aside = (target.parent / f".{uuid.uuid4().hex}.part" for _ in range(2))
    if target.exists() and not overwrite:
        raise StorageError(f"cannot write {target}: it exists already; choose another name")
    try:
        with writing(target):
            part.mkdir()
            yield part
            if target.exists():
                os.replace(target, aside)
            os.replace(part, target)
            sync_folder(target.parent)
    finally:
        if aside.exists() and not target.exists():
            os.replace(aside, target)
        for folder in (part, aside):
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def writing(target: str | os.PathLike[str]) -> Iterator[None]:
    """Turns the system's refusal to write a file into an error of one line."""
    try:
        yield
    except OSError as error:
        raise storage_error(Path(target), error) from error


def sweep(folder: Path) -> None:
    """Removes the temporary files of processes that were killed while they wrote here."""
    for path in folder.glob(".*.part"):
        if _TEMPORARY.fullmatch(path.name):
            with contextlib.suppress(OSError):
                path.unlink()


def storage_error(what: object, error: OSError) -> StorageError:
    """Makes a ``StorageError`` of the system's refusal to write: one line that says what to do."""
    reason = _REASONS.get(error.errno or 0) or f"{error.strerror or error}; {_ELSEWHERE}"
    return StorageError(f"cannot write {what}: {reason}")


def _create(path: str, flags: int) -> int:
    return os.open(path, flags, 0o644)


def sync_folder(folder: Path) -> None:
    """Makes the names in a folder survive a power cut, where the system can do that."""
    if sys.platform == "win32":  # has no way to do it
        return
    try:
        handle = os.open(folder, os.O_RDONLY)
    except PermissionError:  # a folder may be writable and not readable
        return
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems cannot
            raise
    finally:
        os.close(handle)
