"""New examples on disk for a trained model, read and checked in order."""

from __future__ import annotations

from dataclasses import dataclass, field

from autoencode.data.disk.stored import Stored
from autoencode.data.values.apply_spec import to_spec
from autoencode.data.values.arrays import refuse_unusable
from autoencode.data.values.outside import log
from autoencode.types import Array, DataSpec


@dataclass(frozen=True, eq=False)
class Conformed(Stored):
    """New examples on disk, checked and brought to a trained model's spec as they are read.

    Attributes:
        spec: what the model was trained on.
    """

    spec: DataSpec = field(default=DataSpec(()), kw_only=True)
    _told: list[str] = field(default_factory=list, kw_only=True, repr=False)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one example, as the model sees it."""
        return self.spec.shape

    def read(self, start: int, stop: int) -> Array:
        """Reads the rows from ``start`` to ``stop`` (stop - start, *D), as ``apply_spec`` gives them.

        Raises:
            DataError: a value is missing, or most lie far outside of what the model was trained on.
        """
        block = self.store.read(start, stop)
        refuse_unusable(block, self.store.name, start)
        return to_spec(block, self.spec, self.store.name, start, self._tell)

    def _tell(self, line: str) -> None:
        """Tells the first line that there is to tell; other blocks would repeat it."""
        if not self._told:
            log(f"{line} (told once, of the first rows that have such)")
        self._told.append(line)
