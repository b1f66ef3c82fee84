"""Priors over integer codes: probabilities that add up, causality, patterns, files, refusals."""

import itertools
import math

import numpy as np
import pytest
import torch

from autoencode import load_data
from autoencode.cli import cli as commands
from autoencode.data import Examples
from autoencode.distributions import IntegerRows
from autoencode.errors import DataError, IncompatibleError, OptionError
from autoencode.nets.transformer import CausalTransformer
from autoencode.recipes import build
from autoencode.runs import train
from autoencode.trained import Trained, fit_prior, load_trained, save_model
from autoencode.trained.priors import Integers, empty_prior, prior_of
from autoencode.trained.priors.real_codes import NegativeLogDensity, codes_as_data
from autoencode.training import TrainingPlan, Update, fit
from autoencode.types import Batch, DataSpec

IMAGE, TABLE = DataSpec((1, 12, 8)), DataSpec((30,), "real")
SMALL = {"n_codes": 6, "code_dim": 8, "channels": (4, 8)}
QUANTISED = {
    **dict.fromkeys(("vqvae", "vqvae2", "rvq", "pvq", "simvq", "vq_patch_gan"), SMALL),
    "fsq": {"channels": (4, 8)},
    "lfq": {"channels": (4, 8), "n_bits": 3},
}
SHORT = TrainingPlan(epochs=1, batch_size=64, min_steps=4, doctor=False)


@pytest.fixture(autouse=True)
def _from_a_seed():
    torch.manual_seed(0)


def small(books=(0, 1, 0, 1), n_values=3) -> CausalTransformer:
    """A network whose weights are far from their start, so that everything depends on everything."""
    network = CausalTransformer(books, n_values, width=16, depth=2, heads=2)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return network.eval()


def every_row(n_values=3, length=4) -> torch.Tensor:
    return torch.tensor(list(itertools.product(range(n_values), repeat=length)))


# Probabilities


@torch.no_grad()
def test_the_probabilities_of_all_rows_add_up_to_one():
    p = IntegerRows(small(), (2, 2))
    log_prob = p.log_prob(every_row().reshape(-1, 2, 2))
    assert log_prob.shape == (81,)
    assert float(log_prob.exp().sum()) == pytest.approx(1.0, abs=1e-5)
    assert float(log_prob.std()) > 0.5


@torch.no_grad()
def test_draws_come_as_often_as_their_probabilities_say():
    p, n = IntegerRows(small(), (2, 2)), 40_000
    rows = p.rsample(torch.Size((n,)))
    assert rows.dtype == torch.int64
    places = (rows.flatten(1) * torch.tensor([27, 9, 3, 1])).sum(1)
    found = torch.bincount(places, minlength=81) / n
    expected = p.log_prob(every_row().reshape(-1, 2, 2)).exp()
    error = (expected * (1 - expected) / n).sqrt()
    assert float(((found - expected).abs() / error).max()) < 4.5


@torch.no_grad()
def test_one_place_after_the_other_gives_what_all_at_once_give():
    network, rows = small(), every_row()
    every = network(rows)
    so_far, memories = network.begin(len(rows))
    for place in range(4):
        torch.testing.assert_close(network.following(so_far, memories), every[:, place])
        so_far = rows[:, : place + 1]


@torch.no_grad()
def test_the_logits_of_a_place_do_not_depend_on_it_nor_on_later_ones():
    network, rows = small(), every_row()
    logits = network(rows)
    for place in range(4):
        other = rows.clone()
        other[:, place:] = (other[:, place:] + 1) % 3
        changed = network(other)
        assert torch.equal(changed[:, : place + 1], logits[:, : place + 1])
        if place < 3:
            assert not torch.allclose(changed[:, place + 1], logits[:, place + 1])


@torch.no_grad()
def test_an_integer_means_another_thing_in_another_book():
    one, two = small((0, 0)), small((0, 1))
    assert len(one.heads) == 1
    assert one.values.num_embeddings == 3
    assert len(two.heads) == 2
    assert two.values.num_embeddings == 6
    before = two(every_row(3, 2))
    two.heads[1].weight.mul_(2)
    after = two(every_row(3, 2))
    assert torch.equal(before[:, 0], after[:, 0])
    assert not torch.allclose(before[:, 1], after[:, 1])


