"""The command ``reconstruct``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from autoencode.cli.options import json_option
from autoencode.cli.shared import (
    Reading,
    check_out,
    dtype_option,
    load_run,
    out_option,
    reading_options,
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

    \b
    Example:
      autoencode reconstruct runs/mnist-vae -o reconstructions.png
      autoencode reconstruct runs/mnist-vae images.npy -o reconstructions.npy
    """
    check_out(out)
    trained = load_run(run, reading.device)
    examples = reading.examples(trained, run, data)
    result = trained.reconstruct(examples)
    write_result(out, Path(run) / "reconstructions", result, trained, as_json, examples, dtype)
