"""What a page of an explorer is given: read back from its bytes, beside the data and the model."""

import base64
import gzip
import hashlib
import json
import re

import numpy as np
import pandas as pd
import pytest

import autoencode
from autoencode import AnomalyDetector, Autoencoder, explore, load_data, load_trained, train
from autoencode.data import TableOptions
from autoencode.errors import DataError, IncompatibleError, OptionError, RunFolderError
from autoencode.explorer import explorer as home
from autoencode.explorer.columns import category, labels_column
from autoencode.explorer.decoding import Decoding
from autoencode.explorer.originals import errors
from autoencode.explorer.pack import Packed
from autoencode.explorer.page import page
from autoencode.explorer.plane import plane_for
from autoencode.types import Column, DataSpec


@pytest.fixture(autouse=True)
def _no_decoder(request, monkeypatch):
    """Leaves the decoder out of pages that are not about it, for its export takes seconds."""
    if "decoder" not in request.fixturenames:
        monkeypatch.setattr(home, "decoding_for", lambda trained: Decoding(None, "it was left out"))


@pytest.fixture
def decoder():
    """Asked for by tests that need the decoder."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "digits"
    train("digits", "vae", out=folder, epochs=1, latent_dim=2)
    return folder


@pytest.fixture(scope="module")
def scene(folder):
    """Made before any test leaves the decoder out."""
    return explore(folder).scene


@pytest.fixture(scope="module")
def everything(folder):
    """All examples of the run in the order of the points: train, validation, test."""
    trained, data = load_trained(folder), load_data("digits")
    kept, held_out = data.split(trained.recipe.plan.validation, trained.seed)
    return [kept, held_out, data.test]


def read(packed, facts):
    """Reads an array as the page does."""
    content = gzip.decompress(packed.chunks[facts["chunk"]])
    assert len(content) == facts["bytes"]
    if facts["dtype"] == "float32":
        values = np.frombuffer(content, np.uint8).reshape(4, -1).T.copy().view("<f4")
    else:
        values = np.frombuffer(content, np.dtype(facts["dtype"]).newbyteorder("<"))
    values = values.reshape(facts["shape"])
    return values * facts["step"] + facts["low"] if "low" in facts else values


def test_points_lie_where_their_codes_are(folder, scene, everything):
    codes = np.concatenate([load_trained(folder).embed(part) for part in everything])
    places = read(scene.packed, scene.head["places"])
    span = codes.max(0) - codes.min(0)
    assert scene.head["n"] == len(codes) == 1797
    assert (np.abs(places - codes) <= span / 65535).all()
    assert np.allclose(scene.head["spread"]["mean"], codes.mean(0), atol=1e-5)
    assert np.allclose(scene.head["spread"]["sd"], codes.std(0), atol=1e-5)


def test_originals_are_the_data_to_the_last_bit(scene, everything):
    assert (read(scene.packed, scene.head["held"]) == np.arange(1797)).all()
    stored = read(scene.packed, scene.head["originals"])
    low, high = scene.head["example"]["low"], scene.head["example"]["high"]
    raw = np.concatenate([part.x for part in everything]).reshape(1797, -1)
    assert (np.rint(low + (high - low) * stored / 255) == raw).all()


def test_labels_parts_and_errors_are_those_of_the_points(folder, scene, everything):
    label, part, error = scene.head["columns"]
    names = np.array(label["groups"])[read(scene.packed, label["values"])]
    assert (names == np.concatenate([p.labels for p in everything]).astype(str)).all()
    parts = np.array(part["groups"])[read(scene.packed, part["values"])]
    assert [(parts == name).sum() for name in ("train", "validation", "test")] == [
        *map(len, everything)
    ]
    test = everything[2]
    trained = load_trained(folder)
    gone = (trained.reconstruct(test) - test.x) / trained.spec.scale[0]
    wanted = np.square(gone).reshape(len(test), -1).mean(1)
    found = read(scene.packed, error["values"])[-len(test) :]
    assert found == pytest.approx(wanted, rel=1e-4)


def test_the_figures_of_the_run_are_in_the_page(folder, scene):
    names = {metric["name"]: metric["value"] for metric in scene.head["metrics"]}
    assert names["mse"] == json.loads((folder / "metrics.json").read_text())["mse"]
    assert len(scene.head["history"]["epochs"]) == 1


def test_the_decoder_in_the_page_is_the_runs(folder, scene):
    onnxruntime = pytest.importorskip("onnxruntime")
    content = gzip.decompress(scene.packed.chunks[scene.head["decoder"]["chunk"]])
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    z = np.random.default_rng(0).normal(size=(5, 2)).astype(np.float32)
    found = session.run(None, {"z": z})[0]
    trained = load_trained(folder)
    assert np.abs(found - trained.decode(z)).max() / trained.spec.scale[0] < 1e-5
    assert 0 <= scene.head["decoder"]["differs"] < 1e-5


def test_a_decoder_that_says_something_else_does_not_get_into_a_page(folder, monkeypatch, decoder):
    from autoencode.explorer import decoding

    other = train("digits", "vae", epochs=1, latent_dim=2, seed=1).trained
    exported = decoding.onnx_bytes
    monkeypatch.setattr(decoding, "onnx_bytes", lambda trained, part: exported(other, part))
    scene = explore(folder).scene
    assert "does not say what Python says" in scene.head["decoder"]["why_not"]


def test_of_many_points_some_are_drawn_and_it_is_said(folder):
    explorer = explore(folder, max_points=200)
    head, packed = explorer.scene.head, explorer.scene.packed
    assert head["n"] == 200
    assert any("--max-points" in notice for notice in explorer.notices)
    assert explore(folder, max_points=1).scene.head["n"] == 1
    data = load_data("digits")
    rows = read(packed, head["parts"][-1]["rows"])
    assert head["parts"][-1]["name"] == "test"
    assert len(rows) == head["parts"][-1]["n"]
    assert (np.diff(rows.astype(int)) > 0).all()
    label = head["columns"][0]
    names = np.array(label["groups"])[read(packed, label["values"])[-len(rows) :]]
    assert (names == data.test.labels[rows].astype(str)).all()


def test_originals_of_the_test_part_come_first_and_are_counted(folder):
    explorer = explore(folder, originals=359 + 24)
    held = read(explorer.scene.packed, explorer.scene.head["held"])
    assert (held == np.arange(1414, 1797)).all()
    assert any("24 of 24 validation" in notice for notice in explorer.notices)
    none = explore(folder, originals=0)
    assert len(read(none.scene.packed, none.scene.head["held"])) == 0


def test_a_page_holds_its_bytes_and_lets_nothing_in(scene, tmp_path):
    text = page(scene).decode()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1]
    assert policy.startswith("default-src 'none'")
    assert "unsafe-inline" not in policy
    assert "'unsafe-eval'" not in policy
    script = re.search(r'<script type="module">(.*?)</script>', text, re.S)[1]
    style = re.search(r"<style>(.*?)</style>", text, re.S)[1]
    for part in (script, style):
        digest = base64.b64encode(hashlib.sha256(part.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    head = json.loads(re.search(r'<script type="application/json" id="head">(.*?)</script>', text)[1])
    assert head["n"] == 1797
    first = re.search(r'id="chunk-1">([^<]*)<', text)[1]
    assert base64.b64decode(first) == scene.packed.chunks[1]
    assert "http://" not in re.sub(r"<script.*?</script>", "", text, flags=re.S)


def test_the_same_run_makes_the_same_page(folder, scene, decoder):
    assert page(explore(folder).scene) == page(scene)


def hostile():
    """A table whose names and words a browser or a reader could be led astray by."""
    rng = np.random.default_rng(0)
    words = np.array(["</script><script>alert(1)</script>", "<img src=x onerror=alert(1)>", "a\u202eb"])
    table = pd.DataFrame({"<b>x</b>": rng.normal(size=60), "y": rng.normal(size=60)})
    table["words"] = words[rng.integers(0, 3, 60)]
    table.loc[::5, "y"] = np.nan
    return table


def test_words_of_the_data_are_no_markup():
    table = hostile()
    scene = explore(Autoencoder("vae", n_components=3, epochs=1).fit(table), table).scene
    text = page(scene).decode()
    assert text.count("<script") == text.count("</script>") == len(scene.packed.chunks) + 2
    assert "<img" not in text
    assert "<b>" not in text.replace("<body>", "")
    assert scene.head["example"]["columns"][0]["name"] == "<b>x</b>"


def test_rows_of_a_table_are_in_its_own_terms():
    table = pd.DataFrame(
        {
            "n": [1, 4, 2, 9, 3, 5] * 10,
            "when": pd.to_datetime(["2020-02-29", "2021-01-01", "1969-12-31"] * 20),
            "pet": ["cat", None, "dog"] * 20,
            "old": [True, False] * 30,
        }
    )
    model = Autoencoder("vae", n_components=2, epochs=1, column_kinds={"n": "count"}).fit(table)
    scene = explore(model, table).scene
    rows = read(scene.packed, scene.head["originals"])
    kinds = {column["name"]: column for column in scene.head["example"]["columns"]}
    assert rows[:, 0] == pytest.approx(table["n"].to_numpy())
    days = (table["when"] - pd.Timestamp("1970-01-01")).dt.days
    assert rows[:, 1] == pytest.approx(days.to_numpy())
    named = [None if np.isnan(v) else kinds["pet"]["categories"][int(v)] for v in rows[:, 2]]
    assert named == [None if pd.isna(v) else v for v in table["pet"]]
    assert (rows[:, 3] == table["old"]).all()


def test_scores_and_pvalues_come_with_a_detector():
    x = np.random.default_rng(0).normal(size=(120, 4))
    detector = AnomalyDetector("mlp", random_state=0, epochs=1).fit(x)
    scene = explore(detector, x).scene
    by_role = {column["role"]: read(scene.packed, column["values"]) for column in scene.head["columns"]}
    judged = detector.judge(x)
    assert by_role["score"] == pytest.approx(judged.scores, rel=1e-4)
    assert by_role["pvalue"] == pytest.approx(judged.pvalues, rel=1e-4)


def test_a_model_that_cannot_be_exported_shows_what_it_reconstructed(folder, monkeypatch, decoder):
    def refused(trained, part):
        raise IncompatibleError("the decoder of x cannot be exported")

    monkeypatch.setattr("autoencode.explorer.decoding.onnx_bytes", refused)
    scene = explore(folder, originals=50).scene
    assert scene.head["decoder"] == {"why_not": "the decoder of x cannot be exported"}
    trained = load_trained(folder)
    test = load_data("digits").test
    held = read(scene.packed, scene.head["held"])
    made = trained.reconstruct(test.take(held - (1797 - len(test)))).reshape(len(held), -1)
    stored = read(scene.packed, scene.head["reconstructions"]) * (16 / 255)
    assert np.abs(stored - made).max() <= 16 / 510 + 1e-4
    assert "runtime" not in json.loads(re.search(r'id="head">(.*?)</script>', page(scene).decode())[1])


def test_without_its_data_a_run_decodes_and_says_what_is_missing(tmp_path, decoder):
    x = np.random.default_rng(0).random((60, 6))
    train(x, "mlp", out=tmp_path / "run", epochs=1, latent_dim=3)
    explorer = explore(tmp_path / "run")
    assert explorer.scene.head["n"] == 0
    assert "chunk" in explorer.scene.head["decoder"]
    assert "points are missing" in explorer.notices[0]
    given = explore(tmp_path / "run", x)
    assert given.scene.head["n"] == 60
    assert given.notices == ()


@pytest.mark.parametrize(("n_dims", "kind"), [(1, "itself"), (2, "itself"), (5, "pca")])
def test_the_way_back_from_the_plane_is_its_inverse(n_dims, kind):
    codes = np.random.default_rng(0).normal(size=(50, n_dims)) * np.arange(1, n_dims + 1)
    plane = plane_for(codes)
    assert plane.kind == kind
    places = plane.project(codes)
    again = plane.project(plane.codes_at(places))
    assert again[:, 0] == pytest.approx(places[:, 0])
    if n_dims > 1:
        assert again[:, 1] == pytest.approx(places[:, 1])
    if n_dims == 2:
        assert plane.codes_at(places) == pytest.approx(codes)


def test_principal_axes_are_those_of_a_covariance_matrix():
    codes = np.random.default_rng(1).normal(size=(400, 4)) * [3.0, 0.5, 2.0, 1.0]
    plane = plane_for(codes)
    values, vectors = np.linalg.eigh(np.cov(codes.T))
    for axis, vector in zip(plane.basis, vectors.T[::-1], strict=False):
        assert abs(axis @ vector) == pytest.approx(1)
    share = values[-1] / values.sum()
    assert plane.names[0] == f"PC 1 of z ({100 * share:.0f} % of variance)"


def test_axes_that_were_chosen_are_shown():
    codes = np.random.default_rng(0).normal(size=(9, 4))
    plane = plane_for(codes, (3, 1))
    assert plane.project(codes) == pytest.approx(codes[:, [3, 1]])
    assert plane.names == ("z3", "z1")
    for wrong in ((0, 0), (0, 4), (1,), (-1, 2)):
        with pytest.raises(OptionError, match="axes are two different dimensions"):
            plane_for(codes, wrong)


def test_one_code_alone_has_a_plane():
    plane = plane_for(np.array([[1.0, 2.0, 3.0]]))
    assert plane.project(np.array([[1.0, 2.0, 3.0]])) == pytest.approx(np.zeros((1, 2)))
    assert plane.basis.shape == (2, 3)


def test_numbers_come_back_from_bytes():
    rng = np.random.default_rng(0)
    packed = Packed()
    values = np.concatenate(
        [rng.normal(size=500) * 10.0 ** rng.integers(-30, 30, 500), [0, np.inf, -0.0]]
    )
    values = values.astype(np.float32)
    found = read(packed, packed.add(values))
    known = np.isfinite(values)
    assert found[known] == pytest.approx(values[known], rel=2.0**-15)
    assert found[-2] == np.inf
    assert np.isnan(read(packed, packed.add(np.array([np.nan], np.float32))))[0]
    largest = np.array([np.finfo(np.float32).max], np.float32)
    assert read(packed, packed.add(largest))[0] == largest[0]
    table = rng.normal(size=(70, 3)) * [1, 1e6, 0]
    back = read(packed, packed.add_quantised(table))
    assert (np.abs(back - table) <= np.ptp(table, axis=0) / 65535).all()
    with pytest.raises(TypeError, match="int64"):
        packed.add(np.arange(3))


def test_errors_leave_gaps_out_and_count_wrong_categories():
    columns = (Column("a"), Column("pet", "category", ("cat", "dog")))
    spec = DataSpec((2,), "real", (0.0, 0.0), (2.0, 1.0), columns=columns, gaps=True)
    before = np.array([[1.0, 1.0], [np.nan, 0.0], [3.0, np.nan], [np.nan, np.nan]])
    after = np.array([[5.0, 0.0], [9.0, 0.0], [3.0, 1.0], [0.0, 0.0]])
    assert errors(spec, before, after).tolist() == [(4 + 1) / 2, 0.0, 0.0, 0.0]


def test_labels_are_groups_or_a_scale():
    rows = np.arange(3)
    assert labels_column([(None, rows)]) is None
    some = labels_column([(np.array([1.0, np.nan, 2.0]), rows), (None, rows)])
    assert some.groups == ("1", "2", "(missing)")
    assert some.values.tolist() == [0, 2, 1, 2, 2, 2]
    scale = labels_column([(np.linspace(0, 1, 50), np.arange(50))])
    assert scale.groups == ()
    assert scale.values.dtype == np.float32
    many = category("x", "label", np.array([f"w{i % 400}" for i in range(4000)] + ["w7"] * 50))
    assert len(many.groups) == 255
    assert many.groups[-1] == "(other)"
    assert many.values.max() == 254


def test_what_cannot_be_explored_is_refused(folder, tmp_path):
    with pytest.raises(OptionError, match="a run folder, a Run, a fitted estimator"):
        explore(3)
    with pytest.raises(OptionError, match="not fitted"):
        explore(Autoencoder("mlp"), np.zeros((3, 2)))
    with pytest.raises(RunFolderError):
        explore(tmp_path / "none")
    with pytest.raises(OptionError, match="points"):
        explore(folder, max_points=0)
    with pytest.raises(DataError):
        explore(folder, np.zeros((3, 5)))


def test_a_run_in_memory_and_its_model_are_explored():
    run = train("digits", "mlp", epochs=1, latent_dim=4)
    scene = explore(run).scene
    assert scene.head["n"] == 1797
    assert scene.head["plane"]["kind"] == "pca"
    codes = read(scene.packed, scene.head["codes"])
    assert scene.head["codes"]["of"] == "all"
    wanted = run.trained.embed(run.data.test)
    assert np.abs(codes[-len(wanted) :] - wanted).max() < np.ptp(codes) / 60000
    assert explore(run.trained, run.data.test.x).scene.head["n"] == len(wanted)


def test_the_page_lies_beside_the_program_it_came_from():
    assert home.page is page
    assert autoencode.explore is explore


def test_data_that_stay_on_disk_are_shown(tmp_path):
    x = np.random.default_rng(0).normal(size=(300, 6)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    run = train(
        str(tmp_path / "x.npy"), "mlp", stream=True, epochs=1, latent_dim=2, out=tmp_path / "run"
    )
    for given in (run, tmp_path / "run"):
        scene = explore(given, max_points=200).scene
        assert scene.head["n"] == 200
        rows = read(scene.packed, scene.head["originals"])
        far = np.abs(rows[:, None] - x[None]).max(2)
        assert (far.min(1) < 1e-4).all()
        assert len(set(far.argmin(1))) == len(rows)


def test_names_of_rows_are_in_the_page(tmp_path):
    lines = "\n".join(f"{i % 13},row {i},{(i * 7) % 11},{i % 3}" for i in range(60))
    (tmp_path / "t.csv").write_text(f"n,name,a,b\n{lines}\n", encoding="utf-8")
    table = TableOptions(id="name", label="b")
    train(str(tmp_path / "t.csv"), "mlp", table=table, epochs=1, latent_dim=2, out=tmp_path / "run")
    scene = explore(tmp_path / "run", str(tmp_path / "t.csv")).scene
    (part,) = scene.head["parts"]
    names = gzip.decompress(scene.packed.chunks[part["ids"]["chunk"]]).decode().split("\n")
    assert names == [f"row {i}" for i in range(60)]
    label = scene.head["columns"][0]
    assert read(scene.packed, label["values"]).tolist() == [i % 3 for i in range(60)]
    assert [column["name"] for column in scene.head["example"]["columns"]] == ["n", "a"]


def test_a_saved_detector_judges_what_a_file_holds(tmp_path):
    x = np.random.default_rng(0).normal(size=(120, 4))
    np.save(tmp_path / "x.npy", x)
    AnomalyDetector("mlp", random_state=0, epochs=1).fit(x).save(tmp_path / "detector")
    scene = explore(tmp_path / "detector", tmp_path / "x.npy").scene
    scores = next(one for one in scene.head["columns"] if one["role"] == "score")
    wanted = -autoencode.load(tmp_path / "detector").score_samples(x)
    assert read(scene.packed, scores["values"]) == pytest.approx(wanted, rel=1e-4)


def test_a_data_set_that_is_named_shows_its_test_part(folder):
    scene = explore(folder, "digits").scene
    assert scene.head["n"] == len(load_data("digits").test)
    assert scene.head["title"] == "vae on digits"
