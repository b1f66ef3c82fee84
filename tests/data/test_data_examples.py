"""What becomes of arrays: layout, range, standardisation, held-out rows, and refusals."""

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch.utils.data import Dataset, IterableDataset, TensorDataset

from autoencode.data import (
    Data,
    Examples,
    Factors,
    Resident,
    apply_spec,
    binarized_once,
    load_data,
    load_examples,
    prepare,
)
from autoencode.errors import DataError, InputError, OptionError
from autoencode.types import DataSpec

RNG = np.random.default_rng(0)
TABLE = RNG.normal([1, 100, -5], [1, 50, 0.1], (40, 3))
BYTES = RNG.integers(0, 256, (12, 8, 8), dtype=np.uint8)


class Items(Dataset):
    def __init__(self, items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def __getitem__(self, i):
        return self.items[i]


class Table(dict):
    """As much of a pandas table as is relied upon."""

    columns = property(lambda self: list(self))
    dtypes = property(lambda self: [np.asarray(column).dtype for column in self.values()])


def refusal(function, *args, **options):
    with pytest.raises(InputError) as caught:
        function(*args, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def seen_by_model(examples, spec):
    return spec.to_model(torch.from_numpy(examples.x))


# Layout


@pytest.mark.parametrize(
    ("given_shape", "shape"),
    [
        ((5, 7), (7,)),
        ((5, 9, 8), (1, 9, 8)),
        ((5, 3, 9, 8), (3, 9, 8)),
        ((5, 9, 8, 3), (3, 9, 8)),
        ((5, 9, 8, 1), (1, 9, 8)),
        ((5, 9, 8, 7), (9, 8, 7)),
        ((5, 3, 8, 3), (3, 8, 3)),
        ((5, 2, 2, 2, 2), (2, 2, 2, 2)),
    ],
)
def test_layout(given_shape, shape):
    x = RNG.normal(size=given_shape)
    examples, spec, notices = prepare(x)
    assert spec.shape == shape
    assert examples.x.shape == (5, *shape)
    assert examples.x.flags.c_contiguous
    moved = len(given_shape) == 4 and given_shape[1:] != shape
    assert moved == any("moved to the front" in notice for notice in notices)


def test_channels_last_keeps_every_pixel():
    x = RNG.integers(0, 256, (5, 9, 8, 3), dtype=np.uint8)
    np.testing.assert_array_equal(prepare(x)[0].x[:, 2], x[..., 2])


# Range


@pytest.mark.parametrize(
    ("x", "dtype", "kind", "scale"),
    [
        (BYTES, np.uint8, "unit", 255),
        (BYTES % 2, np.uint8, "unit", 1),
        (BYTES > 99, np.uint8, "unit", 1),
        (BYTES.reshape(12, 64), np.uint8, "real", None),
        (BYTES / 255, np.float32, "unit", 1),
        ((BYTES % 2).astype(int), np.float32, "unit", 1),
        (BYTES.astype(float), np.uint8, "unit", 255),
        (BYTES.astype(np.int64), np.uint8, "unit", 255),
        (BYTES % 17 * 1.0, np.uint8, "unit", 16),
        (BYTES.reshape(12, 64) * 1.0, np.float64, "real", None),
        (BYTES[:, :, 0] * 1.0, np.float64, "real", None),
        (BYTES.reshape(12, 64)[:, :63] * 1.0, np.float64, "real", None),
        (BYTES.reshape(12, 64) % 10 * 1.0, np.float64, "real", None),
        (BYTES * 0.99, np.float32, "unit", 255),
        (BYTES * 0.01, np.float32, "real", None),
        (BYTES * 2.0, np.float32, "real", None),
        (BYTES - 1.0, np.float32, "real", None),
    ],
)
def test_range(x, dtype, kind, scale):
    examples, spec, notices = prepare(x)
    assert examples.x.dtype == dtype
    assert spec.kind == kind
    if scale is not None:
        assert spec.scale == (scale,)
        assert spec.offset == (0.0,)
        assert seen_by_model(examples, spec).max() <= 1
    guessed = x.dtype not in (bool, np.uint8) and kind == "unit" and scale != 1
    assert guessed == any("taken as pixels" in notice for notice in notices)


def test_narrow_tables_of_bytes_are_tables_and_dim_byte_images_are_not_dark():
    assert prepare(BYTES[:, 0])[1].kind == "real"
    assert prepare(BYTES[:, None] % 17)[1].scale == (16.0,)


# Standardisation


def test_columns():
    examples, spec, notices = prepare(TABLE)
    assert notices == ()
    z = seen_by_model(examples, spec).double()
    torch.testing.assert_close(z.mean(0), torch.zeros(3).double(), atol=1e-5, rtol=0)
    torch.testing.assert_close(z.std(0, correction=0), torch.ones(3).double(), atol=1e-5, rtol=0)
    torch.testing.assert_close(spec.to_raw(z.float()), torch.from_numpy(examples.x).float())


def test_global_has_one_scale():
    examples, spec, _ = prepare(TABLE, standardize="global")
    assert len(spec.scale) == 1
    z = seen_by_model(examples, spec).double()
    torch.testing.assert_close(z.mean(0), torch.zeros(3).double(), atol=1e-5, rtol=0)
    assert z.square().mean() == pytest.approx(1, abs=1e-5)


def test_none_leaves_everything():
    examples, spec, _ = prepare(TABLE, standardize="none")
    np.testing.assert_array_equal(seen_by_model(examples, spec), TABLE.astype(np.float32))


def test_robust_is_median_and_interquartile_range():
    x = np.c_[TABLE, RNG.standard_cauchy(40)]
    examples, spec, notices = prepare(x, standardize="robust")
    assert notices == ()
    z = seen_by_model(examples, spec).double().numpy()
    low, middle, high = np.quantile(z, [0.25, 0.5, 0.75], axis=0)
    np.testing.assert_allclose(middle, 0, atol=1e-6)
    np.testing.assert_allclose(high - low, 1.34898, atol=1e-5)  # that of N(0, 1)
    raw = torch.from_numpy(examples.x).float()
    torch.testing.assert_close(spec.to_raw(torch.from_numpy(z).float()), raw)


def test_a_huge_outlier_does_not_move_the_robust_scale():
    x = RNG.normal(5.0, 2.0, (400, 3))
    before = prepare(x, standardize="robust")[1]
    x[7] = [1e30, -1e30, 1e9]
    after = prepare(x, standardize="robust")[1]
    np.testing.assert_allclose(after.offset, before.offset, atol=0.03)
    np.testing.assert_allclose(after.scale, before.scale, rtol=0.03)
    np.testing.assert_allclose(after.scale, 2.0, rtol=0.15)
    assert prepare(x)[1].scale[0] > 1e28  # what mean and variance make of it


@pytest.mark.parametrize(
    ("others", "scale"),
    [
        (160, 2 / 2.5631031),  # two fifths differ: the range between the tenths
        (60, 2 / 3.2897073),  # then that between the twentieths
        (20, 2 / 4.6526957),  # then that between the hundredths
        (2, 1.2533141 * 2 / 400),  # then the mean distance to the median
    ],
)
def test_a_column_of_mostly_one_value_has_a_wider_range(others, scale):
    column = np.zeros(400)
    column[:others] = np.resize([-1.0, 1.0], others)
    spec = prepare(np.c_[column, np.arange(400.0)], standardize="robust")[1]
    assert spec.offset[0] == 0
    assert spec.scale[0] == pytest.approx(scale)


def test_robust_scales_see_what_is_known_of_a_column():
    whole = RNG.normal(3.0, 2.0, (300, 2))
    x = np.concatenate([whole, np.full((100, 2), np.nan)])[RNG.permutation(400)]
    found = prepare(x, standardize="robust", gaps=True)[1]
    expected = prepare(whole, standardize="robust")[1]
    assert (found.offset, found.scale) == (expected.offset, expected.scale)


def test_images_share_one_robust_scale():
    x = RNG.normal(5, 3, (30, 1, 6, 6))
    x[0] = 1e6
    spec = prepare(x, standardize="robust")[1]
    assert (len(spec.offset), len(spec.scale)) == (1, 1)
    assert spec.offset[0] == pytest.approx(5, abs=0.5)
    assert spec.scale[0] == pytest.approx(3, rel=0.15)


def test_images_share_one_mean_and_scale():
    examples, spec, _ = prepare(RNG.normal(5, 3, (20, 1, 6, 6)))
    assert len(spec.offset) == len(spec.scale) == 1
    z = seen_by_model(examples, spec)
    assert z.mean() == pytest.approx(0, abs=1e-5)
    assert z.std(correction=0) == pytest.approx(1, abs=1e-5)


def test_only_training_rows_count():
    data = load_data(TABLE)
    np.testing.assert_allclose(data.spec.offset, data.train.x.mean(0, dtype=np.float64))


def test_constant_columns():
    x = np.c_[TABLE, np.full(40, 0.1), np.full(40, 1e6)]
    examples, spec, notices = prepare(x)
    assert "2 columns are constant" in notices[0]
    assert spec.scale[3:] == (1.0, 1.0)
    assert (seen_by_model(examples, spec)[:, 3:] == 0).all()


def test_data_that_say_nothing():
    for x in (np.full((4, 3), 7.0), np.zeros((4, 5, 5), np.uint8)):
        assert any("nothing to learn" in notice for notice in prepare(x)[2])


def test_precision_lost_to_float32():
    x = np.c_[1.7e9 + np.arange(20.0), np.arange(20.0)]
    assert any("1 of 2 entries" in notice for notice in prepare(x)[2])
    assert prepare(x - x.mean(0))[2] == ()


def test_unknown_standardize():
    assert "did you mean columns" in refusal(prepare, TABLE, standardize="column")


# Sources


@pytest.mark.parametrize(
    "source",
    [
        TABLE.tolist(),
        torch.from_numpy(TABLE).requires_grad_(),
        np.asfortranarray(TABLE),
        TABLE.astype(object),
        Table(a=TABLE[:, 0], b=TABLE[:, 1], c=TABLE[:, 2].tolist()),
        TensorDataset(torch.from_numpy(TABLE)),
        Items([row.tolist() for row in TABLE[:, None]]),
    ],
    ids=["lists", "tensor", "fortran", "objects", "table", "TensorDataset", "items"],
)
def test_sources(source):
    np.testing.assert_array_equal(load_data(source).train.x, load_data(TABLE).train.x)


def test_bfloat16():
    assert prepare(torch.tensor([[0.5, 1.5], [2.5, 30.0]]).bfloat16())[1].kind == "real"


def test_dataset_labels():
    data = load_data(Items([(torch.full((2, 2), i / 20), i) for i in range(20)]))
    labels = np.concatenate([data.train.labels, data.test.labels])
    assert sorted(labels) == list(range(20))
    np.testing.assert_allclose(data.train.x[:, 0, 0, 0], data.train.labels / 20)


def test_dataset_of_pil_images():
    image = pytest.importorskip("PIL.Image")
    grey = [image.fromarray(pixels) for pixels in BYTES]
    np.testing.assert_array_equal(prepare(Items(grey))[0].x[:, 0], BYTES)
    palette = [picture.convert("RGB").convert("P") for picture in grey]
    assert prepare(Items(palette))[1].shape == (3, 8, 8)


@pytest.mark.parametrize("ending", ["npy", "npz"])
def test_files(tmp_path, ending):
    path = tmp_path / f"table.{ending}"
    np.save(path, TABLE) if ending == "npy" else np.savez(path, x=TABLE, y=np.arange(40))
    for source in (path, str(path)):
        data = load_data(source)
        assert data.name == "table"
        np.testing.assert_array_equal(data.train.x, load_data(TABLE).train.x)
        assert (data.train.labels is None) == (ending == "npy")


def test_a_test_part_of_its_own(tmp_path):
    path = tmp_path / "set.npz"
    np.savez(path, x_train=TABLE, x_test=TABLE[:3], y_test=[1, 2, 3])
    data = load_data(path)
    assert len(data.train) == 40
    assert data.test.labels.tolist() == [1, 2, 3]
    np.savez(path, x_train=TABLE, x_test=TABLE[:, :2])
    assert "test: examples are 2 and those of train 3" in refusal(load_data, path)


def test_the_range_is_that_of_both_parts(tmp_path):
    path = tmp_path / "set.npz"
    np.savez(path, x_train=TABLE.clip(0, 1), x_test=TABLE)
    assert load_data(path).spec.kind == "real"


# Held-out rows and validation


def test_a_tenth_is_held_out():
    data = load_data(TABLE, labels=np.arange(40))
    assert (len(data.train), len(data.test)) == (36, 4)
    assert sorted([*data.train.labels, *data.test.labels]) == list(range(40))
    np.testing.assert_array_equal(data.test.x, TABLE[data.test.labels])
    assert "4 of 40 examples held out" in data.notices[0]
    assert data.fingerprint() == load_data(TABLE).fingerprint()
    assert data.fingerprint() != load_data(TABLE + 1).fingerprint()


def test_few_examples_are_all_for_training():
    assert load_data(TABLE[:9]).test is None
    assert len(load_data(TABLE[:10]).test) == 1


def test_split():
    data = load_data(TABLE, labels=np.arange(40))
    train, validation = data.split(0.25, seed=1)
    assert (len(train), len(validation)) == (27, 9)
    assert sorted([*train.labels, *validation.labels]) == data.train.labels.tolist()
    again, other = data.split(0.25, seed=1)[1], data.split(0.25, seed=2)[1]
    np.testing.assert_array_equal(validation.x, again.x)
    assert (validation.x != other.x).any()
    assert data.split(0, seed=1) == (data.train, None)
    assert "validation must lie in" in refusal(data.split, 1.0, seed=1)


@given(n=st.integers(2, 30), validation=st.floats(1e-6, 0.999999), seed=st.integers(0, 100))
def test_neither_side_of_a_split_is_empty(n, validation, seed):
    examples = Examples(np.arange(n, dtype=np.float32)[:, None])
    data = Data("array", examples, None, DataSpec((1,)))
    train, held = data.split(validation, seed)
    assert len(train) >= 1
    assert len(held) >= 1
    assert sorted(np.concatenate([train.x, held.x])[:, 0]) == list(range(n))


# New data for an old spec


@pytest.mark.parametrize("spec_shape", [(1, 4, 6), (24,)])
@pytest.mark.parametrize("shape", [(4, 6), (1, 4, 6), (24,), (4, 6, 1)])
def test_apply_spec_reshapes(spec_shape, shape):
    x = np.arange(48, dtype=np.uint8).reshape(2, *shape)
    out = apply_spec(x, DataSpec(spec_shape, scale=(255.0,)))
    assert out.shape == (2, *spec_shape)
    assert out.dtype == np.uint8
    np.testing.assert_array_equal(out.ravel(), np.arange(48))


def test_apply_spec_moves_channels():
    x = RNG.integers(0, 256, (2, 6, 5, 3), dtype=np.uint8)
    out = apply_spec(x, DataSpec((3, 6, 5), scale=(255.0,)))
    np.testing.assert_array_equal(out, np.moveaxis(x, -1, 1))


MNIST_SPEC = DataSpec((1, 28, 28), scale=(255.0,))


@pytest.mark.parametrize(
    ("x", "says"),
    [
        (np.zeros((3, 30)), "expected 784 values per example (1x28x28), got 30"),
        (np.zeros((28, 28)), "give x[None]"),
        (np.zeros((3, 14, 56)), "expected 784 values per example (1x28x28), got 784 (14x56)"),
        (np.zeros(784), "reshape"),
        (
            np.full((2, 784), 65535),
            "data: the value 65535 at row 0, column 0 (index (0, 0)) lies outside 0..255",
        ),
        (np.full((2, 28, 28), -1000.0), "the value -1000 at example 0"),
        (np.full((2, 784), 0.5), "multiply them by 255"),
        (np.full((2, 784), np.nan), "1568 NaN values"),
        ([["a"] * 784], "text columns"),
    ],
)
def test_apply_spec_refuses(x, says):
    assert says in refusal(apply_spec, x, MNIST_SPEC)


def test_apply_spec_forgives_rounding():
    x = np.array([[1.0 + 1e-7, -1e-8]])
    np.testing.assert_array_equal(apply_spec(x, DataSpec((2,))), [[1.0, 0.0]])


def test_apply_spec_leaves_real_values():
    spec = DataSpec((3,), "real", (1.0,), (2.0,))
    for values in (TABLE, TABLE.astype(np.float32)):
        np.testing.assert_array_equal(apply_spec(values, spec), values)


def test_load_examples(tmp_path):
    spec = load_data(TABLE).spec
    assert len(load_examples(TABLE, spec)) == 40
    assert len(load_examples(TABLE[:1], spec)) == 1
    np.savez(tmp_path / "set.npz", x_train=TABLE, x_test=TABLE[:3])
    assert len(load_examples(tmp_path / "set.npz", spec)) == 3
    assert len(load_examples("digits", DataSpec((64,), scale=(16.0,)))) == 359


# Refusals


def with_value(value, *index):
    x = TABLE.copy()
    for place in index:
        x[place] = value
    return x


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (
            with_value(np.nan, (3, 2)),
            "train: 1 NaN value, first at row 3, column 2 (index (3, 2))",
        ),
        (with_value(np.inf, (1, 0), (4, 0)), "train: 2 infinite values, first at row 1, column 0"),
        (
            np.where(np.eye(3, dtype=bool), [np.nan, np.nan, np.inf], 0),
            "train: 2 NaN and 1 infinite value, first at row 0, column 0 (index (0, 0)); drop or",
        ),
        (np.full((2, 3, 4), np.nan), "first at example 0 (index (0, 0, 0))"),
        (TABLE * 1e40, "too large for float32"),
        (TABLE[0], "reshape(-1, 1)"),
        (np.zeros((0, 3)), "0 examples"),
        (np.zeros((3, 0)), "0 feature(s)"),
        (TABLE[:1], "needs at least 2 examples"),
        ([["a", "b"], ["c", "d"]], "text columns"),
        ([[1, "b"], [2, "d"]], "text columns"),
        (np.array([["1", 2], [3, 4]], dtype=object), "text columns"),
        ([[1, 2], [3]], "cannot be made an array"),
        (TABLE * 1j, "Complex data"),
        (None, "NoneType"),
        (7, "0-D data"),
        (object(), "cannot learn from an object of type object"),
        (np.ma.masked_greater(TABLE, 100), "masked values"),
        (torch.eye(3).to_sparse(), "sparse"),
        (Table(age=[1, 2], city=["a", "b"], job=["c", "d"]), "text columns (city, job)"),
        (Table(age=[1, None], size=[1.0, 2.0]), "1 NaN value"),
        (Items([]), "0 examples"),
        (Items([np.zeros(3), np.zeros(4)]), "item 0 is 3 float64 and item 1 is 4 float64"),
        (Items([{"x": 1}]), "item 0 is a dict"),
        (Items(["a"]), "item 0 is a str"),
        (Items([()]), "item 0 is empty"),
        ("no-such-set", "no data set or file 'no-such-set'; known: digits"),
        ("fashion_mnist", "did you mean fashion-mnist"),
        ("missing.npy", "no such file"),
        (__file__, "supported: .npy, .npz"),
    ],
)
def test_refusals(source, says):
    assert says in refusal(load_data, source)


