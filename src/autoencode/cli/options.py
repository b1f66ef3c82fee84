"""Options that several commands share."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from autoencode.errors import OptionError

if TYPE_CHECKING:
    from autoencode.data import ImageOptions, TableOptions

MAX_SEED = 2**63 - 1
_DEPTHS = {"8": "uint8", "16": "uint16", "float": "float32"}  # of images
IMPORTED = "autoencode.imported"  # in a context: that --recipe named a module


Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def with_own_recipes(command: click.Command) -> click.Command:
    """Lets ``--recipe`` of a command be a recipe of the user's own, and adds it where there is none.

    Its module is imported before the command begins. A command that trains is given the recipe's plain
    name; one that uses a run needs no more than the import.
    """
    inner = command.callback
    assert inner is not None
    trains = any(parameter.name == "recipe" for parameter in command.params)
    if not trains:
        command.params.append(_RECIPE_OF_RUN)

    @functools.wraps(inner)
    def callback(*args: Any, recipe: str | None, **kwargs: Any) -> Any:
        own = recipe is not None and (":" in recipe or not trains)
        if recipe is not None and own:
            recipe = import_recipe(recipe)
            click.get_current_context().meta[IMPORTED] = True
        if trains:
            kwargs["recipe"] = None if own and kwargs.get("run") is not None else recipe
        return inner(*args, **kwargs)

    command.callback = callback
    return command


_RECIPE_OF_RUN = click.Option(
    ["--recipe"],
    metavar="MODULE:FUNCTION",
    help="Of a run with a recipe of your own: where the recipe is; the current folder is searched too.",
)


def import_recipe(recipe: str) -> str:
    """The name of a recipe, once its module is imported; searched in the current folder as well."""
    from autoencode.recipes import recipe_info

    if ":" in recipe and os.getcwd() not in sys.path:  # as by python -m
        sys.path.insert(0, os.getcwd())
    return recipe_info(recipe).name


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
        help="Where named data sets lie and are downloaded to.  [default: $AUTOENCODE_DATA, which "
        "is only read, and the cache: $AUTOENCODE_CACHE, else the user's]",
    )(function)


def layout_option(function: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--layout",
        type=click.Choice(["row", "image", "sequence", "volume"]),
        metavar="LAYOUT",
        help="Of an array: what an example is: row (numbers), image, sequence (steps, features) or "
        "volume (depth, height, width).  [default: by the number of axes]",
    )(function)


def channels_option(function: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--channels",
        type=click.Choice(["first", "last"]),
        metavar="first|last",
        help="Of an array of images or volumes: where the channels are.  [default: last where 1, 3 or "
        "4 are there and not in front]",
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
    """Adds the options of what columns of tables are for, and ``spelling_options``.

    The command is given them as one argument ``columns``.
    """

    @functools.wraps(function)
    def command(
        *args: Any,
        label: str | None,
        row_id: str | None,
        drop: tuple[str, ...],
        keep: tuple[str, ...],
        kinds: tuple[str, ...],
        max_categories: int | None,
        spelled: TableOptions | None,
        **kwargs: Any,
    ) -> Any:
        columns = _table_of(label, row_id, drop, keep, kinds, max_categories)
        if spelled is not None:
            columns = spelled if columns is None else columns.over(spelled)
        return function(*args, columns=columns, **kwargs)

    decorated: Callable[..., Any] = spelling_options(command)
    for option in _TABLE_OPTIONS:
        decorated = option(decorated)
    return decorated


def spelling_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds ``--header``, ``--decimal``, ``--thousands``, ``--date-order`` as argument ``spelled``."""

    @functools.wraps(function)
    def command(
        *args: Any,
        header: bool | None,
        decimal: str | None,
        thousands: str | None,
        date_order: Any,
        **kwargs: Any,
    ) -> Any:
        from autoencode.reading import TableOptions

        found = TableOptions(header=header, decimal=decimal, thousands=thousands, date_order=date_order)
        return function(*args, spelled=found if found else None, **kwargs)

    decorated: Callable[..., Any] = command
    for option in _SPELLING_OPTIONS:
        decorated = option(decorated)
    return decorated


_SPELLING_OPTIONS = (
    click.option(
        "--date-order",
        type=click.Choice(["dmy", "mdy", "ymd"]),
        metavar="dmy|mdy|ymd",
        help="Of a table: the order of day, month and year in dates such as 1/2/2020.  [default: told "
        "by numbers above 12, else month first with slashes, day first with points and hyphens]",
    ),
    click.option(
        "--thousands",
        metavar="SIGN",
        help="Of a table: the sign between thousands in text: , . ' a space, or nothing.  [default: "
        "recognised]",
    ),
    click.option(
        "--decimal",
        metavar=".|,",
        help="Of a table: the sign before the fraction in text.  [default: recognised; 1,234 alone is "
        "1234, in a file with semicolons 1.234]",
    ),
    click.option(
        "--header/--no-header",
        default=None,
        help="Of a text table: whether the first line names the columns.  [default: recognised]",
    ),
)


