"""Rows as a trained model sees and reconstructs them: what all anomaly scores are made from."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from autoencode.data import Examples, Resident
from autoencode.data.values.ranges import center_and_variance
from autoencode.errors import OptionError
from autoencode.likelihoods.columns import MixedObservation
from autoencode.models import AutoencoderModule
from autoencode.nets.reader import reader_for
from autoencode.randomness import common_noise, drawing
from autoencode.trained import Trained
from autoencode.trained.trained import CHUNK
from autoencode.types import Array, Batch, DataSpec, Observation

DRAWS = 16  # of z, where the code is a draw; the same ones for every row


@dataclass(frozen=True)
class Reconstructed:
    """N rows in coordinates: one for each number of an example, one for each category of a column.

    Attributes:
        expected: (N, C) the reconstruction, in the model's units; probabilities of categories.
        residual: (N, C) the row minus its reconstruction, 0 where a value is missing.
        code: (N, K) codes, flat.
        surprise: (N, D) minus log p(x_j|z) in nats of each entry, averaged over the draws of z.
        kl: (N,) KL(q(z|x) || p(z)) in nats, 0 for a deterministic code.
        entry: (C,) which of the D entries a coordinate belongs to.
        unseen: (N, D) minus the logarithm of the probability of a category that was never seen, where
            an entry is one; 0 elsewhere.
    """

    expected: Array
    residual: Array
    code: Array
    surprise: Array
    kl: Array
    entry: Array
    unseen: Array

    def __len__(self) -> int:
        return len(self.expected)

    @property
    def n_entries(self) -> int:
        """Number of entries D of one example."""
        return int(self.surprise.shape[1])

    @property
    def values(self) -> Array:
        """Rows (N, C) themselves, with the reconstruction in the place of a missing value."""
        # As float32, in which they came, equal values are equal again.
        together: Array = (self.expected + self.residual).astype(np.float32).astype(np.float64)
        return together

    def take(self, rows: Array) -> Reconstructed:
        """Selects the rows with these numbers."""
        return Reconstructed(
            self.expected[rows],
            self.residual[rows],
            self.code[rows],
            self.surprise[rows],
            self.kl[rows],
            self.entry,
            self.unseen[rows],
        )

    def to_entries(self, parts: Array) -> Array:
        """Sums parts (N, C) of coordinates to those of entries (N, D)."""
        if len(self.entry) == self.n_entries:
            return parts
        sums = np.zeros((len(parts), self.n_entries))
        np.add.at(sums.T, self.entry, parts.T)
        return sums


def reconstruct_rows(trained: Trained, examples: Examples) -> Reconstructed:
    """Reconstructs examples by a model, with the same result for the same row every time.

    Tables are computed in float64, so that a row's score does not depend on the rows beside it.
    """
    exact = trained.spec.layout == "row" and trained.device.type != "mps"
    model = copy.deepcopy(trained.model).double() if exact else trained.model
    stochastic = trained.stochastic
    pieces = []
    with drawing(0, trained.device, model), torch.inference_mode():
        for batch in Resident(examples, trained.spec, trained.device).batches(CHUNK):
            with common_noise():
                wide = _double(batch) if exact else batch
                pieces.append(_see_batch(model.eval(), wide, stochastic, trained.spec))
    expected, residual, code, surprise, kl = (
        np.concatenate(parts) for parts in zip(*pieces, strict=True)
    )
    unseen = unseen_of(trained.spec, examples.x)
    return Reconstructed(expected, residual, code, surprise, kl, entries_of(trained.spec), unseen)


def unseen_of(spec: DataSpec, x: Array) -> Array:
    """Computes the surprise (N, D) of categories that were never seen, in nats; 0 of all else."""
    found = np.zeros((len(x), spec.size))
    for i, column in enumerate(spec.columns):
        if column.kind == "category":
            found[x[:, i] < 0, i] = -math.log(column.unseen)
    return found


def expected_rows(spec: DataSpec, seen: Reconstructed) -> Array:
    """Gives what the model expects of each entry, (N, D) in the data's own units.

    Of a category that is the place of the likeliest value, as in a table's matrix.
    """
    entries = np.zeros((len(seen), seen.n_entries))
    for i in range(seen.n_entries) if spec.mixed else ():
        places = np.flatnonzero(seen.entry == i)
        column = spec.columns[i]
        if column.kind == "category":
            entries[:, i] = seen.expected[:, places[: len(column.categories)]].argmax(axis=1)
        else:
            entries[:, i] = seen.expected[:, places[0]]
    if not spec.mixed:
        entries = seen.expected
    shaped = torch.from_numpy(np.ascontiguousarray(entries)).reshape(-1, *spec.shape)
    raw: Array = spec.to_raw(shaped).numpy().reshape(len(seen), -1)
    return raw


def plain_rows(spec: DataSpec, examples: Examples) -> Array:
    """Turns rows into plain numbers (N, P), before any model: the mean in gaps, categories one-hot."""
    x = spec.to_model(torch.from_numpy(np.ascontiguousarray(examples.x)))
    reader = reader_for(spec)
    return _flat(x if reader is None else reader(x))


def standardized_entries(spec: DataSpec, x: Array, how: str = "columns") -> DataSpec:
    """Rescales the spec of a table: each numeric column of rows ``x`` gets mean 0 and variance 1.

    Flattened pictures and rows of bool are usually left as they are. Here a column's own spread has to
    count, since a distance among rows means little otherwise. Images, and columns of categories or
    booleans, keep their scale.

    Args:
        spec: how the rows are seen.
        x: (N, *D) rows as they are stored.
        how: columns, or robust for the median and the interquartile range (``robust_moments``).

    Raises:
        OptionError: for another way to scale.
    """
    if how not in ("columns", "robust"):
        raise OptionError(f"columns are compared when scaled by columns or robust, got {how!r}")
    if spec.layout != "row":
        return spec
    mean, variance = center_and_variance(np.asarray(x, np.float64), how)
    deviation = np.sqrt(variance)
    # What float32 rounds to is no spread.
    scale = np.where(deviation > 1e-6 * np.abs(mean), deviation, 1.0)
    scale = np.where(scale > np.finfo(np.float32).tiny, scale, 1.0)
    if spec.columns:
        plain = np.array([column.kind in ("boolean", "category") for column in spec.columns])
        mean, scale = np.where(plain, 0.0, mean), np.where(plain, 1.0, scale)
    return replace(
        spec,
        kind="real",
        offset=tuple(float(v) for v in mean),
        scale=tuple(float(v) for v in scale),
    )


def _double(batch: Batch) -> Batch:
    x = batch.x.double()
    return Batch(x, x, batch.context, batch.mask)


def _see_batch(
    model: AutoencoderModule, batch: Batch, stochastic: bool, spec: DataSpec
) -> tuple[Array, ...]:
    z = model.embed(batch.x)
    p_x: Observation = model.decode(z)
    expected, target, known = coordinates_of(p_x, batch, spec)
    residual = torch.where(known, target - expected, 0.0)
    expected = torch.where(torch.isnan(expected), 0.0, expected)
    kl = z.new_zeros(len(z))
    if stochastic:
        output = model(batch, DRAWS)
        surprise = -output.x_dist.entries(batch.target, batch.mask).mean(0)
        for site in output.latent.sites.values():
            kl = kl + site.kl().mean(0) if site.kl().dim() > 1 else kl + site.kl()
    else:
        surprise = -p_x.entries(batch.target, batch.mask)
    parts = (expected, residual, z, surprise)
    return *(_flat(part) for part in parts), kl.cpu().numpy().astype(np.float64)


def coordinates_of(p_x: Observation, batch: Batch, spec: DataSpec) -> tuple[Tensor, Tensor, Tensor]:
    """Gives the reconstruction, the target and which of it is known, (N, C) each."""
    mean, target = p_x.mean, batch.target
    known = torch.ones_like(target, dtype=torch.bool) if batch.mask is None else batch.mask
    if not isinstance(p_x, MixedObservation):
        return mean, target, known
    category = [i for i, column in enumerate(spec.columns) if column.kind == "category"]
    plain = [i for i in range(len(spec.columns)) if i not in category]
    columns = [(mean[:, plain], target[:, plain], known[:, plain])]
    shares = p_x.shares()
    states, seen = p_x.states(torch.where(known[:, category], target[:, category], 0.0))
    for place, i in enumerate(category):
        size = spec.columns[i].n_states
        chosen = torch.nn.functional.one_hot(states[:, place], size).to(target)
        chosen = chosen * seen[:, [place]]
        columns.append((shares[:, place, :size], chosen, known[:, [i]].expand(-1, size)))
    return tuple(torch.cat(part, dim=1) for part in zip(*columns, strict=True))  # type: ignore[return-value]


def entries_of(spec: DataSpec) -> Array:
    """Finds the entry of an example that each coordinate belongs to."""
    if not spec.mixed:
        return np.arange(spec.size)
    category = [i for i, column in enumerate(spec.columns) if column.kind == "category"]
    plain = [i for i in range(len(spec.columns)) if i not in category]
    return np.array(
        [*plain, *(i for i in category for _ in range(spec.columns[i].n_states))], dtype=int
    )


def _flat(values: Tensor) -> Array:
    return values.flatten(1).cpu().numpy().astype(np.float64)
