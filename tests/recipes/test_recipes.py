"""What every recipe promises, tried on all of them."""

import inspect
import json
import random
import re
import typing
from copy import deepcopy
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from sklearn.datasets import load_breast_cancer
from torch import nn

from autoencode import Autoencoder
from autoencode.data import Examples, Resident, load_data
from autoencode.errors import DataError, IncompatibleError, OptionError
from autoencode.evaluate.nll import nll
from autoencode.files.sealed import seal
from autoencode.nets import scratch
from autoencode.nets.layers import ACTIVATIONS
from autoencode.objectives import CORRUPTIONS, Corrupted
from autoencode.recipes import RECIPES, Facts, recipe_info
from autoencode.recipes import build as build_at_full_size
from autoencode.recipes.registry import PLAN_OPTIONS
from autoencode.recipes.shared.likelihood import LikelihoodName
from autoencode.runs import training as runs
from autoencode.trained import Trained, fit_prior, load_trained, save_model
from autoencode.training import TrainingPlan, fit
from autoencode.training.update import only
from autoencode.types import Batch, DataSpec, Progress

IMAGE = DataSpec((1, 12, 10))
# What is conditional on labels has tests of its own (test_conditional.py).
NAMES = tuple(name for name in RECIPES if not RECIPES[name].conditional)


def options_with(option: str) -> tuple[str, ...]:
    return tuple(name for name in NAMES if option in RECIPES[name].options)


def those(**facts) -> tuple[str, ...]:
    """The recipes of which all this is true (test_facts.py tries it on what they build)."""
    said = {name: RECIPES[name].facts or Facts() for name in NAMES}
    return tuple(n for n in NAMES if all(getattr(said[n], fact) == v for fact, v in facts.items()))


# Those that are convolutional unless told otherwise, and those that may be either.
CONV = (*those(networks="conv"), *those(networks="skip"))
EITHER = tuple(n for n in options_with("channels") if n not in CONV)
PYRAMIDS = those(networks="pyramid")
PATCHES = those(networks="patch")
IMAGES = (*CONV, *PATCHES, *PYRAMIDS)
# Fully connected unless told otherwise, and for images in [0, 1] alone.
UNIT_IMAGES = those(unit_only=True)
DENSE = tuple(name for name in NAMES if name not in (*IMAGES, *UNIT_IMAGES))
LADDERS = those(networks="ladder")
# Convolutions for images, dense layers for other data.
AUTO = those(networks="conv", images_only=False)
SQUARED = tuple(n for n in options_with("loss") if len(RECIPES[n].options["loss"].choices) == 2)
ERRORS = tuple(n for n in options_with("loss") if n not in SQUARED)
WITH_BETA = options_with("beta")
# Those with layers between data and code.
HIDDEN = those(hidden=True)
DICTIONARY = those(networks="dictionary")
UNBOUNDED = those(bounded=False)
WITH_NET = options_with("activation")
LAYERWISE = those(layerwise=True)
# Whose tokens are the entries of an example.
COLUMNS = those(networks="column")
OWN = tuple(n for n in DENSE if "networks" in inspect.signature(RECIPES[n].function).parameters)
WITH_LIKELIHOOD = options_with("likelihood")
ONLY_UNIT = ("bernoulli", "continuous_bernoulli", "logistic", "logistic_mixture", "categorical")
COUNTS = ("poisson", "negative_binomial", "zero_inflated")
# Recipes whose networks are made in places of their own; the others take theirs from ``Body``.
FOUNDING_NAMES = tuple(n for n in NAMES if n in SQUARED or n in ("vae", "conv_vae"))
SHAPES = [(1, 28, 28), (3, 32, 32), (1, 17, 23), (784,), (30,), (1, 1, 1), (1,)]
# Smaller than the defaults, where those would only take time.
QUICK = {
    "miwae": {"n_samples": 2, "n_groups": 2, "hidden": (32,)},
    "piwae": {"n_samples": 2, "n_groups": 2, "hidden": (32,)},
    "ciwae": {"n_samples": 3, "hidden": (32,)},
    "iwae": {"hidden": (32,)},
    "iwae_two_layers": {"hidden": (32,), "top_hidden": (16,)},
    "vamp_vae": {"n_components": 7, "hidden": (32,)},
    "mog_vae": {"n_components": 7, "hidden": (32,)},
    "factor_vae": {"critic_hidden": (32, 32), "hidden": (32,)},
    "flow_vae": {"n_flows": 3},
    "vmf_vae": {"latent_dim": 4, "hidden": (32,)},
    "power_spherical_vae": {"latent_dim": 4, "hidden": (32,)},
    "hvae": {"hidden": (32,), "latent_dim": 4, "n_leapfrog": 2},
    "rhvae": {"hidden": (32,), "latent_dim": 4, "n_leapfrog": 2, "n_centroids": 20},
    "aae": {"critic_hidden": (32,)},
    "wae_gan": {"critic_hidden": (32,)},
    "topk": {"latent_dim": 60, "k": 2, "k_eval": 2},
    **{key: {"latent_dim": 60, "k": 2} for key in ("batch_topk", "matryoshka_sparse")},
    "jumprelu": {"latent_dim": 60},
    "contractive": {"latent_dim": 20},
    **{key: {"n_codes": 16, "code_dim": 8, "channels": (8, 16)} for key in ("vqvae", "vqvae2")},
    **{key: {"n_codes": 16, "code_dim": 8, "channels": (8, 16)} for key in ("rvq", "pvq", "simvq")},
    "lfq": {"n_bits": 6},
    "vq_patch_gan": {"n_codes": 16, "code_dim": 8, "channels": (8, 16), "critic_channels": (16, 16)},
    "ladder_vae": {"latent_dims": (12, 10, 8), "hidden": (32, 24, 16)},
    "vdvae": {"width": 16, "inner": 8, "blocks": (1,)},
    "mae": {"width": 32, "depth": 1, "decoder_width": 16, "decoder_depth": 1},
    "mae_table": {"width": 16, "depth": 1, "decoder_width": 16, "heads": 2},
    "m2_vae": {"hidden": (32,), "latent_dim": 10},
}
WITH_LATENT_DIM = tuple(name for name in NAMES if "latent_dim" in RECIPES[name].options)

