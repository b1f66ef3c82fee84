"""The command ``denoise``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from autoencode.cli.options import (
    bad_file_option,
    channels_option,
    device_option,
    image_options,
    images_from,
    json_option,
    layout_option,
    seed_option,
    table_options,
)
from autoencode.cli.output import say_notice
from autoencode.cli.shared import say_examples

if TYPE_CHECKING:
    from autoencode.data import TableOptions


@click.command("denoise")
@click.argument("data")
@click.option("--run", metavar="RUN", help="A run that was trained with noise (train --set noise=...).")
@click.option("--clean", metavar="DATA", help="Without --run: clean examples to learn from.")
@click.option(
    "--noise",
    "corruption",
    default="gaussian",
    show_default=True,
    metavar="gaussian|salt_and_pepper|masking|blur",
    help="With --clean: the noise to learn with.",
)
@click.option(
    "--level",
    type=float,
    default=0.3,
    show_default=True,
    help="With --clean: standard deviation (of pixels in 0..1), pixels of blur, or share of entries.",
)
@click.option(
    "-o",
    "--out",
    required=True,
    metavar="FILE",
    help=".npy, .npz, .csv, .parquet, .feather or .png; without an ending a new folder of images.",
)
@click.option("--save", metavar="FOLDER", help="With --clean: keep what is trained, for a later --run.")
@image_options
@bad_file_option
@layout_option
@channels_option
@table_options
@seed_option("Of the training.")
@device_option
@click.option("--quiet", is_flag=True, help="No progress.")
@json_option
def denoise_command(
    data: str,
    run: str | None,
    clean: str | None,
    corruption: str,
    level: float,
    out: str,
    save: str | None,
    image_size: str | None,
    fit: str | None,
    image_depth: str | None,
    on_bad_file: str | None,
    layout: Any,
    channels: Any,
    columns: TableOptions | None,
    seed: int,
    device: str,
    quiet: bool,
    as_json: bool,
) -> None:
    """Make clean examples of the noisy ones in DATA (images, an array or a table).

    Images of a folder keep their own size, depth and name, unless --image-size brings them to one size.

    \b
    Example:
      autoencode denoise noisy.npy --clean clean.npy --noise salt_and_pepper --level 0.1 -o restored.npy
      autoencode denoise photos --clean scans --image-size 64 --save restorer -o restored
      autoencode denoise microscope --clean long_exposures --save restorer -o restored
      autoencode denoise noisy.npy --run runs/mnist-conv_skip -o restored.png
    """
    from autoencode.jobs import denoise
    from autoencode.jobs.codes import check_ending

    file, n = denoise(
        data,
        check_ending(out),
        run,
        clean=clean,
        corruption=corruption,
        level=level,
        table=columns,
        layout=layout,
        channels=channels,
        images=images_from(image_size, fit, image_depth, on_bad_file),
        save=save,
        seed=seed,
        device=device,
        verbose=not quiet,
        note=say_notice,
    )
    say_examples(file, n, as_json)
