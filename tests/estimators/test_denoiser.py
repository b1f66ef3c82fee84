"""Denoising: what corruptions do, what pairs are, and that clean examples come back."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view
from scipy.ndimage import gaussian_filter
from sklearn.base import clone
from sklearn.datasets import load_digits, load_sample_images
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from autoencode import Batch, DataSpec, Denoiser, build, load
from autoencode.data import Data, Examples, Resident
from autoencode.errors import DataError, IncompatibleError, InputError, OptionError
from autoencode.objectives import CORRUPTIONS
from autoencode.training import Observer
from autoencode.training.checkpoints import Checkpoints

RNG = np.random.default_rng(0)
LINE = (RNG.random((300, 1)) @ RNG.random((1, 12))).astype(np.float32)
NOISY = LINE + 0.1 * RNG.standard_normal(LINE.shape).astype(np.float32)
DIGITS = load_digits().images[:400]


def small(corruption="gaussian", level=0.3, **more):
    figures = {"epochs": 2, "device": "cpu", "random_state": 0}
    return Denoiser(corruption, level, **{**figures, **more})


def noisy_pixels(x, level, _generator=None):
    """A corruption of the user's."""
    return x + level * torch.rand_like(x)


def half(x):
    return x * 0.5


# Corruptions


@given(st.floats(0.2, 3), st.integers(1, 12), st.integers(1, 12))
def test_blur_is_scipys_gaussian_filter(level, height, width):
    x = np.random.default_rng(0).random((2, 3, height, width))
    expected = gaussian_filter(x, (0, 0, level, level), mode="nearest", radius=(0, 0, *2 * [_r(level)]))
    found = CORRUPTIONS["blur"](torch.from_numpy(x), level)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-12)


def _r(level):
    return int(np.ceil(4 * level))


def test_no_blur_changes_nothing_and_rows_cannot_be_blurred():
    x = torch.rand(2, 1, 5, 5)
    assert torch.equal(CORRUPTIONS["blur"](x, 0.0), x)
    with pytest.raises(IncompatibleError, match="only images can be blurred"):
        CORRUPTIONS["blur"](torch.rand(3, 4), 1.0)
    with pytest.raises(IncompatibleError, match="noise=blur is for images"):
        build("mlp", DataSpec((7,)), noise="blur")
    with pytest.raises(IncompatibleError, match="noise=blur is for images"):
        small("blur").fit(LINE)


def test_a_function_of_ones_own_is_what_the_encoder_sees():
    """With x halved and a linear model, the model learns to double."""
    one = np.linspace(-1, 1, 200)[:, None].repeat(3, 1)
    model = small(half, recipe="linear", n_components=1, epochs=100, batch_size=10).fit(one)
    np.testing.assert_allclose(model.transform(one * 0.5), one, atol=0.02)


def test_noise_drawn_with_torch_comes_back_with_the_seed():
    first, second = (small(noisy_pixels, 0.5, epochs=3).fit(LINE) for _ in range(2))
    np.testing.assert_array_equal(first.transform(NOISY), second.transform(NOISY))
    other = small(noisy_pixels, 0.5, epochs=3, random_state=1).fit(LINE)
    assert not np.array_equal(first.transform(NOISY), other.transform(NOISY))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ("gaussain", "did you mean gaussian"),
        (lambda: None, "must take"),
        (lambda a, b, c: a, "must take"),
        (lambda x: x[:, :2], "shape"),
        (lambda x: x.numpy(), "got ndarray"),
    ],
)
def test_a_corruption_that_is_none_is_refused(wrong, says):
    with pytest.raises(OptionError, match=says):
        small(wrong).fit(LINE)


@pytest.mark.parametrize("level", [-0.1, float("nan"), float("inf")])
def test_a_level_that_is_none_is_refused(level):
    with pytest.raises(OptionError, match="level must be 0 or more"):
        small(level=level).fit(LINE)


# Pairs


