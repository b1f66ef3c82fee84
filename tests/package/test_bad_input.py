"""Data that cannot be used: one clear line each, from every estimator and from the command line."""

import itertools

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse
from PIL import Image

from autoencode import AnomalyDetector, Autoencoder, Denoiser
from autoencode.errors import DataError, InputError
from cli_runs import assert_refused, cli  # noqa: F401  a fixture

RNG = np.random.default_rng(0)
N = 60
A = RNG.normal(size=N)
QUICK = {"epochs": 1, "options": {"min_steps": 5, "hidden": (8,)}, "device": "cpu", "random_state": 0}
ESTIMATORS = {
    "Autoencoder": lambda: Autoencoder("mlp", 2, **QUICK),
    "Denoiser": lambda: Denoiser("missing", 0.2, **QUICK),
    "AnomalyDetector": lambda: AnomalyDetector(**QUICK),
}


def people(**columns) -> pd.DataFrame:
    """A table of a number, a category and a count, with other columns or none (``None``)."""
    frame = pd.DataFrame({"age": 40 + 10 * A, "city": np.where(A > 0, "Graz", "Oslo"), "visits": 3.0})
    frame["visits"] = np.arange(N) % 7
    for name, values in columns.items():
        if values is None:
            frame = frame.drop(columns=name)
        else:
            frame[name] = values
    return frame


def with_word(word) -> list:
    return [word if i == 5 else str(i) for i in range(N)]


# --- what cannot be learned from ----------------------------------------------------------------

TABLES = {
    "text among numbers": (people(age=with_word("many")), ["'age'", "'many' at row 5"]),
    "no value in a column": (people(age=np.nan), ["'age'", "no values; drop it"]),
    "infinite": (people(age=np.where(np.arange(N) == 4, np.inf, A)), ["'age'", "infinite", "row 4"]),
    "beyond 2**53": (people(visits=np.arange(N) * 7 % N + 2**53), ["'visits'", "beyond 2**53"]),
    "an identifier": (people(city=[f"n{i}" for i in range(N)] * 1), ["'city'", "identifier"]),
    "one row": (people().head(1), ["at least 2 examples"]),
    "no row": (people().head(0), ["no rows"]),
    "two columns of a name": (pd.concat([people(), people()[["age"]]], axis=1), ["'age'", "rename"]),
}


@pytest.mark.parametrize("case", TABLES)
@pytest.mark.parametrize("name", ESTIMATORS)
def test_tables_that_cannot_be_learned_from(name, case):
    frame, mentions = TABLES[case]
    if case == "an identifier":  # of few rows any category is one
        frame = pd.concat([frame.assign(city=[f"{k}n{i}" for i in range(N)]) for k in range(5)])
    with pytest.raises(InputError) as refused:
        ESTIMATORS[name]().fit(frame)
    assert_one_line(refused, *mentions)


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize("kind", [scipy.sparse.csr_matrix, scipy.sparse.csr_array])
def test_sparse_data_that_cannot_be_learned_from(name, kind):
    x = RNG.random((20, 4))
    x[5, 2] = np.inf
    with pytest.raises(DataError) as refused:
        ESTIMATORS[name]().fit(kind(x))
    assert_one_line(refused, "infinite", "row 5, column 2")
    fitted = ESTIMATORS[name]().fit(np.nan_to_num(x, posinf=1.0))
    with pytest.raises(DataError) as refused:
        use(fitted, kind(x))
    assert_one_line(refused, "infinite", "row 5, column 2")


@pytest.mark.parametrize("name", ESTIMATORS)
def test_a_constant_column_and_a_constant_table_are_learned_from(name):
    for frame in (people(age=1.0), people().assign(age=1.0, city="Graz", visits=2)):
        found = np.asarray(use(ESTIMATORS[name]().fit(frame), frame))
        assert len(found) == N
        assert not pd.isna(found).any()


# --- what does not fit a model that is there ----------------------------------------------------

FITTING = {
    "a column less": (people(visits=None), ["visits"]),
    "a column more": (people(more=1.0), ["more"]),
    "text in a column of numbers": (people(age="old"), ["'age'", "'old'"]),
    "infinite": (people(age=-np.inf), ["'age'", "infinite"]),
}


