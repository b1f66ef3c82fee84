"""The command ``train``."""

from __future__ import annotations

import contextlib
import functools
import os
import shlex
import signal
import time
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Any, Self

import click
from click.core import ParameterSource

from autoencode import launch
from autoencode.cli.options import (
    IMPORTED,
    bad_file_option,
    channels_option,
    data_dir_option,
    device_option,
    image_options,
    images_from,
    json_option,
    layout_option,
    seed_option,
    settings,
    table_options,
)
from autoencode.cli.output import print_json, say, say_notice
from autoencode.cli.signals import Interrupted, Signals
from autoencode.console import note, number
from autoencode.errors import OptionError

if TYPE_CHECKING:
    from autoencode.data import TableOptions
    from autoencode.runs import Run

_ECHO = 2.0  # seconds


@click.command("train")
@click.argument("data", required=False)
@click.option(
    "--recipe",
    default="mlp",
    show_default=True,
    metavar="NAME",
    help="What to train; MODULE:FUNCTION imports a recipe of your own, also beside --resume.",
)
@click.option("-o", "--out", metavar="RUN", help="The run folder.  [default: runs/DATA-RECIPE]")
@click.option("--epochs", type=int, metavar="N", help="Passes over the training data.")
@click.option("--batch-size", type=int, metavar="N", help="Examples in each step.")
@click.option("--lr", type=float, metavar="X", help="Peak learning rate.")
@click.option(
    "--schedule",
    default="fast",
    show_default=True,
    metavar="fast|paper",
    help="Tuned figures, or those of the original write-up.",
)
@click.option(
    "--set",
    "sets",
    multiple=True,
    metavar="OPTION=VALUE",
    help="Any option of the recipe or of training; may be repeated.",
)
@seed_option("Of the split, the weights, the order and the noise.")
@device_option
@data_dir_option
@click.option("--resume", metavar="RUN", help="Go on with a run that was interrupted, to the bit.")
@click.option(
    "--checkpoint-every",
    type=float,
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="How often to keep a state that --resume goes on from.",
)
@click.option(
    "--stream/--no-stream",
    default=None,
    help="Read DATA from disk while training, or into memory first.  [default: from disk what would "
    "take more than a quarter of the free memory]",
)
@click.option(
    "--standardize",
    metavar="WAY",
    help="How numbers that are no pixels are scaled: columns, all_columns, robust (median and "
    "interquartile range), global, unit (not, in 0..1) or none.  [default: the recipe's own way]",
)
@image_options
@bad_file_option
@layout_option
@channels_option
@table_options
@click.option(
    "--leave-out",
    multiple=True,
    metavar="LABEL",
    help="A class that the model shall never see, neither in training nor in the test part; evaluate "
    "tells how well it knows them apart; may be repeated.",
)
@click.option(
    "--labels",
    "n_labels",
    type=int,
    metavar="N",
    help="Of the training examples' labels keep N, the same number of each class, for a recipe that "
    "guesses the others (m2_vae).  [default: all there are]",
)
@click.option("--overwrite", is_flag=True, help="Replace the run folder if it is there.")
@click.option("--quiet", is_flag=True, help="No progress.")
@json_option
@click.pass_context
def train_command(
    context: click.Context,
    data: str | None,
    recipe: str,
    out: str | None,
    epochs: int | None,
    batch_size: int | None,
    lr: float | None,
    schedule: Any,
    sets: tuple[str, ...],
    seed: int,
    device: str,
    data_dir: str | None,
    resume: str | None,
    checkpoint_every: float,
    stream: bool | None,
    standardize: Any,
    layout: Any,
    channels: Any,
    columns: TableOptions | None,
    image_size: str | None,
    fit: str | None,
    image_depth: str | None,
    on_bad_file: str | None,
    leave_out: tuple[str, ...],
    n_labels: int | None,
    overwrite: bool,
    quiet: bool,
    as_json: bool,
) -> int:
    """Train a recipe on DATA and leave a run folder.

    DATA is digits or sprites (bundled), mnist, fashion-mnist or kmnist; a table (.csv, .tsv, .parquet,
    .feather), whose columns may be numbers, words, dates, and have gaps; an array (.npy, .npz, .zarr);
    a folder of images or .tar shards of them. The run folder holds the model, its configuration, the
    history, the metrics, pictures and a report page.

    \b
    Example:
      autoencode train digits --recipe vae
      autoencode train sprites --recipe beta_tcvae
      autoencode train mnist --recipe mlp --epochs 3 --set latent_dim=8 --set activation=gelu
      autoencode train people.csv --id name --label group --kind visits=count
      autoencode train mnist --recipe m2_vae --labels 100
      autoencode train images.npy --recipe conv --set noise=masking --out runs/denoised
      autoencode train digits --recipe mine:tiny
      autoencode train --resume runs/mnist-mlp

    Ctrl-C or SIGTERM keeps a checkpoint and leaves; the same again leaves at once.
    """
    if resume is not None:
        return _show(_resumed(context, resume), device, quiet, as_json)
    options = _options({"epochs": epochs, "batch_size": batch_size, "lr": lr}, sets)
    if not data:
        raise OptionError("DATA is missing; give a data set or a file, or --resume RUN")
    if out is not None and not out.strip():
        raise OptionError("--out is empty; give a folder or leave it out")
    if out is None and launch.place().may_restart:
        raise OptionError("--max-restarts needs --out, or the run is not found again; give a folder")
    if not 0 <= checkpoint_every < float("inf"):
        raise OptionError(f"--checkpoint-every must not be negative, got {checkpoint_every:g}")

    from autoencode.recipes.catalogue import check_options
    from autoencode.runs import train

    check_options(recipe, options)  # also names that only `train` itself takes
    start = functools.partial(
        train,
        data,
        recipe,
        out=out,
        runs="runs",
        overwrite=overwrite,
        schedule=schedule,
        seed=seed,
        device=device,
        data_dir=data_dir,
        stream=stream,
        standardize=standardize,
        table=columns,
        layout=layout,
        channels=channels,
        images=images_from(image_size, fit, image_depth, on_bad_file),
        leave_out=leave_out,
        n_labels=n_labels,
        command=shlex.join(["autoencode", *context.obj]),
        checkpoint_seconds=checkpoint_every,
        recipe_options=options,
    )
    return _show(start, device, quiet, as_json)


