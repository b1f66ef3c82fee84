"""Model files: ``config.json`` and ``model.safetensors``, without any pickle.

A configuration names a recipe and its options, never code, paths or addresses; the weights are checked
against their SHA-256 and against the names and shapes of the model that the recipe builds.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from autoencode.dtypes import dtype_of
from autoencode.errors import AutoencodeError, ModelFileError, OptionError, RunFolderError
from autoencode.files.atomic import write_atomically
from autoencode.files.regular import read_regular
from autoencode.files.sealed import parse_json, read_json, seal, unseal
from autoencode.models.marginals import Marginals
from autoencode.priors import FittedGaussian, FittedMixture
from autoencode.recipes import Recipe, build
from autoencode.recipes.lookup import registered
from autoencode.recipes.registry import PLAN_OPTIONS
from autoencode.trained.priors import prior_for
from autoencode.trained.trained import Trained
from autoencode.types import Channels, Column, ColumnKind, DataSpec, Support, Unknown
from autoencode.version import __version__

FORMAT_VERSION = 1
CONFIG, WEIGHTS, HISTORY = "config.json", "model.safetensors", "history.jsonl"
METRICS_FILE, PLOTS, REPORT, RESUME = "metrics.json", "plots", "report.html", "resume"
LEFT_OUT = "left_out"  # among the metrics: what could not be measured, and why
# Options that older files do not name, and what was so when they were written.
_BEFORE = {"shortcut": "none", "keep": "auto", "gaps": "zeros"}
_NEEDED = ("format_version", "recipe", "options", "plan", "spec", "weights_sha256")
_TYPES: Mapping[str, tuple[type, ...]] = {
    "format_version": (int,),
    "recipe": (str,),
    "options": (dict,),
    "plan": (dict,),
    "spec": (dict,),
    "weights_sha256": (str,),
    "custom_networks": (bool,),
    "fitted_prior": (bool,),
    "prior": (str, type(None)),
    "prior_components": (int, type(None)),
    "sampler": (str, type(None)),
    "sampler_components": (int, type(None)),
    "marginals": (bool,),
    "latent_shape": (list,),
    "data": (dict,),
    "data.source": (str, type(None)),
    "data.name": (str, type(None)),
    "data.sha256": (str,),
    "data.standardize": (str,),
    "data.layout": (str,),
    "seed": (int,),
    "schedule": (str,),
    "command": (str, type(None)),
    "environment": (dict,),
    "notices": (list,),
    "unit": (str,),
    "training": (dict,),
    "relative_error": (float, int),
    "scaled_by": (int,),
}
# What is kept of them in ``Trained.info``.
_INFO = (
    *("data", "seed", "schedule", "command", "environment", "notices", "unit", "training"),
    *("relative_error", "scaled_by"),
)
_MAX_ENTRIES = 1 << 31  # of one example
_MOST_TERMS = 100  # of a line of the history; each gets a panel of its own in a picture
_TIMES, _TIMES_WEIGHTS = 60, 3  # the bytes of a file that it takes at most once it is read


def save_model(trained: Trained, folder: str | os.PathLike[str]) -> None:
    """Writes ``model.safetensors`` and then ``config.json`` into a folder that exists.

    The configuration comes last: a folder that has one is complete.
    """
    target, weights = Path(folder), _weights_of(trained)
    config = {**model_config(trained), "weights_sha256": hashlib.sha256(weights).hexdigest()}
    write_atomically(target / WEIGHTS, weights)
    write_atomically(target / CONFIG, seal(config))


def sha256_of(trained: Trained) -> str:
    """Computes the SHA-256 that ``model.safetensors`` has or would have."""
    return hashlib.sha256(_weights_of(trained)).hexdigest()


def _weights_of(trained: Trained) -> bytes:
    """Encodes the weights as the content of ``model.safetensors``."""
    state = trained.model.state_dict()
    return safetensors.torch.save({name: t.detach().cpu().contiguous() for name, t in state.items()})


def model_config(trained: Trained) -> dict[str, Any]:
    """Makes the content of ``config.json``, but for the SHA-256 of the weights."""
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
        "prior": getattr(trained.model.prior, "kind", None),
        "prior_components": _components_of(trained.model.prior),
        "sampler": getattr(trained.model.sampler, "kind", None),
        "sampler_components": _components_of(trained.model.sampler),
        "marginals": trained.model.marginals is not None,
        "latent_shape": list(trained.latent_shape),
        **trained.info,
    }


def _components_of(prior: nn.Module | None) -> int | None:
    return prior.n_components if isinstance(prior, FittedMixture) else None


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> str:
    """Writes tensors by name into a safetensors file and returns its SHA-256."""
    content = safetensors.torch.save(dict(tensors))
    write_atomically(path, content)
    return hashlib.sha256(content).hexdigest()


def read_tensors(path: Path, sha256: str) -> dict[str, Tensor]:
    """Reads the tensors of a file whose SHA-256 must be this one.

    Raises:
        RunFolderError: when it cannot be read.
        ModelFileError: when it is another file.
    """
    return _parsed(path, _read_weights(path, sha256))


def write_history(history: list[dict[str, Any]], folder: str | os.PathLike[str]) -> None:
    """Writes ``history.jsonl``, one line for each epoch."""
    lines = [json.dumps(entry) + "\n" for entry in history]
    write_atomically(Path(folder) / HISTORY, "".join(lines).encode())


def read_history(folder: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Reads the lines of a run's history; one that is no record of an epoch is left out.

    A crash may cut the last line short.
    """
    lines: list[dict[str, Any]] = []
    try:
        text = read_regular(Path(folder) / HISTORY, times=_TIMES).decode(errors="replace")
    except OSError:
        return lines
    for line in text.splitlines():
        with contextlib.suppress(ValueError, RecursionError):
            entry = parse_json(line)
            if isinstance(entry, dict) and _is_record(entry):
                lines.append(entry)
    return lines


