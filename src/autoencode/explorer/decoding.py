"""The decoder as a page runs it, or why the page does not decode."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from autoencode.data.values.layouts import channels_last
from autoencode.errors import IncompatibleError, OptionError
from autoencode.explorer.pack import Packed
from autoencode.export import onnx_bytes
from autoencode.export.parity import compare
from autoencode.trained import Trained
from autoencode.types import Array

_MOST_BYTES = 64 << 20  # of a decoder in a page


@dataclass(frozen=True)
class Decoding:
    """An ONNX file of a decoder, from ``z`` (batch, codes) to ``x`` in the data's own units.

    Attributes:
        content: the file, ``None`` where there is none.
        why_not: why there is none.
        labels: what a conditional model is given besides, by its place.
        channels_last: whether ``x`` has its channels last, unlike the originals.
        differs: by how much at most the file was found to differ from Python, over what the values of
            an entry vary by.
    """

    content: bytes | None
    why_not: str = ""
    labels: tuple[str, ...] = ()
    channels_last: bool = False
    differs: float = 0.0

    def add_to(self, packed: Packed) -> dict[str, Any]:
        """Adds the decoder to a page, and gives what it reads it by."""
        if self.content is None:
            return {"why_not": self.why_not}
        return {
            **packed.add_bytes(self.content),
            "labels": list(self.labels),
            "channels_last": self.channels_last,
            "differs": self.differs,
        }


def decoding_for(trained: Trained) -> Decoding:
    """Exports a model's decoder for a page; where that cannot be, the page says why.

    The file is run beside the model, on the codes of examples that are made up: one that says something
    else than Python does not get into a page.
    """
    spec = trained.spec
    try:
        content = onnx_bytes(trained, "decoder")
        differs = _compared(trained, content)
    except (IncompatibleError, OptionError) as error:
        return Decoding(None, str(error))
    if len(content) > _MOST_BYTES:
        return Decoding(None, f"the decoder takes {len(content) >> 20} MB, too much for a page")
    last = channels_last(spec.given_shape, spec.shape)
    return Decoding(content, "", tuple(spec.classes), last, differs)


def _compared(trained: Trained, content: bytes) -> float:
    """Compares the file with the model, and gives the largest difference.

    Raises:
        IncompatibleError: when they differ by more than rounding.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    names = [entry.name for entry in session.get_inputs()]

    def run(given: Sequence[Array]) -> Sequence[Array]:
        found: Sequence[Array] = session.run(None, dict(zip(names, given, strict=True)))
        return found

    rows, source = trained.rows_to_check()
    return compare(trained.part("decoder"), run, rows, source).worst
