"""A trained model together with what compares rows with those it was trained on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from autoencode.anomaly.calibrate import Tail, conformal_pvalues, fence, none_stands_out, null_pvalues
from autoencode.anomaly.memory import KEY_BYTES, Memory, row_keys
from autoencode.anomaly.ranks import Ranks
from autoencode.anomaly.reconstructed import Reconstructed, entries_of, reconstruct_rows
from autoencode.anomaly.scores import EVIDENCE, MEMORIES, Scorer
from autoencode.data import Examples
from autoencode.errors import ModelFileError
from autoencode.trained import Trained
from autoencode.types import Array


@dataclass(frozen=True)
class ScoredModel:
    """A trained model, and what compares rows with those it was trained on.

    Attributes:
        trained: the model.
        history: one entry for each epoch.
        scorer: the comparison.
    """

    trained: Trained
    history: list[dict[str, Any]]
    scorer: Scorer

    def scores(self, examples: Examples, name: str) -> Array:
        """Computes the anomaly scores (N,) of examples."""
        return self.scorer.scores(reconstruct_rows(self.trained, examples), row_keys(examples.x), name)

    def threshold(self, seen: Reconstructed, x: Array, name: str, share: float | None = None) -> float:
        """Finds the score above which a row is called anomalous.

        Args:
            seen: the training rows, as the model reconstructs them.
            x: (N, *D) the training rows.
            name: one of ``SCORES``.
            share: of the training rows that lie above; by default it is a score that about one clean
                row in a hundred exceeds (``fence``).
        """
        if share is not None:
            scores = self.scorer.scores(seen, row_keys(x), name)
            return -float(np.percentile(-scores, 100.0 * share))
        usual = self._usual_scores(seen, x, name)
        tail = tail_of(name, usual)
        return fence(usual) if tail is None else tail.inverse(fence(tail(usual)))

    def is_in_doubt(self, seen: Reconstructed, x: Array, name: str) -> bool:
        """Tells whether the threshold lies beyond all training rows (``none_stands_out``)."""
        usual = self._usual_scores(seen, x, name)
        tail = tail_of(name, usual)
        return none_stands_out(usual if tail is None else tail(usual))

    def _usual_scores(self, seen: Reconstructed, x: Array, name: str) -> Array:
        usual = self.scorer.usual_scores(name)
        if usual is None:
            few = self.scorer.reference
            usual = self.scorer.scores(seen.take(few), row_keys(x[few]), name)
        return usual

    def tensors(self, prefix: str) -> dict[str, Tensor]:
        """Writes the scorer as tensors whose names begin with a prefix."""
        return {f"{prefix}{name}": tensor for name, tensor in tensors_of(self.scorer).items()}

    @classmethod
    def of_tensors(cls, trained: Trained, tensors: dict[str, Tensor], prefix: str) -> Self:
        """Puts a model together with the scorer that ``tensors`` gave.

        Raises:
            ModelFileError: when they do not fit the model.
        """
        own = {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
        spec = trained.spec
        code = math.prod(trained.latent_shape)
        return cls(trained, [], scorer_of(own, spec.size, len(entries_of(spec)), code))


@dataclass(frozen=True)
class Calibration:
    """Scores of rows that had no part in the model that gave them.

    Attributes:
        judge: that model.
        scores: (M,) of the rows that were held out.
        limit: the score that about one clean row in a hundred exceeds, by the rows that the judge
            learned from; ``None`` in detectors that were saved before it was kept.
    """

    judge: ScoredModel
    scores: Array
    limit: float | None

    def pvalues(self, scores: Array, measure: str) -> Array:
        """Estimates p-values (N,) of the judge's scores by its clean rows (``null_pvalues``)."""
        limit = -np.inf if self.limit is None else self.limit
        usual = self.scores[self.scores <= limit]
        if not len(usual):  # nothing to estimate a null by
            return conformal_pvalues(scores, self.scores)
        tail = tail_of(measure, usual)
        if tail is None:
            return null_pvalues(scores, usual, limit)
        return null_pvalues(tail(scores), tail(usual), float(tail(np.array([limit]))[0]))


def tail_of(name: str, scores: Array) -> Tail | None:
    """Builds the tail by which scores of that name become heights, ``None`` where they are heights."""
    return None if name == "combined" else Tail.from_scores(scores)


