"""The learned scales of columns: densities in closed form, bounds, and where they start."""

import numpy as np
import pytest
import torch
from scipy import stats

from autoencode import Autoencoder
from autoencode.likelihoods.columns import Mixed
from autoencode.likelihoods.gaussian_columns import GaussianColumns
from autoencode.likelihoods.scales import LearnedLog, log_scale_of
from autoencode.recipes import build
from autoencode.training.optimizers import Adam, Muon
from autoencode.types import Column, DataSpec

MIXED = DataSpec(
    (4,),
    "real",
    offset=(0.0, 0.0, 1.0, 0.0),
    scale=(1.0, 1.0, 0.5, 1.0),
    columns=(Column("a"), Column("b", "boolean"), Column("n", "count"), Column("when", "date")),
)


def test_the_density_is_that_of_gaussians_with_a_scale_for_each_column():
    likelihood = GaussianColumns((3,))
    variance = torch.tensor([1.0, 0.25, 4.0])
    likelihood.start_at_errors(variance)
    loc, x = torch.randn(1, 5, 3), torch.randn(5, 3)
    expected = stats.norm.logpdf(x, loc[0], variance.sqrt()).sum(1)
    assert likelihood(loc).log_prob(x)[0].detach().numpy() == pytest.approx(expected, abs=1e-5)


def test_features_of_sequences_have_one_scale_for_all_steps():
    likelihood = GaussianColumns((7, 2))
    likelihood.start_at_errors(torch.tensor([1.0, 0.01]).expand(7, 2))
    drawn = likelihood(torch.zeros(1, 3000, 7, 2)).sample()
    assert drawn.std((0, 1, 2)).tolist() == pytest.approx([1.0, 0.1], rel=0.03)


def test_columns_of_a_mixed_table_have_the_probabilities_of_their_kinds():
    likelihood = Mixed(MIXED)
    likelihood.start_at_errors(torch.tensor([0.25, 9.0, 9.0, 4.0]))
    likelihood.log_dispersion.set(torch.tensor([0.7]))
    params = torch.tensor([[[0.3, -0.2, 0.4, 0.6]]])  # real, date, boolean, count
    count, mean, r = 4, np.exp(0.6 * 0.5 + 1.0), np.exp(0.7)
    x = torch.tensor([[0.1, 1.0, (np.log1p(count) - 1.0) / 0.5, -1.0]], dtype=torch.float32)
    expected = [
        stats.norm.logpdf(0.1, 0.3, 0.5),
        np.log(1 / (1 + np.exp(-0.4))),
        stats.nbinom.logpmf(count, r, r / (r + mean)),
        stats.norm.logpdf(-1.0, -0.2, 2.0),
    ]
    found = likelihood(params).entries(x)[0, 0].tolist()
    assert found == pytest.approx(expected, abs=1e-4)


def test_errors_of_classes_are_counted_and_those_of_numbers_squared():
    spec = DataSpec(
        (4,),
        "real",
        columns=(
            Column("a"),
            Column("pet", "category", ("cat", "dog", "owl")),
            Column("b", "boolean"),
            Column("c", "category", ("x", "y")),
        ),
    )
    # The number, the boolean's logit, the logits of three and of two categories.
    params = torch.tensor([[[0.5, 2.0, 0.0, 3.0, 1.0, 5.0, 0.0]] * 2])
    x = torch.tensor([[0.2, 1.0, 0.0, 0.0], [0.5, 2.0, 1.0, 1.0]])
    p_x = Mixed(spec)(params)
    torch.testing.assert_close(p_x.errors(x)[0], torch.tensor([[0.09, 0, 1, 0], [0, 1, 0, 1.0]]))
    mask = torch.tensor([[False, True, True, True], [True, True, True, False]])
    gaps = x.masked_fill(~mask, torch.nan)
    torch.testing.assert_close(
        p_x.errors(gaps, mask)[0], torch.tensor([[0.0, 0, 1, 0], [0, 1, 0, 0.0]])
    )


