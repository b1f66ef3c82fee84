"""Rows that stand apart: gaps without training, the thresholds that come of them, and what is told."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoencode import AnomalyDetector, load
from autoencode.anomaly import (
    benjamini_hochberg,
    fence,
    gap,
    gap_of,
    none_stands_out,
    null_pvalues,
    row_keys,
    rows_apart,
)
from autoencode.errors import DataError, ThresholdWarning
from autoencode.jobs import anomalies

USUAL = {
    "normal": lambda rng, n: np.linalg.norm(rng.normal(size=(n, 6)), axis=1),
    "exponential": lambda rng, n: rng.exponential(size=n),
    "heavy": lambda rng, n: np.linalg.norm(rng.standard_t(2, size=(n, 6)), axis=1),
    "lognormal": lambda rng, n: rng.lognormal(size=n),
    "uniform": lambda rng, n: rng.random(n),
}


def mixed(n: int, share: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Rows near a plane, of which a share were scattered, and which those are."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3)) @ rng.normal(size=(3, 8)) + 0.1 * rng.normal(size=(n, 8))
    odd = np.arange(n) < round(share * n)
    x[odd] += 3 * rng.normal(size=(odd.sum(), 8))
    return x, odd


@pytest.mark.parametrize("kind", USUAL)
def test_usual_distances_have_no_gap(kind):
    found = [
        np.isfinite(gap_of(USUAL[kind](np.random.default_rng([seed, n]), n)))
        for n in (60, 500, 2000)
        for seed in range(20)
    ]
    assert np.mean(found) < 0.05


@pytest.mark.parametrize("share", [0.03, 0.05, 0.08, 0.1, 0.15, 0.2, 0.25])
@pytest.mark.parametrize("kind", ["normal", "exponential", "heavy", "lognormal"])
def test_a_gap_is_found_whatever_the_share(kind, share):
    rng = np.random.default_rng(1)
    usual = USUAL[kind](rng, 1000)
    odd = usual.max() * rng.uniform(3, 9, size=round(share * 1000 / (1 - share)))
    where = gap_of(np.concatenate([usual, odd]))
    assert where < odd.min()
    assert (usual > where).mean() < 0.01


def test_a_few_rows_may_lie_inside_a_gap():
    rng = np.random.default_rng(2)
    usual, odd = rng.normal(10, 1, 900), rng.normal(30, 2, 100)
    where = gap_of(np.concatenate([usual, odd, [17.0, 19.0, 21.0]]))
    assert usual.max() < where < odd.min()


def test_values_that_come_often_are_no_gap():
    rng = np.random.default_rng(3)
    counts = np.sqrt(rng.poisson(1.0, size=(800, 2)) ** 2 @ np.ones(2))
    assert gap(counts)[0] == 0.0
    assert gap(np.zeros(100)) == (0.0, np.inf)
    assert gap(np.arange(10.0)) == (0.0, np.inf)


@given(st.integers(0, 10_000), st.floats(1e-6, 1e6))
@settings(max_examples=50, deadline=None)
def test_the_unit_of_distances_does_not_matter(seed, unit):
    rng = np.random.default_rng(seed)
    distances = np.concatenate([rng.exponential(size=200), rng.normal(40, 3, 20)])
    clear, where = gap(distances)
    again, there = gap(unit * distances)
    assert again == pytest.approx(clear, rel=1e-6)
    assert there == pytest.approx(unit * where, rel=1e-6)


@pytest.mark.parametrize("share", [0.05, 0.15])
def test_a_group_stands_apart_before_any_training(share):
    rng = np.random.default_rng(4)
    x = rng.normal(size=(600, 6))
    group = np.arange(600) < share * 600
    x[group] = 5.0 + 0.3 * rng.normal(size=(group.sum(), 6))
    assert (rows_apart(x, row_keys(x), 0) == group).all()
    assert not rows_apart(x[~group], row_keys(x[~group]), 0).any()


@pytest.mark.parametrize("n", [600, 3000])  # the tree is made of all rows, or of some
@pytest.mark.parametrize("draw", ["standard_cauchy", "lognormal", "exponential"])
def test_a_group_is_found_where_single_rows_lie_as_far(draw, n):
    rng = np.random.default_rng(7)
    x = getattr(rng, draw)(size=(n, 4))
    group = np.arange(n) < 0.1 * n
    x[group] = np.quantile(x, 0.98) + 0.1 * rng.normal(size=(group.sum(), 4))
    found = rows_apart(x, row_keys(x), 0)
    assert found[group].all()
    assert found[~group].mean() < 0.01
    assert not rows_apart(x[~group], row_keys(x[~group]), 0).any()


def test_rows_that_are_all_the_same_are_no_group():
    x = np.r_[np.random.default_rng(8).normal(size=(300, 3)), np.zeros((40, 3))]
    assert not rows_apart(x, row_keys(x), 0)[300:].any()  # in the middle of the others


def test_a_cluster_of_a_fifth_is_one_of_the_kinds_of_rows():
    rng = np.random.default_rng(5)
    x = rng.normal(size=(600, 6))
    x[:120] = 5.0 + rng.normal(size=(120, 6))
    assert not rows_apart(x, row_keys(x), 0)[:120].any()
    x[:120] = 5.0 + 20 * rng.normal(size=(120, 6))  # these are nothing of a kind
    assert rows_apart(x, row_keys(x), 0)[:120].mean() > 0.9


def test_flags_that_few_rows_have_do_not_set_them_apart():
    rng = np.random.default_rng(6)
    x = np.c_[rng.random((500, 3)) < 0.05, rng.normal(size=(500, 2))]
    assert not rows_apart(x, row_keys(x), 0).any()


def test_null_pvalues_are_those_of_the_clean_rows():
    rng = np.random.default_rng(7)
    clean = rng.exponential(size=2000)
    calibration = np.concatenate([clean, rng.normal(30, 1, 400)])
    heights = np.array([0.5, 2.0, 4.0, 8.0, 12.0])
    p = null_pvalues(heights, calibration, -np.log(0.01))
    assert np.allclose(np.log(p), -heights, atol=0.08 * heights + 0.05)
    assert (np.diff(null_pvalues(np.linspace(0, 40, 500), calibration, 4.6)) <= 0).all()
    with pytest.raises(DataError, match="no calibration scores of clean rows"):
        null_pvalues(heights, calibration, -1.0)


def test_the_false_discovery_rate_holds_with_anomalies_among_the_calibration():
    rng = np.random.default_rng(8)
    shares, found = [], []
    for _ in range(300):
        calibration = np.append(rng.exponential(size=400), rng.normal(20, 1, 40))
        heights = np.append(rng.exponential(size=180), rng.normal(20, 1, 20))
        chosen = benjamini_hochberg(null_pvalues(heights, calibration, -np.log(0.01)), 0.1)
        shares.append(chosen[:180].sum() / max(chosen.sum(), 1))
        found.append(chosen[180:].mean())
    assert np.mean(shares) < 0.1 + 3 * np.std(shares) / np.sqrt(300)
    assert np.mean(found) == 1.0


def test_it_is_told_where_none_stands_out():
    rng = np.random.default_rng(9)
    clean = rng.exponential(size=(200, 500))
    assert np.mean([none_stands_out(heights) for heights in clean]) < 0.02
    # A fifth of anomalies that go on where the clean rows end.
    crowded = np.append(np.clip(rng.exponential(size=400), 0, 3), rng.uniform(3, 3.5, 100))
    assert not (crowded > fence(crowded)).any()
    assert none_stands_out(crowded)
    assert not none_stands_out(crowded[::10])  # too few rows to tell


@pytest.mark.parametrize("share", [0.05, 0.1, 0.25])
def test_scattered_anomalies_are_found_whatever_their_share(share, hurried):
    hurried(100)
    x, odd = mixed(600, share)
    detector = AnomalyDetector(random_state=0, device="cpu").fit(x)
    called = detector.predict(x) == -1
    assert called[odd].mean() >= 0.95
    assert called[~odd].mean() <= 0.03
    discovered = detector.predict(x, fdr=0.1) == -1
    assert discovered[odd].mean() >= 0.9
    assert (discovered & ~odd).sum() <= 0.2 * discovered.sum()


def test_what_cannot_be_told_is_said_by_fit_by_the_job_and_after_loading(
    monkeypatch, tmp_path, hurried
):
    hurried(30)
    monkeypatch.setattr("autoencode.anomaly.scored_model.none_stands_out", lambda heights: True)
    x, _ = mixed(80, 0.1)
    with pytest.warns(ThresholdWarning, match=r"no threshold can be told.*contamination=0.1.*fdr=0.05"):
        detector = AnomalyDetector(random_state=0, device="cpu").fit(x)
    detector.save(tmp_path / "kept")
    assert load(tmp_path / "kept").doubt_ == detector.doubt_ != ""
    said: list[str] = []
    anomalies(x, device="cpu", note=said.append)
    assert detector.doubt_ in said
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not AnomalyDetector(contamination=0.1, random_state=0, device="cpu").fit(x).doubt_
        AnomalyDetector(random_state=0, device="cpu").fit_judge(x, fdr=0.05)


def test_a_detector_that_was_saved_without_a_limit_falls_back_on_conformal_pvalues(tmp_path, hurried):
    hurried(30)
    x, _ = mixed(120, 0.0)
    detector = AnomalyDetector(random_state=0, device="cpu").fit(x)
    detector._calibration = replace(detector._calibrated(), limit=None)
    detector.save(tmp_path / "old")
    same = load(tmp_path / "old")
    far = x[:5] + 50.0
    chosen = benjamini_hochberg(detector.pvalues(far), 0.2)
    assert ((same.predict(far, fdr=0.2) == -1) == chosen).all()
    assert chosen.all()
