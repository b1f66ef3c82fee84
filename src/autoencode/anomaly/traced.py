"""Anomaly scores in operations of torch alone, so that they can be exported.

They say what ``Scorer`` says in numpy, to rounding. A row that was among the training rows is told by
its coordinates here, not by its digest.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from autoencode.anomaly.calibrate import Tail
from autoencode.anomaly.memory import CROWD, RECALLED, RIDGE, Memory, crowd
from autoencode.anomaly.ranks import FARTHEST, Ranks
from autoencode.anomaly.reconstructed import coordinates_of, entries_of
from autoencode.anomaly.scored_model import Calibration, ScoredModel
from autoencode.anomaly.scores import EVIDENCE, Scorer
from autoencode.errors import IncompatibleError
from autoencode.export.values import Inward
from autoencode.models import AutoencoderModule
from autoencode.types import Array

_SAME = {True: 1e-9, False: 1e-4}  # of values that are one row's; of a model in float64 or float32
_DOUBLINGS = 14
_TIE = 1e-9  # of scores that are the same


class Judge(nn.Module):
    """Rows (B, *outer) to their scores (B,), p-values (B,) where there are any, and flags (B,).

    Args:
        main: what scores rows, and the copy of its module that is exported.
        measure: one of ``SCORES``.
        limit: the score above which a row is anomalous.
        calibration: what p-values come from, and the copy of its judge's module.
    """

    def __init__(
        self,
        main: tuple[ScoredModel, AutoencoderModule],
        measure: str,
        limit: float,
        calibration: tuple[Calibration, AutoencoderModule] | None,
    ) -> None:
        super().__init__()
        self.main = Scores(*main, measure)
        self.limit = limit
        self.judge: nn.Module | None = None
        if calibration is not None:
            of, module = calibration
            self.judge = None if of.judge is main[0] else Scores(of.judge, module, measure)
            _keep(self, "usual", np.sort(of.scores))
        self.calibrated = calibration is not None

    usual: Tensor

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        score, refused = self.main(x)
        anomalous = (score > self.limit) | refused
        score = torch.where(refused, math.nan, score)
        if not self.calibrated:
            return score, anomalous
        judged = score if self.judge is None else self.judge(x)[0]
        slack = _TIE * judged.abs().clamp_min(1e-12)
        higher = (self.usual >= (judged - slack).unsqueeze(1)).sum(1)
        p = (1.0 + higher.to(torch.float64)) / (1.0 + len(self.usual))
        return score, torch.where(refused, math.nan, p), anomalous


class Scores(nn.Module):
    """Rows (B, *outer) to scores (B,), float64, and which are refused (B,)."""

    def __init__(self, scored: ScoredModel, model: AutoencoderModule, measure: str) -> None:
        super().__init__()
        spec, scorer = scored.trained.spec, scored.scorer
        if measure == "likelihood" and scored.trained.stochastic:
            raise IncompatibleError(
                "the likelihood of a stochastic code is a mean over draws, which a file cannot repeat; "
                "fit the detector with measure='combined'"
            )
        exact = spec.layout == "row"
        self.inward = Inward(spec, scored=True)
        self.model = model.double() if exact else model
        self.spec, self.exact, self.measure = spec, exact, measure
        self.emphasis = scorer.emphasis
        self.ranks = None if scorer.ranks is None else _Ranks(scorer.ranks)
        self.explained = _Memory(scorer.memories["explained"], exact)
        self.ranked = _Memory(scorer.memories["ranked"], exact)
        self.tails = nn.ModuleDict({name: _Tail(tail) for name, tail in scorer.tails.items()})
        _keep(self, "center", scorer.center)
        _keep(self, "precision", scorer.precision)
        _keep(self, "weights", _weights_of(scorer, scored))

    center: Tensor
    precision: Tensor
    weights: Tensor

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        _, seen, refused = self.inward(x)
        z = self.model.embed(seen.double() if self.exact else seen)
        batch = self.spec.batch(seen.to(z.dtype))
        p_x = self.model.decode(z)
        expected, target, known = (part.flatten(1) for part in coordinates_of(p_x, batch, self.spec))
        residual = torch.where(known, target - expected, 0.0).double()
        expected = torch.where(expected.isnan(), 0.0, expected).double()
        if self.measure == "latent":
            far = z.flatten(1).double() - self.center
            return ((far @ self.precision) * far).sum(1), refused
        if self.measure == "reconstruction":
            return (residual.square() * self.weights).sum(1), refused
        if self.measure == "likelihood":
            entries = p_x.entries(batch.target, batch.mask)
            return -entries.flatten(1).double().sum(1), refused
        evidence = self._evidence(expected, residual)
        if self.measure != "combined":
            return evidence[self.measure], refused
        heights = [self.tails[name](evidence[name]) for name in EVIDENCE]
        return torch.stack(heights).mean(0), refused

    def _evidence(self, expected: Tensor, residual: Tensor) -> dict[str, Tensor]:
        values = (expected + residual).float().double()
        explained = torch.cat([expected, self.emphasis * residual], dim=1)
        ranked = values if self.ranks is None else torch.cat([values, self.ranks(values)], dim=1)
        order, own = self.explained.search(explained)
        others, _ = self.ranked.search(ranked, own)
        differences = self.explained.differences(explained, order)
        return {
            "error": residual.square().sum(1).sqrt(),
            "nearest": differences[:, 0].square().sum(1).sqrt(),
            "recall": _put_together(differences),
            "neighbourhood": self.explained.around(explained, order),
            "ranked_recall": _put_together(self.ranked.differences(ranked, others)),
        }


def _weights_of(scorer: Scorer, scored: ScoredModel) -> Array:
    """What the square of each coordinate (C,) counts in the score ``reconstruction``."""
    weights: Array = 1 / scorer.errors[entries_of(scored.trained.spec)]
    return weights


class _Memory(nn.Module):
    """Training rows, and the comparisons of ``Memory`` with them."""

    def __init__(self, memory: Memory, exact: bool) -> None:
        super().__init__()
        _keep(self, "points", memory.points)
        _keep(self, "lengths", np.square(memory.points).sum(1))
        self.same = _SAME[exact]

    points: Tensor
    lengths: Tensor

    def search(self, rows: Tensor, own: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Computes squared distances (B, M) but for the rows' lengths, infinite of a row to itself.

        Args:
            rows: (B, P).
            own: (B, M) which point a row is; found out where it is left out.

        Returns:
            The distances, and which point each row is.
        """
        order = self.lengths - 2 * (rows @ self.points.T)
        if own is None:
            nearest = order.argmin(1)
            apart = (rows - self.points[nearest]).abs().amax(1)
            itself = apart <= self.same * (1 + rows.abs().amax(1))
            places = torch.arange(self.points.shape[0], device=rows.device)
            own = itself.unsqueeze(1) & (places == nearest.unsqueeze(1))
        return torch.where(own, math.inf, order), own

    def differences(self, rows: Tensor, order: Tensor) -> Tensor:
        """Finds the differences (B, K, P) from the nearest points to the rows, the nearest first."""
        k = min(RECALLED, max(self.points.shape[0] - 1, 1))
        nearest = order.float().topk(k, largest=False).indices
        return rows.unsqueeze(1) - self.points[nearest]

    def around(self, rows: Tensor, order: Tensor) -> Tensor:
        """Computes the distance (B,) to the nearest tenth of the points."""
        count = self.points.shape[0]
        lengths = rows.square().sum(1, keepdim=True)
        near = order[:, :CROWD].topk(crowd(count), largest=False).values + lengths
        near = torch.where(near > 2e-13 * lengths, near, 0.0)
        # Infinite is a row that is all there is to remember.
        return torch.where(near.isinf(), 0.0, near).mean(1).sqrt()


