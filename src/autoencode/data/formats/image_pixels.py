"""The pixels of one image file: how deep they are, and how they become an array.

Depth is the dtype in which an image holds its values. 8 bits are uint8 (palettes and images of one bit
too), 16 bits uint16 or int16, whole numbers of 32 bits int32 or uint32, fractions float32. Nothing of
it is lost in reading.
"""

from __future__ import annotations

import contextlib
import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from autoencode.dtypes import in_dtype
from autoencode.errors import DataError, OptionError, StorageError, own_warnings
from autoencode.files.free_memory import require_memory
from autoencode.types import Array

_FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP")
_GREY = ("1", "L", "LA", "La", "I", "F")
_CONVERTED = ("CMYK", "YCbCr", "LAB", "HSV")
_GREY_ENOUGH = 8  # levels
_NAMED = 3  # files in a notice
_PIXEL = 16  # bytes of a pixel at most while it is brought to another form
_TURNED, _SIDEWAYS = 0x0112, 4  # the note of how a camera was held; beyond this its sides are swapped
_BITS, _SAMPLES, _PLAIN = 258, 339, 1  # tags of TIFF, and the number for values without a sign
_WHOLE = {(16, 1): np.uint16, (16, 2): np.int16, (32, 1): np.uint32, (32, 2): np.int32}
_DEEP_COLOURS = ("RGB;16", "RGBA;16", "RGBX;16")
_SWAPPED = {"B": "L", "L": "B", "N": "B"}  # which of two bytes a raw mode of 16 bits takes


@dataclass(frozen=True)
class Entry:
    """An image that is not opened yet: its name for messages, its bytes, label and name for results."""

    name: str
    open: Callable[[], Any]
    label: str | None = None
    id: str | None = None


class BadImageError(DataError):
    """An image file that cannot be used."""


@dataclass(frozen=True)
class Header:
    """What an image file says of itself before its pixels are read.

    Attributes:
        height, width: once it stands upright.
        depth: dtype of its values.
        grey: whether it has no colours.
        alpha: whether some of it is transparent.
        profile: whether it has a profile of its colours.
        pages: how many frames or pages there are.
        converted: the name of its colours where they are no red, green and blue; else empty.
        raw: what Pillow calls its bytes.
    """

    height: int
    width: int
    depth: np.dtype[Any]
    grey: bool
    alpha: bool = False
    profile: bool = False
    pages: int = 1
    converted: str = ""
    raw: str = ""

    @property
    def deep(self) -> bool:
        """Whether it has colours of 16 bits, all channels beside each other."""
        return self.raw.startswith(_DEEP_COLOURS) and self.raw[-1] in _SWAPPED

    @property
    def flattened(self) -> bool:
        """Whether it has 16 bits of which only 8 can be read."""
        return ";16" in self.raw and not self.deep and self.depth == np.uint8


@contextlib.contextmanager
def opened(entry: Entry) -> Iterator[Any]:
    """Opens an image, and turns whatever is wrong with it into an error of one line.

    Raises:
        BadImageError: it is damaged or too large to be unpacked.
    """
    try:
        with own_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            warnings.filterwarnings("error", "(?i).*truncated")
            with entry.open() as stream, Image.open(stream, formats=_FORMATS) as image:
                require_memory(image.width * image.height * _PIXEL, entry.name, "remove it")
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
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        found = re.search(r"\d+ pixels", str(error))
        raise BadImageError(
            f"{entry.name}: {found[0] if found else 'its pixels'} are more than an image may have, if "
            "it is intact; repair or remove it"
        ) from error
    except Exception as error:  # a decoder's complaint can be of any kind
        said = " ".join((getattr(error, "strerror", None) or str(error)).split())[:120]
        raise BadImageError(
            f"{entry.name}: not an intact image ({said}); repair or remove it"
        ) from error


def header(image: Any) -> Header:
    """Reads what an opened image says of itself."""
    mode, raw = str(image.mode), _raw_mode(image)  # before the notes of a PNG, which lie behind it
    # Pillow turns a TIFF itself, and says its size as it will be.
    turned = image.format != "TIFF" and image.getexif().get(_TURNED, 1) > _SIDEWAYS
    return Header(
        height=image.width if turned else image.height,
        width=image.height if turned else image.width,
        depth=_depth(image, raw),
        grey=is_grey(mode),
        alpha=mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info,
        profile=bool(image.info.get("icc_profile")),
        pages=int(getattr(image, "n_frames", 1)),
        converted=mode if mode in _CONVERTED else "",
        raw=raw,
    )


def is_grey(mode: str) -> bool:
    """Tells whether images of a mode of Pillow have no colours."""
    return mode in _GREY or mode.startswith("I;16")


