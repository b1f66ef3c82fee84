"""A masked transformer over the columns of tables: what is seen, what is hidden, and what is told."""

import numpy as np
import pandas as pd
import pytest
import torch

from autoencode import Autoencoder
from autoencode.errors import IncompatibleError, OptionError
from autoencode.likelihoods.columns import Mixed
from autoencode.recipes import build
from autoencode.runs import training as runs
from autoencode.trained import load_trained
from autoencode.types import Batch, Column, DataSpec, Progress

SMALL = {"width": 16, "depth": 1, "decoder_width": 16, "heads": 2}
ROWS = DataSpec((6,), "real", gaps=True)
MIXED = DataSpec(
    (4,),
    "real",
    columns=(
        Column("age"),
        Column("pet", "category", ("cat", "dog", "fox")),
        Column("owner", "boolean"),
        Column("visits", "count"),
    ),
    gaps=True,
)


@pytest.fixture(autouse=True)
def _from_a_seed():
    torch.manual_seed(0)


def mixed_rows(n):
    x = torch.stack(
        [
            torch.randn(n),
            torch.randint(0, 3, (n,)).float(),
            torch.randint(0, 2, (n,)).float(),
            torch.randint(0, 5, (n,)).float().log1p(),
        ],
        1,
    )
    return x.masked_fill(torch.rand(n, 4) < 0.2, torch.nan)


def test_half_of_the_known_columns_are_hidden_and_the_missing_ones_always():
    model = build("mae_table", ROWS, **SMALL).model
    x = torch.randn(300, 6)
    x[:100, :4] = torch.nan
    x[100:110, :5] = torch.nan
    x[110] = torch.nan
    hidden = model(ROWS.batch(x), n_samples=2).latent.views["hidden"]
    assert hidden.shape == (2, 300, 6)
    assert bool(hidden[:, x.isnan()].all())
    counts = (hidden & ~x.isnan()).sum(2)
    assert bool((counts[:, :100] == 1).all())
    assert bool((counts[:, 100:110] == 1).all())  # the one that is left is asked for in sight of none
    assert bool((counts[:, 111:] == 3).all())
    share = hidden[:, 111:].float().mean((0, 1))
    assert 0.4 < float(share.min()) < float(share.max()) < 0.6
    assert not torch.equal(hidden[0], hidden[1])


@pytest.mark.parametrize("spec", [ROWS, MIXED], ids=["numbers", "mixed"])
def test_what_is_hidden_has_no_say_in_what_is_told(spec):
    model = build("mae_table", spec, **SMALL).model
    x, other = (mixed_rows(40), mixed_rows(40)) if spec is MIXED else torch.randn(2, 40, 6).unbind()
    other = torch.where(x.isnan(), x, other.nan_to_num(1.0))
    torch.manual_seed(3)
    first = model(spec.batch(x))
    hidden = first.latent.views["hidden"][0]
    torch.manual_seed(3)
    second = model(spec.batch(torch.where(hidden, other, x)))
    assert torch.equal(first.latent.views["hidden"], second.latent.views["hidden"])
    assert torch.equal(first.latent.z, second.latent.z)
    assert torch.equal(first.x_dist.mean, second.x_dist.mean)
    torch.manual_seed(3)
    third = model(spec.batch(torch.where(hidden, x, other)))
    assert not torch.equal(first.x_dist.mean, third.x_dist.mean)


def test_a_gap_is_the_same_as_a_column_that_is_hidden():
    model = build("mae_table", ROWS, **SMALL).model.eval()
    x = torch.randn(8, 6)
    hidden = torch.rand(8, 6) < 0.5
    with torch.no_grad():
        tokens = model.encoder(x, hidden)
        assert torch.equal(tokens, model.encoder(x.masked_fill(hidden, torch.nan)))
        assert torch.equal(tokens, model.embed(x.masked_fill(hidden, torch.nan)))
    assert torch.equal(tokens.any(-1), ~hidden)


def test_the_order_of_the_rows_and_what_stands_beside_a_row_change_nothing():
    model = build("mae_table", ROWS, **SMALL).model.double().eval()
    x = torch.randn(9, 6, dtype=torch.float64).masked_fill(torch.rand(9, 6) < 0.3, torch.nan)
    with torch.no_grad():
        whole = model.reconstruct(x)
        torch.testing.assert_close(model.reconstruct(x.flip(0)), whole.flip(0))
        torch.testing.assert_close(model.reconstruct(x[3:4]), whole[3:4])


def test_what_is_known_is_told_by_other_columns_and_gaps_by_all_that_is_known():
    model = build("mae_table", ROWS, **SMALL).model.double().eval()
    x = torch.randn(5, 6, dtype=torch.float64)
    x[:, 2] = torch.nan
    with torch.no_grad():
        told = model.reconstruct(x)
        torch.testing.assert_close(told[:, 2], model.decode(model.embed(x)).mean[:, 2])
        for column in (0, 1, 3, 4, 5):
            changed = x.clone()
            changed[:, column] += 1.0
            moved = (model.reconstruct(changed) - told).abs().amax(0)
            assert float(moved[column]) == 0.0
            assert float(moved[2]) > 0


