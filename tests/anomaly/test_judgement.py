"""Rows are judged in one look: how often they go through a model, and what is made of that."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest
import torch

from autoencode import AnomalyDetector, train
from autoencode.anomaly import SCORES
from autoencode.anomaly.judgement import ScoredRows
from autoencode.errors import OptionError
from autoencode.estimators.base import CoreEstimator
from autoencode.jobs import anomalies
from autoencode.models import AutoencoderModule
from cli_runs import cli  # noqa: F401  a fixture

QUICK = {"epochs": 1, "options": {"min_steps": 20, "hidden": (16,)}, "device": "cpu"}
N = 80


def rows(n: int, seed: int = 0) -> np.ndarray:
    """Rows (n, 4) near a line; the last is far from it."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 1)) * [1.0, -1.0, 0.5, 2.0] + 0.1 * rng.normal(size=(n, 4))
    x[-1] = [3.0, 3.0, -3.0, 0.0]
    return x


@pytest.fixture
def embedded(monkeypatch):
    """How many rows went through each model outside of training, by the sum of its first weights.

    Models are tried out on zeros, to see what shape comes out; those are nobody's rows.
    """
    counts, training = Counter(), []
    embed, learn = AutoencoderModule.embed, CoreEstimator._train_on

    def counted(model, x, context=None):
        if not training and x.device.type != "meta" and x.any():
            first = next(model.parameters()).detach()
            counts[float(first.to("cpu", torch.float64).sum())] += len(x)
        return embed(model, x, context)

    def learned(*arguments):
        training.append(True)
        try:
            return learn(*arguments)
        finally:
            training.pop()

    monkeypatch.setattr(AutoencoderModule, "embed", counted)
    monkeypatch.setattr(CoreEstimator, "_train_on", learned)
    return counts


def seen_once(counts: Counter, *expected: int) -> bool:
    """Whether the models saw so many rows, one figure each."""
    return sorted(counts.values()) == sorted(expected)


@pytest.mark.parametrize("measure", SCORES)
@pytest.mark.parametrize("contamination", ["auto", 0.1])
def test_fit_brings_each_training_row_through_the_model_once(embedded, measure, contamination):
    detector = AnomalyDetector(
        measure=measure, contamination=contamination, calibration=0.25, random_state=0, **QUICK
    )
    detector.fit(rows(N))
    assert seen_once(embedded, N)
    assert len(detector.calibration_scores_) == N // 4
    assert seen_once(embedded, N, N)


def test_a_file_goes_through_each_model_once(embedded, cli, tmp_path):  # noqa: F811
    for name, n in (("usual.csv", N), ("new.csv", 30)):
        pd.DataFrame(rows(n, n), columns=list("abcd")).to_csv(tmp_path / name, index=False)
    options = ("--quiet", "--device", "cpu", "--report", "r.html", "-o", "found.csv")
    result = cli("anomalies", "usual.csv", *options, "--save", "kept")
    assert result.code == 0, result
    found = pd.read_csv("found.csv")
    assert found["anomaly_pvalue"].notna().all()
    assert isinstance(found["anomaly_reasons"][N - 1], str)
    assert seen_once(embedded, N, N)  # the detector's model and that of its p-values
    embedded.clear()
    result = cli("anomalies", "new.csv", "--run", "kept", "--fdr", "0.2", *options)
    assert result.code == 0, result
    assert pd.read_csv("found.csv")["anomaly_pvalue"].notna().all()
    assert seen_once(embedded, 30, 30)


def test_images_go_through_each_model_once_and_are_drawn_from_that(embedded, tmp_path):
    images = np.random.default_rng(0).integers(0, 60, (N, 8, 8)).astype(np.uint8)
    images[5] = 255
    np.save(tmp_path / "x.npy", images)
    quick = {"epochs": 1, "options": {"min_steps": 5}, "device": "cpu"}
    AnomalyDetector("conv", random_state=0, **quick).fit(images).save(tmp_path / "kept")
    embedded.clear()
    found = anomalies(tmp_path / "x.npy", tmp_path / "kept", report=tmp_path / "r.html", device="cpu")
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert page.count(': reconstruction"') == 20
    assert page.index("image 5: original") < page.index("image 5: reconstruction")
    assert found.scores.argmax() == 5
    assert seen_once(embedded, N, N)


