"""Commands that use a trained model: reconstruct, embed, classify, decode, sample."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from autoencode.cli.common import (
    Signals,
    bad_file_option,
    data_dir_option,
    device_option,
    json_option,
    print_json,
    seed_option,
    split_option,
)
from autoencode.console import note
from autoencode.errors import OptionError

if TYPE_CHECKING:
    from autoencode.data import Examples
    from autoencode.trained import Trained


@dataclass(frozen=True)
class _Reading:
    """How a command that reads examples was asked to."""

    split: str
    on_bad_file: str | None
    device: str
    data_dir: str | None

    def examples(self, trained: Trained, run: str, data: str | None) -> Examples:
        """DATA, or a part of the run's own data."""
        from autoencode.past import examples_for

        examples = examples_for(trained, run, data, self.split, self.data_dir, self.on_bad_file)
        _note(examples.notices)
        return examples


def _reading_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """``--split``, ``--on-bad-file``, ``--device`` and ``--data-dir``, as one argument ``reading``."""

    @split_option
    @bad_file_option
    @device_option
    @data_dir_option
    @functools.wraps(function)
    def command(
        *args: Any,
        split: str,
        on_bad_file: str | None,
        device: str,
        data_dir: str | None,
        **kwargs: Any,
    ) -> Any:
        reading = _Reading(split, on_bad_file, device, data_dir)
        return function(*args, reading=reading, **kwargs)

    return command


def _note(notices: Iterable[str]) -> None:
    for notice in notices:
        note(f"note: {notice}")


def _load(run: str, device: str) -> Trained:
    from autoencode.io import load_trained
    from autoencode.trained import choose_device

    return load_trained(run, device=choose_device(device))


def _write(
    out: str | None, default: Path, array: Any, trained: Trained, as_json: bool, ids: Any = None
) -> None:
    """Writes a result and says where."""
    from autoencode.cli.files import check_ending
    from autoencode.outputs import write_array

    target = default if out is None else check_ending(out)
    write_array(target, array, trained, ids)
    _tell(target, array.shape, str(array.dtype), as_json)


def _tell(target: Path, shape: tuple[int, ...], dtype: str, as_json: bool) -> None:
    if as_json:
        print_json({"file": str(target), "shape": list(shape), "dtype": dtype})
    else:
        click.echo(f"{target}: {' x '.join(map(str, shape))} {dtype}")


def _check_out(out: str | None, codes: bool = False) -> None:
    from autoencode.cli.files import CODES, EXAMPLES, check_ending

    if out is not None:
        check_ending(out, CODES if codes else EXAMPLES)


_out = click.option(
    "-o",
    "--out",
    metavar="FILE",
    help=".npy, .npz, .csv, .parquet, .feather or .png; without an ending a new folder of images.  "
    "[default: in the run folder]",
)


@click.command("reconstruct")
@click.argument("run")
@click.argument("data", required=False)
@_out
@_reading_options
@json_option
def reconstruct_command(
    run: str,
    data: str | None,
    out: str | None,
    reading: _Reading,
    as_json: bool,
) -> None:
    """Send examples through the code and back, in their own units.

    \b
    Example:
      autoencode reconstruct runs/mnist-vae -o reconstructions.png
      autoencode reconstruct runs/mnist-vae images.npy -o reconstructions.npy
    """
    _check_out(out)
    trained = _load(run, reading.device)
    examples = reading.examples(trained, run, data)
    result = trained.reconstruct(examples)
    _write(out, Path(run) / "reconstructions.npy", result, trained, as_json, examples.ids)


@click.command("embed")
@click.argument("run")
@click.argument("data", nargs=-1)
@click.option(
    "-o",
    "--out",
    metavar="FILE",
    help=".npy, .npz, .csv, .parquet or .feather.  [default: RUN/codes.npy]",
)
@_reading_options
@json_option
def embed_command(
    run: str,
    data: tuple[str, ...],
    out: str | None,
    reading: _Reading,
    as_json: bool,
) -> None:
    """Turn examples x into codes z, one deterministic code each.

    The codes of several files come one after the other. Files are read and codes are written piece by
    piece, so both may be larger than memory. Under torchrun all processes share the work.

    \b
    Example:
      autoencode embed runs/mnist-vae -o codes.csv
      autoencode embed runs/mnist-vae images.npy more.npy -o codes.npy
    """
    import numpy as np

    from autoencode import parallel
    from autoencode.cli.files import check_ending, write_codes
    from autoencode.outputs import codes_table, write_frame
    from autoencode.past import examples_to_embed
    from autoencode.shards import embed_all
    from autoencode.trained import choose_device

    _check_out(out, codes=True)
    Signals.check()
    with parallel.joined(choose_device(reading.device)) as group:
        trained = _load(run, reading.device)
        ids: list[Any] = []

        def load(one: str | None) -> Any:
            examples = examples_to_embed(
                trained, run, one, reading.split, reading.data_dir, reading.on_bad_file
            )
            ids.append(examples.ids)
            _note(examples.notices)
            return examples

        pieces = embed_all(trained, data or (None,), load)
        if not group.leads:
            return
        target = Path(run) / "codes.npy" if out is None else check_ending(out)
        ending = target.suffix.lower()
        if group.world > 1 and any(one is not None for one in ids):
            _note(["many processes hand on codes only; the names of the rows are left out"])
            ids.clear()
        first = list(itertools.islice(pieces, 1))  # with it, the first source's names are known
        pieces = itertools.chain(first, pieces)
        named = bool(trained.spec.columns) or (ids and ids[0] is not None)
        if ending in (".parquet", ".feather") or (ending == ".csv" and named):
            codes = np.concatenate(list(pieces))
            write_frame(target, codes_table(codes, trained, ids))
            n = len(codes)
        else:
            n = write_codes(target, pieces, trained.latent_shape)
    _tell(target, (n, *trained.latent_shape), "float32", as_json)


