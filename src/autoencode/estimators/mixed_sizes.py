"""Images of different sizes, or of others than a model was trained on, for an estimator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from autoencode.data.values.layouts import CHANNELS
from autoencode.data.values.patches import patches_of
from autoencode.errors import DataError
from autoencode.recipes.any_size import takes_any_size
from autoencode.trained import Trained
from autoencode.trained.tiles import AnySize
from autoencode.types import Array

_AXES = (2, 3)  # of an image: height and width, and perhaps channels


def differ(X: Any) -> bool:
    """Tells whether examples are images of different sizes in a list."""
    if not isinstance(X, list | tuple) or not all(hasattr(one, "shape") for one in X):
        return False
    return len({tuple(one.shape) for one in X}) > 1 and all(len(one.shape) in _AXES for one in X)


def in_patches(X: Any) -> Array:
    """Cuts images of different sizes into patches (N, h, w) or (N, h, w, C) of one size.

    Raises:
        DataError: some have other channels than others, or an image has no pixels.
    """
    images = [np.asarray(one) for one in X]
    if len({image.shape[2:] for image in images}) > 1 or images[0].shape[2:] not in _LAST:
        raise DataError(
            "images of different sizes are (height, width) or (height, width, channels), all with as "
            f"many channels; got {images[0].shape} and {images[1].shape}"
        )
    if not all(image.size for image in images):
        raise DataError("an image has no pixels; leave it out")
    return patches_of(images)


def other_sizes(X: Any, trained: Trained) -> bool:
    """Tells whether X holds images that are of another size than a model of any size was trained on."""
    if trained.spec.layout != "image":
        return False
    if differ(X):
        return takes_any_size(trained.recipe)
    shape = tuple(getattr(X, "shape", ()))
    if len(shape) not in (3, 4) or isinstance(X, np.memmap):
        return False
    height_width = _size(shape[1:])
    other = height_width != trained.spec.shape[1:] and shape[1:] != trained.spec.shape
    return other and takes_any_size(trained.recipe)


def restored_each(X: Any, trained: Trained, within: Callable[[Array], Array]) -> Any:
    """Reconstructs images one by one, each at its own size and in its own axes; float32.

    Args:
        X: a list of images, or an array of them.
        trained: the model.
        within: what cuts values off at the range of the data.

    Returns:
        A list for a list, else an array.
    """
    model = AnySize(trained)
    made = []
    for i, one in enumerate(X):
        image = np.asarray(one)
        last = image.ndim == 3 and _size(image.shape) == image.shape[:2]
        seen = np.moveaxis(image, -1, 0) if last else image.reshape(-1, *image.shape[-2:])
        found = within(model.reconstruct(seen, f"image {i}"))
        made.append(np.moveaxis(found, 0, -1) if last else found.reshape(image.shape))
    return made if isinstance(X, list | tuple) else np.stack(made)


def _size(shape: tuple[int, ...]) -> tuple[int, ...]:
    """(height, width) of an image, whose channels may stand first or last."""
    if len(shape) == 2:
        return shape
    return shape[:2] if shape[-1] in CHANNELS and shape[0] not in CHANNELS else shape[1:]


_LAST = ((), *((channels,) for channels in CHANNELS))
