"""Models for images of any size: which take them, and how far a pixel sees."""

import pytest
import torch
from torch import nn

from autoencode import DataSpec, build
from autoencode.errors import IncompatibleError
from autoencode.recipes import RECIPES
from autoencode.recipes.any_size import at_size, bytes_of_pixel, reach, stride_of, takes_any_size

ANY = [name for name, info in RECIPES.items() if info.any_size]
SPEC = DataSpec((1, 24, 20))


@pytest.mark.parametrize("size", [(1, 1), (7, 33), (24, 20), (50, 31)])
@pytest.mark.parametrize("name", ANY)
def test_a_recipe_of_any_size_gives_back_images_of_their_own_size(name, size):
    recipe = build(name, SPEC, seed=1)
    with torch.no_grad():
        x = torch.rand(2, 1, *size)
        assert at_size(recipe, *size).reconstruct(x).shape == x.shape


@pytest.mark.parametrize("name", ANY)
def test_the_weights_are_those_of_the_trained_model_and_take_no_memory(name):
    recipe = build(name, SPEC)
    trained = dict(recipe.model.named_parameters())
    for parameter, tensor in at_size(recipe, 40, 40).named_parameters():
        assert tensor.data_ptr() == trained[parameter].data_ptr()
    torch.testing.assert_close(
        at_size(recipe, 24, 20).reconstruct(torch.zeros(1, 1, 24, 20)),
        recipe.model.reconstruct(torch.zeros(1, 1, 24, 20)),
    )


def test_the_same_size_built_anew_computes_the_same():
    recipe = build("conv_small", SPEC, seed=2)
    other = build("conv_small", DataSpec((1, 48, 48)), seed=3)
    x = torch.rand(3, 1, 24, 20)
    other.model.load_state_dict(recipe.model.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(at_size(other, 24, 20).reconstruct(x), recipe.model.reconstruct(x))


@pytest.mark.parametrize("name", ["conv", "mlp", "vae"])
def test_weights_for_one_size_are_refused(name):
    recipe = build(name, SPEC)
    assert not takes_any_size(recipe)
    with pytest.raises(IncompatibleError, match="takes images of 24x20 alone"):
        at_size(recipe, 30, 30)


@pytest.mark.parametrize("convolves", [True, False])
def test_networks_of_the_users_own_are_tried(convolves):
    if convolves:
        pair = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 1, 3, padding=1)
    else:
        pair = (
            nn.Sequential(nn.Flatten(), nn.Linear(480, 4)),
            nn.Sequential(nn.Linear(4, 480), nn.Unflatten(1, SPEC.shape)),
        )
    recipe = build("conv_small", SPEC, encoder=pair[0], decoder=pair[1])
    assert takes_any_size(recipe) == convolves
    assert reach(recipe) is None


def _seen_from(recipe, size=96):
    """How far from a pixel the result changes with it, and whether the model says how far."""
    model = at_size(recipe, size, size)
    x = torch.zeros(1, 1, size, size)
    x[0, 0, size // 2, size // 2] = float("nan")  # whatever touches it is none either
    with torch.no_grad():
        touched = model.reconstruct(x)[0, 0].isnan().nonzero()
    return int((touched - size // 2).abs().max())


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("conv_small", {}),
        ("conv_small", {"channels": (4, 4, 4), "strides": (1, 2, 3)}),
        ("conv_skip", {"normalization": "none"}),
    ],
)
def test_no_pixel_depends_on_one_that_is_farther_than_the_reach(name, options):
    recipe = build(name, SPEC, **options)
    assert 1 < _seen_from(recipe) <= reach(recipe)


def test_group_normalisation_has_no_reach():
    recipe = build("conv_skip", SPEC)
    assert reach(recipe) is None
    assert _seen_from(recipe) == 48


def test_stride_and_memory_of_a_pixel():
    recipe = build("conv_small", DataSpec((1, 32, 32)), channels=(8, 4), strides=(1, 2))
    assert stride_of(recipe) == 2
    # 8 maps and their activation, 4 of a quarter and theirs, 8 of the decoder twice, the image.
    assert 4 * (16 + 2 + 16) <= bytes_of_pixel(recipe) <= 4 * (16 + 2 + 16 + 6)
