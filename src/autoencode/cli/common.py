"""What the commands share: options, output and how they fail."""

from __future__ import annotations

import contextlib
import functools
import json
import math
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn, Self

import click

from autoencode import launch
from autoencode.console import note
from autoencode.errors import OptionError, nearest

if TYPE_CHECKING:
    from autoencode.data import ImageOptions, TableOptions

MAX_SEED = 2**63 - 1


class Interrupted(BaseException):
    """A signal ended the program; not an ``Exception``, so that nothing takes it for a failure.

    Attributes:
        remark: what the user should know, if anything is known.
    """

    def __init__(self, signal_number: int, remark: str | None = None) -> None:
        super().__init__(signal_number)
        self.exit_code = 128 + signal_number
        self.remark = remark


class Signals:
    """Lets Ctrl-C and SIGTERM end a block, so that nothing half-done is left behind.

    An exception that a handler raises is lost where Python calls it inside a callback of the
    interpreter, which is not rare while large libraries are imported; so ``received`` remembers it.
    Handlers can be set by the main thread only; elsewhere the block runs as it is.
    """

    received = 0  # of the whole program

    def __init__(self) -> None:
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number_ in (signal.SIGINT, signal.SIGTERM):
                self._before[number_] = signal.signal(number_, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number_, handler in self._before.items():
            signal.signal(number_, handler)

    def _handle(self, number_: int, frame: FrameType | None) -> None:
        Signals.received = number_
        raise Interrupted(number_)

    @staticmethod
    def check() -> None:
        """Ends the program now if it should have ended before."""
        if Signals.received:
            raise Interrupted(Signals.received)


# What may be started by torchrun; anything else would only be done several times.
_PARALLEL = ("train", "embed")


class Commands(click.Group):
    """A group that names the nearest command when it does not know one."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in self.commands:
            raise click.UsageError(
                f"unknown command '{args[0]}'; {nearest(args[0], self.commands)}", ctx
            )
        found = super().resolve_command(ctx, args)
        if found[0] not in _PARALLEL and launch.place().world > 1:
            raise click.UsageError(f"{found[0]} is for one process; start it without torchrun", ctx)
        return found

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # the reader (head, say) has what it wanted
            discard_stdout()
            return 0


def discard_stdout() -> None:
    """Lets what is left in stdout's buffer fail silently at exit, where nobody could catch it."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def fail(message: str, code: int, alone: int | None = None) -> NoReturn:
    """Ends the program with one line on stderr; among many processes the first says it for all.

    Args:
        message: what is wrong.
        code: to exit with.
        alone: the number of the process that met this error by itself, and so has to say it.
    """
    if alone is not None:
        note(f"error in process {alone}: {' '.join(message.split())}")
    elif launch.speaks():
        note(f"error: {' '.join(message.split())}")
    sys.exit(code)


def print_json(value: Mapping[str, Any]) -> None:
    """One JSON object on one line of stdout; numbers that are none become null."""
    click.echo(json.dumps(_finite(value), allow_nan=False))


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    return value


Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def json_option(function: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--json", "as_json", is_flag=True, help="Print one JSON object as the last line of stdout."
    )(function)


def device_option(function: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--device",
        default="auto",
        show_default=True,
        metavar="auto|cpu|cuda|mps",
        help="Where to compute; auto takes a GPU if there is one.",
    )(function)


def data_dir_option(function: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--data-dir",
        metavar="DIR",
        help="Where named data sets lie and are downloaded to.  [default: $AUTOENCODE_DATA, else "
        "the user's cache folder]",
    )(function)


def seed_option(text: str) -> Decorator:
    kind = click.IntRange(0, MAX_SEED)
    return click.option("--seed", type=kind, default=0, show_default=True, metavar="S", help=text)


def split_option(function: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--split",
        default="test",
        show_default=True,
        metavar="test|validation|train",
        help="Which part of the run's own data.",
    )(function)


def table_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """``--label``, ``--id``, ``--drop`` and ``--kind``, as one argument ``columns`` of the command."""

    @functools.wraps(function)
    def command(
        *args: Any,
        label: str | None,
        row_id: str | None,
        drop: tuple[str, ...],
        kinds: tuple[str, ...],
        **kwargs: Any,
    ) -> Any:
        return function(*args, columns=_table_of(label, row_id, drop, kinds), **kwargs)

    decorated: Callable[..., Any] = command
    for option in _TABLE_OPTIONS:
        decorated = option(decorated)
    return decorated


_TABLE_OPTIONS = (
    click.option(
        "--kind",
        "kinds",
        multiple=True,
        metavar="COLUMN=KIND",
        help="Of a table: what a column's values are where the file does not tell: real, count, "
        "boolean, category or date; may be repeated.",
    ),
    click.option(
        "--drop",
        multiple=True,
        metavar="COLUMN",
        help="Of a table: a column to leave out; may be repeated.",
    ),
    click.option(
        "--id",
        "row_id",
        metavar="COLUMN",
        help="Of a table: the column that names each row; it is kept in what is written.",
    ),
    click.option(
        "--label",
        metavar="COLUMN",
        help="Of a table: the column of labels, of which only recipes that are conditional on them "
        "(cvae, m2_vae) learn.",
    ),
)


def _table_of(
    label: str | None, row_id: str | None, drop: tuple[str, ...], kinds: tuple[str, ...]
) -> TableOptions | None:
    """What was said of a table's columns; ``None`` for nothing."""
    from autoencode.data import TableOptions

    found = {}
    for pair in kinds:
        name, sign, kind = pair.rpartition("=")
        if not sign or not name:
            raise OptionError(f"--kind takes COLUMN=KIND, got '{pair}'")
        found[name.strip()] = kind.strip()
    options = TableOptions(label, row_id, drop, found)  # type: ignore[arg-type]
    return options if options else None


def bad_file_option(function: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--on-bad-file",
        type=click.Choice(["refuse", "skip"]),
        metavar="refuse|skip",
        help="Of images: what to do with a damaged file; those skipped are counted and named.  "
        "[default: refuse, or as in training]",
    )(function)


def image_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """``--image-size`` and ``--fit``, which ``images_from`` reads."""
    function = click.option(
        "--fit",
        type=click.Choice(["crop", "resize"]),
        default="crop",
        show_default=True,
        metavar="crop|resize",
        help="Of images of another size: cut off what is beyond, or stretch.",
    )(function)
    return click.option(
        "--image-size",
        metavar="N|HxW",
        help="Of images: what to bring them to, pixels.  [default: their own where they have one size, "
        "else 64]",
    )(function)


def images_from(size: str | None, fit: str, on_bad_file: str | None) -> ImageOptions | None:
    """What was said of images; ``None`` for nothing."""
    from autoencode.data import ImageOptions

    wanted = None
    if size is not None:
        sides = size.lower().split("x")
        if not (1 <= len(sides) <= 2 and all(side.isdecimal() for side in sides)):
            raise OptionError(f"--image-size takes pixels, as 64 or 48x64 (height first), got '{size}'")
        wanted = (int(sides[0]), int(sides[-1]))
    options = ImageOptions(wanted, fit, on_bad_file or "refuse")  # type: ignore[arg-type]
    return options if options else None


def settings(pairs: tuple[str, ...]) -> dict[str, str]:
    """``option=value`` pairs as a mapping."""
    found: dict[str, str] = {}
    for pair in pairs:
        name, sign, value = (part.strip() for part in pair.partition("="))
        if not sign or not name:
            raise OptionError(f"--set takes option=value, got '{pair}'")
        if name in found:
            raise OptionError(f"--set {name} is given twice; leave one out")
        found[name] = value
    return found


def table(rows: list[list[str]]) -> str:
    """Rows as aligned columns."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows
    ]
    return "\n".join(line.rstrip() for line in lines)
