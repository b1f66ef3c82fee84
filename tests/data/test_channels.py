"""Where the channels of arrays are: guessed and said, or told."""

import numpy as np
import pytest

from autoencode import Autoencoder, load
from autoencode.data import Origin, apply_spec, load_data
from autoencode.errors import InputError
from autoencode.types import DataSpec
from cli_runs import cli  # noqa: F401  a fixture

RNG = np.random.default_rng(0)
AMBIGUOUS = RNG.random((20, 3, 16, 3))
SQUARE = RNG.random((20, 4, 4, 4))
SPECTRAL = RNG.random((20, 16, 16, 12))
VOLUMES = RNG.random((20, 3, 8, 8, 4))


@pytest.mark.parametrize("x", [AMBIGUOUS, SQUARE, SPECTRAL, VOLUMES], ids=str)
def test_a_guess_is_said_and_can_be_told_otherwise(x):
    guessed = load_data(x)
    assert guessed.spec.shape == x.shape[1:]
    assert any("channels='last'" in notice for notice in guessed.notices)
    for channels, moved in (("first", x), ("last", np.moveaxis(x, -1, 1))):
        told = load_data(x, channels=channels)
        assert told.spec.shape == moved.shape[1:]
        assert told.spec.channels == channels
        assert not any("channels=" in notice for notice in told.notices)
        everything = np.concatenate([told.train.x, told.test.x])
        assert np.isin(everything[:, :, 0, 0], moved[:, :, 0, 0].astype(everything.dtype)).all()


def test_what_is_plain_needs_no_word():
    for shape in ((20, 3, 16, 16), (20, 16, 16, 3), (20, 1, 16, 16)):
        notices = load_data(RNG.random(shape)).notices
        assert not any("channels=" in notice for notice in notices)


def test_new_examples_have_their_channels_where_those_of_training_had_them():
    spec = load_data(SQUARE, channels="last").spec
    np.testing.assert_array_equal(
        apply_spec(SQUARE, spec), np.moveaxis(SQUARE, -1, 1).astype(np.float32)
    )
    spec = load_data(SQUARE).spec
    np.testing.assert_array_equal(apply_spec(SQUARE, spec), SQUARE.astype(np.float32))


def test_a_memory_map_is_read_in_the_same_way(tmp_path):
    np.save(tmp_path / "x.npy", SPECTRAL)
    whole = load_data(tmp_path / "x.npy", channels="last", stream=False)
    streamed = load_data(tmp_path / "x.npy", channels="last", stream=True)
    assert streamed.spec.shape == whole.spec.shape == (12, 16, 16)
    assert streamed.spec.channels == "last"
    rows = streamed.train.read(0, 20)
    assert rows.shape[1:] == (12, 16, 16)


@pytest.mark.parametrize(
    ("x", "how"),
    [
        (RNG.random((20, 8)), {}),
        (RNG.random((20, 8, 8)), {}),
        (AMBIGUOUS, {"layout": "row"}),
        (AMBIGUOUS, {"channels": "middle"}),
        ("digits", {}),
    ],
)
def test_channels_that_mean_nothing_are_refused(x, how):
    with pytest.raises(InputError, match="channels"):
        load_data(x, **{"channels": "last", **how})


def test_an_estimator_and_a_saved_one_know_them(tmp_path):
    model = Autoencoder("conv", 2, channels="last", epochs=1, random_state=0).fit(SQUARE)
    assert model.trained_.spec.channels == "last"
    model.save(tmp_path)
    again = load(tmp_path)
    assert again.trained_.spec == model.trained_.spec
    np.testing.assert_array_equal(again.transform(SQUARE), model.transform(SQUARE))
    other = Autoencoder("conv", 2, epochs=1, random_state=0).fit(np.moveaxis(SQUARE, -1, 1))
    np.testing.assert_array_equal(other.transform(np.moveaxis(SQUARE, -1, 1)), model.transform(SQUARE))


def test_the_command_line_takes_them(cli, tmp_path, hurried):  # noqa: F811
    hurried(3)
    np.save(tmp_path / "x.npy", AMBIGUOUS)
    options = ("--recipe", "conv", "--epochs", 1, "--set", "latent_dim=2")
    guessed = cli("train", "x.npy", *options, "--out", "a")
    assert "--channels last" in guessed.err
    told = cli("train", "x.npy", "--channels", "last", *options, "--out", "b")
    assert (told.code, "--channels last" in told.err) == (0, False), told
    assert cli("embed", "b", "x.npy", "-o", "z.npy").code == 0
    assert cli("evaluate", "b").code == 0


def test_they_survive_their_way_through_a_file():
    assert Origin.from_dict(Origin(channels="last").as_dict()).channels == "last"
    assert DataSpec((3, 8, 8)).channels is None