# Their codes are points of a curved space, where fitting another prior is refused.
CURVED = those(curved=True)
every_recipe = pytest.mark.parametrize("name", NAMES)


def build(name: str, spec: DataSpec, **options):
    quick = {} if "encoder" in options else QUICK.get(name, {})
    return build_at_full_size(name, spec, **{**quick, **options})


def images(n: int, seed: int = 0) -> torch.Tensor:
    """Bright rectangles on dark ground, something that a small code can hold."""
    rng = np.random.default_rng(seed)
    x = np.full((n, *IMAGE.shape), 0.05, np.float32)
    for i in range(n):
        top, left = rng.integers(0, 7), rng.integers(0, 6)
        x[i, 0, top : top + rng.integers(2, 6), left : left + rng.integers(2, 5)] = 0.9
    return torch.from_numpy(x)


def resident(n: int = 48) -> Resident:
    return Resident(Examples(images(n).numpy()), IMAGE)


def table() -> torch.Tensor:
    x = load_breast_cancer().data
    return torch.from_numpy(((x - x.mean(0)) / x.std(0)).astype(np.float32))


def weights(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_the_groups_of_recipes_are_what_they_are_meant_to_be():
    assert {"linear", "mlp", "mlp_small", "mlp_latent2", "vae", "iwae"} <= set(DENSE)
    convolutional = {"conv", "conv_linear", "conv_small", "conv_latent2", "conv_vae", "conv_skip"}
    assert set(CONV) == convolutional | set(AUTO) | {"vqvae2", "vq_patch_gan"}
    assert set(AUTO) == {"vqvae", "rvq", "pvq", "fsq", "lfq", "simvq"}
    assert PATCHES == ("mae",)
    assert PYRAMIDS == ("vdvae",)
    assert LADDERS == ("ladder_vae",)
    assert LAYERWISE == ("stacked",)
    assert COLUMNS == ("mae_table",)
    assert set(DENSE) - set(OWN) == {"stacked", "ladder_vae", "mae_table"}
    assert (
        {"vae", "conv_vae", "beta_vae", "flow_vae", "vmf_vae", "vamp_vae"}
        <= set(WITH_BETA)
        <= set(those(variational=True))
    )
    assert {"vae", "iwae", "factor_vae", "vae_gan"} <= set(EITHER)
    plain = ("linear", "mlp", "conv")
    assert set(SQUARED) == {name for name in NAMES if name.startswith(plain)} - {"conv_vae"}
    without = {"conv_small", "conv_skip", "gumbel_vae", "joint_vae", "vqvae2", "mae", *AUTO}
    without |= {"ladder_vae", "vdvae", "vq_patch_gan", "mae_table"}
    assert set(NAMES) - set(WITH_LATENT_DIM) == without


# Shapes


@pytest.mark.parametrize("kind", ["unit", "real"])
@pytest.mark.parametrize(
    ("name", "shape"),
    [(n, s) for n in NAMES for s in (SHAPES if n in FOUNDING_NAMES else SHAPES[2::2])],
    ids=str,
)
def test_reconstructions_have_the_shape_of_the_data(name, shape, kind):
    spec = DataSpec(shape, kind)
    if name in PATCHES and shape == (1, 1, 1):
        with pytest.raises(IncompatibleError, match="use smaller patches"):
            build(name, spec)
        return
    if name in IMAGES and name not in AUTO and len(shape) == 1:
        with pytest.raises(IncompatibleError, match=r"need images.*use an MLP recipe"):
            build(name, spec)
        return
    if name in UNIT_IMAGES and (len(shape) == 1 or kind == "real"):
        with pytest.raises(IncompatibleError, match=r"needs images with values in \[0, 1\]; use vae"):
            build(name, spec)
        return
    recipe = build(name, spec)
    x = torch.rand(2, *shape)
    with torch.no_grad():
        output = recipe.model(Batch.from_examples(x))
    assert output.x_dist.mean.shape == (1, 2, *shape)
    assert recipe.model.reconstruct(x).shape == x.shape
    assert recipe.model.embed(x).shape == (2, *recipe.latent_shape)
    assert output.latent.z.shape == (1, 2, *recipe.latent_shape)


@pytest.mark.parametrize(
    ("name", "kind"),
    [(n, k) for n in NAMES for k in ("unit", "real") if k == "unit" or n not in UNIT_IMAGES],
)
def test_reconstructions_stay_inside_the_range_of_the_data(name, kind):
    if kind == "real" and name in UNIT_IMAGES:
        return
    recipe = build(name, DataSpec(IMAGE.shape, kind))
    with torch.no_grad():
        for parameter in recipe.model.decoder.parameters():
            parameter.mul_(100)
        mean = recipe.model.reconstruct(torch.rand(8, *IMAGE.shape))
    inside = bool(((mean >= 0) & (mean <= 1)).all())
    assert inside == (kind == "unit" and name not in UNBOUNDED)


@pytest.mark.parametrize("name", ["vae", "conv_vae", "iwae", "beta_tcvae"])
@pytest.mark.parametrize("kind", ["unit", "real"])
@pytest.mark.parametrize(
    "likelihood",
    sorted({*typing.get_args(LikelihoodName)} - {"auto", "gaussian_columns"} - set(COUNTS)),
)
def test_variational_recipes_take_every_likelihood_that_fits_the_data(name, kind, likelihood):
    spec = DataSpec((3, 6, 5), kind)
    if likelihood in ONLY_UNIT and kind == "real":
        with pytest.raises(IncompatibleError, match="use likelihood=gaussian"):
            build(name, spec, likelihood=likelihood)
        return
    recipe = build(name, spec, likelihood=likelihood)
    x = torch.randint(0, 256, (4, *spec.shape)) / 255
    losses = recipe.stepper().step(Batch.from_examples(x))
    if name == "vae":
        assert set(losses) == {"loss", "reconstruction", "kl"}
    assert recipe.model.reconstruct(x).shape == x.shape
    assert all(torch.isfinite(value) for value in losses.values())


def test_images_have_no_columns_whose_scales_could_be_learned():
    assert build("vae", DataSpec((30,), "real"), likelihood="gaussian_columns").model is not None
    with pytest.raises(IncompatibleError, match="use likelihood=gaussian_shared"):
        build("vae", DataSpec((3, 6, 5), "real"), likelihood="gaussian_columns")


@pytest.mark.parametrize("likelihood", COUNTS)
def test_likelihoods_of_counts_are_for_counts_as_they_are(likelihood):
    counts = torch.poisson(torch.full((8, 30), 3.0))
    recipe = build("vae", DataSpec((30,), "real"), likelihood=likelihood)
    assert torch.isfinite(recipe.stepper().step(Batch.from_examples(counts))["loss"])
    for spec in (DataSpec((30,)), DataSpec((30,), "real", scale=(2.0,))):
        with pytest.raises(IncompatibleError, match="needs counts"):
            build("vae", spec, likelihood=likelihood)
    x = np.random.default_rng(0).poisson(40.0, (60, 100))  # as wide as an image of 10 x 10
    estimator = Autoencoder("vae", options={"likelihood": likelihood}, epochs=1, random_state=0).fit(x)
    assert estimator.trained_.spec.scale == (1.0,)
    assert estimator.reconstruct(x).mean() == pytest.approx(40, rel=0.5)
    run = runs.train(x, "vae", likelihood=likelihood, epochs=1)
    assert run.trained.spec.offset == (0.0,)
    with pytest.raises(DataError, match=r"whole numbers from 0 and these data have \d+\.5"):
        runs.train(x + 0.5 * (x == x.max()), "vae", likelihood=likelihood, epochs=1)
    with pytest.raises(DataError, match=r"whole numbers from 0 and these data have -1"):
        Autoencoder("vae", options={"likelihood": likelihood}, epochs=1).fit(np.where(x > 60, -1, x))


@pytest.mark.parametrize("likelihood", ["gaussian", "laplace", "log_cosh"])
@pytest.mark.parametrize("name", ["vae", "conv_vae", "iwae"])
def test_scale_is_that_of_the_likelihoods_whose_scale_is_fixed(name, likelihood):
    recipe = build(name, IMAGE, likelihood=likelihood, scale=0.1)
    assert recipe.model.likelihood.log_scale.exp().item() == pytest.approx(0.1)
    with pytest.raises(OptionError, match="option scale: must be above 0"):
        build(name, IMAGE, likelihood=likelihood, scale=0.0)
    for other in ("auto", "bernoulli", f"{likelihood}_learned"):
        with pytest.raises(IncompatibleError, match=r"a fixed scale is for .*leave .* scale out"):
            build(name, IMAGE, likelihood=other, scale=0.1)


def test_the_loss_of_log_cosh_vae_is_the_papers_but_for_a_constant():
    x, mean, a = images(4), torch.rand(1, 4, *IMAGE.shape), 10.0
    likelihood = build("log_cosh_vae", IMAGE).model.likelihood
    ours = -likelihood(torch.logit(mean)).log_prob(x)
    theirs = (torch.log(torch.cosh(a * (mean.double() - x))) / a).flatten(2).sum(-1)
    apart = ours - theirs
    torch.testing.assert_close(apart, apart[0, 0].expand(1, 4), atol=1e-4, rtol=1e-6)


@pytest.mark.parametrize("name", WITH_BETA)
def test_beta_weighs_the_kl_term(name):
    batch = Batch.from_examples(images(8))
    values = []
    ones = {"ssim_weight": 1.0} if name in UNIT_IMAGES else {}
    for beta in (0.0, 1.0, 4.0):
        objective = build(name, IMAGE, beta=beta, **ones).updates[0].objective
        torch.manual_seed(0)
        model = build(name, IMAGE).model
        losses = objective(model, batch, Progress(1, 1))  # whatever it began with
        rest = sum(value for term, value in losses.terms.items() if term != "kl")
        expected = rest + beta * losses.terms["kl"]
        torch.testing.assert_close(losses.total.detach(), expected)
        values.append(losses.total.item())
    # A KL that is sampled may be negative.
    assert sorted(values, reverse=bool(losses.terms["kl"] < 0)) == values
    assert len(set(values)) == 3


# Training


@every_recipe
def test_every_parameter_gets_its_gradient_from_the_update_that_owns_it_and_no_other(name):
    recipe = build(name, IMAGE)
    recipe.model.start_at_data(images)
    everything = list(recipe.model.parameters())
    everything += [p for helper in recipe.helpers.values() for p in helper.parameters()]
    touched = {id(p): set() for p in everything}
    with torch.no_grad():
        if name == "fsq":  # at first every entry is rounded to 0, which tells the decoder nothing
            recipe.model.bottleneck.project[0].weight.mul_(50)
        if name == "vq_patch_gan":  # at first both margins push its last bias, one as much as the other
            recipe.helpers["critic"].head.bias.add_(2.0)
        for parameter in everything if name in PYRAMIDS else ():  # some begin at 0, and stop others
            parameter.add_(0.1 * torch.randn_like(parameter))
    # An objective may change its mind on the way.
    turns = [(update, Progress(i, 4)) for update in recipe.updates for i in range(4)]
    for update, progress in turns:
        owned = update.parameters()
        with only(owned, everything):
            loss = update.objective(recipe.model, Batch.from_examples(images(32)), progress).total
            loss.backward()
        mine = {id(p) for p in owned}
        for p in everything:
            assert p.grad is None or id(p) in mine
            if p.grad is not None and bool(p.grad.abs().sum() > 0):
                touched[id(p)].add(id(update))
            p.grad = None
    assert {len(updates) for updates in touched.values()} == {1}


@every_recipe
def test_the_loss_falls_on_images(name):
    torch.manual_seed(0)
    recipe = build(name, IMAGE, lr=2e-3, optimizer="adam")
    stepper, batch = recipe.stepper(), Batch.from_examples(images(32))
    before = (recipe.model.reconstruct(batch.x) - batch.x).square().mean().detach()
    losses = [float(stepper.step(batch)["loss"]) for _ in range(40)]
    if recipe.helpers:  # the other player moves as well, and the loss need not fall
        after = (recipe.model.reconstruct(batch.x) - batch.x).square().mean().detach()
        assert float(after) < 0.95 * float(before)
    else:
        assert np.mean(losses[-3:]) < 0.9 * np.mean(losses[:3])


@pytest.mark.parametrize(
    "name", [n for n in (*DENSE, *AUTO) if n in (*FOUNDING_NAMES, *AUTO, "iwae", "info_vae")]
)
def test_the_loss_falls_on_a_table_of_real_numbers(name):
    torch.manual_seed(0)
    recipe = build(name, DataSpec((30,), "real"), lr=3e-3, optimizer="adam")
    stepper, batch = recipe.stepper(), Batch.from_examples(table()[:128])
    # A codebook that is learned by gradients comes after the code at first, and the penalty grows.
    counted = "sse" if name in AUTO else "loss"
    losses = [float(stepper.step(batch)[counted]) for _ in range(60)]
    # A unit-variance Gaussian has a floor of 15 log(2 pi) = 27.6 nats that nothing lowers.
    floor = 15 * np.log(2 * np.pi) if recipe.unit == "nats per example" else 0.0
    assert np.mean(losses[-3:]) - floor < 0.9 * (np.mean(losses[:3]) - floor)


@pytest.fixture(scope="module")
def few_of_mnist(data_dir):
    mnist = load_data("mnist", data_dir=data_dir)
    spec = replace(mnist.spec, shape=(1, 14, 14))
    few = [Examples(part.x[:250, :, ::2, ::2], part.labels[:250]) for part in (mnist.train, mnist.test)]
    return replace(mnist, train=few[0], test=few[1].take(np.arange(100)), spec=spec)


@pytest.mark.parametrize("name", [n for n in RECIPES if n not in SQUARED])
def test_every_recipe_trains_on_mnist_and_is_measured(name, few_of_mnist):
    few, rows = few_of_mnist, np.arange(20)
    run = runs.train(few, name, epochs=2, batch_size=50, doctor=False, **QUICK.get(name, {}))
    first, last = run.history
    adversarial = len(run.trained.recipe.updates) > 1
    moving = any("capacity" in term for term in last)  # it starts where there is nothing to lose
    grows = run.trained.recipe.options.get("beta_schedule") == "linear"  # the KL weighs ever more
    counted = "reconstruction" if grows else "loss"
    # Layers that are trained one after the other have errors of their own.
    assert last[counted] < first[counted] or adversarial or moving or name in LAYERWISE
    # A transformer begins to see after some hundred steps, and here are ten.
    assert 0 < run.metrics["mse"] < (0.3 if name in PATCHES else 0.12)
    assert run.trained.sample(3, seed=1).shape == (3, 1, 14, 14)
    if run.trained.stochastic:
        assert np.isfinite(run.metrics["elbo"])
        assert np.isfinite(nll(run.trained, few.test.take(rows), 3).nats)


@cache
def once(name: str, seed: int):
    """What ``fitted`` makes, once for all tests; none of them may change it."""
    return fitted(name, seed)


def fitted(name: str, seed: int, **options):
    recipe = build(name, IMAGE, seed=seed, epochs=2, batch_size=20, **options)
    fit(recipe.model, recipe.updates, resident(), recipe.plan, seed=seed, helpers=recipe.helpers)
    return recipe


@every_recipe
def test_a_seed_decides_every_bit_of_the_weights(name):
    first = weights(fitted(name, 3).model)
    torch.rand(7)  # whatever the caller's random state is
    second, other = weights(fitted(name, 3).model), weights(once(name, 2).model)
    assert same(first, second)
    assert not same(first, other)


@every_recipe
def test_noise_and_dropout_follow_the_seed_too(name):
    options = {"noise": "gaussian"} | ({"dropout": 0.2} if name in WITH_NET else {})
    assert same(*(weights(fitted(name, 1, **options).model) for _ in range(2)))


@every_recipe
def test_building_and_fitting_leave_the_callers_random_state_alone(name):
    torch.manual_seed(11)
    np.random.seed(11)  # noqa: NPY002  the global state is what must not move
    random.seed(11)
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    fitted(name, 0)
    assert torch.equal(before[0], torch.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002
    assert before[2] == random.getstate()


@every_recipe
def test_embedding_is_deterministic(name):
    options = {"dropout": 0.5} if name in WITH_NET else {}
    model = build(name, IMAGE, noise="gaussian", **options).model.eval()
    x = images(4)
    first = model.embed(x)
    torch.rand(3)
    assert torch.equal(first, model.embed(x))


@every_recipe
def test_a_saved_model_gives_the_same_embeddings_bit_by_bit(name, tmp_path):
    trained = fit_prior(Trained(deepcopy(once(name, 2))), Examples(images(48).numpy()))
    x = images(10, seed=5).numpy()
    expected = trained.embed(x), trained.reconstruct(x), trained.sample(3, seed=1)
    save_model(trained, tmp_path)
    loaded = load_trained(tmp_path)
    got = loaded.embed(x), loaded.reconstruct(x), loaded.sample(3, seed=1)
    for before, after in zip(expected, got, strict=True):
        assert np.array_equal(before, after)
    assert loaded.recipe.options == trained.recipe.options
    assert loaded.recipe.plan == trained.recipe.plan
    assert loaded.spec == trained.spec
    assert loaded.recipe.name == name


@pytest.mark.parametrize("n_components", [None, 3])
def test_a_saved_mixture_has_as_many_gaussians_as_were_fitted(n_components, tmp_path):
    few = Trained(build("vae", DataSpec((5,), "unit"), latent_dim=2, hidden=(4,)))
    x = Examples(np.random.default_rng(0).random((1500, 5), dtype=np.float32))
    trained = fit_prior(few, x, kind="mixture", n_components=n_components)
    assert trained.model.prior.n_components == (n_components or 15)
    save_model(trained, tmp_path)
    loaded = load_trained(tmp_path)
    assert np.array_equal(loaded.sample(9, seed=1), trained.sample(9, seed=1))
    # A folder of before mixtures had another number than ten does not say how many.
    fit_prior(few, x, kind="mixture", n_components=10)
    save_model(trained, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    del config["prior_components"], config["sha256"]
    (tmp_path / "config.json").write_bytes(seal(config))
    assert load_trained(tmp_path).model.prior.n_components == 10


def test_a_prior_is_fitted_to_draws_where_codes_are_drawn():
    x = torch.rand(4000, 5, generator=torch.Generator().manual_seed(0))
    trained = Trained(build("vae", DataSpec((5,), "unit"), latent_dim=3, hidden=(16,)))
    model = trained.model.eval()
    with torch.no_grad():
        posterior = model.bottleneck.posterior(model.encoder(x))
    total = torch.cov(posterior.loc.T) + posterior.scale.square().mean(0).diag()
    fit_prior(trained, Examples(x.numpy()), kind="gaussian")
    factor = trained.model.prior.factor
    torch.testing.assert_close(factor @ factor.T, total, rtol=0.0, atol=0.1)
    assert float(torch.cov(posterior.loc.T).trace()) < 0.5 * float(total.trace())


@pytest.mark.parametrize("name", [name for name in NAMES if name not in CURVED])
def test_another_prior_can_be_fitted_to_any_flat_code(name):
    trained = Trained(build(name, IMAGE))
    fit_prior(trained, Examples(images(48).numpy()), kind="gaussian")
    assert trained.sample(3, seed=1).shape == (3, *IMAGE.shape)


# Options


def kinds(model: nn.Module) -> set[type]:
    return {type(module) for module in model.modules()}


@pytest.mark.parametrize(
    ("name", "activation"),
    [(n, a) for n in WITH_NET for a in ACTIVATIONS if n in FOUNDING_NAMES or a in ("elu", "none")],
)
def test_activation_chooses_the_nonlinearity_between_layers(name, activation):
    own = {"code_activation": "none"} if name in options_with("code_activation") else {}
    model = build(name, IMAGE, activation=activation, **own).model
    chosen = type(ACTIVATIONS[activation]())
    others = {type(make()) for make in ACTIVATIONS.values()} - {chosen, nn.Identity}
    between = kinds(model.encoder) | kinds(model.decoder)
    assert not between & others
    assert (chosen in between) == (name in HIDDEN and activation != "none")
    assert torch.isfinite(model.reconstruct(images(3))).all()


@pytest.mark.parametrize("normalization", ["none", "layer", "group"])
@pytest.mark.parametrize("name", WITH_NET)
def test_normalization_goes_into_every_hidden_layer(name, normalization):
    model = build(name, IMAGE, normalization=normalization).model
    found = [m for m in model.modules() if isinstance(m, nn.GroupNorm | nn.LayerNorm)]
    if normalization == "none" or name not in HIDDEN:
        assert not found
    else:
        wanted = nn.LayerNorm if normalization == "layer" and name not in CONV else nn.GroupNorm
        assert found
        assert all(isinstance(m, wanted) for m in found)
        if normalization == "layer" and name in CONV:
            assert all(m.num_groups == 1 for m in found)
    assert torch.isfinite(model.reconstruct(images(1))).all()  # a batch of one as well


@pytest.mark.parametrize("name", WITH_NET)
def test_dropout_acts_in_training_only(name):
    model = build(name, IMAGE, dropout=0.5).model
    found = {m.p for m in model.modules() if isinstance(m, nn.Dropout | nn.Dropout2d)}
    assert found == ({0.5} if name in HIDDEN else set())
    torch.manual_seed(0)
    x = images(3)
    first, second = model.train().encoder(x), model.encoder(x)
    assert torch.equal(first, second) == (name not in HIDDEN)
    assert torch.equal(model.eval().embed(x), model.embed(x))


@pytest.mark.parametrize("init", ["xavier", "kaiming"])
@pytest.mark.parametrize("name", WITH_NET)
def test_init_draws_every_weight_inside_its_bound_with_zero_biases(name, init):
    model = build(name, IMAGE, init=init).model
    for module_name, module in model.named_modules():
        weight = getattr(module, "weight", None)
        if weight is None or weight.dim() < 2:
            continue
        field = weight[0, 0].numel()
        fan_in, fan_out = weight.shape[1] * field, weight.shape[0] * field
        bound = (6 / (fan_in + fan_out if init == "xavier" else fan_in)) ** 0.5
        assert 0.9 * bound < float(weight.detach().abs().max()) <= bound, module_name
        assert module.bias is None or not module.bias.detach().any()


@pytest.mark.parametrize("name", [*DENSE, *UNIT_IMAGES])
def test_init_torch_and_seed_give_torchs_own_layers(name):
    model = build(name, IMAGE, seed=0).model
    linear = [m for m in model.modules() if isinstance(m, nn.Linear)]
    for layer in linear:
        bound = layer.in_features**-0.5
        assert float(layer.weight.detach().abs().max()) <= bound
    assert any(m.bias.detach().any() for m in linear)


@pytest.mark.parametrize("name", WITH_NET)
def test_scratch_layers_are_for_fully_connected_networks(name):
    if name in CONV:
        with pytest.raises(OptionError, match="use mlp"):
            build(name, IMAGE, layers="scratch")
        return
    model = build(name, IMAGE, layers="scratch").model
    found = kinds(model.encoder) | kinds(model.decoder)
    if name in DICTIONARY:  # its one layer makes the code
        found = kinds(model)
    assert scratch.Linear in found
    assert nn.Linear not in found
    assert nn.ReLU not in kinds(model)


@pytest.mark.parametrize("code", ["none", "relu", "tanh", "sigmoid"])
@pytest.mark.parametrize("name", options_with("code_activation"))
def test_code_activation_bounds_the_code(name, code):
    recipe = build(name, IMAGE, code_activation=code, activation="none")
    with torch.no_grad():
        for parameter in recipe.model.parameters():
            parameter.mul_(20)
        z = recipe.model.embed(torch.randn(50, *IMAGE.shape))
    low, high = float(z.min()), float(z.max())
    assert (low >= 0) == (code in ("relu", "sigmoid"))
    assert (low >= -1 and high <= 1) == (code in ("tanh", "sigmoid"))


@pytest.mark.parametrize("noise", ["none", *CORRUPTIONS])
@pytest.mark.parametrize("name", [name for name in NAMES if name not in LAYERWISE])
def test_noise_reaches_the_encoder_and_never_the_target(name, noise):
    if name in PATCHES and noise == "missing":
        with pytest.raises(IncompatibleError, match="complete images"):
            build(name, IMAGE, noise=noise)
        return
    recipe = build(name, IMAGE, noise=noise, noise_level=0.4)
    objective, x = recipe.updates[0].objective, images(16)
    seen: list[Batch] = []

    handle = recipe.model.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    torch.manual_seed(0)
    loss = objective(recipe.model, Batch.from_examples(x), Progress()).total
    handle.remove()
    assert isinstance(objective, Corrupted) == (noise != "none")
    assert torch.equal(seen[0].target, x)
    assert torch.equal(seen[0].x, x) == (noise == "none")
    assert torch.isfinite(loss)
    assert objective.unit == recipe.unit == build(name, IMAGE).unit


def test_noise_does_what_its_name_and_level_say():
    torch.manual_seed(0)
    x = torch.full((200, 500), 0.5)
    added = CORRUPTIONS["gaussian"](x, 0.3) - x
    assert abs(float(added.mean())) < 0.01
    assert float(added.std()) == pytest.approx(0.3, abs=0.005)
    masked = CORRUPTIONS["masking"](x, 0.3)
    assert set(masked.unique().tolist()) == {0.0, 0.5}
    assert float((masked == 0).float().mean()) == pytest.approx(0.3, abs=0.01)
    hit = CORRUPTIONS["salt_and_pepper"](x, 0.3)
    assert set(hit.unique().tolist()) == {0.0, 0.5, 1.0}
    for value in (0.0, 1.0):
        assert float((hit == value).float().mean()) == pytest.approx(0.15, abs=0.01)


@pytest.mark.parametrize("name", WITH_LATENT_DIM)
def test_latent_dim_is_the_width_of_the_code(name):
    recipe = build(name, IMAGE, latent_dim=5)
    assert recipe.latent_shape == (5,)
    assert recipe.model.embed(images(3)).shape == (3, 5)


@pytest.mark.parametrize("name", WITH_LATENT_DIM)
def test_n_components_of_the_estimator_is_the_width_of_the_code(name):
    shape = (20, 12, 10) if name in (*CONV, *UNIT_IMAGES) else (20, 30)
    x = np.random.default_rng(0).random(shape).astype(np.float32)
    few = {option: 2 for option in ("k", "k_eval") if name in options_with(option)}
    model = Autoencoder(name, n_components=3, epochs=1, random_state=0, options=few)
    z = model.fit(x).transform(x)
    assert z.shape == (20, 3)


def test_the_code_of_conv_small_is_its_feature_map():
    assert build("conv_small", IMAGE).latent_shape == (32, 3, 3)
    with pytest.raises(OptionError, match=r"no latent_dim .* set by channels and strides"):
        build("conv_small", IMAGE, latent_dim=5)


@pytest.mark.parametrize("name", SQUARED)
def test_loss_chooses_between_mean_and_sum_of_squares(name):
    mean, total = (build(name, IMAGE, loss=loss, noise="none", dropout=0.0) for loss in ("mse", "sse"))
    batch = Batch.from_examples(images(6))
    mse = mean.updates[0].objective(mean.model, batch, Progress()).total
    sse = total.updates[0].objective(mean.model, batch, Progress()).total
    torch.testing.assert_close(sse, mse * IMAGE.size)
    x_hat = mean.model.reconstruct(batch.x)
    torch.testing.assert_close(mse, (x_hat - batch.x).square().mean())


@pytest.mark.parametrize("name", ERRORS)
def test_loss_chooses_between_squares_and_nats(name):
    batch, measured = Batch.from_examples(images(6)), {}
    named = {"mse": "mse", "sse": "sse", "nll": "reconstruction"}
    units = {"mse": "mean squared error per entry", "sse": "squared error per example"}
    for loss in named:
        recipe = build(name, IMAGE, loss=loss, noise="none", dropout=0.0)
        assert recipe.unit == units.get(loss, "nats per example")
        losses = recipe.updates[0].objective(recipe.model.eval(), batch, Progress())
        measured[loss] = losses.terms[named[loss]]
    torch.testing.assert_close(measured["sse"], measured["mse"] * IMAGE.size)


@pytest.mark.parametrize("name", [n for n in NAMES if n not in (*SQUARED, *ERRORS)])
def test_recipes_without_a_choice_of_loss_count_what_their_papers_do(name):
    recipe = build(name, IMAGE)
    assert recipe.unit == RECIPES[name].facts.unit
    assert not RECIPES[name].facts.variational or recipe.unit == "nats per example"


@pytest.mark.parametrize(
    "name", [name for name in DENSE if name in options_with("hidden") and name not in LADDERS]
)
def test_hidden_widths_are_mirrored(name):
    model = build(name, IMAGE, hidden="7,5").model
    encoder = [m.out_features for m in model.encoder.modules() if isinstance(m, nn.Linear)]
    decoder = [m.out_features for m in model.decoder.modules() if isinstance(m, nn.Linear)]
    assert encoder == [7, 5]
    assert decoder == [5, 7, IMAGE.size]


@pytest.mark.parametrize("name", CONV)
def test_channels_and_strides_may_be_anything_of_one_length(name):
    recipe = build(name, DataSpec((2, 13, 9)), channels="4,6,8", strides=(3, 1, 2))
    assert recipe.model.reconstruct(torch.rand(2, 2, 13, 9)).shape == (2, 2, 13, 9)
    with pytest.raises(IncompatibleError, match="same length"):
        build(name, IMAGE, channels=(4, 6), strides=(2,))
    with pytest.raises((IncompatibleError, OptionError), match="at least one"):
        build(name, IMAGE, channels=(), strides=())


# Documentation


@every_recipe
def test_every_recipe_says_what_it_is_and_where_it_comes_from(name):
    info = recipe_info(name)
    assert info.name == name
    assert info.summary.endswith((".", ":"))
    assert 20 < len(info.summary) < 110
    assert re.search(r"\((?:.*, )?(?:18|19|20)\d\d\)", info.source)
    assert info.url.startswith("https://")
    assert not info.url.endswith((".", ","))


@every_recipe
def test_every_option_has_help_and_a_default_of_its_own_type(name):
    for option in recipe_info(name).options.values():
        assert len(option.help) > 3, option.name
        assert option.parse(option.default) == option.default


@pytest.mark.parametrize("option", PLAN_OPTIONS)
def test_every_figure_of_the_plan_has_help(option):
    assert len(PLAN_OPTIONS[option].help) > 3
    assert getattr(TrainingPlan(), option) == PLAN_OPTIONS[option].default


@every_recipe
def test_options_given_as_text_equal_those_given_as_values(name):
    for option in recipe_info(name).options.values():
        default = option.default
        text = ",".join(map(str, default)) if isinstance(default, tuple) else str(default)
        assert option.parse(text) == default


# The founding figures


FOUNDING = {
    "linear": {"lr": 1e-3, "batch_size": 128, "epochs": 12},
    "mlp": {
        "hidden": (256, 64),
        "latent_dim": 32,
        "code_activation": "none",
        "lr": 1e-3,
        "batch_size": 128,
        "epochs": 12,
    },
    "mlp_small": {
        "hidden": (128,),
        "latent_dim": 64,
        "code_activation": "relu",
        "batch_size": 64,
        "epochs": 10,
    },
    "mlp_latent2": {"hidden": (512,), "latent_dim": 2, "loss": "sse", "epochs": 20},
    "conv_small": {
        "channels": (16, 32),
        "strides": (2, 2),
        "batch_size": 64,
        "epochs": 10,
    },
    "conv_latent2": {
        "channels": (32, 64, 64, 64),
        "strides": (1, 2, 2, 1),
        "activation": "leaky_relu",
        "latent_dim": 2,
        "lr": 5e-4,
        "batch_size": 64,
        "epochs": 200,
        "validation": 0.2,
    },
    "vae": {"hidden": (256,), "latent_dim": 20, "beta": 1.0, "batch_size": 64, "epochs": 10},
}


@pytest.mark.parametrize("name", FOUNDING)
def test_the_paper_schedule_holds_the_founding_figures(name):
    recipe = build(name, DataSpec((1, 28, 28)), schedule="paper")
    plan = {figure: getattr(recipe.plan, figure) for figure in PLAN_OPTIONS}
    actual = {**recipe.options, **plan}
    assert {key: actual[key] for key in FOUNDING[name]} == FOUNDING[name]
    assert recipe.plan.optimizer == "adam"
    assert recipe.plan.decay == "constant"
    assert recipe.plan.warmup == recipe.plan.weight_decay == recipe.plan.min_steps == 0
    assert not recipe.plan.mean_start


@every_recipe
def test_every_paper_schedule_is_adam_at_a_constant_rate_without_tricks(name):
    plan = recipe_info(name).plan("paper")
    assert {plan.rate(step, 100) for step in range(100)} == {1.0}
    assert plan.optimizer == "adam"
    assert not plan.mean_start


@every_recipe
def test_the_fast_schedule_is_the_default_and_no_longer_than_the_paper(name):
    fast, paper = recipe_info(name).plan("fast"), recipe_info(name).plan("paper")
    assert build(name, IMAGE).plan == fast
    assert fast.epochs <= paper.epochs
    assert 0 < fast.rate(99, 100) <= 1


def test_conv_small_makes_a_map_of_32_x_7_x_7_on_mnist():
    assert build("conv_small", DataSpec((1, 28, 28))).latent_shape == (32, 7, 7)


def n_parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def test_mlp_on_mnist_has_the_parameters_counted_by_hand():
    # 784-256-64-32 and back: each layer has inputs * outputs weights and a bias per output.
    encoder = (784 * 256 + 256) + (256 * 64 + 64) + (64 * 32 + 32)
    decoder = (32 * 64 + 64) + (64 * 256 + 256) + (256 * 784 + 784)
    assert encoder == 219_488
    assert decoder == 220_240
    assert n_parameters(build("mlp", DataSpec((784,))).model) == encoder + decoder


def test_vae_on_mnist_has_the_parameters_counted_by_hand():
    expected = (784 * 256 + 256) + (256 * 40 + 40) + (20 * 256 + 256) + (256 * 784 + 784)
    assert n_parameters(build("vae", DataSpec((784,))).model) == expected


def test_linear_on_mnist_has_the_parameters_counted_by_hand():
    assert n_parameters(build("linear", DataSpec((784,))).model) == 784 * 32 + 32 + 32 * 784 + 784


def test_conv_small_on_mnist_has_the_parameters_counted_by_hand():
    down = (1 * 16 * 9 + 16) + (16 * 32 * 9 + 32)
    up = (32 * 16 * 9 + 16) + (16 * 1 * 9 + 1)
    assert n_parameters(build("conv_small", DataSpec((1, 28, 28))).model) == down + up


# Errors


@pytest.mark.parametrize(("wrong", "near"), [("vea", "vae"), ("mlp_smal", "mlp_small")])
def test_an_unknown_recipe_names_the_nearest(wrong, near):
    with pytest.raises(OptionError, match=f"unknown recipe '{wrong}'.*did you mean .*{near}"):
        build(wrong, IMAGE)


def test_a_recipe_name_like_no_other_lists_some_of_them():
    with pytest.raises(OptionError) as caught:
        build("zzzzzz", IMAGE)
    assert "known: aae, " in str(caught.value)
    assert f" and {len(RECIPES) - 12} more" in str(caught.value)


def test_an_unknown_option_names_the_nearest():
    with pytest.raises(OptionError, match=r"'mlp' has no option 'latent_dims'.*latent_dim"):
        build("mlp", IMAGE, latent_dims=3)
    with pytest.raises(OptionError, match=r"has no option 'epoch'; did you mean epochs"):
        build("mlp", IMAGE, epoch=3)


def test_an_unknown_schedule_is_refused():
    with pytest.raises(OptionError, match="use fast or paper"):
        build("mlp", IMAGE, schedule="slow")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("latent_dim", "many"),
        ("latent_dim", 2.5),
        ("latent_dim", True),
        ("latent_dim", None),
        ("epochs", "inf"),
        ("epochs", float("nan")),
        ("lr", "fast"),
        ("lr", float("inf")),
        ("lr", float("nan")),
        ("lr", True),
        ("hidden", 256),
        ("hidden", "256,x"),
        ("activation", "rleu"),
        ("activation", 3),
        ("mean_start", "maybe"),
        ("optimizer", "sgd"),
        ("noise", ["gaussian"]),
        ("code_activation", ""),
    ],
)
def test_an_ill_typed_value_is_refused_with_what_was_expected(option, value):
    with pytest.raises(OptionError, match=rf"option {option}: expected .*, got "):
        build("mlp", IMAGE, **{option: value})


def test_a_wrong_word_is_answered_with_the_choices():
    with pytest.raises(OptionError, match=r"relu or leaky_relu or elu.*got 'rleu'"):
        build("mlp", IMAGE, activation="rleu")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("latent_dim", 0),
        ("latent_dim", -3),
        ("hidden", (256, 0)),
        ("hidden", (-1,)),
        ("epochs", 0),
        ("batch_size", 0),
        ("dropout", 1.0),
        ("dropout", -0.1),
        ("warmup", 1.5),
        ("validation", 1.0),
        ("lr", 0.0),
        ("lr", -1e-3),
        ("noise_level", -0.5),
        ("weight_decay", -1.0),
        ("min_steps", -1),
        ("beta", -1.0),
    ],
)
def test_a_number_outside_its_range_is_refused(option, value):
    with pytest.raises(OptionError, match=f"option {option}: must "):
        build("vae", IMAGE, **{option: value})