def _is_record(entry: Mapping[str, Any]) -> bool:
    """Tells whether a line of a history is what ``EpochRecord.as_dict`` gives."""
    numbers = {name: value for name, value in entry.items() if name != "diagnoses"}
    diagnoses = entry.get("diagnoses", [])
    return (
        type(entry.get("epoch")) is int
        and len(entry) <= _MOST_TERMS
        and all(value is None or _is_number(value) for value in numbers.values())
        and isinstance(diagnoses, list)
        and all(isinstance(found, dict) and _is_diagnosis(found) for found in diagnoses)
    )


def _is_diagnosis(found: Mapping[str, Any]) -> bool:
    texts = (found.get(name) for name in ("rule", "message", "suggestion"))
    return all(isinstance(text, str) for text in texts) and type(found.get("epoch")) is int


def _is_number(value: Any) -> bool:
    """Tells whether a value from JSON is a number that a float can hold."""
    return _is(value, int, float) and not abs(value) > sys.float_info.max


def read_metrics(folder: str | os.PathLike[str]) -> dict[str, float | None]:
    """Reads the metrics of a run, what is no number left out; none when the file cannot be read."""
    values = _metrics_file(folder)
    return {name: value for name, value in values.items() if value is None or _is_number(value)}


def read_left_out(folder: str | os.PathLike[str]) -> dict[str, str]:
    """What was not measured of the run because it failed or was too dear: names, and why."""
    found = _metrics_file(folder).get(LEFT_OUT)
    return {str(name): str(why) for name, why in found.items()} if isinstance(found, dict) else {}


def _metrics_file(folder: str | os.PathLike[str]) -> dict[str, Any]:
    try:
        values = parse_json(read_regular(Path(folder) / METRICS_FILE, times=_TIMES))
    except (OSError, ValueError, RecursionError):
        return {}
    return values if isinstance(values, dict) else {}


