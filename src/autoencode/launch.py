"""The number of this process among those of one job, read from the launcher's environment variables.

torchrun, and whatever does its work (a Kubernetes training operator, Ray), sets ``RANK``,
``WORLD_SIZE`` and ``LOCAL_RANK`` for each process. Without them there is one process. Imports
nothing heavy, so that every command may ask.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from autoencode.errors import OptionError


@dataclass(frozen=True)
class Place:
    """A process among those of one job.

    Attributes:
        rank: its number, from 0; number 0 speaks and writes for all.
        world: how many there are.
        local_rank: its number on its machine.
        restarts: how often torchrun has started this job again.
        may_restart: whether it would after a failure.
    """

    rank: int = 0
    world: int = 1
    local_rank: int = 0
    restarts: int = 0
    may_restart: bool = False


def place() -> Place:
    """Reads the place of this process among those of its job.

    Raises:
        OptionError: when the launcher's variables contradict each other.
    """
    world = _number("WORLD_SIZE", 1)
    if world <= 1:
        return Place()
    rank = _number("RANK", -1)
    if not 0 <= rank < world:
        raise OptionError(
            f"WORLD_SIZE is {world} and RANK is '{os.environ.get('RANK', '')}'; start with torchrun, "
            "or unset WORLD_SIZE for one process"
        )
    restarts = _number("TORCHELASTIC_RESTART_COUNT", 0)
    may_restart = _number("TORCHELASTIC_MAX_RESTARTS", 0) > 0
    return Place(rank, world, _number("LOCAL_RANK", 0), restarts, may_restart)


def speaks() -> bool:
    """Tells whether this process speaks for all: number 0, or the only one."""
    rank = os.environ.get("RANK", "0")
    return rank == "0" or os.environ.get("WORLD_SIZE", "1") in ("", "0", "1")


def _number(name: str, default: int) -> int:
    value = os.environ.get(name, "")
    if not value:
        return default
    if not value.isdecimal():
        raise OptionError(f"{name} is '{value}'; a launcher such as torchrun sets it to a number")
    return int(value)
