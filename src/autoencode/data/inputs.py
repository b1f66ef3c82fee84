"""What a file holds, all of it and as it is: for what is done to data rather than learned from them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from autoencode.data.examples import read
from autoencode.data.folders import AS_THEY_ARE, ImageOptions
from autoencode.data.frames import names_of, select
from autoencode.data.raw import Array
from autoencode.data.tables import NO_OPTIONS, TableOptions, column_values, open_table, refuse_absent
from autoencode.errors import OptionError


@dataclass(frozen=True, eq=False)
class Input:
    """All rows of a source.

    Attributes:
        x: what an estimator is given: an array (N, ...), or a table of the columns to learn from.
        table: the whole table, ``None`` for arrays.
        labels: (N,) or ``None``.
        ids: (N,) the rows' own names, or ``None``.
        notices: what the user should know of the reading.
    """

    x: Any
    table: Any | None = None
    labels: Array | None = None
    ids: Array | None = None
    notices: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.x)


def read_input(
    source: Any,
    options: TableOptions = NO_OPTIONS,
    data_dir: str | os.PathLike[str] | None = None,
    shape: tuple[int, ...] | None = None,
    images: ImageOptions = AS_THEY_ARE,
) -> Input:
    """All that a source holds; of a named data set its training part.

    Args:
        source: see ``load_data``.
        options: which columns of a table are labels, names of rows or left out.
        data_dir: see ``load_data``.
        shape: (C, H, W) that the images of a folder are brought to, for a model that is there.
        images: how they are brought to one form.

    Raises:
        DataError: it cannot be read.
        OptionError: an option names a column that is not there.
    """
    table = open_table(source)
    if table is None:
        if options:
            raise OptionError("these data have no named columns; leave label, id, drop and kinds out")
        raw = read(source, data_dir, shape, images)
        return Input(raw.x, None, raw.labels, raw.ids, tuple(raw.notices))
    refuse_absent(table, options, str(source))
    kept = [name for name in names_of(table) if name not in options.aside]
    labels, ids = (column_values(table, name) for name in (options.label, options.id))
    return Input(select(table, kept), table, labels, ids)
