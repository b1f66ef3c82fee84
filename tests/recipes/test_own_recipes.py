"""Recipes of the user's own: decorated, found, trained by name, saved and loaded."""

import importlib
import json
import subprocess
import sys
import textwrap
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Annotated, Literal

import numpy as np
import pytest
import torch
from sklearn.base import clone

import autoencode
from autoencode import (
    RECIPES,
    AnomalyDetector,
    Autoencoder,
    DataSpec,
    Observer,
    TrainingPlan,
    build,
    load,
    train,
)
from autoencode.errors import InputError, ModelFileError
from autoencode.files.sealed import seal
from autoencode.limits import AtLeast
from autoencode.recipes import recipe_info
from autoencode.recipes.gaussian import vae
from autoencode.recipes.lookup import load_packages, registered
from autoencode.recipes.registry import forget
from own_recipe import MINE

pytest_plugins = ["cli_runs"]

SOURCE = "A title (Name, 2026), https://example.org"
SPEC = DataSpec((6,))


@pytest.fixture(autouse=True)
def only_built_ins():
    """What a test puts on the list of recipes is taken off again."""
    before = set(RECIPES)
    yield
    for name in set(RECIPES) - before:
        forget(name)


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A module ``mine`` that can be imported, and is not yet."""
    (tmp_path / "mine.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    yield tmp_path
    sys.modules.pop("mine", None)


@pytest.fixture
def tiny(mine):
    return importlib.import_module("mine").tiny


def rows(n=60):
    return np.random.default_rng(0).random((n, 6))


def refused(call, *mentions):
    with pytest.raises(InputError) as caught:
        call()
    assert "\n" not in str(caught.value)
    for mention in mentions:
        assert mention in str(caught.value)


# The decorator


def test_the_decorator_returns_the_function_and_lists_what_is_known_of_it(tiny):
    info = RECIPES["tiny"]
    assert info.function is tiny
    assert (info.name, info.source, info.url) == ("tiny", SOURCE, "https://example.org")
    assert info.summary == "A title (Name, 2026)"  # it has no documentation
    assert info.fast == info.paper == TrainingPlan(epochs=3, lr=3e-3)
    assert info.standardize == "columns"
    assert not info.conditional
    assert info.facts is None
    assert list(RECIPES)[-1] == "tiny"
    assert autoencode.RECIPES is RECIPES


def decorated(name="own", **given):
    def function(spec, latent_dim: int = 2):
        return vae(spec, latent_dim)

    function.__name__ = function.__qualname__ = name
    return autoencode.recipe(**{"source": SOURCE, **given})(function)


def test_a_schedule_that_is_not_given_is_the_other():
    decorated("only_paper", paper={"epochs": 7})
    assert RECIPES["only_paper"].fast == RECIPES["only_paper"].paper == TrainingPlan(epochs=7)
    decorated("both", paper=TrainingPlan(epochs=7, ema=0.5), fast={"epochs": 2})
    assert RECIPES["both"].fast == TrainingPlan(epochs=2, ema=0.5)
    assert RECIPES["both"].paper == TrainingPlan(epochs=7, ema=0.5)
    decorated("neither")
    assert RECIPES["neither"].fast == RECIPES["neither"].paper == TrainingPlan()


def test_the_source_may_stand_in_the_documentation():
    @autoencode.recipe()
    def documented(spec, latent_dim: int = 2):
        """A code that is short.

        Notes on codes (Name,
        2026), https://example.org/notes
        """
        return vae(spec, latent_dim)

    info = RECIPES["documented"]
    assert info.summary == "A code that is short."
    assert info.source == "Notes on codes (Name, 2026), https://example.org/notes"
    assert info.url == "https://example.org/notes"


def test_decorating_again_replaces_and_another_function_of_the_name_is_refused(mine):
    first = importlib.import_module("mine")
    again = importlib.reload(first)
    assert RECIPES["tiny"].function is again.tiny
    refused(lambda: decorated("tiny"), "there is a recipe 'tiny' already, in mine", "another name")
    refused(lambda: decorated("vae"), "a recipe 'vae' already, in autoencode.recipes.gaussian")
    assert RECIPES["tiny"].function is again.tiny
    assert RECIPES["vae"].function.__module__ == "autoencode.recipes.gaussian"


def test_a_script_that_is_also_imported_is_one_module(mine):
    code = "import mine, runpy; runpy.run_path('mine.py', run_name='__main__'); print('tiny' in R)"
    done = python(f"from autoencode import RECIPES as R; {code}")
    assert done.stdout.strip() == "True", done.stderr


def no_type(spec, width=3): ...
def no_default(spec, width: int): ...
def any_number(spec, *widths: int): ...
def any_name(spec, **widths: int): ...
def no_spec(data, width: int = 3): ...
def text(spec, title: str = "a"): ...
def numbered(spec, order: Literal[1, 2] = 1): ...
def unknown_type(spec, width: "Nonsense" = 3): ...  # noqa: F821
def a_figure(spec, epochs: int = 3): ...
def an_argument(spec, seed: int = 3): ...
def outside(spec, width: Annotated[int, AtLeast(1)] = 0): ...


@pytest.mark.parametrize(
    ("function", "mentions"),
    [
        (no_type, ("option width has no type", "write width: int = ...")),
        (no_default, ("option width has no default",)),
        (any_number, ("option widths has no name of its own",)),
        (any_name, ("option widths has no name of its own",)),
        (no_spec, ("the first argument must be spec",)),
        (text, ("option title is of type str", "Literal")),
        (numbered, ("option order is of type",)),
        (unknown_type, ("types cannot be read", "Nonsense")),
        (a_figure, ("option epochs is a name that training uses",)),
        (an_argument, ("option seed is a name that training uses",)),
        (outside, ("option width: must be at least 1, got 0",)),
        (lambda spec: None, ("a function with a name",)),
        (Autoencoder, ("a function with a name",)),
        (3, ("a function with a name",)),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_function_that_cannot_be_a_recipe_is_refused_where_it_is_decorated(function, mentions):
    refused(lambda: autoencode.recipe(source=SOURCE)(function), *mentions)
    assert getattr(function, "__name__", "") not in RECIPES


def test_a_decorator_without_what_it_needs_is_refused():
    refused(lambda: autoencode.recipe(no_type), "needs a source", "@recipe(source=")
    refused(lambda: decorated(source=None), "'own' needs a source with a link")
    refused(lambda: decorated(source="A title (Name, 2026)"), "'own' needs a source with a link")
    refused(lambda: decorated(fast={"epoch": 3}), "fast has no figure 'epoch'; did you mean epochs?")
    refused(lambda: decorated(paper={"lr": 0}), "option lr: must be above 0, got 0")
    assert "own" not in RECIPES


@dataclass(frozen=True)
class Sizes:
    """Sizes.

    Attributes:
        width: of the layer.
    """

    width: Annotated[int, AtLeast(1)] = 3


def test_options_of_every_kind_are_read_off_the_signature():
    @autoencode.recipe(source=SOURCE)
    def kinds(
        spec,
        shares: tuple[float, ...] = (0.5,),
        word: Literal["a", "b"] = "a",
        limit: Annotated[float, AtLeast(0, 2)] | None = None,
        sizes: Sizes = Sizes(),
    ):
        assert sizes == Sizes(5)
        assert shares == (0.25, 1.0)
        return vae(spec)

    recipe = build("kinds", SPEC, shares="0.25,1", width="5", word="b")
    assert recipe.options == {"shares": (0.25, 1.0), "word": "b", "limit": None, "width": 5}
    assert build(kinds, SPEC, **recipe.options).options == recipe.options
    refused(lambda: build(kinds, SPEC, limit=3), "option limit: must be at most 2, got 3")
    refused(lambda: build(kinds, SPEC, width=0), "option width: must be at least 1, got 0")
    refused(lambda: build(kinds, SPEC, word="c"), "option word: expected a or b, got 'c'")


def test_a_recipe_returns_a_recipe():
    @autoencode.recipe(source=SOURCE)
    def nothing(spec): ...

    refused(lambda: build("nothing", SPEC), "recipe 'nothing' returns NoneType")


# Ways to say which


def test_a_name_a_reference_and_the_function_train_the_same(mine):
    by_reference = train(rows(), "mine:tiny")  # imports it
    tiny = sys.modules["mine"].tiny
    for which in ("tiny", tiny):
        run = train(rows(), which)
        assert run.trained.recipe.name == "tiny"
        assert run.history[-1]["loss"] == by_reference.history[-1]["loss"]
    assert build(tiny, SPEC, latent_dim=3).latent_shape == (3,)
    assert build("mine:tiny", SPEC).name == "tiny"
    assert len(run.history) == 3


def test_the_estimator_takes_the_function_too(tiny):
    estimator = Autoencoder(tiny, n_components=2, random_state=0)
    assert clone(estimator).get_params()["recipe"] is tiny
    assert "tiny" in repr(estimator)
    z = clone(estimator).fit_transform(rows())
    np.testing.assert_array_equal(z, Autoencoder("tiny", 2, random_state=0).fit_transform(rows()))
    refused(lambda: Autoencoder(no_type).fit(rows()), "no_type is no recipe", "@autoencode.recipe(")
    refused(lambda: Autoencoder(3).fit(rows()), "3 is no recipe")


@pytest.mark.parametrize(
    ("reference", "mentions"),
    [
        ("nowhere:tiny", ("recipe nowhere:tiny: there is no module 'nowhere'",)),
        ("mine.inner:tiny", ("mine.inner",)),
        ("mine:tinny", ("mine has no function 'tinny'", "did you mean tiny?")),
        ("mine:undecorated", ("undecorated is no recipe",)),
        ("mine:nn", ("is no recipe",)),
        ("failing:tiny", ("failing fails: ZeroDivisionError",)),
        ("leaving:tiny", ("leaving fails: SystemExit",)),
        ("lacking:tiny", ("lacking fails: ModuleNotFoundError", "'nowhere'")),
        ("mine:", ("unknown recipe 'mine:'",)),
        (":tiny", ("unknown recipe ':tiny'",)),
        ("../mine:tiny", ("unknown recipe '../mine:tiny'",)),
    ],
)
def test_a_reference_to_nothing_is_one_line(mine, reference, mentions):
    (mine / "failing.py").write_text("1 / 0")
    (mine / "leaving.py").write_text("raise SystemExit(3)")
    (mine / "lacking.py").write_text("import nowhere")
    refused(lambda: recipe_info(reference), *mentions)
    sys.modules.pop("mine", None)


# Files


def python(code, *arguments):
    command = [sys.executable, "-c", textwrap.dedent(code), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_saved_one_is_loaded_by_a_fresh_process_that_knows_it(mine):
    x = rows()
    model = Autoencoder("mine:tiny", random_state=0).fit(x)
    model.save("t")
    assert json.loads((mine / "t/config.json").read_text())["recipe"] == "tiny"
    np.save("x.npy", x)
    np.save("z.npy", model.transform(x))
    done = python(
        """
        import autoencode, numpy as np
        try:
            autoencode.load("t")
        except autoencode.errors.ModelFileError as error:
            print(error)
        import mine
        again = autoencode.load("t", device="cpu")
        assert np.array_equal(again.transform(np.load("x.npy")), np.load("z.npy"))
        assert again.get_params()["recipe"] == "tiny"
        """
    )
    assert done.returncode == 0, done.stderr
    last = done.stdout.strip()
    assert "unknown recipe 'tiny': it is not registered here; import the module" in last
    assert "or say --recipe module:tiny" in last


@pytest.mark.parametrize("name", ["spy:tiny", "spy", "spy.tiny"])
def test_no_file_says_what_is_imported(mine, name, tiny):
    (mine / "spy.py").write_text("raise AssertionError('imported')")
    Autoencoder(tiny).fit(rows()).save("t")
    config = mine / "t/config.json"
    said = json.loads(config.read_text())
    del said["sha256"]
    config.write_bytes(seal({**said, "recipe": name}))
    with pytest.raises(ModelFileError, match="not registered here"):
        load("t")
    assert "spy" not in sys.modules
    refused(lambda: registered(name), "not registered here")


def test_no_estimators_file_says_what_is_imported(mine):
    (mine / "spy.py").write_text("raise AssertionError('imported')")
    AnomalyDetector("mine:tiny", random_state=0).fit(rows()).save("d")
    path = mine / "d/estimator.json"
    said = json.loads(path.read_text())
    assert said["parameters"]["recipe"] == "tiny"
    assert load("d", device="cpu").recipe == "tiny"
    del said["sha256"]
    path.write_bytes(seal({**said, "parameters": {**said["parameters"], "recipe": "spy:tiny"}}))
    with pytest.raises(ModelFileError, match="names a module, which no file may"):
        load("d")


# Installed packages


def installed(folder, package, **points):
    info = folder / f"{package}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    lines = "\n".join(f"{name} = {value}" for name, value in points.items())
    (info / "entry_points.txt").write_text(f"[autoencode.recipes]\n{lines}\n")


def test_a_package_offers_a_recipe_by_its_name(mine):
    installed(mine, "offering", tiny="mine:tiny")
    assert "tiny" not in RECIPES
    assert build("vae", SPEC).name == "vae"
    assert "mine" not in sys.modules  # known names need no package
    assert Autoencoder("tiny").fit(rows()).trained_.recipe.name == "tiny"


def test_a_package_offers_all_recipes_of_a_module(mine):
    installed(mine, "offering", all="mine")
    assert registered("tiny").function is sys.modules["mine"].tiny


def test_a_broken_package_is_named_and_breaks_nothing_else(mine):
    installed(mine, "offering", tiny="mine:tiny")
    installed(mine, "broken_package", other="nowhere:other", whole="nowhere", plain="mine:undecorated")
    assert recipe_info("tiny").name == "tiny"
    refused(
        lambda: recipe_info("other"),
        "recipe 'other' of the package broken_package cannot be used: ModuleNotFoundError",
        "repair or remove the package",
    )
    refused(lambda: recipe_info("plain"), "broken_package", "is not decorated by autoencode.recipe")
    refused(lambda: recipe_info("tinny"), "did you mean tiny?", "'whole' of the package broken_package")
    faults = load_packages()
    assert len(faults) == 3
    assert all("\n" not in fault and "broken_package" in fault for fault in faults)


# Other processes


def test_a_spawned_process_imports_it_by_its_name(mine):
    x = rows()
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        there = pool.submit(Autoencoder("mine:tiny", random_state=0).fit_transform, x).result()
    np.testing.assert_array_equal(there, Autoencoder("mine:tiny", random_state=0).fit_transform(x))


def test_a_function_that_arrives_without_its_module_is_put_on_the_list(tiny):
    forget("tiny")
    assert Autoencoder(tiny).fit(rows()).trained_.recipe.name == "tiny"
    assert RECIPES["tiny"].function is tiny


# Command line


def test_an_interrupted_run_goes_on_where_the_recipe_is_known(cli, mine):
    class Stop(Observer):
        def stop(self):
            return True

    run = train("digits", "mine:tiny", out="run", observer=Stop())
    assert not run.complete
    forget("tiny")
    sys.modules.pop("mine")
    refusal = cli("train", "--resume", "run")
    assert refusal.code == 2
    assert "unknown recipe 'tiny': it is not registered here" in refusal.err
    assert "mine" not in sys.modules
    done = cli("train", "--resume", "run", "--recipe", "mine:tiny", "--quiet")
    assert done.code == 0, done.err
    assert load("run", device="cpu").n_iter_ == 3


def test_the_command_line_imports_it_beside_training_and_every_use(cli, mine):
    assert cli("train", "digits", "--recipe", "mine:tiny", "--quiet").out.strip() == "runs/digits-tiny"
    run = "runs/digits-tiny"
    own = ("--recipe", "mine:tiny")
    forget("tiny")
    refusal = cli("embed", run)
    assert refusal.code == 2
    assert "say --recipe module:tiny" in refusal.err
    for command in ("embed", "evaluate", "reconstruct", "plot"):
        forget("tiny")
        sys.modules.pop("mine", None)
        done = cli(command, run, *own)
        assert done.code == 0, done.err
    forget("tiny")
    sys.modules.pop("mine", None)
    assert cli("train", "--resume", run, *own, "--quiet").code == 0
    assert cli("train", "--resume", run, "--recipe", "vae").code == 2
    np.save("x.npy", np.random.default_rng(0).integers(0, 17, (20, 8, 8)))
    assert cli("anomalies", "x.npy", "--run", run, *own, "--quiet").code == 0
    text = cli("recipes", "mine:tiny").out
    assert text.startswith("tiny: A title (Name, 2026)\nSource: A title (Name, 2026), https://")
    for wrong in ("mine:tinny", "nowhere:tiny", "mine:undecorated"):
        for line in (["train", "digits", "--recipe", wrong], ["embed", run, "--recipe", wrong]):
            done = cli(*line)
            assert done.code == 2
            assert len(done.err.strip().splitlines()) == 1


def test_recipes_lists_those_of_packages_and_names_the_broken(cli, mine):
    installed(mine, "offering", tiny="mine:tiny", other="nowhere:other")
    done = cli("recipes")
    assert done.out.splitlines()[-1].split()[0] == "tiny"
    assert "recipe 'other' of the package offering cannot be used" in done.err


def test_the_current_folder_is_searched_as_by_python_m(mine):
    program = [sys.executable, "-c", "from autoencode.__main__ import main; main()"]
    line = [*program, "recipes", "mine:tiny"]
    done = subprocess.run(line, capture_output=True, text=True, check=False, cwd=mine)
    assert done.returncode == 0, done.stderr


# What would go wrong later is refused, and what is drawn belongs to the build


@dataclass(frozen=True)
class Width:
    width: int = 3


def registers(function, **given):
    return lambda: autoencode.recipe(source=SOURCE, **given)(function)


def test_what_would_go_wrong_later_is_refused_at_once():
    def twice(spec, group: Width = Width(4), width: int = 9):
        raise AssertionError

    def either(spec, opt: int | float = 2):
        raise AssertionError

    def needed(spec, networks):
        raise AssertionError

    def by_name(*, spec):
        raise AssertionError

    def fine(spec):
        raise AssertionError

    refused(registers(twice), "two options are called width")
    refused(registers(either), "opt")
    refused(registers(needed), "networks")
    refused(registers(by_name), "spec")
    refused(registers(fine, standardize="zz"), "'zz'", "columns")
    refused(registers(fine, fast=3), "figures by name")
    refused(registers(fine, fast=["epochs"]), "figures by name")


def test_a_default_is_handed_on_as_its_type():
    @autoencode.recipe(source=SOURCE)
    def written(spec, latent_dim: int = "3"):
        assert latent_dim == 3
        return vae(spec, latent_dim)

    assert build("written", SPEC).latent_shape == (3,)


def test_a_recipe_that_returns_nothing_is_told_so_however_large_its_options():
    @autoencode.recipe(source=SOURCE)
    def nothing(spec, latent_dim: int = 2):
        return None

    refused(lambda: build("nothing", SPEC, latent_dim=100), "must return a Recipe")


def test_own_code_may_seed_and_draw_as_it_likes_and_the_caller_keeps_its_state():
    @autoencode.recipe(source=SOURCE)
    def drawing(spec, latent_dim: int = 2):
        recipe = vae(spec, latent_dim)
        with torch.no_grad():
            first = next(recipe.model.parameters())
            first.add_(torch.randint_like(first, 100))
            torch.manual_seed(3)
            first.add_(torch.rand(()))
        return recipe

    torch.manual_seed(11)
    before = torch.get_rng_state()
    one, other = (next(build("drawing", SPEC, seed=0).model.parameters()) for _ in range(2))
    assert torch.equal(one, other)
    assert torch.equal(before, torch.get_rng_state())


def test_a_name_with_a_module_gets_no_hint_to_import_it():
    with pytest.raises(InputError) as caught:
        registered("evil:tiny")
    assert "--recipe" not in str(caught.value)


def test_a_dot_in_the_place_of_the_colon_is_told():
    refused(lambda: recipe_info("package.mine.tiny"), "package.mine:tiny")