def load_config(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """Reads the configuration of a run folder.

    Raises:
        RunFolderError: when the folder is missing or not (yet) a run.
        ModelFileError: when the configuration cannot be used.
    """
    path = Path(folder)
    if not path.is_dir():
        raise RunFolderError(f"no run folder at {path}; autoencode runs lists those there are")
    if not (path / CONFIG).is_file():
        if (path / RESUME).is_dir():
            raise RunFolderError(
                f"{path} is not a complete run: its training did not finish; "
                f"autoencode train --resume {path} goes on"
            )
        raise RunFolderError(f"{path} is not a complete run: it has no config.json; train it again")
    try:
        config, written = read_json(path / CONFIG)
    except OSError as error:
        raise RunFolderError(f"cannot read {path / CONFIG}: {error.strerror}; train again") from None
    _check_format(path / CONFIG, config)
    config = unseal(config, written, path / CONFIG)
    _check_types(path / CONFIG, config)
    return config


def _check_format(path: Path, config: Mapping[str, Any]) -> None:
    """Refuses a configuration that lacks something or is of another format."""
    if missing := [key for key in _NEEDED if key not in config]:
        raise ModelFileError(f"{path} lacks {', '.join(missing)}; train again")
    if config["format_version"] != FORMAT_VERSION:
        raise ModelFileError(
            f"{path} has format {str(config['format_version'])[:20]} and this version of "
            f"autoencode ({__version__}) reads {FORMAT_VERSION}; use the version that wrote it"
        )


def _check_types(path: Path, config: Mapping[str, Any]) -> None:
    """Refuses a configuration with values of a wrong type."""
    data = config.get("data")
    facts = {f"data.{k}": value for k, value in data.items()} if isinstance(data, dict) else {}
    for key, value in {**config, **facts}.items():
        kinds = _TYPES.get(key)
        if kinds is not None and not _is(value, *kinds):
            expected = " or ".join(kind.__name__.replace("NoneType", "null") for kind in kinds)
            raise ModelFileError(
                f"{path} is damaged: {key} is of type {type(value).__name__} and should be "
                f"{expected}; train again"
            )
    if config.get("seed", 0) < 0:
        raise ModelFileError(f"{path} is damaged: seed is negative; train again")


def _is(value: Any, *kinds: type) -> bool:
    """Tells whether a value has exactly one of these types (true is no whole number)."""
    return type(value) in kinds


def load_trained(
    folder: str | os.PathLike[str],
    *,
    device: torch.device | str = "cpu",
    encoder: nn.Module | None = None,
    decoder: nn.Module | None = None,
) -> Trained:
    """Loads a trained model from its run folder.

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
    _known_recipe(path / CONFIG, config)
    if config.get("custom_networks") and encoder is None:
        raise ModelFileError(
            f"{path} was trained with networks of your own, which no file can hold; "
            "pass encoder= and decoder= to load"
        )
    content = _read_weights(path / WEIGHTS, config["weights_sha256"])
    if encoder is None:  # on no device first: a size that is a lie then costs no memory
        with torch.device("meta"):
            _tensors(path / WEIGHTS, content, _rebuild(path / CONFIG, config, None, None))
    recipe = _rebuild(path / CONFIG, config, encoder, decoder)
    recipe.model.load_state_dict(_tensors(path / WEIGHTS, content, recipe))
    recipe.model.to(device).eval()
    return Trained(recipe, {key: config[key] for key in _INFO if key in config})


def _known_recipe(path: Path, config: Mapping[str, Any]) -> None:
    """Refuses a recipe that nothing here defines; one of an installed package is imported for it."""
    try:
        registered(config["recipe"])
    except OptionError as error:
        raise ModelFileError(f"{path} cannot be used: {error}") from None


def _rebuild(
    path: Path, config: Mapping[str, Any], encoder: nn.Module | None, decoder: nn.Module | None
) -> Recipe:
    """Builds the recipe that a configuration names, with weights that are yet to be read."""
    try:
        spec = _spec(config["spec"])
        options = {**config["options"], **config["plan"]}
        info = registered(config["recipe"])
        known = {**info.options, **PLAN_OPTIONS}
        options |= {name: _BEFORE[name] for name in _BEFORE.keys() & known.keys() - options.keys()}
        if unknown := sorted(options.keys() - known.keys()):  # seed, say, which build also takes
            raise ModelFileError(f"unknown option '{unknown[0]}'")
        recipe = build(info.function, spec, encoder=encoder, decoder=decoder, **options)
        # Files written before there were other kinds say only whether there is a Gaussian one.
        fitted = bool(config.get("fitted_prior"))
        kind = config.get("prior", "gaussian" if fitted else None)
        if (kind == "gaussian") != fitted:
            raise ModelFileError(f"prior {kind} does not fit fitted_prior {fitted}")
        if kind is not None:
            recipe.model.prior = prior_for(recipe, kind, config.get("prior_components"))
        if (kind := config.get("sampler")) is not None:
            recipe.model.sampler = prior_for(recipe, kind, config.get("sampler_components"))
        if config.get("marginals"):
            recipe.model.marginals = Marginals(spec.size)
        return recipe
    except KeyError as error:
        raise ModelFileError(f"{path} cannot be used: {error} is missing or unknown") from None
    # RuntimeError and MemoryError: sizes that no machine has the memory for.
    except (AutoencodeError, TypeError, ValueError, ArithmeticError) as error:
        raise ModelFileError(f"{path} cannot be used: {error}") from None
    except (RuntimeError, MemoryError) as error:
        raise ModelFileError(f"{path} asks for a model that cannot be built: {error}") from None


def _spec(fields: Mapping[str, Any]) -> DataSpec:
    spec = DataSpec(
        shape=tuple(int(n) for n in fields["shape"]),
        kind=fields["kind"],
        offset=tuple(float(v) for v in fields["offset"]),
        scale=tuple(float(v) for v in fields["scale"]),
        context_dim=int(fields.get("context_dim", 0)),
        columns=tuple(_column(column) for column in fields.get("columns", ())),
        gaps=bool(fields.get("gaps", False)),
        noisy=bool(fields.get("noisy", False)),
        handle_unknown=fields.get("handle_unknown", "ignore"),
        classes=tuple(str(name) for name in fields.get("classes", ())),
        labelled=None if fields.get("labelled") is None else float(fields["labelled"]),
        given_shape=tuple(int(n) for n in fields.get("given_shape", ())),
        given_dtype=_dtype(fields),
        ragged=bool(fields.get("ragged", False)),
        support=None if fields.get("support") is None else _support(fields["support"]),
        channels=fields.get("channels"),
    )
    names = [column.name for column in spec.columns]
    sound = (
        spec.kind in ("unit", "real")
        and spec.shape
        and all(n > 0 for n in spec.shape)
        and spec.size <= _MAX_ENTRIES
        and all(map(math.isfinite, (*spec.offset, *spec.scale)))
        and all(v > 0 for v in spec.scale)
        and all(len(values) in (1, spec.size) for values in (spec.offset, spec.scale))
        and spec.context_dim >= 0
        and len(spec.classes) in (0, spec.context_dim)
        and (spec.labelled is None or 0 < spec.labelled <= 1)
        and len(names) in (0, spec.size)
        and fields.get("layout", spec.layout) == spec.layout  # files from before it have none
        and all(n > 0 for n in spec.given_shape)
        and (not spec.given_shape or math.prod(spec.given_shape) == spec.size)
        and len(set(names)) == len(names)
        and spec.channels in (None, *get_args(Channels))
        and (spec.support is None or len(spec.support.low) == spec.size)
        and spec.handle_unknown in get_args(Unknown)
    )
    if not sound:
        raise ValueError("the data specification is damaged")
    return spec


def _dtype(fields: Mapping[str, Any]) -> str:
    """Reads the dtype of the training data, which older files have beside the values, if at all."""
    found = str(fields.get("given_dtype", (fields.get("support") or {}).get("dtype", "")))
    if found and np.dtype(found).kind not in "biuf":
        raise ValueError("the description of the data's values is damaged")
    return found


def _support(fields: Mapping[str, Any]) -> Support:
    low, high = (tuple(float(v) for v in fields[name]) for name in ("low", "high"))
    values = tuple(tuple(float(v) for v in few) for few in fields["values"])
    decimals = tuple(int(n) for n in fields["decimals"])
    support = Support(low, high, decimals, values)
    sound = (
        len(low) == len(high) == len(decimals) == len(values)
        and all(math.isfinite(a) and a <= b < math.inf for a, b in zip(low, high, strict=True))
        and all(-1 <= n <= 20 for n in decimals)
        and all(map(math.isfinite, (v for few in values for v in few)))
    )
    if not sound:
        raise ValueError("the description of the data's values is damaged")
    return support


def read_columns(config: Mapping[str, Any]) -> tuple[Column, ...]:
    """Reads from a configuration the columns of the table that a model was trained on.

    Raises:
        ModelFileError: when they are damaged.
    """
    try:
        return tuple(_column(fields) for fields in config["spec"].get("columns", ()))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelFileError(f"the columns of the model are damaged: {error}; train again") from None


def _column(fields: Mapping[str, Any]) -> Column:
    categories = tuple(fields["categories"])
    dtype = str(fields.get("dtype", ""))
    numbers = {name: tuple(int(n) for n in fields.get(name, ())) for name in ("counts", "states")}
    more: dict[str, Any] = {**numbers, "dtype": dtype, "text": fields.get("text", "")}
    column = Column(fields["name"], fields["kind"], categories, float(fields["origin"]), **more)
    sound = (
        column.kind in get_args(ColumnKind)
        and all(isinstance(text, str) for text in (column.name, *categories, column.text))
        and len(set(categories)) == len(categories)
        and bool(categories) == (column.kind == "category")
        and math.isfinite(column.origin)
        and (not dtype or dtype_of(dtype) is not None)
        and all(
            len(each) in (0, len(categories)) and min(each, default=0) >= 0 for each in numbers.values()
        )
        and max(column.states, default=0) < max(1, len(categories))
    )
    if not sound:
        raise ValueError("the specification of a column is damaged")
    return column


def _read_weights(path: Path, sha256: str) -> bytes:
    try:
        content = read_regular(path, times=_TIMES_WEIGHTS)
    except OSError as error:
        raise RunFolderError(f"cannot read {path}: {error.strerror}; train again") from None
    if hashlib.sha256(content).hexdigest() != sha256:
        raise ModelFileError(f"{path} was altered or damaged (SHA-256 differs); train again")
    return content


def _tensors(path: Path, content: bytes, recipe: Recipe) -> dict[str, Tensor]:
    """Reads the weights and checks that they fit the recipe's model and are finite."""
    tensors = _parsed(path, content)
    for name, part in recipe.model.named_modules():
        if complete := getattr(part, "complete", None):  # files of earlier versions lack some
            complete(tensors, f"{name}." if name else "")
    found = {name: _kind(t) for name, t in tensors.items()}
    wanted = {name: _kind(t) for name, t in recipe.model.state_dict().items()}
    wrong = sorted(n for n in wanted.keys() | found.keys() if wanted.get(n) != found.get(n))
    if wrong:
        name = wrong[0]
        raise ModelFileError(
            f"{path} does not fit its configuration: {name:.80} is {found.get(name, 'missing')} and "
            f"should be {wanted.get(name, 'absent')}"
        )
    bad = [n for n, t in tensors.items() if t.is_floating_point() and not bool(t.isfinite().all())]
    if bad:
        raise ModelFileError(f"{path} holds weights that are not finite: {bad[0]}")
    return tensors


def _kind(tensor: Tensor) -> str:
    """Shape and type of a tensor, both of which have to be the model's."""
    return f"{tuple(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')}"


def _parsed(path: Path, content: bytes) -> dict[str, Tensor]:
    try:
        # The library takes the last of two tensors of one name.
        parse_json(content[8 : 8 + int.from_bytes(content[:8], "little")])
        tensors: dict[str, Tensor] = safetensors.torch.load(content)
    except (safetensors.SafetensorError, ValueError, LookupError, RecursionError) as error:
        raise ModelFileError(f"{path} is not a safetensors file: {error}") from None
    return tensors
