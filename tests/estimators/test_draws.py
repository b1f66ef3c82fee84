"""Samples are draws of p(x|z) for tables, in the types and the range of the data; means for images."""

import datetime as dt

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from autoencode import Autoencoder, load
from autoencode.data import prepare
from autoencode.data.values.as_given import as_given, template_of
from autoencode.data.values.frames import reread, written
from autoencode.data.values.support import as_supported, support_of
from autoencode.models.marginals import Marginals
from autoencode.randomness import drawing

ZONE = dt.UTC
WHOLE = ["int8", "int16", "int32", "int64", "uint8", "uint16", "Int64", "UInt8", "Float64"]
COLUMNS = {
    **{name: (st.integers(0, 100), name) for name in WHOLE},
    "negative": (st.integers(-100, 100), "int64"),
    "float32": (st.floats(-10, 10, width=32), "float32"),
    "float64": (st.floats(-1e6, 1e6), "float64"),
    "money": (st.integers(0, 10**6).map(lambda n: n / 100), "float64"),
    "bool": (st.booleans(), "bool"),
    "boolean": (st.booleans(), "boolean"),
    "text": (st.sampled_from(["a", "b", "c"]), "object"),
    "string": (st.sampled_from(["x", "y"]), "string"),
    "category": (st.sampled_from(["low", "high"]), "category"),
    "whole category": (st.sampled_from([3, 7]), "category"),
    "date": (st.dates(dt.date(1990, 1, 1), dt.date(2030, 1, 1)), "datetime64[ns]"),
    "zoned": (st.datetimes(dt.datetime(1990, 1, 1)), "datetime64[us, Europe/Paris]"),
}


@st.composite
def frames(draw):
    names = draw(st.lists(st.sampled_from(list(COLUMNS)), min_size=1, max_size=5, unique=True))
    n = draw(st.integers(3, 8))
    columns = {}
    for name in names:
        values, dtype = COLUMNS[name]
        column = pd.Series(draw(st.lists(values, min_size=n, max_size=n)))
        if name == "zoned":
            column = pd.to_datetime(column).dt.tz_localize("UTC").dt.tz_convert("Europe/Paris")
        columns[name] = column.astype(dtype)
    return pd.DataFrame(columns)


@given(frames(), st.integers(0, 1000))
@settings(max_examples=60, deadline=None)
def test_draws_of_any_table_have_its_types_and_values_that_it_can_have(frame, seed):
    _, spec, _ = prepare(frame)
    wild = 50 * torch.randn(20, spec.size, generator=torch.Generator().manual_seed(seed))
    for i, column in enumerate(spec.columns):  # a likelihood draws places of categories and truths
        if column.kind in ("category", "boolean"):
            wild[:, i] = wild[:, i].abs() % max(len(column.categories), 2)
            wild[:, i] = wild[:, i].floor()
    drawn = as_given(as_supported(spec.to_raw(wild).numpy(), spec), spec, frame, "same")
    assert drawn.dtypes.to_dict() == frame.dtypes.to_dict()
    for name in frame:
        if frame[name].dtype.kind in "biufM":
            known = frame[name].astype("int64") if frame[name].dtype.kind == "M" else frame[name]
            made = drawn[name].astype("int64") if frame[name].dtype.kind == "M" else drawn[name]
            slack = 2e9 if frame[name].dtype.kind == "M" else 0  # dates to the second
            assert made.min() >= known.min() - slack
            assert made.max() <= known.max() + slack
        else:
            assert set(drawn[name]) <= set(frame[name])
    if "money" in frame:
        assert drawn["money"].tolist() == drawn["money"].round(2).tolist()
    if "date" in frame:
        assert (drawn["date"].dt.normalize() == drawn["date"]).all()


@pytest.mark.parametrize(
    ("column", "decimals"),
    [
        ([1.0, 2.0, 30.0], 0),
        ([0.25, 1.5, 1e6], 2),
        ([np.pi, np.e, 1.0], -1),
        ([1e15 + 0.125, 0.5, 1.0], -1),
        ([np.nan, 0.1, 0.3], 1),
    ],
)
def test_decimals_are_those_of_all_values_and_of_no_more_than_the_dtype_holds(column, decimals):
    assert support_of(np.array(column)[:, None]).decimals == (decimals,)


def test_float32_has_the_decimals_that_were_written():
    assert support_of(np.array([[12.34], [0.1]], dtype=np.float32)).decimals == (2,)


def people(n=60):
    rng = np.random.default_rng(0)
    return {
        "age": rng.integers(18, 80, n),
        "income": np.round(rng.lognormal(3, 1, n), 2),
        "pet": rng.choice(["cat", "dog"], n),
        "member": rng.random(n) < 0.3,
        "visits": rng.poisson(2.0, n),
        "born": np.array("1980-01-01", "datetime64[D]") + rng.integers(0, 9000, n),
    }


KINDS = {"visits": "count"}


def pandas_frame():
    frame = pd.DataFrame(people())
    frame["age"] = frame["age"].astype("int8")
    frame["pet"] = frame["pet"].astype("category")
    return frame


