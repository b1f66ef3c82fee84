"""What values mean: a picture is said by layout and type, and units of a table do not matter."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from autoencode import Autoencoder
from autoencode.data import load_data, load_examples, prepare
from autoencode.data.values.apply_spec import apply_spec
from autoencode.data.values.pictures import picture_shape
from autoencode.errors import DataError
from autoencode.types import DataSpec

RNG = np.random.default_rng(0)


def blobs(n, height, width, rng=RNG):
    """Bright spots on black, (n, height, width) in [0, 1]."""
    y, x = np.mgrid[:height, :width]
    there = rng.uniform(0.2, 0.8, (2, n, 1, 1)) * np.reshape([height, width], (2, 1, 1, 1))
    far = (y - there[0]) ** 2 + (x - there[1]) ** 2
    return np.exp(-far / (0.02 * height * width))


def scaled(x):
    """Columns to [0, 1], as MinMaxScaler does."""
    return (x - x.min(0)) / (x.max(0) - x.min(0))


def factors(n, width, k=3, rng=RNG):
    return rng.normal(size=(n, k)) @ rng.normal(size=(k, width)) + 0.1 * rng.normal(size=(n, width))


PICTURES = blobs(60, 16, 16).reshape(60, 256)
LEVELS = np.rint(255 * PICTURES)
TABLE = scaled(factors(60, 256))


@pytest.mark.parametrize(
    ("x", "dtype", "kind", "scale"),
    [
        (PICTURES, np.float32, "unit", 1),
        (PICTURES > 0.5, np.uint8, "unit", 1),
        ((PICTURES > 0.5).astype(np.uint8), np.uint8, "unit", 1),
        ((PICTURES > 0.5) * 1.0, np.float32, "unit", 1),
        (LEVELS, np.uint8, "unit", 255),
        (LEVELS.astype(np.uint8), np.uint8, "unit", 255),
        (LEVELS.astype(np.int64), np.uint8, "unit", 255),
        (0.99 * LEVELS, np.float64, "real", None),
        (0.1 + 0.4 * PICTURES, np.float64, "real", None),
        (LEVELS // 16, np.float64, "real", None),
        (PICTURES * 1.01, np.float64, "real", None),
        (TABLE, np.float64, "real", None),
        (np.rint(255 * TABLE), np.float64, "real", None),
        (np.rint(255 * TABLE).astype(np.uint8), np.uint8, "real", None),
        (TABLE[:, :9], np.float64, "real", None),
        (TABLE[:, :9].astype(np.float32), np.float32, "real", None),
        ((TABLE[:, :9] > 0.5).astype(int), np.float64, "real", None),
        ((TABLE[:, :9] > 0.5).astype(np.uint8), np.uint8, "real", None),
        (TABLE > 0.5, np.uint8, "unit", 1),
    ],
)
def test_rows_are_measurements_unless_they_are_pictures(x, dtype, kind, scale):
    examples, spec, notices = prepare(x)
    assert (examples.x.dtype, spec.kind) == (dtype, kind)
    guessed = kind == "unit" and x.dtype != bool
    assert guessed == any("taken as flattened pictures of 16 x 16" in text for text in notices)
    if scale is not None:
        assert (spec.offset, spec.scale) == ((0.0,), (scale,))
        return
    seen = spec.to_model(torch.from_numpy(examples.x)).double()
    torch.testing.assert_close(seen.mean(0), torch.zeros(x.shape[1]).double(), atol=1e-4, rtol=0)
    varies = x.std(0) > 0
    torch.testing.assert_close(
        seen.std(0, correction=0).numpy()[varies], np.ones(varies.sum()), atol=1e-4, rtol=0
    )


def tables(n, width):
    """Tables of as many columns as pictures have pixels, of kinds that could be mistaken for them."""
    side = int(width**0.5)
    rng = np.random.default_rng(width)
    steps, noise = np.arange(width), rng.normal(size=(n, width))
    walk = np.cumsum(rng.normal(size=20 * n + width))
    shares = np.sort(rng.beta(0.3, 3, width))
    near = np.exp(-abs(np.subtract.outer(steps, steps)) / 4)
    phase = rng.uniform(0, 6, (n, 1))
    return {
        "factors": factors(n, width, rng=rng),
        "one factor": factors(n, width, 1, rng),
        "noise": noise,
        "one of many": np.eye(width)[rng.permutation(width)[:n]],
        "words by frequency": rng.random((n, width)) < shares,
        "windows": np.lib.stride_tricks.sliding_window_view(walk, width)[: 20 * n : 20],
        "random walks": np.cumsum(noise, axis=1),
        "slow waves": np.sin(steps / width * 9 + phase),
        "the period of a line": np.sin(2 * np.pi * steps / side + phase) + 0.3 * noise,
        "neighbours in order": noise @ np.linalg.cholesky(near).T,
        "blocks": np.repeat(rng.normal(size=(n, side)), side, 1) + 0.2 * noise,
        "tiles": np.tile(rng.normal(size=(n, side)), (1, side)) + 0.2 * noise,
        "pictures in disorder": blobs(n, side, side).reshape(n, -1)[:, rng.permutation(width)],
    }


@pytest.mark.parametrize("width", [144, 256, 784])
@pytest.mark.parametrize("name", tables(2, 144))
def test_tables_as_wide_as_pictures_are_none(name, width):
    for n in (5, 40):
        x = tables(n, width)[name] * 1.0
        assert picture_shape(x) is None
        span = np.ptp(x, axis=0)
        x = (x - x.min(0)) / np.where(span, span, 1)
        assert prepare(x)[1].kind == "real"


@pytest.mark.parametrize(
    ("found", "lie"),
    [
        ((20, 14), lambda x: x[:, 0]),
        ((3, 20, 14), lambda x: x),
        ((20, 14, 3), lambda x: np.moveaxis(x, 1, -1)),
    ],
)
def test_pictures_of_any_side_and_order_of_colours_are_found(found, lie):
    x = blobs(20, 20, 14)[:, None] * RNG.uniform(0.2, 1, (20, 3, 1, 1))
    rows = lie(x).reshape(20, -1)
    assert picture_shape(rows) == found
    gone = np.where(RNG.random(rows.shape) < 0.3, np.nan, rows)
    assert picture_shape(gone) == found
    assert picture_shape(rows[:, RNG.permutation(rows.shape[1])]) is None


def test_small_pictures_are_not_told_from_tables():
    assert picture_shape(blobs(50, 11, 11).reshape(50, -1)) is None
    assert picture_shape(np.full((5, 256), 7.0)) is None


@pytest.mark.parametrize("x", [PICTURES, LEVELS.astype(np.uint8)])
def test_a_layout_says_what_rows_are(x):
    examples, spec, notices = prepare(x, layout="row")
    assert (spec.kind, spec.layout, len(spec.scale)) == ("real", "row", 256)
    assert not any("pictures" in text for text in notices)
    examples, spec, notices = prepare(x, layout="image")
    assert (spec.kind, spec.shape, spec.given_shape) == ("unit", (1, 16, 16), (256,))
    np.testing.assert_array_equal(examples.x.reshape(60, 256), x.astype(examples.x.dtype))
    np.testing.assert_array_equal(apply_spec(x[:3], spec), examples.x[:3])
    colours = prepare(np.tile(x, 3), layout="image")[1]
    assert colours.shape == (3, 16, 16)


def test_images_made_of_rows_come_back_as_rows():
    ae = Autoencoder("conv", 4, layout="image", epochs=1, random_state=0).fit(PICTURES)
    assert ae.reconstruct(PICTURES[:5]).shape == (5, 256)
    assert ae.inverse_transform(ae.transform(PICTURES[:5])).shape == (5, 256)


@pytest.mark.parametrize(
    "x", [PICTURES, LEVELS.astype(np.uint8), TABLE, (TABLE > 0.5).astype(np.uint8)]
)
def test_a_store_and_a_table_are_read_as_the_array_is(x, tmp_path):
    wanted = prepare(x)[1]
    np.save(tmp_path / "x.npy", x)
    head = ",".join(f"pixel{i}" for i in range(x.shape[1]))
    np.savetxt(tmp_path / "x.csv", x, delimiter=",", header=head, comments="")
    for file, more in (("x.npy", {"stream": True}), ("x.npy", {"stream": False}), ("x.csv", {})):
        for layout, kind in ((None, wanted.kind), ("row", "real")):
            data = load_data(tmp_path / file, layout=layout, **more)
            assert (data.spec.kind, data.spec.layout) == (kind, "row")
            new = load_examples(tmp_path / file, data.spec)
            np.testing.assert_allclose(new.x, x.astype(np.float32), rtol=1e-6)


def test_values_in_0_to_1_stay_as_they_are_where_that_is_asked_for():
    x = scaled(factors(50, 6))
    for values, dtype in ((x, np.float32), ((x > 0.5).astype(np.uint8), np.uint8)):
        examples, spec, notices = prepare(values, standardize="unit")
        assert (spec.kind, spec.scale, examples.x.dtype, notices) == ("unit", (1.0,), dtype, ())
    _, spec, notices = prepare(x * 1.2, standardize="unit")
    assert (spec.kind, len(spec.scale)) == ("real", 6)
    assert "values lie outside 0..1" in notices[0]


@pytest.mark.parametrize("options", [{"likelihood": "bernoulli"}, {"binarize": True}])
def test_what_needs_values_in_0_to_1_is_given_them(options):
    x = scaled(factors(50, 6))
    ae = Autoencoder("vae", 2, epochs=1, random_state=0, options=options).fit(x)
    assert ae.trained_.spec.kind == "unit"
    again = Autoencoder("mlp", 2, epochs=1, random_state=0, options={"output": "sigmoid"}).fit(x)
    assert again.trained_.spec.kind == "unit"
    assert Autoencoder("vae", 2, epochs=1, random_state=0).fit(x).trained_.spec.kind == "real"


def test_rows_a_hair_outside_of_the_training_range_are_taken():
    x = RNG.random((100, 5))
    x[0], x[1] = 0, 1
    ae = Autoencoder("mlp", 2, epochs=1, random_state=0).fit(x)
    new = x[:3].copy()
    for value in (1 + 1e-7, 1.001, 1.05, 40.0, -3.0):
        new[2, 1] = value
        assert np.isfinite(ae.transform(new)).all()
    pixels = prepare(LEVELS)[1]
    told = []
    assert apply_spec(LEVELS * 1.1, pixels, tell=told.append).max() == 255
    assert len(told) == 1
    assert "outside 0..255" in told[0]
    with pytest.raises(DataError, match=r"lies outside 0\.\.255"):
        apply_spec(LEVELS * 255.0, pixels)


@settings(max_examples=60, deadline=None)
@given(
    units=st.lists(st.floats(-6, 6), min_size=4, max_size=4),
    offsets=st.lists(st.floats(-10, 10), min_size=4, max_size=4),
    gaps=st.booleans(),
    how=st.sampled_from(["columns", "robust"]),
    layout=st.sampled_from(["row", "sequence"]),
)
def test_a_model_sees_the_same_whatever_the_units_are(units, offsets, gaps, how, layout):
    """A column in other units, a*x + b with b of up to ten standard deviations, is the same column."""
    rng = np.random.default_rng(3)
    x = rng.gamma(2.0, size=(50, 4)) * [1, 1, 1, 1e-6] + [0, 3, -5, 1e-5]
    shape = (50, 4) if layout == "row" else (25, 2, 4)
    if gaps:
        x = np.where(rng.random(x.shape) < 0.1, np.nan, x)
    scale = 10.0 ** np.array(units)
    moved = scale * x + np.array(offsets) * scale * np.nanstd(x, axis=0)
    seen = []
    for values in (x, moved):
        given_values = values.reshape(shape)
        _, spec, notices = prepare(given_values, standardize=how, gaps=gaps, layout=layout)
        assert notices == ()
        raw = torch.from_numpy(apply_spec(given_values, spec))
        seen.append(spec.to_model(raw))
        back = spec.to_raw(seen[-1]).numpy().reshape(values.shape)
        error = np.nanmax(np.abs(back - values), axis=0) / np.nanstd(values, axis=0)
        assert error.max() < 1e-5
    torch.testing.assert_close(*seen, atol=1e-6, rtol=1e-6, equal_nan=True)
    one, other = (x.nan_to_num() for x in seen)
    assert (one != other).sum() <= 2  # the same to the last bit, so that they are learned alike


def test_columns_of_any_size_stand_side_by_side():
    """Variances of 1e-24 and 1e24, a constant, and a column that is constant but for one row."""
    x = np.c_[
        1e-12 * RNG.normal(size=200), 1e12 * RNG.normal(size=200), np.full(200, 0.1), np.zeros(200)
    ]
    x[7, 3] = 1e-9
    x[::2, 2] = 0.1 * 3 / 3  # another rounding
    examples, spec, notices = prepare(x)
    seen = spec.to_model(torch.from_numpy(examples.x)).double().numpy()
    np.testing.assert_allclose(seen.std(0), [1, 1, 0, 1], atol=1e-5)
    np.testing.assert_allclose(seen.mean(0), 0, atol=1e-5)
    assert notices == ("1 column is constant and not scaled",)


@pytest.mark.parametrize("recipe", ["mlp", "vae"])
def test_a_model_of_rates_is_that_of_the_factors_behind_them(recipe):
    x = factors(300, 10, rng=np.random.default_rng(1))
    errors = []
    for values in (x, 0.01 + 5e-4 * x, scaled(x)):
        ae = Autoencoder(recipe, 3, random_state=0, epochs=15).fit(values[:250])
        residual = (ae.reconstruct(values[250:]) - values[250:]) / values[:250].std(0)
        errors.append(float((residual**2).mean()))
    assert errors[1:] == pytest.approx([errors[0]] * 2, rel=0.05)
    assert errors[0] < 0.5


def test_a_model_from_before_keeps_its_reading(tmp_path):
    """A spec of rows in [0, 1] that are not scaled still stands in the files of such models."""
    ae = Autoencoder("mlp", 2, epochs=1, random_state=0, standardize="unit").fit(scaled(factors(50, 6)))
    ae.save(tmp_path)
    spec = json.loads((tmp_path / "config.json").read_text())["spec"]
    assert (spec["kind"], spec["scale"]) == ("unit", [1.0])
    assert DataSpec((6,), "unit").layout == "row"
