"""The command ``plot``."""

from __future__ import annotations

from pathlib import Path

import click

from autoencode.cli.options import (
    data_dir_option,
    device_option,
    json_option,
    seed_option,
    split_option,
)
from autoencode.cli.output import print_json, say
from autoencode.errors import OptionError


@click.command("plot")
@click.argument("run")
@click.argument("data", required=False)
@click.option(
    "--kind",
    default="all",
    show_default=True,
    metavar="columns|reconstructions|loss|latent|grid|traversals|samples|all",
    help="What to draw.",
)
@click.option(
    "--range",
    "extent",
    metavar="X0,X1,Y0,Y1",
    help="Of the grid's codes; X0,X1 alone: of a traversal.  [default: where 98 % of the codes lie]",
)
@click.option(
    "--dims", metavar="I,J,...", help="Dimensions to traverse.  [default: the ten most active]"
)
@click.option("--rows", type=int, default=20, show_default=True, help="Rows and columns of a grid.")
@click.option("-o", "--out", metavar="FILE", help="A .png for one kind.  [default: RUN/plots/]")
@split_option
@seed_option("Of the samples.")
@device_option
@data_dir_option
@json_option
def plot_command(
    run: str,
    data: str | None,
    kind: str,
    extent: str | None,
    dims: str | None,
    rows: int,
    out: str | None,
    split: str,
    seed: int,
    device: str,
    data_dir: str | None,
    as_json: bool,
) -> None:
    """Draw the pictures of a run again, or other ones, from its own held-out examples or DATA.

    \b
    Example:
      autoencode plot runs/mnist-mlp_latent2 --kind grid --range -5,10,-10,5
      autoencode plot runs/sprites-beta_tcvae --kind traversals --dims 0,3,7 --range -2,2
    """
    corners, sweep = _extent(extent, kind)
    chosen = None if dims is None else _numbers(dims)
    if not 2 <= rows <= 100:
        raise OptionError(f"--rows must lie between 2 and 100, got {rows}")
    target = _target(out, kind)
    from autoencode.pictures import of_runs as pictures
    from autoencode.pictures import plots
    from autoencode.runs.data import examples_for
    from autoencode.runs.run import plots_folder
    from autoencode.trained import choose_device, load_trained
    from autoencode.trained.model_files import read_history

    pictures.check_kind(kind)
    trained = load_trained(run, device=choose_device(device))
    kinds = pictures.available(trained) if kind == "all" else (kind,)
    history = read_history(run)
    examples = examples_for(trained, run, data, split, data_dir)
    figures = [
        pictures.draw(
            each,
            trained,
            examples,
            history,
            extent=corners,
            rows=rows,
            seed=seed,
            dimensions=chosen,
            sweep=sweep,
        )
        for each in kinds
    ]
    targets = [target or plots_folder(run) / f"{each}.png" for each in kinds]
    for path, figure in zip(targets, figures, strict=True):
        plots.save(figure, path)
    if as_json:
        print_json({"files": list(map(str, targets))})
    else:
        say(*map(str, targets))


def _target(out: str | None, kind: str) -> Path | None:
    from autoencode.jobs.codes import check_ending

    if out is None:
        return None
    if kind == "all":
        raise OptionError("-o names one picture; choose it with --kind")
    return check_ending(out, (".png",))


def _extent(
    text: str | None, kind: str
) -> tuple[tuple[float, float, float, float] | None, tuple[float, float] | None]:
    """Parses the corners of a grid, or the ends of a traversal."""
    if text is None:
        return None, None
    try:
        ends = [float(part) for part in text.split(",")]
    except ValueError:
        ends = []
    if kind == "traversals":
        if len(ends) != 2:
            raise OptionError(f"--range of a traversal takes two numbers X0,X1, got '{text}'")
        if not (ends[0] < ends[1] and abs(ends[0] + ends[1]) < float("inf")):
            raise OptionError(f"--range needs X0 < X1, got '{text}'")
        return None, (ends[0], ends[1])
    if len(ends) != 4:
        raise OptionError(f"--range takes four numbers X0,X1,Y0,Y1, got '{text}'")
    x0, x1, y0, y1 = ends
    if not (x0 < x1 and y0 < y1 and abs(x0 + x1 + y0 + y1) < float("inf")):
        raise OptionError(f"--range needs X0 < X1 and Y0 < Y1, got '{text}'")
    return (x0, x1, y0, y1), None


def _numbers(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise OptionError(f"--dims takes numbers such as 0,3,7, got '{text}'") from None