def test_shapes_before_and_after_the_integers_are_kept():
    p = IntegerRows(small(), (2, 2))
    assert p.rsample().shape == (2, 2)
    assert p.rsample(torch.Size((3, 5))).shape == (3, 5, 2, 2)
    assert p.log_prob(torch.zeros(3, 5, 2, 2)).shape == (3, 5)
    assert p.rsample(torch.Size((501,))).shape == (501, 2, 2)
    with pytest.raises(IncompatibleError, match="no mean; draw some"):
        _ = p.mean


# Fitting


def a_pattern(n: int) -> torch.Tensor:
    """Each integer follows from the one before it; the first is any of five."""
    rows = [torch.randint(0, 5, (n,))]
    for _ in range(5):
        rows.append((2 * rows[-1] + 1) % 5)
    return torch.stack(rows, 1).reshape(n, 3, 2)


def test_a_deterministic_pattern_is_learned(hurried):
    hurried(500)
    integers = Integers((3, 2), 5, (0,) * 6)
    prior = prior_of("autoregressive", a_pattern(2000), seed=0, integers=integers)
    p, new = prior(None, None), a_pattern(500)
    # Nothing is uncertain but the first integer. Training stops when that one is overfitted.
    assert float(-p.log_prob(new).mean()) == pytest.approx(math.log(5), abs=0.03)
    draws = p.rsample(torch.Size((300,))).flatten(1)
    follows = draws[:, 1:] == (2 * draws[:, :-1] + 1) % 5
    assert float(follows.float().mean()) > 0.99
    assert len(draws[:, 0].unique()) == 5


def test_a_prior_stops_where_it_would_learn_its_codes_by_heart():
    integers = Integers((4,), 8, (0,) * 4)
    codes, new = torch.randint(0, 8, (2, 60, 4))
    patient = prior_of("autoregressive", codes, integers=integers)
    by_heart = empty_prior("autoregressive", (4,), integers)
    plan = TrainingPlan(epochs=100, batch_size=64, lr=3e-3, doctor=False)
    update = Update(NegativeLogDensity(by_heart), (by_heart,))
    fit(by_heart, (update,), codes_as_data(codes), plan)
    with torch.no_grad():
        found = [float(-p(None, None).log_prob(new).mean()) for p in (patient, by_heart)]
    assert found[0] == pytest.approx(4 * math.log(8), abs=0.5)  # nothing is to be learned
    assert found[1] > found[0] + 2


def test_a_prior_of_integers_comes_from_its_seed_and_goes_into_its_tensors(monkeypatch):
    monkeypatch.setattr("autoencode.trained.priors.integer_codes._CODES_PLAN", SHORT)
    integers = Integers((3, 2), 5, (0, 1) * 3)
    codes = a_pattern(200)
    state = torch.get_rng_state()
    first, second = (prior_of("autoregressive", codes, 3, integers) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), state)
    again = empty_prior("autoregressive", (8, 3, 2), integers)
    again.load_state_dict(first.state_dict())
    draws = []
    for prior in (first, second, again.eval()):
        torch.manual_seed(1)
        draws.append(prior(None, None).rsample(torch.Size((50,))))
    assert torch.equal(draws[0], draws[1])
    assert torch.equal(draws[0], draws[2])
    assert not any(p.requires_grad for p in first.parameters())


# Models


@pytest.mark.parametrize("spec", [IMAGE, TABLE], ids=["images", "table"])
@pytest.mark.parametrize("name", QUANTISED)
def test_every_quantised_model_can_be_sampled_from_its_codes(name, spec, monkeypatch, tmp_path):
    if name in ("vqvae2", "vq_patch_gan") and spec is TABLE:
        return  # they are for images
    monkeypatch.setattr("autoencode.trained.priors.integer_codes._CODES_PLAN", SHORT)
    options = {k: v for k, v in QUANTISED[name].items() if k != "channels" or spec is IMAGE}
    recipe = build(name, spec, **options)
    x = torch.rand(40, *spec.shape)
    recipe.stepper().step(Batch.from_examples(x))
    trained = Trained(recipe)
    codes = trained.codes(x.numpy())
    assert codes.dtype == np.int64
    integers = Integers.from_recipe(recipe)
    assert integers is not None
    assert codes.shape[1:] == integers.shape
    n_books = {"rvq": 4, "pvq": 4, "vqvae2": 2}.get(name, 1)
    assert set(integers.books) == set(range(n_books))
    fitted = fit_prior(trained, Examples(x.numpy()), kind="autoregressive")
    drawn = fitted.model.prior(None, None).rsample(torch.Size((7,)))
    assert int(drawn.max()) < integers.n_values
    torch.manual_seed(3)
    z = fitted.model.sample_latent(7)
    torch.manual_seed(3)
    drawn = fitted.model.prior(None, None).rsample(torch.Size((7,)))
    assert torch.equal(z, fitted.model.bottleneck.lookup(drawn))
    made = fitted.sample(7, seed=1)
    assert made.shape == (7, *spec.shape)
    save_model(fitted, tmp_path)
    assert np.array_equal(load_trained(tmp_path).sample(7, seed=1), made)


