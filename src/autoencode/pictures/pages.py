"""Self-contained web pages that say what a run was, how well it did and how to repeat it.

The page asks nothing of the network: pictures and style lie inside it, and there is no script.
"""

from __future__ import annotations

import base64
import json
import math
import os
import struct
from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Any, NotRequired, TypedDict, cast

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure

from autoencode.console import printable
from autoencode.errors import DataError, StorageError
from autoencode.evaluate.card import Card
from autoencode.files.atomic import write_atomically
from autoencode.pictures.cell_text import brief
from autoencode.pictures.found_rows import FoundRow
from autoencode.pictures.of_views import View
from autoencode.pictures.plots import png

_PNG = b"\x89PNG\r\n\x1a\n"


class Metric(TypedDict):
    """A number about a model: ``value`` is ``None`` where it could not be computed."""

    name: str
    value: float | None
    unit: str
    meaning: str


class Exhibit(TypedDict):
    """A table or panels of the report, which are shown as such and not as a picture."""

    view: View
    caption: str


class Picture(TypedDict):
    """A picture of the report: a figure, the bytes of a PNG file or the path of one."""

    image: Figure | bytes | str | os.PathLike[str]
    caption: str
    alt: NotRequired[str]


Shown = Picture | Exhibit


def write_report(
    path: str | os.PathLike[str],
    *,
    title: str,
    config: Mapping[str, Any],
    metrics: Sequence[Metric],
    history: Sequence[Mapping[str, Any]],
    pictures: Iterable[Shown],
    notices: Sequence[str] = (),
    history_unit: str = "nats per example",
    diagnoses: Sequence[Mapping[str, Any]] | None = None,
) -> None:
    """Writes the report of a run as one HTML file, whole or not at all.

    Args:
        path: the file, usually ``report.html`` in the run folder.
        title: the name of the run.
        config: what was run, nested as it likes. ``command`` (a command line) and ``environment``
            (versions and hardware) get sections of their own.
        metrics: what was measured.
        history: one mapping per epoch; entries may be missing.
        pictures: what to show, in order; pictures are PNG, their ``alt`` is the caption unless given.
        notices: what a reader must know before believing the numbers.
        history_unit: what the loss is measured in.
        diagnoses: what the training doctor found, each with ``message``, ``suggestion`` and
            ``epoch``; ``None`` when nobody looked.

    """
    keys = dict.fromkeys(key for entry in history for key in entry)
    columns = [key for key in keys if key != "diagnoses"]
    page = _template("report.html").render(
        title=title,
        notices=notices,
        metrics=metrics,
        pictures=[_item(each) for each in pictures],
        command=config.get("command"),
        snippet=_snippet(Path(path).parent),
        sections=_sections(config),
        columns=columns,
        history=[[entry.get(key) for key in columns] for entry in history],
        history_unit=history_unit,
        diagnoses=diagnoses,
    )
    write_atomically(path, page.encode())


def write_anomalies(
    path: str | os.PathLike[str],
    *,
    title: str,
    facts: Mapping[str, Any],
    found: Sequence[FoundRow],
    what: str,
    pictures: Iterable[Shown],
) -> None:
    """Writes a page of the rows that were found anomalous as one HTML file, whole or not at all.

    Args:
        path: the file.
        title: what it is about.
        facts: short names and values.
        found: the rows, the most anomalous first.
        what: what they are called, rows, images, ...
        pictures: of all rows, in order.
    """
    page = _template("anomalies.html").render(
        title=title,
        facts=facts,
        notices=(),
        found=found,
        what=what,
        pictures=[_item(each) for each in pictures],
    )
    write_atomically(path, page.encode())


def write_card(
    path: str | os.PathLike[str], card: Card, *, run: str, pictures: Iterable[Shown] = ()
) -> None:
    """Writes an evaluation card as one HTML file, whole or not at all.

    Args:
        path: the file.
        card: what was measured; its facts name ``recipe``, ``data``, ``split`` and ``n``.
        run: the run folder.
        pictures: what to show, in order.
    """
    page = _template("card.html").render(
        title=f"{card.facts['recipe']} on {card.facts['data']}",
        run=run,
        notices=(),
        card=card,
        absent=[entry for entry in card.entries if entry.absent],
        pictures=[_item(each) for each in pictures],
    )
    write_atomically(path, page.encode())


def format_number(value: Any) -> str:
    """Writes a number to four significant digits (all before the point), and nothing as a dash.

    >>> [format_number(v) for v in (0.02834567, 12345.678, 469, 1.5e-7, None)]
    ['0.02835', '12346', '469', '1.500e-07', '–']
    """
    if value is None:
        return "–"
    if not isinstance(value, Real) or isinstance(value, bool | Integral):
        return str(value)
    number = float(value)
    if not math.isfinite(number):
        return str(number)
    scientific = f"{number:.3e}"
    power = int(scientific.partition("e")[2])
    if number != 0 and not -5 < power < 7:
        return scientific
    return f"{number:.{max(0, 3 - power)}f}"


def _template(name: str) -> Any:
    """Loads a page of this folder; all of them stand in ``base.html``."""
    # Autoescape is what makes a run called <script> harmless; a forgotten variable is an error.
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    environment.filters["number"] = format_number
    environment.filters["brief"] = brief
    environment.filters["rounded"] = "{:.2g}".format
    return environment.get_template(name)


def _shown(value: Any) -> Any:
    """What a page shows of a value; of text, what a browser would obey is written out."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return "\n".join(map(printable, value.split("\n")))


def _item(shown: Shown) -> dict[str, Any]:
    """Prepares what is shown for ``parts.html``, which has a macro for each form."""
    if "view" in shown:
        exhibit = cast(Exhibit, shown)
        return {"form": exhibit["view"].form, **exhibit}
    return {"form": "png", **_embedded(shown)}


def _embedded(picture: Picture) -> dict[str, Any]:
    image = picture["image"]
    if isinstance(image, Figure):
        content = png(image)
    elif isinstance(image, bytes):
        content = image
    else:
        try:
            content = Path(image).read_bytes()
        except OSError as error:
            raise StorageError(f"cannot read the picture {image}: {error.strerror}") from error
    caption = picture["caption"]
    if not content.startswith(_PNG):
        raise DataError(f"the picture {caption!r} is not a PNG; save it with plots.save")
    data = base64.b64encode(content).decode("ascii")
    width, height = struct.unpack(">II", content[16:24])
    alt = picture.get("alt") or caption
    return {"caption": caption, "alt": alt, "data": data, "width": width, "height": height}


def _sections(config: Mapping[str, Any]) -> dict[str, list[tuple[str, str]]]:
    settings = {k: v for k, v in config.items() if k not in ("command", "environment")}
    environment = config.get("environment") or {}
    return {"Configuration": _flattened(settings), "Environment": _flattened(environment)}


def _flattened(config: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Writes nested settings as dotted names and readable values, in their own order."""
    rows: list[tuple[str, str]] = []
    for key, value in config.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            rows += _flattened(value, f"{name}.")
        else:
            text = value if isinstance(value, str) else json.dumps(value, default=str)
            rows.append((name, text))
    return rows


def _snippet(run: Path) -> str:
    return f"import autoencode\n\nmodel = autoencode.load({json.dumps(run.as_posix())})"
