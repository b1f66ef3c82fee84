"""Exported folders: what their files say in onnxruntime beside Python, and what is refused."""

import contextlib
import hashlib
import json
import re
from pathlib import Path

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import torch
from sklearn.datasets import load_digits

from autoencode import Autoencoder, Denoiser
from autoencode.cli import main
from autoencode.errors import IncompatibleError, InputError, OptionError, RunFolderError
from autoencode.export import onnx_bytes
from autoencode.recipes import RECIPES, build
from autoencode.types import DataSpec

RNG = np.random.default_rng(0)
N = 120


def people(n=N, seed=0):
    """A table of every kind of column, with gaps."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "age": rng.normal(40, 12, n).round(1),
            "visits": rng.poisson(2, n).astype(float),
            "pet": rng.choice(["cat", "dog", "eel é"], n),
            "smokes": rng.choice([True, False], n),
            "seen": pd.Timestamp("2024-03-01") + pd.to_timedelta(rng.integers(0, 10**7, n), unit="s"),
            "in/z": rng.normal(1e6, 3.0, n),
        }
    )
    frame.loc[::7, "age"] = np.nan
    frame.loc[1::9, "pet"] = None
    return frame


def columns(frame):
    """A table as its files take it."""
    found = {}
    for name in frame.columns:
        values = frame[name]
        if name == "pet":
            found[name] = np.array(["" if pd.isna(v) else v for v in values], dtype=object)
        elif name == "seen":
            found[name] = (values.to_numpy() - np.datetime64("1970-01-01")) / np.timedelta64(1, "D")
        else:
            found[name] = values.to_numpy(np.float64)
    return found


def run(file, feed):
    session = onnxruntime.InferenceSession(file if isinstance(file, bytes) else str(file))
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, feed), strict=True))


@pytest.fixture(scope="module")
def table():
    kinds = {"visits": "count"}
    model = Autoencoder("vae", 2, epochs=1, column_kinds=kinds, random_state=0, device="cpu")
    return model.fit(people())


@pytest.fixture(scope="module")
def exported_table(table, tmp_path_factory):
    folder = tmp_path_factory.mktemp("table") / "files"
    return table.export(folder, ["encoder", "decoder", "reconstruct", "impute"], data=people(50, 1))


def test_a_table_goes_in_by_its_columns_and_words_come_out(table, exported_table):
    new = people(40, 2)
    found = run(exported_table.files["reconstruct"], columns(new))
    expected = table.reconstruct(new)
    assert list(found) == [f"{name}_out" for name in new.columns]
    assert found["pet_out"].tolist() == expected["pet"].tolist()
    assert (found["smokes_out"] == expected["smokes"]).all()
    for name in ("age", "visits", "in/z"):
        np.testing.assert_allclose(found[f"{name}_out"], expected[name], rtol=1e-5)
    days = (expected["seen"].to_numpy() - np.datetime64("1970-01-01")) / np.timedelta64(1, "D")
    np.testing.assert_allclose(found["seen_out"], days, atol=2 / 86400)


def test_codes_of_a_table_are_those_of_transform_and_decode_to_its_columns(table, exported_table):
    new = people(40, 3)
    z = run(exported_table.files["encoder"], columns(new))["z"]
    np.testing.assert_allclose(z, table.transform(new), atol=1e-5)
    found, expected = run(exported_table.files["decoder"], {"z": z}), table.inverse_transform(z)
    assert list(found) == list(new.columns)
    np.testing.assert_allclose(found["age"], expected["age"], rtol=1e-5)
    assert found["pet"].tolist() == expected["pet"].tolist()


def test_gaps_are_filled_as_in_python_and_all_else_stays(table, exported_table):
    new = people(40, 4)
    new.loc[::5, "visits"] = np.nan
    found, given = run(exported_table.files["impute"], columns(new)), columns(new)
    expected = table.impute(new)
    for name in ("age", "visits", "in/z"):
        np.testing.assert_allclose(found[f"{name}_out"], expected[name].astype(float), rtol=1e-5)
        known = ~np.isnan(given[name])
        np.testing.assert_array_equal(found[f"{name}_out"][known], given[name][known])
    assert found["pet_out"].tolist() == expected["pet"].tolist()


def test_an_unknown_word_counts_as_missing_and_a_value_of_no_kind_gives_no_result(exported_table):
    given = columns(people(3, 5))
    given["pet"][:] = ["dog", "", "unicorn"]
    others = {name: np.repeat(values[:1], 3) for name, values in given.items() if name != "pet"}
    z = run(exported_table.files["encoder"], {**others, "pet": given["pet"]})["z"]
    assert np.abs(z[0] - z[1]).max() > 0
    np.testing.assert_array_equal(z[1], z[2])
    for name, wrong in (("visits", 1.5), ("smokes", 2.0), ("age", np.inf)):
        odd = {**others, "pet": given["pet"], name: others[name].copy()}
        odd[name][0] = wrong
        found = run(exported_table.files["encoder"], odd)["z"]
        assert np.isnan(found[0]).all()
        np.testing.assert_array_equal(found[1:], z[1:])


def test_the_manifest_says_what_goes_in_and_comes_out(exported_table):
    manifest = json.loads((exported_table.folder / "manifest.json").read_text())
    part = manifest["parts"]["reconstruct"]
    inputs = {entry["name"]: entry for entry in part["inputs"]}
    assert inputs["pet"]["words"] == ["cat", "dog", "eel é"]
    assert (inputs["pet"]["dtype"], inputs["age"]["dtype"]) == ("string", "float64")
    assert inputs["seen"]["unit"] == "days since 1970-01-01 UTC"
    assert part["parity"]["rows"] == 50
    assert max(part["parity"]["largest"].values()) < 1e-5
    for name, file in exported_table.files.items():
        sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
        assert sha256 == manifest["parts"][name]["sha256"]
        assert b"site-packages" not in file.read_bytes()


@pytest.fixture(scope="module")
def digits():
    x = load_digits().images[:N]
    return x, Denoiser(level=0.1, recipe="conv_skip", epochs=1, random_state=0, device="cpu").fit(x)


def test_images_are_denoised_in_the_shape_and_range_of_the_user(digits, tmp_path):
    x, denoiser = digits
    done = denoiser.export(tmp_path / "files", ["denoise"], data=x)
    noisy = x + np.random.default_rng(1).normal(0, 2, x.shape)
    given = onnxruntime.InferenceSession(str(done.files["denoise"])).get_inputs()[0]
    noisy = noisy.reshape(-1, *given.shape[1:]).astype(np.float32)
    expected = denoiser.transform(noisy)
    np.testing.assert_allclose(run(done.files["denoise"], {"x": noisy})["x_out"], expected, atol=1e-4)


def test_pt2_takes_and_gives_numbers(table, tmp_path):
    done = table.export(tmp_path / "files", "encoder", data=people(20), format="pt2")
    program = torch.export.load(done.files["encoder"]).module()
    new = people(8, 6)
    given = columns(new)
    words = {"": np.nan, "cat": 0, "dog": 1, "eel é": 2}
    given["pet"] = np.array([words[word] for word in given["pet"]], float)
    x = torch.from_numpy(np.stack([given[name] for name in new.columns], axis=1))
    np.testing.assert_allclose(program(x)[0].numpy(), table.transform(new), atol=1e-5)


def test_a_difference_is_refused_and_leaves_nothing(table, tmp_path, monkeypatch):
    right = type(table.trained_).embed
    monkeypatch.setattr(type(table.trained_), "embed", lambda self, x: right(self, x) + 0.01)
    with pytest.raises(IncompatibleError, match="does not say what Python says"):
        table.export(tmp_path / "files", "encoder", data=people(20))
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_exported_is_refused_in_one_line(table, digits, tmp_path):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken/file").write_text("mine")
    for how, error, said in (
        (("taken", "encoder"), RunFolderError, "exists already"),
        (("new", "encode"), OptionError, "did you mean"),
        (("new", "denoise"), IncompatibleError, "not trained to denoise"),
        (("new", "score"), IncompatibleError, "AnomalyDetector"),
    ):
        with pytest.raises(error, match=said):
            table.export(tmp_path / how[0], how[1])
    with pytest.raises(RunFolderError, match="no exported folder"):
        table.export(tmp_path / "taken", "encoder", overwrite=True)
    with pytest.raises(OptionError, match="opset"):
        table.export(tmp_path / "new", "encoder", opset=7)
    with pytest.raises(IncompatibleError, match="never saw a gap"):
        digits[1].export(tmp_path / "new", "impute")
    assert not (tmp_path / "new").exists()


def test_one_decoder_in_memory_takes_codes_and_gives_float32(table):
    content = onnx_bytes(table.trained_, "decoder")
    z = RNG.normal(size=(5, 2)).astype(np.float32)
    x = run(content, {"z": z})["x"]
    assert x.dtype == np.float32
    np.testing.assert_allclose(x[:, 0], table.inverse_transform(z)["age"], rtol=1e-5)


def test_without_the_libraries_the_command_to_install_them_is_told(table, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnxscript", None)
    with pytest.raises(OptionError, match=r"pip install 'autoencode\[export\]'"):
        table.export(tmp_path / "files", "encoder")


def test_the_documentation_lists_every_recipe_and_those_whose_decoder_alone_is_exported():
    page = (Path(__file__).parents[2] / "docs/export.md").read_text(encoding="utf-8")
    lines = [line for line in page.splitlines() if re.match(r"\| \w+ \| `", line)]
    named = {name for line in lines for name in re.findall(r"`(\w+)`", line.split("|")[2])}
    alone = {n for li in lines if "decoder alone" in li for n in re.findall(r"`(\w+)`", li)}
    assert named == set(RECIPES)
    for name in RECIPES:
        spec = DataSpec((6,), "real")
        with contextlib.suppress(InputError):
            assert build(name, spec).model.asks_model == (name in alone)


def test_the_command_exports_a_saved_estimator_and_says_how_near_it_is(digits, tmp_path, capsys):
    digits[1].save(tmp_path / "saved")
    arguments = ["export", str(tmp_path / "saved"), "-o", str(tmp_path / "files"), "--part", "encoder"]
    with pytest.raises(SystemExit) as done:
        main([*arguments, "--json", "--device", "cpu"])
    assert done.value.code == 0
    said = json.loads(capsys.readouterr().out)
    assert list(said["files"]) == ["encoder"]
    assert said["parity"]["encoder"]["rows_that_differ"] == 0
    for wrong in (
        arguments,
        [*arguments, "--overwrite", "--part", "score"],
        ["export", "no", "-o", "x"],
    ):
        with pytest.raises(SystemExit) as refused:
            main(wrong)
        assert refused.value.code == 2
        assert len(capsys.readouterr().err.strip().splitlines()) == 1
    assert (tmp_path / "files/encoder.onnx").is_file()
