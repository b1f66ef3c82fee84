"""The noise of a call, which belongs to the call and not to the process.

Inside ``seeded`` the functions of ``draws`` take their numbers from a generator of the thread, so that
threads do not disturb each other and torch's default generator is left alone::

    seeded ─┬─ parts of this package only ──► a generator of the call
            └─ code of the user's own ─┬────► torch's default generator, borrowed and given back
                                       └────► where another thread has it: a generator of the call,
                                              which torch's functions are told to draw from

Code of the user's own draws from torch's default generator, and all draws of a call come from one
stream. As there is one such generator, a call with code of the user's own repeats to the bit in one
thread, but not for certain beside other threads. The same holds for compiled steps, which can take no
generator, and for devices other than the CPU, where torch's own generators are used.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from autoencode.randomness.own_code import is_own_code
from autoencode.randomness.redirected import Redirected
from autoencode.randomness.seeds import mix

_DRAWING = 5  # beside the numbers of the other streams


class _Noise(threading.local):
    """Where the draws of this thread come from.

    Attributes:
        generator: of the call in work; ``None`` where torch's own are drawn from.
        common: whether every example of a batch gets the same draws.
        loans: blocks of this thread, one inside another, that have borrowed the default generator.
    """

    generator: torch.Generator | None = None
    common = False
    loans = 0


_noise = _Noise()
_default_generator = threading.Lock()  # held by the thread that has borrowed it


def generator_for(device: torch.device) -> torch.Generator | None:
    """The generator that draws on a device come from, ``None`` for torch's own."""
    # A compiled step can read nothing that belongs to a thread.
    if torch.compiler.is_compiling() or device.type != "cpu":
        return None
    return _noise.generator


def is_common() -> bool:
    """Whether every example of a batch gets the same draws."""
    return not torch.compiler.is_compiling() and _noise.common


def seed_step(seed: int, step: int, device: torch.device) -> None:
    """Sets the generator that the noise of a step is drawn from."""
    value = mix(seed, 2, step)
    if device.type == "cpu" and _noise.generator is not None:
        _noise.generator.manual_seed(value)
        return
    # torch.manual_seed does this for every backend there is, at a hundred times the cost.
    torch.default_generator.manual_seed(value)
    if device.type == "cuda":
        torch.cuda.manual_seed(value)
    elif device.type == "mps":
        torch.mps.manual_seed(value)


@contextmanager
def seeded(seed: int, device: torch.device | None = None, *parts: object) -> Iterator[None]:
    """Runs a block from a seed and leaves the caller's random state as it was.

    Args:
        seed: of all draws in the block.
        device: where the block draws, besides the CPU.
        *parts: models, objectives and whatever else computes inside. Where all of it is of this package
            and of torch, the block draws from a generator of its own. Without any, as the block around
            this one does, and outermost as if there were code of the user's own.
    """
    value = mix(seed)
    if device is not None and device.type != "cpu":
        with _borrowed(value, device):
            yield
        return
    alone = not is_own_code(parts) if parts else _noise.generator is not None
    if alone:
        with _drawing_from(torch.Generator().manual_seed(value)):
            yield
    elif _noise.loans or _default_generator.acquire(blocking=False):
        _noise.loans += 1
        try:
            with _borrowed(value, device):
                yield
        finally:
            _noise.loans -= 1
            if not _noise.loans:
                _default_generator.release()
    else:
        with building(value):
            yield


@contextmanager
def _borrowed(value: int, device: torch.device | None) -> Iterator[None]:
    """Lets a block draw from torch's own generators, and gives them back as they were."""
    devices = [device] if device is not None and device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices), _drawing_from(None):
        torch.manual_seed(value)
        yield


@contextmanager
def _drawing_from(generator: torch.Generator | None) -> Iterator[None]:
    before, _noise.generator = _noise.generator, generator
    try:
        yield
    finally:
        _noise.generator = before


@contextmanager
def building(value: int) -> Iterator[None]:
    """Runs a block that draws the first weights of networks, from a generator of the call.

    Constructors of torch and of the user draw from torch's default generator; here they are told to
    draw from the call's, which gives the same numbers. That costs a microsecond or two for each call of
    torch, and so is for blocks that build and hardly compute.

    Args:
        value: what the generator starts from; ``mix`` makes one of a seed.
    """
    with _drawing_from(torch.Generator().manual_seed(value)), Redirected(generator_for):
        yield


@contextmanager
def drawing(seed: int, device: torch.device | None = None, *parts: object) -> Iterator[None]:
    """Runs a block that draws from a trained model, and leaves the caller's random state as it was.

    The first weights of a model come from its seed. Draws that are compared with some of them (the
    components of a prior) must not be the same numbers again, whatever the seed.

    Args:
        seed, device, *parts: as of ``seeded``.
    """
    with seeded(mix(seed, _DRAWING), device, *parts):
        yield


@contextmanager
def common_noise() -> Iterator[None]:
    """Gives every example of a batch the same draws inside the block.

    An estimate is then the same for the same example, whatever stands beside it.
    """
    before, _noise.common = _noise.common, True
    try:
        yield
    finally:
        _noise.common = before
