"""Folders of images and WebDataset shards, decoded once into a file that is read from then on.

Decoding is what reading images costs, some fifty times as much as reading what was decoded. So it is
done once, into ``decoded/`` in the cache (``cache_folder``), under a name that changes with the names,
sizes and times of the files. The folder may be deleted at any time.

What becomes of an image: it is turned upright as its EXIF note says. It stays grey where all images are
grey, else it becomes RGB; palettes and CMYK become RGB too, transparency is dropped, 16 bits become 8.
Images of one size keep it. Of different sizes, each is scaled until its shorter side has 64 pixels, and
cropped to the 64 x 64 in its middle, unless ``ImageOptions`` say otherwise.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import json
import math
import os
import shutil
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from autoencode.data.formats import shards
from autoencode.data.formats.download import CACHE_VARIABLE, cache_folder
from autoencode.data.formats.folders import (
    AS_THEY_ARE,
    IMAGE_ENDINGS,
    MOST_PIXELS,
    ImageOptions,
    image_files,
    shard_files,
)
from autoencode.data.formats.npy import FileStore, open_npy
from autoencode.errors import DataError, OptionError, StorageError, own_warnings
from autoencode.files.atomic import new_folder, writing
from autoencode.files.free_memory import human, require_memory
from autoencode.files.regular import open_regular
from autoencode.types import Array

_LABEL_ENDINGS = (".cls", ".cls.txt")
_SIZE = 64
RULE = "2"  # to be changed with what becomes of an image
_FORMATS = ("PNG", "JPEG", "WEBP", "TIFF")
_GREY = ("1", "L", "LA", "I;16", "I;16B", "I;16L", "I;16N")
_DEEP = ("I;16", "I;16B", "I;16L", "I;16N")
_TOO_DEEP = ("I", "F")
_GREY_ENOUGH = 8  # levels
_NAMED = 3  # files in a notice
_MOST_FILE, _MOST_LABEL = 1 << 28, 1 << 12  # bytes
_PIXEL = 16  # bytes of a pixel at most while it is brought to another form


@dataclass(frozen=True)
class Entry:
    """An image that is not opened yet: its name for messages, its bytes, label and name for results."""

    name: str
    open: Callable[[], Any]
    label: str | None = None
    id: str | None = None


Entries = Callable[[], Iterator[Entry]]


def open_images(
    path: Path,
    shape: tuple[int, ...] | None = None,
    options: ImageOptions = AS_THEY_ARE,
) -> FileStore:
    """Opens the images of a folder or of shards, decoding them unless that was done before.

    Labels are the names of the subfolders, or the ``.cls`` entries of the shards.

    Args:
        path: a folder of images, a ``.tar`` file or a folder of them.
        shape: (C, H, W) to bring them to, for a model that is trained already.
        options: how images of different sizes, and damaged ones, are treated.

    Raises:
        DataError: a file is no intact image; a coloured one is given to a model of grey ones.
        StorageError: what is decoded cannot be written.
    """
    packed = shard_files(path)
    files = packed or image_files(path)
    entries = (lambda: _in_shards(packed)) if packed else (lambda: _in_folder(path, files))
    return decoded(path, entries, _key(path, files, shape, options), shape, options)


def decoded(
    name: Path,
    entries: Entries,
    key: str,
    shape: tuple[int, ...] | None,
    options: ImageOptions = AS_THEY_ARE,
) -> FileStore:
    """Opens images as rows of a file, which is written where it is not there yet.

    Args:
        name: what to call them in error messages.
        entries: gives them, each time anew.
        key: changes when they do.
        shape: (C, H, W) or ``None`` for that which the rule at the top gives.
        options: how they are brought to one form.
    """
    if shape is not None and shape[0] not in (1, 3):
        raise DataError(
            f"{name}: images have 1 or 3 channels, and the model takes {shape[0]}; give it an array"
        )
    home = cache_folder() / "decoded"
    target = home / key
    if not (target / "x.npy").exists():
        bad = DamagedImages(name, options.on_bad_file == "skip")
        n, found = _layout(entries, name, options, bad)
        with writing(home):
            home.mkdir(parents=True, exist_ok=True)
        try:
            with new_folder(target) as part:
                _require_space(home, n, shape or found)
                _write(part, entries, shape or found, options, shape is not None, bad)
        except StorageError:
            if not (target / "x.npy").exists():  # else another process was faster
                raise
    labels = target / "labels.npy"
    return replace(
        open_npy(target / "x.npy"),
        labels=np.load(labels) if labels.exists() else None,
        title=str(name),
        ids=np.load(target / "ids.npy"),
        notices=tuple(json.loads((target / "notices.json").read_text(encoding="utf-8"))),
    )


def _key(path: Path, files: list[Path], shape: tuple[int, ...] | None, options: ImageOptions) -> str:
    what = f"{RULE} {path.resolve()} {shape} {options}\n"
    digest = hashlib.sha256(what.encode(errors="surrogateescape"))
    for file in files:
        size, time = 0, 0
        with contextlib.suppress(OSError):  # what cannot be read is told of when it is opened
            facts = file.stat()
            size, time = facts.st_size, facts.st_mtime_ns
        line = f"{file.relative_to(path.parent)} {size} {time}\n"
        digest.update(line.encode(errors="surrogateescape"))
    return digest.hexdigest()[:32]


def _in_folder(folder: Path, files: list[Path]) -> Iterator[Entry]:
    for path in files:
        inside = path.relative_to(folder)
        label = inside.parts[0] if len(inside.parts) > 1 else None
        yield Entry(str(path), functools.partial(_file, path), label, inside.as_posix())


def _file(path: Path) -> Any:
    """Opens the regular file of an image that is not absurdly large."""
    file = open_regular(path)
    if os.fstat(file.fileno()).st_size > _MOST_FILE:
        file.close()
        raise OSError(f"larger than {human(_MOST_FILE)}")
    return file


def _in_shards(paths: list[Path]) -> Iterator[Entry]:
    """Yields the images of shards: members that share a name up to its first dot are one example."""
    for path in paths:
        with shards.opened(path) as shard:
            yield from _in_shard(shard)


def _in_shard(shard: shards.Shard) -> Iterator[Entry]:
    key, image, label = "", None, None
    for member in shard:
        stem, _, ending = Path(member.name).name.lower().partition(".")
        stem = f"{Path(member.name).parent}/{stem}"
        if stem != key:
            if image is not None:
                yield replace(image, label=label)
            key, image, label = stem, None, None
        if f".{ending}".endswith(IMAGE_ENDINGS):
            image = _member(shard, member)
        elif f".{ending}" in _LABEL_ENDINGS:
            label = shard.content(member, _MOST_LABEL).decode(errors="replace").strip()
    if image is not None:
        yield replace(image, label=label)


def _member(shard: shards.Shard, member: Any) -> Entry:
    """The image of a shard's member; its size is looked at first, its errors are those of an image."""
    name = f"{shard.path}, {member.name}"
    try:
        opened = functools.partial(io.BytesIO, shard.content(member))
    except DataError as error:
        opened = functools.partial(_raise, BadImageError(str(error)))
    return Entry(name, opened, id=f"{shard.path.name}/{member.name}")


