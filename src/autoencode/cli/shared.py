"""Options and helpers of the commands that use a trained model."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from autoencode.cli.options import (
    bad_file_option,
    data_dir_option,
    device_option,
    spelling_options,
    split_option,
    unknown_option,
)
from autoencode.cli.output import print_json, say, say_notice
from autoencode.errors import OptionError

if TYPE_CHECKING:
    from autoencode.data import Examples, TableOptions
    from autoencode.data.values.as_given import Dtype
    from autoencode.jobs.results import Written
    from autoencode.trained import Trained
    from autoencode.types import Unknown


@dataclass(frozen=True)
class Reading:
    """The options of a command that reads examples."""

    split: str
    on_bad_file: str | None
    device: str
    data_dir: str | None
    handle_unknown: Unknown | None = None
    spelled: TableOptions | None = None

    def examples(self, trained: Trained, run: str, data: str | None) -> Examples:
        """Reads DATA, or a part of the run's own data."""
        from autoencode.runs.data import examples_for

        trained.handling_unknown(self.handle_unknown)
        examples = examples_for(
            trained, run, data, self.split, self.data_dir, self.on_bad_file, self.spelled
        )
        for notice in examples.notices:
            say_notice(notice)
        return examples


def reading_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options of how examples are read, of a table how it is spelled and what is new in it.

    The command is given them as one argument ``reading``.
    """

    @split_option
    @bad_file_option
    @unknown_option("ignore", "error")
    @device_option
    @data_dir_option
    @spelling_options
    @functools.wraps(function)
    def command(
        *args: Any,
        split: str,
        on_bad_file: str | None,
        handle_unknown: Unknown | None,
        device: str,
        data_dir: str | None,
        spelled: TableOptions | None,
        **kwargs: Any,
    ) -> Any:
        reading = Reading(split, on_bad_file, device, data_dir, handle_unknown, spelled)
        return function(*args, reading=reading, **kwargs)

    return command


def load_run(run: str, device: str) -> Trained:
    from autoencode.trained import choose_device, load_trained

    return load_trained(run, device=choose_device(device))


def write_result(
    out: str | None,
    default: Path,
    array: Any,
    trained: Trained,
    as_json: bool,
    examples: Examples | None = None,
    dtype: Dtype = "float",
) -> None:
    """Writes a result in the form of what was read and says where; of a table by default a table."""
    from autoencode.jobs.codes import check_ending
    from autoencode.jobs.results import write_array

    own = default.with_suffix(".csv" if trained.spec.columns else ".npy")
    target = own if out is None else check_ending(out)
    ids, like = (None, None) if examples is None else (examples.ids, examples.like)
    say_written(target, write_array(target, array, trained, ids, like, dtype), as_json)


def say_written(target: Path, written: Written, as_json: bool) -> None:
    """Says what was written where."""
    if as_json:
        print_json({"file": str(target), "shape": list(written.shape), "dtype": written.dtype})
    else:
        say(f"{target}: {written}")


def dtype_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds ``--dtype``."""
    return click.option(
        "--dtype",
        type=click.Choice(["float", "same"]),
        default="float",
        show_default=True,
        help="Numbers in floating point, or the types of the data: whole ones are rounded.",
    )(function)


def say_examples(target: Path, n: int, as_json: bool) -> None:
    """Says how many examples were written, and where."""
    if as_json:
        print_json({"file": str(target), "n": n})
    else:
        say(f"{target}: {n} examples")


def check_out(out: str | None) -> None:
    """Refuses, before any work, a file that nothing can be written to."""
    from autoencode.jobs.codes import check_ending

    if out is not None:
        check_ending(out)


out_option = click.option(
    "-o",
    "--out",
    metavar="FILE",
    help=".npy, .npz, .csv, .parquet, .feather or .png; without an ending a new folder of images.  "
    "[default: in the run folder]",
)


label_option = click.option(
    "--label",
    metavar="LABEL",
    help="Of what class they shall be, for a recipe that is conditional on labels.",
)


def labels_for(trained: Trained, label: str | None, n: int) -> list[str] | None:
    """Repeats the label n times; ``None`` where none was given.

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
