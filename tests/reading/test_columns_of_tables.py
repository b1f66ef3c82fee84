"""Columns that number or name rows, and columns of types of their own."""

import datetime as dt
import math

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest

from autoencode import Autoencoder
from autoencode.data import TableOptions, load_data, load_examples
from autoencode.errors import DataError

# Columns that number or name rows


N = 60
VALUES = np.random.default_rng(0).normal(size=N)
NAMES_OF_ROWS = {
    "Unnamed: 0": list(range(N)),
    "rownames": list(range(1, N + 1)),
    "patient": list(range(1, N + 1)),
    "PassengerId": (np.arange(N) * 7 + 100)[::-1].tolist(),
    "customer_id": np.random.default_rng(1).permutation(10**6)[:N].tolist(),
    "mail": [f"u{i}@example.org" for i in range(N)],
    "key": [f"{i:08x}-0000-4000-8000-{i:012x}" for i in range(N)],
    "name": [f"person {i}" for i in range(N)],
}
MEASURED = {
    "year": list(range(1961, 1961 + N)),
    "time": list(range(N)),
    "age": list(range(1, N + 1)),
    "balance": np.random.default_rng(2).permutation(10**6)[:N].tolist(),
    "rank": np.random.default_rng(3).permutation(N).tolist(),
    "length": np.sort(np.random.default_rng(4).random(N)).tolist(),
    "humid": np.random.default_rng(5).permutation(10**4)[:N].tolist(),
    "job": [f"job {i % 40}" for i in range(N)],
}


@pytest.mark.parametrize("name", NAMES_OF_ROWS)
def test_names_of_rows_are_left_out_and_said(tmp_path, name):
    frame = pd.DataFrame({name: NAMES_OF_ROWS[name], "v": VALUES})
    frame.to_csv(tmp_path / "x.csv", index=False)
    data = load_data(tmp_path / "x.csv")
    assert data.spec.column_names == ("v",)
    assert data.table.drop == (name,)
    assert any(f"keep='{name}' (--keep {name})" in notice for notice in data.notices)
    if name not in ("mail", "key", "name"):  # as an identifier of text cannot be learned from
        kept = load_data(tmp_path / "x.csv", table=TableOptions(keep=(name,)))
        assert kept.spec.column_names == (name, "v")


@pytest.mark.parametrize("name", MEASURED)
def test_no_measurement_is_left_out(tmp_path, name):
    pd.DataFrame({name: MEASURED[name], "v": VALUES}).to_csv(tmp_path / "x.csv", index=False)
    data = load_data(tmp_path / "x.csv")
    assert data.spec.column_names == (name, "v")


def test_columns_without_values_are_left_out_and_said(tmp_path):
    pd.DataFrame({"none": np.nan, "v": VALUES}).to_csv(tmp_path / "x.csv", index=False)
    data = load_data(tmp_path / "x.csv")
    assert (data.spec.column_names, data.table.drop) == (("v",), ("none",))
    assert any("'none' holds no values" in notice for notice in data.notices)


def test_a_table_of_nothing_else_is_learned_from(tmp_path):
    (tmp_path / "x.csv").write_text("id\n" + "\n".join(map(str, range(50))))
    assert load_data(tmp_path / "x.csv").spec.column_names == ("id",)


# Columns of types of their own


def test_decimals_durations_and_times_are_numbers(tmp_path):
    import decimal

    table = pa.table(
        {
            "price": pa.array([decimal.Decimal("1.25"), None, decimal.Decimal("3.50")] * 8),
            "took": pa.array([3_600, 5_400, 7_200] * 8, pa.duration("s")),
            "at": pa.array([dt.time(13, 30), dt.time(1, 15), None] * 8),
        }
    )
    pa.parquet.write_table(table, tmp_path / "x.parquet")
    data = load_data(tmp_path / "x.parquet")
    x = np.concatenate([data.train.x, data.test.x])
    assert set(x[:, 1]) == {1.0, 1.5, 2.0}
    assert {v for v in x[:, 0] if not math.isnan(v)} == {1.25, 3.5}
    assert {v for v in x[:, 2] if not math.isnan(v)} == {13.5, 1.25}