def test_a_source_of_pairs_gives_both_and_starts_at_the_mean_of_the_clean():
    x, clean = RNG.random((6, 3)).astype(np.float32), RNG.integers(0, 9, (6, 3)).astype(np.uint8)
    spec = DataSpec((3,), "real", (1.0,), (2.0,))
    source = Resident(Examples(x, target=clean), spec)
    batch = source.batch(torch.tensor([4, 1]))
    np.testing.assert_allclose(batch.x, (x[[4, 1]] - 1) / 2, rtol=1e-6)
    np.testing.assert_allclose(batch.target, (clean[[4, 1]] - 1.0) / 2)
    np.testing.assert_allclose(source.mean(), (clean.mean(0) - 1) / 2, rtol=1e-6)
    whole = list(source.batches(4))
    assert [len(one.target) for one in whole] == [4, 2]
    part = Examples(x, target=clean).take(np.array([2, 3]))
    np.testing.assert_array_equal(part.target, clean[2:4])


def test_without_a_target_batches_are_as_they_were():
    batch = Resident(Examples(LINE), DataSpec((12,))).batch(torch.tensor([0]))
    assert batch.target is batch.x
    assert batch.mask is None
    assert isinstance(batch, Batch)


def test_the_fingerprint_of_pairs_is_that_of_both():
    def of(x, target):
        return Data("array", Examples(x, target=target), None, DataSpec((12,))).fingerprint()

    changed = LINE.copy()
    changed[7, 3] += 1e-3
    assert of(NOISY, LINE) == of(NOISY, LINE)
    assert len({of(NOISY, LINE), of(NOISY, changed), of(LINE, NOISY), of(NOISY, None)}) == 4


def test_pairs_are_learned_where_no_noise_could_be_guessed():
    """The noisy ones are reversed: nothing but the pairs can say so."""
    model = small(epochs=60, batch_size=20).fit(LINE[:, ::-1], LINE)
    assert model.score(LINE[:, ::-1], LINE) > 20 + model.score_of(LINE[:, ::-1], LINE)


def test_labels_of_a_pipeline_are_no_pairs():
    labels = (LINE[:, 0] > 0.3).astype(int)
    alone, given_ = small().fit(LINE), small().fit(LINE, labels)
    np.testing.assert_array_equal(alone.transform(NOISY), given_.transform(NOISY))
    pipeline = make_pipeline(small(epochs=20, batch_size=20), LogisticRegression()).fit(LINE, labels)
    assert pipeline.score(NOISY, labels) > 0.8


@pytest.mark.parametrize("clean", [LINE[:-1], LINE[:, :-1], LINE[..., None, None].repeat(2, 2)])
def test_pairs_that_do_not_fit_are_refused(clean):
    with pytest.raises(DataError):
        small().fit(NOISY, clean)


def test_gaps_in_the_noisy_ones_alone():
    holes = np.where(RNG.random(LINE.shape) < 0.3, np.nan, LINE)
    model = small(epochs=60, batch_size=20).fit(holes, LINE)
    found = model.transform(holes)
    assert np.isfinite(found).all()
    assert np.square(found - LINE).mean() < 0.05 * LINE.var()


def test_memory_maps_as_pairs(tmp_path):
    np.save(tmp_path / "x.npy", NOISY)
    np.save(tmp_path / "y.npy", LINE)
    maps = [np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in "xy"]
    a, b = small().fit(*maps), small().fit(NOISY, LINE)
    np.testing.assert_array_equal(a.transform(NOISY), b.transform(NOISY))


# Results


@pytest.mark.parametrize("corruption", ["gaussian", "salt_and_pepper", "masking", "blur", "missing"])
def test_images_become_cleaner(corruption):
    level = {"blur": 1.0}.get(corruption, 0.3)
    model = small(corruption, level, epochs=12, options={"channels": (8, 16), "strides": (1, 2)})
    model.fit(DIGITS[:300])
    assert model.trained_.recipe.name == "conv_skip"
    clean = DIGITS[300:]
    noisy = model.corrupt(clean, seed=3)
    found = model.transform(noisy)
    assert found.shape == clean.shape
    assert found.min() >= 0
    assert found.max() <= 16
    before = np.square(np.nan_to_num(noisy) - clean).mean()
    assert np.square(found - clean).mean() < 0.7 * before
    mse = np.square((found - clean) / 16).mean()
    assert model.score(noisy, clean) == pytest.approx(-10 * np.log10(mse), abs=1e-4)


