"""Writing of images into a folder: each in its own depth, format and name."""

from __future__ import annotations

import io
import re
import struct
import zlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePath

import numpy as np

from autoencode.types import Array

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_MOST_NAME = 200  # bytes of a part of a file's name
_TIFF = (".tif", ".tiff")
# What of each format keeps which depths; all else becomes PNG, and TIFF what PNG has no place for.
_KEEPS = {
    ".png": ("uint8", "uint16"),
    ".bmp": ("uint8",),
    ".webp": ("uint8",),
    **dict.fromkeys(_TIFF, ("uint8", "uint16", "int16", "uint32", "int32", "float32")),
}
_OPAQUE = (".bmp",)  # formats without transparency
_KINDS = {"u": 1, "i": 2, "f": 3}  # how TIFF calls numbers without a sign, with one, and fractions
_SHORT, _LONG = 3, 4  # and how whole numbers of two and of four bytes
_PNG_COLOURS = {1: 0, 2: 4, 3: 2, 4: 6}  # its number for so many channels


def ending_for(name: str, dtype: np.dtype[np.generic], alpha: bool = False) -> str:
    """Chooses the ending of a file that loses nothing: the name's own where its format keeps all.

    >>> [ending_for(name, np.dtype(np.uint16)) for name in ("a.TIF", "a.jpg", "a.webp")]
    ['.TIF', '.png', '.png']
    """
    own = PurePath(name).suffix
    if dtype.name in _KEEPS.get(own.lower(), ()) and not (alpha and own.lower() in _OPAQUE):
        return own
    return ".png" if dtype.name in _KEEPS[".png"] else ".tif"


def file_names(ids: Sequence[str], endings: Sequence[str]) -> list[str]:
    """Names a file for each image, inside a folder and no two alike: its own name where it can have it.

    Where the ending is another one, it takes the place of the old one, or follows it where another file
    has that name.

    >>> file_names(["a.png", "a.jpg", "b.jpg"], [".png", ".png", ".png"])
    ['a.png', 'a.jpg.png', 'b.png']
    """
    own = [inside(name) for name in ids]
    wanted = [str(name.with_suffix(ending)) for name, ending in zip(own, endings, strict=True)]
    kept = {str(name) for name, new in zip(own, wanted, strict=True) if str(name) == new}
    times = Counter(wanted)
    names = [
        new if str(name) == new or (times[new] == 1 and new not in kept) else f"{name}{ending}"
        for name, new, ending in zip(own, wanted, endings, strict=True)
    ]
    several = Counter(names)  # what was cut or replaced may have made two the same
    return [_numbered(name, i) if several[name] > 1 else name for i, name in enumerate(names)]


def _numbered(name: str, i: int) -> str:
    path = PurePath(name)
    return f"{path.with_suffix('')}-{i}{path.suffix}"


def inside(name: str) -> PurePath:
    """A path inside a folder, made of the name of an image, whatever that has in it."""
    path = PurePath(name)
    parts = [_CONTROL.sub("_", part) for part in path.parts if part not in ("..", path.anchor)]
    cut = [part.encode(errors="replace")[:_MOST_NAME].decode(errors="ignore") for part in parts]
    return PurePath(*(cut or ["_"]))


def write_picture(path: Path, values: Array, alpha: Array | None = None) -> None:
    """Writes an image by the ending of its file, without loss.

    Args:
        path: what to write; folders above it are made.
        values: (H, W, C) of 1 or 3 channels, of a dtype that the format has.
        alpha: (H, W) of the same dtype, where some of it is transparent.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(values, path.suffix.lower(), alpha))


def encoded(values: Array, ending: str, alpha: Array | None = None) -> bytes:
    """Encodes an image (H, W, C) in the format of an ending, without loss."""
    if alpha is not None:
        values = np.concatenate([values, alpha[:, :, None]], 2)
    if values.dtype == np.uint8:
        return _by_pillow(values, ending)
    return _png(values) if ending == ".png" else _tiff(values)


def _by_pillow(values: Array, ending: str) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    image = Image.fromarray(values[:, :, 0] if values.shape[2] == 1 else values)
    lossless = {"lossless": True} if ending == ".webp" else {}
    image.save(buffer, {".tif": "tiff"}.get(ending, ending[1:]), **lossless)
    return buffer.getvalue()


def _png(values: Array) -> bytes:
    """A PNG of 16 bits, of whatever channels; Pillow has only grey ones."""
    height, width, channels = values.shape
    rows = values.astype(">u2").view(np.uint8).reshape(height, -1)
    below = np.diff(rows, axis=0, prepend=np.zeros((1, rows.shape[1]), np.uint8))  # filter 2, "up"
    lines = np.concatenate([np.full((height, 1), 2, np.uint8), below], 1)
    facts = struct.pack(">IIBBBBB", width, height, 16, _PNG_COLOURS[channels], 0, 0, 0)
    parts = ((b"IHDR", facts), (b"IDAT", zlib.compress(lines.tobytes())), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in parts
    )


def _tiff(values: Array) -> bytes:
    """A TIFF of any depth in one strip; Pillow has no colours of 16 bits."""
    height, width, channels = values.shape
    content = zlib.compress(np.ascontiguousarray(values, values.dtype.newbyteorder("<")).tobytes())
    bits, kind = [8 * values.dtype.itemsize] * channels, [_KINDS[values.dtype.kind]] * channels
    tags: dict[int, tuple[int, list[int]]] = {
        256: (_LONG, [width]),
        257: (_LONG, [height]),
        258: (_SHORT, bits),
        259: (_SHORT, [8]),  # deflate
        262: (_SHORT, [1 if channels < 3 else 2]),  # black is 0, or red, green, blue
        273: (_LONG, [0]),  # where the strip is, below
        277: (_SHORT, [channels]),
        278: (_LONG, [height]),
        279: (_LONG, [len(content)]),
        284: (_SHORT, [1]),  # channels beside each other
    }
    if channels in (2, 4):
        tags[338] = (_SHORT, [2])  # the last one is transparency
    tags[339] = (_SHORT, kind)
    start = 8 + 2 + 12 * len(tags) + 4  # of what does not fit into its tag
    spare = b""
    at = start + sum(2 * len(numbers) for _, numbers in tags.values() if len(numbers) > 2)
    tags[273] = (_LONG, [at])
    entries = b""
    for tag, (size, numbers) in tags.items():
        packed = struct.pack(f"<{len(numbers)}{'H' if size == _SHORT else 'I'}", *numbers)
        if len(packed) > 4:
            packed, spare = struct.pack("<I", start + len(spare)), spare + packed
        entries += struct.pack("<HHI", tag, size, len(numbers)) + packed.ljust(4, b"\0")
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + spare + content
