"""The width of a code: what is asked for, what fits the data by default, and what is refused."""

import re
from dataclasses import replace

import numpy as np
import pytest

from autoencode import Autoencoder, Denoiser
from autoencode.errors import IncompatibleError, InputError, OptionError
from autoencode.recipes import RECIPES, build
from autoencode.types import Column, DataSpec

TABLE, IMAGE = DataSpec((6,), "real"), DataSpec((1, 8, 8))
WIDTHS = (1, 2, 3, 8, 64, 300)
NARROW = [name for name, info in RECIPES.items() if info.widest is not None]
WITHOUT = [name for name, info in RECIPES.items() if "latent_dim" not in info.options]


def data_for(name: str, spec: DataSpec) -> DataSpec:
    info = RECIPES[name]
    return replace(spec, context_dim=2, classes=("a", "b")) if info.conditional else spec


def attempt(name: str, spec: DataSpec, **options: int) -> str | tuple[int, ...]:
    """The shape of a recipe's code, or what it says of data or options that it does not take."""
    try:
        return build(name, spec, **options).latent_shape
    except InputError as error:
        return str(error)


@pytest.mark.parametrize("spec", [TABLE, IMAGE], ids=["table", "image"])
@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_takes_any_width_or_names_the_option_to_set(name, spec):
    info, spec = RECIPES[name], data_for(name, spec)
    if isinstance(said := attempt(name, spec), str):
        assert re.fullmatch(r".*use (an MLP recipe|vae).*", said)
        return
    for width in WIDTHS:
        found = attempt(name, spec, latent_dim=width)
        if "latent_dim" not in info.options:
            assert found == (
                f"recipe '{name}' has no latent_dim (n_components); the width of its code is set by "
                f"{info.width}"
            )
        elif width < info.options["latent_dim"].limit.low:
            assert found == f"option latent_dim: must be at least 2, got {width}"
        else:
            assert found == (width,)


@pytest.mark.parametrize("name", WITHOUT)
def test_every_recipe_without_a_width_says_what_sets_it(name):
    info = RECIPES[name]
    named = [word for word in re.findall(r"\w+", info.width) if word in info.options]
    assert named
    for option in named:
        given = info.options[option].default
        other = {"strides": (1,) * 3, "levels": (5,) * 5}.get(option)
        if other is None:
            other = tuple(2 * n for n in given) if isinstance(given, tuple) else given // 2
        elif option == "strides":
            other = other[: len(given)]
        spec = IMAGE if info.facts.images_only or option == "strides" else TABLE
        before, after = (
            build(name, spec).latent_shape,
            build(name, spec, **{option: other}).latent_shape,
        )
        assert np.prod(after) != np.prod(before), option


@pytest.mark.parametrize("name", WITHOUT)
def test_an_estimator_refuses_a_width_that_the_recipe_does_not_have(name):
    x = np.random.default_rng(0).normal(size=(20, 8, 8) if RECIPES[name].facts.images_only else (20, 6))
    with pytest.raises(OptionError, match=r"no latent_dim \(n_components\); the width of its code is"):
        Autoencoder(name, 4).fit(x)


@pytest.mark.parametrize("name", NARROW)
def test_a_code_is_narrower_than_a_table_and_says_so(name):
    info = RECIPES[name]
    for columns in (2, 3, 6, 500):
        recipe = build(name, data_for(name, DataSpec((columns,), "real")))
        usual = info.options["latent_dim"].default
        least = int(info.options["latent_dim"].limit.low)
        width = max(least, -(-columns * int(2 * info.widest) // 2))
        assert recipe.options["latent_dim"] == min(usual, width)
        told = [n for n in recipe.notices(100) if n.startswith(f"latent_dim={width}, fitted")]
        assert len(told) == (width < usual)
    assert (
        build(name, data_for(name, IMAGE)).options["latent_dim"] == info.options["latent_dim"].default
    )


def test_what_is_asked_for_stays_whatever_the_table():
    recipe = build("mlp", DataSpec((2,), "real"), latent_dim=32)
    assert recipe.latent_shape == (32,)
    assert not [notice for notice in recipe.notices(100) if "fitted" in notice]


def test_codes_that_are_meant_to_be_wide_stay_wide():
    wide = ("sparse", "sparse_kl", "topk", "batch_topk", "jumprelu", "matryoshka_sparse", "denoising")
    for name in (*wide, "contractive", "mlp_impute", "mlp_masked"):
        usual = RECIPES[name].options["latent_dim"].default
        assert build(name, DataSpec((2,), "real")).latent_shape == (usual,)
    assert build("mlp", DataSpec((2,), "real"), noise="gaussian").latent_shape == (32,)
    x = np.random.default_rng(0).normal(size=(30, 3))
    assert Denoiser(epochs=1, random_state=0).fit(x).trained_.latent_shape == (32,)
    assert Denoiser(epochs=1, random_state=0).fit(x + 0.1, x).trained_.latent_shape == (32,)


def test_a_category_counts_as_the_numbers_that_tell_its_values_apart():
    columns = (Column("a"), Column("b", "category", tuple("pqrst")), Column("c", "boolean"))
    recipe = build("mlp", DataSpec((3,), "real", columns=columns))
    assert recipe.latent_shape == (3,)  # half of 1 + 4 + 1


def test_an_estimator_reduces_two_columns_and_can_be_asked_for_more(capsys):
    x = np.random.default_rng(0).normal(size=(40, 2))
    ae = Autoencoder(epochs=1, random_state=0, verbose=True).fit(x)
    assert ae.transform(x).shape == (40, 1)
    assert "latent_dim=1, fitted to the width of the data" in capsys.readouterr().err
    assert any("latent_dim=1" in notice for notice in ae.trained_.info["notices"])
    assert Autoencoder(n_components=8, epochs=1, random_state=0).fit(x).transform(x).shape == (40, 8)


@pytest.mark.parametrize("name", ["topk", "batch_topk", "matryoshka_sparse"])
def test_k_fits_the_width_by_default_and_is_refused_outside_of_it(name):
    spec = DataSpec((16,), "real")
    for width, expected in ((1, 1), (8, 2), (64, 16), (1000, 25 if name == "topk" else 32)):
        recipe = build(name, spec, latent_dim=width)
        kept = next(m.k for m in recipe.model.modules() if hasattr(m, "k"))
        assert kept == expected
    with pytest.raises(IncompatibleError, match=r"option k: must lie in 1\.\.8.*latent_dim"):
        build(name, spec, latent_dim=8, k=9)


def test_topk_keeps_after_training_what_it_kept_while_training():
    x = np.random.default_rng(0).normal(size=(100, 16))
    for options, kept in (({"k": 3}, 3), ({"k": 3, "k_eval": 5}, 5)):
        ae = Autoencoder("topk", 24, random_state=0, epochs=1, options=options).fit(x)
        assert (ae.transform(x) != 0).sum(1).tolist() == [kept] * 100
    with pytest.raises(IncompatibleError, match=r"option k_eval: must lie in 1\.\.24"):
        Autoencoder("topk", 24, options={"k_eval": 25}).fit(x)


def test_a_width_by_another_name_is_told_the_right_one():
    with pytest.raises(OptionError, match="no option 'n_components'; did you mean latent_dim"):
        build("mlp", TABLE, n_components=3)
