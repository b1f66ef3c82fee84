"""Arrays to files and back, by the file's ending."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from autoencode.data.raw import Array
from autoencode.errors import DataError, OptionError, StorageError
from autoencode.files import write_atomically
from autoencode.trained import Trained, flat

ENDINGS = (".npy", ".npz", ".csv", ".png")


def check_ending(path: str, endings: tuple[str, ...] = ENDINGS) -> Path:
    """The path, refused before any work when nothing can be written to its ending.

    Raises:
        OptionError: with the endings that there are.
        StorageError: when its folder is not there.
    """
    target = Path(path)
    if target.suffix.lower() not in endings:
        raise OptionError(f"cannot write {target}: its ending must be {', '.join(endings)}")
    if target.is_dir():
        raise StorageError(f"cannot write {target}: it is a folder; choose another name")
    if not target.parent.is_dir():
        raise StorageError(f"cannot write {target}: no such folder; create it first")
    return target


def write_array(path: Path, array: Array, columns: str, trained: Trained) -> None:
    """Writes an array; as .csv a row for each example, as .png a picture of examples.

    Args:
        path: what to write.
        array: (N, ...).
        columns: prefix of the CSV's column names.
        trained: says how examples are drawn.
    """
    ending = path.suffix.lower()
    if ending == ".png":
        write_atomically(path, _picture(array, trained))
        return
    buffer = io.BytesIO()
    if ending == ".npy":
        np.save(buffer, array, allow_pickle=False)
    elif ending == ".npz":
        np.savez_compressed(buffer, x=array)
    else:
        table = flat(array)
        header = ",".join(f"{columns}{i}" for i in range(table.shape[1]))
        np.savetxt(buffer, table, fmt="%.9g", delimiter=",", header=header, comments="")
    write_atomically(path, buffer.getvalue())


def _picture(array: Array, trained: Trained) -> bytes:
    import torch

    from autoencode.evaluate import plots

    seen = trained.spec.to_model(torch.from_numpy(array)).numpy()
    return plots.png(plots.samples(seen, title=f"{min(len(array), 64)} of {len(array)} examples"))


def read_codes(path: str) -> Array:
    """Codes from .npy, .npz or .csv (with or without a header line).

    Raises:
        DataError: when the file is missing or holds no table of numbers.
    """
    from autoencode.data import read_file

    file = Path(path)
    if file.suffix.lower() != ".csv":
        return np.asarray(read_file(file).x)
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()  # Excel writes a mark first
        skip = 1 if lines and not _is_numbers(lines[0]) else 0
        rows = [[float(cell) for cell in line.split(",")] for line in lines[skip:] if line.strip()]
        return np.array(rows).reshape(len(rows), -1)
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror}); check the path") from None
    except UnicodeDecodeError:
        raise DataError(f"{file}: not a text file; give .csv, .npy or .npz") from None
    except ValueError:
        raise DataError(
            f"{file}: not a table of numbers with rows of one length, separated by commas"
        ) from None


def _is_numbers(line: str) -> bool:
    try:
        [float(cell) for cell in line.split(",")]
    except ValueError:
        return False
    return True
