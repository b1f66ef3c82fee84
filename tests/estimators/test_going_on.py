"""Going on: warm starts, training in parts, and estimators that come from files."""

import copy

import numpy as np
import pandas as pd
import pytest
import torch

from autoencode import Autoencoder, load
from autoencode.data.values.rescaled import is_moved, rescaled
from autoencode.errors import DataError, OptionError, TrainingError
from autoencode.estimators.going_on import SLOWEST
from autoencode.evaluate.relative import relative_error
from autoencode.training import Observer
from autoencode.types import Column, DataSpec

RNG = np.random.default_rng(3)
D = 8
X = RNG.normal(size=(460, 2)) @ RNG.normal(size=(2, D)) + 0.1 * RNG.normal(size=(460, D)) + 3
TRAIN, TEST = X[:360], X[360:]


def fitted(recipe="mlp", **more) -> Autoencoder:
    figures = {"epochs": 60, "batch_size": 64, "lr": 0.01, "options": {"hidden": (16,)}}
    return Autoencoder(recipe, **({"n_components": 2, "random_state": 0} | figures | more))


@pytest.fixture(scope="module")
def first() -> Autoencoder:
    return fitted(warm_start=True).fit(TRAIN)


def error(model: Autoencoder, x=TEST) -> float:
    return float((((model.reconstruct(x) - x) / x.std(0)) ** 2).mean())


# --- scaling ------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(4,), (1, 2, 2), (2, 2)])
@pytest.mark.parametrize("how", ["columns", "global"])
def test_parts_together_are_scaled_as_the_whole(shape, how):
    """Whatever the sizes of the parts, and however unlike they are."""
    x = (RNG.normal(size=(90, *shape)) * 5 + 100).astype(np.float32)
    x = x[np.argsort(x.reshape(90, -1)[:, 0])]
    whole = rescaled(DataSpec(shape, "real"), x, how)
    found, seen = DataSpec(shape, "real"), 0
    for part in np.split(x, [7, 30, 55]):
        found, seen = rescaled(found, part, how, seen), seen + len(part)
    np.testing.assert_allclose(found.offset, whole.offset, rtol=1e-6)
    np.testing.assert_allclose(found.scale, whole.scale, rtol=1e-5)
    flat = x.astype(np.float64).reshape(90, -1)
    if len(shape) == 1 and how == "columns":
        np.testing.assert_allclose(found.scale, flat.std(0), rtol=1e-5)


def test_a_column_that_is_the_same_within_each_part_gets_its_spread():
    """Rows that are sorted by it."""
    found, seen = DataSpec((1,), "real"), 0
    for value in (5.0, 6.0, 7.0):
        found, seen = rescaled(found, np.full((10, 1), value), "columns", seen), seen + 10
    assert found.offset == pytest.approx((6.0,))
    assert found.scale == pytest.approx((np.std([5, 6, 7]),))


def test_categories_and_pixels_keep_their_scale():
    columns = (Column("a"), Column("b", "category", ("x", "y")), Column("c", "boolean"))
    spec = DataSpec((3,), "real", (0.0,) * 3, (1.0,) * 3, columns=columns)
    found = rescaled(spec, np.array([[1.0, 0, 1], [5.0, 1, 1]]), "columns")
    assert (found.offset, found.scale) == ((3.0, 0.0, 0.0), (2.0, 1.0, 1.0))
    assert found.columns == columns
    pixels = DataSpec((1, 2, 2), "unit", scale=(255.0,))
    assert rescaled(pixels, np.zeros((3, 1, 2, 2)), "columns") is pixels


def test_gaps_have_no_part_in_the_scaling():
    x = np.array([[1.0, np.nan], [3.0, np.nan]])
    found = rescaled(DataSpec((2,), "real", gaps=True), x, "columns")
    assert (found.offset, found.scale, found.gaps) == ((2.0, 0.0), (1.0, 1.0), True)


def test_only_a_move_that_matters_is_one():
    spec = DataSpec((2,), "real", (0.0, 0.0), (1.0, 2.0))
    assert not is_moved(spec, DataSpec((2,), "real", (0.005, 0.0), (1.0, 2.0)))
    assert is_moved(spec, DataSpec((2,), "real", (0.02, 0.0), (1.0, 2.0)))
    assert is_moved(spec, DataSpec((2,), "real", (0.0, 0.0), (1.0, 2.1)))


# --- warm starts --------------------------------------------------------------------------------


@pytest.mark.parametrize("recipe", ["mlp", "vae"])
def test_five_more_epochs_on_the_same_rows_make_nothing_worse(recipe):
    model = fitted(recipe, warm_start=True).fit(TRAIN)
    score, rate = model.score(TRAIN), model.trained_.recipe.plan.lr
    model.set_params(epochs=5, lr=None, options={"hidden": (16,), "min_steps": 0}).fit(TRAIN)
    assert len(model.history_) == 5
    assert model.score(TRAIN) >= score - 0.01 * abs(score)
    its_own = model._build(model.trained_.spec).plan.lr
    assert model.trained_.recipe.plan.lr == pytest.approx(SLOWEST * its_own) or recipe == "vae"
    assert rate == 0.01  # the user's own stands