def tensors_of(scorer: Scorer) -> dict[str, Tensor]:
    """Writes all that a scorer is made of as named tensors; ``scorer_of`` gives the same bits back."""
    arrays: dict[str, Array] = {
        "errors": scorer.errors,
        "emphasis": np.array([scorer.emphasis]),
        "center": scorer.center,
        "precision": scorer.precision,
        "reference": scorer.reference,
    }
    if scorer.ranks is not None:
        ranks = scorer.ranks
        arrays |= {
            "ranks.quantiles": ranks.quantiles,
            "ranks.offset": ranks.offset,
            "ranks.scale": ranks.scale,
        }
    for name, memory in scorer.memories.items():
        arrays[f"{name}.points"] = memory.points
        keys = np.frombuffer(b"".join(memory.places), np.uint8).reshape(-1, KEY_BYTES)
        arrays[f"{name}.keys"] = keys
        arrays[f"{name}.places"] = np.array(list(memory.places.values()), np.int64)
    for name, tail in scorer.tails.items():
        arrays[f"{name}.values"] = tail.values
        arrays[f"{name}.heights"] = tail.heights
        arrays[f"{name}.spread"] = np.array([tail.middle, tail.width])
        arrays[f"{name}.usual"] = scorer.usual[name]
    return {name: torch.from_numpy(np.ascontiguousarray(a).copy()) for name, a in arrays.items()}


def scorer_of(tensors: Mapping[str, Tensor], entries: int, coordinates: int, code: int) -> Scorer:
    """Rebuilds the scorer of a model from the tensors that ``tensors_of`` made.

    Args:
        tensors: by name.
        entries: D of one example.
        coordinates: C in which rows are compared (``Reconstructed``).
        code: K numbers of one code.

    Raises:
        ModelFileError: when a tensor is missing, not finite, or of another shape than the model asks
            for.
    """
    found = _Found(tensors)
    ranks, width = None, coordinates
    if "ranks.quantiles" in tensors:
        quantiles = found.floats("ranks.quantiles", None, coordinates)
        moments = (found.floats(f"ranks.{name}", coordinates) for name in ("offset", "scale"))
        ranks, width = Ranks(quantiles, *moments), 2 * coordinates
    widths = dict(zip(MEMORIES, (2 * coordinates, width), strict=True))
    reference = found.whole("reference", None)
    tails, usual = {}, {}
    for name in EVIDENCE:
        values = found.floats(f"{name}.values", None)
        heights = found.floats(f"{name}.heights", len(values))
        middle, width_of_tail = found.floats(f"{name}.spread", 2)
        found.must(name, len(values) > 0 and width_of_tail > 0 and bool((np.diff(values) > 0).all()))
        tails[name] = Tail(values, heights, float(middle), float(width_of_tail))
        usual[name] = found.floats(f"{name}.usual", len(reference))
    return Scorer(
        errors=found.floats("errors", entries),
        emphasis=float(found.floats("emphasis", 1)[0]),
        ranks=ranks,
        memories={name: found.memory(name, points) for name, points in widths.items()},
        center=found.floats("center", code),
        precision=found.floats("precision", code, code),
        tails=tails,
        reference=reference,
        usual=usual,
    )


class _Found:
    """Tensors of a file, refused where they are not what they should be."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self.tensors = tensors

    def floats(self, name: str, *shape: int | None) -> Array:
        values = self._of(name, torch.float64, shape)
        self.must(name, bool(np.isfinite(values).all()))
        return values

    def whole(self, name: str, *shape: int | None) -> Array:
        return self._of(name, torch.int64, shape)

    def memory(self, name: str, width: int) -> Memory:
        points = self.floats(f"{name}.points", None, width)
        keys = self._of(f"{name}.keys", torch.uint8, (None, KEY_BYTES))
        places = self.whole(f"{name}.places", len(keys))
        inside = (places >= 0) & (places < len(points))
        self.must(name, len(points) > 0 and bool(inside.all()))
        return Memory(points, {k.tobytes(): int(p) for k, p in zip(keys, places, strict=True)})

    def must(self, name: str, sound: bool) -> None:
        if not sound:
            raise ModelFileError(f"the tensors of '{name}' are damaged")

    def _of(self, name: str, dtype: torch.dtype, shape: tuple[int | None, ...]) -> Array:
        tensor = self.tensors.get(name)
        if tensor is None:
            raise ModelFileError(f"the tensor '{name}' is missing")
        fits = len(shape) == tensor.dim() and all(
            wanted in (None, got) for wanted, got in zip(shape, tensor.shape, strict=True)
        )
        self.must(name, fits and tensor.dtype == dtype)
        array: Array = tensor.numpy()
        return array
