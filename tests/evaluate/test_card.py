"""The evaluation card as a whole: what it holds, how it is asked for, and that it repeats itself."""

import json
from html.parser import HTMLParser

import numpy as np
import pytest
import torch

from autoencode import RECIPES, load_data, train
from autoencode.cli.evaluate import evaluate_command
from autoencode.errors import IncompatibleError, OptionError
from autoencode.evaluate.card import FIGURES, SECTIONS, card
from autoencode.evaluate.case import Case
from autoencode.evaluate.measures import Figure, Measure, Result, Section, chosen
from autoencode.evaluate.metrics import METRICS, evaluate
from autoencode.evaluate.published import PUBLISHED, neighbours
from autoencode.recipes import build
from autoencode.trained import Trained

pytest_plugins = ["cli_runs"]

MEASURES = [measure for section in SECTIONS for measure in section.measures]


@pytest.fixture(scope="module")
def run():
    return train("digits", "vae", epochs=1, hidden=(16,), latent_dim=3)


def case_of(run, **options):
    return Case(run.trained, run.data.test, run.split("train"), n_draws=5, **options)


# What there is


def test_names_belong_to_one_thing_each():
    names = [figure.name for measure in MEASURES for figure in measure.figures]
    assert len(names) == len(set(names)) == len(FIGURES)
    titles = [section.title.lower() for section in SECTIONS]
    assert not set(titles) & set(names)
    assert len({measure.name for measure in MEASURES}) == len(MEASURES)


@pytest.mark.parametrize("measure", MEASURES, ids=lambda measure: measure.name)
def test_every_figure_has_a_unit_and_a_meaning_of_one_line(measure):
    for figure in measure.figures:
        assert figure.unit
        assert figure.meaning
        assert "\n" not in figure.meaning
        assert len(figure.meaning) <= 110


def test_what_training_measures_is_what_is_quick(run):
    quick = [figure.name for m in MEASURES if m.cost == "quick" for figure in m.figures]
    assert set(quick) == set(METRICS)
    found = card(case_of(run), quick=True).values
    assert found == evaluate(run.trained, run.data.test, run.split("train")) == run.metrics


def test_help_and_the_page_name_every_section_and_the_figures_that_judge():
    text = evaluate_command.help
    for section in SECTIONS:
        assert section.title.lower() in text
        for measure in section.measures:
            judging = [figure for figure in measure.figures if figure.better]
            assert any(figure.name in text for figure in judging or measure.figures), measure.name


# What is asked for


def test_only_and_skip_take_sections_measures_and_figures():
    def names(*only, skip=(), quick=False):
        found = chosen(SECTIONS, only, skip, quick)
        return [measure.name for section in found for measure in section.measures]

    assert names() == [measure.name for measure in MEASURES]
    assert names("latent") == ["active", "information", "aggregate", "mmd"]
    assert names("psnr", "nll") == ["errors", "nll"]
    assert names("latent", skip=["mmd", "active_units"]) == ["information", "aggregate"]
    assert names(quick=True) == ["errors", "pca", "constant", "bound", "guesses"]
    assert names("nll", quick=True) == ["nll"]
    with pytest.raises(OptionError, match="no measure is called 'fidd'; did you mean fid"):
        names("fidd")
    with pytest.raises(OptionError, match="nothing is left"):
        names("nll", skip=["likelihood"])


def test_a_section_of_ones_own_needs_nothing_but_a_measure(run):
    def width(case):
        if case.seed:
            raise IncompatibleError("only for seed 0")
        return Result({"width": float(np.prod(case.trained.latent_shape))}, how="counted")

    own = Section("Mine", (Measure("width", (Figure("width", "units", "of the code"),), width),))
    found = card(case_of(run), sections=(*SECTIONS, own), only=["mine", "mse"])
    assert found.values["width"] == 3
    assert found.as_dict()["how"]["width"] == "counted"
    other = card(case_of(run, seed=1), sections=(own,)).as_dict()
    assert (other["width"], other["absent"]) == (None, {"width": "only for seed 0"})


