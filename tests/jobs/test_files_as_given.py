"""Files have the form of what was read: columns, order, types, shape and dtype of arrays."""

import datetime as dt

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from autoencode import Autoencoder, load
from autoencode.errors import OptionError
from cli_runs import cli  # noqa: F401  a fixture

N = 60
RNG = np.random.default_rng(0)
PEOPLE = pa.table(
    {
        "age": pa.array(RNG.integers(18, 80, N), pa.int16()),
        "who": [f"p{i}" for i in range(N)],
        "income": np.round(RNG.lognormal(3, 1, N), 2),
        "pet": pa.array(RNG.choice(["cat", "dog"], N)).dictionary_encode(),
        "member": RNG.random(N) < 0.3,
        "born": pa.array(
            [dt.date(1980, 1, 1) + dt.timedelta(int(d)) for d in RNG.integers(0, 9000, N)]
        ),
        "seen": pa.array(
            [dt.datetime(2020, 1, 1 + i % 28) for i in range(N)], pa.timestamp("ms", "UTC")
        ),
        "cls": RNG.choice(["a", "b"], N),
    }
)
NAMES = PEOPLE.column_names
LEARNED = [name for name in NAMES if name not in ("who", "cls")]


@pytest.fixture(scope="module", params=["csv", "parquet"])
def people(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("people") / f"people.{request.param}"
    table = PEOPLE
    if request.param == "csv":
        table = table.set_column(3, "pet", table["pet"].cast(pa.string()))
        pa.csv.write_csv(table, path)
        return path, pa.csv.read_csv(path)
    pa.parquet.write_table(table, path)
    return path, pa.parquet.read_table(path)


def types_of(table):
    """Types by name, but for how finely time is counted: text shows as many digits as it needs."""
    return [(one.name, "time" if pa.types.is_timestamp(one.type) else one.type) for one in table.schema]


def read(path):
    return pa.csv.read_csv(path) if path.suffix == ".csv" else pa.parquet.read_table(path)


@pytest.fixture
def run(cli, people, tmp_path, hurried):  # noqa: F811
    hurried(2)
    asked = ("--recipe", "vae", "--set", "hidden=8", "--id", "who", "--label", "cls", "--quiet")
    assert cli("train", people[0], *asked, "--out", tmp_path / "run").code == 0
    return tmp_path / "run"


def test_every_command_writes_the_table_that_it_read(cli, people, run, tmp_path):  # noqa: F811
    path, own = people
    out = tmp_path / f"out{path.suffix}"
    result = cli("reconstruct", run, path, "-o", out)
    assert result.code == 0
    assert f"{N} rows x {len(NAMES)} columns" in result.out
    floats = read(out)
    assert floats.column_names == NAMES
    assert pa.types.is_floating(floats.schema.field("age").type)
    for name in ("who", "cls"):
        assert floats[name].equals(own[name])
    assert cli("reconstruct", run, path, "--dtype", "same", "-o", out).code == 0
    same = read(out)
    assert types_of(same) == types_of(own)
    np.testing.assert_array_equal(np.rint(floats["age"].to_numpy()), same["age"].to_numpy())
    result = cli("sample", run, "-n", 5, "-o", out)
    assert f"5 rows x {len(LEARNED)} columns" in result.out
    assert types_of(read(out)) == types_of(own.select(LEARNED))
    result = cli("sample", run, "-n", 5, "--mean", "--json", "-o", out)
    assert (result.json["shape"], result.json["dtype"]) == ([5, len(LEARNED)], "table")
    assert pa.types.is_floating(read(out).schema.field("age").type)


def test_draws_of_a_loaded_run_have_the_types_of_its_columns(people, run):
    drawn = load(run).sample(4)
    assert types_of(drawn) == types_of(people[1].select(LEARNED))


def test_without_a_name_a_table_is_written_as_one(cli, run):  # noqa: F811
    assert cli("sample", run, "-n", 2).code == 0
    assert list(pd.read_csv(run / "samples.csv").columns) == LEARNED


def test_gaps_are_filled_in_the_types_of_the_file(cli, people, tmp_path, hurried):  # noqa: F811
    hurried(2)
    path, own = people
    holed = own
    for name in ("age", "income", "born", "pet"):
        at = own.column_names.index(name)
        known = pa.array([i % 5 > 0 for i in range(N)])
        holed = holed.set_column(
            at, name, pa.compute.if_else(known, own[name], pa.scalar(None, own[name].type))
        )
    given, out = tmp_path / f"holed{path.suffix}", tmp_path / f"filled{path.suffix}"
    (pa.csv.write_csv if path.suffix == ".csv" else pa.parquet.write_table)(holed, given)
    assert cli("impute", given, "--id", "who", "--label", "cls", "-o", out, "--quiet").code == 0
    filled = read(out)
    assert types_of(filled) == types_of(own)
    assert not any(column.null_count for column in filled.columns)


@pytest.mark.parametrize("shape", [(5, 4), (5, 4, 3), (3, 5, 4)])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", ">f8"])
def test_arrays_come_back_in_their_shape_and_type(cli, shape, dtype, tmp_path, hurried):  # noqa: F811
    hurried(2)
    x = RNG.integers(0, 256, (30, *shape)).astype(dtype)
    np.save(tmp_path / "x.npy", x)
    out, run = tmp_path / "out.npy", tmp_path / "run"
    assert cli("train", tmp_path / "x.npy", "--recipe", "mlp_small", "--quiet", "--out", run).code == 0
    assert cli("sample", run, "-n", 3, "-o", out).code == 0
    assert (np.load(out).shape, np.load(out).dtype) == ((3, *shape), x.dtype)
    assert cli("reconstruct", run, tmp_path / "x.npy", "-o", out).code == 0
    floats = np.load(out)
    assert (floats.shape, floats.dtype) == (x.shape, np.float32)
    assert cli("reconstruct", run, tmp_path / "x.npy", "-o", out, "--dtype", "same").code == 0
    same = np.load(out)
    assert (same.shape, same.dtype) == (x.shape, x.dtype)
    np.testing.assert_allclose(same, floats, atol=0.5001)
    flat = x.reshape(30, -1)
    np.save(tmp_path / "flat.npy", flat)
    if len(shape) == 2 or shape[0] == 3:  # the order in which models have them
        assert cli("reconstruct", run, tmp_path / "flat.npy", "-o", out).code == 0
        np.testing.assert_array_equal(np.load(out), floats.reshape(30, -1))


def test_a_denoiser_writes_what_it_read(cli, tmp_path, hurried):  # noqa: F811
    hurried(2)
    x = RNG.integers(0, 256, (20, 8, 8, 3), dtype=np.uint8)
    np.save(tmp_path / "x.npy", x)
    out = tmp_path / "out.npy"
    asked = ("--clean", tmp_path / "x.npy", "--quiet", "-o", out)
    assert cli("denoise", tmp_path / "x.npy", *asked).code == 0
    assert (np.load(out).shape, np.load(out).dtype) == (x.shape, np.uint8)
    table = PEOPLE.select(["age", "who", "income"])
    pa.parquet.write_table(table, tmp_path / "p.parquet")
    out = tmp_path / "out.parquet"
    asked = ("--clean", tmp_path / "p.parquet", "--id", "who", "--quiet", "-o", out)
    assert cli("denoise", tmp_path / "p.parquet", *asked).code == 0
    assert types_of(read(out)) == types_of(table)


def test_two_ways_to_sample_at_once_are_refused(cli, tmp_path):  # noqa: F811
    result = cli("sample", tmp_path, "--mean", "--draw")
    assert result.code == OptionError.exit_code
    assert "--mean and --draw are two ways to sample" in result.err


def test_a_model_knows_the_types_of_columns_without_a_table(tmp_path):
    columns = PEOPLE.select(LEARNED)
    model = Autoencoder("vae", 2, epochs=1, random_state=0).fit(columns)
    types = {column.name: column.dtype for column in model.trained_.spec.columns}
    assert types == {
        "age": "Int16",
        "income": "Float64",
        "pet": "Categorical",
        "member": "Boolean",
        "born": "Date",
        "seen": "Datetime(time_unit='ms', time_zone='UTC')",
    }
