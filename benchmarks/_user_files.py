"""The files and objects of ``user_files.py``, and what is meant by each."""

from __future__ import annotations

import datetime
import decimal
import io
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
from PIL import Image

from autoencode.data import TableOptions

SIZE = [1.5, 2.25, -3.0, 1200.75, 0.5, 7.0, -1200.25, 3.75]
WORD = ["ab", "cd", "ab", "ef", "cd", "ab", "ef", "ab"]
DAY = [datetime.date(2023, month, day) for month, day in
       ((1, 13), (2, 3), (12, 31), (4, 5), (7, 28), (1, 1), (10, 9), (2, 14))]  # fmt: skip
YES = [True, False, True, True, False, False, True, False]
COUNT = [3, 0, 12, 7, 1, 0, 5, 2]


@dataclass(frozen=True)
class Kind:
    """A file as people have it, and what it means.

    Attributes:
        make: writes it into a folder and returns its path, or returns an object in memory.
        columns: of a table, the values of each column that is learned from.
        pixels: of pictures and arrays, all examples as the reader should have them.
        refused: words that the refusal holds, where it cannot be read.
        says: words that are said of what was guessed or is lost.
        options: of the reading, where the file alone does not tell.
    """

    make: Callable[[Path], Any]
    columns: dict[str, list[Any]] | None = None
    pixels: Any = None
    refused: tuple[str, ...] = ()
    says: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)


def text(content: str, encoding: str = "utf-8", name: str = "table.csv") -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / name).write_bytes(content.encode(encoding))
        return folder / name

    return make


def held(thing: Callable[[], Any]) -> Callable[[Path], Any]:
    return lambda folder: thing()


def lines(
    *columns: list[str], names: tuple[str, ...] | None = None, mark: str = ",", end: str = "\n"
) -> str:
    rows = [mark.join(cells) for cells in zip(*columns, strict=True)]
    return end.join([*([] if names is None else [mark.join(names)]), *rows, ""])


def spelled(form: Callable[[float], str]) -> list[str]:
    return [form(value) for value in SIZE]


def german(value: float) -> str:
    return f"{value:,.2f}".translate(str.maketrans(",.", ".,"))


def points(value: float) -> str:
    return f"{value:.2f}"


def days(form: str) -> list[str]:
    return [day.strftime(form) for day in DAY]


SIZES, SEMICOLON = spelled(points), lines(spelled(german), WORD, names=("size", "word"), mark=";")
MEANT = {"size": SIZE, "word": WORD}
DATED = {"day": DAY, "size": SIZE}


def dated(form: str) -> str:
    return lines(days(form), SIZES, names=("day", "size"))


