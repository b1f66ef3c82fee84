"""What is done to files: finding anomalies and denoising, through the command line."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from autoencode import AnomalyDetector
from autoencode.errors import OptionError
from autoencode.jobs import anomalies, denoise
from cli_runs import assert_refused, cli  # noqa: F401  a fixture

RNG = np.random.default_rng(0)
N = 150
A = RNG.normal(size=N)
ODD = (7, 90)


@pytest.fixture
def table(tmp_path):
    frame = pd.DataFrame(
        {
            "name": [f"p{i}" for i in range(N)],
            "a": A,
            "b": -2 * A + 0.05 * RNG.normal(size=N),
            "word": np.where(A > 0, "up", "down"),
            "group": "g",
        }
    )
    frame.loc[list(ODD), "b"] = [9.0, -9.0]
    path = tmp_path / "t.csv"
    frame.to_csv(path, index=False)
    return path


COLUMNS = ("--id", "name", "--label", "group")


def test_anomalies_are_found_named_and_explained(cli, table, tmp_path):  # noqa: F811
    out, page = tmp_path / "found.parquet", tmp_path / "found.html"
    result = cli("anomalies", table, *COLUMNS, "--quiet", "-o", out, "--report", page, "--json")
    assert result.code == 0, result
    found = pd.read_parquet(out)
    assert list(found.columns[:5]) == ["name", "a", "b", "word", "group"]
    first = found.sort_values("anomaly_score", ascending=False).head(2)
    assert set(first.index) == set(ODD)
    assert first["anomaly"].all()
    assert (first["anomaly_pvalue"] < 0.05).all()
    assert all(reasons.startswith("b ") for reasons in first["anomaly_reasons"])
    assert result.json["n"] == N
    assert result.json["anomalies"] == int(found["anomaly"].sum())
    text = page.read_text(encoding="utf-8")
    assert "p90" in text
    assert "<script" not in text
    assert text.count("data:image/png;base64,") == 2


def test_without_a_file_the_most_anomalous_rows_are_listed(cli, table):  # noqa: F811
    result = cli("anomalies", table, *COLUMNS, "--quiet")
    assert result.code == 0, result
    listed = result.out.splitlines()[1:]
    assert listed[0].split()[0] == "name"
    assert {line.split()[0] for line in listed[1:3]} == {"p7", "p90"}


def test_rows_are_judged_by_a_run(cli, table, tmp_path):  # noqa: F811
    usual = pd.read_csv(table).drop(index=list(ODD))
    usual.to_csv(tmp_path / "usual.csv", index=False)
    run = tmp_path / "run"
    trained = cli(
        *("train", tmp_path / "usual.csv", *COLUMNS, "--recipe", "mlp", "--set", "latent_dim=1"),
        *("--set", "hidden=16", "--epochs", 200, "--quiet", "--out", run),
    )
    assert trained.code == 0, trained
    out = tmp_path / "found.csv"
    result = cli("anomalies", table, "--run", run, "--quiet", "-o", out)
    assert result.code == 0, result
    found = pd.read_csv(out)
    first = found.sort_values("anomaly_score", ascending=False).head(2)
    assert set(first["name"]) == {"p7", "p90"}
    # Fourteen rows were held out by training.
    assert found["anomaly_pvalue"].min() == pytest.approx(1 / 16, rel=0.1)


def test_a_detector_is_kept_and_judges_new_rows(cli, table, tmp_path):  # noqa: F811
    kept, out = tmp_path / "kept", tmp_path / "found.csv"
    first = cli("anomalies", table, *COLUMNS, "--quiet", "--save", kept, "-o", tmp_path / "first.csv")
    assert first.code == 0, first
    fresh = pd.read_csv(table).head(60)
    fresh.loc[3, "b"] = 50.0
    fresh.to_csv(tmp_path / "fresh.csv", index=False)
    # Which columns are set aside is known from the first time.
    again = cli("anomalies", tmp_path / "fresh.csv", "--run", kept, "--quiet", "-o", out)
    assert again.code == 0, again
    found, before = pd.read_csv(out), pd.read_csv(tmp_path / "first.csv").head(60)
    assert found["anomaly_score"].idxmax() == 3
    same = found.index != 3
    assert (found["anomaly_score"][same] == before["anomaly_score"][same]).all()
    assert (found["anomaly_pvalue"][same] == before["anomaly_pvalue"][same]).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--save", "taken"], "exists already"),
        (["--save", "new", "--run", "kept"], "leave one of run and save out"),
        (["--run", "kept", "--measure", "latent"], "has its contamination and measure"),
        (["--run", "kept", "--contamination", "0.1"], "has its contamination and measure"),
    ],
)
def test_what_cannot_be_kept_is_refused(cli, table, tmp_path, hurried, arguments, message):  # noqa: F811
    hurried(50)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").touch()
    AnomalyDetector(random_state=0).fit(pd.read_csv(table)[["a", "b", "word"]]).save(tmp_path / "kept")
    result = cli("anomalies", table, *COLUMNS, *arguments, "--quiet", "-o", "out.csv")
    assert (result.code, message in result.err) == (2, True), result
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept", "t.csv", "taken"]


def test_images_are_shown_beside_their_reconstructions(cli, tmp_path, hurried):  # noqa: F811
    hurried(40)
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(60):
        pixels = RNG.integers(0, 60, (12, 12)) if i else np.full((12, 12), 255)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{i:02}.png")
    page, out = tmp_path / "p.html", tmp_path / "p.csv"
    result = cli(
        *("anomalies", folder, "--recipe", "conv", "--data-dir", tmp_path / "cache"),
        *("--quiet", "--report", page, "-o", out),
    )
    assert result.code == 0, result
    text = page.read_text(encoding="utf-8")
    assert text.index('alt="00.png: original"') < text.index('alt="00.png: reconstruction"')
    found = pd.read_csv(out)
    assert found["anomaly_score"].idxmax() == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--contamination", "lots"], "must be auto or a share"),
        (["--contamination", "0.7"], "(0, 0.5]"),
        (["--fdr", "2"], "(0, 1)"),
        (["--measure", "magic"], "unknown measure"),
        (["--recipe", "vea"], "did you mean vae"),
        (["-o", "x.npy"], "its ending must be"),
        (["--report", "x.txt"], "its ending must be"),
        (["--id", "nam"], "did you mean name"),
        (["--run", "nowhere"], "no run folder"),
    ],
)
def test_wrong_options_are_refused_in_one_line(cli, table, tmp_path, arguments, message):  # noqa: F811
    columns = () if "--id" in arguments else COLUMNS
    result = cli("anomalies", table, *columns, *arguments, "--quiet")
    assert (result.code, message in result.err) == (2, True), result
    assert result.err.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["t.csv"]


def test_a_run_and_a_recipe_are_one_too_many(table, tmp_path):
    with pytest.raises(OptionError, match="leave one"):
        anomalies(table, tmp_path, recipe="vae")
    with pytest.raises(OptionError, match="either a run"):
        denoise(table, tmp_path / "x.csv")
    with pytest.raises(OptionError, match="either a run"):
        denoise(table, tmp_path / "x.csv", tmp_path, clean=table)


def test_pictures_are_brought_to_a_size_and_bad_ones_skipped_by_choice(cli, tmp_path, hurried):  # noqa: F811
    hurried(10)
    for folder, n in (("photos", 24), ("more", 3)):
        (tmp_path / folder).mkdir()
        for i in range(n):
            size = (12 + i % 3, 10, 3)
            picture = Image.fromarray(RNG.integers(100, 120, size, dtype=np.uint8))
            picture.save(tmp_path / folder / f"{i:02}.png")
        (tmp_path / folder / "torn.png").write_bytes(b"PNG")
    refused = cli("anomalies", "photos", "--quiet", "-o", "found.csv")
    assert (refused.code, "torn.png" in refused.err) == (2, True), refused
    options = ("--image-size", "8", "--fit", "resize", "--on-bad-file", "skip")
    result = cli("anomalies", "photos", *options, "--quiet", "-o", "found.csv", "--save", "kept")
    assert result.code == 0, result
    assert "torn.png" in result.err
    assert len(pd.read_csv("found.csv")) == 24
    # The saved detector knows the size, and what to do with a damaged file.
    again = cli("anomalies", "more", "--run", "kept", "--quiet", "-o", "more.csv")
    assert again.code == 0, again
    assert len(pd.read_csv("more.csv")) == 3
    refused = cli("anomalies", "more", "--run", "kept", "--image-size", "9", "--quiet")
    assert (refused.code, "has its image size already" in refused.err) == (2, True), refused
    restored = cli(
        *("denoise", "more", "--clean", "photos", *options, "--noise", "blur", "--level", "1"),
        *("-o", "restored.npy", "--quiet"),
    )
    assert restored.code == 0, restored
    assert np.load("restored.npy").shape == (3, 3, 8, 8)


def test_noise_is_taken_out_of_files(cli, tmp_path, hurried):  # noqa: F811
    """Ramps at any height: what is left after denoising is nearer to them than what was given."""
    hurried(150)
    ramps = (RNG.random((400, 1, 1)) + np.linspace(0, 1, 10)[:, None] + np.zeros(10)) / 2
    noisy = ramps + 0.2 * RNG.normal(size=ramps.shape)
    np.save(tmp_path / "clean.npy", ramps[:300])
    np.save(tmp_path / "noisy.npy", noisy[300:])
    out = tmp_path / "restored.npy"
    result = cli(
        *("denoise", tmp_path / "noisy.npy", "--clean", tmp_path / "clean.npy"),
        *("--level", 0.2, "-o", out, "--save", tmp_path / "kept", "--quiet", "--json"),
    )
    assert result.code == 0, result
    assert result.json["n"] == 100
    restored = np.load(out).reshape(100, 10, 10)
    again = tmp_path / "again.npy"
    result = cli("denoise", tmp_path / "noisy.npy", "--run", tmp_path / "kept", "-o", again, "--quiet")
    assert result.code == 0, result
    assert np.array_equal(np.load(again), np.load(out))
    before = np.square(noisy[300:] - ramps[300:]).mean()
    assert np.square(restored - ramps[300:]).mean() < 0.3 * before


def test_rows_are_drawn_in_the_types_of_the_table_and_means_are_asked_for(cli, tmp_path, hurried):  # noqa: F811
    hurried(3)
    rng = np.random.default_rng(0)
    rows = [f"{rng.integers(1, 90)},{rng.normal():.2f},{'ab'[i % 2]}" for i in range(60)]
    table, run = tmp_path / "t.csv", tmp_path / "run"
    table.write_text("\n".join(["age,value,kind", *rows]))
    assert cli("train", table, "--recipe", "vae", "--out", run, "--quiet").code == 0
    texts = {}
    for how in ((), ("--draw",), ("--mean",)):
        out = tmp_path / "out.csv"
        assert cli("sample", run, "-n", 20, *how, "-o", out).code == 0
        texts[how] = out.read_text()
    assert texts[()] == texts[("--draw",)] != texts[("--mean",)]
    for line in texts[()].splitlines()[1:]:
        age, value, kind = line.split(",")
        assert 1 <= int(age) < 90
        assert float(value) == round(float(value), 2)
        assert kind in ('"a"', '"b"')


def test_samples_may_come_from_a_prior_fitted_to_the_codes(cli, tmp_path):  # noqa: F811
    run = tmp_path / "run"
    arguments = ("--recipe", "mlp_small", "--epochs", 2, "--set", "latent_dim=4", "--quiet")
    assert cli("train", "digits", *arguments, "--out", run).code == 0
    before = {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}
    for kind in ("gaussian", "mixture", "sphere"):
        out = tmp_path / f"{kind}.npy"
        assert cli("sample", run, "-n", 5, "--prior", kind, "-o", out).code == 0
        assert np.load(out).shape == (5, 1, 8, 8)
    fewer = ("sample", run, "-n", 5, "--prior", "mixture", "--components", 2, "-o", tmp_path / "2.npy")
    assert cli(*fewer).code == 0
    assert not np.array_equal(np.load(tmp_path / "2.npy"), np.load(tmp_path / "mixture.npy"))
    # A Gaussian is what a plain run has already, fitted to the same codes by the same seed.
    assert cli("sample", run, "-n", 5, "-o", tmp_path / "own.npy").code == 0
    own, gaussian, mixture = (np.load(tmp_path / f"{k}.npy") for k in ("own", "gaussian", "mixture"))
    np.testing.assert_allclose(own, gaussian, atol=1e-3)
    assert not np.allclose(own, mixture, atol=1e-3)
    assert before == {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}
    refused = cli("sample", run, "--prior", "gausian", "-o", tmp_path / "x.npy")
    assert (refused.code, "did you mean gaussian" in refused.err) == (2, True)


@pytest.fixture
def scans(tmp_path):
    """A folder of grey images, two of which would clash under one ending."""
    folder = tmp_path / "scans"
    (folder / "a").mkdir(parents=True)
    values = RNG.integers(0, 256, (8, 8, 8)).astype(np.uint8)
    names = ["one.png", "two.bmp.png", *(f"{i}.png" for i in range(4)), "same.png", "same.webp"]
    for name, image in zip(names, values, strict=True):
        Image.fromarray(image).save(folder / "a" / name)
    return folder


def test_images_come_back_as_files_of_the_same_names(cli, scans, tmp_path):  # noqa: F811
    trained = cli("train", scans, "--recipe", "mlp", "--epochs", 2, "-o", tmp_path / "run")
    assert trained.code == 0, trained
    for out in ("back", "back.npy"):
        result = cli("reconstruct", tmp_path / "run", scans, "-o", tmp_path / out)
        assert result.code == 0, result
    written = {path.relative_to(tmp_path / "back") for path in (tmp_path / "back").rglob("*.*")}
    kept = {"one.png", "two.bmp.png", *(f"{i}.png" for i in range(4)), "same.png", "same.webp"}
    assert {str(path) for path in written} == {f"a/{name}" for name in kept}
    paths = sorted(path for path in (tmp_path / "back").rglob("*.*"))
    pixels = [np.asarray(Image.open(path)) for path in paths]
    expected = np.load(tmp_path / "back.npy")
    assert len(expected) == len(pixels)
    np.testing.assert_allclose(np.moveaxis(np.stack(pixels)[:4], -1, 1), expected[:4], atol=0.51)


def test_samples_are_numbered_images(cli, scans, tmp_path):  # noqa: F811
    cli("train", scans, "--recipe", "vae", "--epochs", 1, "-o", tmp_path / "run")
    assert cli("sample", tmp_path / "run", "-n", 11, "-o", tmp_path / "new/").code == 0
    names = sorted(path.name for path in (tmp_path / "new").iterdir())
    assert names == [f"{i:02}.png" for i in range(11)]
    again = cli("sample", tmp_path / "run", "-o", tmp_path / "new")
    assert_refused(again, "it is a folder already; choose another name")


def test_rows_of_a_table_go_into_no_folder(cli, table, tmp_path):  # noqa: F811
    cli("train", table, *COLUMNS, "--recipe", "vae", "--epochs", 1, "-o", tmp_path / "run")
    refused = cli("sample", tmp_path / "run", "-o", tmp_path / "new")
    assert_refused(refused, "only grey and colour images go into a folder", "give the name an ending")
    assert not (tmp_path / "new").exists()


def test_a_data_set_beside_a_folder_of_its_name_is_noted(cli, scans, tmp_path):  # noqa: F811
    scans.rename(tmp_path / "digits")
    said = "note: digits is the data set of that name, not what lies here; write ./digits for that"
    named = cli("train", "digits", "--recipe", "linear", "--epochs", 1, "-o", tmp_path / "named")
    assert said in named.err
    here = cli("train", "./digits", "--recipe", "linear", "--epochs", 1, "-o", tmp_path / "here")
    assert said not in here.err
    assert "64" not in here.err