# What --resume may stand beside; all else the run has from its beginning.
_WITH_RESUME = ("resume", "device", "data_dir", "quiet", "as_json")


def _resumed(context: click.Context, run: str) -> Callable[..., Run]:
    """Prepares to resume a run; refuses options that would make it another."""
    given = [
        parameter
        for parameter in context.command.params
        if context.get_parameter_source(str(parameter.name)) is ParameterSource.COMMANDLINE
    ]
    own = IMPORTED in context.meta
    for parameter in given:
        if parameter.name not in _WITH_RESUME and not (own and parameter.name == "recipe"):
            name = "DATA" if isinstance(parameter, click.Argument) else parameter.opts[-1]
            raise OptionError(f"--resume goes on with the run as it was started; leave out {name}")
    from autoencode.runs import resume

    device = context.params["device"] if any(p.name == "device" for p in given) else None
    return functools.partial(resume, run, device=device, data_dir=context.params["data_dir"])


def _show(start: Callable[..., Run], device: str, quiet: bool, as_json: bool) -> int:
    """Trains with progress, prints the result, and returns the exit code."""
    from autoencode import parallel
    from autoencode.console.progress import Download, Watcher
    from autoencode.trained import choose_device

    with (
        parallel.joined(choose_device(device)) as group,
        Watcher(quiet or not group.leads) as watcher,
        _Stopping(watcher) as signals,
        Download(watcher.quiet) as download,
    ):
        run = start(observer=watcher, on_bytes=download.progress)
    if group.leads:
        _say(run, quiet, as_json)
    if not run.complete and not signals.received:  # a signal that another process got
        return 128 + signal.SIGTERM
    return 128 + signals.received if signals.received else 0


def _say(run: Run, quiet: bool, as_json: bool) -> None:
    for notice in run.notices:
        say_notice(notice)
    if not quiet:
        _tell(run)
    if as_json:
        print_json(_result(run))
    elif quiet:
        say(str(run.folder))


def _options(flags: dict[str, Any], sets: tuple[str, ...]) -> dict[str, Any]:
    """Collects the recipe's options, from flags of their own and from ``--set``."""
    given = {name: value for name, value in flags.items() if value is not None}
    chosen = settings(sets)
    if twice := sorted(given.keys() & chosen.keys()):
        flag = twice[0].replace("_", "-")
        raise OptionError(f"--{flag} and --set {twice[0]} are both given; leave one out")
    return given | chosen


def _result(run: Run) -> dict[str, Any]:
    facts = run.trained.info["training"]
    return {
        **run.metrics,
        "run": str(run.folder),
        "recipe": run.trained.recipe.name,
        "data": run.data.name,
        "seed": run.seed,
        **facts,
        "diagnoses": run.diagnoses,
    }


def _tell(run: Run) -> None:
    for notice in run.data.notices:
        say_notice(notice)
    if not run.complete:
        step = run.trained.info["training"]["steps"]
        note(f"stopped at step {step}; autoencode train --resume {run.folder} goes on")
        return
    for found in run.diagnoses:
        note(f"doctor: {found['message']}; try {found['suggestion']}")
    shown = {name: value for name, value in run.metrics.items() if value is not None}
    note("test: " + ", ".join(f"{name} {number(value)}" for name, value in shown.items()))
    note(f"run:  {run.folder} (open {run.folder}/report.html)")


class _Stopping(Signals):
    """An observer that ends training after the step at Ctrl-C or SIGTERM; a second one ends at once.

    Before training has begun there is nothing to save, and once it is over there is nothing that the
    last checkpoint lacks: then the first leaves at once. A launcher hands on what its processes have
    got themselves (Ctrl-C goes to all of a terminal), so there the second counts only after a moment.
    """

    def __init__(self, watcher: Any) -> None:
        super().__init__()
        self.watcher = watcher
        self._since = 0.0

    def __enter__(self) -> Self:
        self.check()
        return super().__enter__()

    def _handle(self, number_: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        again = bool(Signals.received)
        if again and now < self._since + _ECHO and launch.place().world > 1:
            return
        Signals.received, self._since = number_, now
        self.watcher.stopping = True  # should the exception be lost
        if again or not self.watcher.training:
            raise Interrupted(number_, "nothing was written")
        if not self.watcher.quiet:  # print() must not be entered again from a signal handler
            with contextlib.suppress(OSError):
                os.write(2, b"stopping and saving; once more to leave at once\n")