def of_text() -> Iterator[tuple[str, Kind]]:
    plain = lines(SIZES, WORD, names=("size", "word"))
    yield "CSV", Kind(text(plain), MEANT)
    yield "CSV, UTF-8 with a mark", Kind(text(plain, "utf-8-sig"), MEANT)
    yield "CSV, UTF-16", Kind(text(plain, "utf-16"), MEANT)
    umlauts = lines(SIZES, WORD, names=("Größe", "word"))
    yield (
        "CSV, Windows-1252",
        Kind(text(umlauts, "cp1252"), {"Größe": SIZE, "word": WORD}, says=("1252",)),
    )
    yield "CSV, semicolons and decimal commas", Kind(text(SEMICOLON), MEANT, says=("comma",))
    excel = SEMICOLON.replace("\n", "\r\n")
    yield "CSV of a German Excel", Kind(text(excel, "utf-8-sig"), MEANT, says=("comma",))
    yield "CSV with Excel's sep= line", Kind(text("sep=;\r\n" + excel), MEANT)
    yield "TSV", Kind(text(plain.replace(",", "\t"), name="table.tsv"), MEANT)
    yield "CSV with tabs", Kind(text(plain.replace(",", "\t")), MEANT)
    yield "CSV with bars", Kind(text(plain.replace(",", "|")), MEANT)
    yield "CSV with carriage returns", Kind(text(plain.replace("\n", "\r")), MEANT)
    odd = [f'"{word},\n{word}"' for word in WORD]
    yield (
        "CSV, quoted commas and line ends",
        Kind(
            text(lines(SIZES, odd, names=("size", "word"))),
            {"size": SIZE, "word": [f"{word},\n{word}" for word in WORD]},
        ),
    )
    yield (
        "CSV with a delimiter at each end",
        Kind(text(plain.replace("\n", ",\n")), MEANT, says=("left out",)),
    )
    yield "CSV with blank lines at the end", Kind(text(plain + "\n\n\n"), MEANT)
    yield (
        "CSV without names, numbers",
        Kind(text(lines(SIZES, list(map(str, COUNT)))), {"f0": SIZE, "f1": COUNT}, says=("header",)),
    )
    yield (
        "CSV without names, words",
        Kind(text(lines(SIZES, WORD)), {"f0": SIZE, "f1": WORD}, says=("header",)),
    )
    years = lines(SIZES, list(map(str, COUNT)), names=("2019", "2020"))
    yield (
        "CSV, years as names, asked for",
        Kind(text(years), {"2019": SIZE, "2020": COUNT}, options={"table": TableOptions(header=True)}),
    )
    yield (
        "CSV, one row more than the names",
        Kind(text(plain + "1,ab,7\n"), refused=("line 10", "3 cells")),
    )
    yield (
        "CSV, a name twice",
        Kind(text(lines(SIZES, SIZES, names=("a", "a"))), refused=("'a'", "rename")),
    )
    yield "CSV under a title", Kind(text("Figures of 2023\n\n" + plain), refused=("line",))


def of_cells() -> Iterator[tuple[str, Kind]]:
    yield "German dates", Kind(text(dated("%d.%m.%Y")), DATED)
    yield "US dates", Kind(text(dated("%m/%d/%Y")), DATED, says=("2023-01-13",))
    yield "dates, day first", Kind(text(dated("%d/%m/%Y")), DATED, says=("2023-01-13",))
    yield "dates of two-digit years", Kind(text(dated("%d.%m.%y")), DATED)
    yield "dates with names of months", Kind(text(dated("%d %b %Y")), DATED)
    early = [day.replace(day=1 + i) for i, day in enumerate(DAY)]
    unsure = lines([day.strftime("%d/%m/%Y") for day in early], SIZES, names=("day", "size"))
    yield (
        "dates that leave the order open",
        Kind(
            text(unsure),
            {"day": early, "size": SIZE},
            options={"table": TableOptions(date_order="dmy")},
        ),
    )
    stamps = [datetime.datetime(2023, 5, 1 + i, 9 + i, 30) for i in range(8)]
    for name, form in (
        ("times of ISO 8601", "%Y-%m-%dT%H:%M:%S"),
        ("times in UTC", "%Y-%m-%d %H:%M:%SZ"),
        ("times, AM and PM", "%m/%d/%Y %I:%M %p"),
    ):
        cells = [stamp.strftime(form) for stamp in stamps]
        options = {"table": TableOptions(date_order="mdy")} if "%p" in form else {}
        yield (
            name,
            Kind(
                text(lines(cells, SIZES, names=("day", "size"))),
                {"day": stamps, "size": SIZE},
                options=options,
            ),
        )
    for name, form, says in (
        ("dollars", lambda value: f"${value:,.2f}".replace("$-", "-$"), ("$",)),
        ("euros", lambda value: german(value) + " €", ("€",)),
        (
            "negatives in brackets",
            lambda value: f"({-value:,.2f})" if value < 0 else f"{value:,.2f}",
            (),
        ),
        ("per cent", lambda value: f"{value:.2f} %", ("in %",)),
        (
            "apostrophes between thousands",
            lambda value: f"{value:,.2f}".replace(",", "'"),
            ("thousand",),
        ),
        ("narrow spaces", lambda value: german(value).replace(".", "\u202f"), ("thousand",)),
        ("a true minus", lambda value: points(value).replace("-", "\u2212"), ()),
    ):
        cells = [f'"{cell}"' for cell in spelled(form)]
        yield name, Kind(text(lines(cells, WORD, names=("size", "word"))), MEANT, says=says)
    gaps: list[Any] = [*SIZE]
    cells = [*SIZES]
    for i, mark in ((1, "n/a"), (3, "-"), (4, "?"), (6, "")):
        cells[i], gaps[i] = mark, None
    yield (
        "marks of missing numbers",
        Kind(
            text(lines(cells, WORD, names=("size", "word"))),
            {"size": gaps, "word": WORD},
            says=("missing",),
        ),
    )
    yes = [str(value).upper() for value in YES]
    yield (
        "TRUE and FALSE",
        Kind(text(lines(yes, SIZES, names=("yes", "size"))), {"yes": YES, "size": SIZE}),
    )
    zips = ["01067", "04109", "01067", "80331", "04109", "01067", "80331", "04109"]
    yield (
        "codes with leading zeros",
        Kind(text(lines(zips, SIZES, names=("zip", "size"))), {"zip": zips, "size": SIZE}),
    )
    numbers = [str(i) for i in range(8)]
    yield (
        "pandas' row numbers",
        Kind(
            text(lines(numbers, SIZES, WORD, names=("", "size", "word"))),
            MEANT,
            says=("numbers of the rows",),
        ),
    )
    ids = [str(uuid.UUID(int=7919 * i + 1)) for i in range(8)]
    yield (
        "a column of UUIDs",
        Kind(text(lines(ids, SIZES, WORD, names=("id", "size", "word"))), MEANT, says=("'id'",)),
    )


