"""Training of rows of measurements starts at PCA."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import multivariate_normal
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from autoencode import build, load_data
from autoencode.data import prepare, source_of
from autoencode.likelihoods.columns import Mixed
from autoencode.models.linear_start import Lines, _axes
from autoencode.nets import MLPDecoder, MLPEncoder, NetOptions
from autoencode.training import fit
from autoencode.types import Batch, DataSpec, Pass

RNG = np.random.default_rng(0)
X = (RNG.normal(size=(200, 3)) @ RNG.normal(size=(3, 8)) + 0.3 * RNG.normal(size=(200, 8))).astype("f4")


def started(name, x=X, context=None, **options):
    """Starts a recipe at some rows; returns its model and the rows as the model sees them."""
    examples, spec, _ = prepare(x, standardize="all_columns", gaps=True)
    recipe = build(name, spec, **options)
    source = source_of(examples, recipe.spec, "cpu")
    found = recipe.model.start_at_lines(lambda n: next(source.shuffled(Pass(0, 0, n))))
    return recipe.model.eval(), next(source.batches(len(x))), found


def pca(x, width):
    fitted = PCA(width).fit(x)
    return fitted.inverse_transform(fitted.transform(x))


@pytest.mark.parametrize("name", ["linear", "mlp", "mlp_small", "mlp_latent2"])
@pytest.mark.parametrize("width", [1, 3, 8])
def test_before_any_step_reconstructions_are_those_of_pca(name, width):
    model, batch, found = started(name, latent_dim=width)
    assert found
    with torch.no_grad():
        got = model.reconstruct(batch.x).numpy()
    np.testing.assert_allclose(got, pca(batch.x.numpy(), width), atol=1e-4)


def test_codes_are_whitened():
    model, batch, _ = started("mlp", latent_dim=3)
    codes = model.embed(batch.x).detach()
    torch.testing.assert_close(codes.T @ codes / len(codes), torch.eye(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(codes.mean(0), torch.zeros(3), atol=1e-4, rtol=0)


@pytest.mark.parametrize("activation", ["tanh", "sigmoid"])
def test_a_bounded_code_starts_where_it_is_nearly_linear(activation):
    model, batch, _ = started("mlp", latent_dim=3, code_activation=activation)
    best = np.square(pca(batch.x.numpy(), 3) - batch.x.numpy()).mean()
    with torch.no_grad():
        got = float((model.reconstruct(batch.x) - batch.x).square().mean())
    assert got < 1.01 * best


@pytest.mark.parametrize("rows", [200, 5])
def test_more_codes_than_rows_or_columns_have_do_no_harm(rows):
    model, batch, _ = started("mlp", X[:rows], latent_dim=11)
    torch.testing.assert_close(model.reconstruct(batch.x), batch.x, atol=1e-4, rtol=0)
    # The codes without an axis move with x, so that they can be learned.
    assert (model.embed(batch.x).std(0) > 0).all()


def test_gaps_count_as_the_mean():
    holes = np.where(np.random.default_rng(1).random(X.shape) < 0.2, np.nan, X)
    model, batch, _ = started("mlp", holes, latent_dim=3)
    filled = batch.x.nan_to_num(nan=0.0).numpy()  # of standardised columns
    np.testing.assert_allclose(model.reconstruct(batch.x).detach().numpy(), pca(filled, 3), atol=1e-4)


def test_the_elbo_at_the_start_is_the_likelihood_of_probabilistic_pca():
    """The posterior of that model is the encoder's, so that the bound is tight."""
    x = StandardScaler().fit_transform(X.astype(float))
    values, axes = np.linalg.eigh(np.cov(x.T, bias=True))
    values, axes = values[::-1], axes[:, ::-1]
    noise = values[3:].mean()
    model, batch, _ = started("vae", latent_dim=3, likelihood="gaussian", scale=float(noise) ** 0.5)
    covariance = (axes[:, :3] * (values[:3] - noise)) @ axes[:, :3].T + noise * np.eye(8)
    exact = multivariate_normal(x.mean(0), covariance).logpdf(x).mean()
    with torch.no_grad():
        torch.manual_seed(0)
        output = model(batch, 4000)
        bound = output.x_dist.log_prob(batch.x) - output.latent.sites["z"].kl()
    assert float(bound.mean()) == pytest.approx(exact, abs=0.02)


