"""Estimators in folders: the same results after loading, to the bit, and nothing altered is taken."""

import hashlib
import json
import shutil

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch

from autoencode import AnomalyDetector, Autoencoder, Denoiser, load, train
from autoencode.errors import ModelFileError, OptionError, RunFolderError
from autoencode.files.sealed import seal
from autoencode.runs import list_runs
from mutations import mutants

QUICK = {"epochs": 1, "options": {"min_steps": 20, "hidden": (8,)}, "random_state": 0, "device": "cpu"}
RNG = np.random.default_rng(0)
NUMBERS = RNG.normal(size=(80, 4))
IMAGES = RNG.random((60, 8, 8))
NEW = np.concatenate([NUMBERS[:5], RNG.normal(3.0, 2.0, (7, 4))])


def people() -> pd.DataFrame:
    table = pd.DataFrame({"age": RNG.normal(40, 10, 90), "city": RNG.choice(["Graz", "Oslo"], 90)})
    table.loc[::7, "age"] = np.nan
    return table


PEOPLE = people()
KINDS = {
    "numbers": ({}, NUMBERS, NEW),
    "robust": ({"standardize": "robust", "contamination": 0.1}, NUMBERS, NEW),
    "stochastic": ({"recipe": "vae", "measure": "likelihood"}, NUMBERS, NEW),
    "latent": ({"measure": "latent"}, NUMBERS, NEW),
    "mixed": ({}, PEOPLE, PEOPLE[:11]),
    "images": ({"calibration": 0.5}, IMAGES, IMAGES[:9]),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    target = tmp_path_factory.mktemp("saved") / "detector"
    AnomalyDetector(**QUICK).fit(NUMBERS).save(target)
    return target


@pytest.mark.parametrize("kind", KINDS)
def test_a_loaded_detector_is_the_same_to_the_bit(tmp_path, kind):
    options, x, new = KINDS[kind]
    detector = AnomalyDetector(**QUICK | options).fit(x)
    detector.save(tmp_path / "d")
    again = load(tmp_path / "d", device="cpu")
    assert type(again) is AnomalyDetector
    for name, value in options.items():
        assert getattr(again, name) == value
    assert again.offset_ == detector.offset_
    assert again.history_ == detector.history_
    for rows in (x, new):
        assert np.array_equal(again.score_samples(rows), detector.score_samples(rows))
        assert np.array_equal(again.predict(rows), detector.predict(rows))
        assert np.array_equal(again.pvalues(rows), detector.pvalues(rows))
        assert np.array_equal(again.explain(rows).shares, detector.explain(rows).shares)
    scores, before = again.anomaly_scores(new), detector.anomaly_scores(new)
    assert all(np.array_equal(scores[name], before[name]) for name in before)
    assert np.array_equal(again.calibration_scores_, detector.calibration_scores_)
    if kind == "mixed":
        assert again.feature_names_in_.tolist() == ["age", "city"]


def test_a_detector_without_held_out_rows_has_no_pvalues_after_loading(tmp_path):
    AnomalyDetector(calibration=0.0, **QUICK).fit(NUMBERS).save(tmp_path / "d")
    again = load(tmp_path / "d")
    assert np.isfinite(again.score_samples(NEW)).all()
    with pytest.raises(OptionError, match="hold some out"):
        again.pvalues(NEW)


def test_a_detector_around_a_trained_model_is_saved_with_its_calibration(tmp_path):
    run = train("digits", "mlp_small", epochs=1, device="cpu")
    detector = AnomalyDetector.from_trained(run.trained, run.data.train, run.data.test)
    detector.save(tmp_path / "d")
    again = load(tmp_path / "d", device="cpu")
    x = run.data.test.x[:20]
    assert np.array_equal(again.pvalues(x), detector.pvalues(x))
    assert np.array_equal(again.score_samples(x), detector.score_samples(x))


def test_a_loaded_detector_can_be_fitted_and_saved_again(folder, tmp_path):
    again = load(folder)
    again.save(tmp_path / "copy")
    twice = load(tmp_path / "copy")
    assert np.array_equal(twice.pvalues(NEW), load(folder).pvalues(NEW))
    scores = load(folder).score_samples(NEW)
    assert np.array_equal(again.fit(NUMBERS).score_samples(NEW), scores)


@pytest.mark.parametrize("pairs", [False, True])
def test_a_loaded_denoiser_is_the_same_to_the_bit(tmp_path, pairs):
    denoiser = Denoiser("salt_and_pepper", 0.2, epochs=1, random_state=0, device="cpu")
    noisy = IMAGES.round()
    denoiser.fit(noisy, IMAGES) if pairs else denoiser.fit(IMAGES)
    denoiser.save(tmp_path / "d")
    again = load(tmp_path / "d", device="cpu")
    assert type(again) is Denoiser
    assert (again.corruption, again.level) == ("salt_and_pepper", 0.2)
    assert np.array_equal(again.transform(noisy), denoiser.transform(noisy))
    assert np.array_equal(again.corrupt(IMAGES), denoiser.corrupt(IMAGES))
    assert again.score(noisy, IMAGES) == denoiser.score(noisy, IMAGES)


def test_a_corruption_of_your_own_has_to_be_given_again(tmp_path):
    def halved(x, level):
        return x * level

    denoiser = Denoiser(halved, 0.5, epochs=1, random_state=0).fit(NUMBERS)
    denoiser.save(tmp_path / "d")
    again = load(tmp_path / "d")
    assert np.array_equal(again.transform(NEW), denoiser.transform(NEW))
    with pytest.raises(OptionError, match="corruption of your own"):
        again.corrupt(NEW)
    again.corruption = halved
    assert np.array_equal(again.corrupt(NEW), denoiser.corrupt(NEW))


def test_there_is_no_pickle_and_no_second_run(folder):
    names = {path.name for path in folder.rglob("*") if path.is_file()}
    assert {name.rsplit(".", 1)[1] for name in names} == {"json", "jsonl", "safetensors"}
    assert [summary["run"] for summary in list_runs(folder.parent)] == [str(folder)]


def test_another_estimator_replaces_what_was_there(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "d")
    Autoencoder("mlp", 2, epochs=1, random_state=0).fit(NUMBERS).save(tmp_path / "d")
    assert type(load(tmp_path / "d")) is Autoencoder


FILES = ("estimator.json", "estimator.safetensors", "judge/config.json", "judge/model.safetensors")


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("n", [60, pytest.param(3000, marks=pytest.mark.slow)])
def test_every_altered_file_is_refused(folder, tmp_path, name, n):
    target = shutil.copytree(folder, tmp_path / "d")
    content = (target / name).read_bytes()
    for i, mutant in enumerate(mutants(content, n, seed=n)):
        (target / name).write_bytes(mutant)
        with pytest.raises(ModelFileError):
            assert load(target) is None, f"mutant {i} was loaded"
    (target / name).write_bytes(content)
    load(target)


@pytest.mark.parametrize("name", [*FILES[1:], "model.safetensors", "config.json"])
def test_a_missing_file_is_told(folder, tmp_path, name):
    target = shutil.copytree(folder, tmp_path / "d")
    (target / name).unlink()
    with pytest.raises(RunFolderError, match=r"save it again|train it again|train again"):
        load(target)


def resealed(folder, change) -> None:
    """The same folder with other facts or tensors, sealed anew: what only somebody could do."""
    path = folder / "estimator.json"
    facts = json.loads(path.read_bytes())
    facts.pop("sha256")
    tensors = safetensors.torch.load_file(folder / "estimator.safetensors")
    change(facts, tensors)
    content = safetensors.torch.save(tensors)
    (folder / "estimator.safetensors").write_bytes(content)
    facts["tensors_sha256"] = hashlib.sha256(content).hexdigest()
    path.write_bytes(seal(facts))


CHANGES = {
    "missing": lambda facts, tensors: tensors.pop("main.errors"),
    "shape": lambda facts, tensors: tensors.update({"main.errors": torch.ones(9, dtype=torch.float64)}),
    "dtype": lambda facts, tensors: tensors.update({"main.center": torch.ones(8)}),
    "nan": lambda facts, tensors: tensors["main.precision"].fill_(torch.nan),
    "points": lambda facts, tensors: tensors.update({"main.ranked.points": torch.ones(3, 5).double()}),
    "places": lambda facts, tensors: tensors["main.explained.places"].add_(1000),
    "tail": lambda facts, tensors: tensors["main.recall.values"].zero_(),
    "width": lambda facts, tensors: tensors["main.recall.spread"].zero_(),
    "offset": lambda facts, tensors: tensors.pop("offset"),
    "calibration": lambda facts, tensors: tensors["calibration"].fill_(torch.inf),
    "judge": lambda facts, tensors: facts["facts"].update(judge="0" * 64),
    "judge's type": lambda facts, tensors: facts["facts"].update(judge=None),
    "judge's path": lambda facts, tensors: facts["facts"].update(judge="../other"),
    "seed": lambda facts, tensors: facts["facts"].update(seed="a"),
    "class": lambda facts, tensors: facts.update(estimator="Pipeline"),
    "parameter": lambda facts, tensors: facts["parameters"].update(code="import os"),
    "parameter's value": lambda facts, tensors: facts["parameters"].update(measure="code"),
    "no parameters": lambda facts, tensors: facts.pop("parameters"),
    "other model": lambda facts, tensors: facts.update(weights_sha256="0" * 64),
    "format": lambda facts, tensors: facts.update(format_version=2),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_does_not_fit_is_refused_even_when_it_is_sealed(folder, tmp_path, change):
    target = shutil.copytree(folder, tmp_path / "d")
    resealed(target, CHANGES[change])
    with pytest.raises(ModelFileError) as error:
        load(target)
    assert "\n" not in str(error.value)