def pixels(entry: Entry, image: Any, found: Header) -> Array:
    """Reads an opened image, upright, as (H, W) of grey or (H, W, 3) of colours in its own depth."""
    if found.deep:
        return _deep_colours(entry, image, found)[:, :, :3]
    upright = ImageOps.exif_transpose(image)
    if found.depth == np.uint8:
        upright = upright.convert("L" if found.grey else "RGB")
    return np.asarray(upright).astype(found.depth, copy=False)


def alpha(entry: Entry, image: Any, found: Header) -> Array | None:
    """Reads how opaque an opened image is, upright, (H, W) in its own depth; ``None`` for all of it."""
    if not found.alpha:
        return None
    if found.deep:
        return _deep_colours(entry, image, found)[:, :, 3]
    return np.asarray(ImageOps.exif_transpose(image).convert("RGBA"))[:, :, 3]


def is_coloured(values: Array) -> bool:
    """Tells whether channels (H, W, 3) differ by more than those of a JPEG of a grey image do."""
    if values.ndim == 2:
        return False
    steps = 1 if values.dtype == np.uint8 else 257
    wide = values.astype(np.int64)
    return bool((wide.max(2) - wide.min(2)).max() > _GREY_ENOUGH * steps)


def with_channels(values: Array, channels: int) -> Array:
    """Gives an image (H, W), (H, W, 1) or (H, W, 3) the channels that are wanted: (H, W, 1 or 3)."""
    if values.shape[2:] == (1,):
        values = values[:, :, 0]
    if values.ndim == 2:
        return np.repeat(values[:, :, None], channels, 2)
    if channels == 3:
        return values
    if values.dtype == np.uint8:
        return np.asarray(Image.fromarray(values).convert("L"))[:, :, None]
    weighted = values @ np.array([0.299, 0.587, 0.114])  # as Pillow does it for 8 bits
    return in_dtype(weighted, values.dtype)[:, :, None]


def fitted(values: Array, size: tuple[int, int], stretch: bool) -> Array:
    """Scales an image (H, W, C) until it fills a size (H, W), and crops it; or stretches all of it."""
    if values.shape[:2] == size:
        return values
    channels = [values] if values.dtype == np.uint8 else list(np.moveaxis(values, -1, 0))
    made = [np.asarray(_scaled(_as_image(channel), size, stretch)) for channel in channels]
    if values.dtype == np.uint8:
        return made[0].reshape(*size, -1)
    return in_dtype(np.stack(made, -1), values.dtype)


def _as_image(values: Array) -> Any:
    if values.dtype == np.uint8:
        return Image.fromarray(values[:, :, 0] if values.shape[2] == 1 else values)
    return Image.fromarray(np.ascontiguousarray(values, np.float32))


def _scaled(image: Any, size: tuple[int, int], stretch: bool) -> Any:
    height, width = size
    bring = _stretch if stretch else ImageOps.fit
    return bring(image, (width, height), Image.Resampling.BILINEAR)


def _stretch(image: Any, size: tuple[int, int], method: Any) -> Any:
    return image.resize(size, method)


def _depth(image: Any, raw: str) -> np.dtype[Any]:
    mode = str(image.mode)
    if mode.startswith("I;16") or (raw.startswith(_DEEP_COLOURS) and raw[-1] in _SWAPPED):
        return np.dtype(np.uint16)
    if mode == "F":
        return np.dtype(np.float32)
    if mode != "I":
        return np.dtype(np.uint8)
    tags = getattr(image, "tag_v2", {})
    told = (tags.get(_BITS, (32,))[0], tags.get(_SAMPLES, (_PLAIN if tags else 2,))[0])
    return np.dtype(_WHOLE.get(told, np.int32))


def _raw_mode(image: Any) -> str:
    """What Pillow calls the bytes of an image that is not read yet, empty where it does not say."""
    tiles = getattr(image, "tile", None) or [()]
    told = tiles[0][3] if len(tiles[0]) > 3 else ""
    first = told[0] if isinstance(told, tuple) and told else told
    return first if isinstance(first, str) else ""


def _deep_colours(entry: Entry, image: Any, found: Header) -> Array:
    """Reads colours of 16 bits, of which Pillow keeps one byte: the upper one, then the lower one."""
    upper = np.asarray(ImageOps.exif_transpose(image))
    with opened(entry) as again:
        other = found.raw[:-1] + _SWAPPED[found.raw[-1]]
        again.tile = [tile._replace(args=_renamed(tile.args, other)) for tile in again.tile]
        lower = np.asarray(ImageOps.exif_transpose(again))
    whole: Array = upper.astype(np.uint16) << 8 | lower
    return whole


def _renamed(told: Any, raw: str) -> Any:
    return (raw, *told[1:]) if isinstance(told, tuple) else raw


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