def test_what_a_context_explains_is_left_to_it():
    labels = np.arange(200) % 2
    x = (X + 4.0 * labels[:, None]).astype("f4")
    given = torch.tensor(np.eye(2)[labels], dtype=torch.float32)
    spec = DataSpec((8,), "real", context_dim=2, classes=("a", "b"))
    model = build("cvae", spec, latent_dim=3, likelihood="gaussian_shared").model.eval()
    batch = Batch.from_examples(torch.tensor(x), given)
    assert model.start_at_lines(lambda n: batch)
    rest = x - np.stack([x[labels == c].mean(0) for c in (0, 1)])[labels]
    codes = model.embed(batch.x, given).detach().numpy()
    # One axis each, up to its sign.
    scores = PCA(3).fit_transform(rest)
    overlap = np.corrcoef(codes.T, scores.T)[:3, 3:]
    np.testing.assert_allclose(abs(overlap), np.eye(3), atol=1e-3)


def test_without_a_shortcut_networks_are_as_they_were():
    spec = DataSpec((8,), "real")
    recipe = build("mlp", spec, latent_dim=3, shortcut="none")
    names = {name: tuple(p.shape) for name, p in recipe.model.named_parameters()}
    assert names["bottleneck.project.weight"] == (3, 64)
    assert not [name for name in names if "shortcut" in name]
    before = {name: p.clone() for name, p in recipe.model.named_parameters()}
    assert not recipe.model.start_at_lines(lambda n: Batch.from_examples(torch.tensor(X)))
    assert all(torch.equal(p, before[name]) for name, p in recipe.model.named_parameters())


@pytest.mark.parametrize("spec", [DataSpec((1, 8, 8)), DataSpec((64,), "unit")])
def test_pictures_have_no_shortcut_unless_they_are_asked_to(spec):
    assert not NetOptions().straight(spec)
    assert NetOptions(shortcut="linear").straight(spec)


def test_networks_with_a_shortcut_are_linear_where_the_layers_beside_give_nothing():
    encoder, decoder = MLPEncoder((8,), (5,), shortcut=True), MLPDecoder(3, (5,), (8,), shortcut=True)
    x = torch.randn(4, 8)
    assert torch.equal(encoder(x)[:, 5:], x)
    assert encoder.features == 13
    weight, bias = torch.randn(8, 3), torch.randn(8)
    decoder.start_linear(weight, bias)
    z = torch.randn(4, 3)
    torch.testing.assert_close(decoder(z), z @ weight.T + bias)


@pytest.mark.parametrize("shape", [(300, 40), (30, 400), (120, 150)])
def test_axes_are_those_of_pca_whichever_way_they_are_found(shape, monkeypatch):
    g = torch.Generator().manual_seed(0)
    rows = torch.randn(*shape, generator=g, dtype=torch.float64)
    rows *= torch.linspace(1, 0.01, shape[1], dtype=torch.float64) ** 2  # a spectrum that falls
    rows -= rows.mean(0)
    expected = PCA(5).fit(rows.numpy())
    monkeypatch.setattr("autoencode.models.linear_start._EXACT", 100)
    axes, variances = _axes(rows, 5)
    n = len(rows)
    np.testing.assert_allclose(variances, expected.explained_variance_ * (n - 1) / n, rtol=0.02)
    # The subspace, which is what reconstructions depend on.
    left = np.square(rows.numpy() - rows.numpy() @ (axes @ axes.T).numpy()).mean()
    best = np.square(rows.numpy() - expected.inverse_transform(expected.transform(rows))).mean()
    assert left < 1.01 * best


def test_lines_of_a_constant_table_are_none():
    found = Lines.of(torch.ones(10, 4), torch.zeros(10, 0), 2)
    assert found.axes.shape == (4, 0)
    torch.testing.assert_close(found.bias, torch.ones(4, dtype=torch.float64))


def mixed():
    """A table of numbers, categories and a boolean that two factors make."""
    rng = np.random.default_rng(3)
    z = rng.normal(size=(400, 2))
    columns = {
        f"n{i}": z @ rng.normal(size=2) * 10.0**i + 0.05 * rng.normal(size=400) for i in range(4)
    }
    columns["c"] = np.array(["a", "b", "c"])[(z @ rng.normal(size=(2, 3))).argmax(1)]
    columns["yes"] = z[:, 0] > 0
    return pd.DataFrame(columns)


