"""A job on images of a folder that go through a model one by one, each in its own size and depth."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from autoencode.data.formats.all import is_image_folder
from autoencode.data.formats.folders import AS_THEY_ARE, ImageOptions
from autoencode.errors import OptionError
from autoencode.files.atomic import new_folder, writing
from autoencode.jobs.picture_files import ending_for, file_names, write_picture
from autoencode.jobs.results import write_array, write_plain
from autoencode.recipes.any_size import takes_any_size
from autoencode.trained import Trained
from autoencode.trained.tiles import AnySize

Note = Callable[[str], Any]


def keeps_sizes(trained: Trained, source: Any, images: ImageOptions | None = None) -> bool:
    """Tells whether a model takes the images of a source each at its own size.

    Not where somebody gave a size, now or in training, for then that is the scale that it knows.
    """
    asked = (images or AS_THEY_ARE, trained.origin.images)
    scaled = any(one.size is not None and one.fit != "patches" for one in asked)
    return not scaled and is_image_folder(source) and takes_any_size(trained.recipe)


def reconstruct_images(
    trained: Trained,
    source: str | os.PathLike[str],
    out: Path,
    on_bad_file: str | None = None,
    note: Note = warnings.warn,
) -> int:
    """Sends images of a folder through a model, each at its own size, and writes what comes back.

    Args:
        trained: a model that takes any size.
        source: the folder, or shards.
        out: a new folder, in which each image has its own name, size, depth and colours; or, for
            images of one size, a file for all of them.
        on_bad_file: what becomes of damaged ones; as in training by default.
        note: told what was left out or lost.

    Returns:
        How many images were written.

    Raises:
        OptionError: images of different sizes are to go into one file.
        DataError: an image is damaged, or a coloured one for a model of grey ones.
        StorageError: they cannot be written.
    """
    from autoencode.data.formats.own_sizes import OwnSizes  # brings Pillow

    found = OwnSizes(Path(source), trained.origin.images_with(on_bad_file), trained.spec)
    if out.suffix:
        if not found.one_size:
            raise OptionError(
                f"the images are {found.sizes} and cannot lie in one {out.suffix} file; give -o a name "
                "without an ending, for a folder"
            )
        n = _into_file(trained, found, out)
    else:
        n = _into_folder(trained, found, out)
    for notice in found.notices(keeps_alpha=not out.suffix):
        note(notice)
    return n


def _into_folder(trained: Trained, found: Any, out: Path) -> int:
    model, n = AnySize(trained), 0
    endings = [ending_for(name, one.depth, one.alpha) for name, one in found.headers.items()]
    names = dict(zip(found.headers, file_names(list(found.headers), endings), strict=True))
    with new_folder(out) as part:
        for image in found:
            made = image.back(model.reconstruct(image.values, image.where))
            with writing(out):
                write_picture(part / names[image.name], made, image.alpha)
            n += 1
    return n


def _into_file(trained: Trained, found: Any, out: Path) -> int:
    model = AnySize(trained)
    made = {image.name: model.reconstruct(image.values, image.where) for image in found}
    stacked = np.stack(list(made.values()))
    if stacked.shape[1:] == trained.spec.shape:
        write_array(out, stacked, trained, np.array(list(made), np.str_))
    elif out.suffix.lower() == ".png":
        raise OptionError(
            f"{out} would show images of the size of training, and these are {found.sizes}; give -o a "
            "name without an ending, for a folder"
        )
    else:
        write_plain(out, stacked)
    return len(made)
