"""Downloading one file so that it is either there and right, or not there.

Only the standard library: pooch, the usual choice, cannot resume a transfer that was cut.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import IO

from autoencode.errors import DataError, StorageError
from autoencode.files.atomic import sync_folder

# Is told the bytes so far and their total, None when the server hides it.
OnBytes = Callable[[int, int | None], None]

_CHUNK = 1 << 16
_FIRST_PAUSE = 0.1  # seconds; doubles with each retry


def fetch(
    urls: Sequence[str],
    target: Path,
    *,
    md5: str | None = None,
    sha256: str | None = None,
    progress: OnBytes | None = None,
    timeout: float = 30.0,
    retries: int = 3,
    remedy: str | None = None,
) -> Path:
    """Downloads a file from the first of several mirrors that delivers it intact.

    The bytes gather in ``<target>.part``, which a later call resumes, and become ``target`` in one
    atomic step once their checksum is right. A second process that fetches the same file meanwhile
    works on a part of its own.

    Args:
        urls: mirrors, tried in order.
        target: where the file shall be; its folder is made if need be.
        md5: what the file's MD5 must be.
        sha256: what its SHA-256 must be.
        progress: called with the bytes so far and their total, ``None`` when the server hides it.
        timeout: seconds without a byte after which a connection counts as cut.
        retries: how often a cut connection is taken up again, for each mirror.
        remedy: the end of the error message, when no mirror could help.

    Returns:
        ``target``.

    Raises:
        DataError: no mirror delivered the file.
        StorageError: the file cannot be written.
    """
    checksums = {
        name: value for name, value in {"md5": md5, "sha256": sha256}.items() if value is not None
    }
    with _claim(target) as part:
        failures = []
        for url in urls:
            failure = _from_mirror(url, part, checksums, progress, timeout, retries)
            if failure is None:
                part.publish(target)
                return target
            failures.append(f"{url}: {failure}")
    remedy = remedy or f"fetch it on a machine with a network and put it at {target}"
    raise DataError(f"could not download {target.name} (tried {'; '.join(failures)}); {remedy}")


def _from_mirror(
    url: str,
    part: _Part,
    checksums: Mapping[str, str],
    progress: OnBytes | None,
    timeout: float,
    retries: int,
) -> str | None:
    """Fills ``part`` from one mirror; returns why that failed, ``None`` when it did not."""
    failure: str | None = None
    for attempt in range(retries + 1):
        if attempt:
            time.sleep(_FIRST_PAUSE * 2 ** (attempt - 1))
        resumed = part.size()
        # A part may be complete already, when an earlier call ended just before publishing it.
        if resumed and checksums and part.wrong_checksum(checksums) is None:
            return None
        try:
            _transfer(url, part, progress, timeout)
        except urllib.error.HTTPError as error:
            error.close()
            failure = f"HTTP {error.code} {error.reason}"
            if error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and resumed:
                part.clear()  # longer than the file: not a part of it
            elif error.code < 500:
                return failure
        except urllib.error.URLError as error:  # no such host, no route, refused: not worth a retry
            return str(error.reason)
        except (http.client.HTTPException, OSError) as error:
            failure = str(error) or type(error).__name__
        else:
            failure = part.wrong_checksum(checksums)
            if failure is None:
                return None
            part.clear()
            if not resumed:  # the mirror's own bytes are wrong; a stale part deserves a new start
                return failure
    return failure


def _transfer(url: str, part: _Part, progress: OnBytes | None, timeout: float) -> None:
    """Downloads what is missing of ``part`` over one connection."""
    headers = {"User-Agent": "autoencode", "Accept-Encoding": "identity"}
    offset = part.size()
    if offset:
        headers["Range"] = f"bytes={offset}-"
    request = urllib.request.Request(url, headers=headers)
    with urllib.request.urlopen(request, timeout=timeout) as response:
        if response.status == HTTPStatus.PARTIAL_CONTENT:
            start = (response.headers.get("Content-Range") or "").removeprefix("bytes ")
            if start.partition("-")[0] != str(offset):
                part.clear()
                raise ConnectionError("the server sent another range than was asked for")
        else:
            part.clear()  # the server ignores ranges and starts from the beginning
        length = response.headers.get("Content-Length")
        total = part.size() + int(length) if length and length.isdigit() else None
        while piece := response.read(_CHUNK):
            part.append(piece)
            if progress is not None:
                progress(part.size(), total)
    if total is not None and part.size() != total:
        raise ConnectionError(f"connection cut after {part.size()} of {total} bytes")


@dataclass
class _Part:
    """A partly downloaded file that belongs to this process alone.

    Attributes:
        path: where it is.
        file: its one open handle, which holds the lock if there is one.
        private: it has a name of its own, and is of no use to a later call.
    """

    path: Path
    file: IO[bytes]
    private: bool

    def size(self) -> int:
        return self.file.seek(0, os.SEEK_END)

    def append(self, piece: bytes) -> None:
        with _storage(self.path.parent):
            rest = memoryview(piece)
            while rest:  # an unbuffered file may take only some of it
                rest = rest[self.file.write(rest) :]

    def clear(self) -> None:
        with _storage(self.path.parent):
            self.file.truncate(0)
            self.file.seek(0)

    def wrong_checksum(self, checksums: Mapping[str, str]) -> str | None:
        """Describes which checksum is wrong, ``None`` when all are right."""
        for name, expected in checksums.items():
            self.file.seek(0)
            digest = hashlib.new(name, usedforsecurity=False)
            while piece := self.file.read(_CHUNK):
                digest.update(piece)
            if digest.hexdigest() != expected.lower():
                return f"wrong checksum ({name} {digest.hexdigest()}, expected {expected})"
        return None

    def publish(self, target: Path) -> None:
        """Makes the part the finished file: after a power cut it is there whole or not at all."""
        with _storage(target.parent):
            os.fsync(self.file.fileno())
            if self.private:
                self.file.close()  # Windows replaces no open file; a shared part stays locked
            os.replace(self.path, target)
            sync_folder(target.parent)

    def release(self) -> None:
        """Closes the file, and leaves it only where a later download can resume it."""
        if self.private:
            self.file.close()
            self.path.unlink(missing_ok=True)
            return
        if not self.size() and _is_at(self.file, self.path):
            self.path.unlink()  # while the lock is still held
        self.file.close()


@contextmanager
def _claim(target: Path) -> Iterator[_Part]:
    with _storage(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
        part = _shared_part(target) or _private_part(target)
    try:
        yield part
    finally:
        if not part.file.closed:
            part.release()


def _shared_part(target: Path) -> _Part | None:
    """Opens ``<target>.part`` under a lock, ``None`` when another process has it or locks are missing.

    The kernel drops the lock with the process, so that a crash leaves nothing to clean up.
    """
    if sys.platform == "win32":
        return None
    import fcntl

    path = target.with_name(f"{target.name}.part")
    file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+b", buffering=0)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    # Between opening and locking, another process may have published or deleted what was opened.
    if not _is_at(file, path):
        file.close()
        return None
    return _Part(path, file, private=False)


def _private_part(target: Path) -> _Part:
    path = target.with_name(f"{target.name}.{os.getpid()}-{time.monotonic_ns()}.part")
    return _Part(path, path.open("x+b", buffering=0), private=True)


def _is_at(file: IO[bytes], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except OSError:
        return False


@contextmanager
def _storage(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"cannot write to {folder} ({error.strerror or error}); "
            "make room or permission there, or choose another folder with --data-dir"
        ) from error


DATA_VARIABLE, CACHE_VARIABLE = "AUTOENCODE_DATA", "AUTOENCODE_CACHE"


def data_folder(explicit: str | os.PathLike[str] | None = None) -> Path:
    """Finds the folder of data sets: the given one, else ``$AUTOENCODE_DATA``, else the cache."""
    return data_folders(explicit)[0]


def data_folders(explicit: str | os.PathLike[str] | None = None) -> tuple[Path, ...]:
    """Lists where data sets are looked for; what is in none of these is downloaded to the last.

    That is the folder which is given; else ``$AUTOENCODE_DATA``, which is only read, and the cache.
    """
    if explicit:
        return (Path(explicit).expanduser(),)
    given = os.environ.get(DATA_VARIABLE)
    return (Path(given).expanduser(), cache_folder()) if given else (cache_folder(),)


def cache_folder() -> Path:
    """Finds the folder of what can be made again: ``$AUTOENCODE_CACHE``, else the user's cache."""
    if given := os.environ.get(CACHE_VARIABLE):
        return Path(given).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "autoencode"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "autoencode"
