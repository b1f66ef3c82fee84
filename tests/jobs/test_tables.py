"""Tables with named columns of any kind and with gaps, from pandas, polars, pyarrow and files."""

import json
import math

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from autoencode import Autoencoder, build, load, load_data
from autoencode.data import TableOptions
from autoencode.data.values.frames import decode, encode, learn_columns, to_frame
from autoencode.errors import DataError, IncompatibleError, InputError, ModelFileError, OptionError
from autoencode.likelihoods.columns import Mixed
from autoencode.nets import Reader
from autoencode.trained.model_files import _spec, load_config
from autoencode.types import Batch, Column, DataSpec
from cli_runs import cli  # noqa: F401  a fixture

RNG = np.random.default_rng(0)
N = 120
A = RNG.normal(size=N)
VALUES = {
    "age": np.round(40 + 10 * A),
    "city": np.where(A > 0, "Graz", "Oslo").astype(object),
    "member": (A > 0.5).astype(object),
    "visits": RNG.poisson(np.exp(A)).astype(float),
    "joined": np.datetime64("2020-01-01", "us") + (A * 30).astype("timedelta64[D]"),
}
KINDS = {"visits": "count"}


def people(gaps=0.15, values=VALUES):
    """As pandas has them, with an index of its own."""
    frame = pd.DataFrame(values, index=np.arange(N) + 1000)
    hidden = np.random.default_rng(1).random(frame.shape) < gaps
    return frame.mask(hidden) if gaps else frame


LIBRARIES = {
    "pandas": lambda frame: frame,
    "polars": lambda frame: pl.from_pandas(frame),
    "pyarrow": lambda frame: pa.Table.from_pandas(frame, preserve_index=False),
}


def small(recipe="vae", **more):
    figures = {"epochs": 2, "device": "cpu", "random_state": 0, "column_kinds": KINDS}
    options = {} if recipe == "linear" else {"hidden": (8,)}
    return Autoencoder(recipe, 2, options=options, **{**figures, **more})


# --- columns ------------------------------------------------------------------------------------


@pytest.mark.parametrize("library", LIBRARIES)
def test_columns_are_read_alike_in_every_library(library):
    frame = LIBRARIES[library](people())
    columns = learn_columns(frame, KINDS)
    assert [(c.name, c.kind) for c in columns] == [
        ("age", "real"),
        ("city", "category"),
        ("member", "boolean"),
        ("visits", "count"),
        ("joined", "date"),
    ]
    assert columns[1].categories == ("Graz", "Oslo")
    reference = learn_columns(people(), KINDS)
    np.testing.assert_array_equal(encode(frame, columns), encode(people(), reference))


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_matrix_goes_back_to_the_table_it_came_from(library):
    frame = LIBRARIES[library](people())
    columns = learn_columns(frame, KINDS)
    matrix = encode(frame, columns)
    back = to_frame(decode(matrix, columns), frame)
    assert type(back) is type(frame)
    again = encode(back, columns)
    np.testing.assert_allclose(again, matrix, atol=1e-9)


@given(
    st.lists(
        st.one_of(st.none(), st.floats(-1e6, 1e6), st.integers(-1000, 1000)), min_size=1, max_size=20
    ).filter(lambda values: any(v is not None for v in values))
)
@settings(max_examples=50)
def test_numbers_survive_the_way_there_and_back(values):
    frame = pa.table({"x": pa.array([None if v is None else float(v) for v in values])})
    columns = learn_columns(frame)
    back = decode(encode(frame, columns), columns)["x"]
    expected = np.array([np.nan if v is None else float(v) for v in values])
    np.testing.assert_array_equal(back, expected)


def test_dates_keep_their_time_zone_and_their_seconds():
    times = pd.Series(pd.date_range("2024-03-31", periods=4, freq="7h", tz="Europe/Vienna"))
    columns = learn_columns(pd.DataFrame({"t": times}))
    back = decode(encode(pd.DataFrame({"t": times}), columns), columns)["t"]
    np.testing.assert_array_equal(back, times.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy())


