"""Factor analysis of rows with gaps: closed forms, likelihood, and its share beside a network."""

import numpy as np
import pytest
import torch

from autoencode import Autoencoder, build, load
from autoencode.models.blending import _towards
from autoencode.nets import factor_analysis
from autoencode.nets.factor_analysis import Factors, _Model, fit, fit_chosen
from autoencode.randomness import seeded
from autoencode.trained import Trained
from autoencode.types import Batch, Column, DataSpec

TABLE = DataSpec(
    (4,),
    "real",
    columns=(
        Column("a"),
        Column("n", "count"),
        Column("b", "boolean"),
        Column("c", "category", ("x", "y", "z")),
    ),
    gaps=True,
)


def known_model(width=8, k=3, seed=0):
    """A factor model and the Gaussian that it is: mean, loadings, noise, covariance."""
    rng = np.random.default_rng(seed)
    loadings = rng.normal(size=(width, k))
    noise = rng.uniform(0.2, 0.6, width)
    mean = rng.normal(size=width)
    return mean, loadings, noise, loadings @ loadings.T + np.diag(noise)


def holed(mean, cov, n=400, share=0.3, seed=1):
    rng = np.random.default_rng(seed)
    x = rng.multivariate_normal(mean, cov, size=n)
    return x, np.where(rng.random(x.shape) < share, np.nan, x)


def conditional(x, mean, cov):
    """E[x | known entries] of a Gaussian, row by row, in the place of gaps."""
    filled = x.copy()
    for row in filled:
        gone = np.isnan(row)
        inverse = np.linalg.pinv(cov[np.ix_(~gone, ~gone)])
        row[gone] = mean[gone] + cov[np.ix_(gone, ~gone)] @ inverse @ (row[~gone] - mean[~gone])
    return filled


def layer(mean, loadings, noise):
    made = Factors(len(mean), loadings.shape[1])
    for name, value in (("mean", mean), ("loadings", loadings), ("precision", 1 / noise)):
        getattr(made, name).copy_(torch.from_numpy(value))
    return made


def read(x):
    x = torch.from_numpy(x).float()
    return x.nan_to_num(0.0), ~x.isnan()


def filled_by(factors, values, known):
    return torch.where(known, values, factors.expected(factors(values, known)))


def test_a_gap_is_filled_with_the_conditional_mean_of_the_gaussian():
    mean, loadings, noise, cov = known_model()
    _, x = holed(mean, cov)
    factors, (values, known) = layer(mean, loadings, noise), read(x)
    filled = filled_by(factors, values, known)
    np.testing.assert_allclose(filled, conditional(x, mean, cov), atol=1e-4)


def test_a_row_without_a_value_gets_the_mean():
    mean, loadings, noise, _ = known_model()
    factors, (values, known) = layer(mean, loadings, noise), read(np.full((1, 8), np.nan))
    filled = filled_by(factors, values, known)
    np.testing.assert_allclose(filled[0], mean, atol=1e-6)


def test_the_likelihood_is_that_of_the_gaussian_and_never_falls():
    mean, loadings, noise, cov = known_model()
    _, x = holed(mean, cov)
    values, known = (t.double() if t.is_floating_point() else t for t in read(x))
    exact = np.mean(
        [
            -0.5
            * (
                (~g).sum() * np.log(2 * np.pi)
                + np.linalg.slogdet(cov[np.ix_(~g, ~g)])[1]
                + (row - mean)[~g] @ np.linalg.solve(cov[np.ix_(~g, ~g)], (row - mean)[~g])
            )
            for row, g in zip(np.float32(x).astype(float), np.isnan(x), strict=True)
        ]
    )
    truth = _Model(*(torch.from_numpy(v) for v in (mean, loadings, 1 / noise)))
    assert truth.step(values, known)[1] == pytest.approx(exact, rel=1e-9)
    model, found = _Model.first(values, known, 3), []
    for _ in range(60):
        model, log_likelihood = model.step(values, known)
        found.append(log_likelihood)
    assert np.all(np.diff(found) > -1e-9)
    assert found[-1] >= exact  # of all models the fitted one explains these rows best


def test_the_covariance_is_found_in_spite_of_gaps():
    mean, _loadings, _noise, cov = known_model()
    _, x = holed(mean, cov, n=4000, share=0.2)
    factors = Factors(8, 3)
    factors.fit_to(*read(x))
    found = factors.loadings @ factors.loadings.T + torch.diag(1 / factors.precision)
    np.testing.assert_allclose(factors.mean, mean, atol=0.15)
    assert np.abs(found.numpy() - cov).max() < 0.1 * np.abs(cov).max()


