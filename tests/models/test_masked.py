"""Masked autoencoders: what is seen, what is hidden, and what counts."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from autoencode.errors import IncompatibleError, OptionError
from autoencode.nets.vit import Patches
from autoencode.objectives import WeightedSum, hidden_error
from autoencode.recipes import Recipe, build
from autoencode.training import Update
from autoencode.types import Batch, DataSpec, Progress

SMALL = {"width": 16, "depth": 1, "decoder_width": 8, "decoder_depth": 1}
IMAGE = DataSpec((1, 12, 8))


@pytest.fixture(autouse=True)
def _from_a_seed():
    torch.manual_seed(0)


@given(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9), st.integers(1, 5))
@settings(max_examples=40, deadline=None)
def test_patches_that_are_joined_are_the_image_again(channels, height, width, size):
    patches = Patches((channels, height, width), size)
    x = torch.arange(2.0 * channels * height * width).view(2, channels, height, width)
    cut = patches.cut(x)
    assert cut.shape == (2, patches.count, patches.entries)
    assert torch.equal(patches.join(cut), x)


def test_a_patch_holds_the_pixels_of_its_place():
    x = torch.arange(96.0).view(1, 1, 12, 8)
    cut = Patches((1, 12, 8), 4).cut(x)
    assert torch.equal(cut[0, 3].view(4, 4), x[0, 0, 4:8, 4:8])


def test_three_quarters_of_the_patches_are_hidden_and_different_ones_in_each_example():
    model = build("mae", DataSpec((1, 28, 28)), **SMALL).model
    output = model(Batch.from_examples(torch.rand(40, 1, 28, 28)), n_samples=2)
    hidden = output.latent.views["hidden"]
    assert hidden.shape == (2, 40, 1, 28, 28)
    assert model.n_seen == 12
    assert bool((hidden.flatten(2).sum(2) == (49 - 12) * 16).all())
    share = hidden.float().mean((0, 1))
    assert 0.5 < float(share.min()) < float(share.max()) < 0.95
    assert not torch.equal(hidden[0], hidden[1])


def test_what_is_hidden_has_no_say_in_what_is_drawn():
    model = build("mae", IMAGE, **SMALL).model
    x = torch.rand(5, 1, 12, 8)
    torch.manual_seed(3)
    first = model(Batch.from_examples(x))
    hidden = first.latent.views["hidden"][0]
    changed = torch.where(hidden, torch.rand_like(x), x)
    others = torch.where(hidden, x, torch.rand_like(x))
    torch.manual_seed(3)
    second = model(Batch.from_examples(changed))
    assert torch.equal(first.latent.views["hidden"], second.latent.views["hidden"])
    assert torch.equal(first.x_dist.mean, second.x_dist.mean)
    torch.manual_seed(3)
    seen_changed = model(Batch.from_examples(others))
    assert not torch.equal(first.x_dist.mean, seen_changed.x_dist.mean)


def test_the_loss_is_the_squared_error_of_the_hidden_pixels_alone():
    recipe = build("mae", IMAGE, **SMALL)
    x = torch.rand(5, 1, 12, 8)
    torch.manual_seed(3)
    output = recipe.model(Batch.from_examples(x))
    torch.manual_seed(3)
    loss = recipe.updates[0].objective(recipe.model, Batch.from_examples(x), Progress()).total
    hidden = output.latent.views["hidden"][0]
    errors = (output.x_dist.mean[0] - x).square()
    torch.testing.assert_close(loss, errors[hidden].mean())


def test_nothing_is_hidden_when_images_are_embedded():
    model = build("mae", IMAGE, **SMALL).model.eval()
    x = torch.rand(5, 1, 12, 8)
    assert torch.equal(model.embed(x), model.encoder(x))
    everything = torch.arange(6).expand(5, 6)
    torch.testing.assert_close(model.encoder(x, everything), model.encoder(x))


def test_a_reconstruction_draws_each_patch_without_having_seen_it():
    model = build("mae", DataSpec((1, 12, 12)), hidden_share=0.5, **SMALL).model.eval()
    x = torch.rand(2, 1, 12, 12)
    before = model.reconstruct(x)
    assert torch.equal(before, model.reconstruct(x))
    for patch in range(9):
        row, column = 4 * (patch // 3), 4 * (patch % 3)
        place = (slice(None), 0, slice(row, row + 4), slice(column, column + 4))
        changed = x.clone()
        changed[place] = torch.rand(2, 4, 4)
        after = model.reconstruct(changed)
        assert torch.equal(after[place], before[place])
        assert not torch.equal(after, before)


def test_bad_masks_are_refused():
    with pytest.raises(OptionError, match="hidden_share"):
        build("mae", IMAGE, hidden_share=1.0)
    with pytest.raises(IncompatibleError, match="none would be hidden; use smaller patches"):
        build("mae", IMAGE, patch=16)
    with pytest.raises(IncompatibleError, match="width must be a multiple of heads"):
        build("mae", IMAGE, width=10)
    model = build("conv", IMAGE).model
    objective = WeightedSum({"hidden": hidden_error})
    with pytest.raises(IncompatibleError, match="use MaskedAutoencoder, or mse"):
        Recipe(model, (Update(objective, (model,)),), IMAGE).check()