def test_a_frame_of_numbers_is_the_array_of_its_numbers():
    """Scikit-learn holds every estimator to this."""
    for x in (RNG.random((30, 4)), RNG.normal(size=(30, 4)) * 50, RNG.integers(0, 9, (30, 4))):
        plain, named = load_data(x), load_data(pd.DataFrame(x, columns=list("abcd")))
        np.testing.assert_array_equal(plain.train.x, named.train.x)
        assert (plain.spec.offset, plain.spec.scale) == (named.spec.offset, named.spec.scale)
        assert [c.name for c in named.spec.columns] == list("abcd")
        assert not named.spec.mixed


BAD_TABLES = {
    "no values": ({"a": [None, None], "b": [1.0, 2.0]}, "column 'a' has no values"),
    "infinite": ({"a": [1.0, math.inf]}, "infinite, first inf at row 1"),
    "a word": ({"a": ["1", "2", "two"]}, "first 'two' at row 2"),
    "beyond 2**53": ({"a": [2**53 + 1, 1]}, "beyond 2**53"),
    "an identifier": ({"a": [f"n{i}" for i in range(300)]}, "identifier"),
    "lists": ({"a": [[1, 2], [3, 4]], "b": [1, 2]}, "cannot be learned from"),
}


@pytest.mark.parametrize("case", BAD_TABLES)
@pytest.mark.parametrize("library", ["pandas", "pyarrow"])
def test_columns_that_cannot_be_learned_from(case, library):
    values, message = BAD_TABLES[case]
    frame = pd.DataFrame(values) if library == "pandas" else pa.table(values)
    with pytest.raises(DataError) as refused:
        Autoencoder(epochs=1).fit(frame)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("kinds", "message"),
    [
        ({"visit": "count"}, "did you mean visits"),
        ({"visits": "counts"}, "did you mean count"),
        ({"age": "boolean"}, "not true or false"),
    ],
)
def test_kinds_that_do_not_fit_are_refused(kinds, message):
    with pytest.raises(InputError, match=message):
        small(column_kinds=kinds).fit(people())


def test_a_count_must_be_one():
    with pytest.raises(DataError, match=r"not a count .* first -1 at row 1"):
        small(column_kinds={"n": "count"}).fit(pd.DataFrame({"n": [1, -1, 2], "m": [1, 2, 3]}))


# --- what the network sees ----------------------------------------------------------------------


def test_gaps_become_zeros_beside_an_indicator_and_categories_one_hot():
    columns = (Column("a"), Column("c", "category", ("x", "y", "z")), Column("b"))
    reader = Reader(DataSpec((3,), "real", columns=columns, gaps=True))
    nan = math.nan
    x = torch.tensor([[1.5, 2.0, -1.0], [nan, nan, 100.0]])
    expected = torch.tensor(
        [
            [math.asinh(1.5), -math.asinh(1.0), 0, 0, 1, 0, 0, 0],
            [0.0, math.asinh(100.0), 0, 0, 0, 1, 1, 0],
        ]
    )
    torch.testing.assert_close(reader(x), expected)
    assert reader.shape == (8,)


def test_images_with_gaps_have_the_indicator_as_more_channels():
    x = np.random.default_rng(0).random((12, 8, 8))
    x[:, 2:4, 2:4] = np.nan
    model = Autoencoder("conv", 2, epochs=1, random_state=0).fit(x)
    filled = model.impute(x)
    assert np.isfinite(filled).all()
    np.testing.assert_array_equal(filled[:, 5:], x[:, 5:])


def mixed_spec():
    columns = (
        Column("n", "count"),
        Column("c", "category", ("x", "y", "z")),
        Column("a"),
        Column("b", "boolean"),
        Column("d", "category", ("p", "q")),
    )
    return DataSpec((5,), "real", (0.7, 0, 0, 0, 0), (0.5, 1, 1, 1, 1), columns=columns)


def test_each_column_has_the_log_probability_of_its_kind():
    """Against scipy."""
    torch.manual_seed(0)
    likelihood = Mixed(mixed_spec())
    dispersion = 2.5
    likelihood.log_dispersion.set(torch.tensor([dispersion]).log())
    params = torch.randn(1, 1, likelihood.width)
    real, logit, count, first, second = params[0, 0].split([1, 1, 1, 3, 2])
    rate = math.exp(float(count) * 0.5 + 0.7)
    seen = (math.log1p(4) - 0.7) / 0.5
    x = torch.tensor([[seen, 2.0, 0.3, 1.0, 0.0]])
    expected = [
        scipy.stats.nbinom.logpmf(4, dispersion, dispersion / (dispersion + rate)),
        float(torch.log_softmax(first, 0)[2]),
        scipy.stats.norm.logpdf(0.3, float(real)),
        scipy.stats.bernoulli.logpmf(1, 1 / (1 + math.exp(-float(logit)))),
        float(torch.log_softmax(second, 0)[0]),
    ]
    p = likelihood(params)
    assert p.entries(x)[0, 0].tolist() == pytest.approx(expected, rel=1e-4)
    assert p.log_prob(x).item() == pytest.approx(sum(expected), rel=1e-4)


