"""Model files: ``config.json`` and ``model.safetensors``, no pickle anywhere.

A configuration names a recipe and its options, never code, paths or addresses; the weights are checked
against their SHA-256 and against the names and shapes of the model that the recipe builds.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from autoencode import __version__
from autoencode.errors import AutoencodeError, ModelFileError, RunFolderError
from autoencode.files import write_atomically
from autoencode.priors import FittedGaussian
from autoencode.recipes import build
from autoencode.trained import Trained
from autoencode.types import DataSpec

FORMAT_VERSION = 1
CONFIG, WEIGHTS = "config.json", "model.safetensors"
_MAX_CONFIG = 1 << 24
_NEEDED = ("format_version", "recipe", "options", "spec", "weights_sha256")


def save_model(trained: Trained, folder: str | os.PathLike[str]) -> None:
    """Writes ``model.safetensors`` and then ``config.json`` into a folder that exists.

    The configuration comes last: a folder that has one is complete.
    """
    target = Path(folder)
    tensors = {
        name: value.detach().cpu().contiguous() for name, value in trained.model.state_dict().items()
    }
    weights = safetensors.torch.save(tensors)
    write_atomically(target / WEIGHTS, weights)
    write_atomically(target / CONFIG, to_json(_config(trained, weights)))


def _config(trained: Trained, weights: bytes) -> dict[str, Any]:
    recipe = trained.recipe
    return {
        "format_version": FORMAT_VERSION,
        "autoencode_version": __version__,
        "recipe": recipe.name,
        "custom_networks": recipe.custom,
        "options": dict(recipe.options),
        "plan": asdict(recipe.plan),
        "spec": asdict(recipe.spec),
        "fitted_prior": isinstance(trained.model.prior, FittedGaussian),
        "latent_shape": list(trained.latent_shape),
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
        **trained.info,
    }


def to_json(value: Any) -> bytes:
    """JSON as it is written to files: indented, and never NaN."""
    return (json.dumps(value, indent=2, allow_nan=False) + "\n").encode()


def environment() -> dict[str, Any]:
    """Versions and hardware, for the record."""
    import numpy

    return {
        "autoencode": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "platform": platform.platform(),
        "processor": _processor(),
        "threads": torch.get_num_threads(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((s.split(":", 1)[1].strip() for s in lines if s.startswith("model name")), "")


def load_config(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """The configuration of a run folder.

    Raises:
        RunFolderError: when the folder is missing or not (yet) a run.
        ModelFileError: when the configuration cannot be used.
    """
    path = Path(folder)
    if not path.is_dir():
        raise RunFolderError(f"no run folder at {path}; autoencode runs lists those there are")
    if not (path / CONFIG).is_file():
        started = (path / "history.jsonl").exists() or (path / WEIGHTS).exists()
        why = "its training did not finish" if started else "it has no config.json"
        raise RunFolderError(f"{path} is not a complete run: {why}; train it again")
    try:
        text = (path / CONFIG).read_bytes()
        config = json.loads(text[: _MAX_CONFIG + 1])
    except OSError as error:
        raise RunFolderError(f"cannot read {path / CONFIG}: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise ModelFileError(f"{path / CONFIG} is damaged (not valid JSON); train again") from None
    missing = [key for key in _NEEDED if not isinstance(config, dict) or key not in config]
    if missing:
        raise ModelFileError(f"{path / CONFIG} lacks {', '.join(missing)}; train again")
    if config["format_version"] != FORMAT_VERSION:
        raise ModelFileError(
            f"{path / CONFIG} has format {config['format_version']!r} and this version of "
            f"autoencode ({__version__}) reads {FORMAT_VERSION}; use the version that wrote it"
        )
    checked: dict[str, Any] = config
    return checked


def load_trained(
    folder: str | os.PathLike[str],
    *,
    device: torch.device | str = "cpu",
    encoder: nn.Module | None = None,
    decoder: nn.Module | None = None,
) -> Trained:
    """A trained model from its run folder.

    Args:
        folder: the run folder.
        device: where the model is put; files know no device.
        encoder, decoder: the networks' classes built again, for a run with networks of your own.

    Raises:
        RunFolderError: when the folder is missing or not complete.
        ModelFileError: when a file in it cannot be trusted or used.
    """
    path = Path(folder)
    config = load_config(path)
    if config.get("custom_networks") and encoder is None:
        raise ModelFileError(
            f"{path} was trained with networks of your own, which no file can hold; "
            "pass encoder= and decoder= to load"
        )
    try:
        spec = _spec(config["spec"])
        options = {str(name): value for name, value in config["options"].items()}
        recipe = build(config["recipe"], spec, encoder=encoder, decoder=decoder, **options)
        plan = type(recipe.plan)(**config.get("plan", {}))
        recipe = recipe.with_plan(**asdict(plan))
    except (AutoencodeError, TypeError, ValueError, AttributeError, KeyError) as error:
        raise ModelFileError(f"{path / CONFIG} cannot be used: {error}") from None
    if config.get("fitted_prior"):
        recipe.model.prior = FittedGaussian(recipe.latent_shape)
    tensors = _read_weights(path / WEIGHTS, config["weights_sha256"], recipe.model.state_dict())
    recipe.model.load_state_dict(tensors)
    recipe.model.to(device).eval()
    kept = ("data", "seed", "schedule", "command", "environment", "notices", "unit", "training")
    return Trained(recipe, {key: config[key] for key in kept if key in config})


def _spec(fields: Mapping[str, Any]) -> DataSpec:
    spec = DataSpec(
        shape=tuple(int(n) for n in fields["shape"]),
        kind=fields["kind"],
        offset=tuple(float(v) for v in fields["offset"]),
        scale=tuple(float(v) for v in fields["scale"]),
        context_dim=int(fields.get("context_dim", 0)),
    )
    numbers = (*spec.offset, *spec.scale)
    if spec.kind not in ("unit", "real") or not all(map(math.isfinite, numbers)):
        raise ValueError("the data specification is damaged")
    return spec


def _read_weights(path: Path, sha256: str, expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RunFolderError(f"cannot read {path}: {error.strerror}; train again") from None
    if hashlib.sha256(content).hexdigest() != sha256:
        raise ModelFileError(f"{path} was altered or damaged (SHA-256 differs); train again")
    try:
        tensors = safetensors.torch.load(content)
    except (safetensors.SafetensorError, ValueError, KeyError) as error:
        raise ModelFileError(f"{path} is not a safetensors file: {error}") from None
    shapes = {name: tuple(t.shape) for name, t in tensors.items()}
    wanted = {name: tuple(t.shape) for name, t in expected.items()}
    wrong = sorted(n for n in wanted.keys() | shapes.keys() if wanted.get(n) != shapes.get(n))
    if wrong:
        name = wrong[0]
        raise ModelFileError(
            f"{path} does not fit its configuration: {name} is {shapes.get(name, 'missing')} and "
            f"should be {wanted.get(name, 'absent')}"
        )
    bad = [n for n, t in tensors.items() if t.is_floating_point() and not bool(t.isfinite().all())]
    if bad:
        raise ModelFileError(f"{path} holds weights that are not finite: {bad[0]}")
    return tensors
