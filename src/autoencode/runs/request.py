"""What ``train`` was asked for, as an unfinished run keeps it to go on from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from autoencode.data import Origin
from autoencode.errors import ModelFileError
from autoencode.recipes import Recipe

# What decides the result of a training; the others say how it is carried out.
_DECIDING = ("data", "recipe", "options", "plan", "seed")
_TYPES: Mapping[str, tuple[type, ...]] = {
    "recipe": (str,),
    "options": (dict,),
    "plan": (dict,),
    "custom_networks": (bool,),
    "seed": (int,),
    "schedule": (str,),
    "device": (str,),
    "command": (str, type(None)),
    "checkpoint_seconds": (float, int),
}


@dataclass(frozen=True)
class Request:
    """What a training is, whole: with it, it starts again or goes on.

    Attributes:
        origin: how its data were read.
        recipe: the recipe's name.
        options: all its options.
        plan: all figures of its training plan.
        custom_networks: whether it has networks of the user's own.
        seed: of the split, the weights, the order and the noise.
        schedule: fast or paper.
        device: cpu, cuda or mps.
        command: how it was started.
        checkpoint_seconds: how often a state is kept.
    """

    origin: Origin
    recipe: str
    options: Mapping[str, Any]
    plan: Mapping[str, Any]
    custom_networks: bool
    seed: int
    schedule: str
    device: str
    command: str | None
    checkpoint_seconds: float

    @classmethod
    def from_recipe(
        cls,
        recipe: Recipe,
        origin: Origin,
        *,
        seed: int,
        schedule: str,
        device: str,
        command: str | None,
        checkpoint_seconds: float,
    ) -> Request:
        """Notes what training a recipe on some data is."""
        return cls(
            origin,
            recipe.name,
            dict(recipe.options),
            asdict(recipe.plan),
            recipe.custom,
            seed,
            schedule,
            device,
            command,
            checkpoint_seconds,
        )

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any], place: Path) -> Request:
        """Reads what ``as_dict`` gave and the file at ``place`` holds.

        Raises:
            ModelFileError: when it lacks something or a value is of another type.
        """
        for key in ("data", *_TYPES):
            if key not in facts:
                raise ModelFileError(f"{place} cannot be used: {key} is missing; train again")
        for key, kinds in _TYPES.items():
            if type(facts[key]) not in kinds:
                raise ModelFileError(f"{place} cannot be used: {key} is damaged; train again")
        if not 0 <= facts["seed"] < 2**63:
            raise ModelFileError(f"{place} cannot be used: seed is damaged; train again")
        return cls(Origin.from_dict(facts["data"]), **{key: facts[key] for key in _TYPES})

    def as_dict(self) -> dict[str, Any]:
        """Gives it as JSON has it."""
        return {
            "data": self.origin.as_dict(),
            "recipe": self.recipe,
            "options": dict(self.options),
            "plan": dict(self.plan),
            "custom_networks": self.custom_networks,
            "seed": self.seed,
            "schedule": self.schedule,
            "device": self.device,
            "command": self.command,
            "checkpoint_seconds": self.checkpoint_seconds,
        }

    def gives_the_same_as(self, other: Request) -> bool:
        """Whether another training would have the same result."""
        return bool(self._deciding() == other._deciding())

    def _deciding(self) -> Any:
        facts = self.as_dict()
        return json.loads(json.dumps({key: facts[key] for key in _DECIDING}))