@pytest.mark.parametrize("case", FITTING)
@pytest.mark.parametrize("name", ESTIMATORS)
def test_tables_that_do_not_fit_a_model(name, case):
    fitted = ESTIMATORS[name]().fit(people())
    frame, mentions = FITTING[case]
    with pytest.raises(ValueError, match=mentions[0]) as refused:
        use(fitted, frame)
    for mention in mentions:
        assert mention in str(refused.value)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_784_columns_and_then_30(name):
    fitted = ESTIMATORS[name]().fit(RNG.random((30, 784)))
    with pytest.raises(DataError) as refused:
        use(fitted, RNG.random((5, 30)))
    assert_one_line(refused, "30 features", "expecting 784")


@pytest.mark.parametrize("name", ESTIMATORS)
def test_images_of_another_mode_and_size(name):
    """Colours for a model of grey images, and the other way round."""
    grey, colour = RNG.random((20, 8, 8)), RNG.random((20, 8, 8, 3))
    for learned, given in ((grey, colour), (colour, grey), (grey, RNG.random((20, 9, 8)))):
        if name == "Denoiser" and given.shape[1:] == (9, 8):
            continue  # its recipe takes any size
        fitted = ESTIMATORS[name]()
        if name == "Denoiser":
            fitted.set_params(options={"channels": (4,), "strides": (2,)})
        with pytest.raises(DataError) as refused:
            use(fitted.fit(learned), given)
        assert_one_line(refused, "values per example")


def use(estimator, x):
    """What the estimator is for."""
    return estimator.predict(x) if isinstance(estimator, AnomalyDetector) else estimator.transform(x)


def assert_one_line(refused, *mentions):
    message = str(refused.value)
    assert "\n" not in message
    for mention in mentions:
        assert mention in message, message


# --- from the command line ----------------------------------------------------------------------

TRAINED = ("--recipe", "mlp", "--epochs", "1", "--set", "hidden=8", "--set", "min_steps=5")
COMMANDS = {
    "train": lambda data: ("train", data, *TRAINED, "--out", "r", "--quiet"),
    "anomalies": lambda data: ("anomalies", data, "-o", "out.csv", "--quiet"),
    "impute": lambda data: ("impute", data, "-o", "out.csv", "--quiet"),
    "denoise": lambda data: ("denoise", data, "--clean", data, "-o", "out.csv", "--quiet"),
}
FILES = {
    "text among numbers": (people(age=with_word("unknown")), ["'age'", "'unknown' at "]),
    "infinite": (people(age=np.where(np.arange(N) == 4, np.inf, A)), ["'age'", "infinite", "row 4"]),
    "beyond 2**53": (people(visits=np.arange(N) * 7 % N + 2**53), ["'visits'", "beyond 2**53"]),
    "no row": (people().head(0), ["no rows"]),
}


@pytest.mark.parametrize("ending", ["csv", "parquet"])
@pytest.mark.parametrize("case", FILES)
@pytest.mark.parametrize("command", COMMANDS)
def test_files_that_cannot_be_learned_from(cli, tmp_path, command, case, ending):  # noqa: F811
    frame, mentions = FILES[case]
    if command == "impute":  # of which something is missing
        frame = frame.assign(city=frame["city"].where(frame.index != 9))
        mentions = mentions if len(frame) else ["nothing to fill"]
    write(frame, tmp_path / f"t.{ending}")
    assert_refused(cli(*COMMANDS[command](f"t.{ending}")), *mentions)
    assert [path.name for path in tmp_path.iterdir()] == [f"t.{ending}"]


