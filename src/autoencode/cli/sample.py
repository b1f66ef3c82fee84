"""The command ``sample``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from autoencode.cli.options import data_dir_option, device_option, json_option, seed_option
from autoencode.cli.shared import check_out, labels_for, load_run, out_option, write_result
from autoencode.errors import OptionError

if TYPE_CHECKING:
    from autoencode.data.values.as_given import Dtype


@click.command("sample")
@click.argument("run")
@click.option("-n", "n", type=int, default=64, show_default=True, help="How many.")
@click.option(
    "--prior",
    metavar="KIND",
    help="Fit a prior to the codes of the run's training examples first: gaussian, mixture, maf, iaf, "
    "two_stage or sphere; normal, which is N(0, I) and not fitted; vamp, of the posteriors of a recipe "
    "that has Gaussian ones; autoregressive for the integer codes of a quantised recipe; manifold for "
    "rhvae.  [default: the run's own]",
)
@click.option(
    "--components",
    metavar="N",
    type=click.IntRange(1),
    help="Gaussians of --prior mixture.  [default: 10 to 50, by the number of training examples]",
)
@click.option(
    "--label",
    metavar="LABEL",
    help="Of what class they shall be, for a recipe that is conditional on labels.  [default: its "
    "classes in turn]",
)
@click.option("--mean", is_flag=True, help="Means of p(x|z), in floating point.")
@click.option(
    "--draw",
    is_flag=True,
    help="Draws from p(x|z).  [default: draws for tables and sequences, means for images, volumes and "
    "pixels in rows, both in the types of the data]",
)
@out_option
@seed_option("Of the draws, and of the fit of a prior.")
@device_option
@data_dir_option
@json_option
def sample_command(
    run: str,
    n: int,
    prior: str | None,
    components: int | None,
    label: str | None,
    mean: bool,
    draw: bool,
    out: str | None,
    seed: int,
    device: str,
    data_dir: str | None,
    as_json: bool,
) -> None:
    """Draw new examples: from the prior, or from what is fitted to the codes of training examples.

    Rows of a table are draws from p(x|z), with whole numbers, categories and dates as the table had
    them, within the range of its training rows; images are means of p(x|z), of 8 bits where the
    training images were. Without -o a table is written as .csv, all else as .npy.

    \b
    Example:
      autoencode sample runs/mnist-vae -n 100 -o samples.png
      autoencode sample runs/mnist-conv --prior mixture -o samples.png
      autoencode sample runs/mnist-vqvae --prior autoregressive -o samples.png
      autoencode sample runs/mnist-cvae --label 7 -o sevens.png
      autoencode sample runs/people -n 1000 -o people.csv
    """
    from autoencode.runs.data import with_prior

    check_out(out)
    if mean and draw:
        raise OptionError("--mean and --draw are two ways to sample; give one of them")
    trained = load_run(run, device)
    labels = labels_for(trained, label, n)
    if components is not None and prior is None:
        raise OptionError("--components is for a prior that is to be fitted; say --prior mixture")
    if prior is not None:
        with_prior(trained, run, prior, seed, data_dir, components)
    # Means are rounded to the types of the data where they are written, not in pictures.
    made = trained.sample(n, seed, labels, mean=mean or not (draw or trained.draws))
    dtype: Dtype = "float" if mean else "same"
    write_result(out, Path(run) / "samples", made, trained, as_json, dtype=dtype)
