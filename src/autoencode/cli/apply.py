"""Commands that do something to a file, with a run or with a model trained on the file itself."""

from __future__ import annotations

import click

from autoencode.cli.common import (
    device_option,
    json_option,
    print_json,
    seed_option,
    table_of,
    table_options,
)


@click.command("impute")
@click.argument("data")
@click.option("--run", metavar="RUN", help="A run trained on such data; else one is trained on DATA.")
@click.option("--recipe", metavar="NAME", help="Without --run: what to train.")
@click.option(
    "-o", "--out", required=True, metavar="FILE", help=".csv, .parquet, .feather, .npy or .npz."
)
@click.option(
    "--draws",
    type=click.IntRange(1),
    metavar="N",
    help="Fill N times, by draws from a stochastic recipe (vae); files get numbers.",
)
@table_options
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
    label: str | None,
    row_id: str | None,
    drop: tuple[str, ...],
    kinds: tuple[str, ...],
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
    from autoencode.cli.files import CODES, check_ending
    from autoencode.jobs import impute

    files, n = impute(
        data,
        check_ending(out, CODES),
        run,
        recipe=recipe,
        draws=draws,
        table=table_of(label, row_id, drop, kinds),
        seed=seed,
        device=device,
        verbose=not quiet,
    )
    if as_json:
        print_json({"file": str(files[0]), "files": [str(file) for file in files], "filled": n})
    else:
        click.echo(f"{', '.join(map(str, files))}: {n} missing values filled")