@pytest.mark.parametrize("channels", [1, 3])
def test_training_starts_where_hardly_anything_is_restored(channels):
    model = build("conv_skip", DataSpec((channels, 9, 8))).model
    noisy = 0.5 + 0.5 * torch.randn(5, channels, 9, 8)
    with torch.no_grad():
        torch.testing.assert_close(model.reconstruct(noisy), noisy.clamp(0, 1), rtol=0, atol=0.1)


def test_photographs_become_cleaner_than_they_came():
    """Tiles of one photograph teach what to take out of another."""

    def tiles(image, size=16):
        seen = sliding_window_view(image, (size, size), axis=(0, 1))[::size, ::size]
        return np.moveaxis(seen.reshape(-1, 3, size, size), 1, -1)

    china, flower = map(tiles, load_sample_images().images)
    denoiser = Denoiser(level=0.1, epochs=2, batch_size=32, random_state=0, device="cpu").fit(china)
    noisy = denoiser.corrupt(flower)
    assert denoiser.score(noisy, flower) > denoiser.score_of(noisy.clip(0, 255), flower) + 3
    constant = np.full((4, 16, 16, 3), 128, np.uint8)
    assert denoiser.score(denoiser.corrupt(constant), constant) > 20 + 3


def test_noise_may_reach_beyond_the_range_but_not_another_scale():
    model = small(epochs=1).fit(DIGITS)
    noisy = DIGITS[:5] + 30.0 * RNG.standard_normal(DIGITS[:5].shape)
    assert np.isfinite(model.transform(noisy)).all()
    with pytest.raises(DataError, match="lies outside"):
        model.transform(DIGITS[:5] * 255.0)


def test_channels_come_back_where_they_were():
    x = RNG.integers(0, 256, (30, 8, 6, 3), dtype=np.uint8)
    model = small(epochs=1, options={"channels": (4,), "strides": (2,)}).fit(x)
    assert model.transform(x).shape == x.shape
    first = np.moveaxis(x, -1, 1)
    np.testing.assert_array_equal(np.moveaxis(model.transform(first), 1, -1), model.transform(x))
    assert model.corrupt(x).shape == x.shape


def test_score_without_a_clean_y_corrupts_x_itself():
    model = small(epochs=30, batch_size=20).fit(LINE)
    noisy = model.corrupt(LINE)
    assert model.score(LINE) == pytest.approx(model.score(noisy, LINE), abs=1e-3)
    assert model.score(LINE) > 3 + model.score_of(noisy, LINE)
    assert model.score_of(LINE, LINE) > 300  # no error at all


def test_frames_come_as_they_are_and_mixed_ones_are_filled():
    frame = pd.DataFrame(NOISY, columns=[f"c{i}" for i in range(12)])
    model = small().fit(frame)
    assert model.get_feature_names_out().tolist() == list(frame.columns)
    model.set_output(transform="pandas")
    assert list(model.transform(frame).columns) == list(frame.columns)
    mixed = frame.assign(kind=np.where(LINE[:, 0] > 0.3, "high", "low"))
    with pytest.raises(IncompatibleError, match="no meaning for categories"):
        small().fit(mixed)
    filler = small("missing", epochs=30, batch_size=20).fit(mixed)
    found = filler.transform(mixed.assign(kind=None))
    assert list(found.columns) == list(mixed.columns)
    assert (found["kind"].astype(str) == mixed["kind"]).mean() > 0.9
    assert np.isfinite(filler.score(mixed))


def test_clone_copy_pickle_and_a_file_give_the_same(tmp_path):
    model = small(noisy_pixels, 0.2).fit(LINE)
    expected = model.transform(NOISY)
    for other in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        np.testing.assert_array_equal(other.transform(NOISY), expected)
    again = clone(model)
    assert again.corruption is noisy_pixels
    np.testing.assert_array_equal(again.fit(LINE).transform(NOISY), expected)
    model.save(tmp_path / "run")
    loaded = load(tmp_path / "run", device="cpu")
    assert loaded.trained_.spec.noisy
    np.testing.assert_array_equal(loaded.transform(NOISY), expected)


class Break(Observer):
    """Interrupts training at a step."""

    def __init__(self, at):
        self.at = at

    def step(self, step):
        if step == self.at:
            raise KeyboardInterrupt


