"""The image files of a folder, and the options of how to read them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

from autoencode.errors import DataError, OptionError

IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".gif", ".bmp")
SHARD = ".tar"
Fit = Literal["crop", "resize", "patches"]
DEPTHS = ("uint8", "uint16", "int16", "uint32", "int32", "int64", "float32")
MOST_PIXELS = 1 << 22  # of one image; a network for larger ones has no place in memory


@dataclass(frozen=True)
class ImageOptions:
    """Options of how images are brought to one form.

    Attributes:
        size: (height, width) of all of them; by default their own where they have one, that which half
            of them have, else 64 x 64.
        fit: what is done to an image of another size: crop (scaled until it fills the size, what is
            beyond is cut off on both sides), resize (stretched or squeezed to the size, all of it) or
            patches (pieces of the size are cut from it at its own resolution, all of it); crop by
            default, and patches for a recipe that takes any size unless there is a ``size``.
        depth: name of the dtype that their values are brought to (uint8, uint16, float32, ...); by
            default that which holds all of them.
        on_bad_file: refuse (an image that is damaged ends the reading) or skip (it is left out, and a
            notice says so).
    """

    size: tuple[int, int] | None = None
    fit: Fit | None = None
    on_bad_file: Literal["refuse", "skip"] = "refuse"
    depth: str = ""

    def __post_init__(self) -> None:
        if self.fit is not None and self.fit not in get_args(Fit):
            raise OptionError(f"unknown fit {self.fit!r}; use {', '.join(get_args(Fit))}")
        if self.depth and self.depth not in DEPTHS:
            raise OptionError(f"unknown depth {self.depth!r}; use {', '.join(DEPTHS)}")
        if self.on_bad_file not in ("refuse", "skip"):
            raise OptionError(f"unknown on_bad_file {self.on_bad_file!r}; use refuse or skip")
        if self.size is not None and not 0 < min(self.size) * max(self.size) <= MOST_PIXELS:
            raise OptionError(
                f"the image size {self.size[0]}x{self.size[1]} is not of 1 to {MOST_PIXELS} pixels"
            )

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any] | None) -> ImageOptions:
        """Makes options from what ``as_dict`` gave."""
        facts = facts or {}
        size = facts.get("size")
        return cls(**{**facts, "size": None if size is None else (int(size[0]), int(size[1]))})

    def as_dict(self) -> dict[str, Any]:
        """Returns the options as JSON has them."""
        return {**asdict(self), "size": None if self.size is None else list(self.size)}

    def __bool__(self) -> bool:
        return self != AS_THEY_ARE

    def for_any_size(self) -> ImageOptions:
        """Options for a model that takes any size: patches, unless something else was asked for."""
        asked = self.size is not None or self.fit is not None
        return self if asked else replace(self, fit="patches")


AS_THEY_ARE = ImageOptions()


def image_files(folder: Path) -> list[Path]:
    """Lists the images in a folder, its subfolders and linked folders, in order of their names.

    What is hidden is left out, and a folder that was seen is not entered again.

    Raises:
        DataError: a folder cannot be read.
    """
    found: list[Path] = []
    seen: set[str] = set()
    for at, folders, names in os.walk(folder, onerror=_refuse, followlinks=True):
        here = os.path.realpath(at)
        # A link to a folder above would lead round for ever.
        folders[:] = [] if here in seen else sorted(n for n in folders if not n.startswith("."))
        if here not in seen:
            paths = (Path(at) / name for name in names if not name.startswith("."))
            found += (path for path in paths if path.suffix.lower() in IMAGE_ENDINGS)
        seen.add(here)
    return sorted(found)


def _refuse(error: OSError) -> None:
    raise DataError(f"{error.filename}: cannot be read ({error.strerror}); check its permissions")


def shard_files(path: Path) -> list[Path]:
    """Lists the shards that a path means: itself, or those in the folder."""
    if path.is_dir():
        return sorted(found for found in path.iterdir() if found.suffix.lower() == SHARD)
    return [path] if path.suffix.lower() == SHARD else []
