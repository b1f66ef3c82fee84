"""The way from the user's values to those that a model sees, and back, as modules.

They say what ``data.values`` says, in operations that can be exported. A row with a value that Python
would refuse cannot be refused here: it is computed as if it were another one, and the results are then
made NaN (``Refused``).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from autoencode.types import UNSEEN, DataSpec

_CHANNELS = (1, 3, 4)


def outer_shape(spec: DataSpec) -> tuple[int, ...]:
    """Finds the shape in which the user has one example."""
    return spec.given_shape or spec.shape


def outer_dtype(spec: DataSpec) -> str:
    """Names the dtype of the user's values: float64 for measurements, which are scaled so."""
    measured = spec.kind == "real" and spec.layout in ("row", "sequence")
    return "float64" if measured or spec.columns else "float32"


def _channels_last(spec: DataSpec) -> bool:
    given = spec.given_shape
    moved = len(given) > 2 and given[-1] in _CHANNELS and (given[-1], *given[:-1]) == spec.shape
    return moved and given != spec.shape


class Inward(nn.Module):
    """User's examples (B, *outer) to what the model sees (B, *D), and which of them are refused (B,).

    Of a table the numbers of its columns: counts as such, categories by their places, booleans as 0 and
    1, dates as days since 1970-01-01; NaN where a value is missing.

    Args:
        spec: the data.
        scored: whether anomalies are looked for, of which a category that was never seen is one: such
            rows are refused.
    """

    def __init__(self, spec: DataSpec, *, scored: bool = False) -> None:
        super().__init__()
        self.spec, self.scored = spec, scored
        self.channels_last = _channels_last(spec)
        kinds = [column.kind for column in spec.columns]
        origins = [column.origin for column in spec.columns]
        sizes = [_size(kind, len(c.categories)) for kind, c in zip(kinds, spec.columns, strict=True)]
        self.counts = "count" in kinds
        self.register_buffer("is_count", torch.tensor([k == "count" for k in kinds]), persistent=False)
        self.register_buffer("origin", torch.tensor(origins, dtype=torch.float64), persistent=False)
        self.register_buffer("places", torch.tensor(sizes, dtype=torch.float64), persistent=False)
        usual = torch.tensor(spec.offset, dtype=torch.float64)
        usual = usual.reshape(spec.shape) if len(spec.offset) > 1 else usual.expand(spec.shape)
        self.register_buffer("usual", usual.clone(), persistent=False)
        # A category that training never saw is none of those that are known, where that is taken.
        taken = spec.handle_unknown == "ignore" and not scored
        least = [float(UNSEEN) if taken and kind == "category" else 0.0 for kind in kinds]
        self.register_buffer("least", torch.tensor(least, dtype=torch.float64), persistent=False)

    is_count: Tensor
    origin: Tensor
    places: Tensor
    least: Tensor
    usual: Tensor

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Returns raw values (B, *D), the model's values (B, *D) and what is refused (B,)."""
        spec = self.spec
        raw = x.movedim(-1, 1) if self.channels_last else x.reshape(x.shape[0], *spec.shape)
        wrong = raw.isinf() if spec.gaps else raw.isinf() | raw.isnan()
        if spec.kind == "unit":
            low, high = spec.offset[0], spec.offset[0] + spec.scale[0]
            raw = raw if spec.noisy or self.scored else raw.clamp(low, high)
        if spec.columns:
            wrong = wrong | self._no_values(raw)
            if self.counts:
                raw = torch.where(self.is_count, raw.round().clamp_min(0).log1p(), raw)
            raw = raw - self.origin
        # What is refused must not reach a network that has no place for it.
        refused = wrong.flatten(1).any(1)
        each = refused.view(-1, *(1,) * len(spec.shape))
        raw = torch.where(each, self.usual.to(raw.dtype), raw)
        return raw, spec.to_model(raw), refused

    def _no_values(self, raw: Tensor) -> Tensor:
        """Tells which numbers (B, D) no value of their column has."""
        whole = raw.round()
        coded = (self.places > 0) & ((raw != whole) | (raw < self.least) | (raw >= self.places))
        uneven = (raw - whole).abs() > 1e-9 * whole.clamp_min(1)
        return (coded | (self.is_count & ((raw < 0) | uneven))) & ~raw.isnan()


def _size(kind: str, categories: int) -> int:
    return {"category": categories, "boolean": 2}.get(kind, 0)


class Outward(nn.Module):
    """Raw values (B, *D) of a model's examples to the user's (B, *outer), the way back of ``Inward``.

    Args:
        spec: the data.
    """

    def __init__(self, spec: DataSpec) -> None:
        super().__init__()
        self.spec = spec
        self.channels_last = _channels_last(spec)
        kinds = [column.kind for column in spec.columns]
        self.known = tuple(kind for kind in ("count", "boolean", "category", "date") if kind in kinds)
        for kind in self.known:
            self.register_buffer(kind, torch.tensor([k == kind for k in kinds]), persistent=False)
        tops = [max(0, len(column.categories) - 1) for column in spec.columns]
        origins = [column.origin for column in spec.columns]
        self.register_buffer("tops", torch.tensor(tops, dtype=torch.float64), persistent=False)
        self.register_buffer("origin", torch.tensor(origins, dtype=torch.float64), persistent=False)

    tops: Tensor
    origin: Tensor

    def forward(self, raw: Tensor) -> Tensor:
        if self.spec.columns:
            x = raw.to(torch.float64)
            forms = {
                "count": lambda: x.expm1().clamp_min(0),
                "boolean": lambda: (x >= 0.5).to(x.dtype),
                "category": lambda: torch.minimum(x.round().clamp_min(0), self.tops),
                "date": lambda: ((x + self.origin) * 86400.0).round() / 86400.0,
            }
            for kind in self.known:
                x = torch.where(getattr(self, kind), forms[kind](), x)
            return x
        if self.channels_last:
            return raw.movedim(1, -1)
        return raw.reshape(raw.shape[0], *outer_shape(self.spec))


class Labels(nn.Module):
    """Numbers of labels (B,) to the contexts (B, C) of a conditional model, and which are refused (B,).

    Args:
        spec: the data; -1 is a missing label, which only some models take.
    """

    def __init__(self, spec: DataSpec) -> None:
        super().__init__()
        self.spec = spec

    def forward(self, labels: Tensor) -> tuple[Tensor, Tensor]:
        places = torch.arange(self.spec.context_dim, device=labels.device)
        unknown = (labels < 0) | (labels >= self.spec.context_dim)
        context = (labels.unsqueeze(1) == places).to(torch.float32)
        if self.spec.labelled is None:
            return context, unknown
        gone = torch.where(unknown.unsqueeze(1), math.nan, context)
        return gone, labels >= self.spec.context_dim


def blank(values: Tensor, refused: Tensor) -> Tensor:
    """Makes results (B, ...) of what is refused NaN."""
    return torch.where(refused.view(-1, *(1,) * (values.dim() - 1)), math.nan, values)
