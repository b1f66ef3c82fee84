"""The parts of a trained model that can be exported, and what Python says of the same examples."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from autoencode.data import Examples, apply_spec
from autoencode.data.values.layouts import in_shape
from autoencode.data.values.series import decode
from autoencode.errors import IncompatibleError
from autoencode.export.ports import PARTS, Part, Port
from autoencode.export.values import Inward, Labels, Outward, blank, outer_dtype, outer_shape
from autoencode.models import AutoencoderModule, Decoder, Encoder
from autoencode.recipes import Recipe
from autoencode.types import Array, DataSpec

_OWN = "the units of the data"


class Whole(Protocol):
    """What is asked of a trained model, ``Trained``."""

    recipe: Recipe

    @property
    def spec(self) -> DataSpec: ...
    @property
    def latent_shape(self) -> tuple[int, ...]: ...
    def encoder(self) -> Encoder: ...
    def decoder(self) -> Decoder: ...
    def embed(self, x: Any) -> Array: ...
    def decode(self, z: Any, labels: Any = None) -> Array: ...
    def reconstruct(self, x: Any) -> Array: ...


def part_of(trained: Whole, name: str) -> Part:
    """Makes a part of a trained model, one of ``PARTS``.

    Raises:
        IncompatibleError: when the model has none of that name.
    """
    return _MAKERS[name](trained)


def _encoder(trained: Whole) -> Part:
    spec = trained.spec
    return Part(
        "encoder",
        _Encode(trained.encoder().cpu()),
        example_ports(spec),
        (_code_port(trained),),
        lambda rows: inputs_of(rows, spec),
        lambda rows: [_codes(trained, rows)],
        {},
    )


def _decoder(trained: Whole) -> Part:
    spec = trained.spec
    return Part(
        "decoder",
        _Decode(trained.decoder().cpu(), trained.latent_shape),
        (_code_port(trained), *_label_port(spec)),
        (_result_port(spec),),
        lambda rows: [_codes(trained, rows), *_numbers(rows, spec)],
        lambda rows: [outer(trained.decode(_codes(trained, rows), rows.labels), spec)],
        {"x": sizes_of(spec)},
    )


def _reconstruct(trained: Whole) -> Part:
    spec = trained.spec
    return Part(
        "reconstruct",
        _Reconstruct(frozen(trained.recipe.model), spec),
        example_ports(spec),
        (_result_port(spec),),
        lambda rows: inputs_of(rows, spec),
        lambda rows: [outer(trained.reconstruct(rows), spec)],
        {"x": sizes_of(spec)},
    )


def _impute(trained: Whole) -> Part:
    spec = trained.spec
    if not spec.gaps:
        raise IncompatibleError(
            "the model never saw a gap and fills none; train it on data with gaps, or noise=missing"
        )

    def filled(rows: Examples) -> list[Array]:
        x, guess = inputs_of(rows, spec)[0], outer(trained.reconstruct(rows), spec)
        counts = [column.kind == "count" for column in spec.columns]
        guess = np.where(counts, np.rint(guess), guess) if any(counts) else guess
        return [np.where(np.isnan(x), guess, x)]

    return Part(
        "impute",
        _Impute(frozen(trained.recipe.model), spec),
        example_ports(spec),
        (replace(_result_port(spec), dtype=outer_dtype(spec)),),
        lambda rows: inputs_of(rows, spec),
        filled,
        {"x": sizes_of(spec)},
    )


def _denoise(trained: Whole) -> Part:
    spec = trained.spec
    if not spec.noisy and trained.recipe.options.get("noise", "auto") in ("auto", "none", "missing"):
        raise IncompatibleError(
            "the model was not trained to denoise; train a Denoiser, or with noise=gaussian"
        )
    noisy = replace(spec, noisy=True)
    return Part(
        "denoise",
        _Denoise(frozen(trained.recipe.model), noisy),
        example_ports(noisy),
        (_result_port(noisy),),
        lambda rows: inputs_of(rows, noisy),
        lambda rows: [outer(within(trained.reconstruct(rows), spec), spec)],
        {"x": sizes_of(spec)},
    )


def _score(trained: Whole) -> Part:
    raise IncompatibleError(
        "a model alone has no anomaly scores; an AnomalyDetector has, which "
        "AnomalyDetector.from_trained makes of it"
    )


_MAKERS: Mapping[str, Callable[[Whole], Part]] = dict(
    zip(PARTS, (_encoder, _decoder, _reconstruct, _impute, _denoise, _score), strict=True)
)


class _Encode(nn.Module):
    """Examples to flat codes."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.inward, self.labels = Inward(encoder.spec), Labels(encoder.spec)

    def forward(self, x: Tensor, label: Tensor | None = None) -> tuple[Tensor]:
        raw, _, refused = self.inward(x)
        context, refused = _with_label(self.labels, label, refused)
        z = self.encoder(raw, context)
        return (blank(z.flatten(1), refused),)