def test_the_rows_of_before_keep_their_scaling(first):
    again = copy.deepcopy(first).set_params(epochs=1).fit(TRAIN)
    assert again.trained_.spec == first.trained_.spec
    # Others of the same kind, whose mean and spread differ as those of any sample do.
    more = copy.deepcopy(first).set_params(epochs=1).fit(TEST)
    assert more.trained_.spec == first.trained_.spec


@pytest.mark.parametrize(
    ("factor", "shift"),
    [(1.0, 50.0), (1000.0, 0.0), (10.0 ** np.linspace(-3, 3, D), np.linspace(-20, 20, D))],
)
def test_data_that_have_moved_are_scaled_anew_and_known_at_once(first, factor, shift):
    """The network is the same function of standardised values, so one step is enough."""
    moved = copy.deepcopy(first).set_params(epochs=1, lr=1e-9).fit(TRAIN * factor + shift)
    np.testing.assert_allclose(moved.trained_.spec.offset, (TRAIN * factor + shift).mean(0), rtol=1e-4)
    assert error(moved, TEST * factor + shift) == pytest.approx(error(first), rel=0.02)
    np.testing.assert_allclose(moved.transform(TEST * factor + shift), first.transform(TEST), atol=1e-2)


def test_some_columns_that_drifted_are_learned_as_a_fresh_fit_would(first):
    drift = np.where(np.arange(D) % 3 == 0, 4.0, 1.0)
    train, test = TRAIN * drift - drift, TEST * drift - drift
    warm = copy.deepcopy(first).fit(train)
    assert error(warm, test) <= 1.5 * error(fitted().fit(train), test)


def test_data_of_another_kind_are_learned_from_the_beginning(first):
    """Where the model explains less than the mean does, there is nothing to go on from."""
    other = np.random.default_rng(0).normal(size=(200, D)) @ np.diag([9.0, *[1.0] * (D - 1)])
    model = copy.deepcopy(first).set_params(epochs=3)
    for weights in model.trained_.recipe.model.decoder.parameters():
        weights.data *= -3
    model.fit(other)
    assert "began anew" in model.trained_.info["notices"][-1]
    np.testing.assert_array_equal(model.transform(other), fitted(epochs=3).fit(other).transform(other))


def test_what_the_user_sets_stands(first):
    options = {"hidden": (16,), "keep": "last", "validation": 0.25, "min_steps": 0}
    model = copy.deepcopy(first).set_params(epochs=1, lr=1e-6, options=options).fit(TRAIN)
    plan = model.trained_.recipe.plan
    assert (plan.lr, plan.keep, plan.validation) == (1e-6, "last", 0.25)


def test_a_warm_start_is_not_begun_at_the_data(first):
    """What a model is set to before training (a codebook, a mean) was learned already."""
    model = fitted(recipe="vqvae", options={"n_codes": 8}, n_components=None, warm_start=True).fit(
        TRAIN
    )
    codes = model.trained_.codes(TEST)
    model.set_params(lr=1e-12, epochs=1, options={"n_codes": 8, "keep": "last"})
    assert (model.fit(TRAIN).trained_.codes(TEST) == codes).mean() > 0.99  # the last step moves some


class Broken(Observer):
    def step(self, step):
        if step == 9:
            raise KeyboardInterrupt


def test_checkpoints_know_what_was_gone_on_from(first, tmp_path):
    """A warm start that was interrupted goes on to the bit, and another model is not taken for it."""
    kept = tmp_path / "kept"
    whole = copy.deepcopy(first).set_params(epochs=4).fit(TRAIN)
    broken = copy.deepcopy(first).set_params(epochs=4, checkpoint=kept, observer=Broken())
    with pytest.raises(KeyboardInterrupt):
        broken.fit(TRAIN)
    again = copy.deepcopy(first).set_params(epochs=4, checkpoint=kept).fit(TRAIN)
    np.testing.assert_array_equal(again.transform(TEST), whole.transform(TEST))


# --- in parts -----------------------------------------------------------------------------------


def parts(model, x, times=1, n=5):
    for _ in range(times):
        for part in np.array_split(x, n):
            model.partial_fit(part)
    return model


def test_sorted_parts_are_scaled_as_all_of_them():
    """A first part that holds the lowest values of a column does not decide how it is scaled."""
    sorted_by_first = TRAIN[np.argsort(TRAIN[:, 0])]
    model = parts(fitted(batch_size=72), sorted_by_first, 3)
    assert sorted_by_first[:72, 0].std() < 0.5 * TRAIN[:, 0].std()
    np.testing.assert_allclose(model.trained_.spec.scale, TRAIN.std(0), rtol=0.1)