@pytest.mark.parametrize(
    "values",
    [
        pd.array([1, None, 3] * 8, dtype="Int64"),
        pd.Series(["1,5", None, "3"] * 8, dtype="string"),
        pd.Series(["1,5", None, "3"] * 8, dtype="string[pyarrow]"),
        pd.Series([1, "2,5", None] * 8, dtype=object),
        pd.period_range("2020-01", periods=24, freq="M"),
        pd.Series(pd.to_timedelta(range(24), unit="h")),
        pd.Series(["31.12.2020", "1.2.2021", None] * 8),
        pd.array([True, None, False] * 8, dtype="boolean"),
        pd.Series([dt.date(2020, 1, 31), dt.date(2020, 2, 1), None] * 8, dtype=object),
    ],
    ids=["Int64", "string", "Arrow", "mixed", "period", "timedelta", "dates", "boolean", "objects"],
)
def test_columns_of_pandas_are_read_as_meant(values):
    data = load_data(pd.DataFrame({"v": values, "w": np.arange(24) * 0.5}))
    assert data.spec.columns[0].kind in ("real", "date", "boolean")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (pd.interval_range(0, 24), "ends"),
        (np.arange(24) * 1j, "real and imaginary parts"),
        ([[1, 2]] * 24, "cannot be learned from"),
    ],
    ids=["intervals", "complex", "lists"],
)
def test_columns_of_no_one_number_are_refused_in_one_line(values, words):
    with pytest.raises(DataError) as refused:
        load_data(pd.DataFrame({"v": values, "w": np.arange(24) * 0.5}))
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("numbers", "unit"),
    [
        (1_577_836_800 + 86_400 * np.arange(24), "epoch s"),
        ((1_577_836_800 + 86_400 * np.arange(24)) * 1000, "epoch ms"),
        ((1_577_836_800 + 86_400 * np.arange(24)) * 10**9, "epoch ns"),
        (20_200_101 + np.arange(24), "yyyymmdd"),
    ],
)
def test_numbers_are_moments_only_when_that_is_said(numbers, unit):
    frame = pd.DataFrame({"t": numbers, "w": np.arange(24) * 0.5})
    if unit != "epoch ns":  # which no float can tell apart
        assert load_data(frame).spec.columns[0].kind == "real"
    data = load_data(frame, table=TableOptions(kinds={"t": "date"}))
    days = np.datetime64("2020-01-01") + np.arange(24)
    same = load_data(pd.DataFrame({"t": days, "w": np.arange(24) * 0.5}))
    assert (data.spec.columns[0].kind, data.spec.columns[0].text) == ("date", unit)
    np.testing.assert_allclose(data.train.x, same.train.x)
    again = load_examples(frame, data.spec, table=data.table)
    np.testing.assert_allclose(again.x[:, 0], np.arange(24) + again.x[0, 0])


def test_names_that_are_no_text_become_text():
    frame = pd.DataFrame({0: VALUES, ("a", "b"): VALUES**2})
    assert load_data(frame).spec.column_names == ("0", "a/b")


def test_a_file_cannot_say_what_was_found_in_it(tmp_path):
    table = pa.table({"v": VALUES}).replace_schema_metadata({b"autoencode.text": b"no JSON"})
    pa.parquet.write_table(table, tmp_path / "x.parquet")
    assert load_data(tmp_path / "x.parquet").spec.column_names == ("v",)


def test_an_estimator_takes_text_under_names_that_are_numbers():
    frame = pd.DataFrame({0: VALUES, 1: np.where(VALUES > 0, "up", "down")})
    model = Autoencoder("mlp", 1, epochs=1, random_state=0).fit(frame)
    assert model.trained_.spec.column_names == ("0", "1")
    assert model.transform(frame).shape == (N, 1)
    assert model.score_samples(frame).shape == (N,)
