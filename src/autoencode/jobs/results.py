"""Writing of results: arrays, and tables whose rows and columns have names."""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from autoencode.data.values.frames import columns_of, decode, to_frame
from autoencode.data.values.layouts import as_given
from autoencode.data.values.support import as_table
from autoencode.errors import OptionError
from autoencode.files.atomic import new_folder, write_atomically
from autoencode.trained import Trained
from autoencode.trained.trained import flat
from autoencode.types import Array

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


def write_array(
    path: Path, array: Array, trained: Trained, ids: Array | None = None, drawn: bool = False
) -> tuple[int, ...]:
    """Writes examples; as a table a row for each example, as .png a picture of them.

    Args:
        path: what to write; without an ending, a new folder with a .png file for each image.
        array: (N, ...).
        trained: says how examples are drawn and what their columns are called.
        ids: (N,) the rows' own names, which images keep but for their endings.
        drawn: whether the examples are draws, whose values are some that such entries have.

    Returns:
        The shape of what was written; an array has that of the training data.

    Raises:
        OptionError: a folder is asked for and the examples are no images.
        StorageError: it cannot be written, or the folder is there already.
    """
    ending = path.suffix.lower()
    if not ending:
        _write_images(path, array, trained, ids)
    elif ending in TABLES and (trained.spec.columns or ending != ".csv" or ids is not None):
        write_frame(path, examples_table(array, trained, ids, drawn))
    elif ending == ".png":
        write_atomically(path, _picture(array, trained))
    elif ending == ".csv":
        buffer = io.BytesIO()
        names = ",".join(numbered("x", flat(array)))
        np.savetxt(buffer, flat(array), fmt="%.9g", delimiter=",", header=names, comments="")
        write_atomically(path, buffer.getvalue())
    else:
        if shape := trained.spec.given_shape:
            array = as_given(array, (len(array), *shape))
        write_plain(path, array)
    return array.shape


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
    array: Array, trained: Trained, ids: Array | None = None, drawn: bool = False
) -> Any:
    """Makes a table with the training data's columns of examples (N, *D) in the data's own units.

    Draws have values that the columns can have, and come back in their types.
    """
    columns = trained.spec.columns
    if columns and drawn:
        made = columns_of(as_table(array, trained.spec))
        return to_frame({**id_column(trained, ids), **made})
    values = decode(array, columns) if columns else numbered("x", flat(array))
    # No more digits than were computed.
    short = {c.name: values[c.name].astype(np.float32) for c in columns if c.kind in ("real", "count")}
    return to_frame({**id_column(trained, ids), **values, **short})


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
