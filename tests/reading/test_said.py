"""What is recognised is said once, can be said otherwise, and is kept for the next file of a model."""

import logging

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from autoencode import AnomalyDetector, Autoencoder, errors, load
from autoencode.data import TableOptions, load_data, load_examples
from autoencode.data.origin import Origin
from autoencode.trained import load_trained
from cli_runs import cli  # noqa: F401  a fixture

N = 60
RNG = np.random.default_rng(0)
AMOUNT = np.round(RNG.gamma(2, 800, N), 2)
DAYS = np.datetime64("2020-01-01") + RNG.integers(0, 1000, N).astype("timedelta64[D]")
SMALL = {"epochs": 1, "device": "cpu", "random_state": 0, "options": {"hidden": (8,)}}


def german(value):
    return f"{value:,.2f}".replace(",", "_").replace(".", ",").replace("_", ".") + " €"


def people(gaps=False):
    """As people write it: money, dates and times of a day as text."""
    frame = pd.DataFrame(
        {
            "price": [german(value) for value in AMOUNT],
            "when": [f"{day.astype(object):%d.%m.%Y}" for day in DAYS],
            "at": [f"{i % 24}:30" for i in range(N)],
            "word": np.where(AMOUNT > 1500, "high", "low"),
        }
    )
    if gaps:
        frame.loc[::7, "price"] = "-"
        frame.loc[::5, "when"] = None
    return frame


@pytest.fixture(autouse=True)
def _unsaid(monkeypatch):
    monkeypatch.setattr(errors, "_said", set())


# Python


LIBRARIES = {
    "pandas": lambda frame: frame,
    "polars": pl.from_pandas,
    "pyarrow": lambda frame: pa.Table.from_pandas(frame, preserve_index=False),
}


@pytest.mark.parametrize("library", LIBRARIES)
def test_text_in_tables_of_every_library_is_read_alike(library):
    data = load_data(LIBRARIES[library](people()))
    assert [c.kind for c in data.spec.columns] == ["real", "date", "real", "category"]
    assert [c.text for c in data.spec.columns] == [",|.|€", "dmy", "time", ""]
    same = load_data(pd.DataFrame({"price": AMOUNT, "when": DAYS, "at": np.arange(N) % 24 + 0.5}))
    np.testing.assert_allclose(data.train.x[:, 0], same.train.x[:, 0])


def test_an_estimator_says_what_it_recognised_once(caplog):
    with caplog.at_level(logging.WARNING, "autoencode"):
        for _ in range(2):
            Autoencoder("mlp", 2, **SMALL).fit(people())
    said = [record.getMessage() for record in caplog.records if record.name == "autoencode"]
    for words in ("'price': numbers with a decimal comma", "'when': dates", "'at': times of a day"):
        assert sum(words in line for line in said) == 1, said
    assert all("\n" not in line for line in said)


def test_new_rows_are_read_as_those_of_training(tmp_path):
    model = Autoencoder("mlp", 2, **SMALL).fit(people())
    frame = pd.DataFrame(
        {"price": ["1.234", "2.500"], "when": "01/02/2020", "at": "4:15 PM", "word": "low"}
    )
    plain = pd.DataFrame(
        {
            "price": [1234.0, 2500.0],
            "when": np.datetime64("2020-02-01", "us"),
            "at": 16.25,
            "word": "low",
        }
    )
    np.testing.assert_array_equal(model.transform(frame), model.transform(plain))
    model.save(tmp_path)
    np.testing.assert_array_equal(load(tmp_path).transform(frame), model.transform(plain))


def test_an_estimator_is_told_how_text_is_spelled():
    frame = pd.DataFrame(
        {"v": [f"1,{i:03}" for i in range(N)], "d": [f"{i % 12 + 1}/02/2020" for i in range(N)]}
    )
    guessed = Autoencoder("mlp", 1, **SMALL).fit(frame).trained_.spec
    told = Autoencoder("mlp", 1, decimal=",", date_order="dmy", **SMALL).fit(frame).trained_.spec
    assert guessed.columns[0].text.startswith(".|,")
    assert told.columns[0].text.startswith(",|")
    assert (guessed.columns[1].text, told.columns[1].text) == ("mdy", "dmy")
    assert told.offset[0] == pytest.approx(1 + (N - 1) / 2000)


def test_gaps_in_text_are_filled_with_numbers_and_dates():
    frame = people(gaps=True)
    filled = Autoencoder("mlp", 2, **SMALL).fit(frame).impute(frame)
    assert filled["price"].dtype == float
    assert str(filled["when"].dtype).startswith("datetime64")
    assert not filled.isna().any().any()
    np.testing.assert_allclose(filled["price"][1:7], AMOUNT[1:7])
    assert (filled["when"].to_numpy()[1:5].astype("datetime64[D]") == DAYS[1:5]).all()


def test_draws_of_text_are_numbers_and_dates():
    drawn = Autoencoder("vae", 2, **SMALL).fit(people()).sample(5, seed=0)
    assert drawn["price"].dtype == float
    assert str(drawn["when"].dtype).startswith("datetime64")


