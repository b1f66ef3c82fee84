"""Trained models as ONNX files and programs of ``torch.export``, checked against Python's results."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from autoencode.export.folder import Exported, export
from autoencode.export.parity import Parity
from autoencode.export.ports import PARTS, Exportable, Part, Port
from autoencode.export.to_onnx import OPSET, to_onnx

__all__ = [
    "OPSET",
    "PARTS",
    "Exportable",
    "Exported",
    "Parity",
    "Part",
    "Port",
    "export",
    "onnx_bytes",
    "to_onnx",
]


def onnx_bytes(trained: Exportable, part: str) -> bytes:
    """Writes a part of a model as one ONNX file in memory: arrays in, float32 arrays out.

    The decoder takes ``z`` (batch, codes) and gives ``x`` (batch, ...), in the units and the shape of
    the user's examples; of a table the numbers of its columns (categories by their places, dates as
    days since 1970-01-01). A model that is conditional on labels takes ``label`` (batch,) besides, the
    place of each among ``trained.spec.classes``, int64. Nothing is checked against Python here.

    Args:
        trained: a ``Trained``, or an estimator.
        part: one of ``PARTS``.

    Raises:
        IncompatibleError: when the model has no such part, or it cannot be exported.
        OptionError: when the libraries that it needs are not installed.
    """
    made = trained.part(part)
    wide = tuple(port.dtype == "float64" for port in made.outputs)
    if any(wide):
        outputs = tuple(
            replace(port, dtype="float32") if is_wide else port
            for port, is_wide in zip(made.outputs, wide, strict=True)
        )
        made = replace(made, module=_Narrow(made.module), outputs=outputs)
    content: bytes = to_onnx(made).SerializeToString()
    return content


class _Narrow(nn.Module):
    """A module whose float64 results are float32."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, first: Tensor, label: Tensor | None = None) -> tuple[Tensor, ...]:
        found = self.module(first) if label is None else self.module(first, label)
        return tuple(one.float() if one.dtype == torch.float64 else one for one in found)
