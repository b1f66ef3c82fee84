"""Single options, losses of the user's own, rows to validate on, and a score that compares recipes."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from autoencode import AnomalyDetector, Autoencoder, Denoiser, load, objectives, reconstruction_scorer
from autoencode.errors import DataError, IncompatibleError, OptionError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(80, 2)) @ RNG.normal(size=(2, 6)) + 0.1 * RNG.normal(size=(80, 6))
ESTIMATORS = [Autoencoder, AnomalyDetector, Denoiser]


def quick(recipe="mlp", **parameters):
    return Autoencoder(recipe, 2, epochs=1, random_state=0, **parameters)


# --- options__NAME ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_a_single_option_is_a_parameter(kind):
    given = {"hidden": (8,)}
    model = kind(options=given)
    assert model.set_params(options__activation="silu") is model
    assert model.options == {"hidden": (8,), "activation": "silu"}
    assert given == {"hidden": (8,)}
    assert model.get_params()["options__activation"] == "silu"
    assert "options__activation" not in model.get_params(deep=False)
    assert clone(model).get_params() == model.get_params()


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_single_options_are_there_without_options(kind):
    model = kind(options=None)
    assert not [name for name in model.get_params() if name.startswith("options__")]
    assert model.set_params(options__epochs=2).options == {"epochs": 2}


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_an_unknown_option_is_refused_with_the_nearest(kind):
    with pytest.raises(OptionError, match="no option 'actvation'; did you mean activation"):
        kind().set_params(options__actvation="silu")
    with pytest.raises(ValueError, match="Invalid parameter"):
        kind().set_params(option__activation="silu")


def test_an_option_of_another_recipe_is_judged_by_the_recipe_that_is_set_beside_it():
    assert Autoencoder().set_params(options__beta=2.0, recipe="vae").options == {"beta": 2.0}
    with pytest.raises(OptionError, match="beta"):
        Autoencoder("mlp").set_params(options__beta=2.0)


def test_a_grid_over_options_and_a_pipeline():
    search = GridSearchCV(quick(), {"options__activation": ["relu", "silu"]}, cv=2).fit(X)
    assert search.best_estimator_.trained_.recipe.options["activation"] in ("relu", "silu")
    line = make_pipeline(StandardScaler(), quick())
    line.set_params(autoencoder__options__activation="silu").fit(X)
    assert line[-1].trained_.recipe.options["activation"] == "silu"


# --- loss= --------------------------------------------------------------------------------------


def absolute(made, x):
    return (made - x).abs()


def history(model):
    return [entry["loss"] for entry in model.history_]


def test_a_name_is_the_option_of_the_recipe():
    assert quick(loss="sse").fit(X).trained_.recipe.options["loss"] == "sse"
    with pytest.raises(OptionError, match="loss"):
        quick("vae", loss="mse").fit(X)


@pytest.mark.parametrize("recipe", ["mlp", "sparse", "mlp_impute"])
def test_squares_of_ones_own_train_as_those_of_the_recipe(recipe):
    def squares(made, x):
        return (made - x).square()

    x = X.copy()
    if recipe == "mlp_impute":
        x[::7, 1] = np.nan
    np.testing.assert_allclose(
        quick(recipe, loss=squares).fit(x).transform(x), quick(recipe).fit(x).transform(x), atol=1e-5
    )


def test_errors_of_entries_are_averaged_where_the_recipe_does_and_summed_where_it_does_not():
    by_entry = quick(loss=absolute).fit(X)
    by_example = quick(loss=lambda made, x: absolute(made, x).mean(1)).fit(X)
    assert history(by_entry) == pytest.approx(history(by_example), rel=1e-6)
    by_entry = quick("vae", loss=absolute).fit(X)
    by_example = quick("vae", loss=lambda made, x: absolute(made, x).sum(1)).fit(X)
    assert history(by_entry) == pytest.approx(history(by_example), rel=1e-6)
    assert {"own_loss", "kl"} < set(by_entry.history_[-1])


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_every_estimator_takes_a_loss(kind):
    model = kind(epochs=1, random_state=0, loss=absolute).fit(X)
    assert "own_loss" in model.history_[-1]
    assert clone(model).loss is absolute


def test_a_term_takes_the_place_of_the_recipes_own_in_its_unit():
    own = quick(loss=objectives.squared_error).fit(X)
    assert own.trained_.recipe.unit == "squared error per example"
    np.testing.assert_array_equal(own.transform(X), quick(loss="sse").fit(X).transform(X))
    with pytest.raises(IncompatibleError, match="different units"):
        quick("vae", loss=objectives.squared_error).fit(X)


@pytest.mark.parametrize(
    ("recipe", "loss", "said"),
    [
        ("mlp", torch.nn.functional.l1_loss, "reduction='none'"),
        ("mlp", lambda made, x: 3.0, "got float"),
        ("mlp", lambda made, x: x.square(), "does not depend on the reconstruction"),
        ("mlp", objectives.l1, "does not depend on the reconstruction"),
        ("iwae", absolute, "no reconstruction term"),
        ("mlp", 3, "loss takes a name"),
        ("stacked", lambda made, x: x.square(), "does not depend on the reconstruction"),
    ],
)
def test_a_loss_that_cannot_be_minimised_is_refused_in_a_line(recipe, loss, said):
    with pytest.raises((OptionError, IncompatibleError), match=said) as caught:
        quick(recipe, loss=loss).fit(X)
    assert "\n" not in str(caught.value)


def test_categories_have_no_difference():
    table = pd.DataFrame(X).assign(kind=["a", "b"] * 40).rename(columns=str)
    with pytest.raises(IncompatibleError, match="categories"):
        quick(loss=absolute).fit(table)


def test_a_saved_model_of_an_own_loss_opens_and_says_what_is_missing(tmp_path):
    model = quick(loss=absolute).fit(X)
    model.save(tmp_path)
    again = load(tmp_path)
    np.testing.assert_array_equal(again.transform(X), model.transform(X))
    assert any(
        "absolute" in said and "no file holds" in said for said in again.trained_.info["notices"]
    )
    with pytest.raises(OptionError, match="no file holds a loss of your own"):
        again.fit(X)
    again.loss = absolute
    np.testing.assert_array_equal(again.fit(X).transform(X), model.transform(X))


def test_an_own_corruption_and_an_own_loss_go_together():
    model = Denoiser(lambda x: x + 0.1, epochs=1, random_state=0, loss=absolute).fit(X)
    assert "own_loss" in model.history_[-1]


# --- validation_data= ---------------------------------------------------------------------------


def test_rows_to_validate_on_take_the_place_of_a_share():
    model = quick("mlp", batch_size=8).fit(X[:60], validation_data=X[60:])
    assert model.history_[-1]["step"] == 8  # of 60 rows, none of which was held out
    spec, z = model.trained_.spec, X[60:]
    errors = np.square((model.reconstruct(z) - z) / spec.scale).mean()
    last = Autoencoder("mlp", 2, epochs=1, random_state=0, options={"keep": "last"})
    last.fit(X[:60], validation_data=z)
    errors = np.square((last.reconstruct(z) - z) / last.trained_.spec.scale).mean()
    assert last.history_[-1]["validation_mse"] == pytest.approx(errors, rel=1e-4)


def test_training_ends_by_the_rows_that_are_given():
    held = {"early_stopping": True, "n_iter_no_change": 2, "lr": 1e-9}
    noise = RNG.normal(size=X.shape)
    model = Autoencoder("mlp", 2, epochs=50, random_state=0, **held).fit(X, validation_data=noise)
    assert model.n_iter_ < 50


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_every_estimator_takes_rows_to_validate_on(kind):
    model = kind(epochs=1, random_state=0).fit(X, validation_data=X[:9])
    assert "validation_loss" in model.history_[-1]


def test_pairs_are_validated_on_pairs():
    clean, noisy = X, X + 0.1
    model = Denoiser(epochs=1, random_state=0).fit(noisy, clean, validation_data=(noisy, clean))
    assert "validation_loss" in model.history_[-1]
    with pytest.raises(DataError, match="validation_data: the clean example"):
        Denoiser(epochs=1).fit(noisy, clean, validation_data=noisy)


def test_rows_that_do_not_fit_are_refused():
    with pytest.raises(DataError, match="validation_data: expected 6 values"):
        quick().fit(X, validation_data=X[:, :5])


# --- the scorer ---------------------------------------------------------------------------------


@pytest.mark.parametrize("units", [1.0, np.array([1e-3, 1, 1, 1, 1, 1e6])])
def test_the_score_is_the_mean_r2_of_columns_in_any_units(units):
    x = X * units + 5 * units
    model = quick("linear").fit(x[:40])
    wanted = r2_score(x[40:], model.reconstruct(x[40:]), multioutput="uniform_average")
    assert reconstruction_scorer(model, x[40:]) == pytest.approx(wanted, rel=1e-4)


def test_what_is_missing_and_what_is_constant_is_left_out():
    x = np.c_[X, np.full(80, 3.0)]
    x[::5, 0] = np.nan
    model = Autoencoder("mlp_impute", 2, epochs=1, random_state=0).fit(x)
    made = model.reconstruct(x)
    each = [r2_score(x[k, i], made[k, i]) for i in range(6) for k in [~np.isnan(x[:, i])]]
    assert reconstruction_scorer(model, x) == pytest.approx(np.mean(each), rel=1e-4)


def test_categories_count_by_what_the_commonest_gets_wrong():
    table = pd.DataFrame(
        {"kind": ["a", "a", "b"] * 20, "size": np.arange(60.0), "yes": [True, False] * 30}
    )
    model = Autoencoder("vae", 2, epochs=1, random_state=0).fit(table)
    made = model.reconstruct(table)
    shares = [
        1 - (made["kind"] != table["kind"]).mean() / (1 / 3),
        r2_score(table["size"], made["size"]),
        1 - (made["yes"].astype(float).round() != table["yes"]).mean() / 0.5,
    ]
    assert reconstruction_scorer(model, table) == pytest.approx(np.mean(shares), rel=1e-4, abs=1e-5)


def test_recipes_of_different_losses_are_compared_in_a_grid():
    grid = {"recipe": ["linear", "vae", "mlp"]}
    search = GridSearchCV(quick(), grid, scoring=reconstruction_scorer, cv=2).fit(X)
    assert (search.cv_results_["mean_test_score"] > 0.8).all()


def test_a_pipeline_and_a_denoiser_are_scored():
    line = make_pipeline(StandardScaler(), quick()).fit(X)
    inside = line[:-1].transform(X)
    assert reconstruction_scorer(line, X) == pytest.approx(reconstruction_scorer(line[-1], inside))
    denoiser = Denoiser(epochs=1, random_state=0).fit(X + 1.0, X)
    made = denoiser.transform(X + 1.0)
    assert reconstruction_scorer(denoiser, X + 1.0, X) == pytest.approx(r2_score(X, made), rel=1e-4)
    with pytest.raises(OptionError, match="StandardScaler"):
        reconstruction_scorer(StandardScaler().fit(X), X)


def test_rows_that_are_all_the_same_cannot_be_scored():
    with pytest.raises(DataError, match="no column"):
        reconstruction_scorer(quick().fit(X), np.zeros((5, 6)))