@click.command("classify")
@click.argument("run")
@click.argument("data", required=False)
@click.option(
    "-o", "--out", metavar="FILE", help=".csv, .parquet or .feather.  [default: RUN/labels.csv]"
)
@_reading_options
@json_option
def classify_command(
    run: str,
    data: str | None,
    out: str | None,
    reading: _Reading,
    as_json: bool,
) -> None:
    """Guess the label of each example, with the probability of every class.

    For a recipe that learns to guess them (m2_vae). Labels that the examples have are not looked at.

    \b
    Example:
      autoencode classify runs/mnist-m2_vae images.npy -o labels.csv
    """
    from autoencode.cli.files import check_ending
    from autoencode.outputs import TABLES, classes_table, write_frame

    target = Path(run) / "labels.csv" if out is None else check_ending(out, TABLES)
    trained = _load(run, reading.device)
    examples = reading.examples(trained, run, data)
    shares = trained.class_probabilities(examples.labelled(None))
    write_frame(target, classes_table(shares, trained, examples.ids))
    _tell(target, shares.shape, "float32", as_json)


_label = click.option(
    "--label",
    metavar="LABEL",
    help="Of what class they shall be, for a recipe that is conditional on labels.",
)


def _labels(trained: Trained, label: str | None, n: int) -> list[str] | None:
    """The label n times; ``None`` for none.

    Raises:
        OptionError: for a model that is not conditional on labels.
    """
    if label is None:
        return None
    if not trained.spec.classes:
        raise OptionError(
            f"--label is for a recipe that is conditional on labels (cvae, m2_vae) and this run's is "
            f"{trained.recipe.name}; leave it out"
        )
    return [label] * n


@click.command("decode")
@click.argument("run")
@click.argument("codes")
@_label
@_out
@device_option
@json_option
def decode_command(
    run: str, codes: str, label: str | None, out: str | None, device: str, as_json: bool
) -> None:
    """Turn CODES (.npy, .npz or .csv, one row for each z) into examples.

    \b
    Example:
      autoencode decode runs/mnist-vae codes.csv -o decoded.png
      autoencode decode runs/mnist-cvae codes.csv --label 7 -o sevens.png
    """
    from autoencode.cli.files import read_codes

    _check_out(out)
    trained = _load(run, device)
    z = read_codes(codes)
    if trained.spec.classes and label is None:
        raise OptionError(
            f"recipe {trained.recipe.name} is conditional on labels; say by --label which class these "
            f"codes shall be of ({', '.join(trained.spec.classes[:10])})"
        )
    decoded = trained.decode(z, _labels(trained, label, len(z) if z.ndim else 0))
    _write(out, Path(run) / "decoded.npy", decoded, trained, as_json)


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
@_out
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
    out: str | None,
    seed: int,
    device: str,
    data_dir: str | None,
    as_json: bool,
) -> None:
    """Draw new examples: from the prior, or from a Gaussian fitted to a plain autoencoder's codes.

    \b
    Example:
      autoencode sample runs/mnist-vae -n 100 -o samples.png
      autoencode sample runs/mnist-conv --prior mixture -o samples.png
      autoencode sample runs/mnist-vqvae --prior autoregressive -o samples.png
      autoencode sample runs/mnist-cvae --label 7 -o sevens.png
    """
    from autoencode.past import with_prior

    _check_out(out)
    trained = _load(run, device)
    labels = _labels(trained, label, n)
    if components is not None and prior is None:
        raise OptionError("--components is for a prior that is to be fitted; say --prior mixture")
    if prior is not None:
        with_prior(trained, run, prior, seed, data_dir, components)
    _write(out, Path(run) / "samples.npy", trained.sample(n, seed, labels), trained, as_json)