def _put_together(differences: Tensor) -> Tensor:
    """Computes how far (B,) rows are from what their neighbours can be put together to."""
    gram = torch.bmm(differences, differences.transpose(1, 2))
    k = differences.shape[1]
    eye = torch.eye(k, dtype=gram.dtype, device=gram.device)
    ridge = (RIDGE / k) * (gram * eye).sum((1, 2))
    gram = gram + ridge.clamp_min(1e-100).view(-1, 1, 1) * eye
    # The sum of all powers of I - A / trace(A), twice as many with each step, applied to ones. With the
    # ridge no eigenvalue is below a 220th of the trace, so 2**14 of them leave nothing over.
    power = eye - gram / (gram * eye).sum((1, 2), keepdim=True)
    weights = torch.ones_like(gram[:, :, :1])
    for _ in range(_DOUBLINGS):
        weights = weights + torch.bmm(power, weights)
        power = torch.bmm(power, power)
    weights = weights / weights.sum(1, keepdim=True)
    together = torch.bmm(weights.transpose(1, 2), differences).squeeze(1)
    return together.square().sum(1).sqrt()


class _Ranks(nn.Module):
    """Values (B, C) to normal scores, as ``Ranks`` does it."""

    def __init__(self, ranks: Ranks) -> None:
        super().__init__()
        self.count, width = ranks.quantiles.shape
        _keep(self, "knots", ranks.quantiles.T.reshape(-1))
        _keep(self, "offset", ranks.offset)
        _keep(self, "scale", ranks.scale)
        _keep(self, "levels", np.linspace(0, 1, self.count))
        self.register_buffer("firsts", torch.arange(width) * self.count, persistent=False)

    knots: Tensor
    offset: Tensor
    scale: Tensor
    levels: Tensor
    firsts: Tensor

    def forward(self, x: Tensor) -> Tensor:
        last = torch.tensor([True, False], device=x.device).view(2, 1, 1)
        place = self._place(x, last)
        after = place.clamp(min(1, self.count - 1), self.count - 1)
        before = (after - 1).clamp_min(0)
        low, high = self.knots[self.firsts + before], self.knots[self.firsts + after]
        slope = (self.levels[after] - self.levels[before]) / (high - low).clamp_min(1e-300)
        from_low = slope * (x - low) + self.levels[before]
        inside = torch.where(last, from_low, self.levels[after] - slope * (high - x))
        levels = torch.where(place == 0, 0.0, torch.where(place == self.count, self.levels[-1], inside))
        # Equal values get the middle of their places.
        shares = 0.5 * (levels[0] + levels[1])
        # Farther than that in either tail is cut off below.
        normal = torch.special.ndtri(shares.clamp(3e-5, 1 - 3e-5)).clamp(-FARTHEST, FARTHEST)
        ranked: Tensor = (normal - self.offset) / self.scale
        return ranked

    def _place(self, x: Tensor, last: Tensor) -> Tensor:
        """Counts the quantiles (2, B, C) below each value, up to it where ``last`` is true."""
        place = torch.zeros(2, *x.shape, dtype=torch.long, device=x.device)
        step = 1 << (self.count.bit_length() - 1)
        while step:
            following = place + step
            knot = self.knots[self.firsts + (following - 1).clamp_max(self.count - 1)]
            passed = (knot < x) | (last & (knot == x))
            place = torch.where(passed & (following <= self.count), following, place)
            step //= 2
        return place


class _Tail(nn.Module):
    """Values (B,) to heights, as ``Tail`` does it."""

    def __init__(self, tail: Tail) -> None:
        super().__init__()
        _keep(self, "values", tail.values)
        _keep(self, "heights", tail.heights)
        self.middle, self.width = tail.middle, tail.width

    values: Tensor
    heights: Tensor

    def forward(self, x: Tensor) -> Tensor:
        beyond = ((x - self.middle) / self.width).clamp_min(0.0).log1p()
        if len(self.values) == 1:
            return self.heights[0] + beyond
        after = (self.values <= x.unsqueeze(1)).sum(1).clamp(1, len(self.values) - 1)
        low, base = self.values[after - 1], self.heights[after - 1]
        slope = (self.heights[after] - base) / (self.values[after] - low)
        within = torch.minimum(torch.maximum(x, self.values[0]), self.values[-1])
        return slope * (within - low) + base + beyond


def _keep(module: nn.Module, name: str, array: Array) -> None:
    """Gives a module an array as float64 that is no weight of it."""
    tensor = torch.from_numpy(np.ascontiguousarray(array, dtype=np.float64).copy())
    module.register_buffer(name, tensor, persistent=False)
