"""The command ``explore``."""

from __future__ import annotations

import hashlib
from pathlib import Path

import click

from autoencode.cli.options import data_dir_option, device_option, json_option
from autoencode.cli.output import print_json, say, say_notice
from autoencode.errors import OptionError


@click.command("explore")
@click.argument("run")
@click.option("--data", metavar="DATA", help="What to show.  [default: the run's own data, all parts]")
@click.option("--export", "out", metavar="FILE.html", help="Write the page here and open nothing.")
@click.option("--max-points", type=int, default=100_000, show_default=True, help="The most points.")
@click.option(
    "--originals",
    type=int,
    help="Of how many points the example itself is in the page.  [default: 8 MB, 10 000 at most]",
)
@click.option(
    "--axes",
    metavar="I,J",
    help="Dimensions of the code to show.  [default: both of two, else the principal axes]",
)
@click.option("--no-browser", is_flag=True, help="Open no browser; the line says where the page is.")
@device_option
@data_dir_option
@json_option
def explore_command(
    run: str,
    data: str | None,
    out: str | None,
    max_points: int,
    originals: int | None,
    axes: str | None,
    no_browser: bool,
    device: str,
    data_dir: str | None,
    as_json: bool,
) -> None:
    """See a run's data in latent space, and what the decoder makes of every place of it.

    The page is one file that holds the points, originals, the decoder and all that shows them. It needs
    no server and asks nothing of the network.

    \b
    Example:
      autoencode explore runs/mnist-vae
      autoencode explore runs/mnist-vae --export mnist.html
    """
    chosen = None if axes is None else _axes(axes)
    target = None if out is None else _target(out)
    from autoencode.explorer import explore

    explorer = explore(
        run,
        data,
        max_points=max_points,
        originals=originals,
        axes=chosen,
        data_dir=data_dir,
        device=device,
    )
    for notice in explorer.notices:
        say_notice(notice)
    page = explorer.to_html(_kept(run) if target is None else target)
    head = explorer.scene.head
    if as_json:
        decodes = "why_not" not in head["decoder"]
        print_json({"file": str(page), "points": head["n"], "bytes": _size(page), "decodes": decodes})
    else:
        say(f"{page}: {head['n']} points, {_size(page) / 1e6:.1f} MB")
    if target is None and not no_browser:
        click.launch(page.resolve().as_uri())


def _target(out: str) -> Path:
    from autoencode.jobs.codes import check_ending

    return check_ending(out, (".html",))


def _kept(run: str) -> Path:
    """Finds where the page of a run lies that nobody gave a name to: in the cache, one for each run."""
    from autoencode.data.formats.download import cache_folder
    from autoencode.files.atomic import writing

    folder = cache_folder() / "explorer"
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    place = Path(run).resolve()
    mark = hashlib.sha256(str(place).encode(errors="surrogateescape")).hexdigest()[:8]
    return folder / f"{place.name}-{mark}.html"


def _size(page: Path) -> int:
    return page.stat().st_size


def _axes(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise OptionError(f"--axes takes two numbers such as 0,3, got '{text}'") from None
