"""Reports of tables and signals: the right values in the right cells, the worst first, harmless."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, r2_score

from autoencode.errors import OptionError
from autoencode.pictures import of_runs, pages, plots
from autoencode.pictures.cell_text import in_words
from autoencode.pictures.column_errors import errors_of_signals, errors_of_table
from autoencode.pictures.compared_rows import compare_rows
from autoencode.pictures.histograms import compare_draws, histogram
from autoencode.pictures.of_views import figure_of, planes_figure
from autoencode.pictures.planes import planes
from autoencode.pictures.signal_panels import compare_signals, drawn_signals, panel, svg_path, thinned
from autoencode.pictures.sweeps import sweeps_of_rows
from autoencode.runs import train
from autoencode.types import Column, DataSpec, Support
from page import Page

DAY = np.datetime64("2020-03-01", "D").astype(float)
COLUMNS = (
    Column("age"),
    Column("income €"),
    Column("town", "category", ("Graz", "Oslo", "São Paulo")),
    Column("member", "boolean"),
    Column("visits", "count"),
    Column("joined", "date", origin=DAY),
)
SPEC = DataSpec(
    (6,),
    "real",
    scale=(1.0,) * 6,
    columns=COLUMNS,
    support=Support((0.0,) * 6, (1.0,) * 6, (0, 2, 0, 0, 0, 0), "float64"),
)
RNG = np.random.default_rng(0)
N = 40


def rows():
    x = np.stack(
        [
            np.tile([30.0, 50.0], N // 2),  # standard deviation 10
            np.round(RNG.normal(2000, 300, N), 2),
            RNG.integers(0, 3, N).astype(float),
            RNG.integers(0, 2, N).astype(float),
            np.log1p(RNG.poisson(4, N)),
            RNG.integers(-50, 50, N).astype(float),
        ],
        axis=1,
    )
    made = x + RNG.normal(0, 0.1, x.shape) * x.std(axis=0)
    made[:, 2:4] = x[:, 2:4]
    x[0], made[0] = (30, 1234.5, 1, 1, np.log1p(3), 10), (43, 1240.25, 0, 1, np.log1p(3), 10)
    x[1, [2, 5]] = np.nan
    made[1, [2, 5]] = 2, 4
    return x, made


def compared(x, made, spec=SPEC, names=("first", "second")):
    errors = errors_of_table(spec, x, made)
    return errors, compare_rows(spec, x, made, errors, names)


def written(tmp_path, *views):
    path = tmp_path / "report.html"
    shown = [{"view": view, "caption": "what it is"} for view in views]
    given = {"config": {}, "metrics": [], "history": [], "title": "t"}
    pages.write_report(path, **given, pictures=shown)
    source = path.read_text(encoding="utf-8")
    return source, Page(source)


def test_errors_are_those_of_sklearn_and_the_worst_come_first():
    x, made = rows()
    errors = errors_of_table(SPEC, x, made)
    by_name = {one.name: one for one in errors.columns}
    for i in (0, 1, 4, 5):
        known = ~np.isnan(x[:, i])
        left = 1 - r2_score(x[known, i], made[known, i])
        assert by_name[COLUMNS[i].name].left == pytest.approx(left)
    known = ~np.isnan(x[:, 2])
    town = by_name["town"]
    assert town.right == pytest.approx(accuracy_score(x[known, 2], made[known, 2]))
    assert town.n == known.sum()
    most = np.bincount(x[known, 2].astype(int)).max() / known.sum()
    assert town.left == pytest.approx((1 - town.right) / (1 - most))
    assert f"{town.right:.0%} right" in town.words
    lefts = [one.left for one in errors.columns]
    assert lefts == sorted(lefts, reverse=True)


def test_a_constant_guess_has_the_error_one_and_the_original_none():
    x, _ = rows()
    guess = np.where(np.isnan(x), np.nan, np.nanmean(x, axis=0))
    for i in (2, 3):
        values, counts = np.unique(x[~np.isnan(x[:, i]), i], return_counts=True)
        guess[:, i] = values[counts.argmax()]
    assert [one.left for one in errors_of_table(SPEC, x, guess).columns] == pytest.approx([1.0] * 6)
    assert all(one.left == 0 for one in errors_of_table(SPEC, x, x).columns)


def test_columns_without_a_known_value_come_last_and_say_so():
    x, made = rows()
    x[:, 0] = np.nan
    errors, table = compared(x, made)
    assert errors.columns[-1].name == "age"
    assert errors.columns[-1].words == "nothing but gaps"
    assert [cell.gap for cell in table.cells[-1]] == [True, True]


def test_a_column_that_does_not_vary_is_measured_by_its_spread_in_training():
    x, made = np.full((5, 1), 7.0), np.full((5, 1), 9.0)
    errors = errors_of_table(DataSpec((1,), "real", scale=(4.0,)), x, made)
    assert errors.columns[0].left == pytest.approx(0.25)


def test_each_cell_holds_the_value_the_reconstruction_and_the_mark(tmp_path):
    x, made = rows()
    errors, table = compared(x, made)
    source, page = written(tmp_path, errors, table)
    head = page.row("Column")
    assert head == ["Column", "Kind", "Error", "In words"]
    spread = np.nanstd(x[:, 0])
    assert page.row("age")[0] == "age"
    cells = {row[0]: [" ".join(c.split()) for c in row] for row in page.rows if len(row) == 3}
    assert cells["Column"] == ["Column", "first", "second"]
    assert cells["age"][1] == f"30 43.0 ▲ {13 / spread:.1f}"
    assert cells["town"][1:] == ["Oslo Graz ≠", "gap São Paulo"]
    assert cells["member"][1].startswith("true true")
    assert cells["visits"][1] == "3 3.00"
    assert cells["joined"][1] == "2020-03-11 2020-03-11"
    assert cells["joined"][2] == "gap 2020-03-05"
    assert cells["income €"][1] == "1234.50 1240"
    order = [name for name in cells if name != "Column"]
    assert order == [one.name for one in errors.columns]
    assert source.count('class="off-3"') >= 2  # the shade of age and town, beside the legend's


@pytest.mark.parametrize(
    ("off", "mark", "level"),
    [(0.0, "", 0), (0.2, "", 0), (-0.3, "▼ 0.3", 1), (0.6, "▲ 0.6", 2), (-5.0, "▼ 5.0", 3)],
)
def test_marks_and_shades_grow_with_the_error_in_spreads(off, mark, level):
    x = np.tile([0.0, 20.0], 10)[:, None]  # standard deviation 10
    made = x.copy()
    made[0] += 10 * off
    _, table = compared(x, made, DataSpec((1,), "real"), ["a"])
    cell = table.cells[0][0]
    assert (cell.mark, cell.level) == (mark, level)


EVIL = ["<script>alert(1)</script>", "a\u202eb", "x" * 200, "Ω 温度 ñ", "\"'><img src=x onerror=y>", ""]


def test_names_from_data_are_shown_and_never_obeyed(tmp_path):
    columns = (*map(Column, EVIL), Column("c", "category", tuple(EVIL)))
    spec = DataSpec((7,), "real", columns=columns)
    x = RNG.normal(size=(12, 7))
    x[:, 6] = np.arange(12) % 6
    errors, table = compared(x, x[::-1], spec, EVIL[:3])
    steps = np.stack([x[:11], x[1:]])
    swept = sweeps_of_rows(
        spec, steps, errors.columns, EVIL[:2], ["a"] * 11, title=EVIL[0], across=EVIL[0]
    )
    signals = drawn_signals(DataSpec((3, 7), columns=columns), RNG.normal(size=(2, 3, 7)), EVIL[0])
    views = (errors, table, compare_draws(spec, x, x[::-1]), swept, signals)
    source, page = written(tmp_path, *views)
    assert not page.all("script")
    assert not page.all("img")
    assert not re.search("[\u202a-\u202e\u2066-\u2069]", source)
    assert not [name for _, attrs in page.tags for name in attrs if name.startswith("on")]
    for shown in ("<script>alert(1)</script>", "a\\u202eb", "Ω 温度 ñ"):
        assert shown in page.text
    assert "x" * 200 in {attrs.get("title") for attrs in page.all("span")}
    assert page.open == []
    for view in views:
        assert plots.png(figure_of(view)).startswith(b"\x89PNG")
    assert plots.png(planes_figure(planes(spec, x[:9], errors.columns, 3), (0, 1, 0, 1)))


def test_of_many_columns_twelve_are_in_view_and_all_are_there(tmp_path):
    spec = DataSpec((300,), "real", columns=tuple(Column(f"sensor {i}") for i in range(300)))
    x = RNG.normal(size=(20, 300))
    made = x + np.arange(300) / 300 * RNG.normal(size=x.shape)
    errors, table = compared(x, made, spec)
    source, page = written(tmp_path, errors, table)
    head, _, rest = source.partition("<details>")
    assert head.count('<th scope="row">') == 12
    assert rest.count('<th scope="row">') == 12 + 2 * 288
    assert len(page.all("details")) == 2
    assert "288 further columns" in page.text
    assert plots.png(figure_of(table))


def test_one_column_and_few_rows_have_pages_and_pictures(tmp_path):
    spec = DataSpec((1,), "real")
    x = np.array([[1.0], [2.0], [np.nan]])
    errors, table = compared(x, np.ones((3, 1)), spec, ["a", "b", "c"])
    _, page = written(tmp_path, errors, table, compare_draws(spec, x, np.ones((3, 1))))
    assert page.row("x0")[0] == "x0"
    for view in (errors, table):
        assert plots.png(figure_of(view))


def test_headings_labels_and_scopes_are_in_order(tmp_path):
    x, made = rows()
    errors, table = compared(x, made)
    series = DataSpec((5, 2))
    signals = RNG.normal(size=(3, 5, 2))
    found = errors_of_signals(series, signals, signals)
    lines = compare_signals(series, signals, signals, found, ["a", "b"])
    _, page = written(tmp_path, errors, table, compare_draws(SPEC, x, x), lines)
    assert page.headings[0] == 1
    assert all(b <= a + 1 for a, b in zip(page.headings, page.headings[1:], strict=False))
    assert all("scope" in attrs for attrs in page.all("th"))
    assert page.all("svg")
    for attrs in page.all("svg"):
        assert attrs["role"] == "img"
        assert attrs["aria-label"]
    assert not page.all("script")
    regions = [attrs for _, attrs in page.tags if attrs.get("class") == "scroll"]
    assert all(attrs["tabindex"] == "0" and attrs["aria-label"] for attrs in regions)


def luminance(colour):
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(one, other):
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_text_can_be_read_on_every_ground_in_light_and_dark():
    style = (Path(pages.__file__).parent / "style.css").read_text(encoding="utf-8")
    themes = [
        dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block))
        for block in re.findall(r":root \{(.*?)\}", style, re.S)[:2]
    ]
    assert len(themes) == 2
    for theme in themes:
        for ink, grounds in {
            "ink": ("paper", "shade", "off-1", "off-2", "off-3", "warn-shade"),
            "soft": ("paper",),
            "accent": ("paper",),
            "warn": ("paper",),
        }.items():
            for ground in grounds:
                assert contrast(theme[ink], theme[ground]) >= 4.5, (ink, ground)
        for mark in ("first", "second"):  # lines and bars
            assert contrast(theme[mark], theme["paper"]) >= 3


# --- words -------------------------------------------------------------------------------------


def test_numbers_have_the_digits_that_mean_something():
    x = np.array([[1.5, 1e6], [2.25, 3e6]])
    support = Support((0.0,) * 2, (1.0,) * 2, (2, 0), "float64")
    spec = DataSpec((2,), "real", support=support)
    assert in_words(spec, x) == [["1.50", "2.25"], ["1000000", "3000000"]]
    assert in_words(spec, x / 3, x, made=True) == [["0.500", "0.750"], ["333333", "1000000"]]


def test_times_of_day_are_written_where_the_data_have_them():
    spec = DataSpec((1,), "real", columns=(Column("t", "date", origin=DAY),))
    assert in_words(spec, np.array([[0.25], [0.5], [np.nan]])) == [
        ["2020-03-01 06:00", "2020-03-01 12:00", "gap"]
    ]


# --- draws -------------------------------------------------------------------------------------


def test_histograms_hold_all_values_and_overlap_as_distributions_do():
    real, drawn = RNG.normal(size=500), RNG.normal(1, 1, size=300)
    spec = DataSpec((1,), "real", columns=(Column("a"),))
    found = histogram(spec, real, drawn)
    assert sum(found.real) == pytest.approx(1)
    assert sum(found.drawn) == pytest.approx(1)
    assert 0.55 < found.overlap < 0.72  # of N(0,1) and N(1,1): 2 Phi(-1/2) = 0.617
    assert histogram(spec, real, real).overlap == pytest.approx(1)


def test_whole_numbers_are_as_many_in_each_bar():
    support = Support((0.0,), (49.0,), (0,), "int64")
    spec = DataSpec((1,), "real", columns=(Column("a"),), support=support)
    every = np.tile(np.arange(48.0), 40)
    found = histogram(spec, every, every)
    assert np.ptp(found.real[:-1]) == pytest.approx(0)


def test_rare_categories_are_one_bar_together():
    names = tuple(f"n{i}" for i in range(30))
    spec = DataSpec((1,), "real", columns=(Column("a", "category", names),))
    found = histogram(spec, np.repeat(np.arange(30.0), np.arange(1, 31)), np.zeros(5))
    assert found.labels[:2] == ("n29", "n28")
    assert found.labels[-1] == "23 others"
    assert sum(found.real) == pytest.approx(1)
    assert found.drawn[-1] == 1.0


def test_draws_stand_beside_real_rows_and_the_worst_fit_comes_first(tmp_path):
    x, _ = rows()
    drawn = x[::-1].copy()
    drawn[:, 0] = 30
    draws = compare_draws(SPEC, x, drawn)
    assert draws.columns[0] == "age"
    _, page = written(tmp_path, draws)
    assert page.row("age")[1:4] == ["30", "50", "30"]
    assert page.row("age")[4:] == ["30"] * 3
    assert page.row("town")[2] == "gap"


# --- signals -----------------------------------------------------------------------------------


def test_each_channel_has_a_panel_the_worst_first(tmp_path):
    spec = DataSpec((50, 3), "real")
    x = RNG.normal(size=(6, 50, 3))
    made = x.copy()
    made[:, :, 1] += 1
    errors = errors_of_signals(spec, x, made)
    assert [one.name for one in errors.columns] == ["channel 1", "channel 0", "channel 2"]
    view = compare_signals(spec, x, made, errors, ["a", "b"])
    assert [[one.name for one in row] for row in view.panels][1][0] == "channel 1"
    np.testing.assert_array_equal(view.panels[1][0].lines[0][1], x[1, :, 1])
    np.testing.assert_array_equal(view.panels[1][0].lines[1][1], made[1, :, 1])
    source, page = written(tmp_path, errors, view)
    assert source.count("<svg") == 6
    assert len(page.all("path")) == 12
    assert plots.png(figure_of(view))


def test_the_path_of_a_line_goes_through_its_values():
    one = panel("a", np.array([0.0, 10.0, 5.0]), np.array([0.0, 0.0, 0.0]))
    assert svg_path(one, 0, 200, 100) == "M0 100L100 0L200 50"
    assert svg_path(one, 1, 200, 100) == "M0 100L100 100L200 100"


def test_long_lines_keep_their_peaks_and_gaps():
    line = np.sin(np.arange(100_000.0))
    line[777], line[5000:6000] = 9, np.nan
    steps, values = thinned(line)
    assert len(steps) <= 700
    assert values[np.searchsorted(steps, 777)] == 9
    assert np.isnan(values[(steps >= 5000) & (steps < 6000)]).all()
    assert np.nanmin(values) == np.nanmin(line)


# --- sweeps and planes ---------------------------------------------------------------------------


def test_a_sweep_names_the_columns_that_it_moves():
    spec = DataSpec(
        (3,), "real", columns=(Column("a"), Column("b"), Column("k", "category", ("u", "v")))
    )
    x = np.stack([RNG.normal(size=40), RNG.normal(size=40), np.arange(40) % 2], axis=1)
    decoded = np.zeros((2, 11, 3))
    decoded[0, :, 1] = np.linspace(-3, 3, 11)
    decoded[1, 8:, 2] = 1
    columns = errors_of_table(spec, x, x).columns
    view = sweeps_of_rows(
        spec, decoded, columns, ["z0", "z1"], list("abcdefghijk"), title="", across=""
    )
    assert [[one.name for one in row] for row in view.columns] == [["b"], ["k"]]
    assert view.columns[0][0].values[0] == "-3.00"
    assert view.columns[0][0].levels == (3, 3, 2, 2, 3, 3)
    assert view.columns[1][0].values == ("u", "u", "u", "u", "v", "v")
    assert view.ticks == tuple("acegik")


def test_a_plane_holds_what_is_decoded_at_each_place():
    spec = DataSpec((2,), "real", columns=(Column("a"), Column("k", "category", ("u", "v"))))
    decoded = np.stack([np.arange(9.0), [0, 0, 0, 0, 1, 1, 1, 1, 1]], axis=1)
    columns = errors_of_table(spec, decoded, decoded).columns
    found = {one.name: one for one in planes(spec, decoded, columns, 3)}
    np.testing.assert_allclose(found["a"].values, np.arange(9).reshape(3, 3) / 8)
    assert found["a"].labels == ("0.00", "8.00")
    np.testing.assert_array_equal(found["k"].values, decoded[:, 1].reshape(3, 3))
    assert found["k"].labels == ("u", "v")


# --- runs ----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("pictures")
def test_the_report_of_a_table_names_its_columns_by_their_errors(tmp_path):
    rng = np.random.default_rng(3)
    a = rng.normal(size=120)
    frame = pd.DataFrame({"alpha": a, "noise": rng.normal(size=120), "beta": a * 2 + 1})
    frame["word"] = np.where(a > 0, "up", "down")
    frame.to_csv(tmp_path / "t.csv", index=False)
    run = train(tmp_path / "t.csv", "vae", out=tmp_path / "r", epochs=1, latent_dim=2, device="cpu")
    assert run.left_out == {}
    page = Page((tmp_path / "r/report.html").read_text(encoding="utf-8"))
    test = run.data.test
    errors = errors_of_table(run.data.spec, test.x, run.trained.reconstruct(test).astype(float))
    first = [row[0].strip() for row in page.rows if len(row) == 4 and row[0].strip() in frame]
    assert first == [one.name for one in errors.columns]
    written_out = in_words(run.data.spec, test.x)[0][0]
    cells = next(r for r in page.rows if r[0].strip() == "alpha" and len(r) == 7)
    assert cells[1].split()[0] == written_out
    assert (tmp_path / "r/plots/columns.png").exists()


@pytest.mark.usefixtures("pictures")
def test_signals_have_lines_and_no_columns_where_there_is_one_channel():
    x = RNG.normal(size=(40, 12, 1)).astype(np.float32)
    one = train(x, "mlp", epochs=1, latent_dim=2, device="cpu", layout="sequence").trained
    assert "columns" not in of_runs.available(one)
    with pytest.raises(OptionError, match="no columns"):
        of_runs.view("columns", one, one)


@pytest.mark.usefixtures("pictures")
def test_pictures_of_images_stay_pictures():
    digits = train("digits", "mlp", epochs=1, latent_dim=2, device="cpu")
    kinds = of_runs.available(digits.trained)
    assert "columns" not in kinds
    assert all(of_runs.view(kind, digits.trained, digits.data.test) is None for kind in kinds)


@pytest.mark.usefixtures("pictures")
def test_a_sheet_of_drawn_rows_has_their_words():
    frame = pd.DataFrame({"n": np.arange(40) % 7, "word": np.where(np.arange(40) % 2, "up", "down")})
    run = train(frame, "vae", epochs=1, latent_dim=2, device="cpu")
    drawn = run.trained.sample(5)
    figure = of_runs.sheet(run.trained, drawn)
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts == [text for column in in_words(run.data.spec, drawn) for text in column]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["n", "word"]
