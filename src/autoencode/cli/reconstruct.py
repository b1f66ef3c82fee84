"""The command ``reconstruct``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from autoencode.cli.options import json_option
from autoencode.cli.output import say_notice
from autoencode.cli.shared import (
    Reading,
    check_out,
    dtype_option,
    load_run,
    out_option,
    reading_options,
    say_examples,
    write_result,
)


@click.command("reconstruct")
@click.argument("run")
@click.argument("data", required=False)
@out_option
@reading_options
@dtype_option
@json_option
def reconstruct_command(
    run: str,
    data: str | None,
    out: str | None,
    reading: Reading,
    dtype: Any,
    as_json: bool,
) -> None:
    """Send examples through the code and back, in their own units.

    What is written has the form of what is read: its shape, or its columns in their order.
    Images of a folder keep their own size, depth and name where the recipe takes any size (conv_small,
    conv_skip, vqvae, ...) and -o has no ending.

    \b
    Example:
      autoencode reconstruct runs/mnist-vae -o reconstructions.png
      autoencode reconstruct runs/mnist-vae images.npy -o reconstructions.npy
    """
    from autoencode.jobs.each_image import keeps_sizes, reconstruct_images

    check_out(out)
    trained = load_run(run, reading.device)
    if data is not None and keeps_sizes(trained, data):
        target = Path(run) / "reconstructions.npy" if out is None else Path(out)
        n = reconstruct_images(trained, data, target, reading.on_bad_file, say_notice)
        say_examples(target, n, as_json)
        return
    examples = reading.examples(trained, run, data)
    result = trained.reconstruct(examples)
    write_result(out, Path(run) / "reconstructions", result, trained, as_json, examples, dtype)
