"""Writing of results: arrays, and tables whose rows and columns have names."""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from autoencode.data.values.apply_spec import to_shape
from autoencode.data.values.as_given import Dtype, as_given
from autoencode.data.values.frames import columns_of, is_frame, to_frame
from autoencode.errors import OptionError
from autoencode.files.atomic import new_folder, write_atomically
from autoencode.trained import Trained
from autoencode.trained.trained import flat
from autoencode.types import Array, DataSpec

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_MOST_NAME = 200  # bytes of a part of a file's name
TABLES = (".csv", ".parquet", ".feather")


def write_frame(path: Path, table: Any) -> None:
    """Writes a pyarrow table by the file's ending, whole or not at all.

    Raises:
        StorageError: it cannot be written.
    """
    buffer = io.BytesIO()
    if path.suffix.lower() == ".csv":
        import pyarrow.csv

        pyarrow.csv.write_csv(table, buffer)
    elif path.suffix.lower() == ".parquet":
        import pyarrow.parquet

        pyarrow.parquet.write_table(table, buffer)
    else:
        import pyarrow.feather

        pyarrow.feather.write_feather(table, buffer)
    write_atomically(path, buffer.getvalue())


def write_plain(path: Path, array: Array) -> None:
    """Writes an array (N, ...) by the file's ending, whole or not at all.

    Raises:
        StorageError: it cannot be written.
    """
    ending = path.suffix.lower()
    if ending in TABLES:
        write_frame(path, to_frame(numbered("x", flat(array))))
        return
    buffer = io.BytesIO()
    if ending == ".npy":
        np.save(buffer, array, allow_pickle=False)
    else:
        np.savez_compressed(buffer, x=array)
    write_atomically(path, buffer.getvalue())


@dataclass(frozen=True)
class Written:
    """What was written into a file of examples.

    Attributes:
        shape: of the array, or (rows, columns) of a table.
        dtype: of the array; ``table`` of one with named columns.
    """

    shape: tuple[int, ...]
    dtype: str

    def __str__(self) -> str:
        if self.dtype == "table":
            return f"{self.shape[0]} rows x {self.shape[1]} columns"
        return f"{' x '.join(map(str, self.shape))} {self.dtype}"


def write_array(
    path: Path,
    array: Array,
    trained: Trained,
    ids: Array | None = None,
    like: Any = None,
    dtype: Dtype = "float",
) -> Written:
    """Writes examples in the form of what was read; as .png a picture of them.

    Args:
        path: what to write; without an ending, a new folder with a .png file for each image.
        array: (N, *D), or in the shape that the training data had.
        trained: says how examples are drawn and what their columns are called.
        ids: (N,) the rows' own names, which images keep but for their endings.
        like: the array or the table that was read; ``None`` for the form of the training data.
        dtype: ``float``, or ``same`` for the types of ``like`` (``as_given``).

    Raises:
        OptionError: a folder is asked for and the examples are no images.
        StorageError: it cannot be written, or the folder is there already.
    """
    ending, spec = path.suffix.lower(), trained.spec
    array = to_shape(array, spec)
    if not ending:
        _write_images(path, array, trained, ids)
    elif ending == ".png":
        write_atomically(path, _picture(array, trained))
    elif ending in TABLES and spec.columns:
        table = examples_table(array, trained, ids, like, dtype)
        write_frame(path, _short(table, spec, dtype) if ending == ".csv" else table)
        return Written((len(array), len(table.column_names)), "table")
    else:
        made = np.asarray(as_given(array, replace(spec, columns=()), _unnamed(like), dtype))
        if ending in TABLES and ids is not None:
            write_frame(path, to_frame({**id_column(trained, ids), **numbered("x", flat(made))}))
        elif ending == ".csv":
            _write_numbers(path, flat(made))
        else:
            write_plain(path, made)
        return Written(made.shape, str(made.dtype))
    return Written(array.shape, str(array.dtype))


def _unnamed(like: Any) -> Any:
    """What tells the shape of an array; tables have that of their matrix."""
    return None if is_frame(like) else like


def _write_numbers(path: Path, table: Array) -> None:
    buffer = io.BytesIO()
    whole = table.dtype.kind in "biu"
    header = ",".join(numbered("x", table))
    np.savetxt(buffer, table, "%d" if whole else "%.9g", ",", header=header, comments="")
    write_atomically(path, buffer.getvalue())


