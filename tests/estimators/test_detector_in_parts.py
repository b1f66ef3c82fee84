"""Anomaly detectors that learn in parts, and that go on from what they know."""

import pickle

import numpy as np
import pandas as pd
import pytest

from autoencode import AnomalyDetector, load
from autoencode.data.reservoir import Reservoir
from autoencode.errors import DataError, InputError, OptionError
from autoencode.estimators import parts as parts_module

RNG = np.random.default_rng(5)
X = RNG.normal(size=(300, 2)) @ RNG.normal(size=(2, 6)) + 0.1 * RNG.normal(size=(300, 6))
ODD = 3 * RNG.normal(size=(20, 6))
FAST = {"random_state": 0, "options": {"min_steps": 20}}


def detector(**more) -> AnomalyDetector:
    return AnomalyDetector(**(FAST | more))


def in_parts(x, n=4, **more) -> AnomalyDetector:
    found = detector(**more)
    for part in np.array_split(x, n):
        found.partial_fit(part)
    return found


def test_a_reservoir_holds_all_that_came_until_it_is_full():
    memory = Reservoir(10)
    memory.add(np.arange(6)[:, None])
    memory.add(np.arange(6, 10)[:, None])
    np.testing.assert_array_equal(memory.rows[:, 0], np.arange(10))


def test_every_row_is_kept_as_often_whatever_the_parts():
    counts = np.zeros(40)
    for seed in range(600):
        memory = Reservoir(10, seed)
        for part in np.split(np.arange(40), [1, 3, 25]):
            memory.add(part[:, None])
        assert len(memory.rows) == 10
        assert memory.seen == 40
        counts[memory.rows[:, 0]] += 1
    # 600 draws of a quarter: 150, with a standard deviation of 10.6.
    assert (abs(counts - 150) < 5 * 10.6).all()


@pytest.mark.parametrize("n", [1, 5])
def test_parts_give_what_fit_gives(n):
    x = np.concatenate([X, ODD[:10]]).astype(np.float32)
    whole, found = detector().fit(x), in_parts(x, n)
    np.testing.assert_allclose(found.score_samples(ODD), whole.score_samples(ODD), rtol=1e-6)
    np.testing.assert_allclose(found.pvalues(ODD), whole.pvalues(ODD))
    np.testing.assert_array_equal(found.predict(x), whole.predict(x))
    np.testing.assert_allclose(found.explain(ODD).shares, whole.explain(ODD).shares, rtol=1e-5)
    assert found.offset_ == pytest.approx(whole.offset_)


def test_nothing_is_trained_until_it_is_asked_for(monkeypatch):
    found = in_parts(X)
    calls = []
    learn = AnomalyDetector._learn
    monkeypatch.setattr(AnomalyDetector, "_learn", lambda *a: calls.append(1) or learn(*a))
    found.partial_fit(X[:5])
    assert not calls
    assert found.n_features_in_ == 6
    assert np.isfinite(found.offset_)
    found.predict(X[:5])
    assert len(calls) == 1


def test_when_it_is_asked_for_changes_nothing():
    asked = detector()
    for part in np.array_split(X, 4):
        asked.partial_fit(part).predict(part)
    np.testing.assert_array_equal(asked.score_samples(ODD), in_parts(X).score_samples(ODD))


def test_parts_add_to_the_rows_of_fit(tmp_path):
    added = detector().fit(X[:200]).partial_fit(X[200:])
    np.testing.assert_allclose(added.score_samples(ODD), in_parts(X).score_samples(ODD), rtol=1e-5)
    detector().fit(X[:200]).save(tmp_path)
    loaded = load(tmp_path).partial_fit(X[200:])
    np.testing.assert_array_equal(loaded.score_samples(ODD), added.score_samples(ODD))
    np.testing.assert_array_equal(detector().fit(X).predict(X), added.fit(X).predict(X))


def test_the_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(parts_module, "ROOM", 120)
    found = in_parts(X)
    assert found._rows.train.shape == (120, 6)
    assert (found.predict(ODD) == -1).mean() > 0.9


def test_a_table_may_bring_new_categories_and_gaps():
    frame = pd.DataFrame({"a": X[:, 0], "n": RNG.poisson(3, 300), "c": ["x", "y", "z"] * 100})
    kinds = {"n": "count"}
    whole = detector(column_kinds=kinds).fit(frame)
    found = detector(column_kinds=kinds)
    order = frame.sort_values("c", kind="stable")
    for first in range(0, 300, 75):
        found.partial_fit(order.iloc[first : first + 75])
    assert {column.categories for column in found.trained_.spec.columns} == {(), ("x", "y", "z")}
    again = detector(column_kinds=kinds).fit(order)
    np.testing.assert_allclose(found.score_samples(frame), again.score_samples(frame), rtol=1e-4)
    assert whole.trained_.spec.columns == found.trained_.spec.columns
    found.partial_fit(pd.DataFrame({"a": [None, 1.0], "n": [1, 2], "c": ["x", None]}))
    assert np.isfinite(found.score_samples(frame.iloc[:3])).all()


def test_what_does_not_fit_is_refused_at_once():
    with pytest.raises(DataError, match="is expecting 6 features"):
        in_parts(X).partial_fit(X[:, :3])
    with pytest.raises(InputError, match="infinite"):
        in_parts(X).partial_fit(np.full((3, 6), np.inf))
    with pytest.raises(AttributeError):
        _ = detector().offset_
    known = detector().fit(X)
    bare = AnomalyDetector.from_trained(known.trained_, known._rows.train)
    with pytest.raises(OptionError, match="not known"):
        bare.partial_fit(X)


def test_a_pickle_remembers_the_parts():
    again = pickle.loads(pickle.dumps(in_parts(X[:200], 2))).partial_fit(X[200:])
    np.testing.assert_allclose(again.score_samples(ODD), in_parts(X).score_samples(ODD), rtol=1e-6)


def test_a_warm_start_goes_on_and_judges_by_the_new_rows():
    model = detector(warm_start=True).fit(X)
    weights = model.model_.encoder.state_dict()
    moved = 100 * X + 1000
    model.set_params(lr=1e-9).fit(moved)
    after = model.model_.encoder.state_dict()
    for name, value in weights.items():
        np.testing.assert_allclose(after[name], value, atol=1e-6)
    assert (model.predict(moved) == 1).mean() > 0.9
    assert (model.predict(100 * ODD + 1000) == -1).mean() > 0.9
    # The model that p-values come from must not know the rows that were held out.
    cold = detector(lr=1e-9).fit(moved)
    np.testing.assert_allclose(model.calibration_scores_.shape, cold.calibration_scores_.shape)
    judge = model._calibrated().judge.trained.recipe.model.encoder.state_dict()
    assert any(not np.allclose(judge[name], after[name]) for name in judge)
