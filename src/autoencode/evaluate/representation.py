"""Measures of what codes are good for: labels read off them, and neighbours that stay so."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np
import torch

from autoencode.data import Examples, Resident, known_labels
from autoencode.errors import own_warnings
from autoencode.evaluate.case import Case
from autoencode.evaluate.labels import GUESSES
from autoencode.evaluate.measures import Figure, Measure, Result, Section, TooDear
from autoencode.evaluate.pca import PCA
from autoencode.trained.trained import CHUNK, flat
from autoencode.types import Array

TRAIN_ROWS, TEST_ROWS = 10_000, 10_000
NEIGHBOURS = 5
NEAR_ROWS, NEAR = 2_000, 10
_MOST_CLASSES = 1000
_WIDEST = 4096  # entries of a code; wider ones take too long to fit a probe to
_STEPS = 1000


@dataclass(frozen=True)
class Labelled:
    """Codes (N, K) of training and (M, K) of held-out examples, with their labels."""

    train: Array
    train_labels: Array
    test: Array
    test_labels: Array

    def probe(self) -> tuple[float, bool]:
        """Measures accuracy of logistic regression on standardised codes, and whether it converged."""
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression

        mean, deviation = self.train.mean(0), self.train.std(0)
        least = 1e-6 * max(float(deviation.max()), 1e-12)
        train, test = ((x - mean) / np.maximum(deviation, least) for x in (self.train, self.test))
        with own_warnings(record=True) as caught:
            warnings.simplefilter("always", ConvergenceWarning)
            fitted = LogisticRegression(max_iter=_STEPS).fit(train, self.train_labels)
        return self._right(fitted.predict(test)), not caught

    def nearest(self) -> float:
        """Measures accuracy of the vote of the nearest training codes, as they are."""
        from sklearn.neighbors import KNeighborsClassifier

        # Not standardised: a unit that hardly moves should hardly count.
        k = min(NEIGHBOURS, len(self.train))
        fitted = KNeighborsClassifier(k, algorithm="brute").fit(self.train, self.train_labels)
        return self._right(fitted.predict(self.test))

    def _right(self, guesses: Array) -> float:
        return float((guesses == self.test_labels).mean())


def _parts(case: Case) -> tuple[Examples, Examples]:
    """Chooses the training and the held-out examples that are measured."""
    assert case.train is not None  # or there was an obstacle
    train, test = _labelled(case.train), _labelled(case.examples)
    rows = case.rows(len(train), TRAIN_ROWS), case.rows(len(test), TEST_ROWS)
    return train.take(rows[0]), test.take(rows[1])


def _labelled(examples: Examples) -> Examples:
    """Keeps the examples whose label is known."""
    known = known_labels(examples.labels)[1]
    return examples if known.all() else examples.take(known)


def _names(examples: Examples) -> Array:
    return np.asarray(examples.labels).astype(str)


def codes(case: Case) -> Labelled:
    """Computes the codes of the training and the held-out examples, with their labels."""
    train, test = _parts(case)
    z_train, z_test = (flat(case.trained.embed(case.asked(one))) for one in (train, test))
    return Labelled(z_train, _names(train), z_test, _names(test))


def components(case: Case) -> tuple[Labelled | None, str]:
    """Projects the same examples with PCA as wide as the code or the data.

    Returns:
        The projections, ``None`` for gaps and where PCA would be too dear; and what to say of that.
    """
    spec = case.trained.spec
    if spec.gaps or spec.mixed:
        return None, ""
    train, test = _parts(case)
    seen, held_out = Resident(train, spec), Resident(test, spec)
    try:
        fitted = PCA.fit(seen, min(math.prod(case.trained.latent_shape), spec.size))
    except TooDear as error:
        return None, f"; left out beside it: {error}"
    names = _names(train), _names(test)
    return Labelled(fitted.transform(seen), names[0], fitted.transform(held_out), names[1]), ""


def _probed(case: Case) -> Result:
    found, (yardstick, missing) = case.once(codes), case.once(components)
    accuracy, converged = found.probe()
    pca, pca_converged = (None, True) if yardstick is None else yardstick.probe()
    how = _how(found) + ", standardised" + missing
    if not (converged and pca_converged):
        how += f"; not converged in {_STEPS} steps"
    return Result({"probe_accuracy": accuracy, "pca_probe_accuracy": pca}, how=how)


def _voted(case: Case) -> Result:
    found, (yardstick, missing) = case.once(codes), case.once(components)
    pca = None if yardstick is None else yardstick.nearest()
    values = {"knn_accuracy": found.nearest(), "pca_knn_accuracy": pca}
    return Result(values, how=f"{NEIGHBOURS} neighbours; {_how(found)}{missing}")


def _how(found: Labelled) -> str:
    _, counts = np.unique(found.test_labels, return_counts=True)
    return (
        f"the most frequent of {len(counts)} labels has {counts.max() / counts.sum():.3f}; "
        f"{len(found.train)} training and {len(found.test)} held-out codes"
    )


def _no_labels(case: Case) -> str | None:
    if case.train is None or not case.held_out:
        return "it needs training examples and others that were held out"
    if case.train.labels is None or case.examples.labels is None:
        return "the examples have no labels"
    names, known = known_labels(case.train.labels)
    n = len(np.unique(names[known]))
    if not 2 <= n <= min(_MOST_CLASSES, int(known.sum()) // 2):
        return f"the labels have {n} values, which are no classes"
    width = math.prod(case.trained.latent_shape)
    return None if width <= _WIDEST else f"a code of {width} numbers is too wide for a probe"


def _kept(case: Case) -> Result:
    from sklearn.manifold import trustworthiness

    examples = case.some(NEAR_ROWS)
    source = Resident(examples, case.trained.spec)
    x = torch.cat([batch.x.flatten(1) for batch in source.batches(CHUNK)]).numpy()
    z = flat(case.trained.embed(examples))
    values = {
        "trustworthiness": float(trustworthiness(x, z, n_neighbors=NEAR)),
        "continuity": float(trustworthiness(z, x, n_neighbors=NEAR)),
    }
    return Result(values, how=f"{NEAR} neighbours among {len(x)} examples")


def _no_neighbours(case: Case) -> str | None:
    if case.trained.spec.gaps or case.trained.spec.mixed:
        return "distances mean little where there are gaps or categories"
    if len(case.examples) <= 2 * NEAR:
        return f"it needs more than {2 * NEAR} examples"
    return None


REPRESENTATION = Section(
    "Representation",
    (
        Measure(
            "probe",
            (
                Figure(
                    "probe_accuracy",
                    "share",
                    "held-out labels that logistic regression reads off the codes",
                    "higher",
                ),
                Figure("pca_probe_accuracy", "share", "the same with PCA of the code's width"),
            ),
            _probed,
            _no_labels,
            source="Understanding intermediate layers using linear classifier probes (Alain & Bengio, "
            "2016), https://arxiv.org/abs/1610.01644",
        ),
        Measure(
            "knn",
            (
                Figure(
                    "knn_accuracy",
                    "share",
                    "held-out labels that the nearest training codes vote for",
                    "higher",
                ),
                Figure("pca_knn_accuracy", "share", "the same with PCA of the code's width"),
            ),
            _voted,
            _no_labels,
        ),
        GUESSES,
        Measure(
            "neighbours",
            (
                Figure(
                    "trustworthiness",
                    "0 to 1",
                    "whether neighbours among the codes were neighbours among the data",
                    "higher",
                ),
                Figure(
                    "continuity",
                    "0 to 1",
                    "whether neighbours among the data still are among the codes",
                    "higher",
                ),
            ),
            _kept,
            _no_neighbours,
            source="Neighborhood Preservation in Nonlinear Projection Methods (Venna & Kaski, 2001), "
            "https://doi.org/10.1007/3-540-44668-0_68",
        ),
    ),
)
