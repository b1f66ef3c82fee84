"""Classes that a model never sees, and how well it tells them apart."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from autoencode.data import load_data
from autoencode.errors import DataError, OptionError
from autoencode.evaluate.card import card
from autoencode.evaluate.outliers import anomaly_auroc
from autoencode.runs import resume, train
from autoencode.runs.evaluation import case_of_run
from autoencode.training import Observer

pytest_plugins = ["cli_runs"]


def test_the_examples_of_a_class_are_in_no_part():
    whole, rest = load_data("digits"), load_data("digits", leave_out=["3", "8"])
    labels = load_digits().target
    n = int((~np.isin(labels, [3, 8])).sum())
    assert len(rest.train) + len(rest.test) == n
    for part in (rest.train, rest.test):
        assert not np.isin(part.labels, [3, 8]).any()
    assert rest.fingerprint() != whole.fingerprint()
    assert any("training examples of 3, 8" in notice for notice in rest.notices)


def test_nothing_is_learned_of_a_class_that_is_left_out():
    x = np.random.default_rng(0).normal(size=(100, 3))
    labels = np.where(np.arange(100) < 20, "odd", "usual")
    x[:20] = 1e4
    spec = load_data(x, labels=labels, leave_out=["odd"]).spec
    assert np.abs(spec.offset).max() < 1
    assert np.max(spec.scale) < 2


@pytest.mark.parametrize(
    ("labels", "names", "error", "mention"),
    [
        (None, ["1"], DataError, "has no labels"),
        ([0, 1] * 10, ["2"], DataError, "no label '2' to leave out; it has 0, 1"),
        ([0, 1] * 10, ["0", "1"], DataError, "nothing is left"),
    ],
)
def test_what_cannot_be_left_out_is_refused(labels, names, error, mention):
    with pytest.raises(error, match=mention):
        load_data(np.random.default_rng(0).random((20, 4)), labels=labels, leave_out=names)


def test_data_that_stay_on_disk_or_are_made_already_are_refused(tmp_path):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).random((30, 4)))
    with pytest.raises(DataError, match="in memory only"):
        load_data(tmp_path / "x.npy", stream=True, labels=np.arange(30) % 2, leave_out=["1"])
    with pytest.raises(OptionError, match="made already"):
        load_data(load_data("digits"), leave_out=["1"])


def test_a_run_knows_what_it_left_out_and_is_judged_by_it(tmp_path):
    run = train("digits", "mlp_small", leave_out=["0"], out=tmp_path / "run", epochs=8)
    case, facts = case_of_run(tmp_path / "run")
    assert facts["data"] == "digits without 0"
    assert facts["n"] == len(run.data.test)
    assert set(case.anomalies.labels) == {0}
    assert len(case.anomalies) == int((load_data("digits").test.labels == 0).sum())
    expected = anomaly_auroc(run.trained, run.data.test, case.anomalies)
    assert expected > 0.6
    assert card(case, only=["anomalies"]).values["anomaly_auroc"] == pytest.approx(expected, abs=1e-6)
    other, _ = case_of_run(tmp_path / "run", load_digits().images[:50])
    assert other.anomalies is None


def test_an_interrupted_run_goes_on_without_the_class(tmp_path):
    class Once(Observer):
        def stop(self):
            return True

    stopped = train(
        "digits", "mlp_small", leave_out=["0"], out=tmp_path / "run", epochs=2, observer=Once()
    )
    assert not stopped.complete
    run = resume(tmp_path / "run")
    assert run.complete
    assert not (run.data.train.labels == 0).any()
    assert run.trained.info["data"]["left_out"] == ["0"]


def test_a_conditional_model_cannot_be_asked_about_another_class(tmp_path):
    train("digits", "cvae", leave_out=["0"], out=tmp_path / "run", epochs=1, hidden=(8,))
    case, _ = case_of_run(tmp_path / "run")
    assert "told the class" in card(case, only=["anomalies"]).as_dict()["absent"]["anomalies"]


def test_the_command_leaves_classes_out(cli, tmp_path):
    asked = ("train", "digits", "--epochs", "1", "--set", "hidden=8", "--out", "r", "--quiet")
    assert cli(*asked, "--leave-out", "4", "--leave-out", "9").code == 0
    found = cli("evaluate", "r", "--only", "anomalies", "--json", "--quiet").json
    assert found["data"] == "digits without 4, 9"
    assert 0 < found["anomaly_auroc"] < 1
    assert cli("evaluate", "r", "--json").json["mse"] > 0
    refused = cli(*asked, "--overwrite", "--leave-out", "ten")
    assert refused.code == 2
    assert "no label 'ten' to leave out; it has 0, 1" in refused.err
    assert cli("train", "--resume", "r", "--leave-out", "3").code == 2


def test_factors_go_with_their_examples():
    data = load_data("sprites", leave_out=["2"])
    assert set(data.train.labels.tolist()) == {0, 1}
    np.testing.assert_array_equal(data.train.factors.values[:, 0], data.train.labels)
    assert len(data.test.factors.values) == len(data.test)
