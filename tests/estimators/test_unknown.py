"""Categories that training did not see: taken, told, surprising, or refused."""

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import GridSearchCV, cross_val_score

from autoencode import AnomalyDetector, Autoencoder, Denoiser, load
from autoencode.anomaly import SCORES
from autoencode.anomaly.reconstructed import unseen_of
from autoencode.data import prepare
from autoencode.errors import DataError, OptionError
from autoencode.types import UNSEEN

RNG = np.random.default_rng(3)
N = 300
KINDS = RNG.choice(["tcp", "udp", "icmp"], N)
FRAME = pd.DataFrame(
    {
        "proto": KINDS,
        "bytes": RNG.lognormal(3, 0.5, N) * np.where(KINDS == "tcp", 5, 1),
        "load": RNG.normal(size=N),
    }
)
NEW = FRAME.iloc[:5].assign(proto=["gre", *KINDS[1:5]])


@pytest.fixture(scope="module")
def detector():
    return AnomalyDetector(random_state=0, epochs=2).fit(FRAME)


def test_a_detector_flags_a_new_category_and_says_which(detector, caplog):
    caplog.clear()
    assert detector.predict(NEW)[0] == -1
    assert [record.name for record in caplog.records] == ["autoencode.values"]
    assert "('gre', first at row 0)" in caplog.records[0].getMessage()
    others = detector.score_samples(FRAME.iloc[:5])[1:]
    np.testing.assert_array_equal(detector.score_samples(NEW)[1:], others)
    explanation = detector.explain(NEW)
    assert explanation.top(0, 1)[0][0] == "proto"
    assert explanation.never_seen(0) == {"proto": "gre"}
    assert explanation.never_seen(1) == {}
    assert explanation.first(1).never_seen(0) == {"proto": "gre"}


@pytest.mark.parametrize("measure", [name for name in SCORES if name != "latent"])
def test_a_new_category_raises_every_score_of_values_and_its_shares_sum_to_it(detector, measure):
    scores = [detector.anomaly_scores(x)[measure] for x in (NEW, FRAME.iloc[:5])]
    assert scores[0][0] > scores[1].max()
    asked = detector.set_params(measure=measure)
    try:
        explanation = asked.explain(NEW)
    finally:
        detector.set_params(measure="combined")
    np.testing.assert_allclose(explanation.shares.sum(1), explanation.scores, rtol=1e-6)
    assert explanation.shares[0].argmax() == 0


def test_a_new_word_among_words_that_mostly_come_once_is_nothing_new():
    names = [*(f"once {i}" for i in range(100)), *(f"n{i % 40}" for i in range(N - 100))]
    examples, spec, _ = prepare(FRAME.assign(name=names))
    (nats,) = unseen_of(spec, np.full((1, 4), UNSEEN))
    assert nats.round(6).tolist() == [round(np.log(N + 1), 6), 0, 0, round(np.log((N + 1) / 101), 6)]
    assert not unseen_of(spec, examples.x).any()


def test_left_empty_is_another_thing_than_a_new_category():
    frame = FRAME.copy()
    frame.loc[::7, "proto"] = None
    # A start at PCA may be what is kept, and has no weights for gaps yet.
    model = Autoencoder("mlp", 2, epochs=1, random_state=0, options={"shortcut": "none"}).fit(frame)
    new = pd.DataFrame({"proto": ["gre", None, "tcp"], "bytes": 30.0, "load": 0.0})
    codes = model.transform(new)
    assert len(np.unique(codes.round(6), axis=0)) == 3
    filled = model.impute(new)["proto"]
    assert filled[0] == "gre"  # what is known stays as it is
    assert filled[1] in set(KINDS)
    assert set(model.reconstruct(new)["proto"]) <= set(KINDS)
    scores = model.score_samples(new)
    assert scores[0] < scores[2]


@pytest.mark.parametrize(
    ("kind", "takes"), [(Autoencoder, "ignore"), (Denoiser, "ignore"), (AnomalyDetector, "flag")]
)
def test_error_refuses_also_after_fit_and_in_a_saved_estimator(kind, takes, tmp_path):
    options = {"corruption": "missing"} if kind is Denoiser else {}
    model = kind(epochs=1, random_state=0, **options).fit(FRAME)
    use = model.predict if kind is AnomalyDetector else model.transform
    assert len(use(NEW)) == len(NEW)
    model.set_params(handle_unknown="error")
    with pytest.raises(DataError, match=r"'gre' \(first at row 0\) was never seen"):
        use(NEW)
    model.save(tmp_path / "kept")
    again = load(tmp_path / "kept")
    with pytest.raises(DataError, match="never seen"):
        (again.predict if kind is AnomalyDetector else again.transform)(NEW)
    again.set_params(handle_unknown=takes)
    assert len((again.predict if kind is AnomalyDetector else again.transform)(NEW)) == len(NEW)
    with pytest.raises(OptionError, match=f"must be '{takes}' or 'error', got 'drop'"):
        kind(handle_unknown="drop", epochs=1, **options).fit(FRAME)


def test_folds_may_lack_a_category(caplog):
    frame = FRAME.iloc[:60].copy()
    frame.loc[59, "proto"] = "gre"
    frame = frame.reset_index(drop=True)
    model = Autoencoder("mlp", 2, epochs=1, random_state=0)
    assert np.isfinite(cross_val_score(model, frame, cv=3)).all()
    found = GridSearchCV(model, {"n_components": [1, 2]}, cv=3).fit(frame)
    assert np.isfinite(found.cv_results_["mean_test_score"]).all()
    assert any("'gre'" in record.getMessage() for record in caplog.records)


def test_a_new_category_in_a_part_or_a_warm_start_stops_no_training():
    model = Autoencoder("mlp", 2, epochs=1, random_state=0).fit(FRAME)
    model.partial_fit(NEW.assign(load=0.1))
    assert np.isfinite(model.transform(NEW)).all()
    warm = Autoencoder("mlp", 2, epochs=1, random_state=0, warm_start=True).fit(FRAME).fit(NEW)
    assert np.isfinite(warm.transform(NEW)).all()


def test_words_come_back_where_a_column_has_very_many(tmp_path):
    jobs = [f"job {i // 3:03d}" for i in range(N)]
    frame = FRAME.assign(job=jobs)
    model = Autoencoder("vae", 2, epochs=1, random_state=0, max_categories=50).fit(frame)
    assert model.trained_.spec.columns[-1].n_states <= 50
    assert any("'job' has 100 different words" in line for line in model.trained_.info["notices"])
    drawn = model.sample(200, seed=1)["job"]
    assert set(drawn) <= set(jobs)
    assert drawn.nunique() > 50  # all words of a stretch, not its commonest alone
    assert set(model.reconstruct(frame)["job"]) <= set(jobs)
    model.save(tmp_path / "kept")
    again = load(tmp_path / "kept")
    np.testing.assert_array_equal(again.transform(frame), model.transform(frame))
    pd.testing.assert_frame_equal(again.sample(20, seed=1), model.sample(20, seed=1))
    assert again.max_categories == 50
    detector = AnomalyDetector(random_state=0, epochs=1, max_categories=50).fit(frame)
    assert np.isfinite(detector.score_samples(frame)).all()
