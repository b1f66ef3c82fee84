"""Estimators on sequences, volumes and flattened images: what went in comes back in its shape."""

import numpy as np
import pandas as pd
import pytest

from autoencode import AnomalyDetector, Autoencoder, Denoiser, load
from autoencode.data import Data, Examples, apply_spec, load_data
from autoencode.errors import DataError, IncompatibleError, OptionError
from autoencode.recipes import build
from autoencode.types import DataSpec

RNG = np.random.default_rng(0)
# The layout, the shape in which examples are given, and the one in which models have them.
CASES = [
    ("row", (4, 6), (24,)),
    ("sequence", (12,), (12, 1)),
    ("sequence", (6, 2), (6, 2)),
    ("volume", (3, 4, 2), (1, 3, 4, 2)),
    ("volume", (2, 4, 2, 3), (3, 2, 4, 2)),
]


def numbers(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def small(**more):
    return Autoencoder("mlp_small", 2, epochs=1, random_state=0, **more)


@pytest.mark.parametrize(("layout", "shape", "wanted"), CASES)
def test_what_is_made_has_the_shape_of_what_was_given(layout, shape, wanted, tmp_path):
    x = numbers(30, *shape)
    model = small(layout=layout).fit(x)
    assert (model.trained_.spec.layout, model.trained_.spec.shape) == (layout, wanted)
    codes = model.transform(x)
    assert codes.shape == (30, 2)
    back = model.reconstruct(x)
    assert back.shape == x.shape
    assert model.inverse_transform(codes).shape == x.shape
    assert model.sample(3).shape == (3, *shape)
    np.testing.assert_allclose(model.inverse_transform(codes), back, atol=1e-5)
    # As the model itself has them, moved by hand.
    own = model.trained_.reconstruct(Examples(apply_spec(x, model.trained_.spec)))
    assert own.shape == (30, *wanted)
    axes = own.transpose(0, 2, 3, 4, 1) if shape[-1] == wanted[0] == 3 else own.reshape(x.shape)
    np.testing.assert_array_equal(model.trained_.reconstruct(x), axes)
    np.testing.assert_array_equal(back, axes)
    model.save(tmp_path / "m")
    again = load(tmp_path / "m")
    assert again.trained_.spec == model.trained_.spec
    assert again.layout == layout
    np.testing.assert_array_equal(again.transform(x), codes)
    np.testing.assert_array_equal(again.inverse_transform(codes), model.inverse_transform(codes))


@pytest.mark.parametrize("shape", [(5, 4), (1, 5, 4), (3, 5, 4), (5, 4, 3), (5, 4, 1)])
@pytest.mark.parametrize("layout", [None, "image"])
def test_images_come_back_with_their_channels_where_they_were(shape, layout):
    x = numbers(20, *shape)
    model = small(layout=layout).fit(x)
    codes = model.transform(x)
    for made in (model.reconstruct(x), model.inverse_transform(codes), model.sample(20)):
        assert ((made - x) ** 2).shape == x.shape
    np.testing.assert_allclose(model.inverse_transform(codes), model.reconstruct(x), atol=1e-5)


@pytest.mark.parametrize(("layout", "shape"), [case[:2] for case in CASES] + [("image", (5, 4, 3))])
def test_a_denoiser_gives_what_it_was_given(layout, shape):
    x = numbers(30, *shape)
    denoiser = Denoiser(recipe="mlp_small", layout=layout, epochs=1, random_state=0).fit(x)
    assert denoiser.trained_.spec.layout == layout
    assert denoiser.transform(x).shape == denoiser.corrupt(x).shape == x.shape


@pytest.mark.parametrize(("layout", "shape"), [case[:2] for case in CASES] + [("image", (5, 4, 3))])
def test_gaps_are_filled_where_they_are(layout, shape):
    x = numbers(40, *shape)
    gap = np.zeros(x.shape, bool)
    gap[::3].flat[::5] = True
    holed = np.where(gap, np.nan, x)
    model = small(layout=layout).fit(holed)
    filled = model.impute(holed)
    assert filled.shape == x.shape
    np.testing.assert_array_equal(filled[~gap], x[~gap])
    assert np.isfinite(filled).all()
    np.testing.assert_array_equal(filled[gap], model.reconstruct(holed)[gap])


@pytest.mark.parametrize(("layout", "shape"), [case[:2] for case in CASES])
def test_a_detector_judges_all_layouts(layout, shape):
    x = numbers(40, *shape)
    detector = AnomalyDetector("mlp_small", layout=layout, epochs=1, random_state=0).fit(x)
    odd = x[:1] + 100
    assert detector.score_samples(odd) < detector.score_samples(x).min()
    explanation = detector.explain(odd)
    assert explanation.shares.shape[1:] == detector.trained_.spec.shape
    detector.plot_explanation(odd)


@pytest.mark.parametrize("shape", [(16,), (9, 4), (1, 8, 8, 8)])
@pytest.mark.parametrize("recipe", ["conv_small", "conv_skip", "vdvae", "vqvae2", "mae", "ms_ssim_vae"])
def test_recipes_for_images_refuse_other_layouts_in_one_line(recipe, shape):
    with pytest.raises(IncompatibleError, match="images") as caught:
        build(recipe, DataSpec(shape, "unit"))
    assert "\n" not in str(caught.value)


def test_a_guess_is_kept_with_the_model_and_shown(capsys):
    x = numbers(20, 6, 5)
    said = (
        "taken for 20 grey images of 6 x 5 (3-D array); layout='sequence' reads 6 steps of 5 features"
    )
    assert small().fit(x).trained_.info["notices"][0].startswith(said)
    assert capsys.readouterr().err == ""
    small(verbose=True).fit(x)
    assert f"note: {said}" in capsys.readouterr().err
    assert "notices" not in small(layout="sequence").fit(x).trained_.info


def test_a_layout_that_does_not_fit_is_refused():
    with pytest.raises(DataError, match="layout='image' takes arrays of shape"):
        small(layout="image").fit(numbers(20, 12))
    with pytest.raises(OptionError, match="unknown layout 'series'"):
        small(layout="series").fit(numbers(20, 12))


def test_partial_fit_keeps_the_layout_in_the_file(tmp_path):
    Autoencoder("mlp_small", layout="sequence").partial_fit(numbers(40, 6, 3)).save(tmp_path / "m")
    assert load(tmp_path / "m").layout == "sequence"


@pytest.mark.parametrize("told", [{"layout": "row"}, {"standardize": "global"}])
def test_checkpoints_of_data_read_another_way_are_not_gone_on_from(tmp_path, told):
    np.save(tmp_path / "x.npy", numbers(60, 6, 6))
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")

    def opened(**more):
        one = Autoencoder("mlp_small", random_state=0, checkpoint=tmp_path / "kept", **more)
        examples, spec, notices = one._prepared(mapped)
        return one._checkpoints(Data("array", examples, None, spec, notices), 0, None)

    with pytest.raises(KeyboardInterrupt), opened():
        raise KeyboardInterrupt
    with pytest.raises(OptionError, match=f"with another {next(iter(told))}"), opened(**told):
        pass


def test_columns_that_become_steps_lose_their_names_and_a_notice_says_so():
    frame = pd.DataFrame(numbers(40, 7), columns=list("abcdefg"))
    notices = load_data(frame, layout="sequence").notices
    assert any("columns lose their names" in n and "a, b, c, d, e, ..." in n for n in notices)
