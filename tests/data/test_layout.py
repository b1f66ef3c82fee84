"""What the axes of examples are, told or guessed, and that it is said."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from autoencode.data import apply_spec, load_data, load_examples, open_examples, prepare
from autoencode.data.values.layouts import LAYOUTS, arrangement, in_shape
from autoencode.errors import DataError, OptionError
from autoencode.types import AXES, DataSpec, layout_of

RNG = np.random.default_rng(0)
SIDES = st.integers(1, 6)


def numbers(*shape):
    return RNG.normal(size=shape).astype(np.float32)


# What is given, and what models have: the ground truth of every reading that is told.
TOLD = [
    ("row", (7,), (7,)),
    ("row", (8, 5), (40,)),
    ("row", (8, 5, 3), (120,)),
    ("row", (2, 3, 4, 5), (120,)),
    ("image", (8, 5), (1, 8, 5)),
    ("image", (3, 8, 5), (3, 8, 5)),
    ("image", (8, 5, 3), (3, 8, 5)),
    ("sequence", (9,), (9, 1)),
    ("sequence", (9, 4), (9, 4)),
    ("sequence", (1, 9, 4), (9, 4)),
    ("volume", (6, 8, 5), (1, 6, 8, 5)),
    ("volume", (3, 6, 8, 5), (3, 6, 8, 5)),
    ("volume", (6, 8, 5, 4), (4, 6, 8, 5)),
]


@pytest.mark.parametrize(("layout", "shape", "wanted"), TOLD)
def test_a_layout_that_is_told_decides_the_shape(layout, shape, wanted):
    examples, spec, _ = prepare(numbers(12, *shape), layout=layout)
    assert (spec.layout, spec.shape) == (layout, wanted)
    assert examples.bounded().x.shape == (12, *wanted)
    assert spec.given_shape == (shape if shape != wanted else ())


@pytest.mark.parametrize(("layout", "shape", "wanted"), TOLD)
def test_a_store_is_read_as_an_array_in_memory_is(layout, shape, wanted, tmp_path):
    x = numbers(40, *shape)
    np.save(tmp_path / "x.npy", x)
    data = load_data(tmp_path / "x.npy", layout=layout, stream=True)
    test = data.test.x
    left = [row for row in apply_spec(x, data.spec) if not any((row == t).all() for t in test)]
    examples, spec, _ = prepare(np.stack(left).reshape(-1, *wanted), layout=layout)
    assert data.spec.shape == spec.shape == wanted
    assert data.spec.layout == layout
    np.testing.assert_array_equal(data.train.bounded().x, examples.x)
    np.testing.assert_allclose(data.spec.scale, spec.scale, rtol=1e-6)
    np.testing.assert_allclose(data.spec.offset, spec.offset, atol=1e-6)
    stored = open_examples(tmp_path / "x.npy", data.spec)
    loaded = load_examples(x, data.spec)
    np.testing.assert_array_equal(stored.read(0, 40), loaded.x)


@settings(max_examples=150, deadline=None)
@given(shape=st.lists(SIDES, min_size=1, max_size=5).map(tuple), layout=st.sampled_from(LAYOUTS))
def test_what_went_in_comes_back_in_its_shape(shape, layout):
    x = np.arange(3 * math.prod(shape), dtype=np.float32).reshape(3, *shape)
    axes = {"row": range(1, 6), "image": (2, 3), "sequence": (1, 2), "volume": (3, 4)}[layout]
    lines = layout == "sequence" and len(shape) == 3 and shape[0] == 1
    if len(shape) not in axes and not lines:
        with pytest.raises(DataError, match=rf"layout='{layout}' takes arrays of shape \(N, [^\n]+\Z"):
            arrangement(shape, layout)
        return
    found = arrangement(shape, layout)
    moved = found(x)
    assert (moved.shape[1:], layout_of(moved.shape[1:])) == (found.shape, layout)
    np.testing.assert_array_equal(in_shape(moved, x.shape), x)
    # A model that is told only the result reads the same array the same way.
    spec = DataSpec(found.shape, "real", given_shape=found.given_shape)
    np.testing.assert_array_equal(apply_spec(x, spec), moved)


@pytest.mark.parametrize(
    ("layout", "shape"),
    [
        ("image", (63,)),
        ("image", (2, 3, 4, 5)),
        ("sequence", (3, 8, 8)),
        ("sequence", (2, 3, 4, 5)),
        ("volume", (64,)),
        ("volume", (8, 8)),
    ],
)
def test_a_layout_that_the_array_does_not_have_is_refused(layout, shape, tmp_path):
    x = numbers(20, *shape)
    np.save(tmp_path / "x.npy", x)
    for source, more in ((x, {}), (tmp_path / "x.npy", {"stream": True})):
        with pytest.raises(DataError, match=f"layout='{layout}' takes arrays of shape .N, ") as caught:
            load_data(source, layout=layout, **more)
        assert f"this one is (N, {', '.join(map(str, shape))})" in str(caught.value)


def test_an_unknown_layout_is_refused_with_the_nearest():
    for read in (load_data, prepare):
        with pytest.raises(OptionError, match=r"unknown layout 'sequense'.*sequence"):
            read(numbers(20, 8, 8), layout="sequense")
    with pytest.raises(OptionError, match="made already"):
        load_data(load_data("digits"), layout="row")
    assert load_data(load_data("digits"), layout="image").spec.layout == "image"


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ((8, 6), "taken for 18 grey images of 8 x 6 (3-D array); layout='sequence' reads 8 steps of 6"),
        ((16, 8, 6), "taken for 18 images of 16 channels of 8 x 6 (4-D array); layout='volume' reads"),
        (
            (5, 8, 6, 3),
            "taken for 18 volumes of 5 channels (5-D array); layout='volume' takes the last",
        ),
        ((8,), None),
        ((3, 8, 6), None),
        ((3, 5, 8, 6), None),
    ],
)
def test_a_guess_is_said_where_another_reading_was_possible(shape, said, tmp_path):
    x = numbers(20, *shape)
    np.save(tmp_path / "x.npy", x)
    for source, stream in ((x, None), (tmp_path / "x.npy", True)):
        taken = [text for text in load_data(source, stream=stream).notices if "taken for" in text]
        assert [text.startswith(said) for text in taken] == ([True] if said else [])
    for layout in LAYOUTS:  # what is told is no guess
        try:
            _, _, notices = prepare(x, layout=layout)
        except DataError:
            continue
        assert not any("taken for" in text for text in notices)


def test_known_sets_of_images_can_be_read_otherwise():
    images = load_data("digits")
    assert not any("taken for" in text for text in images.notices)
    rows, sequences = (load_data("digits", layout=name) for name in ("row", "sequence"))
    assert (rows.spec.shape, sequences.spec.shape) == ((64,), (8, 8))
    assert rows.spec.scale == sequences.spec.scale == images.spec.scale
    np.testing.assert_array_equal(rows.train.x, images.train.x.reshape(-1, 64))
    np.testing.assert_array_equal(sequences.train.x, images.train.x[:, 0])


def test_images_of_a_folder_can_be_rows_or_lines(tmp_path):
    for i in range(12):
        path = tmp_path / f"photos/{i:02}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(RNG.integers(0, 256, (6, 5), np.uint8)).save(path)
    (tmp_path / "more").mkdir()
    Image.fromarray(RNG.integers(0, 256, (20, 30), np.uint8)).save(tmp_path / "more/a.png")
    whole = load_data(tmp_path / "photos", data_dir=tmp_path)
    assert not any("taken for" in text for text in whole.notices)
    for layout, shape in (("row", (30,)), ("sequence", (6, 5))):
        for stream in (False, True):
            data = load_data(tmp_path / "photos", data_dir=tmp_path, layout=layout, stream=stream)
            assert (data.spec.shape, data.spec.given_shape) == (shape, (1, 6, 5))
            if not stream:
                back = in_shape(data.train.x, (len(data.train), 1, 6, 5))
                np.testing.assert_array_equal(back, whole.train.x)
            # New images are brought to the size of those that were learned from.
            new = load_examples(tmp_path / "more", data.spec, data_dir=tmp_path)
            assert new.x.shape == (1, *shape)


def test_each_feature_of_sequences_is_scaled_by_itself():
    x = numbers(200, 7, 3) * [1.0, 50.0, 0.0] + [0.0, 1000.0, 3.3]
    _, spec, _ = prepare(x, layout="sequence")
    mean, spread = x.mean((0, 1)), x.std((0, 1))
    np.testing.assert_allclose(np.reshape(spec.offset, (7, 3)), np.tile(mean, (7, 1)), rtol=1e-5)
    np.testing.assert_allclose(np.reshape(spec.scale, (7, 3))[:, :2], np.tile(spread[:2], (7, 1)), 1e-5)
    assert set(np.reshape(spec.scale, (7, 3))[:, 2]) == {1.0}  # a constant
    _, robust, _ = prepare(np.where(np.arange(200)[:, None, None] < 3, 1e6, x), layout="sequence")
    far, near = np.reshape(robust.scale, (7, 3))[0], np.reshape(spec.scale, (7, 3))[0]
    assert far[0] > 1000 * near[0]
    spoilt = np.where(np.arange(200)[:, None, None] < 3, 1e6, x)
    _, robust, _ = prepare(spoilt, layout="sequence", standardize="robust")
    np.testing.assert_allclose(np.reshape(robust.scale, (7, 3))[0, :2], near[:2], rtol=0.15)


def test_sequences_are_measurements_and_never_pixels():
    whole = RNG.integers(0, 200, (30, 8, 8))
    for values in (whole, whole.astype(np.uint8), whole.astype(np.float32)):
        assert prepare(values)[1].kind == "unit"
        examples, spec, _ = prepare(values, layout="sequence")
        exact = np.float64 if values.dtype == np.int64 else np.float32
        assert (spec.kind, examples.x.dtype) == ("real", exact)
    for values in (whole / 255, whole % 2, (whole % 2).astype(np.uint8)):
        assert prepare(values, layout="sequence")[1].kind == "real"
    assert prepare(whole / 255, layout="sequence", standardize="unit")[1].kind == "unit"
    assert prepare(whole > 99, layout="sequence")[1].kind == "unit"  # bool says it


def test_columns_of_numbers_can_be_steps_and_words_cannot(tmp_path):
    x = numbers(30, 5)
    lines = [",".join(f"t{i}" for i in range(5)), *(",".join(map(str, row)) for row in x.tolist())]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    data = load_data(tmp_path / "t.csv", layout="sequence")
    assert (data.spec.shape, data.spec.given_shape, data.spec.columns) == ((5, 1), (5,), ())
    again = load_examples(tmp_path / "t.csv", data.spec)
    np.testing.assert_allclose(again.x[:, :, 0], x, rtol=1e-6)
    assert load_data(tmp_path / "t.csv", layout="row").spec.columns
    (tmp_path / "w.csv").write_text("a,b\n" + "\n".join(f"{i},{'xy'[i % 2]}" for i in range(20)))
    with pytest.raises(DataError, match="plain numbers, and b is of the kind"):
        load_data(tmp_path / "w.csv", layout="sequence")


def test_a_shape_tells_its_layout():
    for layout, axes in AXES.items():
        shape = tuple(range(2, 2 + len(axes)))
        assert DataSpec(shape).layout == DataSpec(shape, layout=layout).layout == layout
        for other in set(LAYOUTS) - {layout}:
            with pytest.raises(DataError, match=f"has the axes of a {layout}.*'{other}'"):
                DataSpec(shape, layout=other)
    assert DataSpec((1, 2, 3)) == DataSpec((1, 2, 3), layout="image")
