"""Anomaly scores of rows that a model has seen: higher is more anomalous."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from autoencode.anomaly.apart import EVIDENT, gap_of
from autoencode.anomaly.calibrate import Tail
from autoencode.anomaly.memory import Look, Memory
from autoencode.anomaly.ranks import Ranks
from autoencode.anomaly.reconstructed import Reconstructed
from autoencode.types import Array

#: Every score by name, and what it is.
SCORES: Mapping[str, str] = {
    "combined": "the mean of five pieces of evidence, each as minus the logarithm of its tail",
    "reconstruction": "squared error of each entry over that entry's mean squared error in training",
    "likelihood": "minus log p(x|z), with a stochastic code minus the ELBO, in nats",
    "latent": "squared Mahalanobis distance of the code from the training codes",
    "nearest": "distance to the nearest training row",
    "recall": "distance to what the nearest training rows can be put together to",
    "ranked_recall": "the same among the values and their ranks",
    "neighbourhood": "distance to the nearest tenth of the training rows",
}

#: What the combination is made of.
EVIDENCE = ("error", "nearest", "recall", "ranked_recall", "neighbourhood")

#: The coordinates in which rows are compared: what the model makes of them; values and their ranks.
MEMORIES = ("explained", "ranked")

REFERENCE = 500  # training rows that stand for all where a tail is measured
_FLOOR = 0.1  # of the mean squared error over all entries: the least that an entry is compared with
_SEARCHED = 2_000  # training rows among which a gap is looked for
_ROUNDS = 3  # of looking for rows that stand apart: without those that are found others show
_MOST_APART = 0.35  # of the rows; where it would be more, they are no exceptions
_SHRINK = 0.1  # of the codes' covariance towards a multiple of the identity


@dataclass(frozen=True)
class Scorer:
    """Scores in comparison with the rows that a model was trained on.

    Rows are compared by what the model makes of them: their reconstruction beside their residual, the
    latter times ``emphasis``. ``ranked_recall`` compares the values themselves and their ranks. Every
    score can be shared out among the entries of a row; how for ``latent``, see ``explain``.

    Attributes:
        errors: (D,) mean squared training error of each entry, with a floor.
        emphasis: factor on residuals, with which they vary as much as reconstructions do.
        ranks: of the training values, ``None`` where values are pixels or gaps were filled.
        memories: training rows in the coordinates of each comparison.
        center, precision: (K,) and (K, K) of the training codes.
        tails: of each piece of evidence among the training rows.
        reference: numbers of the training rows by which the tails were measured.
        usual: each piece of evidence (R,) of those rows.
    """

    errors: Array
    emphasis: float
    ranks: Ranks | None
    memories: Mapping[str, Memory]
    center: Array
    precision: Array
    tails: Mapping[str, Tail]
    reference: Array
    usual: Mapping[str, Array]

    @classmethod
    def fit(
        cls,
        seen: Reconstructed,
        keys: list[bytes],
        *,
        ranked: bool,
        typical: Array,
        seed: int,
        apart: Array | None = None,
    ) -> Scorer:
        """Builds a scorer from the rows that a model was trained on.

        Rows that stand apart, those given and those that a piece of evidence shows (``gap_of``), are
        no measure for others: they are not remembered, and tails are those of the rest.

        Args:
            seen: N training rows, as the model sees them.
            keys: what tells them apart (``row_keys``).
            ranked: whether places among the training values mean something (tables, not images).
            typical: numbers of the rows whose errors are taken as the usual ones.
            seed: of what is drawn, where there is more than is remembered.
            apart: (N,) which rows are known to stand apart.
        """
        apart = np.zeros(len(seen), bool) if apart is None else apart.copy()
        scorer, distances = cls._of_usual(seen, keys, ranked, typical, seed, apart)
        for _ in range(_ROUNDS):
            evident = EVIDENT + math.log(len(distances))  # so many may show one by chance
            cuts = {name: gap_of(far, evident=evident) for name, far in distances.items()}
            if all(np.isinf(cut) for cut in cuts.values()):
                break
            everywhere = _together(scorer._looks(seen, keys))
            further = np.any([everywhere[name] > cut for name, cut in cuts.items()], axis=0)
            if (apart | further).mean() > _MOST_APART:
                break
            apart |= further
            scorer, distances = cls._of_usual(seen, keys, ranked, typical, seed, apart)
        return scorer

    @classmethod
    def _of_usual(
        cls,
        seen: Reconstructed,
        keys: list[bytes],
        ranked: bool,
        typical: Array,
        seed: int,
        apart: Array,
    ) -> tuple[Scorer, dict[str, Array]]:
        """Builds a scorer from rows that do not stand apart; gives it and how far many of these lie."""
        typical = typical[~apart[typical]]
        squares = seen.to_entries(seen.residual[typical] ** 2).mean(0)
        left = (seen.residual[typical] ** 2).mean(0).sum()
        usual = np.flatnonzero(~apart)
        if len(usual) < len(seen):
            seen, keys = seen.take(usual), [keys[row] for row in usual]
        spread = seen.expected.var(0).sum()
        center, precision = _moments(seen.code)
        bare = cls(
            squares + _FLOOR * squares.mean() + 1e-12,
            float(np.sqrt((spread + 1e-9) / (left + 1e-9))),
            Ranks.from_values(seen.values) if ranked else None,
            {},
            center,
            precision,
            {},
            np.empty(0, int),
            {},
        )
        places = {name: bare.coordinates(seen, name) for name in MEMORIES}
        memories = {name: Memory.from_points(points, keys, seed) for name, points in places.items()}
        many, few = (_few(len(seen), seed, most) for most in (_SEARCHED, REFERENCE))
        full = replace(bare, memories=memories, reference=usual[few])
        looks = full._looks(
            seen.take(many),
            [keys[row] for row in many],
            places={name: points[many] for name, points in places.items()},
        )
        these = np.searchsorted(many, few)
        distances = {name: look.distances[these] for name, look in looks.items()}
        tails = {name: Tail.from_scores(d) for name, d in distances.items()}
        return replace(full, tails=tails, usual=distances), _together(looks)

    def coordinates(self, seen: Reconstructed, name: str) -> Array:
        """Writes rows (N, P) as one comparison takes them; P is C or twice that."""
        if name == "explained":
            return np.concatenate([seen.expected, self.emphasis * seen.residual], axis=1)
        rows = seen.values
        if self.ranks is None:
            return rows
        return np.concatenate([rows, self.ranks(rows)], axis=1)

    def scores(self, seen: Reconstructed, keys: list[bytes], name: str) -> Array:
        """Computes the score (N,) of that name, one of ``SCORES``."""
        if name == "combined":
            looks = self._looks(seen, keys)
            heights = self._combined({name: look.distances for name, look in looks.items()})
            return np.asarray(heights + seen.unseen.sum(1))
        if name == "latent":
            far = seen.code - self.center
            latent: Array = np.einsum("nk,kl,nl->n", far, self.precision, far)
            return latent
        if name in EVIDENCE:
            return self._raised(name, self._looks(seen, keys)[name].distances, seen)
        total: Array = self.parts(seen, keys, name).sum(1)
        return total

    def _raised(self, name: str, distances: Array, seen: Reconstructed) -> Array:
        """Moves distances (N,) as far out as categories that were never seen are surprising."""
        raised, nats = distances.copy(), seen.unseen.sum(1)
        for row in np.flatnonzero(nats):
            height = self.tails[name](distances[[row]])[0] + nats[row]
            raised[row] = self.tails[name].inverse(float(height))
        return raised

    def usual_scores(self, name: str) -> Array | None:
        """Gives the score (R,) of the reference rows where it is made of evidence, else ``None``."""
        return self._combined(self.usual) if name == "combined" else self.usual.get(name)

    def parts(self, seen: Reconstructed, keys: list[bytes], name: str) -> Array:
        """Computes what each entry adds to the score, (N, D), for every score but ``latent``.

        A distance is shared out as its square is, a tail as its distance is, and the KL evenly. What a
        category that was never seen is surprising by belongs to its own entry.
        """
        if name == "reconstruction":
            # Of such a category, which is no coordinate, the one that it would be is missed as well.
            return (seen.to_entries(seen.residual**2) + (seen.unseen > 0)) / self.errors
        if name == "likelihood":
            return seen.surprise + (seen.kl / seen.n_entries)[:, None]
        looks = self._looks(seen, keys, squares=True)
        if name != "combined":
            distances = looks[name].distances
            total = distances[:, None] * self._shares(seen, looks[name])
            nats = seen.unseen.sum(1, keepdims=True)
            more = (self._raised(name, distances, seen) - distances)[:, None]
            return total + more * seen.unseen / np.where(nats > 0, nats, 1.0)
        total = seen.unseen.copy()
        for evidence, look in looks.items():
            height = self.tails[evidence](look.distances) / len(EVIDENCE)
            total += height[:, None] * self._shares(seen, look)
        return total

    def _combined(self, evidence: Mapping[str, Array]) -> Array:
        heights = [self.tails[name](distances) for name, distances in evidence.items()]
        return np.asarray(np.mean(heights, axis=0))

    def _looks(
        self,
        seen: Reconstructed,
        keys: list[bytes],
        squares: bool = False,
        places: Mapping[str, Array] | None = None,
    ) -> dict[str, Look]:
        """Computes all pieces of evidence; ``places`` are the comparisons' coordinates, if known."""
        places = places or {name: self.coordinates(seen, name) for name in self.memories}
        errors = seen.residual**2
        near = self.memories["explained"].looks(places["explained"], keys, squares=squares)
        ranked = self.memories["ranked"].recall(places["ranked"], keys, squares)
        return {"error": Look(np.sqrt(errors.sum(1)), errors), **near, "ranked_recall": ranked}

    def _shares(self, seen: Reconstructed, look: Look) -> Array:
        """Computes each entry's share (N, D) of a squared distance; even shares where there is none."""
        n, width = len(seen), len(seen.entry)
        folded = look.squares.reshape(n, look.squares.shape[1] // width, width).sum(1)
        entries = seen.to_entries(folded)
        total = entries.sum(1, keepdims=True)
        even = np.full_like(entries, 1 / entries.shape[1])
        shares: Array = np.divide(entries, total, out=even, where=total > 0)
        return shares


def _together(looks: Mapping[str, Look]) -> dict[str, Array]:
    """Gives the distances (N,) of each piece of evidence, and their geometric mean."""
    distances = {name: look.distances for name, look in looks.items()}
    logarithms = [np.log(np.maximum(d, 1e-300)) for d in distances.values()]
    return {**distances, "mean": np.exp(np.mean(logarithms, axis=0))}


def _few(n: int, seed: int, most: int = REFERENCE) -> Array:
    """Draws rows that stand for all of them where a tail is measured."""
    return np.sort(np.random.default_rng([seed, 1]).permutation(n)[:most])


def _moments(code: Array) -> tuple[Array, Array]:
    """Computes mean and inverse covariance of codes (N, K), the covariance shrunk to be invertible."""
    center = code.mean(0)
    covariance = (code - center).T @ (code - center) / max(len(code) - 1, 1)
    width = len(covariance)
    level = np.trace(covariance) / width + 1e-12
    shrunk = (1 - _SHRINK) * covariance + _SHRINK * level * np.eye(width)
    return center, np.linalg.inv(shrunk)
