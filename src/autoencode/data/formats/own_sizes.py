"""Images of a folder for models of any size: each at its own size, and back in its own depth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from autoencode.data.formats.folders import ImageOptions
from autoencode.data.formats.image_form import (
    Survey,
    factor_between,
    losses_of,
    refuse_lost_colours,
    said_sizes,
)
from autoencode.data.formats.image_pixels import (
    DamagedImages,
    Entry,
    Header,
    alpha,
    header,
    opened,
    pixels,
    with_channels,
)
from autoencode.data.formats.images import entries_of, refuse_none
from autoencode.data.values.layouts import image_depth
from autoencode.dtypes import in_dtype
from autoencode.types import Array, DataSpec


@dataclass(frozen=True, eq=False)
class OwnImage:
    """An image as a model takes it, at its own size.

    Attributes:
        name: of its file, inside the folder.
        where: what to call it in an error.
        values: (C, H, W) in the units of the training data, float32.
        found: what its file says of it.
        factor: what its own values were multiplied by.
        alpha: (H, W) how opaque it is, ``None`` for all of it.
    """

    name: str
    where: str
    values: Array
    found: Header
    factor: float = 1.0
    alpha: Array | None = None

    def back(self, made: Array) -> Array:
        """Brings what a model made of it (C, H, W) to depth and colours of its file (H, W, C)."""
        channels = 1 if self.found.grey else 3
        return in_dtype(
            with_channels(np.moveaxis(made, 0, -1), channels) / self.factor, self.found.depth
        )


class OwnSizes:
    """The images of a folder or of shards, each at its own size.

    Args:
        path: of the folder, or of the shards.
        options: what becomes of damaged ones.
        spec: what the model was trained on.

    Raises:
        DataError: there are none, or one is damaged where such are refused.
    """

    def __init__(self, path: Path, options: ImageOptions, spec: DataSpec) -> None:
        self._entries, _ = entries_of(path)
        self._bad = DamagedImages(path, options.on_bad_file == "skip")
        self._channels, self._depth = spec.shape[0], image_depth(spec)
        self.survey, self.headers = Survey(), dict[str, Header]()
        for entry in self._entries():
            with self._bad.passing(entry), opened(entry) as image:
                found = header(image)
                self.survey.add(entry, found)
                self.headers[entry.id or entry.name] = found
        refuse_none(self.survey, path, self._bad)

    @property
    def sizes(self) -> str:
        """How large the images are, in words."""
        return said_sizes(self.survey)

    @property
    def one_size(self) -> bool:
        return len(self.survey.sizes) == 1

    def __iter__(self) -> Iterator[OwnImage]:
        """Yields the images that are intact.

        Raises:
            DataError: one is damaged, or a coloured one for a model of grey ones.
        """
        for entry in self._entries():
            found = self.headers.get(entry.id or entry.name)
            image = None
            if found is not None:
                with self._bad.passing(entry):
                    image = self._read(entry, found)
            if image is not None:
                yield image

    def notices(self, keeps_alpha: bool) -> list[str]:
        """What was left out, and what images have that does not come back."""
        losses = losses_of(self.survey, kept=("alpha",) if keeps_alpha else ())
        return [*self._bad.notices(), *losses]

    def _read(self, entry: Entry, found: Header) -> OwnImage:
        with opened(entry) as image:
            values, opaque = pixels(entry, image, found), alpha(entry, image, found)
        if self._channels == 1:
            refuse_lost_colours(entry, values)
        factor = factor_between(found.depth.name, self._depth)
        seen = np.multiply(with_channels(values, self._channels), factor, dtype=np.float32)
        name = entry.id or entry.name
        return OwnImage(name, entry.name, np.moveaxis(seen, -1, 0), found, factor, opaque)