def test_the_loss_is_the_squared_error_of_hidden_and_of_seen_entries():
    recipe = build("mae_table", ROWS, seen_weight=0.5, **SMALL)
    x = torch.randn(7, 6)
    x[0, :2] = torch.nan
    torch.manual_seed(3)
    output = recipe.model(ROWS.batch(x))
    torch.manual_seed(3)
    losses = recipe.updates[0].objective(recipe.model, ROWS.batch(x), Progress())
    hidden, known = output.latent.views["hidden"][0], ~x.isnan()
    squares = (output.x_dist.mean[0] - x.nan_to_num(0.0)).square()
    expected = {}
    for name, which in (("hidden_mse", hidden & known), ("seen_mse", ~hidden & known)):
        expected[name] = torch.stack([squares[i, which[i]].mean() for i in range(7)]).mean()
        torch.testing.assert_close(losses.terms[name], expected[name].detach())
    torch.testing.assert_close(losses.total, expected["hidden_mse"] + 0.5 * expected["seen_mse"])


def test_a_mixed_table_is_learned_in_nats():
    recipe = build("mae_table", MIXED, **SMALL)
    assert recipe.unit == "nats per example"
    x = mixed_rows(30)
    torch.manual_seed(3)
    output = recipe.model(MIXED.batch(x))
    torch.manual_seed(3)
    losses = recipe.updates[0].objective(recipe.model, MIXED.batch(x), Progress())
    every = -output.x_dist.log_prob(x, ~x.isnan()).mean()
    torch.testing.assert_close(losses.total, every)
    assert losses.terms["hidden_nats"] > 0


@pytest.mark.parametrize("learned", [False, True])
def test_every_number_of_a_mixed_table_is_told_by_its_own_column(learned):
    """A param that moves changes the distribution of the column that it is said to be of."""
    likelihood = Mixed(MIXED, learned)
    assert len(likelihood.owners) == likelihood.width
    x, params = torch.tensor([[0.5, 1.0, 1.0, 0.7]]), torch.zeros(1, likelihood.width)
    before = likelihood(params).entries(x)
    for i, owner in enumerate(likelihood.owners):
        moved = params.clone()
        moved[0, i] += 0.5
        changed = (likelihood(moved).entries(x) != before)[0]
        assert changed.nonzero().flatten().tolist() == [owner]


def correlated(n=1500, seed=0):
    """Six columns of two causes, and the best guess of the last one from the others."""
    rng = np.random.default_rng(seed)
    causes = rng.normal(size=(n, 2))
    mix = np.array([[1, 0, 1, 0.5, -1, 1.0], [0, 1, 1, -1, 0.5, -1.0]])
    return (causes @ mix + 0.1 * rng.normal(size=(n, 6))).astype(np.float32)


def test_gaps_are_filled_far_better_than_by_the_mean(tmp_path):
    x = correlated()
    hidden = np.random.default_rng(1).random(x.shape) < 0.2
    given = pd.DataFrame(np.where(hidden, np.nan, x), columns=list("abcdef"))
    options = {**SMALL, "depth": 2, "epochs": 25}
    run = runs.train(given, "mae_table", out=tmp_path / "run", **options)
    filled = run.trained.impute(given)
    assert list(filled.columns) == list("abcdef")
    known = ~hidden
    assert np.array_equal(filled.to_numpy()[known], given.to_numpy()[known])
    errors = (filled.to_numpy() - x)[hidden]
    assert np.sqrt(np.square(errors).mean()) < 0.5 * x.std()
    again = load_trained(tmp_path / "run")
    assert np.array_equal(again.impute(given).to_numpy(), filled.to_numpy())


def test_a_mixed_table_with_gaps_is_filled():
    rng = np.random.default_rng(0)
    n = 600
    kind = rng.integers(0, 2, n)
    table = pd.DataFrame(
        {
            "size": np.where(kind, 5.0, 1.0) + 0.2 * rng.normal(size=n),
            "animal": np.where(kind, "dog", "mouse"),
            "barks": kind.astype(bool),
        }
    )
    gaps = table.astype({"barks": object})
    gone = rng.random(table.shape) < 0.15
    gone[gone.all(1)] = False
    for i, column in enumerate(table.columns):
        gaps.loc[gone[:, i], column] = None
    model = Autoencoder("mae_table", options=SMALL, epochs=30, random_state=0).fit(gaps)
    filled = model.impute(gaps)
    alone = gone.sum(1) == 1
    for i, column in enumerate(table.columns[1:], 1):
        rows = alone & gone[:, i]
        assert (filled[column][rows] == table[column][rows]).mean() > 0.95
    rows = alone & gone[:, 0]
    assert np.abs(filled["size"][rows] - table["size"][rows]).mean() < 0.8
    scores = model.score_samples(gaps)
    assert np.isfinite(scores).all()
    assert np.array_equal(scores, model.score_samples(gaps))
    odd = table.iloc[[0]].assign(size=[1.0], animal=["dog"], barks=[True])
    assert model.score_samples(odd)[0] < np.quantile(model.score_samples(table), 0.05)


def test_bad_input_is_told_in_one_line():
    for share in (0.0, 1.0, -0.5):
        with pytest.raises(OptionError, match=r"hidden_share: must lie in \(0, 1\)"):
            build("mae_table", ROWS, hidden_share=share)
    with pytest.raises(IncompatibleError, match="takes no context"):
        build("mae_table", DataSpec((6,), context_dim=2, classes=("a", "b")))
    with pytest.raises(IncompatibleError, match="multiple of heads"):
        build("mae_table", ROWS, width=10, heads=4)
    with pytest.raises(OptionError, match="seen_weight: must not be negative"):
        build("mae_table", ROWS, seen_weight=-1.0)
    batch = Batch.from_examples(torch.rand(2, 3))
    assert build("mae_table", DataSpec((3,)), **SMALL).model(batch).x_dist.mean.shape == (1, 2, 3)