def test_a_mistake_in_a_measure_is_no_missing_figure(run):
    own = Section("Mine", (Measure("width", (), lambda case: 1 / 0),))
    with pytest.raises(ZeroDivisionError):
        card(case_of(run), sections=(own,))


# The same again


def test_the_same_seed_gives_the_same_card_and_another_another(run):
    first, again, other = (card(case_of(run, seed=seed)).as_dict() for seed in (0, 0, 1))
    assert json.dumps(first) == json.dumps(again)
    for name in ("elbo", "nll", "mutual_information", "fid", "prior_mmd"):
        assert first[name] != other[name]
    assert first["mse"] == other["mse"]


def test_no_figure_depends_on_which_others_are_asked_for(run):
    torch.manual_seed(3)
    whole = card(case_of(run)).values
    for name in ("nll", "aggregate_kl", "coverage", "knn_accuracy", "active_units", "mse_to_pca"):
        assert card(case_of(run), only=[name]).values[name] == whole[name]
    assert float(torch.rand(())) == pytest.approx(0.0043, abs=1e-4)  # the caller's draws are its own


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_has_a_card(name):
    data = load_data("digits")
    if RECIPES[name].conditional:
        from autoencode.data import conditioned

        data = conditioned(data)
    trained = Trained(build(name, data.spec))
    part = data.test.take(np.arange(60))
    case = Case(trained, part, data.train.take(np.arange(80)), n_draws=2)
    found = card(case)
    assert set(found.values) == set(FIGURES)
    assert set(found.as_dict()["absent"]) <= {measure.name for measure in MEASURES}
    values = [value for value in found.values.values() if value is not None]
    assert np.isfinite(values).all()
    assert (found.values["elbo"] is not None) == case.stochastic
    assert found.values["probe_accuracy"] is not None


# Published figures


def test_published_figures_stand_beside_runs_of_their_recipe_and_data_only(run):
    options = build("iwae", run.trained.spec, n_samples=1, binarize=True).options
    (found,) = neighbours("iwae", options, "mnist", "dynamic")
    assert (found.figure, found.value) == ("nll", 86.76)
    assert "Burda" in found.source
    for other in (
        ("vae", options, "mnist", "dynamic"),
        ("iwae", {**options, "hidden": [100, 100]}, "mnist", "dynamic"),
        ("iwae", {**options, "n_samples": 7}, "mnist", "dynamic"),
        ("iwae", options, "kmnist", "dynamic"),
        ("iwae", options, None, "dynamic"),
        ("iwae", options, "mnist", "grey"),
        ("iwae", options, "mnist", "static"),
    ):
        assert not neighbours(*other)


@pytest.mark.parametrize("one", PUBLISHED, ids=lambda one: f"{one.recipe} {one.value}")
def test_published_figures_are_of_options_that_recipes_have(one, run):
    options = build(one.recipe, run.trained.spec, **one.options).options
    assert one in neighbours(one.recipe, options, one.data, one.seen)
    assert one.figure in FIGURES


# The command


def test_the_whole_card_as_json_and_as_text(cli, images):
    asked = ("evaluate", images, "--card", "--samples", "3", "--examples", "40", "--quiet")
    result = cli(*asked, "--json")
    assert result.err == ""
    found = result.json
    assert set(FIGURES) <= set(found)
    assert (found["data"], found["split"], found["n"], found["seed"]) == ("digits", "test", 359, 0)
    assert found["binarization"] == "grey"
    assert found["codebook_perplexity"] is None
    assert found["absent"]["codebook"] == "the code is not quantised"
    assert "3 draws of z for each of 40 examples" in found["how"]["nll"]
    assert found["standard_error"]["nll"] > 0
    assert found["published"] == []
    text = cli(*asked).out
    assert "likelihoods of grey values" in text.splitlines()[0]
    for section in SECTIONS:
        present = section.title not in ("Factors", "Codebook", "Anomalies")
        assert (f"\n{section.title}\n" in text) is present
    assert f"{found['nll']:.4g} ± {found['standard_error']['nll']:.2g}" in text
    assert "codebook: the code is not quantised" in text
    assert max(map(len, text.splitlines()[1:])) <= 100