def test_the_last_codes_of_a_row_belong_to_the_books_of_their_level():
    assert Integers.from_recipe(build("rvq", IMAGE, **SMALL)).books == (0, 1, 2, 3) * 6
    assert Integers.from_recipe(build("vqvae2", IMAGE, **SMALL)).books == (0,) * 2 + (1,) * 6
    assert Integers.from_recipe(build("vae", IMAGE)) is None


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "codes"
    options = {"n_codes": 32, "code_dim": 8, "channels": (16, 32)}
    return train("digits", "vqvae", out=folder, epochs=20, doctor=False, **options), folder


def test_samples_of_a_fitted_prior_are_likelier_digits_than_uniform_codes(digits, hurried):
    hurried(400)
    trained, data = digits[0].trained, load_data("digits")
    fitted = fit_prior(trained, data.train, kind="autoregressive")
    prior = fitted.model.prior(None, None)
    codes = torch.from_numpy(fitted.codes(data.test))
    uniform = torch.randint(0, 32, (300, 2, 2))
    n_values = fitted.model.bottleneck.n_codes
    assert float(-prior.log_prob(codes).mean()) < 0.8 * 4 * math.log(n_values)
    assert float(prior.log_prob(codes).mean()) > float(prior.log_prob(uniform).mean()) + 3
    # How likely the pictures are is judged by a model that knows nothing of the codes.
    judge = train("digits", "vae", epochs=20, doctor=False).trained
    drawn = fitted.sample(300, seed=1)
    random = fitted.decode(fitted.model.bottleneck.lookup(uniform))
    assert float(judge.score_samples(drawn).mean()) > float(judge.score_samples(random).mean()) + 2


def test_the_command_line_fits_a_prior_of_codes(digits, tmp_path, monkeypatch):
    from click.testing import CliRunner

    monkeypatch.setattr("autoencode.trained.priors.integer_codes._CODES_PLAN", SHORT)
    out = tmp_path / "made.npy"
    command = ["sample", str(digits[1]), "-n", "5", "--prior", "autoregressive", "-o", str(out)]
    result = CliRunner().invoke(commands, command)
    assert result.exit_code == 0, result.output
    assert np.load(out).shape == (5, 1, 8, 8)


# What is refused


def test_a_model_without_integer_codes_is_refused_with_a_remedy():
    trained = Trained(build("vae", DataSpec((4,)), latent_dim=2))
    with pytest.raises(
        IncompatibleError, match=r"'autoregressive' is for integer codes .*use gaussian"
    ):
        fit_prior(trained, Examples(np.random.rand(9, 4)), kind="autoregressive")  # noqa: NPY002
    with pytest.raises(IncompatibleError, match=r"no integers; embed gives them"):
        trained.codes(np.zeros((2, 4)))
    with pytest.raises(OptionError, match="did you mean autoregressive"):
        empty_prior("autoregresive", (2,))


def test_rows_that_are_too_long_or_too_few_are_refused_with_a_remedy():
    with pytest.raises(IncompatibleError, match=r"up to 4096 integers .* have 4097 of 2; use strides"):
        empty_prior("autoregressive", (4097,), Integers((4097,), 2, (0,) * 4097))
    with pytest.raises(IncompatibleError, match=r"have 1 of 70000; use .* a smaller codebook"):
        empty_prior("autoregressive", (1,), Integers((1,), 70_000, (0,)))
    with pytest.raises(DataError, match="needs at least 2 codes, got 1"):
        prior_of("autoregressive", torch.zeros(1, 2).long(), integers=Integers((2,), 3, (0, 0)))
