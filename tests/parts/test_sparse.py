"""Sparse codes: how many units are on, what their gradients are, and what decides after training."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from autoencode.bottlenecks import BatchTopK, JumpReLU, TopK
from autoencode.errors import IncompatibleError, OptionError
from autoencode.nets import DictionaryDecoder
from autoencode.objectives import nested
from autoencode.recipes import build
from autoencode.types import Batch, DataSpec, Progress

TABLE = DataSpec((30,), "real")


@pytest.fixture(autouse=True)
def _from_a_seed():
    torch.manual_seed(0)


@given(st.integers(1, 6), st.integers(1, 9), st.integers(1, 9), st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_top_k_keeps_exactly_the_k_largest(n, width, k, seed):
    h = torch.randn(n, width, generator=torch.Generator().manual_seed(seed))
    k = min(k, width)
    z = TopK(k)(h)
    assert bool(((z != 0).sum(1) == k).all())
    for row, kept in zip(h, z, strict=True):
        assert kept[kept != 0].sort().values.equal(row.sort().values[width - k :])


def test_top_k_may_keep_more_outside_training():
    top, h = TopK(2, 3), torch.randn(4, 8)
    assert bool(((top(h) != 0).sum(1) == 2).all())
    assert bool(((top.eval()(h) != 0).sum(1) == 3).all())


def test_batch_top_k_keeps_k_for_each_example_on_average():
    bottleneck = BatchTopK(None, 50, k=4)
    h = torch.rand(20, 50) + 0.1
    z = bottleneck(h, None).z[0]
    assert int((z != 0).sum()) == 80
    assert float(z[z != 0].min()) >= float((h * (z == 0)).max())


def test_the_threshold_of_batch_top_k_follows_the_smallest_unit_that_was_kept():
    bottleneck = BatchTopK(None, 30, k=3, rate=0.5)
    least = []
    for _ in range(2):
        z = bottleneck(torch.rand(10, 30), None).z
        least.append(float(z[z > 0].min()))
    expected = 0.5 * least[0] + 0.5 * least[1]
    assert float(bottleneck.threshold) == pytest.approx(expected)
    h = torch.rand(5, 30)
    by_threshold = h * (h > bottleneck.threshold)
    assert torch.equal(bottleneck.embed(h), by_threshold)
    assert torch.equal(bottleneck.eval()(h, None).z[0], by_threshold)


def test_nothing_of_batch_top_k_moves_outside_training_or_without_gradients():
    bottleneck = BatchTopK(None, 30, k=3)
    bottleneck(torch.rand(10, 30), None)
    before = {name: b.clone() for name, b in bottleneck.named_buffers()}
    with torch.no_grad():
        bottleneck(torch.rand(10, 30), None)
    bottleneck.embed(torch.rand(10, 30))
    bottleneck.eval()(torch.rand(10, 30), None)
    assert all(torch.equal(before[name], b) for name, b in bottleneck.named_buffers())


def test_units_that_do_not_fire_are_dead_after_a_while_and_those_that_fire_are_not():
    bottleneck = BatchTopK(None, 6, k=2, k_dead=2, patience=20)
    h = torch.tensor([[5.0, 4.0, 0.3, 0.2, 0.1, -1.0]]).repeat(10, 1)
    for _ in range(2):
        assert not bool(bottleneck(h, None).views["dead"].any())
    dead = bottleneck(h, None).views["dead"][0]
    # The two largest of those that were off for 20 examples.
    torch.testing.assert_close(dead[0], torch.tensor([0.0, 0.0, 0.3, 0.2, 0.0, 0.0]))
    assert bottleneck.idle.tolist() == [0, 0, 30, 30, 30, 30]


def test_dead_units_are_taught_by_the_error_that_is_left():
    recipe = build("batch_topk", TABLE, latent_dim=12, k=2, patience_dead=1, k_dead=12)
    model, x = recipe.model, torch.randn(16, 30)
    with torch.no_grad():
        model.bottleneck.project.bias[6:] = -0.5  # seldom among the largest
        model.bottleneck.idle[6:] = 100
    objective = recipe.updates[0].objective
    output = model(Batch.from_examples(x))
    dead = output.latent.views["dead"][0].detach()
    left = x - output.x_dist.mean[0].detach()
    atoms = nn.functional.normalize(model.decoder.atoms.detach(), dim=0)
    expected = (left - dead @ atoms.T).square().sum(1) * (dead != 0).any(1)
    model.bottleneck.idle[6:] = 100
    losses = objective.losses(model, Batch.from_examples(x), output, Progress())
    torch.testing.assert_close(losses.terms["revival"], expected.mean())
    total = losses.terms["sse"] + losses.terms["revival"] / 32
    torch.testing.assert_close(losses.total.detach(), total)


def test_atoms_have_length_1_however_they_are_trained():
    decoder = DictionaryDecoder(7, (30,))
    with torch.no_grad():
        decoder.atoms.mul_(13)
    pictures = decoder(torch.eye(7)) - decoder(torch.zeros(1, 7))
    torch.testing.assert_close(pictures.norm(dim=1), torch.ones(7))


def test_the_matryoshka_loss_is_the_sum_over_the_prefixes():
    recipe = build("matryoshka_sparse", TABLE, latent_dim=16, k=4, n_nested=3)
    model, x = recipe.model.eval(), torch.randn(8, 30)
    output = model(Batch.from_examples(x))
    z, total = output.latent.z[0], 0.0
    for size in (4, 8, 16):
        made = model.decode(torch.cat([z[:, :size], torch.zeros(8, 16 - size)], dim=1)).mean
        total += (x - made).square().sum(1).mean()
    losses = recipe.updates[0].objective.losses(model, Batch.from_examples(x), output, Progress())
    torch.testing.assert_close(losses.terms["sse"], total.detach())
    term = nested([4, 8])
    assert "sizes that rise to its width 16, got 4, 8" in term.demand(output)


# JumpReLU


def test_jumprelu_passes_what_is_above_its_threshold():
    bottleneck = JumpReLU(None, 3, threshold=0.5, bandwidth=0.1)
    h = torch.tensor([[0.4, 0.6, -2.0], [2.0, 0.5, 0.51]])
    latent = bottleneck(h, None)
    expected = torch.tensor([[0.0, 0.6, 0.0], [2.0, 0.0, 0.51]])
    assert torch.equal(latent.z[0], expected)
    assert torch.equal(bottleneck.embed(h), expected)
    assert latent.penalties["l0"].tolist() == [[1.0, 2.0]]


def test_the_gradients_of_jumprelu_are_the_papers_pseudo_derivatives():
    theta, epsilon = 0.5, 0.2
    bottleneck = JumpReLU(None, 4, threshold=theta, bandwidth=epsilon)
    # Inside the kernel (|h - theta| < epsilon / 2) on both sides, and outside on both.
    h = torch.tensor([[0.45, 0.55, 0.1, 0.9]], requires_grad=True)
    slope = torch.tensor([1.0, 2.0, 3.0, 4.0])
    latent = bottleneck(h, None)
    (latent.z[0, 0] * slope).sum().backward()
    inside = torch.tensor([1.0, 1.0, 0.0, 0.0])
    # d z / d theta = -(theta / epsilon) K((h - theta) / epsilon), and d theta / d log theta = theta.
    by_threshold = -(theta / epsilon) * inside * slope * theta
    torch.testing.assert_close(bottleneck.log_threshold.grad, by_threshold)
    torch.testing.assert_close(h.grad, torch.tensor([[0.0, 2.0, 0.0, 4.0]]))

    bottleneck.log_threshold.grad = h.grad = None
    bottleneck(h, None).penalties["l0"].sum().backward()
    # d H(h - theta) / d theta = -(1 / epsilon) K((h - theta) / epsilon); none by h.
    torch.testing.assert_close(bottleneck.log_threshold.grad, -(1 / epsilon) * inside * theta)
    assert h.grad is None or not bool(h.grad.any())


# Bad input


@pytest.mark.parametrize("name", ["topk", "batch_topk", "matryoshka_sparse"])
def test_k_lies_between_1_and_the_width_of_the_code(name):
    with pytest.raises(OptionError, match="option k: must be at least 1, got 0"):
        build(name, TABLE, k=0)
    with pytest.raises(IncompatibleError, match=r"option k: must lie in 1\.\.8.*got 9; use a smaller"):
        build(name, TABLE, latent_dim=8, k=9)


def test_other_options_of_sparse_codes_are_checked():
    with pytest.raises(OptionError, match="l1_weight: must not be negative"):
        build("sparse", TABLE, l1_weight=-1)
    with pytest.raises(OptionError, match="option bandwidth: must be above 0"):
        build("jumprelu", TABLE, bandwidth=0)
    with pytest.raises(OptionError, match=r"option target: must lie in \(0, 1\)"):
        build("sparse_kl", TABLE, target=0)
