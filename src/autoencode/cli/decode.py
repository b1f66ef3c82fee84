"""The command ``decode``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from autoencode.cli.options import device_option, json_option
from autoencode.cli.shared import (
    check_out,
    dtype_option,
    label_option,
    labels_for,
    load_run,
    out_option,
    write_result,
)
from autoencode.errors import OptionError


@click.command("decode")
@click.argument("run")
@click.argument("codes")
@label_option
@out_option
@device_option
@dtype_option
@json_option
def decode_command(
    run: str, codes: str, label: str | None, out: str | None, device: str, dtype: Any, as_json: bool
) -> None:
    """Turn CODES (.npy, .npz or .csv, one row for each z) into examples.

    \b
    Example:
      autoencode decode runs/mnist-vae codes.csv -o decoded.png
      autoencode decode runs/mnist-cvae codes.csv --label 7 -o sevens.png
    """
    from autoencode.jobs.codes import read_codes

    check_out(out)
    trained = load_run(run, device)
    z = read_codes(codes)
    if trained.spec.classes and label is None:
        raise OptionError(
            f"recipe {trained.recipe.name} is conditional on labels; say by --label which class these "
            f"codes shall be of ({', '.join(trained.spec.classes[:10])})"
        )
    decoded = trained.decode(z, labels_for(trained, label, len(z) if z.ndim else 0))
    write_result(out, Path(run) / "decoded", decoded, trained, as_json, dtype=dtype)