def test_parts_after_fit_make_nothing_worse(first):
    model = parts(copy.deepcopy(first), TRAIN, 3)
    assert error(model, TRAIN) <= 1.01 * error(first, TRAIN)
    np.testing.assert_allclose(model.trained_.spec.scale, first.trained_.spec.scale, rtol=0.05)
    assert len(model.history_) == len(first.history_) + 15


def test_parts_of_moved_data_are_scaled_by_themselves(first):
    model = copy.deepcopy(first).partial_fit(TRAIN[:90] * 100 + 7000)
    assert error(model, TEST * 100 + 7000) < 1.5 * error(first)


def test_the_optimiser_goes_on_in_another_scaling():
    model = fitted(batch_size=16).partial_fit(TRAIN[:50])
    before = model._online
    model.partial_fit(TRAIN[50:100] * 1.3)
    after = model._online
    assert after is not before
    assert after.step == before.step + 4
    assert float(after.stepper.optimizers[0].state_dict()["steps.0"]) == after.step


def test_a_row_beyond_all_numbers_costs_one_step():
    model = fitted(batch_size=10, standardize="robust").partial_fit(TRAIN[:50])
    far = TRAIN[50:100].copy()
    far[7, 3] = 1e30
    model.partial_fit(far)
    assert (model._online.skipped, model._online.slowed) == (0, 0.5)
    model.partial_fit(TRAIN[100:150])
    assert np.isfinite(model.reconstruct(TEST)).all()


def test_parts_of_which_nothing_can_be_learned_end_it():
    model = fitted(batch_size=10).partial_fit(TRAIN[:50])
    model._online.stepper.updates[0].modules[0].decoder.output.bias.data[0] = torch.inf
    with pytest.raises(TrainingError, match="11 steps"):
        model.partial_fit(TRAIN[:200])


def test_a_category_that_the_first_part_had_not_is_told_or_refused(caplog):
    frame = pd.DataFrame({"a": TRAIN[:40, 0], "b": ["x", "y"] * 20})
    model = fitted().partial_fit(frame.assign(b=["x", "y", "y", None] * 10))
    model.partial_fit(frame)
    model.partial_fit(frame.assign(b="z"))
    assert "column 'b': 40 values never seen in training ('z'" in caplog.text
    with pytest.raises(DataError, match=r"this part: column 'b': the category 'z'"):
        model.set_params(handle_unknown="error").partial_fit(frame.assign(b="z"))


# --- from files ---------------------------------------------------------------------------------


def test_a_loaded_estimator_fits_as_the_one_that_was_saved(first, tmp_path):
    first.save(tmp_path)
    loaded = load(tmp_path)
    for name, value in first.get_params(deep=False).items():
        assert np.all(getattr(loaded, name) == value) or name == "options"
    cold = load(tmp_path).set_params(warm_start=False, epochs=2).fit(TEST)
    fresh = fitted(epochs=2).fit(TEST)
    np.testing.assert_array_equal(cold.transform(TEST), fresh.transform(TEST))
    warm = load(tmp_path).set_params(epochs=2).fit(TRAIN)
    wanted = copy.deepcopy(first).set_params(epochs=2).fit(TRAIN)
    np.testing.assert_array_equal(warm.transform(TEST), wanted.transform(TEST))
    part = load(tmp_path).partial_fit(TRAIN[:90])
    wanted = copy.deepcopy(first).partial_fit(TRAIN[:90])
    np.testing.assert_array_equal(part.transform(TEST), wanted.transform(TEST))


def test_options_without_words_in_json_are_those_of_the_model(tmp_path):

    options = {"beta_until": 0.25, "beta_schedule": "linear", "hidden": (16,)}
    model = fitted(recipe="vae", epochs=1, options=options).fit(TRAIN)
    model.save(tmp_path)
    again = load(tmp_path).fit(TRAIN)
    np.testing.assert_array_equal(again.transform(TEST), model.transform(TEST))


def test_other_networks_are_refused(first):
    with pytest.raises(OptionError, match="warm_start"):
        copy.deepcopy(first).set_params(n_components=3).fit(TRAIN)


# --- the error ----------------------------------------------------------------------------------


def test_the_error_of_the_mean_is_one(first):
    """And that of a copy is nothing, in whatever units."""

    class Known:
        spec = DataSpec((D,), "real", tuple(TRAIN.mean(0)), tuple(TRAIN.std(0)))

        def __init__(self, answer):
            self.reconstruct = lambda examples: answer(examples.x)

    from autoencode.data import Examples

    rows = Examples(TRAIN)
    assert relative_error(Known(lambda x: np.broadcast_to(x.mean(0), x.shape)), rows) == pytest.approx(
        1
    )
    assert relative_error(Known(lambda x: x), rows) == 0
    half = Known(lambda x: x.mean(0) + 0.5 * (x - x.mean(0)))
    assert relative_error(half, rows) == pytest.approx(0.25)
    assert relative_error(half, Examples(np.ones((5, D)))) is None