def _raise(error: Exception) -> Any:
    raise error


def _layout(
    entries: Entries, name: Path, options: ImageOptions, bad: DamagedImages
) -> tuple[int, tuple[int, int, int]]:
    """Counts the images and finds the shape (C, H, W) that all of them get."""
    n, grey, sizes = 0, True, set()
    for entry in entries():
        with bad.passing(entry), _opened(entry) as image:
            grey = grey and image.mode in _GREY
            turned = image.getexif().get(0x0112, 1) > 4
            sizes.add((image.width, image.height) if turned else (image.height, image.width))
            n += 1
    if not n:
        bad.refuse_all()
        raise DataError(f"{name}: no images in it ({', '.join(IMAGE_ENDINGS)}); check the path")
    height, width = options.size or (sizes.pop() if len(sizes) == 1 else (_SIZE, _SIZE))
    if height * width > MOST_PIXELS:
        raise DataError(
            f"{name}: images of {height} x {width} pixels are more than a network can take; give a "
            "smaller size (--image-size 256)"
        )
    return n, (1 if grey else 3, height, width)


def _write(
    folder: Path,
    entries: Entries,
    shape: tuple[int, ...],
    options: ImageOptions,
    given: bool,
    bad: DamagedImages,
) -> None:
    """Writes the pixels, labels, names and notices of all images that are intact.

    Args:
        folder: where to.
        entries: the images.
        shape: (C, H, W) of each.
        options: how they are brought to it.
        given: whether the shape is that of a model, so that colours must not be lost.
        bad: collects those that are not intact.
    """
    labels, names, frames = [], [], _Frames()
    with (folder / "x.npy").open("wb") as file:
        _header(file, 0, shape)
        for entry in entries():
            with bad.passing(entry):
                file.write(_pixels(entry, shape, options.fit, given, frames).tobytes())
                labels.append(entry.label)
                names.append(entry.id or entry.name)
        if not names:
            bad.refuse_all()
        file.seek(0)
        _header(file, len(names), shape)
        file.flush()
        os.fsync(file.fileno())
    np.save(folder / "ids.npy", np.array(names, np.str_))
    notices = [*bad.notices(), *frames.notices()]
    (folder / "notices.json").write_text(json.dumps(notices), encoding="utf-8")
    if all(label is not None for label in labels):
        numeric = all(str(label).isdecimal() for label in labels)
        np.save(folder / "labels.npy", np.array(labels, np.int64 if numeric else np.str_))


def _header(file: Any, n: int, shape: tuple[int, ...]) -> None:
    """Writes the header of a ``.npy`` file, with room for any number of rows."""
    facts = {"descr": "|u1", "fortran_order": False, "shape": (n, *shape)}
    np.lib.format.write_array_header_1_0(file, facts)


