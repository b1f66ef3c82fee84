"""Writing of results: arrays, and tables whose rows and columns have names."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from autoencode.data.values.apply_spec import to_shape
from autoencode.data.values.as_given import Dtype, as_given
from autoencode.data.values.frames import columns_of, is_frame, to_frame
from autoencode.data.values.layouts import image_depth
from autoencode.dtypes import in_dtype
from autoencode.errors import OptionError
from autoencode.files.atomic import new_folder, write_atomically
from autoencode.jobs.picture_files import ending_for, file_names, write_picture
from autoencode.trained import Trained
from autoencode.trained.trained import flat
from autoencode.types import Array, DataSpec

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
        path: what to write; without an ending, a new folder with a file for each image, in the depth
            of the images that the model was trained on.
        array: (N, *D), or in the shape that the training data had.
        trained: says how examples are drawn and what their columns are called.
        ids: (N,) the rows' own names, which images keep, with their endings where that loses nothing.
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
    spec = trained.spec
    depth = _depth(spec, ids)
    deep = depth != np.uint8
    if spec.layout != "image" or spec.shape[0] not in (1, 3) or not (deep or spec.kind == "unit"):
        raise OptionError(
            f"cannot write {folder}: only grey and colour images go into a folder, and these examples "
            f"are {' x '.join(map(str, spec.shape))} {spec.kind} values; give the name an ending"
        )
    width = len(str(len(array) - 1))
    own = [f"{i:0{width}}" for i in range(len(array))] if ids is None else [str(name) for name in ids]
    names = file_names(own, [ending_for(name, depth) for name in own])
    with new_folder(folder) as part:
        for name, one in zip(names, array, strict=True):
            write_picture(
                part / name, in_dtype(np.moveaxis(one if deep else _levels(one, spec), 0, -1), depth)
            )


def _depth(spec: DataSpec, ids: Array | None) -> np.dtype[Any]:
    """The dtype of files for images of a model: that of those it was trained on."""
    depth = np.dtype(image_depth(spec) or np.uint8)
    shares = spec.kind == "unit" and depth.kind == "f"  # of an array, unless their files are TIFF
    own = ids is not None and all(str(name).lower().endswith((".tif", ".tiff")) for name in ids)
    return np.dtype(np.uint8) if shares and not own else depth


def _levels(x: Array, spec: DataSpec) -> Array:
    """An image (C, H, W) in levels to 255, as files of 8 bits have them."""
    import torch

    seen: Array = spec.to_model(torch.from_numpy(x[None])).numpy()[0]
    return seen.clip(0, 1) * 255


def _picture(array: Array, trained: Trained) -> bytes:
    from autoencode.pictures import of_runs, plots

    return plots.png(of_runs.sheet(trained, array))


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
