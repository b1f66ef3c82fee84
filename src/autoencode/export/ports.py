"""What becomes a file: a module, its inputs and outputs, and what Python says of the same examples."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from torch import nn

from autoencode.types import Array, Column

#: Every part that a model may have, and what it does.
PARTS: Mapping[str, str] = {
    "encoder": "examples to codes",
    "decoder": "codes to examples",
    "reconstruct": "examples through the code and back",
    "impute": "examples with gaps to examples without",
    "denoise": "noisy examples to clean ones",
    "score": "examples to anomaly scores, p-values and flags",
}


@dataclass(frozen=True)
class Port:
    """One input or output of a part.

    Attributes:
        name: what it is called.
        dtype: float32, float64, int64 or bool.
        shape: of one example; empty for one number each.
        unit: what its numbers mean, in words.
        columns: of a table whose rows it holds, in the order of its entries.
        words: what whole numbers stand for, -1 for what is missing or in none of them.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    unit: str
    columns: tuple[Column, ...] = ()
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Part:
    """A module to be exported, and how it is told whether what was exported is right.

    Attributes:
        name: one of ``PARTS``.
        module: takes tensors (B, ...) in the order of ``inputs``, gives a tuple in that of ``outputs``.
        inputs, outputs: what they are.
        given: examples to what the inputs are, (N, ...) each.
        expected: the same examples to what Python's own way makes the outputs, (N, ...) each.
        size: of one unit of each output, which errors are measured by: what its values vary by.
        limit: the score above which an example is called anomalous, where there is a score.
    """

    name: str
    module: nn.Module
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    given: Callable[[Any], list[Array]]
    expected: Callable[[Any], list[Array]]
    sizes: Mapping[str, Any]
    limit: float | None = None


class Exportable(Protocol):
    """A model, or an estimator around one, that knows its parts."""

    def part(self, name: str) -> Part:
        """Makes the part of that name.

        Raises:
            IncompatibleError: when the model has none.
        """

    def rows_to_check(self, data: Any = None) -> tuple[Any, str]:
        """Gives examples by which a file is checked, and says where they came from."""
