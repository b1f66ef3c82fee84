"""The command ``impute``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from autoencode.cli.options import (
    channels_option,
    device_option,
    json_option,
    layout_option,
    seed_option,
    table_options,
    unknown_option,
)
from autoencode.cli.output import print_json, say, say_notice

if TYPE_CHECKING:
    from autoencode.data import TableOptions


@click.command("impute")
@click.argument("data")
@click.option("--run", metavar="RUN", help="A run trained on such data; else one is trained on DATA.")
@click.option(
    "--recipe",
    metavar="NAME",
    help="Without --run: what to train; MODULE:FUNCTION imports one of your own, also that of RUN.  "
    "[default: mlp_impute; with --draws vae]",
)
@click.option(
    "-o", "--out", required=True, metavar="FILE", help=".csv, .parquet, .feather, .npy or .npz."
)
@click.option(
    "--draws",
    type=click.IntRange(1),
    metavar="N",
    help="Fill N times, by draws from a stochastic recipe (vae); files get numbers.",
)
@click.option(
    "--save", metavar="FOLDER", help="Without --run: keep what is trained, for a later --run."
)
@layout_option
@channels_option
@table_options
@unknown_option("ignore", "error")
@seed_option("Of the training and the draws.")
@device_option
@click.option("--quiet", is_flag=True, help="No progress.")
@json_option
def impute_command(
    data: str,
    run: str | None,
    recipe: str | None,
    out: str,
    draws: int | None,
    save: str | None,
    layout: Any,
    channels: Any,
    columns: TableOptions | None,
    handle_unknown: Any,
    seed: int,
    device: str,
    quiet: bool,
    as_json: bool,
) -> None:
    """Fill the gaps of DATA, a table (.csv, .tsv, .parquet, .feather) or array (.npy) with NaN.

    What is known stays as it is: all columns, their order and their names.

    \b
    Example:
      autoencode impute people.csv --id name -o filled.csv
      autoencode impute people.csv --run runs/people-vae --draws 5 -o filled.parquet
    """
    from autoencode.jobs import impute
    from autoencode.jobs.codes import CODES, check_ending

    files, n = impute(
        data,
        check_ending(out, CODES),
        run,
        recipe=recipe,
        draws=draws,
        table=columns,
        handle_unknown=handle_unknown,
        layout=layout,
        channels=channels,
        save=save,
        seed=seed,
        device=device,
        verbose=not quiet,
        note=say_notice,
    )
    if as_json:
        print_json({"file": str(files[0]), "files": [str(file) for file in files], "filled": n})
    else:
        say(f"{', '.join(map(str, files))}: {n} missing values filled")
