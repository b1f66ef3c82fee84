"""Threads that call at once get what each would get alone, to the bit."""

import ast
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import autoencode
from autoencode import Autoencoder, DataSpec, build
from autoencode.data import Examples, Resident
from autoencode.randomness import seeded
from autoencode.recipes import RECIPES
from autoencode.trained import Trained
from autoencode.training import Observer, fit

CPU = torch.device("cpu")
N = 8  # threads
IMAGES = np.random.default_rng(0).random((24, 1, 8, 8)).astype(np.float32)
LABELS = np.array(["a", "b"] * 12)


def at_once(*functions):
    """What the functions return, each called in a thread of its own at the same moment."""
    barrier = threading.Barrier(len(functions))

    def call(function):
        barrier.wait()
        return function()

    with ThreadPoolExecutor(len(functions)) as pool:
        return list(pool.map(call, functions))


def spec_of(recipe):
    classes = {"cvae": None, "m2_vae": 0.5}
    if recipe not in classes:
        return DataSpec((1, 8, 8))
    return DataSpec((1, 8, 8), classes=("a", "b"), context_dim=2, labelled=classes[recipe])


def examples_for(spec):
    return Examples(IMAGES, labels=LABELS) if spec.classes else Examples(IMAGES)


def trained_one(recipe, **options):
    """A model as it starts: what threads do to it shows without training."""
    built = build(recipe, spec_of(recipe), seed=1, **options)
    built.model.eval()
    return Trained(built)


def same(found, expected):
    return all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


DRAWING = {
    "vae": {},
    "conv_vae": {},
    "cvae": {},
    "m2_vae": {},
    "iwae": {},
    "flow_vae": {},
    "vmf_vae": {},
    "poincare_vae": {},
    "gumbel_vae": {},
    "joint_vae": {},
    "mog_vae": {},
    "hvae": {},
    "ladder_vae": {},
    "vdvae": {},
    "mae": {},
    "vqvae": {},
}


@pytest.mark.parametrize("recipe", DRAWING)
def test_a_shared_model_gives_every_thread_what_it_gives_one(recipe):
    trained = trained_one(recipe, **DRAWING[recipe])
    x = examples_for(trained.spec)

    def calls(seed):
        found = [trained.embed(x), trained.score_samples(x, 4, seed)]
        if trained.model.prior is not None:
            found.append(trained.sample(3, seed))
        return found

    state = torch.get_rng_state()
    expected = [calls(seed) for seed in range(N)]
    for _ in range(3):
        found = at_once(*(lambda seed=seed: calls(seed) for seed in range(N)))
        assert all(map(same, found, expected))
    assert torch.equal(torch.get_rng_state(), state)
