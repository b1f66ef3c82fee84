"""The page of anomalies: values as the file has them beside what was expected, the worst first."""

import base64
import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from autoencode import AnomalyDetector
from autoencode.anomaly import expected_rows
from autoencode.data.values.frames import decode
from autoencode.pictures.found_rows import found_rows
from autoencode.pictures.pages import write_anomalies
from page import Page

N = 90
QUICK = {"epochs": 1, "device": "cpu", "random_state": 0}


def people():
    rng = np.random.default_rng(0)
    a = rng.normal(size=N)
    frame = pd.DataFrame(
        {
            "age": np.round(40 + 10 * a),
            "income": np.round(1000 + 100 * a, 2),
            "town": rng.choice(["Graz", "Oslo"], N),
            "joined": pd.Timestamp("2020-01-01") + pd.to_timedelta(np.round(30 * a), unit="D"),
        }
    )
    frame.loc[7, "age"] = 400
    frame.loc[20, "town"] = None
    return frame


@pytest.fixture(scope="module")
def judged():
    detector = AnomalyDetector("mlp", options={"hidden": (8,), "noise": "missing"}, **QUICK)
    judgement = detector.fit_judge(people())
    rows = judgement.most_anomalous(5)
    return detector.trained_, judgement, rows


def told(judged, given=None):
    trained, judgement, rows = judged
    names = [f"person {row}" for row in rows]
    return found_rows(trained.spec, judgement, judgement.explain(rows), rows, names, given)


def test_what_is_expected_is_the_reconstruction_in_the_data_s_units(judged):
    trained, judgement, rows = judged
    expected = expected_rows(trained.spec, judgement.reconstructed(rows))
    np.testing.assert_allclose(expected, trained.reconstruct(judgement.x[rows]), rtol=1e-4, atol=1e-3)


def test_rows_come_with_scores_pvalues_and_flags_the_worst_first(judged):
    _, judgement, rows = judged
    found = told(judged)
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    assert [one.name for one in found] == [f"person {row}" for row in rows]
    assert [one.flagged for one in found] == judgement.flags[rows].tolist()
    assert [one.pvalue for one in found] == judgement.pvalues[rows].tolist()


def test_reasons_hold_the_value_the_expected_one_and_the_share(judged):
    trained, judgement, rows = judged
    found = told(judged)[0]
    assert rows[0] == 7
    reason = found.reasons[0]
    assert (reason.name, reason.value, reason.level) == ("age", "400", 3)
    age = people()["age"]
    spread = (age.quantile(0.75) - age.quantile(0.25)) / 1.349
    off = (400 - min(age.median(), float(reason.expected))) / spread
    assert reason.mark == f"▲ {off:.1f}"
    explanation = judgement.explain(rows[:1])
    assert reason.bar == round(100 * explanation.shares[0, 0] / explanation.scores[0])
    made = decode(trained.reconstruct(judgement.x[rows[:1]]), trained.spec.columns)["age"][0]
    assert float(reason.expected) == pytest.approx(made, abs=0.06)
    low, high = np.quantile(people()["age"], [0.05, 0.95], method="nearest")
    assert reason.usual == f"90 % from {low:.0f} to {high:.0f}"
    assert [one.bar for one in found.reasons] == sorted(one.bar for one in found.reasons)[::-1]


def test_the_whole_row_is_there_as_the_file_has_it(judged):
    trained, judgement, _ = judged
    row = np.array([20])
    given = [{"id": "a-20", "age": 1.0, "income": 2.0, "town": None, "joined": None, "note": 0.25}]
    one = found_rows(trained.spec, judgement, judgement.explain(row), row, ["a-20"], given)[0]
    cells = {cell.name: cell for cell in one.cells}
    assert list(cells) == ["id", "age", "income", "town", "joined", "note"]
    assert (cells["id"].value, cells["note"].value) == ("a-20", "0.25")
    assert cells["town"].gap
    assert cells["age"].value == f"{people()['age'][20]:.0f}"
    assert cells["income"].value == f"{people()['income'][20]:.2f}"
    assert cells["joined"].value == str(people()["joined"][20].date())


