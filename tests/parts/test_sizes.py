"""Counts of uneven depth: sizes of rows, against closed forms and torch's distributions."""

import math

import numpy as np
import pytest
import torch

from autoencode import Autoencoder, load
from autoencode.likelihoods import EvenLogarithm, NegativeBinomial, Poisson, Sized, Sizes
from autoencode.randomness import drawing
from autoencode.recipes import RECIPES, build
from autoencode.types import Batch, DataSpec


def counts(n: int = 400, columns: int = 30, spread: float = 1.0, seed: int = 0) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    rates = rng.gamma(2.0, 2.0, columns)
    return torch.from_numpy(rng.poisson(rates * np.exp(spread * rng.normal(size=(n, 1))))).float()


def started(x: torch.Tensor, *, always: bool = True) -> Sizes:
    sizes = Sizes(tuple(x.shape[1:]), always)
    sizes.start_at(x)
    return sizes


def test_a_size_is_the_sum_beside_the_median_of_sums():
    x = counts()
    expected = (x.sum(1) / x.sum(1).median()).log()
    torch.testing.assert_close(started(x)(x).flatten(), expected, rtol=1e-4, atol=1e-5)


def test_the_size_of_a_row_with_gaps_is_that_of_what_its_known_columns_have():
    x = (
        torch.arange(1.0, 31.0).repeat(50, 1)
        * torch.tensor([1.0, 2.0, 3.0, 2.0, 2.0]).repeat(10)[:, None]
    )
    sizes = started(x)
    torn = x.clone()
    torn[:, ::2] = torch.nan
    torch.testing.assert_close(sizes(torn), sizes(x))