def test_what_is_missing_counts_nothing_and_sends_no_gradient():
    likelihood = Mixed(mixed_spec(), learned=True)
    params = torch.randn(2, 3, likelihood.width, requires_grad=True)
    x = torch.full((3, 5), math.nan)
    x[:, 2] = 0.5
    mask = ~torch.isnan(x)
    entries = likelihood(params).entries(x, mask)
    assert (entries[..., [0, 1, 3, 4]] == 0).all()
    entries.sum().backward()
    moved = params.grad.abs().sum((0, 1)) > 0
    assert moved.tolist() == [True, True] + [False] * (likelihood.width - 2)


def test_draws_have_the_moments_of_the_likelihood():
    likelihood = Mixed(mixed_spec())
    torch.manual_seed(0)
    params = torch.randn(likelihood.width).expand(1, 20_000, -1)
    p = likelihood(params)
    x = p.sample()[0]
    rate = float((params[0, 0, 2] * 0.5 + 0.7).exp())
    counts = torch.expm1(x[:, 0] * 0.5 + 0.7)
    assert float(counts.mean()) == pytest.approx(rate, abs=4 * math.sqrt(rate / 20_000))
    shares = [float((x[:, 1] == k).float().mean()) for k in range(3)]
    assert shares == pytest.approx(p.shares()[0, 0, 0].tolist(), abs=0.02)
    assert float(x[:, 3].mean()) == pytest.approx(float(p.mean[0, 0, 3]), abs=0.02)
    assert set(x[:, 3].tolist()) == {0.0, 1.0}


def test_noise_that_means_nothing_for_categories_is_refused():
    spec = load_data(people(), table=TableOptions(kinds=KINDS)).spec
    for noise in ("gaussian", "masking", "salt_and_pepper"):
        with pytest.raises(IncompatibleError, match="noise=missing"):
            build("mlp", spec, noise=noise)
    with pytest.raises(IncompatibleError, match="bernoulli"):
        build("vae", spec, likelihood="bernoulli")
    with pytest.raises(IncompatibleError, match="networks of your own"):
        build("mlp", spec, encoder=torch.nn.Linear(5, 2), decoder=torch.nn.Linear(2, 5))


def test_a_missing_value_says_nothing_to_the_code():
    """Whatever stands where the mask is false, the loss is the same."""
    spec = DataSpec((3,), "real", gaps=True)
    recipe = build("mlp", spec, latent_dim=2, hidden=(4,))
    x = torch.randn(5, 3)
    x[2, 1] = math.nan
    objective = recipe.updates[0].objective.objective  # inside the one that hides more
    losses = []
    for value in (0.0, 1e6, math.nan):
        target = x.clone()
        target[2, 1] = value
        batch = Batch(x, target, mask=~torch.isnan(x))
        losses.append(objective(recipe.model, batch, None).total.item())
    assert losses[0] == losses[1] == losses[2]
    assert math.isfinite(losses[0])


# --- the estimator ------------------------------------------------------------------------------


@pytest.mark.parametrize("recipe", ["mlp", "vae", "linear"])
@pytest.mark.parametrize("library", LIBRARIES)
def test_every_method_takes_tables_and_gives_tables(recipe, library):
    frame = LIBRARIES[library](people())
    model = small(recipe).fit(frame)
    z = model.transform(frame)
    assert z.shape == (N, 2)
    assert np.isfinite(z).all()
    for back in (model.reconstruct(frame), model.inverse_transform(z), model.sample(N)):
        assert type(back) is type(frame)
        assert list(learn_columns(back, KINDS if recipe == "none" else None))[1].kind == "category"
    assert np.isfinite(model.score_samples(frame)).all()
    assert model.score(frame) == pytest.approx(model.score_samples(frame).mean())
    assert list(model.feature_names_in_) == list(VALUES)


