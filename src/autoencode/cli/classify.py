"""The command ``classify``."""

from __future__ import annotations

from pathlib import Path

import click

from autoencode.cli.options import json_option
from autoencode.cli.shared import Reading, load_run, reading_options, say_written


@click.command("classify")
@click.argument("run")
@click.argument("data", required=False)
@click.option(
    "-o", "--out", metavar="FILE", help=".csv, .parquet or .feather.  [default: RUN/labels.csv]"
)
@reading_options
@json_option
def classify_command(
    run: str,
    data: str | None,
    out: str | None,
    reading: Reading,
    as_json: bool,
) -> None:
    """Guess the label of each example, with the probability of every class.

    For a recipe that learns to guess them (m2_vae). Labels that the examples have are not looked at.

    \b
    Example:
      autoencode classify runs/mnist-m2_vae images.npy -o labels.csv
    """
    from autoencode.jobs.codes import check_ending
    from autoencode.jobs.results import TABLES, Written, classes_table, write_frame

    target = Path(run) / "labels.csv" if out is None else check_ending(out, TABLES)
    trained = load_run(run, reading.device)
    examples = reading.examples(trained, run, data)
    shares = trained.class_probabilities(examples.labelled(None))
    write_frame(target, classes_table(shares, trained, examples.ids))
    say_written(target, Written(shares.shape, "float32"), as_json)