def test_a_run_sees_its_own_rows_and_those_of_the_file_once(embedded, tmp_path):
    file = tmp_path / "t.csv"
    pd.DataFrame(rows(N), columns=list("abcd")).to_csv(file, index=False)
    options = {"latent_dim": 1, "hidden": (8,), "min_steps": 20, "validation": 0.0, "epochs": 1}
    train(file, "mlp", out=tmp_path / "run", device="cpu", **options)
    embedded.clear()
    found = anomalies(file, tmp_path / "run", report=tmp_path / "r.html", device="cpu")
    assert found.pvalues is not None
    assert seen_once(embedded, N + N)  # the run's rows, of which it held some out, and the file's


@pytest.fixture(scope="module")
def detector() -> AnomalyDetector:
    return AnomalyDetector(random_state=0, **QUICK).fit(rows(N))


def test_a_judgement_is_what_the_methods_say(detector):
    x = rows(30, 1)
    judgement = detector.judge(x)
    assert np.array_equal(judgement.scores, -detector.score_samples(x))
    assert np.array_equal(judgement.pvalues, detector.pvalues(x))
    assert np.array_equal(np.where(judgement.flags, -1, 1), detector.predict(x))
    assert np.array_equal(judgement.flags, judgement.scores > judgement.threshold)
    assert np.array_equal(judgement.explain().shares, detector.explain(x).shares)
    controlled = detector.judge(x, fdr=0.3)
    assert np.array_equal(np.where(controlled.flags, -1, 1), detector.predict(x, fdr=0.3))
    assert np.isnan(controlled.threshold)
    assert detector.judge(x, pvalues=False).pvalues is None


@pytest.mark.parametrize("measure", ["combined", "latent"])
def test_fitting_and_judging_at_once_is_one_after_the_other(measure):
    x = rows(N)
    both = AnomalyDetector(measure=measure, random_state=0, **QUICK)
    once = both.fit_judge(x)
    detector = AnomalyDetector(measure=measure, random_state=0, **QUICK).fit(x)
    after = detector.judge(x)
    assert both.offset_ == detector.offset_
    assert np.array_equal(both.calibration_scores_, detector.calibration_scores_)
    for name in ("scores", "flags", "pvalues"):
        np.testing.assert_allclose(getattr(once, name), getattr(after, name), rtol=1e-9)
    called = AnomalyDetector(measure=measure, random_state=0, **QUICK).fit_predict(x)
    assert np.array_equal(called, detector.predict(x))


def test_rows_are_explained_by_number_or_mask_and_their_shares_sum_to_their_scores(detector):
    x = rows(30, 1)
    judgement = detector.judge(x)
    worst = judgement.most_anomalous(3)
    assert np.array_equal(worst, np.argsort(-judgement.scores, kind="stable")[:3])
    explanation = judgement.explain(worst)
    assert np.array_equal(explanation.scores, judgement.scores[worst])
    np.testing.assert_allclose(explanation.shares.sum(1), judgement.scores[worst], rtol=1e-9)
    mask = np.isin(np.arange(len(x)), worst)
    np.testing.assert_allclose(judgement.explain(mask).shares, judgement.explain(np.sort(worst)).shares)
    seen = judgement.reconstructed(worst)
    np.testing.assert_allclose(
        seen.values, detector.trained_.spec.to_model(torch.tensor(x[worst])), 1e-5
    )


def test_rows_whose_reconstructions_were_not_kept_go_through_the_model_again(detector, embedded):
    examples = detector._examples(rows(30, 1))
    whole = ScoredRows.from_pass(detector._learned, "combined", examples)
    few = ScoredRows.from_pass(detector._learned, "combined", examples, keep=4)
    assert len(few.seen) == 4
    assert seen_once(embedded, 60)
    embedded.clear()
    assert len(few.explain(few.kept[:2]).scores) == 2
    assert not embedded
    shares = few.explain().shares
    assert seen_once(embedded, 30)
    assert np.array_equal(shares, whole.explain().shares)


@pytest.fixture(scope="module")
def judged():
    return AnomalyDetector(random_state=0, **QUICK).fit(rows(N)).judge(rows(N))


def test_no_rows_are_explained_by_nothing(judged):
    for none in ([], np.zeros(N, bool)):
        found = judged.explain(none)
        assert found.shares.shape == (0, 4)
        assert found.scores.shape == (0,)


@pytest.mark.parametrize("wrong", [[True, False], [1.0, 2.7], [N], [-N - 1], ["a"]])
def test_rows_that_are_none_are_refused(judged, wrong):
    with pytest.raises(OptionError, match="row"):
        judged.explain(wrong)


def test_one_number_and_numbers_from_the_end_are_rows(judged):
    np.testing.assert_array_equal(judged.explain(-1).shares, judged.explain([N - 1]).shares)
