"""Folders of images and WebDataset shards, decoded once into a file that is read from then on.

Decoding is what reading images costs, some fifty times as much as reading what was decoded. So it is
done once, into ``decoded/`` in the folder for data (``data_folder``), under a name that changes with
the names, sizes and times of the files. The folder may be deleted at any time.

What becomes of an image: it is turned upright as its EXIF note says. It stays grey where all images are
grey, else it becomes RGB; transparency is dropped. Images of one size keep it. Of different sizes, each
is scaled until its shorter side has 64 pixels, and cropped to the 64 x 64 in its middle.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import math
import os
import shutil
import tarfile
import uuid
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from autoencode.data.catalogue import data_folder
from autoencode.data.limits import human
from autoencode.data.raw import Array
from autoencode.data.stores import FileStore, open_npy
from autoencode.errors import DataError, StorageError
from autoencode.files import storage_error

IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff")
SHARD = ".tar"
_LABEL_ENDINGS = (".cls", ".cls.txt")
_SIZE = 64
RULE = "1"  # to be changed with what becomes of an image
_GREY = ("1", "L", "LA")
_TOO_DEEP = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")


@dataclass(frozen=True)
class Entry:
    """One image, not opened yet: its name for messages, its bytes, its label."""

    name: str
    open: Callable[[], Any]
    label: str | None = None


Entries = Callable[[], Iterator[Entry]]


def image_files(folder: Path) -> list[Path]:
    """The images in a folder and its subfolders, in order of their names."""
    found = (path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_ENDINGS)
    return sorted(path for path in found if not path.name.startswith("."))


def shard_files(path: Path) -> list[Path]:
    """The shards that a path means: itself, or those in the folder."""
    if path.is_dir():
        return sorted(found for found in path.iterdir() if found.suffix.lower() == SHARD)
    return [path] if path.suffix.lower() == SHARD else []


def open_images(
    path: Path, shape: tuple[int, ...] | None = None, data_dir: str | os.PathLike[str] | None = None
) -> FileStore:
    """The images of a folder or of shards, decoded before or now.

    Labels are the names of the subfolders, or the ``.cls`` entries of the shards.

    Args:
        path: a folder of images, a ``.tar`` file or a folder of them.
        shape: (C, H, W) to bring them to, for a model that is trained already.
        data_dir: see ``data_folder``.

    Raises:
        DataError: a file is no intact image of 8 bits.
        StorageError: what is decoded cannot be written.
    """
    shards = shard_files(path)
    files = shards or image_files(path)
    entries = (lambda: _in_shards(shards)) if shards else (lambda: _in_folder(path, files))
    return decoded(path, entries, _key(path, files, shape), shape, data_dir)


def decoded(
    name: Path,
    entries: Entries,
    key: str,
    shape: tuple[int, ...] | None,
    data_dir: str | os.PathLike[str] | None,
) -> FileStore:
    """Images as rows in a file, which is written where it is not there yet.

    Args:
        name: what to call them in error messages.
        entries: gives them, each time anew.
        key: changes when they do.
        shape: (C, H, W) or ``None`` for that which the rule at the top gives.
        data_dir: see ``data_folder``.
    """
    home = data_folder(data_dir) / "decoded"
    target = home / key
    if not (target / "x.npy").exists():
        n, found = _layout(entries, name)
        part = home / f".{uuid.uuid4().hex}.part"
        try:
            part.mkdir(parents=True)
            _require_space(home, n, shape or found)
            _write(part, entries, n, shape or found)
            os.replace(part, target)
        except OSError as error:
            if not (target / "x.npy").exists():  # else another process was faster
                raise storage_error(target, error) from error
        finally:
            shutil.rmtree(part, ignore_errors=True)
    labels = target / "labels.npy"
    return replace(open_npy(target / "x.npy"), labels=np.load(labels) if labels.exists() else None)


def _key(path: Path, files: list[Path], shape: tuple[int, ...] | None) -> str:
    digest = hashlib.sha256(f"{RULE} {path.resolve()} {shape}\n".encode(errors="surrogateescape"))
    for file in files:
        facts = file.stat()
        line = f"{file.relative_to(path.parent)} {facts.st_size} {facts.st_mtime_ns}\n"
        digest.update(line.encode(errors="surrogateescape"))
    return digest.hexdigest()[:32]


def _in_folder(folder: Path, files: list[Path]) -> Iterator[Entry]:
    for path in files:
        inside = path.relative_to(folder).parts
        yield Entry(
            str(path), functools.partial(path.open, "rb"), inside[0] if len(inside) > 1 else None
        )


def _in_shards(shards: list[Path]) -> Iterator[Entry]:
    """The images of shards: members that share a name up to its first dot are one example."""
    for shard in shards:
        try:
            with tarfile.open(shard, "r:*") as archive:
                yield from _in_archive(archive, shard)
        except (tarfile.TarError, EOFError) as error:
            said = str(error).partition("\n")[0]
            raise DataError(f"{shard}: not an intact shard ({said}); write it again") from error


def _in_archive(archive: tarfile.TarFile, shard: Path) -> Iterator[Entry]:
    key, image, label = "", None, None
    for member in archive:
        if not member.isfile():
            continue
        stem, _, ending = Path(member.name).name.lower().partition(".")
        stem = f"{Path(member.name).parent}/{stem}"
        if stem != key:
            if image is not None:
                yield replace(image, label=label)
            key, image, label = stem, None, None
        if f".{ending}".endswith(IMAGE_ENDINGS):
            content = _content(archive, member)
            image = Entry(f"{shard}, {member.name}", functools.partial(io.BytesIO, content))
        elif f".{ending}" in _LABEL_ENDINGS:
            label = _content(archive, member).decode(errors="replace").strip()
    if image is not None:
        yield replace(image, label=label)


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    stream = archive.extractfile(member)
    return b"" if stream is None else stream.read()


def _layout(entries: Entries, name: Path) -> tuple[int, tuple[int, int, int]]:
    """How many images there are, and the shape (C, H, W) that they all get."""
    n, grey, sizes = 0, True, set()
    for entry in entries():
        with _opened(entry) as image:
            n, grey = n + 1, grey and image.mode in _GREY
            turned = image.getexif().get(0x0112, 1) > 4
            sizes.add((image.width, image.height) if turned else (image.height, image.width))
    if not n:
        raise DataError(f"{name}: no images in it ({', '.join(IMAGE_ENDINGS)}); check the path")
    height, width = sizes.pop() if len(sizes) == 1 else (_SIZE, _SIZE)
    return n, (1 if grey else 3, height, width)


def _write(folder: Path, entries: Entries, n: int, shape: tuple[int, ...]) -> None:
    labels = []
    with (folder / "x.npy").open("wb") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": (n, *shape)}
        np.lib.format.write_array_header_1_0(file, header)
        for entry in entries():
            file.write(_pixels(entry, shape).tobytes())
            labels.append(entry.label)
        file.flush()
        os.fsync(file.fileno())
    if all(label is not None for label in labels):
        numeric = all(str(label).isdecimal() for label in labels)
        np.save(folder / "labels.npy", np.array(labels, np.int64 if numeric else np.str_))


def _pixels(entry: Entry, shape: tuple[int, ...]) -> Array:
    """An image as bytes (C, H, W)."""
    channels, height, width = shape
    with _opened(entry) as image:
        upright = ImageOps.exif_transpose(image).convert("L" if channels == 1 else "RGB")
        if upright.size != (width, height):
            upright = ImageOps.fit(upright, (width, height), Image.Resampling.BILINEAR)
        return np.moveaxis(np.asarray(upright).reshape(height, width, channels), -1, 0)


@contextlib.contextmanager
def _opened(entry: Entry) -> Iterator[Any]:
    """An image, with whatever is wrong with it in one line.

    Raises:
        DataError: it is damaged, too large to be unpacked or has more than 8 bits.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with entry.open() as stream, Image.open(stream) as image:
                if image.mode not in _TOO_DEEP:
                    yield image
                    return
    except (DataError, StorageError):
        raise
    except Exception as error:  # a decoder's complaint can be of any kind
        said = " ".join(str(error).split())[:120]
        raise DataError(f"{entry.name}: not an intact image ({said}); repair or remove it") from error
    raise DataError(f"{entry.name}: has more than 8 bits per pixel; convert it first")


def _require_space(folder: Path, n: int, shape: tuple[int, ...]) -> None:
    needed, free = n * math.prod(shape), shutil.disk_usage(folder).free
    if needed > free:
        raise StorageError(
            f"{folder}: the decoded images need {human(needed)} and {human(free)} are free; make room "
            "or point --data-dir elsewhere"
        )
