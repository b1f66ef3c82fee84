"""The one form that all images of a folder are brought to, and what is said of that.

Depth: all images keep their values where they have one depth. Among images of 16 bits those of 8 are
multiplied by 257, so that white stays white; beside deeper ones, and beside fractions, whole numbers
are taken as they are, for what white is among those nobody knows. A model of 8 bits that is there gets
those of 16 divided by 257.

Size: all images keep it where they have one. Where at least half of them have one, the others are
brought to that one; else each is scaled until its shorter side has 64 pixels, and cropped to the 64 x
64 in its middle, unless ``ImageOptions`` say otherwise.

Patches (``fit="patches"``), for models that take any size: images of one size of up to 128 x 128 pixels
stay whole; of others, squares of 64 x 64 are cut at the images' own resolution, side by side, the last
of a row flush with the edge. An image smaller than a patch is mirrored at its edges until it fills one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from autoencode.data.formats.folders import MOST_PIXELS, ImageOptions
from autoencode.data.formats.image_pixels import (
    BadImageError,
    Entry,
    Header,
    fitted,
    is_coloured,
    with_channels,
)
from autoencode.data.values.patches import MOST, WHOLE, is_taken, patch, patch_size, starts
from autoencode.dtypes import in_dtype
from autoencode.errors import DataError
from autoencode.types import Array

_SIZE = 64
_DEPTHS = {"uint8": "8 bits", "uint16": "16 bits", "float32": "fractions of 32 bits"}
_LOST = {
    "pages": "several frames or pages, of which the first was taken",
    "alpha": "transparency, which was dropped",
    "profile": "a colour profile, which was not applied",
    "converted": "colours in {colours}, which became RGB",
    "flattened": "16 bits in a form of which only 8 can be read",
}
_SHADES = 257.0  # of 16 bits for each of 8
_PAIR = {np.dtype(np.uint8), np.dtype(np.uint16)}


@dataclass
class Survey:
    """What images of a folder say of themselves, counted.

    Attributes:
        n: how many there are.
        grey: whether all are.
        sizes: (height, width) of them, and how many have it.
        depths: their dtypes, and how many have each.
        first: the name of the first image of each dtype, and of each kind of loss.
        lost: how many lose what, by name.
        patches: how many patches there are in those before.
    """

    n: int = 0
    grey: bool = True
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    depths: Counter[np.dtype[Any]] = field(default_factory=Counter)
    first: dict[Any, str] = field(default_factory=dict)
    lost: Counter[str] = field(default_factory=Counter)
    patches: int = 0

    def add(self, entry: Entry, found: Header, form: Form | None = None) -> None:
        """Counts one more image, and the patches that a form has of it."""
        self.n += 1
        self.grey = self.grey and found.grey
        size = (found.height, found.width)
        self.sizes[size] += 1
        self.depths[found.depth] += 1
        self.first.setdefault(found.depth, entry.name)
        if form is not None and form.cut:
            self.patches += form.patches_in(size)
        for name, is_lost in {
            "pages": found.pages > 1,
            "alpha": found.alpha,
            "profile": found.profile,
            "converted": bool(found.converted),
            "flattened": found.flattened,
        }.items():
            if is_lost:
                self.lost[name] += 1
                self.first.setdefault(name, entry.name)
        if found.converted:
            self.first.setdefault("colours", found.converted)

    def sides(self, axis: int) -> list[int]:
        """Lists the heights (axis 0) or widths (1) of all images."""
        return [size[axis] for size, count in self.sizes.items() for _ in range(count)]

    @property
    def pixels(self) -> int:
        return sum(height * width * count for (height, width), count in self.sizes.items())


@dataclass(frozen=True)
class Form:
    """What all images of a folder are brought to.

    Attributes:
        shape: (C, H, W).
        depth: dtype of their values.
        rows: how many there are: images, or patches of them.
        given: whether the shape is that of a model, so that colours must not be lost.
        cut: whether they are patches at the images' own resolution.
        total: how many patches there are; of more than ``rows`` some are left out.
        white: whether it is the same in images of 8 bits as in those of 16, and not just a number.
    """

    shape: tuple[int, ...]
    depth: np.dtype[Any]
    rows: int
    given: bool = False
    cut: bool = False
    total: int = 0
    white: bool = False

    def patches_in(self, size: tuple[int, int]) -> int:
        """Counts the patches of an image of a size."""
        (_, height, width), (down, across) = self.shape, size
        return max(1, -(-down // height)) * max(1, -(-across // width))

    def factor(self, depth: np.dtype[Any]) -> float:
        """What values of a depth are multiplied by on the way to that of the form."""
        return factor_between(depth.name, self.depth.name) if self.white else 1.0


def form_for(
    survey: Survey,
    name: Path,
    options: ImageOptions,
    shape: tuple[int, ...] | None = None,
) -> Form:
    """Chooses the form of a folder's images by the rules at the top.

    Args:
        survey: what the images say of themselves.
        name: of the folder, for an error.
        options: what the user says.
        shape: (C, H, W) of a model that is there.

    Raises:
        DataError: the images are too large for a network.
    """
    size, cut = _size_for(survey, options) if shape is None else (shape[1:], options.fit == "patches")
    if size[0] * size[1] > MOST_PIXELS:
        raise DataError(
            f"{name}: images of {size[0]} x {size[1]} pixels are more than a network can take; give a "
            "smaller size (--image-size 256)"
        )
    channels = (1 if survey.grey else 3) if shape is None else shape[0]
    chosen = np.dtype(options.depth) if options.depth else common_depth(list(survey.depths))
    form = Form(
        (channels, *size),
        chosen,
        survey.n,
        given=shape is not None,
        cut=cut,
        white=shape is not None or {*survey.depths, chosen} <= _PAIR,
    )
    if not cut:
        return form
    total = sum(form.patches_in(found) * count for found, count in survey.sizes.items())
    rows = min(total, MOST)
    return Form(form.shape, chosen, rows, form.given, True, total, form.white)


def _size_for(survey: Survey, options: ImageOptions) -> tuple[tuple[int, int], bool]:
    """Chooses (height, width), and whether they are those of patches."""
    commonest, count = survey.sizes.most_common(1)[0]
    one = len(survey.sizes) == 1
    if options.fit == "patches":
        if options.size is None and one and commonest[0] * commonest[1] <= WHOLE:
            return commonest, False
        return options.size or patch_size(list(survey.sizes.elements())), True
    usual = commonest if one or 2 * count >= survey.n > 2 else (_SIZE, _SIZE)
    return options.size or usual, False


def common_depth(depths: list[np.dtype[Any]]) -> np.dtype[Any]:
    """Chooses the dtype that holds the values of images of all these dtypes.

    >>> common_depth([np.dtype("uint8"), np.dtype("uint16")])
    dtype('uint16')
    """
    if any(depth.kind == "f" for depth in depths):
        return np.dtype(np.float32)
    return np.result_type(*depths)


def factor_between(own: str, wanted: str) -> float:
    """What values of one depth are multiplied by to be of another, so that white stays white.

    >>> factor_between("uint8", "uint16"), factor_between("int32", "float32")
    (257.0, 1.0)
    """
    return {("uint8", "uint16"): _SHADES, ("uint16", "uint8"): 1 / _SHADES}.get((own, wanted), 1.0)


def to_depth(values: Array, form: Form) -> Array:
    """Brings the values of an image to the depth of a form."""
    if values.dtype == form.depth:
        return values
    factor = form.factor(values.dtype)
    return in_dtype(values if factor == 1 else values * factor, form.depth)


def refuse_lost_colours(entry: Entry, values: Array) -> None:
    """Refuses an image (H, W, 3) whose colours a model of grey ones would lose.

    Raises:
        BadImageError: with its name.
    """
    if is_coloured(values):
        raise BadImageError(
            f"{entry.name}: a colour image, the model was trained on grey ones; convert it first"
        )


def places(form: Form, size: tuple[int, ...], before: int) -> Iterator[tuple[int, int] | None]:
    """Yields (top, left) of the patches of an image; ``None`` once where it is brought to the form.

    Args:
        form: what images are brought to.
        size: (height, width) of the image.
        before: how many patches there are in the images before it.
    """
    if not form.cut:
        yield None
        return
    down, across = (starts(side, wanted) for side, wanted in zip(size, form.shape[1:], strict=True))
    for i, place in enumerate(product(down, across), before):
        if is_taken(i, form.rows, form.total):
            yield place


def brought(values: Array, form: Form, stretch: bool, place: tuple[int, int] | None) -> Array:
    """Brings an image (H, W) or (H, W, 3) to a form, or cuts the patch at a place: (H, W, C)."""
    channels, height, width = form.shape
    if place is None:
        return fitted(to_depth(with_channels(values, channels), form), (height, width), stretch)
    return to_depth(with_channels(patch(values, place, (height, width)), channels), form)


def notices_of(survey: Survey, form: Form, options: ImageOptions, rows: int) -> list[str]:
    """Says of what size and depth the images are, what they were brought to, and what they lost.

    Args:
        survey: of the images that are intact.
        form: what they were brought to.
        options: how.
        rows: how many images or patches there are.
    """
    return [_chosen(survey, form, options, rows), *_depth(survey, form), *losses_of(survey)]


def losses_of(survey: Survey, kept: tuple[str, ...] = ()) -> list[str]:
    """Says what images have that is not read, a line for each kind with their number.

    Args:
        survey: of the images.
        kept: kinds that are read for once.
    """
    found = []
    for name, said in _LOST.items():
        if (count := survey.lost[name]) and name not in kept:
            noun = "image has" if count == 1 else "images have"
            colours = survey.first.get("colours", "")
            found.append(f"{count} {noun} {said.format(colours=colours)} (first: {survey.first[name]})")
    return found


def _chosen(survey: Survey, form: Form, options: ImageOptions, rows: int) -> str:
    """Says of what size and depth the images are, and what becomes of their size."""
    channels, height, width = form.shape
    colours = "grey" if channels == 1 else "of three colours"
    kind = f"{colours}, {_DEPTHS.get(form.depth.name, form.depth.name)} a pixel"
    images = "1 image" if survey.n == 1 else f"{survey.n} images"
    if form.cut:
        left = f" of {form.total}" if rows < form.total else ""
        return (
            f"{images} {said_sizes(survey)}, {kind}: {rows}{left} patches of {height}x{width} are cut "
            "from them, at their own resolution"
        )
    others = survey.n - survey.sizes[(height, width)]
    if not others:
        return f"{images} {said_sizes(survey)}, {kind}"
    which = "" if others == survey.n else f"{others} of them "
    how = "stretched" if options.fit == "resize" else "scaled and cropped"
    brought = f"{images} {said_sizes(survey)}, {kind}: {which}{how} to {height}x{width}"
    return f"{brought}{_lost_pixels(survey, form)}"


def _lost_pixels(survey: Survey, form: Form) -> str:
    """Says what share of the pixels is lost by a smaller size, and which size keeps them."""
    _, height, width = form.shape
    kept = sum(min(h * w, height * width) * n for (h, w), n in survey.sizes.items())
    share = 1 - kept / survey.pixels
    if share < 0.005:
        return ""
    said = f", {100 * share:.0f} % of the pixels are lost"
    if form.given:
        return f"{said}, since the model was trained so"
    tall, wide = max(survey.sides(0)), max(survey.sides(1))
    remedy = (
        f"--image-size {tall}x{wide} keeps them"
        if len(survey.sizes) == 1
        else (f"--image-size {tall}x{wide} keeps most, --fit patches their resolution")
    )
    return f"{said}; {remedy}"


def said_sizes(survey: Survey) -> str:
    """Names the size of the images, or the range of sizes."""
    if len(survey.sizes) == 1:
        height, width = next(iter(survey.sizes))
        return f"of {height}x{width}"
    tall, wide = survey.sides(0), survey.sides(1)
    return f"of {len(survey.sizes)} sizes, {min(tall)}x{min(wide)} to {max(tall)}x{max(wide)}"


def _depth(survey: Survey, form: Form) -> list[str]:
    """Says what becomes of images whose depth is another one than that of all."""
    others = [depth for depth in survey.depths if depth != form.depth]
    found = []
    for depth in others:
        count, first = survey.depths[depth], survey.first[depth]
        bits = _DEPTHS.get(depth.name, depth.name)
        noun = "image has" if count == 1 else "images have"
        if form.factor(depth) < 1:
            done = "were brought to 8, divided by 257"
        elif form.factor(depth) > 1:
            done = "were multiplied by 257 to 16 bits, so that white stays white"
        else:
            done = f"are taken as such numbers among {_DEPTHS.get(form.depth.name, form.depth.name)}"
        found.append(f"{count} {noun} {bits} a pixel and {done} (first: {first})")
    return found
