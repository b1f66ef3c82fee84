"""Patches: pieces of one size that are cut from images of any size, at their own resolution."""

from __future__ import annotations

import re
import statistics
from collections.abc import Sequence

import numpy as np

from autoencode.types import Array

_PATCH = re.compile(r"@\d+,\d+$")
SIDE = 64  # pixels of a patch, where nothing else is asked for
# Pixels; images of one size up to this one are not cut. At 128 x 128 a step of conv_skip takes 0.4 s on
# one core and the process 0.5 GB, at 256 x 256 2.4 s and 1 GB.
WHOLE = 128 * 128
MOST = 1 << 15  # patches of one data set; of more, as many are taken, evenly spread


def patch_size(sizes: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Chooses (height, width) of patches: 64 x 64, less where most images are smaller.

    >>> patch_size([(100, 60), (300, 40), (90, 50)])
    (64, 50)
    """
    height, width = (int(statistics.median(sides)) for sides in zip(*sizes, strict=True))
    return min(SIDE, height), min(SIDE, width)


def starts(side: int, wanted: int) -> list[int]:
    """Lists where pieces of a length begin along a side, the last of them flush with its end.

    >>> starts(100, 64), starts(30, 64), starts(128, 64)
    ([0, 36], [0], [0, 64])
    """
    if side <= wanted:
        return [0]
    return [*range(0, side - wanted, wanted), side - wanted]


def is_taken(i: int, wanted: int, total: int) -> bool:
    """Tells whether piece i is one of so many that are wanted of all of them, evenly spread."""
    return (i + 1) * wanted // total > i * wanted // total


def patch(image: Array, place: tuple[int, int], size: tuple[int, int]) -> Array:
    """Cuts (h, w, ...) out of an image (H, W, ...), mirrored at its edges where it is smaller."""
    (top, left), (height, width) = place, size
    found = image[top : top + height, left : left + width]
    missing = [(0, height - found.shape[0]), (0, width - found.shape[1])]
    rest = [(0, 0)] * (image.ndim - 2)
    return np.pad(found, [*missing, *rest], mode="symmetric")


def patches_of(images: Sequence[Array]) -> Array:
    """Cuts images (H, W) or (H, W, C) of different sizes into patches (N, h, w) or (N, h, w, C).

    Example:
        >>> patches_of([np.zeros((100, 60)), np.zeros((64, 90))]).shape
        (4, 64, 64)
    """
    size = patch_size([image.shape[:2] for image in images])
    found = [
        (image, (top, left))
        for image in images
        for top in starts(image.shape[0], size[0])
        for left in starts(image.shape[1], size[1])
    ]
    wanted = min(len(found), MOST)
    taken = [one for i, one in enumerate(found) if is_taken(i, wanted, len(found))]
    return np.stack([patch(image, place, size) for image, place in taken])


def patch_name(name: str, place: tuple[int, int]) -> str:
    """Names the patch of an image at (top, left).

    >>> patch_name("a.png", (0, 64)), is_patch("a.png@0,64"), is_patch("a.png")
    ('a.png@0,64', True, False)
    """
    return f"{name}@{place[0]},{place[1]}"


def is_patch(name: str) -> bool:
    """Tells whether a name is that of a patch; those of images end with their format."""
    return _PATCH.search(name) is not None


def images_of(names: Sequence[str]) -> Array:
    """Numbers the images (N,) that patches of these names are from, as they come.

    >>> images_of(["a.png@0,0", "a.png@0,64", "b.png"])
    array([0, 0, 1])
    """
    images = [_PATCH.sub("", name) for name in names]
    numbers = {image: i for i, image in enumerate(dict.fromkeys(images))}
    return np.array([numbers[image] for image in images])