def frame(**columns: Any) -> pd.DataFrame:
    return pd.DataFrame(columns)


def of_frames() -> Iterator[tuple[str, Kind]]:
    gaps = [None if i == 2 else value for i, value in enumerate(COUNT)]
    yields = [None if i == 2 else value for i, value in enumerate(YES)]
    words = [None if i == 2 else value for i, value in enumerate(WORD)]
    for name, dtype, values in (
        ("pandas Int64 with a gap", "Int64", gaps),
        ("pandas boolean with a gap", "boolean", yields),
        ("pandas string with a gap", "string", words),
        ("pandas categories with a gap", "category", words),
        ("pandas int64 of Arrow with a gap", "int64[pyarrow]", gaps),
        ("pandas text of Arrow with a gap", "string[pyarrow]", words),
    ):
        made = held(lambda dtype=dtype, values=values: frame(c=pd.array(values, dtype), size=SIZE))
        yield name, Kind(made, {"c": values, "size": SIZE})
    many = pd.MultiIndex.from_product([["x", "y"], range(4)])
    yield (
        "pandas, rows of two names",
        Kind(held(lambda: frame(size=SIZE, word=WORD).set_index(many)), MEANT),
    )
    deep = pd.MultiIndex.from_tuples([("a", "size"), ("b", "word")])
    yield (
        "pandas, columns of two names",
        Kind(
            held(lambda: frame(size=SIZE, word=WORD).set_axis(deep, axis=1)),
            {"a/size": SIZE, "b/word": WORD},
        ),
    )
    yield (
        "pandas, columns of numbers",
        Kind(held(lambda: pd.DataFrame({0: SIZE, 1: WORD})), {"0": SIZE, "1": WORD}),
    )
    yield "pandas, dates as text", Kind(held(lambda: frame(day=days("%d.%m.%Y"), size=SIZE)), DATED)
    yield "pandas, numbers as text", Kind(held(lambda: frame(size=spelled(german), word=WORD)), MEANT)
    yield (
        "pandas periods",
        Kind(
            held(lambda: frame(day=pd.PeriodIndex(DAY, freq="D"), size=SIZE)), DATED, says=("period",)
        ),
    )
    yield (
        "pandas durations",
        Kind(
            held(lambda: frame(c=pd.to_timedelta(COUNT, unit="h"), size=SIZE)),
            {"c": COUNT, "size": SIZE},
            says=("hours",),
        ),
    )
    yield (
        "decimals of Python",
        Kind(held(lambda: frame(size=[decimal.Decimal(str(v)) for v in SIZE], word=WORD)), MEANT),
    )
    yield (
        "pandas, numbers among words",
        Kind(held(lambda: frame(c=[1, "a", 2.5, "b", 3, 4, 5, 6], size=SIZE)), refused=("'c'",)),
    )
    yield (
        "polars with nulls",
        Kind(held(lambda: pl.DataFrame({"c": gaps, "word": words})), {"c": gaps, "word": words}),
    )
    yield (
        "polars, days and categories",
        Kind(
            held(lambda: pl.DataFrame({"day": DAY, "w": pl.Series(WORD, dtype=pl.Categorical)})),
            {"day": DAY, "w": WORD},
        ),
    )


