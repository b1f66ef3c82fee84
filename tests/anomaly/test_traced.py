"""Anomaly scores in torch alone beside those in numpy, and in onnxruntime."""

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import torch

from autoencode import AnomalyDetector, load
from autoencode.anomaly import SCORES, Tail
from autoencode.anomaly.ranks import Ranks
from autoencode.anomaly.traced import _Ranks, _Tail
from autoencode.data import Examples
from autoencode.errors import IncompatibleError

RNG = np.random.default_rng(0)


def usual(n, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 2)) @ np.array([[1, 2, 0.5], [0.5, -1, 1]]) + 0.1 * rng.normal(size=(n, 3))
    return x * [1, 10, 0.01] + [0, 5, 1e3]


@pytest.fixture(scope="module")
def detector():
    x = usual(160)
    x[40:44] = x[0]  # rows that come several times
    return AnomalyDetector(epochs=2, random_state=0, device="cpu").fit(x)


def test_ranks_and_tails_are_those_of_numpy_at_knots_between_them_and_beyond():
    x = np.repeat(RNG.normal(size=(37, 2)), 3, axis=0).round(1)
    x[:, 1] = 4.0
    given = np.concatenate([x, x + 0.03, [[-1e9, 1e9], [1e9, -1e9]]])
    for rows in (x, x[:1], x[:2]):
        ranks = Ranks.from_values(rows)
        np.testing.assert_allclose(_Ranks(ranks)(torch.from_numpy(given)), ranks(given), atol=1e-13)
    for values in (x[:, 0], x[:, 1]):
        tail, at = Tail.from_scores(values), np.concatenate([given[:, 0], tail_ends(values)])
        np.testing.assert_allclose(_Tail(tail)(torch.from_numpy(at)), tail(at), rtol=1e-12)


def tail_ends(values):
    return np.array([values.min(), values.max()])


@pytest.mark.parametrize("measure", sorted(SCORES))
def test_every_score_is_the_same_for_training_rows_and_for_others(detector, measure):
    x = np.concatenate([usual(160)[:60], usual(60, 1), usual(5, 2) * 1.2])
    x[40:44] = x[0]
    other = AnomalyDetector(measure=measure)
    other.__dict__ |= {k: v for k, v in detector.__dict__.items() if k != "measure"}
    expected = -other.score_samples(x)
    other._calibration, other._rows = None, None
    other.__dict__.pop("_rows")
    with torch.no_grad():
        found = other.part("score").module(torch.from_numpy(x))[0].numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


@pytest.fixture(scope="module")
def around_a_model(detector):
    """A detector whose p-values come from the model itself, and so half as large."""
    rows = Examples(usual(160)), Examples(usual(40, 9))
    return AnomalyDetector.from_trained(detector.trained_, *rows)


def check_file(detector, folder, n_checked):
    done = detector.export(folder, "score", data=usual(n_checked, 7))
    session = onnxruntime.InferenceSession(str(done.files["score"]))
    x = np.concatenate([usual(50, 3), usual(160)[:20], usual(8, 4) * 1.3])
    score, pvalue, anomalous = session.run(None, {"x": x})
    found = detector.judge(x)
    np.testing.assert_allclose(score, found.scores, rtol=1e-6)
    np.testing.assert_allclose(pvalue, found.pvalues, atol=1e-12)
    assert (anomalous == found.flags).all()
    assert 0 < anomalous.sum() < len(x)
    decisions = done.parity["score"].decisions
    assert decisions["rows"] == n_checked
    assert decisions["different"] <= decisions["near_the_threshold"]
    odd = x[:2].copy()
    odd[0, 1] = np.nan
    score, pvalue, anomalous = session.run(None, {"x": odd})
    assert np.isnan([score[0], pvalue[0]]).all()
    assert anomalous[0]
    assert not np.isnan([score[1], pvalue[1]]).any()


def test_one_file_has_scores_p_values_and_flags(around_a_model, tmp_path):
    check_file(around_a_model, tmp_path / "files", 200)


@pytest.mark.slow
def test_so_has_that_of_a_detector_with_a_judge_of_its_own_on_many_rows(detector, tmp_path):
    check_file(detector, tmp_path / "files", 10_000)


def test_training_rows_and_shuffled_ones_are_what_a_file_is_checked_by(detector):
    rows, said = detector.rows_to_check()
    assert len(rows) == 320
    assert "training rows" in said
    flags = detector.part("score").expected(rows)[-1]
    assert flags[:160].mean() < 0.1 < flags[160:].mean()


def test_a_saved_detector_has_the_same_part(detector, tmp_path):
    detector.save(tmp_path / "saved")
    again = load(tmp_path / "saved", device="cpu").part("score")
    x = torch.from_numpy(usual(20, 3))
    with torch.no_grad():
        for kept, now in zip(again.module(x), detector.part("score").module(x), strict=True):
            assert torch.equal(kept, now)


def test_scores_of_a_table_with_words_and_gaps_are_the_same():
    rng = np.random.default_rng(5)
    frame = pd.DataFrame({"a": rng.normal(size=90), "b": rng.choice(list("xyz"), 90)})
    frame.loc[::8, "a"] = np.nan
    frame.loc[1::9, "b"] = None
    fitted = AnomalyDetector(epochs=1, random_state=0, device="cpu", calibration=0).fit(frame)
    part = fitted.part("score")
    rows, _ = fitted.rows_to_check()
    with torch.no_grad():
        found = part.module(*(torch.from_numpy(one) for one in part.given(rows)))
    for got, wanted in zip(found, part.expected(rows), strict=True):
        np.testing.assert_allclose(got.numpy(), wanted, rtol=1e-9, atol=1e-9)


def test_a_score_that_is_a_mean_over_draws_is_refused():
    options = {"recipe": "vae", "measure": "likelihood", "calibration": 0}
    fitted = AnomalyDetector(**options, epochs=1, random_state=0, device="cpu").fit(usual(40))
    with pytest.raises(IncompatibleError, match="mean over draws"):
        fitted.part("score")