def test_one_figure_alone_with_progress_on_stderr(cli, images):
    result = cli("evaluate", images, "--only", "nll", "--samples", "2", "--json")
    assert result.json.keys() & set(FIGURES) == {"nll", "bits_per_dim"}
    assert result.err == "measuring nll\n"
    again = cli("evaluate", images, "--only", "nll", "--samples", "2", "--json", "--quiet")
    assert again.out == result.out


def test_binarised_likelihoods_are_named(cli, images):
    asked = ("evaluate", images, "--only", "likelihood", "--samples", "2", "--json", "--quiet")
    grey, static = (cli(*asked, *more).json for more in ((), ("--binarization", "static")))
    assert (grey["binarization"], static["binarization"]) == ("grey", "static")
    assert grey["bits_per_dim"] is None
    assert static["bits_per_dim"] == pytest.approx(static["nll"] / 64 / np.log(2))
    assert "statically binarised" in static["how"]["nll"]


def test_anomalies_are_other_data(cli, images, tmp_path):
    np.save(tmp_path / "odd.npy", np.full((30, 8, 8), 16, np.uint8))
    asked = ("evaluate", images, "--only", "anomalies", "--json", "--quiet")
    found = cli(*asked, "--anomalies", "odd.npy").json
    assert found["anomaly_auroc"] > 0.99
    assert "30 anomalies among 359 normal examples" in found["how"]["anomalies"]
    assert cli(*asked).json["absent"] == {"anomalies": "no examples of another kind were given"}


class Text(HTMLParser):
    """What a page says, and its rows."""

    def __init__(self, source):
        super().__init__()
        self.words, self.rows, self.tags = [], [], []
        self.feed(source)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])

    def handle_data(self, data):
        self.words.append(data)
        if self.rows:
            self.rows[-1].append(data.strip())


def test_the_page_holds_every_figure_and_needs_no_network(cli, images, tmp_path, pictures):
    asked = ("evaluate", images, "--html", "card.html", "--samples", "2", "--examples", "20")
    found = cli(*asked, "--quiet", "--json").json
    source = (tmp_path / "card.html").read_text()
    page = Text(source)
    text = " ".join(" ".join(page.words).split())
    for name, figure in FIGURES.items():
        assert (found[name] is not None) == any(row and row[1:2] == [name] for row in page.rows), name
        assert found[name] is None or figure.meaning in text
    assert "the code is not quantised" in text
    assert "arxiv.org/abs/1706.08500" in text
    assert [attrs["alt"][:8] for tag, attrs in page.tags if tag == "img"] == [
        "Held-out",
        "Decoded ",
        "Codes of",
    ]
    assert "<script" not in source
    assert 'src="http' not in source


@pytest.mark.parametrize(
    ("arguments", "mention"),
    [
        (["--only", "fidd"], "fid"),
        (["--skip", "nonsense"], "nonsense"),
        (["--html", "card.pdf"], "card.pdf"),
        (["--html", "no/card.html"], "no/card.html"),
        (["--samples", "0"], "--samples"),
        (["--binarization", "black"], "--binarization"),
        (["--card", "--anomalies", "nowhere.npy"], "nowhere.npy"),
    ],
)
def test_what_cannot_be_is_refused(cli, plane, arguments, mention):
    result = cli("evaluate", plane, "--only", "mse", "--quiet", *arguments)
    assert result.code == 2
    assert len(result.err.splitlines()) == 1
    assert mention in result.err
    assert not result.out


def test_only_values_in_the_unit_range_are_binarised(cli, tmp_path):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(60, 4)))
    cli("train", "x.npy", "--recipe", "vae", "--epochs", "1", "--out", "r", "--quiet")
    result = cli("evaluate", "r", "--card", "--binarization", "dynamic", "--quiet")
    assert result.code == 2
    assert "only values in [0, 1] can be binarised" in result.err
