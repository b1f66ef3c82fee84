"""The command ``embed``"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import click

from autoencode.cli.options import json_option
from autoencode.cli.shared import (
    Reading,
    check_out,
    load_run,
    reading_options,
    say_notices,
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
    import numpy as np

    from autoencode import parallel
    from autoencode.jobs.codes import check_ending, write_codes
    from autoencode.jobs.embed import embed_all
    from autoencode.jobs.results import codes_table, write_frame
    from autoencode.runs.data import examples_to_embed
    from autoencode.trained import choose_device

    check_out(out, codes=True)
    Signals.check()
    with parallel.joined(choose_device(reading.device)) as group:
        trained = load_run(run, reading.device)
        ids: list[Any] = []

        def load(one: str | None) -> Any:
            examples = examples_to_embed(
                trained, run, one, reading.split, reading.data_dir, reading.on_bad_file
            )
            ids.append(examples.ids)
            say_notices(examples.notices)
            return examples

        pieces = embed_all(trained, data or (None,), load)
        if not group.leads:
            return
        target = Path(run) / "codes.npy" if out is None else check_ending(out)
        ending = target.suffix.lower()
        if group.world > 1 and any(one is not None for one in ids):
            say_notices(["many processes hand on codes only; the names of the rows are left out"])
            ids.clear()
        first = list(itertools.islice(pieces, 1))  # with it, the first source's names are known
        pieces = itertools.chain(first, pieces)
        named = bool(trained.spec.columns) or (ids and ids[0] is not None)
        if ending in (".parquet", ".feather") or (ending == ".csv" and named):
            codes = np.concatenate(list(pieces))
            write_frame(target, codes_table(codes, trained, ids))
            n = len(codes)
        else:
            n = write_codes(target, pieces, trained.latent_shape)
    say_written(target, (n, *trained.latent_shape), "float32", as_json)