def test_log_probabilities_are_those_of_poisson_with_an_exposure():
    x, params = counts(), torch.randn(2, 400, 30)
    p_x = Sized(Poisson(1), started(x))(params)
    exposure = x.sum(1, keepdim=True) / x.sum(1).median()
    expected = torch.distributions.Poisson(params.exp() * exposure).log_prob(x).sum(-1)
    torch.testing.assert_close(p_x.log_prob(x), expected, rtol=1e-4, atol=1e-2)
    mask = torch.rand(x.shape) < 0.8
    known = Sized(Poisson(1), started(x)).sizes(x.masked_fill(~mask, torch.nan)).exp()
    each = torch.distributions.Poisson(params.exp() * known).log_prob(x) * mask
    torch.testing.assert_close(p_x.log_prob(x, mask), each.sum(-1), rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize("inflated", [False, True])
def test_only_the_mean_of_a_negative_binomial_has_the_size(inflated):
    x, plain = counts(), NegativeBinomial(1, inflated)
    params = torch.randn(1, 400, 30 * plain.n_params)
    sizes = started(x)
    moved = params.clone()
    moved[..., :30] += sizes(x)
    of_x = Sized(plain, sizes)(params).of(x)
    torch.testing.assert_close(of_x.log_prob(x), plain(moved).log_prob(x))
    torch.testing.assert_close(of_x.mean, plain(moved).mean)


def test_draws_without_a_row_have_the_sizes_of_training_rows_and_the_mean_is_theirs():
    x = counts(2000)
    rates = (x.sum(0) / x.sum() * x.sum(1).median()).log()
    p_x = Sized(Poisson(1), started(x))(rates.expand(4000, -1))
    with drawing(0, torch.device("cpu"), p_x):
        drawn = p_x.sample()
    wanted = x.sum(1).log().quantile(torch.tensor([0.1, 0.5, 0.9]))
    found = drawn.sum(1).clamp_min(1).log().quantile(torch.tensor([0.1, 0.5, 0.9]))
    torch.testing.assert_close(found, wanted, rtol=0, atol=0.12)
    torch.testing.assert_close(p_x.mean[0], x.mean(0), rtol=0.05, atol=0.02)


@pytest.mark.parametrize(
    ("x", "wide"),
    [
        (counts(spread=1.0), True),
        (counts(spread=0.0), False),
        (counts(columns=5, spread=1.0), False),  # a factor of few columns is for the code
        (torch.poisson(torch.full((400, 30), 0.1)), False),  # sums of 0 to 8 by chance alone
    ],
)
def test_sizes_are_on_by_themselves_where_sums_vary_widely(x, wide):
    sizes = started(x, always=False)
    assert bool(sizes.on) == wide
    assert (sizes.told() is not None) == wide
    assert bool((sizes(x) == 0).all()) != wide
    assert bool(started(x).on)


def test_where_sizes_are_off_all_is_as_without_them():
    x = counts(spread=0.0)
    sizes = started(x, always=False)
    params = torch.randn(1, 400, 30)
    torch.testing.assert_close(
        Sized(Poisson(1), sizes)(params).log_prob(x), Poisson(1)(params).log_prob(x)
    )
    torch.testing.assert_close(Sized(Poisson(1), sizes)(params).mean, Poisson(1)(params).mean)
    torch.testing.assert_close(EvenLogarithm(sizes)(x), x.log1p())


def test_what_the_encoder_reads_does_not_know_the_depth():
    x = counts()
    read = EvenLogarithm(started(x))
    torch.testing.assert_close(read(x), read(7 * x), rtol=1e-5, atol=1e-5)


COUNTED = [name for name in RECIPES if "size_factor" in RECIPES[name].options]


@pytest.mark.parametrize("name", ["vae", "iwae", "ladder_vae", "hvae", "aae"])
def test_recipes_of_counts_have_sizes_and_start_them_at_the_data(name):
    x = counts()
    recipe = build(name, DataSpec((30,), "real"), likelihood="poisson", size_factor="observed")
    recipe.model.start_at_data(lambda n: x[:n])
    assert [bool(m.on) for m in recipe.model.modules() if isinstance(m, Sizes)] == [True, True]
    if name != "hvae":  # whose code follows the gradient of log p(x|z), which deeper rows have more of
        rates = recipe.model.eval().reconstruct(torch.cat([x[:3], 5 * x[:3]]))
        torch.testing.assert_close(rates[3:], 5 * rates[:3], rtol=1e-3, atol=1e-3)
    output = recipe.model(Batch.from_examples(x[:3]))
    assert bool(output.x_dist.log_prob(x[:3]).isfinite().all())


def test_every_recipe_that_has_likelihoods_of_counts_has_the_option():
    assert {name for name, info in RECIPES.items() if "likelihood" in info.options} == set(COUNTED)


def test_an_estimator_tells_of_sizes_keeps_them_and_can_do_without(hurried, tmp_path, capsys):
    x = counts().numpy()
    options = {"likelihood": "negative_binomial"}
    ae = Autoencoder("vae", 2, options=options, epochs=2, random_state=0, verbose=True).fit(x)
    assert "sums of rows vary widely" in capsys.readouterr().err
    ratio = ae.reconstruct(np.concatenate([x[:5], 3 * x[:5]]))
    np.testing.assert_allclose(ratio[5:], 3 * ratio[:5], rtol=1e-3)
    np.testing.assert_allclose(ae.transform(x), ae.transform(2 * x), atol=1e-5)
    ae.save(tmp_path / "m")
    np.testing.assert_array_equal(load(tmp_path / "m").reconstruct(x), ae.reconstruct(x))
    assert ae.decoder_(torch.zeros(2, 2)).shape == (2, 30)
    none = Autoencoder("vae", 2, options={**options, "size_factor": "none"}, epochs=2, random_state=0)
    assert not any(isinstance(module, Sizes) for module in none.fit(x).model_.modules())


def test_files_from_before_there_were_sizes_have_none():
    model = build("vae", DataSpec((30,), "real"), likelihood="poisson").model
    tensors = {n: t for n, t in model.state_dict().items() if "sizes" not in n}
    for name, part in model.named_modules():
        if complete := getattr(part, "complete", None):
            complete(tensors, f"{name}.")
    assert tensors.keys() == model.state_dict().keys()
    assert math.isclose(float(tensors["likelihood.sizes.on"]), 0.0)