def test_half_a_pair_of_own_networks_is_refused():
    with pytest.raises(IncompatibleError, match="both encoder and decoder"):
        build("mlp", DataSpec((4,)), encoder=nn.Linear(4, 2))


@pytest.mark.parametrize("name", OWN)
def test_own_networks_are_copied_and_trained_in_every_fully_connected_recipe(name):
    # A bottleneck makes the code of the features of a variational encoder.
    width = 2 if name in (*SQUARED, *ERRORS, *DICTIONARY, "aae", "wae_gan") else 6
    sizes = {"latent_dim": 2} if name in WITH_LATENT_DIM else {}
    if name == "mlp_impute":
        with pytest.raises(IncompatibleError, match="cannot read missing values"):
            build(name, DataSpec((30,)), encoder=nn.Linear(30, 2), decoder=nn.Linear(2, 30))
        sizes["noise"] = "none"
    sizes |= {option: 2 for option in ("k", "k_eval") if name in options_with(option)}
    z = build(name, DataSpec((30,)), **sizes).latent_shape[0]
    encoder, decoder = nn.Linear(30, width), nn.Linear(z, 30)
    before = weights(encoder), weights(decoder)
    recipe = build(name, DataSpec((30,)), encoder=encoder, decoder=decoder, lr=0.1, **sizes)
    assert recipe.custom
    start = weights(recipe.model)
    recipe.stepper().step(Batch.from_examples(torch.rand(16, 30)))
    assert not same(start, weights(recipe.model))
    assert same(before[0], weights(encoder))
    assert same(before[1], weights(decoder))