def parquet(table: Callable[[], pa.Table]) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        pyarrow.parquet.write_table(table(), folder / "table.parquet")
        return folder / "table.parquet"

    return make


def feather(folder: Path) -> Path:
    pyarrow.feather.write_feather(pa.table(MEANT), folder / "table.feather")
    return folder / "table.feather"


def of_columns() -> Iterator[tuple[str, Kind]]:
    money = pa.array([decimal.Decimal(str(value)) for value in SIZE], pa.decimal128(12, 2))
    yield "Parquet with decimals", Kind(parquet(lambda: pa.table({"size": money, "word": WORD})), MEANT)
    coded = pa.array(WORD).dictionary_encode()
    yield (
        "Parquet with coded words",
        Kind(parquet(lambda: pa.table({"size": SIZE, "word": coded})), MEANT),
    )
    nested = [{"a": value} for value in SIZE]
    yield (
        "Parquet, nested",
        Kind(parquet(lambda: pa.table({"c": nested, "size": SIZE})), refused=("'c'",)),
    )
    lists = [[value, value] for value in SIZE]
    yield (
        "Parquet, lists among numbers",
        Kind(parquet(lambda: pa.table({"c": lists, "size": SIZE})), refused=("'c'",)),
    )
    yield "Feather", Kind(feather, MEANT)


def array(values: Any) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        np.save(folder / "x.npy", values, allow_pickle=True)
        return folder / "x.npy"

    return make


def of_arrays() -> Iterator[tuple[str, Kind]]:
    x = np.random.default_rng(0).normal(size=(8, 5))
    yield "array, Fortran order", Kind(array(np.asfortranarray(x)), pixels=x)
    yield "array, big-endian", Kind(array(x.astype(">f8")), pixels=x)
    yield (
        "array, big-endian whole numbers",
        Kind(array((1000 * x).astype(">i4")), pixels=(1000 * x).astype("i4")),
    )
    yield "array, true and false", Kind(array(x > 0), pixels=(x > 0).astype(float))
    yield "array, half precision", Kind(array(x.astype("f2")), pixels=x.astype("f2"))
    yield "array, complex", Kind(array(x + 1j), refused=("Complex",))
    yield "array of objects", Kind(array(np.array([[1, "a"]], object)), refused=("object",))


def pictures(*made: tuple[str, Image.Image], **how: Any) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / "pictures").mkdir()
        for name, picture in made:
            picture.save(folder / "pictures" / name, **how)
        return folder / "pictures"

    return make