class _Decode(nn.Module):
    """Flat codes to examples."""

    def __init__(self, decoder: Decoder, latent_shape: tuple[int, ...]) -> None:
        super().__init__()
        self.decoder = decoder
        self.latent_shape = latent_shape
        self.outward, self.labels = Outward(decoder.spec), Labels(decoder.spec)

    def forward(self, z: Tensor, label: Tensor | None = None) -> tuple[Tensor]:
        refused = ~z.isfinite().all(1)
        context, refused = _with_label(self.labels, label, refused)
        z = torch.where(refused.unsqueeze(1), 0.0, z)
        x = self.decoder(z.reshape(z.shape[0], *self.latent_shape), context)
        return (blank(self.outward(x), refused),)


class _Reconstruct(nn.Module):
    """Examples through the code and back."""

    def __init__(self, model: AutoencoderModule, spec: DataSpec) -> None:
        super().__init__()
        self.model = model
        self.spec = spec
        self.inward, self.outward, self.labels = Inward(spec), Outward(spec), Labels(spec)

    def forward(self, x: Tensor, label: Tensor | None = None) -> tuple[Tensor]:
        _, seen, refused = self.inward(x)
        context, refused = _with_label(self.labels, label, refused)
        guess = self.finished(self.spec.to_raw(self.model.reconstruct(seen, context)), x)
        return (blank(guess, refused),)

    def finished(self, raw: Tensor, x: Tensor) -> Tensor:
        """Makes the result (B, *outer) of the reconstruction (B, *D) of x (B, *outer)."""
        result: Tensor = self.outward(raw)
        return result


class _Impute(_Reconstruct):
    """Examples with their gaps filled; what is known stays as it is."""

    def finished(self, raw: Tensor, x: Tensor) -> Tensor:
        guess = self.outward(raw)
        if "count" in self.outward.known:
            count: Tensor = self.outward.count  # type: ignore[assignment]
            guess = torch.where(count, guess.round(), guess)
        return torch.where(x.isnan(), guess.to(x.dtype), x)


class _Denoise(_Reconstruct):
    """Reconstructions within the range of the data."""

    def finished(self, raw: Tensor, x: Tensor) -> Tensor:
        if self.spec.kind == "unit":
            raw = raw.clamp(self.spec.offset[0], self.spec.offset[0] + self.spec.scale[0])
        result: Tensor = self.outward(raw)
        return result


def _with_label(labels: Labels, label: Tensor | None, refused: Tensor) -> tuple[Any, Tensor]:
    if label is None:
        return None, refused
    context, unknown = labels(label)
    return context, refused | unknown


def frozen(model: AutoencoderModule) -> AutoencoderModule:
    """Copies a model without what only draws need, ready to be traced."""
    without = {id(part): None for part in (model.prior, model.sampler, model.marginals)}
    copied = copy.deepcopy(model, without)  # nothing in the place of each
    copied.cpu().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    return copied.eval().requires_grad_(False)


MOST_CHECKED = 10_000


def rows_to_check(spec: DataSpec, data: Any = None, seed: int = 0) -> tuple[Examples, str]:
    """Gives examples by which an exported file is checked, and says where they came from.

    Args:
        spec: of the model.
        data: examples; ``None`` makes 1 000 up, of values that the spec says there are.
        seed: of the choice among more than 10 000, and of what is made up.

    Raises:
        DataError: when the data do not fit.
    """
    if data is None:
        return made_up(spec, seed=seed), "values made up within the range of the training data"
    rows = data if isinstance(data, Examples) else Examples(apply_spec(data, spec))
    if len(rows) > MOST_CHECKED:
        chosen = np.random.default_rng(seed).permutation(len(rows))[:MOST_CHECKED]
        rows = rows.take(np.sort(chosen))
    if spec.classes and rows.labels is None:
        rows = rows.labelled(_labels_in_turn(spec, len(rows)))
    return rows, "data"


