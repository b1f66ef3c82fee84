"""What the axes of examples are: rows, images, sequences or volumes, as told or as guessed.

How an array is read, by its number of axes:

    array       guessed               row            image    sequence    volume
    (N, D)      row                   itself         square   (D, 1)      -
    3 axes      grey images           flat           (1, ..)  itself      -
    4 axes      images                flat           itself   1 channel   (1, ..)
    5 axes      volumes               flat           -        -           itself
    more        volumes of more axes  flat           -        -           -

Channels may stand last where there are 1, 3 or 4 of them (of guessed volumes they stay where they are);
``channels="first"`` or ``"last"`` says where they stand, however many there are. Where both the first
and the last axis could be channels the first is taken, and a notice says so.
Rows are images where D is k*k, grey, or 3*k*k, three colours one after the other, k from 4 on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np

from autoencode.errors import DataError, OptionError, nearest
from autoencode.types import Array, Channels, DataSpec, Layout, layout_of

CHANNELS = (1, 3, 4)  # grey, RGB, RGBA: what tells a channel axis from a height or a width
MOVED = "the last axis was taken as channels and moved to the front"
LAYOUTS: tuple[Layout, ...] = get_args(Layout)
_DEEPER = ("uint16", "int16", "uint32", "int32", "float32")  # than images of 8 bits
_SMALLEST_SIDE = 4  # of rows that are images
_TAKES = {
    "row": "(N, ...)",
    "image": "(N, height, width), (N, channels, height, width), (N, height, width, channels), or rows "
    "of k*k or 3*k*k values",
    "sequence": "(N, steps) or (N, steps, features)",
    "volume": "(N, depth, height, width), (N, channels, depth, height, width) or (N, depth, height, "
    "width, channels)",
}


@dataclass(frozen=True)
class Arrangement:
    """How examples come, and how models have them.

    Attributes:
        given: shape of one example as it comes.
        shape: shape of one example as models have it.
        channels_last: whether the last axis is moved to the front on the way.
        guessed: whether nobody said what the axes are.
        told: where the channels are, if somebody said so.
    """

    given: tuple[int, ...]
    shape: tuple[int, ...]
    channels_last: bool = False
    guessed: bool = True
    told: Channels | None = None

    @property
    def layout(self) -> Layout:
        return layout_of(self.shape)

    @property
    def given_shape(self) -> tuple[int, ...]:
        """Of ``DataSpec``: what is made comes back as it was given."""
        return () if self.given == self.shape else self.given

    def __call__(self, x: Any) -> Any:
        """Examples (N, *given) as (N, *shape); sparse rows, which have one axis, as they are."""
        if self.channels_last:
            return np.moveaxis(x, -1, 1)
        return x if x.shape[1:] == self.shape else x.reshape(len(x), *self.shape)

    def notices(self, n: int) -> list[str]:
        """What the user should know: axes that were moved, and what n examples could be besides."""
        found = [MOVED] if self.channels_last and self.told is None else []
        if self.told is None and (said := _either(self)):
            return [said]
        if self.guessed and (others := _OTHERS.get(len(self.given))) and (said := others(n, self)):
            found.append(said)
        return found


def arrangement(
    given: tuple[int, ...], layout: Layout | None = None, channels: Channels | None = None
) -> Arrangement:
    """Tells how examples are arranged for models.

    Args:
        given: shape of one example as it comes.
        layout: what an example is; guessed by the number of axes when left out.
        channels: where the channels of images and volumes are, first or last; guessed when left out.

    Raises:
        OptionError: for an unknown layout.
        DataError: for a layout that such examples cannot have.

    Example:
        >>> arrangement((32, 32, 3)).shape, arrangement((100,), "sequence").shape
        ((3, 32, 32), (100, 1))
    """
    check_channels(channels)
    if channels is not None:
        return _told(given, layout, channels)
    if layout is None:
        if len(given) == 2:
            return Arrangement(given, (1, *given))
        return _channels_first(given) if len(given) == 3 else Arrangement(given, given)
    check_layout(layout)
    found = _arranged(given, layout)
    if found is None:
        raise DataError(
            f"layout={layout!r} takes arrays of shape {_TAKES[layout]}, and this one is "
            f"(N, {', '.join(map(str, given))}); reshape it, or give another layout"
        )
    return found


def check_layout(layout: Layout | None) -> None:
    """Refuses an unknown layout.

    Raises:
        OptionError: with the layouts that there are.
    """
    if layout is not None and layout not in LAYOUTS:
        raise OptionError(f"unknown layout {layout!r}; {nearest(str(layout), LAYOUTS)}")


def check_channels(channels: Channels | None) -> None:
    """Refuses an unknown place of channels.

    Raises:
        OptionError: with those that there are.
    """
    if channels not in (None, *get_args(Channels)):
        raise OptionError(f"channels must be 'first' or 'last', got {channels!r}")


def _told(given: tuple[int, ...], layout: Layout | None, channels: Channels) -> Arrangement:
    """Arranges images and volumes whose channels are where the user says."""
    check_layout(layout)
    axes = {"image": (3,), "volume": (4,), None: (3, 4)}.get(layout, ())
    if len(given) not in axes:
        raise DataError(
            f"channels={channels!r} is for images (N, height, width, channels) and volumes, and these "
            f"examples are (N, {', '.join(map(str, given))})"
            + (f" with layout={layout!r}" if layout else "")
            + "; leave channels out"
        )
    last = channels == "last"
    shape = (given[-1], *given[:-1]) if last else given
    return Arrangement(given, shape, last, layout is None, channels)


def _arranged(given: tuple[int, ...], layout: Layout) -> Arrangement | None:
    axes = len(given)
    if layout == "row":
        return Arrangement(given, (math.prod(given),), guessed=False)
    if layout == "sequence":
        if axes == 3 and given[0] == 1:  # grey images, a line of pixels at a time
            return Arrangement(given, given[1:], guessed=False)
        return Arrangement(given, (*given, 1)[:2], guessed=False) if axes in (1, 2) else None
    if layout == "image" and axes == 1:
        return _square(given)
    wanted = 2 if layout == "image" else 3  # axes beside the channels
    if axes == wanted:
        return Arrangement(given, (1, *given), guessed=False)
    return _channels_first(given, guessed=False) if axes == wanted + 1 else None


def _square(given: tuple[int, ...]) -> Arrangement | None:
    """Arranges rows as square images, grey or of three colours; ``None`` where they fill none."""
    for channels in (1, 3):
        side = math.isqrt(given[0] // channels)
        if side >= _SMALLEST_SIDE and channels * side**2 == given[0]:
            return Arrangement(given, (channels, side, side), guessed=False)
    return None


def _channels_first(given: tuple[int, ...], guessed: bool = True) -> Arrangement:
    if given[-1] in CHANNELS and given[0] not in CHANNELS:
        return Arrangement(given, (given[-1], *given[:-1]), channels_last=True, guessed=guessed)
    return Arrangement(given, given, guessed=guessed)


def _grey(n: int, found: Arrangement) -> str:
    height, width = found.given
    return (
        f"taken for {n} grey images of {height} x {width} (3-D array); layout='sequence' reads "
        f"{height} steps of {width} features"
    )


def _channelled(n: int, found: Arrangement) -> str | None:
    """Images of as many channels as hardly any have."""
    channels, height, width = found.shape
    if channels in CHANNELS:
        return None
    last = "" if found.told else f"; channels='last' takes the last axis as {width} channels"
    return (
        f"taken for {n} images of {channels} channels of {height} x {width} (4-D array); "
        f"layout='volume' reads grey volumes of {channels} x {height} x {width}{last}"
    )


def _either(found: Arrangement) -> str | None:
    """Images and volumes whose first and last axis could both be channels."""
    first, last = found.given[0], found.given[-1]
    if found.layout not in ("image", "volume") or len(found.given) != len(found.shape):
        return None
    if first not in CHANNELS or last not in CHANNELS or {first, last} == {1}:
        return None
    size = " x ".join(map(str, found.shape[1:]))
    return (
        f"the first axis was taken as {first} channels of {size}; channels='last' (--channels last) "
        f"takes the last axis as {last} channels"
    )


def _solid(n: int, found: Arrangement) -> str | None:
    """Volumes whose channels may stand last."""
    if found.told or found.given[-1] not in CHANNELS or found.given[0] in CHANNELS:
        return None
    return (
        f"taken for {n} volumes of {found.given[0]} channels (5-D array); layout='volume' takes the "
        "last axis as channels, and so does channels='last'"
    )


_OTHERS: Mapping[int, Callable[[int, Arrangement], str | None]] = {2: _grey, 3: _channelled, 4: _solid}


def arrangement_of(given: tuple[int, ...], spec: DataSpec) -> Arrangement:
    """How examples that were read before are arranged as a spec has them, told or guessed."""
    if spec.channels is not None:
        return arrangement(given, spec.layout, spec.channels)
    found = arrangement(given)
    return found if found.shape == spec.shape else arrangement(given, spec.layout)


def in_shape(x: Array, shape: tuple[int, ...]) -> Array:
    """Examples (N, *D) as models have them in the shape (N, ...) in which they came."""
    if channels_last(shape[1:], x.shape[1:]):
        return np.moveaxis(x, 1, -1)
    return x.reshape(shape)


def channels_last(given: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    """Whether examples of a shape are those of another one with the channels moved to the end."""
    moved = len(given) > 2 and given[-1] in CHANNELS and (given[-1], *given[:-1]) == shape
    return moved and given != shape


def image_depth(spec: DataSpec) -> str:
    """The name of the dtype that image files are brought to for a model; empty for their own."""
    if spec.given_dtype in _DEEPER:
        return spec.given_dtype
    return "uint8" if spec.kind == "unit" else ""


def image_shape(spec: DataSpec) -> tuple[int, ...] | None:
    """The (C, H, W) that image files are brought to for a model; ``None`` for their own size."""
    if spec.layout == "image":
        return spec.shape
    flat_images = layout_of(spec.given_shape) == "image" and spec.given_shape[0] in (1, 3)
    return spec.given_shape if flat_images else None
