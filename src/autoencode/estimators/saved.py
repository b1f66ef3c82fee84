"""Estimators beside their models in a folder, without pickle.

A model alone is a run folder (``io``). An estimator that knows more than its model adds
``estimator.json``, sealed, which names its class and parameters and what belongs to it, and
``estimator.safetensors``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from autoencode.errors import ModelFileError, RunFolderError
from autoencode.files.atomic import write_atomically
from autoencode.files.sealed import read_json, seal, unseal
from autoencode.trained import Trained, load_trained
from autoencode.trained.model_files import load_config, read_tensors, sha256_of, write_tensors
from autoencode.types import Array
from autoencode.version import __version__

FORMAT_VERSION = 1
ESTIMATOR, TENSORS = "estimator.json", "estimator.safetensors"
_TYPES: Mapping[str, type] = {
    "format_version": int,
    "estimator": str,
    "parameters": dict,
    "facts": dict,
    "weights_sha256": str,
    "tensors_sha256": str,
}


def write_estimator(
    folder: Path,
    name: str,
    parameters: Mapping[str, Any],
    facts: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    trained: Trained,
) -> None:
    """Writes what an estimator knows beside its model, which is to be written after it.

    Args:
        folder: which exists.
        name: the class.
        parameters: its parameters; those that JSON has no words for are left out.
        facts: whatever else is JSON.
        tensors: whatever else is numbers.
        trained: its model.
    """
    tensors_sha256 = write_tensors(folder / TENSORS, tensors)
    written = {
        "format_version": FORMAT_VERSION,
        "autoencode_version": __version__,
        "estimator": name,
        "parameters": {k: _plain(v) for k, v in parameters.items() if _in_words(_plain(v))},
        "facts": dict(facts),
        "weights_sha256": sha256_of(trained),
        "tensors_sha256": tensors_sha256,
    }
    write_atomically(folder / ESTIMATOR, seal(written))


def forget_estimator(folder: Path) -> None:
    """Removes what another estimator left in a folder."""
    for name in (ESTIMATOR, TENSORS):
        (folder / name).unlink(missing_ok=True)


def read_estimator(folder: Path) -> dict[str, Any] | None:
    """Reads ``estimator.json`` with its ``tensors``; gives ``None`` where there is a model alone.

    Raises:
        RunFolderError: when the folder is missing or not complete.
        ModelFileError: when a file cannot be trusted, or belongs to another model.
    """
    config = load_config(folder)
    path = folder / ESTIMATOR
    if not path.is_file():
        return None
    try:
        found, written = read_json(path)
    except OSError as error:
        raise RunFolderError(f"cannot read {path}: {error.strerror}; save it again") from None
    found = unseal(found, written, path)
    for key, kind in _TYPES.items():
        if type(found.get(key)) is not kind:
            raise ModelFileError(f"{path} is damaged: {key} should be {kind.__name__}; save it again")
    if found["format_version"] != FORMAT_VERSION:
        raise ModelFileError(
            f"{path} has format {found['format_version']} and this version of autoencode "
            f"({__version__}) reads {FORMAT_VERSION}; use the version that wrote it"
        )
    if found["weights_sha256"] != config["weights_sha256"]:
        raise ModelFileError(f"{path} belongs to another model than {folder} holds; save it again")
    return {**found, "tensors": read_tensors(folder / TENSORS, found["tensors_sha256"])}


@dataclass(frozen=True)
class SavedState:
    """State that an estimator left beside its model, for it to go on from.

    Attributes:
        folder: where it lies.
        facts: what is JSON.
        tensors: what is numbers, by name.
        trained: its model.
    """

    folder: Path
    facts: Mapping[str, Any]
    tensors: dict[str, Tensor]
    trained: Trained

    def part(self, name: str, sha256: str) -> Trained:
        """Reads another model that belongs to the estimator and must have these weights.

        Raises:
            ModelFileError: when it cannot be used, or has other weights.
        """
        folder = self.folder / name
        if load_config(folder)["weights_sha256"] != sha256:
            raise ModelFileError(f"{folder} belongs to another model than {self.folder}; save it again")
        return load_trained(folder, device=self.trained.device)

    def seed(self) -> int:
        """Reads the seed among the facts.

        Raises:
            ModelFileError: when it is none.
        """
        seed = self.facts.get("seed")
        if type(seed) is not int or seed < 0:
            raise ModelFileError(f"{self.folder / ESTIMATOR} is damaged: seed; save it again")
        return seed

    def rows(self, name: str, shape: tuple[int, ...]) -> tuple[Array, int]:
        """Reads the stored rows (M, *shape) of that name, and how many they are a sample of.

        Raises:
            ModelFileError: when they are anything else.
        """
        tensor, seen = self.tensors[name], self.facts.get(f"{name}_seen")
        known = tensor.dtype in (torch.float64, torch.float32, torch.uint8)
        if not known or tensor.shape[1:] != shape or type(seen) is not int or seen < len(tensor):
            raise ModelFileError(f"{self.folder / TENSORS} is damaged: {name}; save it again")
        return tensor.numpy(), seen

    def numbers(self, name: str, length: int | None = None) -> Array:
        """Reads the finite float64 numbers (length,) of that name.

        Raises:
            ModelFileError: when they are anything else.
        """
        tensor = self.tensors.get(name, torch.empty(0))
        fits = tensor.dtype == torch.float64 and tensor.dim() == 1 and len(tensor) > 0
        if not fits or length not in (None, len(tensor)) or not bool(tensor.isfinite().all()):
            raise ModelFileError(f"{self.folder / TENSORS} is damaged: {name}; save it again")
        numbers: Array = tensor.numpy()
        return numbers


def _in_words(value: Any) -> bool:
    """Tells whether JSON gives a value back, with tuples as lists."""
    if isinstance(value, Mapping):
        return all(isinstance(k, str) and _in_words(v) for k, v in value.items())
    if isinstance(value, list | tuple):
        return all(map(_in_words, value))
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, bool | int | str | None)


def _plain(value: Any) -> Any:
    """Turns scalars of numpy into Python's."""
    return value.item() if isinstance(value, np.generic) else value
