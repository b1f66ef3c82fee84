"""Runs that are there: their data, metrics on other data, and a list to compare them."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from autoencode.data import (
    Data,
    Examples,
    ImageOptions,
    Stored,
    TableOptions,
    load_data,
    load_examples,
    open_examples,
    reopened,
)
from autoencode.data.leaving import is_one_of
from autoencode.errors import DataError, ModelFileError, OptionError, RunFolderError
from autoencode.evaluate.case import Case
from autoencode.evaluate.metrics import quick
from autoencode.files import storage_error
from autoencode.fitting import prior_for
from autoencode.io import CONFIG, PLOTS, load_config, load_trained, read_metrics
from autoencode.recipes.catalogue import scaling
from autoencode.trained import Trained, choose_device, fit_prior

SPLITS = ("test", "validation", "train")


def table_of(trained: Trained) -> TableOptions:
    """What was said of the columns when the model was trained."""
    return TableOptions.from_dict(trained.info.get("data", {}).get("table"))


def images_of(trained: Trained, on_bad_file: str | None = None) -> ImageOptions:
    """What was said of images when the model was trained, perhaps with another word on bad files."""
    found = ImageOptions.from_dict(trained.info.get("data", {}).get("images"))
    return replace(found, on_bad_file=on_bad_file) if on_bad_file else found  # type: ignore[arg-type]


def pick_split(data: Data, name: str, validation: float, seed: int) -> Examples:
    """One of the three parts of a data set, as training saw them; of a store as many as fit."""
    _check_split(name)
    train, held_out = data.split(validation, seed)
    found = {"test": data.test, "validation": held_out, "train": train}[name]
    if found is None:
        raise DataError(f"{data.name} has no {name} examples; use --split train")
    return found.bounded()


def _check_split(name: str, own: bool = True) -> None:
    if name not in SPLITS:
        raise OptionError(f"unknown split '{name}'; use {', '.join(SPLITS)}")
    if not own and name != "test":
        raise OptionError("--split chooses a part of the run's own data; leave DATA out")


def plots_folder(folder: str | os.PathLike[str]) -> Path:
    """The folder of a run's pictures, made if it is not there.

    Raises:
        StorageError: when it cannot be made.
    """
    target = Path(folder) / PLOTS
    try:
        target.mkdir(exist_ok=True)
    except OSError as error:
        raise storage_error(target, error) from error
    return target


def run_data(
    trained: Trained, folder: str | os.PathLike[str], data_dir: str | os.PathLike[str] | None
) -> Data:
    """The data that a run was trained on, read again.

    Raises:
        DataError: when they were given in memory, or have changed since.
    """
    facts: Mapping[str, Any] = trained.info.get("data", {})
    source = facts.get("source")
    if not source:
        raise DataError(f"{folder} was trained on data in memory; give DATA")
    if facts.get("streamed"):
        data = reopened(source, trained.spec, data_dir, images_of(trained))
    else:
        data = load_data(
            source,
            data_dir=data_dir,
            standardize=facts.get("standardize")
            or scaling(trained.recipe.name, trained.recipe.options),
            stream=False,
            table=table_of(trained),
            images=images_of(trained),
            leave_out=facts.get("left_out", ()),
        )
    if data.fingerprint() != facts.get("sha256"):
        raise DataError(f"{source} is not what {folder} was trained on any more; give DATA")
    return data


def examples_for(
    trained: Trained,
    folder: str | os.PathLike[str],
    source: Any = None,
    split: str = "test",
    data_dir: str | os.PathLike[str] | None = None,
    on_bad_file: str | None = None,
) -> Examples:
    """A part of the run's own data, or other data (their test part where they have one, else all).

    Raises:
        OptionError: for an unknown split, or one of other data.
        DataError: when the data cannot be read or do not fit.
    """
    _check_split(split, own=source is None)
    if source is not None:
        return load_examples(
            source,
            trained.spec,
            data_dir=data_dir,
            table=table_of(trained),
            images=images_of(trained, on_bad_file),
        )
    data = run_data(trained, folder, data_dir)
    if split == "train" and not isinstance(data.train, Examples):
        raise DataError(
            f"{data.name} stays on disk, so its training part cannot be given whole; use --split test "
            "or validation, or give DATA (embed takes it)"
        )
    return pick_split(data, split, trained.recipe.plan.validation, trained.info.get("seed", 0))


def examples_to_embed(
    trained: Trained,
    folder: str | os.PathLike[str],
    source: Any = None,
    split: str = "test",
    data_dir: str | os.PathLike[str] | None = None,
    on_bad_file: str | None = None,
) -> Examples | Stored:
    """``examples_for``, but what lies on disk stays there; the training part too.

    Raises:
        OptionError: for an unknown split, or one of other data.
        DataError: when the data cannot be read or do not fit.
    """
    _check_split(split, own=source is None)
    if source is not None:
        return open_examples(
            source,
            trained.spec,
            data_dir=data_dir,
            table=table_of(trained),
            images=images_of(trained, on_bad_file),
        )
    if split != "train":
        return examples_for(trained, folder, None, split, data_dir)
    data = run_data(trained, folder, data_dir)
    return data.split(trained.recipe.plan.validation, trained.info.get("seed", 0))[0]


def with_prior(
    trained: Trained,
    folder: str | os.PathLike[str],
    kind: str,
    seed: int = 0,
    data_dir: str | os.PathLike[str] | None = None,
    n_components: int | None = None,
) -> Trained:
    """A run's model with another prior, fitted to the codes of its training examples.

    Args:
        trained: the model of the run; changed in place, the run's files stay as they are.
        folder: the run folder.
        kind, n_components: see ``fit_prior``.
        seed: of the fit.
        data_dir: where named data sets lie.

    Raises:
        OptionError: for an unknown kind.
        IncompatibleError: for a kind that is not for this model's codes.
        DataError: when the training data cannot be read again.
    """
    prior_for(trained.recipe, kind, n_components)  # refuses before any work what cannot be fitted
    data = run_data(trained, folder, data_dir)
    plan, run_seed = trained.recipe.plan, trained.info.get("seed", 0)
    train = pick_split(data, "train", plan.validation, run_seed)
    return fit_prior(trained, train, seed, kind, n_components)


def case_of_run(
    folder: str | os.PathLike[str],
    source: Any = None,
    *,
    split: str = "test",
    device: str = "auto",
    data_dir: str | os.PathLike[str] | None = None,
    seed: int = 0,
    anomalies: Any = None,
    **asked: Any,
) -> tuple[Case, dict[str, Any]]:
    """A run and a part of its own data, or other data (their test part, else all), to be measured.

    Args:
        folder: the run folder.
        source: other data.
        split: else which part of the run's own.
        device: auto, cpu, cuda or mps.
        data_dir: where named data sets lie.
        seed: of all draws.
        anomalies: data of another kind; by default the classes that were left out of the run's own.
        **asked: of ``Case``.

    Returns:
        What is to be measured; and ``data``, ``split`` and ``n`` in words.
    """
    _check_split(split, own=source is None)
    trained = load_trained(folder, device=choose_device(device))
    training = None
    if source is None:
        data = run_data(trained, folder, data_dir)
        validation, run_seed = trained.recipe.plan.validation, trained.info.get("seed", 0)
        training = pick_split(data, "train", validation, run_seed)
        examples = pick_split(data, split, validation, run_seed)
        left_out = trained.info["data"].get("left_out", ())
        name = f"{data.name} without {', '.join(left_out)}" if left_out else data.name
    else:
        examples = examples_for(trained, folder, source, data_dir=data_dir)
        name, split = str(source), "all"
    others = None
    if anomalies is not None:
        others = examples_for(trained, folder, anomalies, data_dir=data_dir)
    elif source is None:
        others = left_out_of(trained, folder, data_dir)
    case = Case(trained, examples, training, seed, held_out=split != "train", anomalies=others, **asked)
    return case, {"data": name, "split": split, "n": len(examples)}


def left_out_of(
    trained: Trained, folder: str | os.PathLike[str], data_dir: str | os.PathLike[str] | None
) -> Examples | None:
    """Examples of the classes that were left out of a run's data, which it has never seen.

    Those of the test part, where the data have one of their own, else all. ``None`` for a run that
    left none out.
    """
    facts: Mapping[str, Any] = trained.info.get("data", {})
    if not facts.get("left_out"):
        return None
    examples = examples_for(trained, folder, facts["source"], data_dir=data_dir)
    assert examples.labels is not None  # or nothing could have been left out by them
    chosen = is_one_of(examples.labels, facts["left_out"])
    return examples.take(chosen.nonzero()[0]) if chosen.any() else None


def evaluate_run(
    folder: str | os.PathLike[str],
    source: Any = None,
    *,
    split: str = "test",
    device: str = "auto",
    data_dir: str | os.PathLike[str] | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Metrics of a run on a part of its own data, or on other data (their test part, else all).

    Returns:
        The metrics by name, with ``data``, ``split`` and ``n``.
    """
    case, facts = case_of_run(folder, source, split=split, device=device, data_dir=data_dir, seed=seed)
    return {**quick(case), **facts}


