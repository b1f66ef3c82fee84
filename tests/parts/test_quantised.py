"""Quantised codes: codebooks against their formulas, quantisers against each other, codes and back."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits

from autoencode.bottlenecks import (
    FiniteScalar,
    LearnedCodebook,
    LinearCodebook,
    LookupFree,
    MovingCodebook,
    Product,
    Quantised,
    Residual,
    VectorQuantiser,
)
from autoencode.bottlenecks.codebooks import kmeans, nearest
from autoencode.bottlenecks.quantised import straight_through
from autoencode.errors import IncompatibleError, OptionError
from autoencode.recipes import build
from autoencode.types import Batch, DataSpec, Progress

IMAGE = DataSpec((1, 12, 8))
TABLE = DataSpec((30,), "real")
SMALL = {"n_codes": 16, "code_dim": 8, "channels": (8, 16)}
QUANTISED = {
    **dict.fromkeys(("vqvae", "vqvae2", "rvq", "pvq", "simvq"), SMALL),
    "fsq": {"channels": (8, 16)},
    "lfq": {"channels": (8, 16), "n_bits": 5},
}


@pytest.fixture(autouse=True)
def _from_a_seed():
    torch.manual_seed(0)


def started(n_codes=5, dim=3, **options):
    """A codebook that has its first vectors."""
    book = MovingCodebook(n_codes, dim, **options)
    book.start(torch.randn(20, 4, dim))
    return book


# Straight-through


def test_the_gradient_of_a_quantised_value_is_that_of_the_value_before():
    value = torch.randn(4, 2, 3, requires_grad=True)
    quantiser = VectorQuantiser(LearnedCodebook(5, 3))
    choice = quantiser(value)
    slope = torch.randn(4, 2, 3)
    (choice.z * slope).sum().backward()
    assert torch.equal(value.grad, slope)
    assert quantiser.codebook.vectors.grad is None
    assert torch.equal(choice.z, quantiser.lookup(choice.codes))


def test_straight_through_gives_the_quantised_value_to_the_bit():
    value, quantised = torch.randn(100), 1e4 * torch.randn(100)
    assert torch.equal(straight_through(value, quantised), quantised)


@pytest.mark.parametrize("name", QUANTISED)
def test_the_encoder_learns_through_the_code(name):
    recipe = build(name, IMAGE, **QUANTISED[name])
    objective = recipe.updates[0].objective
    x = torch.rand(16, 1, 12, 8)
    if name == "fsq":
        with torch.no_grad():
            recipe.model.bottleneck.project[0].weight.mul_(50)
    output = recipe.model(Batch.from_examples(x))
    objective.terms["sse"](recipe.model, Batch.from_examples(x), output, Progress()).mean().backward()
    assert all(float(p.grad.abs().sum()) > 0 for p in recipe.model.encoder.parameters())


# Vector quantisation


@given(st.integers(1, 5), st.integers(1, 7), st.integers(1, 4), st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_the_code_is_the_nearest_vector(n, k, dim, seed):
    g = torch.Generator().manual_seed(seed)
    points, vectors = torch.randn(n, 2, dim, generator=g), torch.randn(k, dim, generator=g)
    distances = torch.cdist(points.double(), vectors.double()[None].expand(n, k, dim))
    chosen = distances.gather(-1, nearest(points, vectors).unsqueeze(-1)).squeeze(-1)
    torch.testing.assert_close(chosen, distances.amin(-1), rtol=0, atol=1e-5)


def test_commitment_moves_the_encoder_and_the_codebook_loss_the_codebook():
    value = torch.randn(4, 2, 3, requires_grad=True)
    quantiser = VectorQuantiser(LearnedCodebook(5, 3))
    choice = quantiser(value)
    vectors = quantiser.codebook.vectors
    squares = (value - vectors[choice.codes]).square().sum(-1).mean(-1)
    for name, learner, other in (
        ("commitment", value, vectors),
        ("codebook", vectors, value),
    ):
        torch.testing.assert_close(choice.penalties[name], squares)
        total = choice.penalties[name].sum()
        gradient, none = torch.autograd.grad(total, (learner, other), allow_unused=True)
        expected = torch.autograd.grad(squares.sum(), learner, retain_graph=True)[0]
        torch.testing.assert_close(gradient, expected)
        assert none is None


def test_a_moving_codebook_follows_the_formula_of_the_paper():
    book = started(decay=0.9, revive_below=0.0)
    points, codes = torch.randn(6, 2, 3), torch.randint(0, 5, (6, 2))
    counts, sums = book.counts.clone(), book.sums.clone()
    book.follow(points, codes)
    for k in range(5):
        mine = points[codes == k]
        n = 0.9 * float(counts[k]) + 0.1 * len(mine)
        m = 0.9 * sums[k] + 0.1 * mine.sum(0)
        assert float(book.counts[k]) == pytest.approx(n, rel=1e-5)
        torch.testing.assert_close(book.sums[k], m)
        torch.testing.assert_close(book.vectors[k], m / n, rtol=1e-3, atol=1e-3)


def test_a_vector_that_is_hardly_used_moves_to_one_of_the_batch():
    book = started(decay=0.5, revive_below=0.1)
    points = torch.randn(20, 4, 3) + 100
    for _ in range(4):
        before = book.vectors.clone()
        book.follow(points, torch.zeros(20, 4, dtype=torch.long))
    # Four halvings leave 6 % of a fair share.
    assert not torch.equal(before[1:], book.vectors[1:])
    for vector in book.vectors[1:]:
        assert bool((points.flatten(0, 1) == vector).all(1).any())
    assert bool((book.counts > 0).all())


def test_without_revival_a_vector_that_is_not_used_stays_where_it_is():
    book = started(decay=0.5, revive_below=0.0)
    before = book.vectors.clone()
    for _ in range(8):
        book.follow(torch.randn(6, 2, 3) + 100, torch.zeros(6, 2, dtype=torch.long))
    torch.testing.assert_close(book.vectors[1:], before[1:], rtol=0.05, atol=0.05)


def test_revival_brings_a_codebook_that_has_lost_its_codes_back_into_use():
    book = MovingCodebook(16, 2, decay=0.8)
    quantiser = VectorQuantiser(book)
    quantiser(torch.randn(50, 4, 2), move=True)
    far = torch.randn(50, 4, 2) + 30
    assert len(quantiser(far).codes.unique()) <= 3
    for _ in range(40):
        quantiser(far, move=True)
    assert len(quantiser(far).codes.unique()) >= 12


def test_the_first_vectors_are_as_good_as_sklearns_kmeans():
    x = torch.from_numpy((load_digits().data[:600] / 16).astype(np.float32))

    def inertia(centres):
        return float((x - centres[nearest(x, centres)]).square().sum())

    ours = np.mean([inertia(kmeans(x, 20, iterations=20)) for _ in range(5)])
    fits = [KMeans(20, n_init=1, max_iter=20, random_state=i).fit(x.numpy()) for i in range(5)]
    assert ours < 1.05 * np.mean([fit.inertia_ for fit in fits])


def test_kmeans_of_few_points_uses_all_of_them():
    points = torch.tensor([[0.0], [1.0], [5.0]])
    assert set(kmeans(points, 7).flatten().tolist()) == {0.0, 1.0, 5.0}
    assert kmeans(torch.zeros(4, 2), 3).tolist() == [[0.0, 0.0]] * 3


def test_a_codebook_starts_at_the_first_batch_of_training_and_not_before():
    recipe = build("vqvae", IMAGE, **SMALL)
    book, x = recipe.model.bottleneck.quantiser.codebook, torch.rand(16, 1, 12, 8)
    before = {name: b.clone() for name, b in recipe.model.named_buffers()}
    recipe.model.embed(x)
    recipe.model.eval()(Batch.from_examples(x))
    with torch.no_grad():
        recipe.model.train()(Batch.from_examples(x))
    assert all(torch.equal(before[name], b) for name, b in recipe.model.named_buffers())
    recipe.model(Batch.from_examples(x))
    assert bool(book.started)
    now = {name: b.clone() for name, b in recipe.model.named_buffers()}
    recipe.model.embed(x)
    recipe.model.eval()(Batch.from_examples(x))
    assert all(torch.equal(now[name], b) for name, b in recipe.model.named_buffers())


def test_a_linear_codebook_moves_all_of_its_vectors_with_each():
    quantiser = VectorQuantiser(LinearCodebook(9, 4))
    before = quantiser.codebook.vectors.detach().clone()
    torch.testing.assert_close(before, quantiser.codebook.basis @ quantiser.codebook.map.weight.T)
    quantiser(torch.randn(1, 1, 4)).penalties["codebook"].sum().backward()
    with torch.no_grad():
        quantiser.codebook.map.weight.sub_(quantiser.codebook.map.weight.grad)
    moved = (quantiser.codebook.vectors - before).abs().sum(1)
    assert bool((moved > 0).all())
    assert "basis" not in dict(quantiser.named_parameters())


# Several quantisers


def test_residual_quantisation_with_one_level_is_vector_quantisation():
    book = LearnedCodebook(7, 3)
    one, many = VectorQuantiser(book), Residual([VectorQuantiser(book)])
    value = torch.randn(4, 2, 3)
    a, b = one(value), many(value)
    assert torch.equal(a.z, b.z)
    assert torch.equal(a.codes, b.codes.squeeze(-1))
    assert all(torch.equal(a.penalties[name], b.penalties[name]) for name in a.penalties)


def test_each_level_takes_what_is_left_and_each_makes_the_error_smaller():
    levels = [VectorQuantiser(MovingCodebook(16, 3)) for _ in range(4)]
    value = torch.randn(60, 5, 3)
    for _ in range(3):
        Residual(levels).train()(value, move=True)
    left, errors = value, []
    for level in levels:
        left = left - level(left).z
        errors.append(float(left.square().mean()))
    assert errors == sorted(errors, reverse=True)
    choice = Residual(levels)(value)
    torch.testing.assert_close(value - choice.z, left, rtol=0, atol=1e-5)


def test_the_gradient_passes_residual_quantisation_once():
    value = torch.randn(4, 2, 3, requires_grad=True)
    quantiser = Residual([VectorQuantiser(LearnedCodebook(5, 3)) for _ in range(3)])
    slope = torch.randn(4, 2, 3)
    (quantiser(value).z * slope).sum().backward()
    assert torch.equal(value.grad, slope)


def test_product_quantisation_takes_each_part_by_itself():
    parts = [VectorQuantiser(LearnedCodebook(5, width)) for width in (1, 3)]
    value = torch.randn(4, 2, 4)
    choice = Product(parts)(value)
    for i, piece in enumerate(value.split([1, 3], dim=-1)):
        assert torch.equal(choice.codes[..., i], parts[i](piece).codes)


# Without a codebook


@given(st.lists(st.integers(2, 9), min_size=1, max_size=4))
@settings(max_examples=40, deadline=None)
def test_the_codes_of_finite_scalars_and_their_vectors_are_one_to_one(levels):
    quantiser = FiniteScalar(levels)
    codes = torch.arange(quantiser.n_codes)
    vectors = quantiser.lookup(codes)
    assert len(vectors.unique(dim=0)) == len(codes) == math.prod(levels)
    # Each vector is reached from some point, and its code is the one that it came from.
    half = quantiser.sizes // 2
    offset = torch.where(quantiser.sizes % 2 == 1, 0.0, 0.5)
    bound = (quantiser.sizes - 1) * (1 - 1e-3) / 2
    inside = ((vectors * half + offset) / bound).clamp(-1 + 1e-6, 1 - 1e-6)
    points = torch.atanh(inside) - torch.tan(offset / bound)
    choice = quantiser(points[None])
    assert torch.equal(choice.codes[0], codes)
    torch.testing.assert_close(choice.z[0], vectors)


@given(st.lists(st.integers(2, 9), min_size=1, max_size=4), st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_any_point_is_rounded_to_the_vector_of_its_code(levels, seed):
    quantiser = FiniteScalar(levels)
    g = torch.Generator().manual_seed(seed)
    choice = quantiser(10 * torch.randn(3, 5, len(levels), generator=g))
    assert int(choice.codes.min()) >= 0
    assert int(choice.codes.max()) < quantiser.n_codes
    assert torch.equal(choice.z, quantiser.lookup(choice.codes))


def test_the_gradient_of_finite_scalars_is_that_of_their_bound():
    quantiser = FiniteScalar([5, 5])
    value = torch.randn(1, 4, 2, requires_grad=True)
    quantiser(value).z.sum().backward()
    expected = (1 - value.tanh().square()) * 4 * (1 - 1e-3) / 2 / 2
    torch.testing.assert_close(value.grad, expected.detach())


def test_the_bits_of_a_lookup_free_code_are_its_signs():
    quantiser = LookupFree(3)
    value = torch.tensor([[[-0.1, 2.0, -3.0], [0.1, -2.0, 3.0]]])
    choice = quantiser(value)
    assert choice.z.tolist() == [[[-1.0, 1.0, -1.0], [1.0, -1.0, 1.0]]]
    assert choice.codes.tolist() == [[2, 5]]
    assert torch.equal(quantiser.lookup(choice.codes), choice.z)


def test_the_entropy_penalty_is_that_of_the_soft_choices():
    quantiser = LookupFree(3, temperature=1.5)
    value = torch.randn(6, 4, 3)
    every = quantiser.lookup(torch.arange(8))
    q = (-(value[:, :, None] - every).square().sum(-1) / 1.5).softmax(-1)
    entropy = torch.distributions.Categorical(probs=q).entropy().mean()
    of_mean = torch.distributions.Categorical(probs=q.mean((0, 1))).entropy()
    penalty = quantiser(value).penalties["entropy"]
    torch.testing.assert_close(penalty.mean(), entropy - of_mean)


def test_the_entropy_penalty_is_lowest_for_sure_choices_of_all_codes():
    quantiser = LookupFree(3)
    sure = 20 * quantiser.lookup(torch.arange(8))[None]
    for value, expected in ((sure, -math.log(8)), (0 * sure, 0.0), (sure[:, :1], 0.0)):
        penalty = float(quantiser(value).penalties["entropy"].mean())
        assert penalty == pytest.approx(expected, abs=1e-4)


# Codes and back


@pytest.mark.parametrize("spec", [IMAGE, TABLE], ids=["images", "table"])
@pytest.mark.parametrize("name", QUANTISED)
def test_codes_are_integers_that_can_be_decoded(name, spec):
    if name == "vqvae2" and spec is TABLE:
        with pytest.raises(IncompatibleError, match="need images"):
            build(name, spec)
        return
    options = {k: v for k, v in QUANTISED[name].items() if k != "channels" or spec is IMAGE}
    recipe = build(name, spec, **options)
    model, x = recipe.model, torch.rand(6, *spec.shape)
    recipe.stepper().step(Batch.from_examples(x))
    model.eval()
    latent = model(Batch.from_examples(x), n_samples=2).latent
    positions = {"vqvae2": (8,)}.get(name, (3, 2) if spec is IMAGE else (8,))
    levels = (4,) if name in ("rvq", "pvq") else ()
    assert latent.codes.shape == (2, 6, *positions, *levels)
    assert latent.codes.dtype == torch.int64
    assert 0 <= int(latent.codes.min()) <= int(latent.codes.max()) < model.bottleneck.n_codes
    z = model.bottleneck.lookup(latent.codes[0])
    torch.testing.assert_close(z, model.embed(x), rtol=0, atol=1e-6)
    assert torch.equal(model.bottleneck.codes(model.encoder(x)), latent.codes[0])
    made = model.decode(z).mean
    torch.testing.assert_close(made, model.reconstruct(x), rtol=0, atol=1e-5)


def test_the_coarse_map_of_two_levels_has_half_the_sides_and_the_fine_one_sees_it():
    model = build("vqvae2", DataSpec((1, 28, 20)), **SMALL).model.eval()
    x = torch.rand(3, 1, 28, 20)
    assert model(Batch.from_examples(x)).latent.codes.shape == (1, 3, 4 * 3 + 7 * 5)
    h = model.encoder(x)
    fine = model.bottleneck.choose(h)[0][:, 8:]
    with torch.no_grad():
        model.bottleneck.top.project.bias.add_(10.0)
        model.bottleneck.bottom.project.weight.mul_(100)
    assert not torch.equal(fine, model.bottleneck.choose(h)[0][:, 8:])


# Bad input


def test_features_of_another_width_are_refused_with_a_remedy():
    bottleneck = Quantised(None, VectorQuantiser(LearnedCodebook(4, 3)))
    with pytest.raises(IncompatibleError, match=r"width 3 .* got features \(5,\); project them"):
        bottleneck(torch.rand(2, 5), None)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("vqvae", {"n_codes": 1}, "at least 2 vectors"),
        ("vqvae", {"n_codes": 0}, "n_codes: must be at least 1"),
        ("vqvae", {"codebook_decay": 1.0}, r"codebook_decay: must lie in \[0, 1\)"),
        ("vqvae", {"commitment_weight": -1}, "commitment_weight: must not be negative"),
        ("rvq", {"n_levels": 0}, "n_levels: must be at least 1"),
        ("pvq", {"code_dim": 10, "n_parts": 4}, "multiple of n_parts.*use code_dim=12"),
        ("fsq", {"levels": (5, 1)}, "option levels: must be at least 2, got 1"),
        ("fsq", {"levels": ()}, "at least 2 levels"),
        ("fsq", {"levels": (1000,) * 4}, "more codes than an integer"),
        ("lfq", {"n_bits": 17}, "option n_bits: must be at most 16, got 17"),
        ("lfq", {"temperature": 0}, "option temperature: must be above 0"),
    ],
)
def test_sizes_that_make_no_sense_are_refused(name, options, message):
    with pytest.raises((IncompatibleError, OptionError), match=message):
        build(name, IMAGE, **options)


def test_quantised_recipes_keep_their_precision_in_bfloat16():
    recipe = build("vqvae", IMAGE, precision="bf16", **SMALL)
    losses = recipe.stepper().step(Batch.from_examples(torch.rand(16, 1, 12, 8)))
    assert torch.isfinite(losses["loss"])
    vectors = 1000 + torch.arange(8.0).unsqueeze(1)  # bfloat16 knows 1000 and 1008 only
    with torch.autocast("cpu", torch.bfloat16):
        assert nearest(vectors[None], vectors).tolist() == [list(range(8))]


def test_a_codebook_larger_than_the_data_is_noticed():
    recipe = build("vqvae", IMAGE, **{**SMALL, "n_codes": 64})
    (notice,) = recipe.notices(10)
    assert (
        notice
        == "a codebook of 64 vectors for the 60 codes of the training data; use n_codes=7 or less"
    )
    assert recipe.notices(11) == []
    assert build("fsq", IMAGE).notices(1) == []


def test_a_code_wider_than_the_data_is_noticed_where_nothing_else_restrains_it():
    (notice,) = build("mlp", TABLE, latent_dim=31).notices(100)
    assert notice.startswith("a code of 31 numbers for examples of 30 can copy them; use a smaller")
    assert build("mlp", TABLE, latent_dim=30).notices(100) == []
    assert build("mlp", TABLE, latent_dim=31, noise="masking").notices(100) == []
    assert build("conv_small", IMAGE).notices(100) == []
    for name in ("sparse", "topk", "contractive", "vae"):
        assert build(name, TABLE, latent_dim=64).notices(100) == []
