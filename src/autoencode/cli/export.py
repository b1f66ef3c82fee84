"""The command ``export``."""

from __future__ import annotations

import click

from autoencode.cli.options import data_dir_option, device_option, json_option
from autoencode.cli.output import print_json, say, say_notice

_PARTS = ("encoder", "decoder", "reconstruct", "impute", "denoise", "score", "all")


@click.command("export")
@click.argument("run")
@click.option("-o", "--out", required=True, metavar="FOLDER", help="A new folder.")
@click.option(
    "--part",
    default="all",
    show_default=True,
    metavar="|".join(_PARTS),
    help="What to export; all is what the run has.",
)
@click.option("--data", metavar="DATA", help="To check files by, in the place of the run's own data.")
@click.option(
    "--format",
    "form",
    default="onnx",
    show_default=True,
    metavar="onnx|pt2",
    help="pt2 is torch.export's, with the places of words for the words.",
)
@click.option("--opset", type=int, metavar="N", help="The version of ONNX's operations.  [default: 20]")
@click.option("--overwrite", is_flag=True, help="Replace an exported folder that is there.")
@device_option
@data_dir_option
@json_option
def export_command(
    run: str,
    out: str,
    part: str,
    data: str | None,
    form: str,
    opset: int | None,
    overwrite: bool,
    device: str,
    data_dir: str | None,
    as_json: bool,
) -> None:
    """Write a run as ONNX files that say in any language what Python says.

    Examples go in as they are and results come out so: scaling, words, thresholds and p-values are
    inside, and a table's file takes its named columns. Each file is checked against Python before it is
    kept; manifest.json tells inputs, outputs, units and how near they are.

    \b
    Example:
      autoencode export runs/mnist-vae -o exported
      autoencode export usual --part score -o exported
    """
    from autoencode.jobs.export import export_run

    how = {} if opset is None else {"opset": opset}
    done = export_run(
        run,
        out,
        part,
        data=data,
        data_dir=data_dir,
        device=device,
        note=say_notice,
        format=form,
        overwrite=overwrite,
        **how,
    )
    if as_json:
        print_json(
            {
                "folder": str(done.folder),
                "files": {name: str(file) for name, file in done.files.items()},
                "parity": {name: parity.as_dict() for name, parity in done.parity.items()},
                "left_out": dict(done.left_out),
            }
        )
        return
    for name, file in done.files.items():
        say(f"{file}: {done.parity[name]}")
