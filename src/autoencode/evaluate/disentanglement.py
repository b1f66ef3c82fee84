"""Measures of how a code keeps apart the known factors that examples were made from.

One function each, of codes (N, D) and factors (N, F), ``N`` examples, ``D`` dimensions, ``F`` factors;
those about mutual information are in ``factors``. All but ``beta_vae_score`` stay the same when
dimensions are exchanged, turned round or given another scale; that one up to rounding. Where a
definition asks to hold a factor fixed and draw the others anew, examples with the same value of it are
drawn from those given, which is the same when these are all combinations or a random part of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from autoencode.data.raw import Factors
from autoencode.errors import DataError, OptionError
from autoencode.evaluate.case import Case
from autoencode.evaluate.codes import Codes, codes_of
from autoencode.evaluate.factors import Floats, Known, checked, mig, modularity, posterior_mig
from autoencode.evaluate.measures import Figure, Measure, Result, Section
from autoencode.types import Array

_TREES = 30
Trees = Literal["forest", "boosted"]
Numbers = NDArray[np.int64]

_MOST_ROWS = 10_000

FIGURES = (
    Figure(
        "mig",
        "share",
        "gap between the two dimensions that say most of a factor, of its entropy; 20 bins",
        "higher",
    ),
    Figure("posterior_mig", "share", "the same of q(z|x), as its paper defines it", "higher"),
    Figure("modularity", "share", "whether each dimension is about one factor only; 20 bins", "higher"),
    Figure("sap", "share", "gap between the two dimensions that alone tell a factor best", "higher"),
    Figure(
        "disentanglement", "share", "DCI: whether each dimension is needed for one factor", "higher"
    ),
    Figure("completeness", "share", "DCI: whether each factor needs one dimension", "higher"),
    Figure("informativeness", "share", "DCI: factors guessed right from the code", "higher"),
    Figure(
        "factor_vae_score",
        "share",
        "sets with a fixed factor told by their steadiest dimension",
        "higher",
    ),
    Figure(
        "beta_vae_score", "share", "pairs with a shared factor told by a linear classifier", "higher"
    ),
)


def measure(
    codes: Codes, factors: Factors, *, trees: Trees = "forest", seed: int = 0
) -> dict[str, float | None]:
    """Computes every measure of how some codes keep apart the factors of their examples.

    Only the dimensions that are in use (``Codes.active``) are looked at: what the mean of a collapsed
    posterior still says is so little that no decoder hears it, but it is said steadily.

    Example:
        >>> from autoencode import train
        >>> from autoencode.data import Factors
        >>> from autoencode.evaluate.codes import codes_of
        >>> run = train("digits", "vae", epochs=1)
        >>> known = Factors(run.data.test.labels[:, None], ("digit",))
        >>> found = measure(codes_of(run.trained, run.data.test), known)
        >>> 0 <= found["mig"] <= 1
        True

    Args:
        codes: of N examples (``codes_of``).
        factors: of the same examples; those with one value only are left out.
        trees: see ``dci``.
        seed: of what is drawn.

    Returns:
        A value for every one of ``FIGURES``, ``None`` where it has no meaning: those that
        compare factors or dimensions need two.

    Raises:
        DataError: codes and factors do not fit together, or no factor varies.
    """
    factors = factors.varying()
    values: dict[str, float | None] = {figure.name: None for figure in FIGURES}
    if not codes.active.any():
        return values | dict.fromkeys(values, 0.0)
    z, several = codes.z[:, codes.active], len(factors.names) > 1
    values["mig"] = mig(z, factors)
    if codes.scale is not None:
        values["posterior_mig"] = posterior_mig(z, codes.scale[:, codes.active], factors)
    values["sap"] = sap(z, factors)
    if several:
        values["modularity"] = modularity(z, factors)
        values["factor_vae_score"] = factor_vae_score(z, factors, seed=seed)
        values["beta_vae_score"] = beta_vae_score(z, factors, seed=seed)
    if several and z.shape[1] > 1:
        found = dci(z, factors, trees=trees, seed=seed)
        for name in ("disentanglement", "completeness", "informativeness"):
            values[name] = getattr(found, name)
    return values


@dataclass(frozen=True, eq=False)
class DCI:
    """Result of ``dci``: disentanglement, completeness and informativeness.

    Attributes:
        disentanglement: whether each dimension is needed for one factor only, 0 to 1.
        completeness: whether each factor needs one dimension only, 0 to 1.
        informativeness: share of right guesses on held-out examples, mean of the factors.
        importance: (D, F) how much each dimension matters to guesses of each factor, sum 1 over D.
    """

    disentanglement: float
    completeness: float
    informativeness: float
    importance: Floats


def dci(
    codes: ArrayLike,
    factors: Known,
    *,
    trees: Trees = "forest",
    n_train: int = 10_000,
    n_test: int = 5_000,
    seed: int = 0,
) -> DCI:
    """Measures disentanglement, completeness and informativeness by classifiers of each factor.

    A Framework for the Quantitative Evaluation of Disentangled Representations (Eastwood & Williams,
    2018), https://openreview.net/forum?id=By-7dz-AZ

    The classifier's importances are those of scikit-learn's trees: a random forest, one of the paper's
    two choices, or gradient boosting, disentanglement_lib's, which takes a minute. Informativeness is
    accuracy, as there; the paper has the error of a regression.

    Args:
        codes: (N, D).
        factors: (N, F), at least two.
        trees: forest (30 trees with at least 1 % of the examples in each leaf) or boosted
            (``GradientBoostingClassifier`` as it comes).
        n_train, n_test: examples to learn from and to judge at most; of fewer a third is to judge.
        seed: which examples, and of the trees.

    Raises:
        DataError: see ``factors.checked``; or there is one factor or dimension only.
        OptionError: for other trees.
    """
    z, numbers = checked(codes, factors)
    if min(z.shape[1], numbers.shape[1]) < 2:
        raise DataError("DCI compares factors and dimensions and needs two of each")
    train, test = _parts(len(z), n_train, n_test, seed)
    importance, right = np.zeros((z.shape[1], numbers.shape[1])), []
    for k, known in enumerate(numbers.T):
        model = _trees(trees, len(train), seed).fit(z[train], known[train])
        importance[:, k] = model.feature_importances_
        right.append(float((model.predict(z[test]) == known[test]).mean()))
    return DCI(
        disentanglement=_concentration(importance),
        completeness=_concentration(importance.T),
        informativeness=float(np.mean(right)),
        importance=importance,
    )


def _trees(name: str, n: int, seed: int) -> Any:
    from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier

    if name == "forest":
        # At each split all dimensions: a tree that must do without the best one learns from the others.
        return RandomForestClassifier(
            _TREES, max_features=None, min_samples_leaf=max(1, n // 100), random_state=seed
        )
    if name == "boosted":
        return GradientBoostingClassifier(random_state=seed)
    raise OptionError(f"unknown trees '{name}'; use forest or boosted")


def _parts(n: int, n_train: int, n_test: int, seed: int) -> tuple[Array, Array]:
    if n < 3:
        raise DataError(f"{n} examples are too few to learn from some and judge the others")
    order = np.random.default_rng(seed).permutation(n)
    held_out = min(n_test, max(1, n // 3))
    return order[held_out : held_out + n_train], order[:held_out]


def _concentration(importance: Floats) -> float:
    """Averages 1 - entropy of each row, in units of its most, rows weighing what they matter."""
    totals = importance.sum(axis=1)
    if not totals.any():
        return 0.0
    share = importance[totals > 0] / totals[totals > 0, None]
    logs = np.log(share, out=np.zeros_like(share), where=share > 0)
    kept = 1 + (share * logs).sum(axis=1) / np.log(importance.shape[1])
    return float(np.average(kept, weights=totals[totals > 0]))


def sap(codes: ArrayLike, factors: Known, unordered: Sequence[int] | None = None) -> float:
    """Measures separated attribute predictability: what the best dimension tells more than the next.

    Variational Inference of Disentangled Latent Concepts from Unlabeled Observations (Kumar, Sattigeri
    & Balakrishnan, 2018), section 3, https://arxiv.org/abs/1711.00848

    The mean over factors of the gap between the two best scores of a dimension alone. A factor with an
    order is told by a line: the score is the squared correlation. One without (``unordered``) is told
    by thresholds, one fewer than it has values: the score is the balanced accuracy of the best ones,
    which are found exactly, on the same examples. That of guessing is 1 / values, so such a factor adds
    at most 1 - 1 / values.

    Args:
        codes: (N, D).
        factors: (N, F), numbered in their order.
        unordered: numbers of the factors without an order; those that ``Factors`` name by default.

    Raises:
        DataError: see ``factors.checked``.

    Example:
        >>> factors = np.indices((3, 5)).reshape(2, -1).T
        >>> round(sap(factors, factors), 4), round(sap(factors, factors, unordered=[0]), 4)
        (1.0, 0.8333)
    """
    z, numbers = checked(codes, factors)
    scores = _squared_correlations(z, numbers)
    if unordered is None:
        named = factors if isinstance(factors, Factors) else None
        unordered = [] if named is None else [named.names.index(name) for name in named.unordered]
    for k in unordered:
        scores[:, k] = [_balanced_accuracy(column, numbers[:, k]) for column in z.T]
    ordered = np.sort(np.concatenate([scores, np.zeros((1, scores.shape[1]))]), axis=0)
    return float((ordered[-1] - ordered[-2]).mean())


def _squared_correlations(z: Floats, numbers: Numbers) -> Floats:
    centred = [one - one.mean(axis=0) for one in (_unit(z), numbers)]
    lengths = [np.sqrt((one**2).sum(axis=0)) for one in centred]
    whole = np.outer(*lengths)
    inner = centred[0].T @ centred[1]
    return np.asarray(np.divide(inner, whole, out=np.zeros_like(whole), where=whole > 0) ** 2)


def _balanced_accuracy(z: Floats, known: Numbers) -> float:
    """Finds the most that C - 1 thresholds on one dimension can reach in guessing C classes.

    Dynamic programming: with the examples in order, ``best[c]`` is the most that those so far can weigh
    if the last interval guesses c; each further threshold may change the guess.
    """
    order = np.argsort(z, kind="stable")
    n_classes = int(known.max()) + 1
    weight = np.eye(n_classes)[known[order]] / (n_classes * np.bincount(known))
    seen = np.concatenate([np.zeros((1, n_classes)), weight.cumsum(axis=0)])
    ends = np.flatnonzero(np.diff(z[order], append=np.inf)) + 1  # no threshold between equal codes
    gained = seen[np.concatenate([[0], ends])]
    best = gained
    for _ in range(n_classes - 1):
        before = best.max(axis=1, keepdims=True)
        best = gained + np.maximum.accumulate(before - gained, axis=0)
    return float(best[-1].max())


def factor_vae_score(
    codes: ArrayLike,
    factors: Known,
    *,
    active: ArrayLike | None = None,
    n_train: int = 10_000,
    n_test: int = 5_000,
    n_fixed: int = 64,
    seed: int = 0,
) -> float:
    """Measures how often the steadiest dimension of a set tells which factor was held fixed.

    Disentangling by Factorising (Kim & Mnih, 2018), section 4, https://arxiv.org/abs/1802.05983

    The steadiest dimension is that of the least variance in the set over its variance in all examples.
    Each dimension votes for the factor that it was steadiest for most often; sets drawn anew judge the
    votes. Sizes are disentanglement_lib's. Guessing gives 1 / F.

    Args:
        codes: (N, D).
        factors: (N, F).
        active: (D,) which dimensions may be chosen: the paper leaves out those that have collapsed to
            the prior. All that vary by default.
        n_train, n_test: sets.
        n_fixed: examples in a set.
        seed: of the draws.

    Raises:
        DataError: see ``factors.checked``.
    """
    z, numbers = checked(codes, factors)
    z = _unit(z)
    usable = z.std(axis=0) > 0
    if active is not None:
        usable &= np.asarray(active, dtype=bool)
    if not usable.any():
        return 0.0
    z = z[:, usable] / z[:, usable].std(axis=0)
    rng = np.random.default_rng(seed)

    def votes(n: int) -> Numbers:
        found = np.zeros((z.shape[1], numbers.shape[1]), np.int64)
        for k, same in enumerate(_fixed(numbers, rng, n)):
            if len(same):
                steadiest = z[_partners(numbers[:, k], same, n_fixed, rng)].var(axis=1).argmin(axis=1)
                found[:, k] = np.bincount(steadiest, minlength=len(found))
        return found

    winners = votes(n_train).argmax(axis=1)
    judged = votes(n_test)
    return float(judged[np.arange(len(judged)), winners].sum() / judged.sum())


def beta_vae_score(
    codes: ArrayLike,
    factors: Known,
    *,
    n_train: int = 10_000,
    n_test: int = 5_000,
    n_pairs: int = 64,
    seed: int = 0,
) -> float:
    """Measures how well a linear classifier tells the fixed factor from mean differences of codes.

    beta-VAE (Higgins et al., 2017), section 3, https://openreview.net/forum?id=Sy2fzU9gl

    A point is the mean over pairs of examples that share one factor of the absolute difference of their
    codes, each dimension in units of its standard deviation. The classifier is scikit-learn's logistic
    regression. Guessing gives 1 / F.

    Args:
        codes: (N, D).
        factors: (N, F), at least two.
        n_train, n_test: points.
        n_pairs: pairs behind a point.
        seed: of the draws.

    Raises:
        DataError: see ``factors.checked``; or there is one factor only.
    """
    from sklearn.linear_model import LogisticRegression

    z, numbers = checked(codes, factors)
    if numbers.shape[1] < 2:
        raise DataError("the beta-VAE score tells factors apart and there is one only")
    z = _unit(z)
    z = z / np.where(z.std(axis=0) > 0, z.std(axis=0), 1.0)
    rng = np.random.default_rng(seed)

    def points(n: int) -> tuple[Floats, Numbers]:
        found, which = [], []
        for k, n_points in enumerate(np.bincount(rng.integers(numbers.shape[1], size=n))):
            first = rng.integers(len(z), size=n_points * n_pairs)
            second = _partners(numbers[:, k], first, 1, rng)[:, 0]
            distance = np.abs(z[first] - z[second]).reshape(n_points, n_pairs, -1).mean(axis=1)
            found.append(distance)
            which.append(np.full(n_points, k))
        return np.concatenate(found), np.concatenate(which)

    model = LogisticRegression(max_iter=10_000).fit(*points(n_train))
    return float(model.score(*points(n_test)))


def _unit(z: Floats) -> Floats:
    """Scales each dimension to 0..1, so that sums are rounded alike whatever its scale was."""
    low, high = z.min(axis=0), z.max(axis=0)
    return np.asarray((z - low) / np.where(high > low, high - low, 1.0))


def _fixed(numbers: Numbers, rng: np.random.Generator, n: int) -> list[Array]:
    """Draws for each factor the examples whose value of it is held fixed, n in all."""
    which = rng.integers(numbers.shape[1], size=n)
    rows = rng.integers(len(numbers), size=n)
    return [rows[which == k] for k in range(numbers.shape[1])]


def _partners(known: Numbers, rows: Array, n: int, rng: np.random.Generator) -> Array:
    """Draws for each of M rows n examples (M, n) with the same value of a factor."""
    order = np.argsort(known, kind="stable")
    counts = np.bincount(known)
    starts = np.cumsum(counts) - counts
    drawn = rng.random((len(rows), n)) * counts[known[rows], None]
    return np.asarray(order[starts[known[rows], None] + drawn.astype(np.int64)])


def _measured(case: Case) -> Result:
    part = case.some(_MOST_ROWS)
    assert part.factors is not None
    names = ", ".join(part.factors.varying().names)
    values = measure(codes_of(case.trained, part), part.factors, seed=case.seed)
    return Result(values, how=f"{len(part)} examples; factors {names}")


def _unknown(case: Case) -> str | None:
    factors = case.examples.factors
    if factors is None or not factors.varying().names:
        return "what the examples were made from is not known"
    return None


DISENTANGLEMENT = Section(
    "Factors",
    (
        Measure(
            "factors",
            FIGURES,
            _measured,
            _unknown,
            cost="long",
            source="Challenging Common Assumptions in the Unsupervised Learning of Disentangled "
            "Representations (Locatello et al., 2019), https://arxiv.org/abs/1811.12359",
        ),
    ),
)
