"""Folders of images and WebDataset shards, decoded once into a file that is read from then on.

Decoding is what reading images costs, some fifty times as much as reading what was decoded. So it is
done once, into ``decoded/`` in the cache (``cache_folder``), under a name that changes with the names,
sizes and times of the files. The folder may be deleted at any time.

What becomes of an image: it is turned upright as its EXIF note says. It stays grey where all images are
grey, else it becomes RGB; palettes and CMYK become RGB too, transparency is dropped. Its depth stays
(``image_pixels``), its size where all have one, and what is lost is said (``image_form``).
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
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from autoencode.data.formats import shards
from autoencode.data.formats.download import CACHE_VARIABLE, cache_folder
from autoencode.data.formats.folders import (
    AS_THEY_ARE,
    IMAGE_ENDINGS,
    ImageOptions,
    image_files,
    shard_files,
)
from autoencode.data.formats.image_form import (
    Form,
    Survey,
    brought,
    form_for,
    notices_of,
    places,
    refuse_lost_colours,
)
from autoencode.data.formats.image_pixels import (
    BadImageError,
    DamagedImages,
    Entry,
    Header,
    header,
    opened,
    pixels,
)
from autoencode.data.formats.npy import FileStore, open_npy
from autoencode.data.values.patches import patch_name
from autoencode.errors import DataError, StorageError
from autoencode.files.atomic import new_folder, writing
from autoencode.files.free_memory import human
from autoencode.files.regular import open_regular
from autoencode.types import Array

_LABEL_ENDINGS = (".cls", ".cls.txt")
RULE = "3"  # to be changed with what becomes of an image
_MOST_FILE, _MOST_LABEL = 1 << 28, 1 << 12  # bytes

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
    entries, files = entries_of(path)
    return decoded(path, entries, _key(path, files, shape, options), shape, options)


def entries_of(path: Path) -> tuple[Entries, list[Path]]:
    """Lists the images of a folder or of shards, and the files that they lie in."""
    packed = shard_files(path)
    files = packed or image_files(path)
    return (lambda: _in_shards(packed)) if packed else (lambda: _in_folder(path, files)), files


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
        shape: (C, H, W) or ``None`` for that which the images suggest.
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
        survey = survey_of(entries, name, bad)
        form = form_for(survey, name, options, shape)
        with writing(home):
            home.mkdir(parents=True, exist_ok=True)
        try:
            with new_folder(target) as part:
                _require_space(home, form)
                _write(part, entries, form, options, bad)
        except StorageError:
            if not (target / "x.npy").exists():  # else another process was faster
                raise
    labels = target / "labels.npy"
    store = open_npy(target / "x.npy")
    return replace(
        store,
        labels=np.load(labels) if labels.exists() else None,
        title=str(name),
        ids=np.load(target / "ids.npy"),
        notices=tuple(json.loads((target / "notices.json").read_text(encoding="utf-8"))),
        depth=store.dtype.name,
    )


def survey_of(entries: Entries, name: Path, bad: DamagedImages) -> Survey:
    """Looks at what all images say of themselves.

    Raises:
        DataError: there are none, or the first that is damaged where such are refused.
    """
    survey = Survey()
    for entry in entries():
        with bad.passing(entry), opened(entry) as image:
            survey.add(entry, header(image))
    refuse_none(survey, name, bad)
    return survey


def refuse_none(survey: Survey, name: Path, bad: DamagedImages) -> None:
    """Refuses a folder without an intact image.

    Raises:
        DataError: with what there is instead.
    """
    if not survey.n:
        bad.refuse_all()
        raise DataError(f"{name}: no images in it ({', '.join(IMAGE_ENDINGS)}); check the path")


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
        content = functools.partial(io.BytesIO, shard.content(member))
    except DataError as error:
        content = functools.partial(_raise, BadImageError(str(error)))
    return Entry(name, content, id=f"{shard.path.name}/{member.name}")


def _raise(error: Exception) -> Any:
    raise error


def _write(
    folder: Path, entries: Entries, form: Form, options: ImageOptions, bad: DamagedImages
) -> None:
    """Writes the pixels, labels, names and notices of all images that are intact.

    Args:
        folder: where to.
        entries: the images.
        form: what they are brought to.
        options: how.
        bad: collects those that are not intact.
    """
    labels, names, survey = [], [], Survey()
    with (folder / "x.npy").open("wb") as file:
        _header(file, 0, form)
        for entry in entries():
            with bad.passing(entry):
                found, values = read_image(entry, form)
                for place in places(form, values.shape[:2], survey.patches):
                    row = brought(values, form, options.fit == "resize", place)
                    file.write(np.moveaxis(row, -1, 0).tobytes())
                    labels.append(entry.label)
                    name = entry.id or entry.name
                    part = None if values.shape[:2] == form.shape[1:] else place
                    names.append(name if part is None else patch_name(name, part))
                survey.add(entry, found, form)
        if not names:
            bad.refuse_all()
        file.seek(0)
        _header(file, len(names), form)
        file.flush()
        os.fsync(file.fileno())
    np.save(folder / "ids.npy", np.array(names, np.str_))
    notices = [*bad.notices(), *notices_of(survey, form, options, len(names))]
    (folder / "notices.json").write_text(json.dumps(notices), encoding="utf-8")
    if all(label is not None for label in labels):
        numeric = all(str(label).isdecimal() for label in labels)
        np.save(folder / "labels.npy", np.array(labels, np.int64 if numeric else np.str_))


def read_image(entry: Entry, form: Form) -> tuple[Header, Array]:
    """Reads an image (H, W) or (H, W, 3) in its own depth, and what it says of itself.

    Raises:
        BadImageError: it is damaged, or a coloured one for a model of grey ones.
    """
    with opened(entry) as image:
        found = header(image)
        values = pixels(entry, image, found)
    if form.given and form.shape[0] == 1:
        refuse_lost_colours(entry, values)
    return found, values


def _header(file: Any, n: int, form: Form) -> None:
    """Writes the header of a ``.npy`` file, with room for any number of rows."""
    descr = np.lib.format.dtype_to_descr(form.depth)
    facts = {"descr": descr, "fortran_order": False, "shape": (n, *form.shape)}
    np.lib.format.write_array_header_1_0(file, facts)


def _require_space(folder: Path, form: Form) -> None:
    needed = form.rows * math.prod(form.shape) * form.depth.itemsize
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise StorageError(
            f"{folder}: the decoded images need {human(needed)} and {human(free)} are free; make room "
            f"or point {CACHE_VARIABLE} elsewhere"
        )