def of_pictures() -> Iterator[tuple[str, Kind]]:
    rng = np.random.default_rng(0)
    deep = (1000 + rng.integers(0, 400, (3, 12, 10))).astype("u2")
    grey = rng.integers(0, 256, (3, 12, 10), dtype="u1")
    colour = rng.integers(0, 256, (3, 12, 10, 3), dtype="u1")
    first = np.moveaxis(colour, -1, 1)
    for kind in ("tif", "png"):
        yield (
            f"16-bit {kind.upper()}",
            Kind(
                pictures(*((f"{i}.{kind}", Image.fromarray(one)) for i, one in enumerate(deep))),
                pixels=deep[:, None],
            ),
        )
    real = (deep / 7).astype("f4")
    yield (
        "TIFF of real numbers",
        Kind(
            pictures(*((f"{i}.tif", Image.fromarray(one)) for i, one in enumerate(real))),
            pixels=real[:, None],
        ),
    )
    alpha = np.concatenate([colour, np.full_like(colour[..., :1], 128)], -1)
    yield (
        "PNG with transparency",
        Kind(
            pictures(*((f"{i}.png", Image.fromarray(one)) for i, one in enumerate(alpha))),
            pixels=first,
            says=("transparen",),
        ),
    )
    both = np.stack([grey, np.full_like(grey, 128)], -1)
    yield (
        "PNG, grey with transparency",
        Kind(
            pictures(*((f"{i}.png", Image.fromarray(one)) for i, one in enumerate(both))),
            pixels=grey[:, None],
            says=("transparen",),
        ),
    )
    inks = [Image.fromarray(one).convert("CMYK") for one in colour]
    yield (
        "TIFF of four inks",
        Kind(
            pictures(*((f"{i}.tif", one) for i, one in enumerate(inks))),
            pixels=np.moveaxis(np.stack([np.asarray(one.convert("RGB")) for one in inks]), -1, 1),
            says=("CMYK",),
        ),
    )
    few = [Image.fromarray(one).quantize(16) for one in colour]
    yield (
        "PNG with a palette",
        Kind(
            pictures(*((f"{i}.png", one) for i, one in enumerate(few))),
            pixels=np.moveaxis(np.stack([np.asarray(one.convert("RGB")) for one in few]), -1, 1),
        ),
    )
    bits = grey > 127
    yield (
        "PNG of one bit",
        Kind(
            pictures(*((f"{i}.png", Image.fromarray(one)) for i, one in enumerate(bits))),
            pixels=255 * bits[:, None],
        ),
    )
    turned = Image.Exif()
    turned[0x0112] = 6  # to be turned by a quarter to the right
    yield (
        "PNG that lies on its side",
        Kind(
            pictures(*((f"{i}.png", Image.fromarray(one)) for i, one in enumerate(grey)), exif=turned),
            pixels=np.rot90(grey, -1, (1, 2))[:, None],
        ),
    )
    sizes = [Image.fromarray(grey[0]), Image.fromarray(grey[1]).resize((20, 30))]
    yield (
        "pictures of two sizes",
        Kind(pictures(*((f"{i}.png", one) for i, one in enumerate(sizes))), says=("64x64",)),
    )
    yield "a picture that breaks off", Kind(_broken, refused=("broken.png",))
    pages = [Image.fromarray(one) for one in grey]
    several = [(f"{i}.tif", page) for i, page in enumerate(pages)]
    yield (
        "TIFF of several pages",
        Kind(
            pictures(*several, save_all=True, append_images=pages),
            says=("page",),
        ),
    )


def _broken(folder: Path) -> Path:
    content = io.BytesIO()
    Image.fromarray(np.zeros((40, 40), "u1")).save(content, "PNG")
    (folder / "pictures").mkdir()
    (folder / "pictures" / "broken.png").write_bytes(content.getvalue()[:50])
    return folder / "pictures"


def kinds() -> dict[str, Kind]:
    """All kinds, by name."""
    groups = (of_text, of_cells, of_frames, of_columns, of_arrays, of_pictures)
    return {name: kind for group in groups for name, kind in group()}