def test_no_more_factors_are_taken_than_guess_hidden_entries_better():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 1)) * np.ones(20) + rng.normal(size=(300, 20))
    values, known = read(x / x.std(0))
    with seeded(0):
        assert fit_chosen(values.double(), known, 19).loadings.shape[1] == 4
    whole = rng.normal(size=(2000, 16)) @ rng.normal(size=(16, 20))
    values, known = read(whole / whole.std(0))
    with seeded(0):
        assert fit_chosen(values.double(), known, 16).loadings.shape[1] == 16


def test_a_value_far_out_counts_as_one_five_standard_deviations_away():
    mean, _, _, cov = known_model()
    _, x = holed(mean, cov, n=200)
    factors, (values, known) = Factors(8, 2), read(x)
    factors.fit_to(values, known)
    far, farther = values.clone(), values.clone()
    far[:, 0], farther[:, 0] = factors.near_high[0], 1e6
    torch.testing.assert_close(factors(far, known), factors(farther, known))


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_units_of_columns_mean_nothing(scale):
    mean, _, _, cov = known_model()
    _, x = holed(mean, cov, n=100)
    one, other = Factors(8, 2), Factors(8, 2)
    one.fit_to(*read(x))
    other.fit_to(*read(scale * x + 3 * scale))
    np.testing.assert_allclose(
        one(*read(x)).abs(), other(*read(scale * x + 3 * scale)).abs(), atol=2e-3
    )


def test_constant_and_unseen_columns_are_finite():
    x = np.random.default_rng(0).normal(size=(30, 4))
    x[:, 1], x[:, 2], x[5] = 7.0, np.nan, np.nan
    factors = Factors(4, 3)
    factors.fit_to(*read(x))
    filled = filled_by(factors, *read(x))
    assert filled.isfinite().all()
    np.testing.assert_allclose(filled[:, 1], 7.0, atol=1e-3)


def test_the_last_numbers_of_a_code_are_the_factors_of_the_row():
    model = build("mlp_impute", TABLE).model.eval()
    x = torch.tensor([[0.5, float("nan"), 1.0, 2.0], [float("nan"), 0.1, 0.0, float("nan")]])
    values, known = model.encoder.reader.entries(x)
    assert values.tolist() == pytest.approx(
        torch.tensor([[0.5, 0.0, 1.0, 0.0, 0.0, 1.0], [0.0, 0.1, 0.0, 0.0, 0.0, 0.0]])
    )
    assert known.tolist() == [[True, False, True, True, True, True], [False, True, True] + [False] * 3]
    model.encoder.factors.loadings.normal_()
    with torch.no_grad():
        z = model.embed(x)
    assert z.shape == (2, 256)
    torch.testing.assert_close(z[:, -5:], model.encoder.factors(values, known))


def blended(x, held_out, network=None):
    """A recipe for rows x whose network is put in, blended with the factors of these."""
    recipe = build("mlp_impute", DataSpec((x.shape[1],), "real", gaps=True))
    model, rows = recipe.model.eval(), torch.from_numpy(x).float()
    if network is not None:
        model.decoder.network = network
    beside = torch.from_numpy(held_out).float()
    with seeded(0):
        model.blend(lambda n: Batch(rows[:n], rows[:n]), Batch(beside, beside), True)
    return model


def test_what_is_gaussian_is_left_to_the_factors():
    mean, _loadings, _noise, cov = known_model(width=6, k=3)
    x, given = holed(mean, cov, n=1500)
    model = blended(given[:1000], given[1000:])  # its network has learned nothing
    assert model.decoder.share.max() < 0.1
    assert "gaps=zeros" in model.told()[0]
    assert build("mlp_impute", DataSpec((6,), "real", gaps=True)).model.told() == []
    with torch.no_grad():
        got = model.reconstruct(torch.from_numpy(given).float()).double().numpy()
    gone = np.isnan(given)
    best = np.square(conditional(given, mean, cov) - x)[gone].mean()
    assert np.square(got - x)[gone].mean() < 1.1 * best


def test_a_column_that_the_network_knows_better_is_left_to_it():
    """Of two independent numbers the network knows the first, at any row; the factors know neither."""
    x = np.random.default_rng(0).normal(size=(1000, 2)) * 1e-6 + [1.0, 1.0]
    x[:, 1] = np.random.default_rng(1).normal(size=1000)
    train = x.copy()
    train[:, 0] = np.random.default_rng(2).normal(size=1000)  # these factors expect 0

    class Knows(torch.nn.Module):
        def forward(self, z):
            return torch.tensor([1.0, 3.0]).expand(len(z), 2)

    model = blended(train, x, Knows())
    assert model.decoder.share[0] > 0.9
    assert model.decoder.share[1] < 0.1