# A gap in one row is a column without values.
@pytest.mark.parametrize("command", sorted({*COMMANDS} - {"impute"}))
def test_one_row_cannot_be_learned_from(cli, tmp_path, command):  # noqa: F811
    frame = people().head(1)
    write(frame, tmp_path / "t.csv")
    assert_refused(cli(*COMMANDS[command]("t.csv")))
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Folders of a saved model of each kind."""
    folder = tmp_path_factory.mktemp("models")
    for name, make in ESTIMATORS.items():
        gaps = people() if name != "Autoencoder" else people(age=np.where(np.arange(N) % 9, A, np.nan))
        make().fit(gaps).save(folder / name)
    return folder


USES = {
    "embed": ("Autoencoder", lambda run: ("embed", run, "t.csv", "-o", "out.csv")),
    "impute": (
        "Autoencoder",
        lambda run: ("impute", "t.csv", "--run", run, "-o", "out.csv", "--quiet"),
    ),
    "anomalies": (
        "AnomalyDetector",
        lambda run: ("anomalies", "t.csv", "--run", run, "-o", "out.csv", "--quiet"),
    ),
    "denoise": ("Denoiser", lambda run: ("denoise", "t.csv", "--run", run, "-o", "out.csv", "--quiet")),
}
UNFIT = {
    "a column less": (people(visits=None), ["no column 'visits'"]),
    "a column more": (people(more=1.0), ["unknown column 'more'"]),
    "text in a column of numbers": (people(age="old"), ["'age'", "'old'"]),
}


# A column that the model does not know stays beside what is filled.
REFUSALS = [pair for pair in itertools.product(USES, UNFIT) if pair != ("impute", "a column more")]


@pytest.mark.parametrize(("command", "case"), REFUSALS)
def test_files_that_do_not_fit_a_model(cli, models, tmp_path, command, case):  # noqa: F811
    frame, mentions = UNFIT[case]
    if command == "impute":
        frame = frame.copy()
        frame.loc[3, "city" if case == "text in a column of numbers" else "age"] = None
    write(frame, tmp_path / "t.csv")
    kind, line = USES[command]
    assert_refused(cli(*line(models / kind)), *mentions)


@pytest.mark.parametrize("command", USES)
def test_a_category_never_seen_is_taken_and_told(cli, models, tmp_path, command):  # noqa: F811
    frame = people()
    frame.loc[5, "city"] = "Rome"
    if command == "impute":
        frame.loc[3, "age"] = None
    write(frame, tmp_path / "t.csv")
    kind, line = USES[command]
    result = cli(*line(models / kind))
    assert (result.code, result.err.count("'Rome', first at row 5")) == (0, 1), result
    out = tmp_path / "out.csv"
    if command == "anomalies":
        reasons = pd.read_csv(out)["anomaly_reasons"]
        assert "('Rome' was never seen)" in reasons[5]
        assert reasons.str.contains("Rome").sum() == 1
    if command == "impute":
        assert pd.read_csv(out)["city"][5] == "Rome"
    if command not in ("denoise",):
        assert_refused(cli(*line(models / kind), "--handle-unknown", "error"), "'Rome'", "never seen")


def test_a_column_that_the_model_does_not_know_stays_beside_what_is_filled(cli, models, tmp_path):  # noqa: F811
    frame = people(more=np.linspace(0.0, 1.0, N))
    frame.loc[3, "age"] = None
    write(frame, tmp_path / "t.csv")
    kind, line = USES["impute"]
    assert cli(*line(models / kind)).code == 0
    filled = pd.read_csv(tmp_path / "out.csv")
    assert not filled.isna().any(axis=None)
    np.testing.assert_allclose(filled["more"], frame["more"])


@pytest.mark.parametrize("command", USES)
def test_columns_in_another_order_are_found_by_name(cli, models, tmp_path, command):  # noqa: F811
    frame = people()
    if command == "impute":
        frame.loc[3, "age"] = None
    kind, line = USES[command]
    outputs = []
    for columns in (["age", "city", "visits"], ["visits", "age", "city"]):
        write(frame[columns], tmp_path / "t.csv")
        result = cli(*line(models / kind))
        assert result.code == 0, result
        outputs.append(pd.read_csv(tmp_path / "out.csv"))
    first, second = outputs
    pd.testing.assert_frame_equal(first, second[first.columns])


def test_a_label_column_is_left_out_by_name(cli, tmp_path):  # noqa: F811
    write(people(label=["yes", "no"] * (N // 2)), tmp_path / "t.csv")
    for option in ("--label", "--drop"):
        out = tmp_path / f"{option}.csv"
        result = cli("anomalies", "t.csv", option, "label", "-o", out, "--quiet")
        assert result.code == 0, result
        assert not pd.read_csv(out)["anomaly_reasons"].str.contains("label").any()
    assert_refused(cli("anomalies", "t.csv", "--drop", "lable", "--quiet"), "did you mean label")


def test_a_picture_of_another_mode_is_refused_by_name(cli, tmp_path):  # noqa: F811
    for name, mode in (("grey", "L"), ("colour", "RGB")):
        (tmp_path / name).mkdir()
        for i in range(12):
            pixels = RNG.integers(0, 255, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).convert(mode).save(tmp_path / name / f"{i}.png")
    saved = cli("anomalies", "grey", "--quiet", "--save", "kept", "-o", "x.csv")
    assert saved.code == 0, saved
    assert_refused(cli("anomalies", "colour", "--run", "kept", "-o", "out.csv", "--quiet"), "colour")


def write(frame, path):
    if path.suffix == ".csv":
        frame.to_csv(path, index=False)
    else:
        pl.from_pandas(frame).write_parquet(path)
