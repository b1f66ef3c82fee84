"""How the data of a training were read, so that they, and others after them, can be read alike."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

from autoencode.data.examples import Data, Examples
from autoencode.data.formats.folders import AS_THEY_ARE, ImageOptions
from autoencode.errors import ModelFileError, OptionError
from autoencode.reading import NO_OPTIONS, TableOptions
from autoencode.types import Channels, ColumnKind, Layout, Standardize

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


@dataclass(frozen=True)
class Origin:
    """Where the data of a training come from and how they were read.

    ``as_dict`` is what ``config.json`` says of them under ``data``. An estimator is given its data in
    memory and knows of no source; of it only the options are written.

    Attributes:
        source: a data set's name or an absolute path; ``None`` for data that were given in memory.
        name: what the data are called.
        sha256: their fingerprint (``Data.fingerprint``), ``None`` where no run was trained on them.
        streamed: whether they stayed on disk.
        table: which columns are labels, names of rows or left out, and of what kind.
        images: how images were brought to one form.
        standardize: how values were scaled, ``None`` for the recipe's own way.
        layout: what an example was said to be, ``None`` where it was guessed.
        channels: where its channels were said to be, ``None`` where that was guessed.
        left_out: labels whose examples were left out.
        n_labels: how many labels of the training examples were kept, ``None`` for all.
    """

    source: str | None = None
    name: str | None = None
    sha256: str | None = None
    streamed: bool = False
    table: TableOptions = NO_OPTIONS
    images: ImageOptions = AS_THEY_ARE
    standardize: Standardize | None = None
    layout: Layout | None = None
    left_out: tuple[str, ...] = ()
    n_labels: int | None = None
    channels: Channels | None = None

    @classmethod
    def from_data(
        cls,
        data: Data,
        source: Any,
        *,
        table: TableOptions | None = None,
        images: ImageOptions | None = None,
        standardize: Standardize | None = None,
        layout: Layout | None = None,
        left_out: Sequence[str] = (),
        n_labels: int | None = None,
        channels: Channels | None = None,
    ) -> Origin:
        """Notes how some data were read.

        Args:
            data: what was read; of a table also what was found in it.
            source: what they were read from; ``None`` where that alone would not give them again.
            table, images, standardize, layout, channels, left_out: as ``load_data`` was given them.
            n_labels: how many labels were kept.
        """
        return cls(
            source=_findable(source),
            name=data.name,
            sha256=data.fingerprint(),
            streamed=not isinstance(data.train, Examples),
            table=data.table or table or NO_OPTIONS,
            images=images or AS_THEY_ARE,
            standardize=standardize,
            layout=layout,
            left_out=tuple(str(label) for label in left_out),
            n_labels=n_labels,
            channels=channels,
        )

    @classmethod
    def from_dict(cls, facts: Any) -> Origin:
        """Reads what ``as_dict`` gave, today or in an older file that lacks some of it.

        Raises:
            ModelFileError: when a value is of another type.
        """
        facts = {} if facts is None else facts
        _need(isinstance(facts, Mapping), "data")
        for key, kind in {"source": str, "name": str, "sha256": str}.items():
            _need(isinstance(facts.get(key), kind | None), key)
        _need(facts.get("source") is None or _is_local(facts["source"]), "source")
        _need(isinstance(facts.get("streamed", False), bool), "streamed")
        _need(facts.get("standardize") in (None, *get_args(Standardize)), "standardize")
        _need(facts.get("layout") in (None, *get_args(Layout)), "layout")
        _need(facts.get("channels") in (None, *get_args(Channels)), "channels")
        _need(_are_texts(facts.get("left_out", [])), "left_out")
        n_labels = facts.get("n_labels")
        _need(n_labels is None or (type(n_labels) is int and n_labels >= 0), "n_labels")
        return cls(
            facts.get("source"),
            facts.get("name"),
            facts.get("sha256"),
            facts.get("streamed", False),
            _table(facts.get("table")),
            _images(facts.get("images")),
            facts.get("standardize"),
            facts.get("layout"),
            tuple(facts.get("left_out", ())),
            n_labels,
            facts.get("channels"),
        )

    def as_dict(self) -> dict[str, Any]:
        """Gives the facts as JSON has them; options that were not given are left out."""
        read: dict[str, Any] = {}
        if self.table:
            read["table"] = self.table.as_dict()
        if self.images:
            read["images"] = self.images.as_dict()
        scaled: dict[str, Any] = {}
        if self.standardize:
            scaled["standardize"] = self.standardize
        if self.layout:
            scaled["layout"] = self.layout
        if self.channels:
            scaled["channels"] = self.channels
        if self.sha256 is None:
            return {**scaled, **read}  # the order in which estimators have always written them
        found = {
            "source": self.source,
            "name": self.name,
            "sha256": self.sha256,
            "streamed": self.streamed,
        }
        if self.left_out:
            scaled["left_out"] = list(self.left_out)
        if self.n_labels is not None:
            scaled["n_labels"] = self.n_labels
        return {**found, **read, **scaled}

    def images_with(self, on_bad_file: str | None) -> ImageOptions:
        """Gives the options of images, perhaps with another word on files that are damaged.

        Raises:
            OptionError: for a word that is neither refuse nor skip.
        """
        if on_bad_file is None:
            return self.images
        return replace(self.images, on_bad_file=on_bad_file)  # type: ignore[arg-type]

    def table_for(self, names: Sequence[str]) -> TableOptions:
        """Gives what was said of a table, as far as another one has these columns."""
        label, row = (name if name in names else None for name in (self.table.label, self.table.id))
        drop, keep = (
            tuple(name for name in some if name in names) for some in (self.table.drop, self.table.keep)
        )
        return replace(self.table, label=label, id=row, drop=drop, keep=keep, kinds={})


def _findable(source: Any) -> str | None:
    """Returns what a file can hold to find the data again: a name or an absolute path."""
    if not isinstance(source, str | os.PathLike):
        return None
    path = Path(source)
    return str(path.resolve()) if path.exists() else str(source)


def _is_local(source: str) -> bool:
    """Whether the source that a file names can be one that ``_findable`` gives: a name or a path."""
    return "\0" not in source and not _ADDRESS.match(source)


def _table(facts: Any) -> TableOptions:
    if facts is None:
        return NO_OPTIONS
    _need(isinstance(facts, Mapping), "table")
    kinds = facts.get("kinds", {})
    sound = (
        all(isinstance(facts.get(key), str | None) for key in ("label", "id"))
        and all(_are_texts(facts.get(key, [])) for key in ("drop", "keep"))
        and all(
            isinstance(facts.get(key), str | None) for key in ("decimal", "thousands", "date_order")
        )
        and isinstance(facts.get("header"), bool | None)
        and isinstance(kinds, Mapping)
        and all(kind in get_args(ColumnKind) for kind in kinds.values())
    )
    _need(sound, "table")
    try:
        return TableOptions.from_dict(facts)
    except OptionError:
        raise _damaged("table") from None


def _images(facts: Any) -> ImageOptions:
    if facts is None:
        return AS_THEY_ARE
    _need(isinstance(facts, Mapping), "images")
    size = facts.get("size")
    pair = isinstance(size, list | tuple) and [type(n) for n in size] == [int, int]
    _need(size is None or pair, "images")
    try:
        return ImageOptions.from_dict(facts)
    except (OptionError, TypeError):
        raise _damaged("images") from None


def _are_texts(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(text, str) for text in value)


def _need(sound: bool, key: str) -> None:
    if not sound:
        raise _damaged(key)


def _damaged(key: str) -> ModelFileError:
    return ModelFileError(
        f"what the file says of its data is damaged: {key} cannot be used; train again"
    )