@pytest.mark.parametrize(
    "make",
    [
        pandas_frame,
        lambda: pl.DataFrame(people()).with_columns(pl.col("pet").cast(pl.Categorical)),
        lambda: pa.table(people()),
    ],
    ids=["pandas", "polars", "pyarrow"],
)
@pytest.mark.parametrize("recipe", ["vae", "mlp"])
def test_draws_come_in_the_library_and_the_types_of_the_table(make, recipe, hurried):
    hurried(2)
    table = make()
    drawn = Autoencoder(recipe, 2, random_state=0, column_kinds=KINDS).fit(table).sample(7)
    assert type(drawn) is type(table)
    types = [str(t.schema if isinstance(t, pa.Table) else t.dtypes) for t in (drawn, table)]
    assert types[0] == types[1]
    visits = np.asarray(drawn["visits"])
    assert (visits >= 0).all()


def test_draws_of_a_table_of_numbers_alone_are_a_table_too(hurried):
    hurried(2)
    table = pandas_frame()[["age", "income"]]
    drawn = Autoencoder("vae", 1, random_state=0).fit(table).sample(5)
    assert drawn.dtypes.to_dict() == table.dtypes.to_dict()


@pytest.mark.parametrize("dtype", ["int32", "float32", "float64"])
def test_draws_of_an_array_have_its_dtype_and_range(dtype, hurried):
    hurried(2)
    x = (10 * np.random.default_rng(0).normal(size=(50, 4))).astype(dtype)
    drawn = Autoencoder("mlp", 2, random_state=0).fit(x).sample(40)
    assert drawn.dtype == x.dtype
    assert (drawn >= x.min(0)).all()
    assert (drawn <= x.max(0)).all()


def test_rows_of_truths_are_drawn_as_truths(hurried):
    hurried(2)
    x = np.random.default_rng(0).random((50, 6)) < 0.3
    for recipe in ("vae", "mlp"):
        assert Autoencoder(recipe, 2, random_state=0).fit(x).sample(9).dtype == bool


@pytest.fixture(scope="module")
def fitted():
    frame = pandas_frame()
    options = {"min_steps": 1}
    return Autoencoder("vae", 2, random_state=0, epochs=2, options=options, column_kinds=KINDS).fit(
        frame
    )


def test_means_are_what_the_same_codes_decode_to(fitted):
    trained = fitted.trained_
    means = trained.sample(6, 3, mean=True)
    with drawing(3, trained.device, trained.model), torch.inference_mode():
        z = trained.model.eval().sample_latent(6).numpy()
    assert (means == trained.decode(z)).all()


def test_draws_are_draws_and_means_are_none(fitted):
    trained = fitted.trained_
    assert (trained.sample(6, 3) == trained.sample(6, 3, mean=False)).all()
    assert not (trained.sample(6, 3) == trained.sample(6, 3, mean=True)).all()


def test_a_seed_gives_the_same_draws_and_another_one_others(fitted):
    assert fitted.sample(5, 1).equals(fitted.sample(5, 1))
    assert not fitted.sample(5, 1).equals(fitted.sample(5, 2))


def test_a_model_draws_the_same_from_its_file(fitted, tmp_path):
    fitted.save(tmp_path)
    again = load(tmp_path)
    assert (again.trained_.sample(5, 1) == fitted.trained_.sample(5, 1)).all()
    assert again.sample(5, 1).equals(fitted.sample(5, 1))
    assert list(again.sample(5, 1).dtypes) == list(fitted.sample(5, 1).dtypes)


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow", "another"])
def test_a_table_that_was_written_has_its_library_and_its_types(library):
    frame = pd.DataFrame({"a": pd.array([1], dtype="Int8"), "b": pd.Categorical(["x"]), "c": [1.5]})
    table = {"pandas": frame, "polars": pl.from_pandas(frame)}.get(library, pa.table({"a": [True]}))
    name, columns = written(template_of(table))
    again = reread(library, columns)
    assert name == (library if library != "another" else "pyarrow")
    assert type(again) is type(table)
    if library == "pandas":
        assert list(again.dtypes) == list(frame.dtypes)
    else:
        assert again.schema == template_of(table).schema


def test_images_are_means_unless_draws_are_asked_for(hurried):
    hurried(2)
    x = np.random.default_rng(0).random((30, 6, 6)).astype(np.float32)
    vae = Autoencoder("vae", 2, random_state=0).fit(x)
    assert (vae.sample(4) == vae.sample(4, mean=True)).all()
    assert set(np.unique(vae.sample(4, mean=False))) == {0.0, 1.0}  # of Bernoulli pixels


@pytest.mark.parametrize("recipe", ["vae", "mlp"])
def test_what_draws_follow_is_fitted_anew_when_a_model_learns_more(recipe):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 3))
    ae = Autoencoder(recipe, 2, random_state=0).partial_fit(x)
    before = ae.model_.marginals.real.std()
    ae.partial_fit(x**3)
    assert ae.model_.marginals.real.std() > 1.5 * before


def test_what_draws_follow_is_fitted_to_all_parts_when_draws_are_asked_for(monkeypatch):
    """Not to the last part alone, and not after each."""
    rng = np.random.default_rng(0)
    ae = Autoencoder("vae", 2, random_state=0).partial_fit(rng.normal(size=(200, 3)))
    times = []
    fit = Marginals.fit
    monkeypatch.setattr(Marginals, "fit", lambda *given: times.append(1) or fit(*given))
    for mean in (8.0, 4.0, -4.0):
        ae.partial_fit(rng.normal(mean, size=(200, 3)))
    assert not times
    real = ae.model_.marginals.real[:, 0]
    assert len(times) == 1
    lowest, highest = (real[at].item() * ae.trained_.spec.scale[0] for at in (0, -1))
    assert highest - lowest > 12