@pytest.mark.parametrize("library", LIBRARIES)
def test_imputing_fills_gaps_and_touches_nothing_else(library):
    frame = LIBRARIES[library](people())
    model = small("vae").fit(frame)
    for filled in (model.impute(frame), *model.impute(frame, n_draws=2)):
        assert type(filled) is type(frame)
        as_pandas = filled if library == "pandas" else filled.to_pandas()
        given = people().reset_index(drop=True)
        result = as_pandas.reset_index(drop=True)
        assert not result.isna().any().any()
        for name in VALUES:
            known = given[name].notna()
            assert (result[name][known] == given[name][known]).all(), name
        assert set(result["city"]) <= {"Graz", "Oslo"}
        assert (result["visits"] == result["visits"].round()).all()
    if library == "pandas":
        assert list(model.impute(frame).index) == list(frame.index)


def test_draws_differ_and_repeat_with_their_seed():
    model = small("vae").fit(people())
    first, second = model.impute(people(), n_draws=2, seed=3)
    assert not first.equals(second)
    assert first.equals(model.impute(people(), n_draws=2, seed=3)[0])
    with pytest.raises(IncompatibleError, match="one way to fill"):
        small("mlp").fit(people()).impute(people(), n_draws=2)
    with pytest.raises(OptionError, match="at least 1"):
        model.impute(people(), n_draws=0)


def test_a_model_without_gaps_says_how_to_have_them():
    model = small("mlp").fit(people(gaps=0))
    with pytest.raises(OptionError, match="noise=missing"):
        model.impute(people())
    knows = Autoencoder("mlp", 2, epochs=1, options={"noise": "missing"}, column_kinds=KINDS)
    assert not knows.fit(people(gaps=0)).impute(people()).isna().any().any()


def test_new_tables_must_fit():
    model = small().fit(people())
    frame = people()
    with pytest.raises(ValueError, match="Feature names must be in the same order"):
        model.transform(frame[list(VALUES)[::-1]])
    with pytest.raises(ValueError, match="unseen at fit time"):
        model.transform(frame.assign(more=1))
    moved = frame.assign(city=["Graz"] * 3 + ["Bern"] * (N - 3))
    assert np.isfinite(model.transform(moved)).all()
    model.set_params(handle_unknown="error")
    with pytest.raises(DataError, match=r"category 'Bern' \(first at row 3\) was never seen"):
        model.transform(moved)
    with pytest.raises(DataError, match="should hold numbers and has 'x' at row 0"):
        model.transform(frame.assign(age=["x"] * N))
    with pytest.raises(DataError, match="should hold dates"):
        model.transform(frame.assign(joined=1.0))


def test_saving_keeps_columns_and_gaps(tmp_path):
    model = small().fit(people())
    model.save(tmp_path)
    again = load(tmp_path, device="cpu")
    np.testing.assert_array_equal(again.transform(people()), model.transform(people()))
    assert again.trained_.spec == model.trained_.spec
    assert again.impute(people()).equals(model.impute(people()))


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "nothing"},
        {"categories": ["a", "a"]},
        {"categories": []},
        {"categories": [1]},
        {"origin": math.inf},
        {"name": 7},
        {"name": "a"},
    ],
    ids=str,
)
def test_a_damaged_column_is_refused(change):
    columns = [
        {"name": "a", "kind": "real", "categories": [], "origin": 0.0},
        {"name": "c", "kind": "category", "categories": ["x", "y"], "origin": 0.0} | change,
    ]
    fields = {"shape": [2], "kind": "real", "offset": [0, 0], "scale": [1, 1], "columns": columns}
    with pytest.raises((ValueError, ModelFileError)):
        _spec(fields)


def test_learning_finds_what_the_columns_share():
    """All of them come from one number, so a code of one number explains them."""
    values = {
        "a": A,
        "b": -2 * A + 1,
        "sign": np.where(A > 0, "plus", "minus"),
        "large": A > 1,
        "n": np.round(np.exp(A + 1)),
    }
    frame = pd.DataFrame(values)
    hidden = frame.copy()
    gone = np.random.default_rng(2).random(N) < 0.3
    hidden.loc[gone, "sign"] = None
    model = Autoencoder("mlp", 1, column_kinds={"n": "count"}, random_state=0, epochs=150)
    filled = model.fit(hidden).impute(hidden)
    right = (filled["sign"] == frame["sign"])[gone].mean()
    assert right >= 0.9


