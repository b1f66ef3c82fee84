"""Files that were altered at random: every one is refused, by one exception, and none is run."""

import shutil
from pathlib import Path

import pytest

from autoencode.errors import ModelFileError
from autoencode.runs import train
from autoencode.trained import load_trained
from autoencode.training.checkpoints import Checkpoints
from mutations import mutants

GOLDEN = Path(__file__).parent.parent / "golden"
MODEL = ("config.json", "model.safetensors")


AMOUNTS = [500, pytest.param(5000, marks=pytest.mark.slow)]


@pytest.fixture(scope="module")
def golden(tmp_path_factory):
    return shutil.copytree(GOLDEN / "format-1", tmp_path_factory.mktemp("run") / "run")


@pytest.mark.parametrize("name", MODEL)
@pytest.mark.parametrize("n", AMOUNTS)
def test_every_altered_model_file_is_refused(golden, name, n):
    content = (golden / name).read_bytes()
    try:
        for i, mutant in enumerate(mutants(content, n, seed=n)):
            (golden / name).write_bytes(mutant)
            with pytest.raises(ModelFileError):
                assert load_trained(golden) is None, f"mutant {i} was loaded"
    finally:
        (golden / name).write_bytes(content)
    assert load_trained(golden).recipe.name == "mlp_small"


@pytest.mark.parametrize("ending", [".json", ".safetensors"])
@pytest.mark.parametrize("n", AMOUNTS)
def test_every_altered_checkpoint_is_refused(tmp_path, ending, n):
    from autoencode.training import Observer

    class Stop(Observer):
        def stop(self):
            return True

    options = {"epochs": 2, "hidden": (4,), "latent_dim": 2, "doctor": False}
    train("digits", "mlp_small", out=tmp_path / "r", observer=Stop(), **options)
    folder = tmp_path / "r/resume"
    path = folder / f"000000000001{ending}"
    content = path.read_bytes()
    keeper = Checkpoints(folder, {})
    for i, mutant in enumerate(mutants(content, n, seed=n + 1)):
        path.write_bytes(mutant)
        with pytest.raises(ModelFileError):
            assert keeper.latest() is None, f"mutant {i} was taken"
    path.write_bytes(content)
    assert keeper.latest()[0].position.step == 1


def test_models_of_every_format_there_was_load_and_embed_as_they_did():
    import numpy as np

    folders = sorted(GOLDEN.glob("format-*"))
    assert folders
    for folder in folders:
        trained = load_trained(folder)
        x, z = np.load(folder / "x.npy"), np.load(folder / "z.npy")
        np.testing.assert_allclose(trained.embed(x), z, rtol=1e-4, atol=1e-5)
        assert trained.sample(3).shape == (3, *x.shape[1:])