class DamagedImages:
    """The damaged images of a folder: the first is refused, or all are left out and counted.

    Args:
        name: of the folder.
        skip: whether they are left out.
    """

    def __init__(self, name: Path, skip: bool) -> None:
        self.name, self.skip = name, skip
        self.reasons: dict[str, str] = {}

    @contextlib.contextmanager
    def passing(self, entry: Entry) -> Iterator[None]:
        """Catches the errors of reading one image in a block."""
        try:
            yield
        except BadImageError as error:
            if not self.skip:
                raise
            self.reasons[entry.name] = str(error)

    def refuse_all(self) -> None:
        """Raises an error when no image is left.

        Raises:
            DataError: with the first reason, when any were left out.
        """
        if self.reasons:
            first = next(iter(self.reasons.values()))
            raise DataError(f"{self.name}: none of {len(self.reasons)} images is intact; {first}")

    def notices(self) -> list[str]:
        """Returns notices about the images that were left out."""
        if not self.reasons:
            return []
        names = [str(name) for name in self.reasons]
        shown = ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")
        noun = "image was" if len(names) == 1 else "images were"
        why = next(iter(self.reasons.values())).removeprefix(f"{names[0]}: ").split(";")[0]
        return [f"{len(names)} {noun} not intact and left out: {shown} (the first: {why})"]


class BadImageError(DataError):
    """An image file that cannot be used."""


class _Frames:
    """Counts of intact images that lost something in reading, such as further frames."""

    def __init__(self) -> None:
        self.several: list[str] = []
        self.deep: list[str] = []

    def notices(self) -> list[str]:
        found = []
        if self.several:
            found.append(
                f"{len(self.several)} files have several frames or pages, of which the first was taken "
                f"(first: {self.several[0]})"
            )
        if self.deep:
            found.append(
                f"{len(self.deep)} images have 16 bits a pixel and were brought to 8, divided by 257 "
                f"(first: {self.deep[0]})"
            )
        return found


def _pixels(entry: Entry, shape: tuple[int, ...], fit: str, given: bool, frames: _Frames) -> Array:
    """Reads an image as bytes (C, H, W)."""
    channels, height, width = shape
    with _opened(entry) as image:
        if getattr(image, "n_frames", 1) > 1:
            frames.several.append(entry.name)
        if image.mode in _DEEP:
            frames.deep.append(entry.name)
        upright = ImageOps.exif_transpose(_of_8_bits(image))
        if given and channels == 1 and upright.mode not in _GREY and _is_coloured(upright):
            raise BadImageError(
                f"{entry.name}: a colour image, the model was trained on grey ones; convert it first"
            )
        upright = upright.convert("L" if channels == 1 else "RGB")
        if upright.size != (width, height):
            bring = ImageOps.fit if fit == "crop" else _stretch
            upright = bring(upright, (width, height), Image.Resampling.BILINEAR)
        return np.moveaxis(np.asarray(upright).reshape(height, width, channels), -1, 0)


def _of_8_bits(image: Any) -> Any:
    if image.mode not in _DEEP:
        return image
    values = np.asarray(image).astype(np.float64)
    exif = image.getexif()
    image = Image.fromarray(np.rint(values.clip(0, 65535) / 257).astype(np.uint8))
    image.getexif().update(exif)
    return image


def _stretch(image: Any, size: tuple[int, int], method: Any) -> Any:
    return image.resize(size, method)


def _is_coloured(image: Any) -> bool:
    """Tells whether the channels of an image differ by more than a JPEG of a grey one does."""
    values = np.asarray(image.convert("RGB")).astype(np.int16)
    return bool((values.max(2) - values.min(2)).max() > _GREY_ENOUGH)


@contextlib.contextmanager
def _opened(entry: Entry) -> Iterator[Any]:
    """Opens an image, and turns whatever is wrong with it into an error of one line.

    Raises:
        BadImageError: it is damaged, too large to be unpacked or has more than 16 bits.
    """
    try:
        with own_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            warnings.filterwarnings("error", "(?i).*truncated")
            with entry.open() as stream, Image.open(stream, formats=_FORMATS) as image:
                require_memory(image.width * image.height * _PIXEL, entry.name, "remove it")
                if image.mode not in _TOO_DEEP:
                    yield image
                    return
    except (BadImageError, OptionError, StorageError):
        raise
    except DataError as error:  # too large
        raise BadImageError(str(error)) from error
    except UnidentifiedImageError as error:
        raise BadImageError(
            f"{entry.name}: not an intact image (none of {', '.join(_FORMATS)}); repair or remove it"
        ) from error
    except Exception as error:  # a decoder's complaint can be of any kind
        said = " ".join((getattr(error, "strerror", None) or str(error)).split())[:120]
        raise BadImageError(
            f"{entry.name}: not an intact image ({said}); repair or remove it"
        ) from error
    raise BadImageError(f"{entry.name}: has more than 16 bits per pixel; convert it first")


def _require_space(folder: Path, n: int, shape: tuple[int, ...]) -> None:
    needed, free = n * math.prod(shape), shutil.disk_usage(folder).free
    if needed > free:
        raise StorageError(
            f"{folder}: the decoded images need {human(needed)} and {human(free)} are free; make room "
            f"or point {CACHE_VARIABLE} elsewhere"
        )