def test_numbers_of_a_mixed_table_start_near_pca_and_categories_above_chance():
    model, batch, found = started("mlp", mixed(), latent_dim=2)
    assert found
    with torch.no_grad():
        got = model.reconstruct(batch.x).numpy()
    wanted = batch.x.numpy()
    assert np.square(got[:, :4] - wanted[:, :4]).mean() < 0.1
    chance = np.unique(wanted[:, 4], return_counts=True)[1].max() / len(wanted)
    assert (got[:, 4] == wanted[:, 4]).mean() > chance + 0.1


def test_a_decoder_of_a_mixed_table_starts_at_the_shares_of_the_columns():
    spec = prepare(mixed(), standardize="all_columns")[1]
    likelihood = Mixed(spec)
    mean = torch.tensor([0.5, -1.0, 0.0, 2.0, 0.25, 0.2, 0.3, 0.5])
    params = likelihood.params_for_read_mean(mean)
    p = likelihood(params[None, None])
    assert p.mean[0, 0, :4].tolist() == pytest.approx([0.5, -1.0, 0.0, 2.0])
    shares = [p.entries(torch.tensor([[[0.0] * 4 + [c, 1.0]]]))[0, 0, 4].exp().item() for c in range(3)]
    assert shares == pytest.approx([0.2, 0.3, 0.5], abs=1e-5)
    yes = p.entries(torch.tensor([[[0.0] * 5 + [1.0]]]))[0, 0, 5].exp().item()
    assert yes == pytest.approx(0.25, abs=1e-5)
    assert likelihood.by_column(torch.arange(1.0, 9.0)).tolist() == [1, 2, 3, 4, 0, 5]


def test_learned_scales_start_at_what_pca_leaves():
    model, batch, _ = started("vae", latent_dim=3)
    with torch.no_grad():
        torch.manual_seed(0)
        drawn = model(batch, 2000).x_dist
        errors = (drawn.mean - batch.x).square().mean((0, 1))
    torch.testing.assert_close(drawn.scale.square().reshape(-1, 8)[0], errors, rtol=0.05, atol=0)


def fitted(x, spec, **figures):
    """Trains at a rate of nearly nothing, from the start that training itself makes."""
    recipe = build("mlp", spec, latent_dim=2, hidden=(5,), lr=1e-12, epochs=1, **figures)
    train, held_out = (source_of(part, recipe.spec, "cpu") for part in (x.take(FIRST), x.take(LAST)))
    fit(recipe.model, recipe.updates, train, recipe.plan, validation=held_out, seed=1)
    return recipe.model


FIRST, LAST = np.arange(150), np.arange(150, 200)


@pytest.mark.parametrize(("keep", "rows"), [("best", 200), ("last", 150)])
def test_held_out_rows_serve_the_start_where_they_only_choose(keep, rows):
    examples, spec, _ = prepare(X, standardize="all_columns")
    model = fitted(examples, spec, keep=keep)
    seen = spec.to_model(torch.from_numpy(examples.x)).numpy()
    reference = PCA(2).fit(seen[:rows])
    with torch.no_grad():
        got = model.reconstruct(torch.from_numpy(seen)).numpy()
    np.testing.assert_allclose(got, reference.inverse_transform(reference.transform(seen)), atol=1e-4)


def test_rows_that_stay_on_disk_start_there_too(tmp_path):
    np.save(tmp_path / "x.npy", X)
    data = load_data(tmp_path / "x.npy", stream=True, standardize="all_columns")
    recipe = build("mlp", data.spec, latent_dim=3)
    source = source_of(data.train, data.spec, "cpu")
    assert recipe.model.start_at_lines(lambda n: next(source.shuffled(Pass(0, 0, n))))
    seen = torch.cat([batch.x for batch in source.batches(100)])
    with torch.no_grad():
        got = recipe.model.eval().reconstruct(seen).numpy()
    np.testing.assert_allclose(got, pca(seen.numpy(), 3), atol=1e-4)


def test_counts_that_are_read_by_their_logarithms_start_as_they_always_did():
    spec = DataSpec((8,), "real")
    model = build("vae", spec, likelihood="poisson").model
    counts = torch.tensor(np.random.default_rng(0).poisson(3, (50, 8)), dtype=torch.float32)
    assert not model.start_at_lines(lambda n: Batch.from_examples(counts))