def test_a_value_that_training_lacked_is_shown_and_marked_as_new(judged):
    trained, judgement, _ = judged
    row = np.array([20])  # whose town the model does not know
    one = found_rows(
        trained.spec, judgement, judgement.explain(row), row, ["a"], [{"town": "Atlantis"}]
    )[0]
    (cell,) = one.cells
    assert (cell.value, cell.mark, cell.level, cell.gap) == ("Atlantis", "new", 3, False)


def page_of(tmp_path, found, what="rows"):
    path = tmp_path / "p.html"
    write_anomalies(path, title="t", facts={"Rows": N}, found=found, what=what, pictures=())
    return Page(path.read_text(encoding="utf-8"))


def test_the_page_has_the_reasons_in_view_and_the_cells_marked(judged, tmp_path):
    found = told(judged)
    page = page_of(tmp_path, found)
    assert page.headings[:3] == [1, 2, 3]
    assert page.row("Column") == ["Column", "Value", "Expected", "Among all rows", "Share of score"]
    first = found[0].reasons[0]
    assert page.row("age") == [
        *("age", f"400 {first.mark}", first.expected, first.usual),
        f"{first.bar} %",
    ]
    (marked,) = [
        attrs for attrs in page.all("td") if attrs.get("class") == "off-3" and "data-label" in attrs
    ][:1]
    assert marked["data-label"] == "value"
    names = [text for text in page.texts if text.startswith("person ")]
    assert names == [one.name for one in found]
    assert all("scope" in attrs for attrs in page.all("th"))
    assert not page.all("script")


def test_of_images_each_has_its_own_pictures(tmp_path):
    x = np.random.default_rng(0).integers(0, 60, (60, 8, 8)).astype(np.uint8)
    x[5] = np.arange(64).reshape(8, 8) * 4
    detector = AnomalyDetector("conv_small", options={"min_steps": 2}, **QUICK)
    judgement = detector.fit_judge(x)
    rows = np.array([5, 1])
    explanation = judgement.explain(rows)
    found = found_rows(detector.trained_.spec, judgement, explanation, rows, ["five", "one"])
    original, _, shares = (
        np.asarray(Image.open(io.BytesIO(base64.b64decode(one["data"]))).convert("L"), float)
        for one in found[0].pictures
    )
    assert original.shape == shares.shape == (8, 8)
    low, scale = detector.trained_.spec.offset[0], detector.trained_.spec.scale[0]
    np.testing.assert_allclose(original, ((x[5] - low) / scale).clip(0, 1) * 255, atol=1.5)
    page = page_of(tmp_path, found, "images")
    assert [img["alt"] for img in page.all("img")][:3] == [
        *("five: original", "five: reconstruction", "five: what each pixel adds"),
    ]


def test_of_signals_the_channels_that_add_most_are_drawn(tmp_path):
    x = np.random.default_rng(0).normal(size=(60, 20, 3)).astype(np.float32)
    x[4, 11, 2] = 40
    detector = AnomalyDetector("mlp", layout="sequence", options={"hidden": (8,)}, **QUICK)
    judgement = detector.fit_judge(x)
    rows = judgement.most_anomalous(2)
    explanation = judgement.explain(rows)
    found = found_rows(detector.trained_.spec, judgement, explanation, rows, ["a", "b"])
    assert rows[0] == 4
    assert found[0].panels[0].name == found[0].reasons[0].name == "channel 2"
    assert found[0].reasons[0].value == "40.000 at step 11"
    np.testing.assert_array_equal(found[0].panels[0].lines[0][1], x[4, :, 2])
    page = page_of(tmp_path, found, "signals")
    assert page.row("Channel") == ["Channel", "Value", "Expected", "Share of score"]
    assert len(page.all("svg")) == 6