def _write_images(folder: Path, array: Array, trained: Trained, ids: Array | None) -> None:
    import torch
    from PIL import Image

    spec = trained.spec
    if spec.layout != "image" or spec.shape[0] not in (1, 3) or spec.kind != "unit":
        raise OptionError(
            f"cannot write {folder}: only grey and colour images go into a folder, and these examples "
            f"are {' x '.join(map(str, spec.shape))} {spec.kind} values; give the name an ending"
        )
    with new_folder(folder) as part:
        for i, name in enumerate(_file_names(len(array), ids)):
            seen = spec.to_model(torch.from_numpy(array[i : i + 1])).numpy()[0]
            pixels = np.rint(seen.clip(0, 1) * 255).astype(np.uint8)
            target = part / name
            target.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels[0] if len(pixels) == 1 else np.moveaxis(pixels, 0, -1)).save(target)


def _file_names(n: int, ids: Array | None) -> list[str]:
    """Names a .png for each of n images: its own, with the old ending too where two would clash."""
    if ids is None:
        return [f"{i:0{len(str(n - 1))}}.png" for i in range(n)]
    own = [_inside(str(name)) for name in ids]
    bare = Counter(name.with_suffix("") for name in own)
    names = [f"{name if bare[name.with_suffix('')] > 1 else name.with_suffix('')}.png" for name in own]
    several = Counter(names)  # what was cut or replaced may have made two the same
    return [f"{name[:-4]}-{i}.png" if several[name] > 1 else name for i, name in enumerate(names)]


def _inside(name: str) -> PurePath:
    """A path inside a folder, made of the name of an image, whatever that has in it."""
    path = PurePath(name)
    parts = [_CONTROL.sub("_", part) for part in path.parts if part not in ("..", path.anchor)]
    cut = [part.encode(errors="replace")[:_MOST_NAME].decode(errors="ignore") for part in parts]
    return PurePath(*(cut or ["_"]))


def _picture(array: Array, trained: Trained) -> bytes:
    import torch

    from autoencode.pictures import plots

    seen = trained.spec.to_model(torch.from_numpy(array)).numpy()
    return plots.png(plots.samples(seen, title=f"{min(len(array), 64)} of {len(array)} examples"))


def examples_table(
    array: Array,
    trained: Trained,
    ids: Array | None = None,
    like: Any = None,
    dtype: Dtype = "float",
) -> Any:
    """Makes a pyarrow table of examples (N, *D) in the form of the one that was read.

    Args:
        array: the examples, of a model of named columns.
        trained: the model.
        ids: (N,) the rows' own names, which stand first where ``like`` is no table that has them.
        like: the table that was read; ``None`` for the columns and types of the training data.
        dtype: see ``as_given``.
    """
    made = columns_of(as_given(array, trained.spec, like, dtype))
    whole = is_frame(like) and len(like) == len(array)  # with the names of rows where they stood
    return to_frame(made if whole else {**id_column(trained, ids), **made})


def _short(table: Any, spec: DataSpec, dtype: Dtype) -> Any:
    """Gives numbers of a table no more digits than were computed; draws have the digits they have."""
    import pyarrow

    for column in spec.columns:
        at = table.column_names.index(column.name)
        if column.kind not in ("real", "count") or not pyarrow.types.is_floating(
            table.schema.types[at]
        ):
            continue
        values = table.column(at).cast(pyarrow.float64())
        short = values.cast(pyarrow.float32(), safe=False)
        exact = short.cast(pyarrow.float64()).equals(values)
        if exact or (column.kind == "count" and dtype == "float"):
            table = table.set_column(at, column.name, short)
    return table


def codes_table(codes: Array, trained: Trained, ids: Sequence[Array | None] = ()) -> Any:
    """Makes a table z0, z1, ... of codes (N, *Z), beside the rows' own names."""
    known = [part for part in ids if part is not None]
    together = np.concatenate(known) if known and len(known) == len(ids) else None
    return to_frame({**id_column(trained, together), **numbered("z", flat(codes))})


def classes_table(shares: Array, trained: Trained, ids: Array | None = None) -> Any:
    """Makes a table of the probabilities (N, C) of a model's classes, beside the likeliest one."""
    classes = trained.spec.classes
    best = {"label": np.array(classes)[shares.argmax(1)]}
    each = {f"p({name})": column for name, column in zip(classes, shares.T, strict=True)}
    return to_frame({**id_column(trained, ids), **best, **each})


def numbered(prefix: str, table: Array) -> dict[str, Array]:
    """Names the columns of an array (N, C) by a word and their numbers."""
    return {f"{prefix}{i}": column for i, column in enumerate(table.T)}


def id_column(trained: Trained, ids: Array | None) -> Mapping[str, Array]:
    """Gives the rows' own names under the name that they had."""
    # Rows that no table names are those of image files.
    if ids is None:
        return {}
    return {trained.origin.table.id or ("id" if trained.spec.columns else "file"): ids}