def made_up(spec: DataSpec, n: int = 1000, seed: int = 0) -> Examples:
    """Makes examples up: of each entry values like those that it had in training, one in ten missing.

    Args:
        spec: says what those are.
        n: how many.
        seed: of the draws.
    """
    rng = np.random.default_rng(seed)
    offset = np.broadcast_to(np.asarray(spec.offset), (spec.size,))
    scale = np.broadcast_to(np.asarray(spec.scale), (spec.size,))
    if spec.kind == "unit":
        x = offset + scale * rng.random((n, spec.size))
    else:
        x = offset + scale * rng.normal(size=(n, spec.size))
    if spec.support is not None:
        x = x.clip(spec.support.low, spec.support.high)
        for i, values in enumerate(spec.support.values):
            x[:, i] = rng.choice(values, n) if values else x[:, i]
    for i, column in enumerate(spec.columns):
        if column.kind in ("category", "boolean"):
            x[:, i] = rng.integers(0, max(2, len(column.categories)), n)
        if column.kind == "count":
            x[:, i] = np.log1p(np.rint(np.expm1(np.maximum(x[:, i], 0))))
    if spec.gaps:
        x[rng.random(x.shape) < 0.1] = np.nan
    dtype = np.float64 if outer_dtype(spec) == "float64" else np.float32
    return Examples(x.reshape(n, *spec.shape).astype(dtype), _labels_in_turn(spec, n))


def _labels_in_turn(spec: DataSpec, n: int) -> Array | None:
    return np.array([spec.classes[i % len(spec.classes)] for i in range(n)]) if spec.classes else None


def _code_port(trained: Whole) -> Port:
    return Port("z", "float32", (math.prod(trained.latent_shape),), "the code's own")


def example_ports(spec: DataSpec) -> tuple[Port, ...]:
    """Lists the inputs of a part that takes examples."""
    x = Port("x", outer_dtype(spec), outer_shape(spec), _OWN, spec.columns)
    return x, *_label_port(spec)


def _label_port(spec: DataSpec) -> tuple[Port, ...]:
    if not spec.classes:
        return ()
    return (Port("label", "int64", (), "the label", words=spec.classes),)


def _result_port(spec: DataSpec) -> Port:
    dtype = "float64" if spec.columns else "float32"
    return Port("x", dtype, outer_shape(spec), _OWN, spec.columns)


def _codes(trained: Whole, rows: Examples) -> Array:
    z = trained.embed(rows)
    return z.reshape(len(z), -1)


def inputs_of(rows: Examples, spec: DataSpec) -> list[Array]:
    """Makes what the inputs of ``example_ports`` are, of examples."""
    x = outer(rows.x, spec).astype(outer_dtype(spec))
    return [x, *_numbers(rows, spec)]


def _numbers(rows: Examples, spec: DataSpec) -> list[Array]:
    """Numbers of the labels (N,), -1 where one is missing, of a conditional model."""
    if not spec.classes:
        return []
    places = {name: i for i, name in enumerate(spec.classes)}
    labels = [""] * len(rows) if rows.labels is None else list(map(str, rows.labels))
    return [np.array([places.get(label, -1) for label in labels], np.int64)]


def within(raw: Array, spec: DataSpec) -> Array:
    """Brings raw values (N, *D) of pixels to their range."""
    if spec.kind != "unit":
        return raw
    inside: Array = raw.clip(spec.offset[0], spec.offset[0] + spec.scale[0])
    return inside


def outer(raw: Array, spec: DataSpec) -> Array:
    """Turns raw values (N, *D) into the numbers of a user: counts as such, dates as days since 1970."""
    if not spec.columns:
        return in_shape(raw, (len(raw), *outer_shape(spec)))
    wide = raw.astype(np.float64)
    columns = []
    for i, column in enumerate(spec.columns):
        if column.kind == "category":
            columns.append(wide[:, i])
            continue
        values = decode(column, wide[:, i])
        if column.kind == "date":
            days = values.astype("datetime64[us]").astype("int64") / 86400e6
            values = np.where(np.isnat(values), np.nan, days)
        columns.append(values.astype(np.float64))
    return np.stack(columns, axis=1)


def sizes_of(spec: DataSpec) -> Array:
    """Finds what the entries of an example vary by, (*outer), in the units of the data."""
    scale = np.broadcast_to(np.asarray(spec.scale), (spec.size,)).reshape(1, *spec.shape)
    if spec.columns:
        coded = [column.kind in ("category", "boolean", "count") for column in spec.columns]
        return np.where(coded, 1.0, scale[0])
    sizes: Array = in_shape(scale, (1, *outer_shape(spec)))[0]
    return sizes