def test_frames_keep_their_numbers_of_rows_and_it_is_said(caplog):
    frame = pd.DataFrame({"id": np.arange(N), "v": AMOUNT})
    with caplog.at_level(logging.WARNING, "autoencode"):
        model = AnomalyDetector(**{k: v for k, v in SMALL.items() if k != "options"}).fit(frame)
    assert model.trained_.spec.column_names == ("id", "v")
    assert "column 'id' holds 0 to 59, the numbers of the rows" in caplog.text


def test_options_survive_their_way_through_a_file():
    options = TableOptions("a", "b", ("c",), {"d": "count"}, ("e",), False, ",", ".", "dmy")
    assert TableOptions.from_dict(options.as_dict()) == options
    assert Origin.from_dict(Origin(table=options).as_dict()).table == options
    assert TableOptions().as_dict() == {"label": None, "id": None, "drop": [], "kinds": {}}


def test_a_file_is_read_again_by_its_model_with_and_without_names_of_rows(tmp_path):
    frame = people().assign(id=range(1, N + 1))
    frame.to_csv(tmp_path / "a.csv", sep=";", index=False)
    data = load_data(tmp_path / "a.csv")
    assert data.table.drop == ("id",)
    for columns in (list(frame), [name for name in frame if name != "id"]):
        frame[columns].to_csv(tmp_path / "b.csv", index=False)
        again = load_examples(tmp_path / "b.csv", data.spec, table=data.table)
        np.testing.assert_allclose(again.x[:, 0], AMOUNT)


# The command line


def test_a_run_reads_the_next_file_as_its_own(cli, tmp_path, hurried):  # noqa: F811
    hurried(5)
    frame = people().assign(Nr=range(1, N + 1))
    frame.to_csv(tmp_path / "a.csv", sep=";", index=False)
    done = cli("train", "a.csv", "--epochs", 1, "--set", "latent_dim=2", "--out", "run")
    assert done.code == 0, done
    for words in (
        "'price': numbers with a decimal comma",
        "'when': dates",
        "column 'Nr' holds 1 to 60",
    ):
        assert done.err.count(words) == 1, done.err
    spec = load_trained(tmp_path / "run").spec
    assert spec.column_names == ("price", "when", "at", "word")
    # Alone, it would be 1.234 in English.
    (tmp_path / "b.csv").write_text(
        "price;when;at;word\n1.234;01/02/2020;4:30;low\n2.500;3/4/2020;5:30;high\n"
    )
    assert cli("reconstruct", "run", "b.csv", "-o", "back.csv").code == 0
    assert cli("embed", "run", "b.csv", "-o", "z.npy").code == 0
    (tmp_path / "c.csv").write_text(
        "price,when,at,word\n1234.0,2020-02-01,4.5,low\n2500.0,2020-04-03,5.5,high\n"
    )
    assert cli("embed", "run", "c.csv", "-o", "same.npy").code == 0
    np.testing.assert_array_equal(np.load("z.npy"), np.load("same.npy"))
    assert cli("embed", "run", "b.csv", "--date-order", "mdy", "-o", "other.npy").code == 0
    assert not np.array_equal(np.load("z.npy"), np.load("other.npy"))


def test_what_is_filled_is_written_as_numbers_and_dates(cli, tmp_path, hurried):  # noqa: F811
    hurried(5)
    people(gaps=True).to_csv(tmp_path / "a.csv", sep=";", index=False)
    done = cli("impute", "a.csv", "-o", "filled.csv", "--quiet", "--save", "kept")
    assert done.code == 0, done
    assert "decimal comma" in done.err
    filled = pd.read_csv("filled.csv", parse_dates=["when"])
    np.testing.assert_allclose(filled["price"][1:7], AMOUNT[1:7])
    assert (filled["when"].to_numpy()[1:5].astype("datetime64[D]") == DAYS[1:5]).all()
    again = cli("impute", "a.csv", "--run", "kept", "-o", "again.csv", "--quiet")
    assert again.code == 0, again
    assert (tmp_path / "again.csv").read_text() == (tmp_path / "filled.csv").read_text()


def test_every_option_of_the_command_line_decides(cli, tmp_path, hurried):  # noqa: F811
    hurried(5)
    lines = [f"{i % 9 + 1}/{i % 12 + 1}/2020;1,{i:03};{i + 1}" for i in range(N)]
    (tmp_path / "a.csv").write_text("\n".join(lines))
    options = (
        "--no-header",
        "--decimal",
        ".",
        "--thousands",
        ",",
        "--date-order",
        "mdy",
        "--keep",
        "f2",
    )
    done = cli("train", "a.csv", *options, "--epochs", 1, "--set", "latent_dim=1", "--out", "run")
    assert done.code == 0, done
    trained = load_trained(tmp_path / "run")
    assert trained.spec.column_names == ("f0", "f1", "f2")
    assert [c.text for c in trained.spec.columns] == ["mdy", ".|,|", ""]
    assert trained.spec.offset[1] > 1000
    assert trained.origin.table.date_order == "mdy"