# --- files and the command line -----------------------------------------------------------------

ENDINGS = ("csv", "tsv", "parquet", "feather", "arrow")


def written(folder, ending, table):
    path = folder / f"people.{ending}"
    if ending in ("csv", "tsv"):
        table.to_pandas().to_csv(path, index=False, sep="\t" if ending == "tsv" else ",")
    elif ending == "parquet":
        pa.parquet.write_table(table, path)
    else:
        pa.feather.write_feather(table, path)
    return path


def with_names(gaps=0.15):
    frame = people(gaps).reset_index(drop=True)
    frame.insert(0, "name", [f"p{i}" for i in range(N)])
    frame["group"] = ["x", "y"] * (N // 2)
    return pa.Table.from_pandas(frame, preserve_index=False)


@pytest.mark.parametrize("ending", ENDINGS)
def test_files_of_all_kinds_are_the_same_table(tmp_path, ending):
    options = TableOptions(label="group", id="name", kinds=KINDS)
    data = load_data(written(tmp_path, ending, with_names()), table=options)
    same = load_data(with_names(), table=options)
    np.testing.assert_allclose(data.train.x, same.train.x, rtol=1e-6)
    assert data.train.ids.tolist() == same.train.ids.tolist()
    assert set(data.train.labels) == {"x", "y"}
    assert [c.name for c in data.spec.columns] == list(VALUES)


BAD_CSV = {
    "empty": (b"", "empty"),
    "ragged": (b"a,b\n1,2\n3\n", "line 3: 1 cells, and the first line has 2"),
    "twice": (b"a,a\n1,2\n3,4\n", "two columns are named 'a'"),
    "bytes": (b"a,b\n\xff\x81\xfa,2\n", "UTF"),
    "one row": (b"a,b\n1,2\n", "at least 2"),
    "only a header": (b"a,b\n", "no rows"),
}


@pytest.mark.parametrize("case", BAD_CSV)
def test_damaged_files_are_refused_in_one_line(cli, tmp_path, case):  # noqa: F811
    content, message = BAD_CSV[case]
    (tmp_path / "x.csv").write_bytes(content)
    result = cli("train", tmp_path / "x.csv", "--epochs", 1, "--out", tmp_path / "r")
    assert result.code == 2, result
    assert message in result.err
    assert result.err.count("\n") == 1
    assert not (tmp_path / "r").exists()


def test_marks_and_headers_of_csv_files_are_found(tmp_path):
    for text in ("a;b\n1;2\n3;4\n5;7\n", "a\tb\n1\t2\n3\t4\n5\t7\n", "﻿a,b\n1,2\n3,4\n5,7\n"):
        path = tmp_path / "x.csv"
        path.write_text(text, encoding="utf-8")
        data = load_data(path)
        assert [c.name for c in data.spec.columns] == ["a", "b"]
    path.write_text("1,2\n3,4\n5,7\n")
    assert len(load_data(path).train) == 3


@pytest.fixture
def run(cli, tmp_path):  # noqa: F811
    written(tmp_path, "csv", with_names())
    result = cli(
        *("train", tmp_path / "people.csv", "--recipe", "vae", "--set", "latent_dim=2"),
        *("--set", "hidden=8", "--epochs", 2, "--id", "name", "--label", "group"),
        *("--kind", "visits=count", "--out", tmp_path / "run", "--quiet"),
    )
    assert result.code == 0, result
    return tmp_path / "run"


def test_what_is_written_keeps_names_of_rows_and_columns(cli, tmp_path, run):  # noqa: F811
    for ending in ("csv", "parquet", "feather"):
        out = tmp_path / f"z.{ending}"
        assert cli("embed", run, tmp_path / "people.csv", "-o", out).code == 0
        codes = getattr(pd, f"read_{ending}")(out)
        assert list(codes.columns) == ["name", "z0", "z1"]
        assert list(codes["name"]) == [f"p{i}" for i in range(N)]
        decoded = tmp_path / f"d.{ending}"
        assert cli("decode", run, out, "-o", decoded).code == 0
    back = tmp_path / "r.csv"
    assert cli("reconstruct", run, tmp_path / "people.csv", "-o", back).code == 0
    assert list(pd.read_csv(back).columns) == ["name", *VALUES, "group"]
    filled = tmp_path / "f.csv"
    result = cli("impute", tmp_path / "people.csv", "--run", run, "-o", filled, "--json")
    assert result.json["filled"] == int(people().isna().sum().sum())
    assert list(pd.read_csv(filled).columns) == ["name", *VALUES, "group"]
    assert not pd.read_csv(filled).isna().any().any()
    several = cli("impute", tmp_path / "people.csv", "--run", run, "--draws", 2, "-o", filled, "--json")
    assert [path.rsplit("/", 1)[1] for path in several.json["files"]] == ["f-1.csv", "f-2.csv"]


def test_a_table_may_be_imputed_without_a_run(cli, tmp_path, hurried):  # noqa: F811
    hurried(20)
    written(tmp_path, "parquet", with_names())
    out = tmp_path / "filled.parquet"
    arguments = ("impute", tmp_path / "people.parquet", "--id", "name", "-o", out, "--quiet")
    assert cli(*arguments, "--save", tmp_path / "kept").code == 0
    assert not pd.read_parquet(out).isna().any().any()
    again = tmp_path / "again.parquet"
    kept = ("impute", tmp_path / "people.parquet", "--run", tmp_path / "kept", "-o", again, "--quiet")
    assert cli(*kept).code == 0
    assert pd.read_parquet(again).equals(pd.read_parquet(out))
    assert load_config(tmp_path / "kept")["recipe"] == "mlp_impute"


def test_columns_are_found_by_name_and_what_is_unknown_is_refused(cli, tmp_path, run):  # noqa: F811
    frame = with_names().to_pandas()
    other = tmp_path / "other.csv"
    frame[list(frame.columns[::-1])].to_csv(other, index=False)
    for path, out in ((tmp_path / "people.csv", "a.npy"), (other, "b.npy")):
        assert cli("embed", run, path, "-o", tmp_path / out).code == 0
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), np.load(tmp_path / "b.npy"))
    for changed, message in (
        (frame.drop(columns="age"), "no column 'age'"),
        (frame.assign(weight=1), "unknown column 'weight'"),
        (frame.assign(city="Bern"), "'Bern'"),
    ):
        unknown = ("--handle-unknown", "error") if message == "'Bern'" else ()
        changed.to_csv(other, index=False)
        result = cli("embed", run, other, "-o", tmp_path / "c.npy", *unknown)
        assert (result.code, message in result.err) == (2, True), result
        assert not (tmp_path / "c.npy").exists()
    result = cli("embed", run, other, "-o", tmp_path / "c.npy")
    assert (result.code, result.err.count("'Bern'")) == (0, 1), result
    assert len(np.load(tmp_path / "c.npy")) == len(frame)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--label", "grup"], "did you mean group"),
        (["--drop", "nothing"], "no column 'nothing'"),
        (["--kind", "visits"], "COLUMN=KIND"),
        (["--kind", "visits=number"], "unknown kind 'number'"),
        ([f"--drop={name}" for name in ("name", "group", *VALUES)], "no column is left"),
    ],
)
def test_wrong_columns_are_refused(cli, tmp_path, arguments, message):  # noqa: F811
    many = pa.concat_tables([with_names()] * 2).set_column(
        0, "name", pa.array([f"p{i}" for i in range(2 * N)])
    )
    path = written(tmp_path, "csv", many)
    result = cli("train", path, *arguments, "--epochs", 1, "--out", tmp_path / "r")
    assert (result.code, message in result.err) == (2, True), result
    assert not (tmp_path / "r").exists()


def test_a_run_on_a_table_goes_on_to_the_bit(cli, tmp_path, run):  # noqa: F811
    """The configuration holds all that reads the file in the same way again."""
    config = json.loads((run / "config.json").read_text())
    assert config["data"]["table"]["id"] == "name"
    result = cli("evaluate", run, "--json")
    measured = json.loads((run / "metrics.json").read_text())
    assert result.json["mse"] == pytest.approx(measured["mse"], rel=1e-5)
    assert result.json["accuracy"] == pytest.approx(measured["accuracy"])