def list_runs(root: str | os.PathLike[str] = "runs") -> list[dict[str, Any]]:
    """All complete runs under a folder, oldest first, each with what is worth comparing.

    Raises:
        RunFolderError: when there is no such folder.
    """
    top = Path(root)
    if not top.is_dir():
        raise RunFolderError(f"no folder {top}; autoencode train makes runs")
    found = []
    for path in top.glob("**/" + CONFIG):
        if any(part.startswith(".") for part in path.relative_to(top).parts):
            continue  # a run that is not complete
        if (path.parent.parent / CONFIG).is_file():
            continue  # a part of another one
        # What is no run, or went away meanwhile, is not listed.
        with contextlib.suppress(RunFolderError, ModelFileError, OSError):
            written = path.stat().st_mtime
            found.append((written, _summary(path.parent, load_config(path.parent), written)))
    return [summary for _, summary in sorted(found, key=lambda pair: pair[0])]


def _summary(folder: Path, config: Mapping[str, Any], written: float) -> dict[str, Any]:
    metrics = read_metrics(folder)
    training = config.get("training", {})
    return {
        "run": str(folder),
        "recipe": config["recipe"],
        "data": config.get("data", {}).get("name"),
        "schedule": config.get("schedule"),
        "seed": config.get("seed"),
        "latent": config.get("latent_shape"),
        "epochs": training.get("epochs"),
        "seconds": training.get("seconds"),
        "mse": metrics.get("mse"),
        "elbo": metrics.get("elbo"),
        "written": time.strftime("%Y-%m-%d %H:%M", time.localtime(written)),
    }
