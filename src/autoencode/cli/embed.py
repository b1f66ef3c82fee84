"""The command ``embed``."""

from __future__ import annotations

import click

from autoencode.cli.options import json_option
from autoencode.cli.output import say_notice
from autoencode.cli.shared import (
    Reading,
    reading_options,
    say_written,
)
from autoencode.cli.signals import Signals


@click.command("embed")
@click.argument("run")
@click.argument("data", nargs=-1)
@click.option(
    "-o",
    "--out",
    metavar="FILE",
    help=".npy, .npz, .csv, .parquet or .feather.  [default: RUN/codes.npy]",
)
@reading_options
@json_option
def embed_command(
    run: str,
    data: tuple[str, ...],
    out: str | None,
    reading: Reading,
    as_json: bool,
) -> None:
    """Turn examples x into codes z, one deterministic code each.

    The codes of several files come one after the other. Files are read and codes are written piece by
    piece, so both may be larger than memory. Under torchrun all processes share the work.

    \b
    Example:
      autoencode embed runs/mnist-vae -o codes.csv
      autoencode embed runs/mnist-vae images.npy more.npy -o codes.npy
    """
    from autoencode.jobs import embed
    from autoencode.jobs.results import Written

    Signals.check()
    written = embed(
        run,
        data,
        out,
        split=reading.split,
        on_bad_file=reading.on_bad_file,
        handle_unknown=reading.handle_unknown,
        device=reading.device,
        data_dir=reading.data_dir,
        table=reading.spelled,
        note=say_notice,
    )
    if written is not None:
        say_written(written[0], Written(written[1], "float32"), as_json)
