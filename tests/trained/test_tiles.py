"""Trained models on images of any size: in tiles they give what they give in one piece."""

from itertools import product

import numpy as np
import pytest
import torch

from autoencode import DataSpec, build
from autoencode.errors import DataError
from autoencode.recipes.any_size import at_size
from autoencode.trained import Trained, tiles
from autoencode.trained.tiles import AnySize, spans

RNG = np.random.default_rng(0)
SPEC = DataSpec((1, 24, 20), "real", offset=(100.0,), scale=(50.0,))


def trained(name="conv_small", **options):
    return Trained(build(name, SPEC, seed=1, **options))


def image(height, width):
    return RNG.normal(100, 50, (1, height, width)).astype(np.float32)


def in_one_piece(model, x):
    net = at_size(model.recipe, *x.shape[1:])
    with torch.no_grad():
        return SPEC.to_raw(net.reconstruct(SPEC.to_model(torch.from_numpy(x[None]))))[0].numpy()


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("conv_small", {}),
        ("conv_small", {"channels": (4, 4, 4), "strides": (1, 2, 3)}),
        ("conv_skip", {"normalization": "none"}),
        ("vqvae2", {"n_codes": 8}),
    ],
)
@pytest.mark.parametrize("size", [(211, 150), (97, 301), (30, 30), (1, 1)])
def test_tiles_give_what_one_piece_gives_up_to_the_borders(monkeypatch, name, options, size):
    model, x = trained(name, **options), image(*size)
    whole = in_one_piece(model, x)
    monkeypatch.setattr(tiles, "TILE", 48)
    found = AnySize(model).reconstruct(x)
    assert found.shape == x.shape
    np.testing.assert_allclose(found, whole, atol=1e-5 * 50)


def test_too_little_overlap_would_show():
    model, x = trained(), image(211, 150)
    close = AnySize(model)
    close.overlap, close._tile = 0, lambda name: 48
    assert np.abs(close.reconstruct(x) - in_one_piece(model, x)).max() > 0.1


@pytest.mark.parametrize("size", [(24, 20), (61, 47), (10, 90), (3, 3)])
def test_a_model_that_looks_at_the_whole_gets_tiles_of_its_size_which_are_blended(size):
    model, x = trained("conv_skip"), image(*size)
    assert AnySize(model).overlap is None
    found = AnySize(model).reconstruct(x)
    assert found.shape == x.shape
    # Untrained, it gives nearly back what it is given, and so does any mean of its tiles.
    assert np.abs(found - x).max() < 10


def test_a_single_tile_of_the_size_of_training_is_what_the_model_gives():
    model, x = trained("conv_skip"), image(24, 20)
    np.testing.assert_allclose(AnySize(model).reconstruct(x), model.reconstruct(x[None])[0], rtol=1e-5)


@pytest.mark.parametrize(
    ("side", "tile", "overlap"), list(product([1, 9, 10, 64, 65], [4, 10], [0, 3]))
)
def test_spans_keep_every_pixel_once_and_see_enough_around_it(side, tile, overlap):
    kept = [i for span in spans(side, tile, overlap) for i in range(span.first, span.last)]
    assert kept == list(range(side))
    for span in spans(side, tile, overlap):
        assert span.start == max(0, span.first - overlap)
        assert span.stop == min(side, span.first + tile + overlap)


def test_less_memory_makes_smaller_tiles_and_hardly_any_is_refused_in_one_line(monkeypatch):
    model = trained()
    large = AnySize(model)
    monkeypatch.setattr(tiles, "available_memory", lambda: 40_000_000)
    assert 4 <= large._tile("x.png") < tiles.TILE
    assert large._tile("x.png") % 4 == 0
    monkeypatch.setattr(tiles, "available_memory", lambda: 30_000)
    with pytest.raises(
        DataError, match=r"^x.png: a tile of it needs .* of memory and 30.0 kB are free"
    ):
        large._tile("x.png")


def test_other_channels_than_the_models_are_refused():
    with pytest.raises(DataError, match="photo: expected an image of 1 channels, got 3 x 30 x 30"):
        AnySize(trained()).reconstruct(np.zeros((3, 30, 30), np.float32), "photo")
