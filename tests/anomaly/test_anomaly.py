"""Anomaly scores: what they are, that p-values hold, that shares add up, what contamination does."""

import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import false_discovery_control
from sklearn.base import clone
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import QuantileTransformer, StandardScaler

from autoencode import AnomalyDetector
from autoencode.anomaly import (
    SCORES,
    Memory,
    Scorer,
    Tail,
    benjamini_hochberg,
    conformal_pvalues,
    fence,
    plain_rows,
    reconstruct_rows,
    row_keys,
    standardized_entries,
    typical_rows,
)
from autoencode.anomaly.ranks import Ranks
from autoencode.anomaly.scores import EVIDENCE
from autoencode.data import Examples, prepare
from autoencode.errors import DataError, OptionError
from autoencode.recipes import build
from autoencode.trained import Trained

QUICK = {"epochs": 1, "options": {"min_steps": 30, "hidden": (16,)}, "device": "cpu"}


def correlated(n: int, seed: int = 0) -> np.ndarray:
    """Rows (n, 6) on a curved surface of two dimensions, with a little noise."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, 2))
    x = np.stack([z[:, 0], z[:, 1], z.sum(1), z[:, 0] ** 2, z[:, 0] - z[:, 1], z[:, 1] ** 2], axis=1)
    return x + 0.1 * rng.normal(size=x.shape)


@pytest.fixture(scope="module")
def detector() -> AnomalyDetector:
    return AnomalyDetector(random_state=0, device="cpu").fit(correlated(300))


# Calibration


def test_conformal_pvalues_count_calibration_scores():
    rng = np.random.default_rng(0)
    calibration, scores = rng.integers(0, 9, 40), rng.integers(0, 9, 30)
    by_hand = [(1 + sum(c >= s for c in calibration)) / 41 for s in scores]
    assert np.allclose(conformal_pvalues(scores, calibration), by_hand)
    with pytest.raises(DataError, match="hold some rows out"):
        conformal_pvalues(scores, [])


def test_conformal_pvalues_are_valid_over_2000_draws():
    """P(p <= t) <= t, and with no ties P(p <= k / (m + 1)) is exactly that."""
    rng = np.random.default_rng(0)
    n_calibration = 49
    p = np.array(
        [
            conformal_pvalues(draw[:1], draw[1:])[0]
            for draw in rng.standard_cauchy((2000, n_calibration + 1))
        ]
    )
    for level in (0.02, 0.1, 0.5):
        error = 3 * np.sqrt(level * (1 - level) / len(p))
        assert abs((p <= level + 1e-9).mean() - level) < error


def test_the_false_discovery_rate_stays_below_what_was_asked_over_1000_draws():
    rng = np.random.default_rng(1)
    shares, found = [], []
    for _ in range(1000):
        calibration = rng.normal(size=200)
        normal, odd = rng.normal(size=80), rng.normal(4.0, 1.0, size=20)
        p = conformal_pvalues(np.concatenate([normal, odd]), calibration)
        rejected = benjamini_hochberg(p, 0.1)
        shares.append(rejected[:80].sum() / max(rejected.sum(), 1))
        found.append(rejected[80:].mean())
    # The theory says at most 0.1 times the share of normal rows.
    error = np.std(shares) / np.sqrt(len(shares))
    assert np.mean(shares) <= 0.1 * 0.8 + 3 * error
    assert np.mean(found) > 0.5


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.floats(0.01, 0.99))
@settings(max_examples=200, deadline=None)
def test_benjamini_hochberg_is_scipys(pvalues, fdr):
    adjusted = false_discovery_control(pvalues, method="bh")
    close = np.isclose(adjusted, fdr, rtol=1e-9)  # rounding decides there
    assert (benjamini_hochberg(pvalues, fdr) == (adjusted <= fdr))[~close].all()


def test_benjamini_hochberg_refuses_what_is_no_rate():
    with pytest.raises(OptionError, match=r"fdr must lie in \(0, 1\), got 1.5"):
        benjamini_hochberg([0.1], 1.5)
    assert benjamini_hochberg([], 0.1).shape == (0,)


@given(
    st.lists(st.floats(0, 1e6), min_size=1, max_size=40),
    st.lists(st.floats(0, 1e7), min_size=2, max_size=20),
)
@settings(max_examples=200, deadline=None)
def test_a_tail_rises_with_the_value(reference, values):
    heights = Tail.from_scores(reference)(np.sort(values))
    assert np.isfinite(heights).all()
    assert (heights >= 0).all()
    assert (np.diff(heights) >= -1e-12).all()


def test_a_tail_is_the_logarithm_of_the_share_above():
    tail = Tail.from_scores(np.arange(1000.0))
    middle, width = 499.5, 399.6
    for value in (100.0, 800.0, 990.0):
        share = (1000 - value + 1) / 1001
        beyond = np.log1p(max((value - middle) / width, 0))
        assert tail(np.array([value]))[0] == pytest.approx(-np.log(share) + beyond, rel=1e-3)


def test_a_fence_lets_about_one_in_a_hundred_pass_whatever_the_data():
    rng = np.random.default_rng(0)
    for draw in (rng.normal(size=4000) ** 2, rng.exponential(size=4000), abs(rng.standard_t(2, 4000))):
        reference, new = draw[:2000], draw[2000:]
        tail = Tail.from_scores(reference)
        limit = tail.inverse(fence(tail(reference)))
        assert 0.001 < (new > limit).mean() < 0.02
    # A twentieth that lie far out do not carry the fence with them.
    odd = np.concatenate([rng.exponential(size=1900), rng.normal(1e6, 1.0, 100)])
    tail = Tail.from_scores(odd)
    assert (odd[-100:] > tail.inverse(fence(tail(odd)))).mean() > 0.9


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40), st.floats(0, 20))
@settings(max_examples=200, deadline=None)
def test_the_inverse_of_a_tail_is_its_inverse(reference, height):
    tail = Tail.from_scores(reference)
    value = tail.inverse(height)
    assert tail(np.array([value]))[0] >= height - 1e-9
    below = np.nextafter(value, -np.inf)
    assert below < tail.values[0] or tail(np.array([below]))[0] <= height + 1e-9


CLEAN = {
    "normal": lambda rng, n: rng.normal(size=(n, 6)),
    "on a surface": lambda rng, n: correlated(n, rng.integers(1 << 30)),
    "heavy tails": lambda rng, n: rng.standard_t(2, size=(n, 6)),
    "common scale": lambda rng, n: rng.normal(size=(n, 6)) / rng.gamma(1.5, size=(n, 1)) ** 0.5,
    "lognormal": lambda rng, n: rng.lognormal(size=(n, 6)),
    "counts and flags": lambda rng, n: np.c_[
        rng.poisson(3, (n, 2)), rng.random((n, 2)) < 0.1, rng.exponential(size=(n, 2))
    ],
}


@pytest.mark.parametrize("kind", CLEAN)
def test_about_one_in_a_hundred_clean_rows_is_called_an_outlier(kind, hurried):
    hurried(100)  # however good the model is
    shares = []
    for seed in range(2):
        x = CLEAN[kind](np.random.default_rng(seed), 3600)
        fitted = AnomalyDetector(random_state=seed, device="cpu").fit(x[:600])
        shares.append((fitted.predict(x[600:]) == -1).mean())
    # From fit to fit the share spreads by about a half of it.
    assert 0.003 < np.mean(shares) < 0.02


@pytest.mark.parametrize("measure", SCORES)
def test_the_threshold_of_every_measure_is_one_of_clean_rows(measure, hurried):
    hurried(100)
    shares = []
    for seed in range(3):
        x = correlated(2600, seed)
        fitted = AnomalyDetector(measure=measure, random_state=seed, device="cpu").fit(x[:600])
        shares.append((fitted.predict(x[600:]) == -1).mean())
    assert 0.001 < np.mean(shares) < 0.03


def test_pvalues_of_new_rows_hold_for_a_fitted_detector():
    """Over fits: the share of normal rows with p <= 0.1 is 0.1."""
    below = []
    for seed in range(12):
        x = correlated(420, seed)
        fitted = AnomalyDetector(random_state=seed, **QUICK).fit(x[:120])
        below.append((fitted.pvalues(x[120:]) <= 0.12).mean())
    # 24 held-out rows: P(p <= 0.12) = 3 / 25 exactly, with a spread of 0.065 from fit to fit.
    assert abs(np.mean(below) - 0.12) < 3 * 0.065 / np.sqrt(len(below))


def test_no_held_out_row_takes_part_in_what_judges_it():
    x = correlated(100)
    seed = 5
    first = AnomalyDetector(random_state=seed, **QUICK).fit(x)
    drawn = int(np.random.RandomState(seed).randint(2**31 - 1))
    held = np.random.default_rng([drawn, 0]).permutation(100)[:20]
    changed = x.copy()
    changed[held] *= 3.0
    second = AnomalyDetector(random_state=seed, **QUICK).fit(changed)
    judge, scores = first._calibrated().judge, first.calibration_scores_
    same, others = second._calibrated().judge, second.calibration_scores_
    for a, b in zip(judge.trained.model.parameters(), same.trained.model.parameters(), strict=True):
        assert torch.equal(a, b)
    new = Examples(correlated(10, 1).astype(np.float32))
    assert np.array_equal(judge.scores(new, "combined"), same.scores(new, "combined"))
    assert (scores != others).any()


# Memory


def test_the_memory_finds_what_a_plain_search_finds():
    rng = np.random.default_rng(0)
    points, x = rng.normal(size=(90, 4)), rng.normal(size=(7, 4))
    memory = Memory.from_points(points, row_keys(points))
    distances = np.sort(np.linalg.norm(x[:, None] - points, axis=2), axis=1)
    assert np.allclose(memory.nearest(x, row_keys(x)).distances, distances[:, 0])
    around = memory.neighbourhood(x, row_keys(x)).distances
    assert np.allclose(around, np.sqrt((distances[:, :9] ** 2).mean(1)))


def test_a_recalled_row_is_a_ridge_regression_on_its_neighbours():
    rng = np.random.default_rng(1)
    points, x = rng.normal(size=(60, 3)), rng.normal(size=3)
    near = points[np.argsort(np.linalg.norm(points - x, axis=1))[:20]]
    gram = (near - x) @ (near - x).T
    gram += 0.1 * np.trace(gram) / 20 * np.eye(20)
    weights = np.linalg.solve(gram, np.ones(20))
    weights /= weights.sum()
    memory = Memory.from_points(points, row_keys(points))
    look = memory.recall(x[None], row_keys(x[None]), squares=True)
    assert look.distances[0] == pytest.approx(np.linalg.norm(x - weights @ near))
    assert look.squares.sum() == pytest.approx(look.distances[0] ** 2)


@pytest.mark.parametrize("name", ["nearest", "recall", "neighbourhood"])
def test_squares_sum_to_the_square_of_the_distance(name):
    rng = np.random.default_rng(2)
    points, x = rng.normal(size=(50, 5)), rng.normal(size=(6, 5))
    look = getattr(Memory.from_points(points, row_keys(points)), name)(x, row_keys(x), squares=True)
    assert np.allclose(look.squares.sum(1), look.distances**2)


def test_a_remembered_row_is_compared_with_the_others_only():
    points = np.array([[0.0], [0.0], [5.0], [6.0]])
    memory = Memory.from_points(points, row_keys(points))
    assert memory.nearest(points, row_keys(points)).distances.tolist() == [0.0, 0.0, 1.0, 1.0]
    alone = Memory.from_points(points[:1], row_keys(points[:1]))
    assert alone.nearest(points[:1], row_keys(points[:1])).distances.tolist() == [0.0]


def test_ranks_are_scikit_learns_normal_scores():
    rng = np.random.default_rng(0)
    x = np.stack([rng.normal(size=400), rng.exponential(size=400)], axis=1)
    new = x[:50] + np.array([0.5, -0.3])
    theirs = QuantileTransformer(n_quantiles=400, output_distribution="normal").fit(x)
    ours = Ranks.from_values(x)
    fitted = theirs.transform(x).clip(-4, 4)
    expected = (theirs.transform(new).clip(-4, 4) - fitted.mean(0)) / fitted.std(0)
    assert np.allclose(ours(new), expected, atol=1e-6)
    # Equal values get the middle of their places, also at the ends.
    ties = Ranks.from_values(np.repeat([0.0, 1.0, 2.0], [10, 20, 10])[:, None])
    low, middle, high = ties(np.array([[0.0], [1.0], [2.0]]))[:, 0]
    assert middle == pytest.approx(0, abs=0.05)
    assert low == pytest.approx(-high, abs=0.05)
    assert high == pytest.approx(np.sqrt(2), abs=0.05)  # of variance 1, half of the rows being 0


# Scores


def linear(x: np.ndarray) -> Trained:
    """A linear model with known weights: two columns in, one code, two columns out."""
    examples, spec, _ = prepare(x)
    recipe = build("linear", standardized_entries(spec, examples.x), latent_dim=1, seed=0)
    with torch.no_grad():
        for parameter in recipe.model.parameters():
            parameter.zero_()
        weights = [p for p in recipe.model.parameters() if p.dim() == 2]
        weights[0].copy_(torch.tensor([[1.0, 0.0]]))
        weights[1].copy_(torch.tensor([[1.0], [0.0]]))
    return Trained(recipe)


def test_scores_of_a_model_whose_reconstructions_are_known():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 2)) * [2.0, 3.0] + 1.0
    trained = linear(x)
    seen = reconstruct_rows(trained, Examples(x.astype(np.float32)))
    z = (x - x.mean(0)) / x.std(0)
    assert np.allclose(seen.values, z, atol=1e-5)
    assert np.allclose(seen.residual, np.stack([np.zeros(50), z[:, 1]], axis=1), atol=1e-5)
    keys = row_keys(x)
    scorer = Scorer.fit(seen, keys, ranked=True, typical=np.arange(50), seed=0)
    # The second column has mean squared error 1, so the floor is a tenth of a half.
    expected = z[:, 1] ** 2 / (1.0 + 0.05)
    assert np.allclose(scorer.scores(seen, keys, "reconstruction"), expected, rtol=1e-4)
    nats = 0.5 * z[:, 1] ** 2 + np.log(2 * np.pi)
    assert np.allclose(scorer.scores(seen, keys, "likelihood"), nats, rtol=1e-4)
    variance = z[:, 0].var(ddof=1)
    assert np.allclose(scorer.scores(seen, keys, "latent"), z[:, 0] ** 2 / variance, rtol=1e-4)


def test_the_likelihood_of_a_stochastic_code_is_the_negative_elbo():
    x = correlated(80)
    fitted = AnomalyDetector("vae", measure="likelihood", random_state=0, **QUICK).fit(x)
    # Sixteen draws here, many there.
    bound = fitted.trained_.score_samples(x.astype(np.float32), n_samples=2000)
    bound = bound + np.log(fitted.trained_.spec.scale).sum()  # from the data's units to the model's
    ours = fitted.score_samples(x)
    assert np.corrcoef(ours, bound)[0, 1] > 0.98
    assert ours.mean() == pytest.approx(bound.mean(), rel=0.15)  # scales are narrow, draws differ


def test_values_in_the_unit_interval_are_standardised_too():
    x = np.random.default_rng(0).random((60, 3)) * [1.0, 0.1, 0.01]
    examples, spec, _ = prepare(x, standardize="unit")
    assert spec.kind == "unit"
    scaled = plain_rows(standardized_entries(spec, examples.x), examples)
    assert np.allclose(scaled.mean(0), 0, atol=1e-4)
    assert np.allclose(scaled.std(0), 1, atol=1e-4)


def test_scores_tell_anomalies_from_new_rows(detector):
    rng = np.random.default_rng(9)
    new = correlated(200, 1)
    odd = np.stack([rng.permutation(column) for column in correlated(200, 2).T], axis=1)
    labels = np.repeat([0, 1], 200)
    for name, scores in detector.anomaly_scores(np.concatenate([new, odd])).items():
        least = 0.6 if name in ("latent", "likelihood") else 0.9
        assert roc_auc_score(labels, scores) > least, name


@pytest.mark.parametrize("measure", SCORES)
def test_shares_sum_to_the_score(measure):
    x = correlated(100)
    fitted = AnomalyDetector(measure=measure, random_state=0, **QUICK).fit(x)
    new = np.concatenate([correlated(5, 3), [[0, 0, 9.0, 0, 0, 0]]])
    explanation = fitted.explain(new)
    assert explanation.shares.shape == new.shape
    assert np.allclose(explanation.scores, -fitted.score_samples(new))
    assert np.allclose(explanation.shares.sum(1), explanation.scores)


def test_the_odd_entry_has_the_largest_share(detector):
    hits = []
    for seed in range(20):
        for entry in range(6):
            row = correlated(1, 100 + seed)
            row[0, entry] += 4.0 * (-1) ** seed
            hits.append(detector.explain(row).top(0, 1)[0][0] == f"x{entry}")
    assert np.mean(hits) > 0.8


def test_integrated_gradients_need_little_correction():
    """The latent distance is quadratic along the line for a linear encoder: exact without it."""
    x = np.random.default_rng(0).normal(size=(60, 2))
    trained = linear(x)
    examples = Examples(x.astype(np.float32))
    seen, keys = reconstruct_rows(trained, examples), row_keys(x)
    scorer = Scorer.fit(seen, keys, ranked=True, typical=np.arange(60), seed=0)
    from autoencode.anomaly import explained

    shares = explained(trained, scorer, examples, seen, keys, "latent").shares
    scores = scorer.scores(seen, keys, "latent")
    assert np.allclose(shares[:, 0], scores, rtol=1e-3, atol=1e-4)
    assert np.allclose(shares[:, 1], 0, atol=1e-4)


# The estimator


def test_the_same_row_has_the_same_score_whatever_stands_beside_it(detector):
    new = correlated(30, 5)
    together = detector.score_samples(new)
    assert np.array_equal(together, detector.score_samples(new))
    alone = np.concatenate([detector.score_samples(row[None]) for row in new])
    assert np.allclose(alone, together, rtol=1e-9, atol=1e-9)


def test_the_same_seed_fits_the_same_detector():
    x = correlated(60)
    first, second = (AnomalyDetector(random_state=3, **QUICK).fit(x) for _ in range(2))
    assert np.array_equal(first.score_samples(x), second.score_samples(x))
    again = pickle.loads(pickle.dumps(first))
    assert np.array_equal(first.pvalues(x), again.pvalues(x))


def test_the_threshold_is_where_the_contamination_says():
    x = correlated(200)
    fitted = AnomalyDetector(contamination=0.1, random_state=0, **QUICK).fit(x)
    assert (fitted.predict(x) == -1).sum() == 20
    assert np.array_equal(fitted.fit_predict(x), fitted.predict(x))
    assert np.allclose(fitted.decision_function(x), fitted.score_samples(x) - fitted.offset_)


def test_predict_with_a_false_discovery_rate(detector):
    odd = correlated(20, 6) + 8.0
    new = np.concatenate([correlated(80, 7), odd])
    verdicts = detector.predict(new, fdr=0.1)
    assert (verdicts[80:] == -1).all()
    assert (verdicts[:80] == -1).mean() < 0.2


def test_a_group_of_anomalies_in_training_is_found_whatever_is_trimmed():
    """The group is learned by a model that is trained on it, and reconstructed well."""
    rng = np.random.default_rng(0)
    normal = correlated(400)
    group = np.array([4.0, -4.0, 4.0, -4.0, 4.0, 4.0]) + 0.1 * rng.normal(size=(30, 6))
    x = np.concatenate([normal, group])
    labels = np.repeat([0, 1], [400, 30])
    roc = {}
    for trim in (0.0, 0.1):
        fitted = AnomalyDetector(trim=trim, random_state=0, measure="reconstruction", device="cpu")
        roc[trim] = roc_auc_score(labels, -fitted.fit(x).score_samples(x))
    assert min(roc.values()) > 0.95  # the group is found before, whatever is trimmed
    kept = typical_rows((x - x.mean(0)) / x.std(0), row_keys(x), 0)
    assert len(kept) == 387
    assert (kept >= 400).mean() < 0.02


def test_tables_with_gaps_and_categories(detector):
    pd = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    pet = rng.choice(["cat", "dog"], 120)
    frame = pd.DataFrame(
        {"weight": np.where(pet == "cat", 4.0, 20.0) + rng.normal(size=120), "pet": pet}
    )
    frame.loc[3, "weight"] = np.nan
    fitted = AnomalyDetector(random_state=0, device="cpu").fit(frame)
    odd = pd.DataFrame({"weight": [4.0, 30.0], "pet": ["cat", "cat"]})
    scores = fitted.score_samples(odd)
    assert scores[1] < scores[0]
    explanation = fitted.explain(odd)
    assert explanation.names == ("weight", "pet")
    assert np.allclose(explanation.shares.sum(1), explanation.scores)
    empty = pd.DataFrame({"weight": [np.nan], "pet": [None]})
    assert np.isfinite(fitted.score_samples(empty)).all()


def test_images():
    rng = np.random.default_rng(0)
    x = np.clip(0.5 + 0.1 * rng.normal(size=(60, 8, 8)), 0, 1)
    odd = x[:1].copy()
    odd[0, 2, 3] = 1.0
    fitted = AnomalyDetector(random_state=0, **QUICK).fit(x)
    explanation = fitted.explain(odd)
    assert explanation.shares.shape == (1, 1, 8, 8)
    assert explanation.top(0, 1)[0][0] == "(0, 2, 3)"
    assert len(fitted.plot_explanation(odd).axes) == 1


def test_the_picture_of_an_explanation(detector):
    figure = detector.plot_explanation(correlated(4, 8), n_features=3)
    assert len(figure.axes) == 4
    assert len(figure.axes[0].patches) == 3
    with pytest.raises(DataError, match="13 rows are too many"):
        detector.plot_explanation(correlated(13))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [2, 3, 9])
def test_few_rows_and_one_column(n, dtype):
    x = np.arange(n, dtype=dtype)[:, None]
    fitted = AnomalyDetector(random_state=0, **QUICK).fit(x)
    assert np.isfinite(fitted.score_samples(x)).all()
    assert fitted.score_samples([[100.0]])[0] < fitted.score_samples(x).min()


def test_constant_and_repeated_rows():
    fitted = AnomalyDetector(random_state=0, **QUICK).fit(np.ones((30, 3)))
    scores = fitted.score_samples([[1.0, 1.0, 1.0], [1.0, 5.0, 1.0]])
    assert np.isfinite(scores).all()
    assert scores[1] < scores[0]


def test_pipelines_and_clones():
    x = correlated(60)
    pipeline = make_pipeline(StandardScaler(), AnomalyDetector(random_state=0, **QUICK))
    assert set(clone(pipeline).fit(x).predict(x)) <= {-1, 1}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"contamination": 0.7}, r"contamination must be 'auto' or lie in \(0, 0.5\], got 0.7"),
        ({"measure": "combinde"}, r"unknown measure 'combinde'.*combined"),
        ({"calibration": 1.0}, r"calibration must lie in \[0, 1\), got 1.0"),
        ({"trim": -0.1}, r"trim must lie in \[0, 1\), got -0.1"),
        ({"recipe": "nonsense"}, "unknown recipe 'nonsense'"),
    ],
)
def test_bad_options_are_refused_in_one_line(options, message):
    with pytest.raises(OptionError, match=message):
        AnomalyDetector(**options).fit(correlated(20))


def test_pvalues_need_rows_that_were_held_out():
    fitted = AnomalyDetector(calibration=0.0, random_state=0, **QUICK).fit(correlated(30))
    with pytest.raises(OptionError, match="no row can be held out; fit with calibration above 0"):
        fitted.pvalues(correlated(5))
    with pytest.raises(DataError, match="at least 2 examples, got 1 sample"):
        AnomalyDetector().fit(correlated(1))


def test_every_piece_of_evidence_is_finite_far_outside(detector):
    far = np.full((1, 6), 1e12)
    assert np.isfinite(detector.score_samples(far)).all()
    seen = reconstruct_rows(detector.trained_, Examples(far.astype(np.float32)))
    looks = detector._learned.scorer._looks(seen, row_keys(far))
    assert set(looks) == set(EVIDENCE)
    assert all(np.isfinite(look.distances).all() for look in looks.values())
