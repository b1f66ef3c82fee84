"""A job that makes clean examples of the noisy ones in a file."""

from __future__ import annotations

import os
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

from autoencode.data import Examples, apply_spec
from autoencode.data.formats.all import is_image_folder
from autoencode.data.formats.folders import AS_THEY_ARE, ImageOptions
from autoencode.errors import OptionError
from autoencode.jobs.common import Note, keep, read_for, refuse_layout, refuse_taken
from autoencode.jobs.each_image import keeps_sizes, reconstruct_images
from autoencode.jobs.results import write_array
from autoencode.reading import NO_OPTIONS, TableOptions
from autoencode.trained import choose_device, load_trained
from autoencode.types import Channels, Layout


def denoise(
    source: Any,
    out: str | os.PathLike[str],
    run: str | os.PathLike[str] | None = None,
    *,
    clean: Any = None,
    corruption: str = "gaussian",
    level: float = 0.3,
    table: TableOptions | None = None,
    images: ImageOptions | None = None,
    layout: Layout | None = None,
    channels: Channels | None = None,
    save: str | os.PathLike[str] | None = None,
    seed: int = 0,
    device: str = "auto",
    verbose: bool = False,
    note: Note = warnings.warn,
) -> tuple[Path, int]:
    """Makes clean examples of the noisy ones in a file.

    Args:
        source: what is noisy.
        out: what to write.
        run: a run that was trained to denoise (``noise=``).
        clean: else, clean examples to learn from.
        corruption, level: the noise to learn with (``Denoiser``).
        table: which columns of a table are labels, names of rows or left out.
        images: how images of a folder are brought to one form; as in training where there is a run.
            Where no size is given, a model learns from patches of them, and each image keeps its own
            size and depth.
        layout, channels: without a run, what an example is and where its channels are, where its axes
            do not tell (``load_data``).
        save: without a run, a folder for what is trained, which then can be one.
        seed, device, verbose: of the training.
        note: told what the user should know of the reading.

    Returns:
        The file or folder, and how many examples it holds.

    Raises:
        OptionError: unless there is either a run or clean examples.
    """
    if (run is None) == (clean is None):
        raise OptionError(
            "give either a run that was trained with noise, or clean examples to learn from"
        )
    refuse_taken(save, run)
    refuse_layout(layout, run, channels, source)
    on_bad_file = None if images is None else images.on_bad_file
    if run is not None:
        trained = load_trained(run, device=choose_device(device))
    else:
        from autoencode.estimators import Denoiser
        from autoencode.estimators.denoiser import LOCAL

        if is_image_folder(clean):
            images = (images or AS_THEY_ARE).for_any_size()
        learned = read_for(clean, None, table, images, note)
        denoiser = Denoiser(
            corruption,
            level,
            options=LOCAL if learned.cut else None,
            column_kinds=dict(table.kinds) if table else None,
            max_categories=(table or NO_OPTIONS).max_categories,
            layout=layout,
            channels=channels,
            random_state=seed,
            device=device,
            verbose=verbose,
        )
        trained = denoiser.fit(learned.x).trained_
        keep(denoiser, save, learned.options, images)
    if keeps_sizes(trained, source, images):
        return Path(out), reconstruct_images(trained, source, Path(out), on_bad_file, note)
    given = read_for(source, run, table, images, note)
    # What is noisy may lie outside the range of what is clean.
    spec = replace(trained.spec, noisy=True)
    restored = trained.reconstruct(Examples(apply_spec(given.x, spec)))
    like = given.x if given.table is None else given.table
    write_array(Path(out), restored, trained, given.ids, like, "same")
    return Path(out), len(restored)
