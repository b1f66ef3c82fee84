"""What comes back looks like what went in: over layouts, types, containers and functions."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from autoencode import AnomalyDetector, Autoencoder, Denoiser, load
from autoencode.data import prepare
from autoencode.data.values.as_given import as_given
from autoencode.dtypes import in_dtype
from autoencode.errors import DataError, IncompatibleError, OptionError
from autoencode.recipes import RECIPES, build
from autoencode.trained import Trained

N = 12
LAYOUTS = {
    "rows": ((6,), None),
    "flat pictures": ((16,), "image"),
    "grey": ((5, 4), None),
    "channels last": ((5, 4, 3), None),
    "channels first": ((3, 5, 4), None),
    "one channel": ((1, 5, 4), None),
    "flattened": ((5, 4, 3), "row"),
    "series": ((6,), "sequence"),
    "sequences": ((6, 2), "sequence"),
    "volumes": ((3, 4, 2), "volume"),
    "volumes, channels last": ((2, 4, 2, 3), "volume"),
}
DTYPES = ["uint8", "uint16", "int64", "bool", "float16", "float32", "float64", ">f8", ">i4"]
TORCH = ("uint8", "int64", "bool", "float16", "float32", "float64")  # all versions have them


def table(x, frame):
    return frame({name: x[:, i] for i, name in enumerate("fbadce")})


def odd_index(columns):
    return pd.DataFrame(columns, index=pd.Index([f"r{7 * i % N}" for i in range(N)], name="who"))


def numbered(columns):  # names that are no text
    return pd.DataFrame(dict(enumerate(columns.values())))


def nullable(columns):
    return odd_index(columns).convert_dtypes()


def arrow(columns):
    return odd_index(columns).convert_dtypes(dtype_backend="pyarrow")


CONTAINERS = {
    "array": lambda x: x,
    "fortran": np.asfortranarray,
    "slices": lambda x: np.repeat(x, 2, axis=0)[::2],
    "list": lambda x: x.tolist(),
    "tensor": torch.from_numpy,
    "pandas": lambda x: table(x, odd_index),
    "numbered": lambda x: table(x, numbered),
    "nullable": lambda x: table(x, nullable),
    "arrow dtypes": lambda x: table(x, arrow),
    "polars": lambda x: table(x, pl.DataFrame),
    "pyarrow": lambda x: table(x, pa.table),
}
TABLES = ("pandas", "numbered", "nullable", "arrow dtypes", "polars", "pyarrow")
FUNCTIONS = ["reconstruct", "inverse_transform", "sample", "impute", "denoise", "corrupt"]
FEW = {"epochs": 1, "random_state": 0, "options": {"hidden": (4,)}}


@st.composite
def examples(draw):
    layout = draw(st.sampled_from(list(LAYOUTS)))
    shape, told = LAYOUTS[layout]
    dtype = draw(st.sampled_from(DTYPES))
    container = draw(st.sampled_from(list(CONTAINERS) if layout == "rows" else list(CONTAINERS)[:5]))
    if container == "tensor" and dtype not in TORCH:
        dtype = "float32"
    if container in TABLES and np.dtype(dtype).byteorder == ">":
        dtype = "int64"
    if container == "list":
        dtype = draw(st.sampled_from(["int64", "float64", "bool"]))
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    x = rng.integers(0, 200, (N, *shape))
    x = (x % 2 if dtype == "bool" else x).astype(dtype)
    if np.dtype(dtype).kind == "f" and draw(st.booleans()):
        x = (x / 7 - 9).astype(dtype)
    x[0].flat[0] = x[1].flat[0] ^ 1 if dtype == "bool" else x[1].flat[0] + 1
    return x, told, CONTAINERS[container](x), container


def as_array(made):
    return made.to_numpy() if hasattr(made, "to_numpy") else np.asarray(made)


def types(made):
    if isinstance(made, pa.Table):
        return made.schema.types
    return list(made.dtypes) if hasattr(made, "dtypes") else made.dtype


def library(made):
    return np.ndarray if isinstance(made, list) else type(made)


def assert_alike(made, source, n=N):
    """The library, the shape, the names and the row labels."""
    assert isinstance(made, library(source))
    shape = np.shape(source) if isinstance(source, list) else tuple(source.shape)
    assert tuple(made.shape) == (n, *shape[1:])
    if isinstance(source, pd.DataFrame):
        assert made.columns.equals(source.columns)
        if n == N:
            assert made.index.equals(source.index)
            assert made.index.name == source.index.name
    elif hasattr(source, "columns"):
        assert list(getattr(made, "column_names", made.columns)) == list(
            getattr(source, "column_names", source.columns)
        )


def assert_floats(made):
    found = types(made)
    for one in found if isinstance(found, list) else [found]:
        if isinstance(found, list) and "bool" in str(one).lower():
            continue  # the truth values of a table are no numbers
        assert "float" in str(one).lower() or "double" in str(one), one


def assert_types(made, source):
    wanted = np.asarray(source).dtype if isinstance(source, list) else types(source)
    assert types(made) == wanted


def holed(x):
    gaps = np.zeros(x.shape, bool)
    gaps[::3].reshape(len(gaps[::3]), -1)[:, 1] = True
    return np.where(gaps, np.nan, x).astype(x.dtype), gaps


@given(examples(), st.sampled_from(FUNCTIONS))
@settings(max_examples=100, deadline=None)
def test_what_comes_back_looks_like_what_went_in(case, function):
    x, told, source, container = case
    if function in ("denoise", "corrupt"):
        if x.dtype == bool and container in TABLES:  # whose noise is another
            return None
        noisy = Denoiser(recipe="mlp_small", layout=told, epochs=1, random_state=0).fit(source)
        made = noisy.transform(source) if function == "denoise" else noisy.corrupt(source)
        assert_alike(made, source)
        if function == "corrupt":
            return assert_floats(made)
        assert_types(made, source)
        exact, rounded = (
            as_array(m).astype(float) for m in (noisy.transform(source, dtype="float"), made)
        )
        return np.testing.assert_allclose(exact, rounded, rtol=1e-2, atol=0.5001)
    if function == "impute":
        if x.dtype.kind != "f":
            return None
        x, gaps = holed(x)
        source = CONTAINERS[container](x)
        made = (
            Autoencoder("mlp_small", 2, layout=told, epochs=1, random_state=0)
            .fit(source)
            .impute(source)
        )
        assert_alike(made, source)
        assert_types(made, source)
        filled = as_array(made).astype(x.dtype)
        assert np.isfinite(filled).all()
        return np.testing.assert_array_equal(filled[~gaps], x[~gaps])
    model = Autoencoder("vae", 2, layout=told, **FEW).fit(source)
    if function == "sample":
        # Nothing is given but a number: of tables the columns are remembered, of others the array.
        like = source if container in TABLES and container != "numbered" else x
        assert_alike(model.sample(3), like, 3)
        assert_types(model.sample(3), like)
        assert_alike(model.sample(3, mean=True), like, 3)
        return assert_floats(model.sample(3, mean=True))
    if function == "reconstruct":
        made, same = model.reconstruct(source), model.reconstruct(source, dtype="same")
        like = source
    else:
        codes = model.transform(source)
        made, same = model.inverse_transform(codes), model.inverse_transform(codes, dtype="same")
        like = source if container in TABLES else x
        if hasattr(made, "index"):  # codes have none
            made, same = made.set_axis(source.index), same.set_axis(source.index)
    assert_alike(made, like)
    assert_floats(made)
    assert_alike(same, like)
    assert_types(same, like)
    a, b = as_array(made).astype(np.float64), as_array(same).astype(np.float64)
    if x.dtype.kind == "f":
        # Nullable columns of whole numbers are whole numbers.
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=0.5001 if container == "nullable" else 0)
    elif x.dtype.kind == "b":
        np.testing.assert_array_equal(a >= 0.5, b)
    else:
        np.testing.assert_array_equal(np.rint(a.clip(np.iinfo(x.dtype).min, np.iinfo(x.dtype).max)), b)
    if container not in TABLES:
        whole = source.float() if isinstance(made, torch.Tensor) else x
        assert ((made - whole) ** 2).shape == x.shape
    return None


# --- tables of columns of any kind ----------------------------------------------------------------

BORN = pd.Timestamp("1990-05-01") + pd.to_timedelta(np.arange(N) * 40, unit="D")
MIXED = pd.DataFrame(
    {
        "small": np.arange(N, dtype="int8"),
        "nullable": pd.array(np.arange(N) % 5, dtype="Int16"),
        "arrow": pd.array(np.arange(N) % 3, dtype="uint8[pyarrow]"),
        "money": np.arange(N) / 4,
        "short": np.arange(N, dtype="float32"),
        "text": ["b", "a", "c"] * 4,
        "level": pd.Categorical(["low", "high"] * 6, ["low", "high"], ordered=True),
        "year": pd.Categorical([2001, 2002] * 6),
        "true": [True, False] * 6,
        "maybe": pd.array([True, False] * 6, dtype="boolean"),
        "born": BORN,
        "zoned": BORN.tz_localize("Europe/Vienna"),
        "day": pd.array(BORN.date, dtype=pd.ArrowDtype(pa.date32())),
        "declared": np.arange(N) % 2,
    },
    index=pd.MultiIndex.from_product([list("abcd"), range(3)], names=["x", "y"]),
)
NUMBERS = ["small", "nullable", "arrow", "money", "short"]
KINDS = {"declared": "category", "year": "category"}
AS = {
    "pandas": lambda frame: frame,
    "polars": lambda frame: pl.from_pandas(frame.astype({"year": str})),
    "pyarrow": lambda frame: pa.Table.from_pandas(frame, preserve_index=False),
}


@pytest.fixture(scope="module", params=AS)
def fitted(request):
    source = AS[request.param](MIXED)
    model = Autoencoder("vae", 2, epochs=1, random_state=0, column_kinds=KINDS).fit(source)
    return model, source


def test_columns_of_a_table_keep_their_types_but_numbers_are_floating_point(fitted):
    model, source = fitted
    found, own = (dict(zip(MIXED, types(m), strict=True)) for m in (model.reconstruct(source), source))
    for name in MIXED:
        if name in NUMBERS:
            assert "float" in str(found[name]).lower() or "double" in str(found[name])
        else:
            assert found[name] == own[name], name
    assert found["short"] == own["short"]


@pytest.mark.parametrize("function", ["reconstruct", "inverse_transform", "sample"])
def test_all_types_come_back_when_they_are_asked_for(fitted, function):
    model, source = fitted
    given = {
        "reconstruct": lambda: model.reconstruct(source, dtype="same"),
        "inverse_transform": lambda: model.inverse_transform(model.transform(source), dtype="same"),
        "sample": lambda: model.sample(N),
    }[function]()
    assert types(given) == types(source)
    frame = given if isinstance(given, pd.DataFrame) else given.to_pandas()
    assert set(frame["declared"]) <= {0, 1}
    assert (pd.to_datetime(frame["day"]).dt.normalize() == pd.to_datetime(frame["day"])).all()
    if function == "reconstruct" and isinstance(given, pd.DataFrame):
        assert given.index.equals(source.index)


def test_columns_come_back_in_the_order_that_is_given_now(fitted):
    model, source = fitted
    trained = model.trained_
    turned = (
        source.select(list(MIXED)[::-1]) if hasattr(source, "select") else source[list(MIXED)[::-1]]
    )
    back = as_given(trained.reconstruct(turned), trained.spec, turned, "same")
    assert types(back) == types(turned)
    own = model.reconstruct(source, dtype="same")
    for name in MIXED:
        assert np.asarray(back[name]).tolist() == np.asarray(own[name]).tolist()


def test_a_category_that_new_rows_happen_not_to_have_can_come_back():
    frame = pd.DataFrame({"pet": pd.Categorical(["cat", "dog"] * 20), "n": [0.0, 1.0] * 20})
    spec = Autoencoder("vae", 1, epochs=1, random_state=0).fit(frame).trained_.spec
    few = pd.DataFrame({"pet": pd.Categorical(["cat"] * 2), "n": [0.0, 1.0]})
    back = as_given(np.array([[0.0, 0.5], [1.0, 0.5]]), spec, few)
    assert list(back["pet"]) == ["cat", "dog"]


def test_labels_of_rows_go_through_codes_that_carry_them():
    frame = MIXED[["money", "short"]].reset_index(drop=True).set_index(MIXED["text"])
    model = (
        Autoencoder("mlp_small", 1, epochs=1, random_state=0).set_output(transform="pandas").fit(frame)
    )
    back = model.inverse_transform(model.transform(frame))
    assert back.index.equals(frame.index)
    assert list(back.columns) == list(frame.columns)


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_whole_numbers_with_gaps_are_filled_with_whole_numbers(library):
    frame = pd.DataFrame({"n": pd.array([1, None, 3, 8] * 5, dtype="Int16"), "x": np.arange(20.0)})
    source = (
        AS[library](frame.assign(year=1)).drop(["year"])
        if library == "pyarrow"
        else (frame if library == "pandas" else pl.from_pandas(frame))
    )
    model = Autoencoder("mlp_small", 1, epochs=1, random_state=0).fit(source)
    filled = model.impute(source)
    assert types(filled) == types(source)
    known = np.asarray(frame["n"].notna())
    got = np.asarray(filled["n"].to_numpy(), dtype=float)
    np.testing.assert_array_equal(got[known], frame["n"].to_numpy(float, na_value=0)[known])
    assert np.isfinite(got).all()


def test_an_array_goes_through_a_model_of_a_table_as_an_array():
    frame = MIXED[["money", "short"]]
    model = Autoencoder("mlp_small", 1, epochs=1, random_state=0).fit(frame)
    with pytest.warns(UserWarning, match="feature names"):
        back = model.reconstruct(frame.to_numpy())
    assert type(back) is np.ndarray
    assert back.shape == frame.shape


# --- models and files of models -------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["uint8", ">f8", "bool"])
def test_a_saved_model_remembers_shape_and_type(dtype, tmp_path):
    x = (np.random.default_rng(0).integers(0, 2, (20, 5, 4, 3)) * (1 if dtype == "bool" else 9)).astype(
        dtype
    )
    model = Autoencoder("vae", 2, epochs=1, random_state=0).fit(x)
    model.save(tmp_path)
    again = load(tmp_path)
    for one in (model, again):
        assert one.sample(2).shape == (2, 5, 4, 3)
        assert one.sample(2).dtype == x.dtype
        assert one.trained_.sample(2).dtype == x.dtype
        assert one.trained_.sample(2, mean=True).dtype == np.float32
        assert one.inverse_transform(np.zeros((2, 2))).shape == (2, 5, 4, 3)
    assert again.trained_.spec == model.trained_.spec


def test_a_model_gives_arrays_in_the_shape_of_its_data():
    x = np.random.default_rng(0).random((20, 5, 4, 3), dtype=np.float32)
    trained = Autoencoder("vae", 2, epochs=1, random_state=0).fit(x).trained_
    assert trained.reconstruct(x).shape == trained.decode(trained.embed(x)).shape == x.shape
    np.testing.assert_allclose(trained.reconstruct(x), trained.decode(trained.embed(x)), atol=1e-6)
    flat = x.transpose(0, 3, 1, 2).reshape(20, -1)
    assert trained.reconstruct(flat).shape == flat.shape
    np.testing.assert_array_equal(
        trained.reconstruct(flat).reshape(20, 3, 5, 4).transpose(0, 2, 3, 1), trained.reconstruct(x)
    )


PICTURES = np.random.default_rng(0).integers(0, 17, (4, 16, 16))
RANGES = {
    "bytes": PICTURES.astype(np.uint8),
    "fractions": PICTURES / 16,
    "measurements": PICTURES * 3.7 - 100,
}


@pytest.mark.parametrize("name", [name for name, info in RECIPES.items() if not info.conditional])
def test_every_recipe_gives_the_shape_of_what_it_was_given(name):
    tried = 0
    for x in RANGES.values():
        spec = prepare(x)[1]
        try:
            trained = Trained(build(name, spec))
        except IncompatibleError:  # of measurements
            continue
        back = trained.reconstruct(x)
        assert ((back - x) ** 2).shape == x.shape
        assert trained.decode(trained.embed(x)).shape == x.shape
        tried += 1
    assert tried >= 2


def test_large_results_are_put_together_in_place(monkeypatch):
    x = np.random.default_rng(0).random((2500, 6), dtype=np.float32)
    trained = Autoencoder("mlp_small", 2, epochs=1, random_state=0).fit(x[:100]).trained_
    whole = trained.reconstruct(x)
    monkeypatch.setattr(np, "concatenate", None)
    np.testing.assert_array_equal(trained.reconstruct(x), whole)


def test_another_dtype_is_refused():
    x = np.zeros((4, 3), np.float32)
    x[0] = 1
    model = Autoencoder("mlp_small", 1, epochs=1, random_state=0).fit(x)
    for call in (model.reconstruct, model.inverse_transform, Denoiser(epochs=1).fit(x).transform):
        with pytest.raises(OptionError, match="unknown dtype 'sane'; did you mean same"):
            call(x, dtype="sane")


# --- types ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "dtype", ["int8", "uint8", "int16", "uint16", "int32", "int64", "uint64", ">i2"]
)
@pytest.mark.parametrize("own", ["float16", "float32", "float64", "int64"])
def test_numbers_are_rounded_and_stay_in_the_range_of_their_type(dtype, own):
    ends = np.iinfo(dtype)
    x = np.array([-1e4, -1.5, -0.5, 0.5, 1.5, 2.49, 6e4, 1, 0]).astype(own)
    found = in_dtype(x, dtype)
    assert found.dtype == np.dtype(dtype)
    for value, one in zip(x.tolist(), found.tolist(), strict=True):
        assert one == min(max(round(value), ends.min), ends.max)
    if own in ("float32", "float64"):
        huge = in_dtype(np.array([-1e30, 1e30], own), dtype)
        assert huge[0] == ends.min
        assert huge[1] >= ends.max - 2**11  # of 64 bits the largest float below the end


def test_what_is_not_known_is_no_whole_number():
    x = np.array([1.2, np.nan])
    np.testing.assert_array_equal(in_dtype(x, "uint8"), x)
    assert in_dtype(np.array([1e9, np.nan]), "float16").tolist()[0] == np.finfo("float16").max


# --- sequences of different lengths ---------------------------------------------------------------


def waves(lengths, make=np.asarray):
    rng = np.random.default_rng(0)
    return [make(np.sin(np.arange(n) / 2 + rng.uniform(0, 6))) for n in lengths]


@pytest.mark.parametrize(
    "make",
    [np.asarray, lambda x: x.astype("float32"), lambda x: np.stack([x, -x], 1), torch.from_numpy],
    ids=["float64", "float32", "features", "tensors"],
)
def test_a_list_of_sequences_comes_back_as_a_list_of_the_same_lengths(make, tmp_path):
    x = waves([5, 9, 7, 9] * 8, make)
    model = Autoencoder("vae", 2, epochs=1, random_state=0).fit(x)
    assert model.trained_.spec.layout == "sequence"
    assert "taken for 32 sequences of 5 to 9 steps" in model.trained_.info["notices"][0]
    assert np.isfinite(model.score_samples(x)).all()
    model.save(tmp_path)
    for one in (model, load(tmp_path)):
        for made in (one.reconstruct(x), one.reconstruct(x, dtype="same")):
            assert [m.shape for m in made] == [s.shape for s in x]
            assert all(type(m) is type(s) for m, s in zip(made, x, strict=True))
        assert [m.dtype for m in made] == [s.dtype for s in x]
    # Those of one length need not be as long as the longest of training.
    np.testing.assert_allclose(
        np.stack([np.asarray(m) for m in model.reconstruct([x[0], x[4]])]),
        np.stack([np.asarray(m) for m in model.reconstruct(x)[0:8:4]]),
        atol=1e-6,
    )
    padded = np.full((32, 9, *x[0].shape[1:]), np.nan)
    for row, one in zip(padded, x, strict=True):
        row[: len(one)] = np.asarray(one)
    np.testing.assert_allclose(model.transform(x), model.transform(padded), atol=1e-6)


def test_gaps_inside_of_sequences_are_filled_and_their_ends_stay():
    x = waves([5, 9, 7, 9] * 8)
    x[1][3] = np.nan
    filled = Autoencoder("mlp_small", 2, epochs=1, random_state=0).fit(x).impute(x)
    assert [len(one) for one in filled] == [len(one) for one in x]
    assert np.isfinite(filled[1]).all()
    np.testing.assert_array_equal(filled[0], x[0])


def test_sequences_are_denoised_and_judged_in_lists():
    x = waves([5, 9, 7, 9] * 8)
    denoiser = Denoiser(recipe="mlp_small", epochs=1, random_state=0).fit(x)
    assert [len(one) for one in denoiser.transform(x)] == [len(one) for one in x]
    detector = AnomalyDetector("mlp_small", epochs=1, random_state=0).fit(x)
    assert detector.predict(x).shape == (32,)


def test_a_sequence_longer_than_those_of_training_is_refused():
    model = Autoencoder("mlp_small", 2, epochs=1, random_state=0).fit(waves([5, 9, 7] * 8))
    with pytest.raises(DataError, match="sequence 1 has 12 steps, and the longest in training had 9"):
        model.transform(waves([5, 12]))


def test_rows_of_different_lengths_are_refused_with_the_way_to_go_on():
    with pytest.raises(DataError, match=r"rows have 1 to 2 values.*fill the shorter ones up with NaN"):
        Autoencoder(epochs=1).fit([[1.0], [1.0, 2.0]])