_TABLE_OPTIONS = (
    click.option(
        "--max-categories",
        type=click.IntRange(2),
        metavar="N",
        help="Of a table: categories that a column may have to be learned each by itself; of more, "
        "rare ones are learned together with their neighbours in the alphabet.  [default: 2000]",
    ),
    click.option(
        "--kind",
        "kinds",
        multiple=True,
        metavar="COLUMN=KIND",
        help="Of a table: what a column's values are where the file does not tell: real, count, "
        "boolean, category or date; may be repeated.",
    ),
    click.option(
        "--keep",
        multiple=True,
        metavar="COLUMN",
        help="Of a table: a column to learn from although it looks like numbers or names of the rows, "
        "which are left out; may be repeated.",
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
    label: str | None,
    row_id: str | None,
    drop: tuple[str, ...],
    keep: tuple[str, ...],
    kinds: tuple[str, ...],
    max_categories: int | None,
) -> TableOptions | None:
    """Makes the options of a table's columns; ``None`` where none were given."""
    from autoencode.data import TableOptions

    found = {}
    for pair in kinds:
        name, sign, kind = pair.rpartition("=")
        if not sign or not name:
            raise OptionError(f"--kind takes COLUMN=KIND, got '{pair}'")
        found[name.strip()] = kind.strip()
    most = {} if max_categories is None else {"max_categories": max_categories}
    options = TableOptions(label, row_id, drop, found, keep, **most)  # type: ignore[arg-type]
    return options if options else None


def unknown_option(*ways: str) -> Decorator:
    """Adds ``--handle-unknown``, whose first way is what happens by default."""
    return click.option(
        "--handle-unknown",
        type=click.Choice(ways),
        metavar="|".join(ways),
        help="Of a table: what becomes of a category that training did not see: "
        f"{_UNKNOWN[ways[0]]}, or an error.  [default: {ways[0]}, or as in training]",
    )


_UNKNOWN = {
    "ignore": "ignore takes it as none of those that are known",
    "flag": "flag counts it as surprising as it is",
}


def bad_file_option(function: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--on-bad-file",
        type=click.Choice(["refuse", "skip"]),
        metavar="refuse|skip",
        help="Of images: what to do with a damaged file; those skipped are counted and named.  "
        "[default: refuse, or as in training]",
    )(function)


def image_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds ``--image-size``, ``--fit`` and ``--image-depth``, which ``images_from`` reads."""
    function = click.option(
        "--fit",
        type=click.Choice(["crop", "resize", "patches"]),
        default=None,
        metavar="crop|resize|patches",
        help="Of images of another size: cut off what is beyond, stretch, or cut them into pieces at "
        "their own resolution.  [default: crop; patches for recipes that take any size, unless "
        "--image-size is given]",
    )(function)
    function = click.option(
        "--image-depth",
        type=click.Choice(list(_DEPTHS)),
        metavar="8|16|float",
        help="Of images: bits of a pixel to bring them to.  [default: their own]",
    )(function)
    return click.option(
        "--image-size",
        metavar="N|HxW",
        help="Of images: what to bring them to, pixels.  [default: their own where they have one size, "
        "or half of them have, else 64]",
    )(function)


def images_from(
    size: str | None, fit: str | None, depth: str | None, on_bad_file: str | None
) -> ImageOptions | None:
    """Makes the options of images; ``None`` where none were given."""
    from autoencode.data import ImageOptions

    wanted = None
    if size is not None:
        sides = size.lower().split("x")
        if not (1 <= len(sides) <= 2 and all(side.isdecimal() for side in sides)):
            raise OptionError(f"--image-size takes pixels, as 64 or 48x64 (height first), got '{size}'")
        wanted = (int(sides[0]), int(sides[-1]))
    options = ImageOptions(
        wanted,
        fit,  # type: ignore[arg-type]
        on_bad_file or "refuse",  # type: ignore[arg-type]
        _DEPTHS[depth] if depth else "",
    )
    return options if options else None


def settings(pairs: tuple[str, ...]) -> dict[str, str]:
    """Parses ``option=value`` pairs into a mapping."""
    found: dict[str, str] = {}
    for pair in pairs:
        name, sign, value = (part.strip() for part in pair.partition("="))
        if not sign or not name:
            raise OptionError(f"--set takes option=value, got '{pair}'")
        if name in found:
            raise OptionError(f"--set {name} is given twice; leave one out")
        found[name] = value
    return found
