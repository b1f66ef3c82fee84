"""Files that were altered at random: every one is refused, by one exception, and none is run."""

import random
import shutil
from pathlib import Path

import pytest

from autoencode.checkpoints import Checkpoints
from autoencode.errors import ModelFileError
from autoencode.io import load_trained
from autoencode.runs import train

GOLDEN = Path(__file__).with_name("golden")
MODEL = ("config.json", "model.safetensors")


def cut(content, rng):
    return content[: rng.randrange(len(content))]


def flip(content, rng):
    out = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 8))):
        out[rng.randrange(len(out))] ^= 1 << rng.randrange(8)
    return bytes(out)


def insert(content, rng):
    at = rng.randrange(len(content) + 1)
    return content[:at] + rng.randbytes(rng.choice((1, 2, 64))) + content[at:]


def remove(content, rng):
    at = rng.randrange(len(content))
    return content[:at] + content[at + rng.randrange(1, 64) :]


def repeat(content, rng):
    at, n = rng.randrange(len(content)), rng.randrange(1, 200)
    return content[:at] + content[at : at + n] + content[at:]


def exchange(content, rng):
    a, b = sorted(rng.sample(range(len(content)), 2))
    n = rng.randrange(1, 16)
    return content[:a] + content[b : b + n] + content[a + n : b] + content[a : a + n] + content[b + n :]


def zero(content, rng):
    at, n = rng.randrange(len(content)), rng.randrange(1, 4096)
    return content[:at] + bytes(len(content[at : at + n])) + content[at + n :]


def header(content, rng):
    """The length that a safetensors file begins with."""
    return rng.choice((0, 1, 7, 2**31, 2**63, 2**64 - 1)).to_bytes(8, "little") + content[8:]


def blank(content, rng):
    """White space, which JSON would not mind."""
    at = content.find(b"\n", rng.randrange(len(content)))
    return content[:at] + rng.choice((b" ", b"\t", b"\n")) + content[at:]


MUTATIONS = (cut, flip, insert, remove, repeat, exchange, zero, header, blank)


def mutants(content, n, seed):
    rng = random.Random(seed)
    for _ in range(n):
        mutant = rng.choice(MUTATIONS)(content, rng)
        if mutant != content:
            yield mutant


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