@pytest.mark.parametrize("name", AUTO)
def test_own_networks_go_around_a_quantised_code(name):
    latent = build(name, DataSpec((30,))).latent_shape
    encoder = nn.Linear(30, int(np.prod(latent)))
    decoder = nn.Sequential(nn.Flatten(), nn.Linear(int(np.prod(latent)), 30))
    recipe = build(name, DataSpec((30,)), encoder=encoder, decoder=decoder, **QUICK.get(name, {}))
    assert torch.isfinite(recipe.stepper().step(Batch.from_examples(torch.rand(16, 30)))["loss"])


@pytest.mark.parametrize(
    "name", [*LAYERWISE, *PATCHES, *COLUMNS, *PYRAMIDS, *LADDERS, "vqvae2", "vq_patch_gan"]
)
def test_recipes_of_layers_of_their_own_take_no_networks(name):
    with pytest.raises(IncompatibleError, match="no networks of your own; use mlp"):
        build(name, IMAGE, encoder=nn.Linear(4, 2), decoder=nn.Linear(2, 4))


@pytest.mark.parametrize("name", [*OWN, *LAYERWISE])
def test_conditional_recipes_are_built_from_the_width_of_the_context(name):
    spec = replace(DataSpec((30,)), context_dim=3)
    if name in those(context=False):
        with pytest.raises(IncompatibleError, match=r"no context; use|without a context"):
            build(name, spec)
        return
    recipe = build(name, spec)
    x, context = torch.rand(4, 30), torch.rand(4, 3)
    assert recipe.model.reconstruct(x, context).shape == (4, 30)
    assert len(recipe.latent_shape) == 1
    losses = recipe.stepper().step(Batch.from_examples(x, context))
    assert torch.isfinite(losses["loss"])


@pytest.mark.parametrize("name", [*IMAGES, *LADDERS, *COLUMNS])
def test_convolutions_and_ladders_refuse_a_context_that_they_cannot_take(name):
    with pytest.raises(IncompatibleError, match="context"):
        build(name, replace(IMAGE, context_dim=3))