def test_a_share_is_that_of_least_squares():
    """Factors say 0 and the network 1 of what is 0.25 in the mean."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2000, 1)) * 0.1 + 0.25

    class One(torch.nn.Module):
        def forward(self, z):
            return torch.ones(len(z), 1)

    train = rng.permutation(np.linspace(-1, 1, 1000))[:, None]
    assert blended(train, x, One()).decoder.share.item() == pytest.approx(0.25, abs=0.01)
    assert 0.25 < blended(train, x[:1] * 0, One()).decoder.share.item() < 0.5  # of one row


def test_a_far_value_does_not_tell_the_share():
    products, squares = torch.zeros(100, 1), torch.ones(100, 1)
    clear = _towards(torch.tensor([0.5]), 0.2, products, squares)
    products[0], squares[0] = 0.0, 1e4
    assert clear.item() < 0.05
    assert _towards(torch.tensor([0.5]), 0.2, products, squares).item() > 0.4


def test_without_held_out_rows_the_share_is_a_half_and_categories_are_the_networks():
    rows = torch.tensor([[0.5, 1.0, 1.0, 2.0], [0.1, 0.1, 0.0, 1.0], [1.0, 0.3, 1.0, 0.0]])
    model = build("mlp_impute", TABLE).model.eval()
    with seeded(0):
        model.blend(lambda n: Batch(rows, rows), None, True)
    assert model.decoder.share.tolist() == [0.5, 1.0, 1.0, 1.0, 1.0, 1.0]


def test_training_moves_the_network_alone():
    mean, _, _, cov = known_model(width=5, k=2)
    _, given = holed(mean, cov, n=60)
    model = blended(given, given)
    x = torch.from_numpy(given).float()
    h = model.encoder.train()(x)
    assert not h[:, -4:].any()
    z = torch.randn(3, 256)
    learned, expected = model.decoder.both(z)
    model.decoder.train().network.eval()  # nothing is dropped, so that both can be compared
    torch.testing.assert_close(model.decoder(z), learned)
    share = model.decoder.share
    torch.testing.assert_close(model.decoder.eval()(z), share * learned + (1 - share) * expected)


def test_a_model_that_goes_on_keeps_its_factors():
    mean, _, _, cov = known_model(width=5, k=2)
    _, given = holed(mean, cov, n=200)
    model = blended(given[:100], given[100:])
    before = model.encoder.factors.loadings.clone()
    other = torch.randn(50, 5)
    with seeded(0):
        model.blend(lambda n: Batch(other, other), Batch(other, other), False)
    assert torch.equal(model.encoder.factors.loadings, before)


def test_a_started_model_is_saved_and_loaded(tmp_path):
    mean, _, _, cov = known_model(width=5, k=2)
    _, x = holed(mean, cov, n=60)
    model = Autoencoder(epochs=1, random_state=0, options={"min_steps": 1}).fit(x)
    assert isinstance(model.trained_, Trained)
    assert model.trained_.model.encoder.factors.loadings.abs().sum() > 0
    model.save(tmp_path / "kept")
    np.testing.assert_array_equal(load(tmp_path / "kept").impute(x), model.impute(x))


def test_zeros_stand_for_gaps_where_that_is_asked_for():
    spec = DataSpec((6,), "real", gaps=True)
    assert not hasattr(build("mlp_impute", spec, gaps="zeros").model.encoder, "factors")
    assert build("mlp_impute", spec).model.encoder.factors.n_factors == 5
    assert build("mlp_impute", spec, latent_dim=4).model.encoder.factors.n_factors == 2
    assert not hasattr(build("mlp_impute", spec, output="sigmoid").model.encoder, "factors")
    assert not hasattr(build("mlp", spec).model.encoder, "factors")


def test_fitting_is_the_same_each_time():
    mean, _, _, cov = known_model()
    values, known = read(holed(mean, cov, n=50)[1])
    one, two = (fit(values.double(), known, 2) for _ in range(2))
    assert torch.equal(one.loadings, two.loadings)


def test_rows_of_one_pattern_of_gaps_give_the_same_fit_as_one_by_one(monkeypatch):
    draws = torch.Generator().manual_seed(0)
    values = torch.randn(240, 3, generator=draws) @ torch.randn(3, 9, generator=draws)
    values = (values + 0.3 * torch.randn(240, 9, generator=draws)).double()
    patterns = torch.rand(5, 9, generator=draws) > 0.25
    known = patterns[torch.randint(5, (240,), generator=draws)]
    values = values * known
    together = fit(values, known, 3)
    monkeypatch.setattr(factor_analysis, "_ALIKE", 1000)
    apart = fit(values, known, 3)
    for name in ("mean", "loadings", "precision"):
        torch.testing.assert_close(getattr(together, name), getattr(apart, name), rtol=1e-6, atol=1e-8)