@pytest.mark.parametrize("pairs", [False, True])
def test_an_interrupted_fit_goes_on_to_the_bit_and_only_with_the_same(tmp_path, monkeypatch, pairs):
    monkeypatch.setattr(Checkpoints, "due", lambda self: True)
    data = (NOISY, LINE) if pairs else (LINE, None)
    plan = {"epochs": 4, "batch_size": 128}
    figures = {**plan, "checkpoint": tmp_path / "kept"}
    whole = small(noisy_pixels, 0.2, **plan).fit(*data)
    with pytest.raises(KeyboardInterrupt):
        small(noisy_pixels, 0.2, observer=Break(5), **figures).fit(*data)
    changed = (NOISY, LINE * 0.5) if pairs else (LINE * 0.5, None)
    with pytest.raises(OptionError, match="another data"):
        small(noisy_pixels, 0.2, **figures).fit(*changed)
    if not pairs:
        with pytest.raises(OptionError, match="another corruption"):
            small(half, 0.2, **figures).fit(*data)
    seen = Count()
    again = small(noisy_pixels, 0.2, observer=seen, **figures).fit(*data)
    assert 0 < seen.steps < whole.history_[-1]["step"]
    np.testing.assert_array_equal(again.transform(NOISY), whole.transform(NOISY))


class Count(Observer):
    """Counts the steps that are made."""

    steps = 0

    def step(self, step):
        self.steps += 1


def test_own_networks_take_the_place_of_the_recipes():
    encoder, decoder = torch.nn.Linear(12, 3), torch.nn.Linear(3, 12)
    model = small(encoder=encoder, decoder=decoder).fit(LINE)
    assert model.transform(NOISY).shape == LINE.shape
    assert model.trained_.recipe.name == "mlp"


def test_every_refusal_is_one_line():
    for wrong in (np.full((5, 3), np.inf), np.empty((0, 3)), [["a", "b"]] * 5):
        with pytest.raises(InputError) as caught:
            small().fit(wrong)
        assert "\n" not in str(caught.value)


# Images of several sizes


def of_sizes(*sizes, channels=()):
    return [np.random.default_rng(i).random((*size, *channels)) for i, size in enumerate(sizes)]


@pytest.mark.parametrize("channels", [(), (3,)])
def test_images_of_different_sizes_are_learned_from_in_patches_and_come_back_whole(channels):
    images = of_sizes((20, 30), (24, 16), (18, 18), channels=channels)
    denoiser = small(epochs=1).fit(images)
    assert denoiser.trained_.spec.shape[1:] == (20, 18)  # the median of each side
    found = denoiser.transform(images)
    assert [one.shape for one in found] == [one.shape for one in images]
    assert max(np.abs(a - b).max() for a, b in zip(found, images, strict=True)) < 0.5
    one, *_ = denoiser.transform([images[0], images[1]])
    np.testing.assert_array_equal(one, found[0])


def test_images_of_another_size_than_those_of_training_keep_theirs():
    denoiser = small(epochs=1).fit(DIGITS)
    larger = np.pad(DIGITS[:3], ((0, 0), (2, 3), (4, 0)))
    found = denoiser.transform(larger)
    assert found.shape == larger.shape
    again = denoiser.transform(larger[:, :, :, None])
    np.testing.assert_array_equal(again[..., 0], found)
    assert denoiser.transform(DIGITS[:3]).shape == (3, 8, 8)


def test_pairs_of_images_of_different_sizes_are_cut_alike():
    clean = of_sizes((20, 30), (24, 16), (18, 18))
    noisy = [one + 0.1 for one in clean]
    denoiser = small(epochs=1).fit(noisy, clean)
    assert [one.shape for one in denoiser.transform(noisy)] == [one.shape for one in clean]
    with pytest.raises(DataError, match="2 clean examples for 3 noisy ones"):
        small().fit(noisy, clean[:2])


@pytest.mark.parametrize(
    ("images", "said"),
    [
        ([np.zeros((4, 5, 3)), np.zeros((6, 5))], "all with as many channels"),
        ([np.zeros((4, 5, 2)), np.zeros((6, 5, 2))], "all with as many channels"),
        ([np.zeros((4, 0)), np.zeros((6, 5))], "an image has no pixels"),
    ],
)
def test_images_that_cannot_be_cut_alike_are_refused(images, said):
    with pytest.raises(DataError, match=said):
        small().fit(images)