def test_a_dataset_without_length():
    class Endless(IterableDataset):
        def __iter__(self):
            yield torch.zeros(3)

    assert "map-style" in refusal(load_data, Endless())


def test_an_unknown_name_is_an_option_error_and_a_missing_file_a_data_error():
    with pytest.raises(OptionError):
        load_data("minst")
    with pytest.raises(DataError):
        load_data("minst.npz")


def test_labels_must_fit():
    assert "one label for each of 40" in refusal(load_data, TABLE, labels=[1, 2])
    data = load_data(TABLE, labels=torch.arange(40)[:, None])
    assert data.train.labels.shape == (36,)
    assert load_data(TABLE, labels=np.array(["a"] * 40, object)).train.labels.dtype.kind == "U"


# Properties


@given(
    hnp.arrays(
        st.sampled_from(["f2", "f4", "f8", "i4", "u1", "?"]),
        hnp.array_shapes(min_dims=2, max_dims=4, min_side=2, max_side=5),
    ),
    st.sampled_from(["columns", "robust", "global", "none"]),
)
def test_what_is_accepted_is_finite_and_comes_back(x, standardize):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            examples, spec, _ = prepare(x, standardize=standardize)
        except DataError:
            assert x.dtype.kind == "f"
            return
    again = apply_spec(x, spec)
    np.testing.assert_array_equal(again, examples.x)
    if x.dtype.kind == "f" and np.abs(x.astype(float)).max() > 1e15:
        return  # differences beyond float32 are the user's own
    seen = seen_by_model(examples, spec)
    assert torch.isfinite(seen).all()
    if spec.kind == "unit":
        assert seen.min() >= 0
        assert seen.max() <= 1
    back = spec.to_raw(seen)
    size = max(1.0, float(np.abs(examples.x.astype(float)).max()))
    torch.testing.assert_close(back, torch.from_numpy(examples.x).float(), atol=1e-5 * size, rtol=0)


