"""The data sets that are known by name.

``digits`` comes with scikit-learn, ``sprites`` are drawn when they are asked for. The others are four
IDX files each, with or without ``.gz``, looked for in ``<dir>/<name>/``, ``<dir>/`` and
``<dir>/<torchvision's name>/raw/``. ``<dir>`` is the caller's; else ``$AUTOENCODE_DATA``, and then the
cache folder. When they are in none they are downloaded to ``<dir>/<name>/`` of the caller's, else to
that of the cache; nothing is ever written into ``$AUTOENCODE_DATA``.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from autoencode.data.formats.download import OnBytes, data_folders, fetch
from autoencode.data.formats.format import Format, Opening
from autoencode.data.formats.idx import content_md5, read_idx
from autoencode.data.raw import Raw
from autoencode.errors import DataError
from autoencode.files.regular import read_regular
from autoencode.types import Array, DataSpec

_REPLACE = "delete it or point --data-dir elsewhere"


@dataclass(frozen=True)
class DatasetInfo:
    """A description of a named data set.

    Attributes:
        name: what it is asked for by.
        summary: one line about it.
        shape: shape of one example.
        n_train, n_test: how many examples its parts have.
        url: where it is described.
    """

    name: str
    summary: str
    shape: tuple[int, ...]
    n_train: int
    n_test: int
    url: str


@dataclass(frozen=True)
class _IdxFile:
    """One published file: its name without ``.gz``, and its MD5 packed and (if known) unpacked."""

    name: str
    archive_md5: str
    content_md5: str | None = None


@dataclass(frozen=True)
class _IdxSet:
    """A data set of four IDX files: training images and labels, test images and labels."""

    info: DatasetInfo
    torchvision_name: str
    mirrors: tuple[str, ...]
    files: tuple[_IdxFile, ...]


def _idx_set(
    info: DatasetInfo,
    torchvision_name: str,
    mirrors: tuple[str, ...],
    archive_md5s: tuple[str, str, str, str],
    content_md5s: tuple[str | None, ...] = (None, None, None, None),
) -> _IdxSet:
    names = (
        "train-images-idx3-ubyte",
        "train-labels-idx1-ubyte",
        "t10k-images-idx3-ubyte",
        "t10k-labels-idx1-ubyte",
    )
    files = tuple(map(_IdxFile, names, archive_md5s, content_md5s))
    return _IdxSet(info, torchvision_name, mirrors, files)


_DIGITS = DatasetInfo(
    "digits",
    "handwritten digits, bundled: nothing to download",
    (1, 8, 8),
    1438,
    359,
    "https://archive.ics.uci.edu/dataset/80/optical+recognition+of+handwritten+digits",
)

_SPRITES = DatasetInfo(
    "sprites",
    "shapes of five known factors, drawn when asked for: nothing to download",
    (1, 32, 32),
    41_472,
    4_608,
    "https://github.com/google-deepmind/dsprites-dataset",
)

_IDX_SETS = {
    "mnist": _idx_set(
        DatasetInfo(
            "mnist",
            "handwritten digits",
            (1, 28, 28),
            60_000,
            10_000,
            "http://yann.lecun.com/exdb/mnist/",
        ),
        "MNIST",
        (
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
        ),
        (
            "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "d53e105ee54ea40749a09fcbcd1e9432",
            "9fb629c4189551a2d022fa330f9573f3",
            "ec29112dd5afa0611ce80d1b7f02629c",
        ),
        (
            "6bbc9ace898e44ae57da46a324031adb",
            "a25bea736e30d166cdddb491f175f624",
            "2646ac647ad5339dbf082846283269ea",
            "27ae3e4e09519cfbb04c329615203637",
        ),
    ),
    "fashion-mnist": _idx_set(
        DatasetInfo(
            "fashion-mnist",
            "pictures of clothes, shoes and bags",
            (1, 28, 28),
            60_000,
            10_000,
            "https://arxiv.org/abs/1708.07747",
        ),
        "FashionMNIST",
        ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",),
        (
            "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "25c81989df183df01b3e8a0aad5dffbe",
            "bef4ecab320f06d8554ea6380940ec79",
            "bb300cfdad3c16e7a12a480ee83cd310",
        ),
    ),
    "kmnist": _idx_set(
        DatasetInfo(
            "kmnist",
            "cursive Japanese characters (Kuzushiji)",
            (1, 28, 28),
            60_000,
            10_000,
            "https://arxiv.org/abs/1812.01718",
        ),
        "KMNIST",
        ("http://codh.rois.ac.jp/kmnist/dataset/kmnist/",),
        (
            "bdb82020997e1d708af4cf47b453dcf7",
            "e144d726b3acfaa3e44228e80efcd344",
            "5c965bf0a639b31b8f53240b1b52f4d7",
            "7320c461ea6c1c855c0b718fb2a4b134",
        ),
    ),
}


def catalogue() -> Mapping[str, DatasetInfo]:
    """Lists the data sets that can be asked for by name.

    Example:
        >>> list(catalogue())
        ['digits', 'sprites', 'mnist', 'fashion-mnist', 'kmnist']
    """
    idx_sets = {name: idx_set.info for name, idx_set in _IDX_SETS.items()}
    return MappingProxyType({"digits": _DIGITS, "sprites": _SPRITES, **idx_sets})


def read_named(
    name: str,
    data_dir: str | os.PathLike[str] | None = None,
    progress: OnBytes | None = None,
) -> Raw:
    """Reads the arrays of a named data set, downloaded first if they are not on disk.

    Args:
        name: a key of ``catalogue()``.
        data_dir: see ``data_folder``.
        progress: called with bytes and total while a file is downloaded.

    Raises:
        DataError: a file is damaged or another than it should be, or cannot be downloaded.
    """
    if name == "digits":
        return _read_digits()
    if name == "sprites":
        return _draw_sprites()
    return _read_idx_set(_IDX_SETS[name], data_folders(data_dir), progress)


def _read_digits() -> Raw:
    from sklearn.datasets import load_digits  # takes a second to import

    digits = load_digits()
    images = digits.images.astype(np.uint8)[:, None]
    # Writer by writer as published; a fixed shuffle gives both parts the same writers.
    train, test = _parted(_DIGITS)
    spec = DataSpec(_DIGITS.shape, "unit", scale=(16.0,))
    labels = digits.target
    return Raw("digits", images[train], labels[train], images[test], labels[test], spec)


def _draw_sprites() -> Raw:
    from autoencode.data.formats.sprites import grid

    images, factors = grid()
    shapes = factors.values[:, 0]
    train, test = _parted(_SPRITES)
    spec = DataSpec(_SPRITES.shape, "unit", scale=(255.0,))
    raw = Raw("sprites", images[train], shapes[train], images[test], shapes[test], spec)
    return replace(raw, factors=factors.take(train), factors_test=factors.take(test))


def _parted(info: DatasetInfo) -> tuple[Array, Array]:
    """Shuffles row numbers into a training and a test part, always the same."""
    order = np.random.default_rng(0).permutation(info.n_train + info.n_test)
    return order[: info.n_train], order[info.n_train :]


def _read_idx_set(idx_set: _IdxSet, folders: tuple[Path, ...], progress: OnBytes | None) -> Raw:
    info = idx_set.info
    paths, notices = _locate(idx_set, folders, progress)
    arrays = []
    unverified = []
    for path, file in zip(paths, idx_set.files, strict=True):
        array = read_idx(path)
        if not _is_published(path, array, file, info.name):
            unverified.append(path.name)
        arrays.append(array)
    for i, count in enumerate((info.n_train, info.n_test)):
        _check_structure(arrays[2 * i], arrays[2 * i + 1], paths[2 * i], paths[2 * i + 1], count, info)
    if unverified:
        notices.append(f"{', '.join(unverified)}: not the published archive; contents not verified")
    x, labels, x_test, labels_test = arrays
    return Raw(
        info.name,
        x[:, None],
        labels.astype(np.int64),
        x_test[:, None],
        labels_test.astype(np.int64),
        DataSpec(info.shape, "unit", scale=(255.0,)),
        tuple(notices),
    )


def _locate(
    idx_set: _IdxSet, folders: tuple[Path, ...], progress: OnBytes | None
) -> tuple[list[Path], list[str]]:
    """Finds the four files, downloaded where need be; returns them and a notice of the download."""
    info = idx_set.info
    home = folders[-1] / info.name
    found = {file.name: _find(file, idx_set, folders) for file in idx_set.files}
    missing = [file for file in idx_set.files if found[file.name] is None]
    names = ", ".join(f"{file.name}.gz" for file in missing)
    for file in missing:
        archive = f"{file.name}.gz"
        found[file.name] = fetch(
            [mirror + archive for mirror in idx_set.mirrors],
            home / archive,
            md5=file.archive_md5,
            progress=progress,
            remedy=f"put {names} into {home}, or point --data-dir to a folder that has them",
        )
    notices = [f"downloaded {names} to {home}"] if missing else []
    return [path for path in found.values() if path is not None], notices


def _find(file: _IdxFile, idx_set: _IdxSet, folders: tuple[Path, ...]) -> Path | None:
    places = (
        place
        for folder in folders
        for place in (folder / idx_set.info.name, folder, folder / idx_set.torchvision_name / "raw")
    )
    candidates = (place / f"{file.name}{ending}" for place in places for ending in (".gz", ""))
    return next((path for path in candidates if path.is_file()), None)


def _is_published(path: Path, array: Array, file: _IdxFile, name: str) -> bool:
    """Tells whether a file is known to be right; one that is known to be wrong is refused.

    What was packed anew has another archive checksum and the same contents, so contents decide
    where their checksum is known.
    """
    content = content_md5(array)
    if file.content_md5 is not None:
        if content != file.content_md5:
            raise DataError(
                f"{path}: wrong checksum (contents {content}, expected {file.content_md5}); {_REPLACE}"
            )
        return True
    archive = hashlib.md5(read_regular(path), usedforsecurity=False).hexdigest()
    # The sets share their file names, and a flat folder may hold any of them.
    if owner := _owner(archive, content):
        if owner != name:
            raise DataError(
                f"{path}: is a file of {owner}, not of {name}; put {name}'s files into a folder "
                f"{name} or point --data-dir elsewhere"
            )
        return True
    return False


def _owner(archive_md5: str, md5: str) -> str | None:
    """Finds the data set that a file belongs to, by either checksum."""
    for name, idx_set in _IDX_SETS.items():
        for file in idx_set.files:
            if archive_md5 == file.archive_md5 or md5 == file.content_md5:
                return name
    return None


def _check_structure(
    images: Array,
    labels: Array,
    images_path: Path,
    labels_path: Path,
    count: int,
    info: DatasetInfo,
) -> None:
    size = info.shape[1:]
    if images.dtype != np.uint8 or images.shape != (count, *size):
        raise DataError(
            f"{images_path}: expected {count} images of {size[0]}x{size[1]} bytes, got "
            f"{' x '.join(map(str, images.shape))} {images.dtype}; {_REPLACE}"
        )
    if labels.dtype != np.uint8 or labels.shape != (count,):
        raise DataError(
            f"{labels_path}: expected {count} labels, one for each image, got "
            f"{' x '.join(map(str, labels.shape))}; {_REPLACE}"
        )
    if labels.max() > 9:
        raise DataError(f"{labels_path}: expected labels 0..9, got {labels.max()}; {_REPLACE}")


def _is_name(source: Any) -> bool:
    """Whether a source is the name of a data set, also where a folder bears it."""
    return isinstance(source, str) and source.lower() in catalogue()


def _open(source: Any, how: Opening) -> Raw:
    raw = read_named(source.lower(), how.data_dir, how.progress)
    if not Path(source).exists():
        return raw
    other = f"{source} is the data set of that name, not what lies here; write ./{source} for that"
    return replace(raw, notices=(*raw.notices, other))


NAMED = Format("named data sets", _is_name, _open)
