"""The command ``anomalies``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from autoencode.cli.options import (
    bad_file_option,
    channels_option,
    data_dir_option,
    device_option,
    image_options,
    images_from,
    json_option,
    layout_option,
    seed_option,
    table_options,
    unknown_option,
)
from autoencode.cli.output import print_json, say, say_notice, table
from autoencode.console import number
from autoencode.errors import OptionError

if TYPE_CHECKING:
    from autoencode.data import TableOptions


@click.command("anomalies")
@click.argument("data")
@click.option(
    "--run",
    metavar="RUN",
    help="What is usual: the training rows of this run or saved detector; else the rows of DATA.",
)
@click.option(
    "--recipe",
    metavar="NAME",
    help="Without --run: what to train; MODULE:FUNCTION imports one of your own, also that of RUN.  "
    "[default: mlp_masked]",
)
@click.option(
    "-o",
    "--out",
    metavar="FILE",
    help=".csv, .parquet or .feather with all rows: flags, scores, p-values and reasons.",
)
@click.option("--report", metavar="FILE", help="A page (.html) with pictures of what was found.")
@click.option(
    "--contamination",
    metavar="SHARE",
    default="auto",
    show_default=True,
    help="The share of rows to call anomalous; auto calls about one in a hundred where none is.",
)
@click.option(
    "--fdr",
    type=float,
    metavar="SHARE",
    help="Instead, call so many rows anomalous that at most this share of them is none, on average.",
)
@click.option(
    "--measure", default="combined", show_default=True, metavar="NAME", help="The score that counts."
)
@click.option(
    "--save", metavar="FOLDER", help="Without --run: keep what is trained, for a later --run."
)
@image_options
@bad_file_option
@layout_option
@channels_option
@table_options
@unknown_option("flag", "error")
@seed_option("Of the training and of which rows are held out.")
@device_option
@data_dir_option
@click.option("--quiet", is_flag=True, help="No progress.")
@json_option
def anomalies_command(
    data: str,
    run: str | None,
    recipe: str | None,
    out: str | None,
    report: str | None,
    contamination: str,
    fdr: float | None,
    measure: str,
    save: str | None,
    image_size: str | None,
    fit: str | None,
    image_depth: str | None,
    on_bad_file: str | None,
    layout: Any,
    channels: Any,
    columns: TableOptions | None,
    handle_unknown: Any,
    seed: int,
    device: str,
    data_dir: str | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Find the rows of DATA that are not like the others, or not like those of a run.

    DATA is a table, an array or a folder of images. Higher scores are more anomalous; a p-value says
    how often a usual row scores as high.

    \b
    Example:
      autoencode anomalies people.csv --id name --report found.html -o found.csv
      autoencode anomalies people.csv --id name --save usual
      autoencode anomalies new.csv --run usual --fdr 0.05
      autoencode anomalies photos --image-size 32 --on-bad-file skip --report found.html
    """
    from autoencode.jobs import anomalies
    from autoencode.jobs.codes import check_ending
    from autoencode.jobs.results import TABLES, write_frame

    target = None if out is None else check_ending(out, TABLES)
    page = None if report is None else check_ending(report, (".html",))
    found = anomalies(
        data,
        run,
        recipe=recipe,
        contamination=_share(contamination),
        fdr=fdr,
        measure=measure,
        table=columns,
        handle_unknown=handle_unknown,
        layout=layout,
        channels=channels,
        images=images_from(image_size, fit, image_depth, on_bad_file),
        report=page,
        save=save,
        seed=seed,
        device=device,
        data_dir=data_dir,
        verbose=not quiet,
        note=say_notice,
    )
    if target is not None:
        write_frame(target, found.table)
    n, flagged = len(found.flags), int(found.flags.sum())
    written = [str(file) for file in (target, page) if file is not None]
    if as_json:
        print_json({"n": n, "anomalies": flagged, "files": written})
        return
    say(f"{flagged} of {n} rows are anomalous" + "".join(f"; {file}" for file in written))
    if not written:
        say(*table(_most_anomalous(found.table)))


_LISTED = 10


def _most_anomalous(found: Any) -> list[list[str]]:
    """Lists the rows with the highest scores, as text."""
    ordered = found.sort_by([("anomaly_score", "descending")]).slice(0, _LISTED)
    own = [name for name in ordered.column_names if name.startswith("anomaly")]
    names = [ordered.column_names[0], *own]
    rows = [[number(row[name]) for name in names] for row in ordered.to_pylist()]
    return [names, *rows]


def _share(text: str) -> str | float:
    if text == "auto":
        return text
    try:
        return float(text)
    except ValueError:
        raise OptionError(f"--contamination must be auto or a share, got '{text}'") from None
