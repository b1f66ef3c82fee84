"""Values outside of the range that pixels had in training."""

import numpy as np
import pytest

from autoencode import AnomalyDetector, Autoencoder
from autoencode.data import apply_spec, open_examples
from autoencode.errors import DataError
from autoencode.types import DataSpec

UNIT = DataSpec((5,), "unit")
PIXELS = DataSpec((1, 4, 4), "unit", scale=(255.0,))
RNG = np.random.default_rng(0)


def taken(x, spec=UNIT):
    told = []
    return apply_spec(x, spec, tell=told.append), told


@pytest.mark.parametrize("value", [1 + 1e-7, 1.001, 1.05, 1.9, 40.0, -0.3])
def test_one_value_outside_is_taken_as_the_nearest_within_and_told_in_one_line(value):
    x = RNG.random((4, 5))
    x[2, 1] = value
    found, told = taken(x)
    np.testing.assert_allclose(np.delete(found.ravel(), 11), np.delete(x.ravel(), 11), rtol=1e-6)
    assert found[2, 1] == min(max(value, 0), 1)
    if value < 1.001 and value > 0:  # as rounding leaves it
        assert not told
    else:
        assert len(told) == 1
        assert told[0].startswith("data: 1 value lies outside 0..1")
        assert f"{value:g} at row 2, column 1" in told[0]


def test_values_are_counted_and_the_farthest_is_named():
    x = np.full((3, 5), 0.5)
    x[0, 0], x[1, 3], x[2, 4] = 1.1, -0.7, 1.3
    assert taken(x)[1][0].startswith("data: 3 values lie outside 0..1")
    assert "-0.7 at row 1, column 3" in taken(x)[1][0]


@pytest.mark.parametrize(
    ("x", "spec"),
    [
        (RNG.integers(0, 256, (6, 5)), UNIT),
        (RNG.random((6, 1, 4, 4)) * 65535, PIXELS),
        (RNG.normal(size=(6, 5)) * 20 - 60, UNIT),
        (np.full((1, 5), 200.0), UNIT),
    ],
)
def test_another_unit_is_refused(x, spec):
    with pytest.raises(DataError, match="bring them to its unit"):
        taken(x, spec)


def test_fractions_for_a_model_of_bytes_are_refused():
    with pytest.raises(DataError, match="multiply them by 255"):
        taken(RNG.random((3, 1, 4, 4)), PIXELS)


def test_infinite_values_are_refused():
    x = np.full((3, 5), 0.5)
    x[1, 1] = np.inf
    with pytest.raises(DataError, match="infinite"):
        taken(x)


def test_streamed_examples_are_taken_and_told_once(tmp_path, caplog):
    x = RNG.random((40, 5)).astype(np.float32)
    x[3, 0] = x[30, 0] = 1.5
    np.save(tmp_path / "x.npy", x)
    opened = open_examples(tmp_path / "x.npy", UNIT)
    assert opened.read(0, 20).max() <= 1
    assert opened.read(20, 40).max() <= 1
    assert len(caplog.records) == 1
    assert caplog.records[0].name == "autoencode.values"


def test_every_use_of_a_model_takes_a_value_outside(caplog):
    x = RNG.random((60, 8, 8)).astype(np.float32)
    model = Autoencoder("vae", 2, epochs=1, random_state=0).fit(x)
    new = x[:4].copy()
    new[1, 2, 3] = 1.05
    near = new.clip(0, 1)
    for use in (model.transform, model.reconstruct, model.score_samples):
        caplog.clear()
        np.testing.assert_array_equal(use(new), use(near))
        assert len(caplog.records) == 1  # for the call with the value


def test_a_detector_counts_the_whole_distance_of_a_pixel_outside():
    x = RNG.random((60, 8, 8)).astype(np.float32)
    detector = AnomalyDetector("mlp", epochs=1, random_state=0).fit(x)
    one, two = (np.where(np.arange(64).reshape(8, 8) == 9, value, x[:1]) for value in (1.5, 3.0))
    scores = [detector.anomaly_scores(row)["reconstruction"][0] for row in (x[:1], one, two)]
    assert scores[0] < scores[1] < scores[2]
