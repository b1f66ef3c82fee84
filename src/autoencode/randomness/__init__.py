"""Randomness that depends on nothing but the seed and the position in training.

The order of an epoch comes from (seed, epoch) and the noise of a step from (seed, step), so a run can
be taken up anywhere without saving the state of a generator. Among many processes the noise of a step
is drawn for the whole batch and each keeps its own rows, so it is that of one process. The noise of a
call belongs to the call, so that threads do not disturb each other (see ``noise``).
"""

from autoencode.randomness.draws import (
    bernoulli,
    choices,
    dropout,
    dropout2d,
    gamma,
    integers,
    normal_entries,
    normal_like,
    permuted,
    poisson,
    standard_normal,
    uniform,
    uniform_entries,
    uniform_like,
)
from autoencode.randomness.noise import building, common_noise, drawing, seed_step, seeded
from autoencode.randomness.seeds import block_order, epoch_order, mix, window_order

__all__ = [
    "bernoulli",
    "block_order",
    "building",
    "choices",
    "common_noise",
    "drawing",
    "dropout",
    "dropout2d",
    "epoch_order",
    "gamma",
    "integers",
    "mix",
    "normal_entries",
    "normal_like",
    "permuted",
    "poisson",
    "seed_step",
    "seeded",
    "standard_normal",
    "uniform",
    "uniform_entries",
    "uniform_like",
    "window_order",
]