def test_a_code_that_costs_nothing_gains_nothing_by_last_digits():
    likelihood = GaussianColumns((2,), "shared")
    likelihood.start_at_errors(torch.full((2,), 1e-6))
    assert likelihood(torch.zeros(1, 1, 2)).scale.item() == pytest.approx(0.2, rel=0.02)


def test_overdispersed_counts_are_drawn_as_wide_as_they_are():
    likelihood = Mixed(MIXED)
    likelihood.log_dispersion.set(torch.tensor([0.0]))
    drawn = likelihood(torch.zeros(1, 20_000, 4)).sample()[0, :, 2]
    counts = torch.expm1(drawn * 0.5 + 1.0).double()
    mean = np.e
    assert float(counts.mean()) == pytest.approx(mean, rel=0.05)
    assert float(counts.var()) == pytest.approx(mean + mean**2, rel=0.1)


@pytest.mark.parametrize("optimizer", [Adam, Muon])
def test_a_scale_travels_far_in_few_steps_and_stays_where_errors_put_it(optimizer):
    torch.manual_seed(0)
    likelihood = GaussianColumns((2,))
    moves = optimizer(list(likelihood.parameters()), 3e-3)
    true = torch.tensor([0.05, 1.0])
    for _ in range(300):
        loss = -likelihood(torch.zeros(1, 256, 2)).log_prob(true * torch.randn(256, 2)).mean()
        moves.zero_grad()
        loss.backward()
        moves.step()
    assert likelihood.log_scales().exp().tolist() == pytest.approx(true.tolist(), rel=0.1)


def test_a_scale_beyond_its_bound_is_brought_back_by_larger_errors_and_not_taken_farther():
    logs = LearnedLog(2)
    with torch.no_grad():
        logs.moved.fill_(-2.0)  # far below the bound
    out = logs()
    assert out.tolist() == [-7.0, -7.0]
    (out * torch.tensor([1.0, -1.0])).sum().backward()
    smaller, larger = logs.moved.grad.tolist()
    assert smaller == 0.0
    assert larger < 0.0  # a step goes against the slope


def test_a_shared_scale_starts_at_the_mean_error_and_draws_have_the_measured_spread():
    likelihood = GaussianColumns((2,), "shared")
    likelihood.start_at_errors(torch.tensor([0.5, 1.5]))
    assert likelihood(torch.zeros(1, 1, 2)).scale.item() == pytest.approx(1.0)
    likelihood.measure(torch.tensor([0.01, 4.0]))
    drawn = likelihood(torch.zeros(1, 5000, 2)).sample()
    assert drawn.std((0, 1)).tolist() == pytest.approx([0.1, 2.0], rel=0.05)


def test_the_scale_of_no_error_at_all_is_finite():
    assert torch.isfinite(log_scale_of(torch.zeros(1))).all()


def test_weights_from_before_scales_were_learned_are_those_of_scale_one():
    new = build("vae", DataSpec((5,), "real"), latent_dim=2).model
    old = {k: v for k, v in new.state_dict().items() if "likelihood" not in k}
    for name, part in new.named_modules():
        if complete := getattr(part, "complete", None):
            complete(old, f"{name}.")
    new.load_state_dict(old)
    assert new.likelihood.log_scales().tolist() == [0.0] * 5


def test_scores_of_linear_gaussian_rows_are_their_log_density_in_the_units_of_the_data():
    rng = np.random.default_rng(0)
    units = np.array([1e-3, 1.0, 50.0, 1e5, 2.0, 0.1])
    mixing, noise = rng.normal(size=(2, 6)), 0.3
    x = rng.normal(size=(2500, 2)) @ mixing + noise * rng.normal(size=(2500, 6))
    density = stats.multivariate_normal(np.zeros(6), mixing.T @ mixing + noise**2 * np.eye(6))
    true = density.logpdf(x[1500:]).mean() - np.log(units).sum()
    x *= units
    vae = Autoencoder("vae", 2, random_state=0, options={"min_steps": 700})
    found = vae.fit(x[:1500]).score(x[1500:])
    assert true - 0.75 < found < true + 0.05  # a bound, and no more than a bound