# Batches


@pytest.mark.parametrize("source", [BYTES, BYTES / 255, TABLE, BYTES * 2.0])
def test_resident(source):
    data = load_data(source)
    resident = Resident(data.train, data.spec)
    expected = seen_by_model(data.train, data.spec)
    assert len(resident) == len(data.train)
    rows = torch.tensor([5, 0, 5])
    batch = resident.batch(rows)
    assert batch.x is batch.target
    assert batch.x.dtype == torch.float32
    torch.testing.assert_close(batch.x, expected[rows], atol=0, rtol=0)
    pieces = [batch.x for batch in resident.batches(4)]
    assert max(map(len, pieces)) == 4
    torch.testing.assert_close(torch.cat(pieces), expected, atol=0, rtol=0)
    torch.testing.assert_close(resident.mean(), expected.double().mean(0).float())
    assert resident.mean().dtype == torch.float32


def test_resident_keeps_bytes():
    data = load_data(BYTES)
    assert data.train.held.dtype == np.uint8
    batch = Resident(data.train, data.spec).batch(torch.tensor([3]))
    np.testing.assert_array_equal(batch.x.numpy(), data.train.x[[3]] / np.float32(255))


@pytest.mark.parametrize("copied", [True, False])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_some_rows_are_the_same_examples_copied_or_not(copied, dtype, monkeypatch):
    if not copied:
        monkeypatch.setattr("autoencode.data.examples._COPIED", 100)
    n = 60
    x = np.random.default_rng(0).integers(0, 256, (100, 1, 4, 4)).astype(dtype)
    labels, ids = np.arange(100) % 3, np.arange(100) * 7
    rows = np.sort(np.random.default_rng(1).permutation(100)[:n])
    some = Examples(x, labels, ids, target=x // 2).take(rows)
    plain = Examples(x[rows], labels[rows], ids[rows], x[rows] // 2)
    assert (some.rows is None) == copied
    assert len(some) == n
    assert some.shape == plain.shape
    again = np.array([4, 0, 2])
    for one, other in [(some, plain), (some.take(again), plain.take(again))]:
        for name in ("x", "labels", "ids", "target"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    for one, other in zip(some.chunks(4), plain.chunks(4), strict=True):
        np.testing.assert_array_equal(one.x, other.x)
        np.testing.assert_array_equal(one.labels, other.labels)
    spec = DataSpec((1, 4, 4), scale=(255.0,), context_dim=3, classes=("0", "1", "2"))
    for batch, other in zip(
        Resident(some, spec).batches(4), Resident(plain, spec).batches(4), strict=True
    ):
        torch.testing.assert_close(batch.x, other.x, rtol=0, atol=0)
        torch.testing.assert_close(batch.target, other.target, rtol=0, atol=0)
        torch.testing.assert_close(batch.context, other.context, rtol=0, atol=0)
    assert Data("a", some, None, spec).fingerprint() == Data("a", plain, None, spec).fingerprint()


def test_parts_of_bytes_are_not_copied(monkeypatch):
    monkeypatch.setattr("autoencode.data.examples._COPIED", 100)
    x = np.random.default_rng(0).integers(0, 256, (1000, 1, 4, 4), dtype=np.uint8)
    data = load_data(x)
    training, validation = data.split(0.1, 0)
    assert np.shares_memory(training.held, x)
    assert len(training) == 810
    assert len(validation) == 90
    assert np.shares_memory(validation.held, x)
    assert np.shares_memory(data.test.held, x)


def test_resident_takes_memory_that_must_not_be_written():
    x = TABLE.astype(np.float32)
    x.flags.writeable = False
    assert len(Resident(Examples(x), DataSpec((3,), "real"))) == 40


# Factors


def test_factors_go_where_their_examples_go(tmp_path):
    x = RNG.normal(size=(20, 3)).astype(np.float32)
    factors = np.stack([np.arange(20), np.arange(20) % 2], axis=1)
    np.savez(tmp_path / "made.npz", x=x, factors=factors, factor_names=["number", "parity"])
    data = load_data(tmp_path / "made.npz")
    for part in (data.train, data.test, *data.split(0.3, 0)):
        assert part.factors.names == ("number", "parity")
        np.testing.assert_array_equal(part.x, x[part.factors.values[:, 0]])
        np.testing.assert_array_equal(part.factors.values[:, 1], part.factors.values[:, 0] % 2)
    found = load_examples(tmp_path / "made.npz", data.spec)
    np.testing.assert_array_equal(found.factors.values, factors)


def test_a_test_part_has_factors_of_its_own(tmp_path):
    x = RNG.normal(size=(20, 3)).astype(np.float32)
    np.savez(tmp_path / "made.npz", x=x, x_test=x[:4], factors_test=[[0], [1], [0], [2]])
    data = load_data(tmp_path / "made.npz")
    assert data.train.factors is None
    assert data.test.factors.names == ("0",)
    assert load_examples(tmp_path / "made.npz", data.spec).factors.values[:, 0].tolist() == [0, 1, 0, 2]


@pytest.mark.parametrize(
    ("factors", "names", "says"),
    [
        (np.zeros((19, 2)), ["a", "b"], "expected factors of shape"),
        (np.zeros((20, 2)), ["a"], "expected factors of shape"),
        (np.zeros(20), ["a"], "expected factors of shape"),
        (np.full((20, 2), 0.5), ["a", "b"], "must be integers"),
        (np.zeros((20, 2)), ["a", "a"], "one name"),
    ],
)
def test_factors_that_do_not_fit_are_refused(tmp_path, factors, names, says):
    x = RNG.normal(size=(20, 3)).astype(np.float32)
    np.savez(tmp_path / "made.npz", x=x, factors=factors, factor_names=names)
    assert says in refusal(load_data, tmp_path / "made.npz")


def test_factors_are_chosen_by_name_and_by_whether_they_vary():
    values = np.array([[0, 5, 1], [1, 5, 0]])
    factors = Factors(values, ("a", "b", "c"), unordered=("b", "c"))
    assert factors.varying().names == ("a", "c")
    assert factors.varying().unordered == ("c",)
    np.testing.assert_array_equal(factors.of(["c", "a"]).values, values[:, [2, 0]])
    np.testing.assert_array_equal(factors.take(np.array([True, False])).values, values[:1])


def test_factors_stay_when_values_are_drawn_as_black_and_white(tmp_path):
    x = RNG.random((20, 4)).astype(np.float32)
    np.savez(tmp_path / "made.npz", x=x, factors=np.arange(20)[:, None])
    data = load_data(tmp_path / "made.npz", standardize="unit")
    drawn = binarized_once(data)
    np.testing.assert_array_equal(drawn.test.factors.values, data.test.factors.values)
