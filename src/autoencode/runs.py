"""Run folders: training into one, reading them back, listing and comparing them.

::

    RUN/  config.json  model.safetensors  history.jsonl  metrics.json  plots/*.png  report.html

A run is written into a folder beside its final place and takes its name when it is complete, so that
whatever bears the name is whole and a failed run leaves nothing behind.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from autoencode.data import Data, Examples, Resident, load_data, load_examples
from autoencode.data.download import OnBytes
from autoencode.errors import DataError, OptionError, RunFolderError, StorageError
from autoencode.evaluate.metrics import described, evaluate
from autoencode.files import write_atomically
from autoencode.io import CONFIG, environment, load_config, load_trained, save_model, to_json
from autoencode.recipes import Recipe, build, recipe_info
from autoencode.recipes.catalogue import ScheduleName
from autoencode.trained import Trained, choose_device, fit_prior
from autoencode.training import EpochRecord, Observer, TrainingPlan, fit

HISTORY, METRICS_FILE, REPORT, PLOTS = "history.jsonl", "metrics.json", "report.html", "plots"
SPLITS = ("test", "validation", "train")


@dataclass
class Run:
    """A trained model with its data, history and metrics; ``folder`` once it has been written."""

    trained: Trained
    data: Data
    history: list[dict[str, Any]]
    metrics: dict[str, float | None]
    seed: int
    folder: Path | None = None

    def split(self, name: str) -> Examples:
        """The test, validation or training examples of the run.

        Raises:
            OptionError: for another name.
            DataError: when this run has no such examples.
        """
        return pick_split(self.data, name, self.trained.recipe.plan.validation, self.seed)


def pick_split(data: Data, name: str, validation: float, seed: int) -> Examples:
    """One of the three parts of a data set, as training saw them."""
    if name not in SPLITS:
        raise OptionError(f"unknown split '{name}'; use {', '.join(SPLITS)}")
    train, held_out = data.split(validation, seed)
    found = {"test": data.test, "validation": held_out, "train": train}[name]
    if found is None:
        raise DataError(f"{data.name} has no {name} examples; use --split train")
    return found


def train(
    source: Any,
    recipe: str = "mlp",
    *,
    out: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    schedule: ScheduleName = "fast",
    seed: int = 0,
    device: str = "auto",
    data_dir: str | os.PathLike[str] | None = None,
    encoder: nn.Module | None = None,
    decoder: nn.Module | None = None,
    observer: Observer | None = None,
    on_bytes: OnBytes | None = None,
    command: str | None = None,
    **options: Any,
) -> Run:
    """Trains a recipe on data and measures it; with ``out`` it leaves a run folder.

    Args:
        source: a data set's name, a file, arrays, tensors or a torch dataset (``load_data``).
        recipe: one of ``RECIPES``.
        out: the run folder.
        overwrite: replace a run folder that is there.
        schedule: ``fast`` or ``paper``.
        seed: of the split, the weights, the order and the noise.
        device: auto, cpu, cuda or mps.
        data_dir: where named data sets lie.
        encoder, decoder: networks of your own (``build``).
        observer: watches training.
        on_bytes: told of downloaded bytes.
        command: how this run was started, for its report.
        **options: of the recipe and the training plan.

    Example:
        >>> run = train("digits", "mlp_small", epochs=1)
        >>> run.metrics["mse"] < 0.5
        True
    """
    target = None if out is None else check_target(Path(out), overwrite)
    where = choose_device(device)
    info = recipe_info(recipe)
    data = load_data(source, data_dir=data_dir, standardize=info.standardize, progress=on_bytes)
    built = build(
        recipe,
        data.spec,
        schedule=schedule,
        seed=seed,
        encoder=encoder,
        decoder=decoder,
        **options,
    )
    facts = {
        "data": {"source": _source_name(source), "name": data.name, "sha256": data.fingerprint()},
        "seed": seed,
        "schedule": schedule,
        "unit": built.unit,
        "notices": list(data.notices),
        "command": command,
        "environment": environment(),
    }
    with _staged(target, overwrite) as folder:
        history = _History(observer or Observer(), folder)
        trained = Trained(built, facts)
        records = fit_recipe(built, data, seed, where, history)
        facts["training"] = _training_facts(records, built.plan, len(data.train))
        run = _finish(trained, data, records, seed)
        if folder is not None:
            write_run(run, folder)
    run.folder = target
    return run


def fit_recipe(
    recipe: Recipe, data: Data, seed: int, device: Any, observer: Observer | None = None
) -> list[EpochRecord]:
    """Trains a recipe on the training part of some data, watching its validation part."""
    examples, held_out = data.split(recipe.plan.validation, seed)
    return fit(
        recipe.model,
        recipe.updates,
        Resident(examples, data.spec, device),
        recipe.plan,
        validation=None if held_out is None else Resident(held_out, data.spec, device),
        seed=seed,
        device=device,
        observer=observer,
    )


def _source_name(source: Any) -> str | None:
    """What can be written into a file to find the data again: a name or an absolute path."""
    if not isinstance(source, str | os.PathLike):
        return None
    path = Path(source)
    return str(path.resolve()) if path.exists() else str(source)


def _training_facts(records: list[EpochRecord], plan: TrainingPlan, n_train: int) -> dict[str, Any]:
    return {
        "epochs": len(records),
        "steps": records[-1].step,
        "seconds": round(sum(record.seconds for record in records), 3),
        "complete": len(records) == plan.n_epochs(n_train - round(plan.validation * n_train)),
    }


def _finish(trained: Trained, data: Data, records: list[EpochRecord], seed: int) -> Run:
    training, _ = data.split(trained.recipe.plan.validation, seed)
    fit_prior(trained, training, seed)
    judged = data.test if data.test is not None else training
    metrics = evaluate(trained, judged, training, seed=seed)
    return Run(trained, data, [record.as_dict() for record in records], metrics, seed)


class _History(Observer):
    """Writes ``history.jsonl`` line by line and passes everything on."""

    def __init__(self, inner: Observer, folder: Path | None) -> None:
        self.inner = inner
        self.path = None if folder is None else folder / HISTORY
        self.start, self.step, self.stop = inner.start, inner.step, inner.stop  # type: ignore[method-assign]

    def epoch(self, record: EpochRecord) -> None:
        if self.path is not None:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(record.as_dict()) + "\n")
        self.inner.epoch(record)


def check_target(out: Path, overwrite: bool) -> Path:
    """The run folder to write, refused before any work when it cannot be.

    Raises:
        RunFolderError: when it exists and is not to be overwritten, or is not a run.
    """
    if out.exists() or out.is_symlink():
        if not overwrite:
            raise RunFolderError(f"{out} exists; pass --overwrite, or another folder with --out")
        is_run = out.is_dir() and ((out / CONFIG).exists() or not any(out.iterdir()))
        if not is_run:
            raise RunFolderError(f"{out} is not a run folder, so it is not overwritten")
    return out


@contextlib.contextmanager
def _staged(target: Path | None, overwrite: bool) -> Iterator[Path | None]:
    """A folder beside the target that takes its name when the block succeeds, else disappears."""
    if target is None:
        yield None
        return
    stage = target.parent / f".{target.name}.{uuid.uuid4().hex[:8]}.partial"
    try:
        stage.mkdir(parents=True)
        yield stage
        with contextlib.suppress(FileNotFoundError):
            if overwrite:
                old = stage.with_suffix(".old")
                target.rename(old)
                shutil.rmtree(old)
        stage.rename(target)
    except OSError as error:
        raise StorageError(
            f"cannot write the run {target}: {error.strerror or error}; "
            "free some space or choose another folder with --out"
        ) from error
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def write_run(run: Run, folder: Path) -> None:
    """Writes model, metrics, pictures and report of a run into a folder that exists."""
    from autoencode.evaluate import pictures, plots, report

    (folder / PLOTS).mkdir(exist_ok=True)
    shown = run.data.test if run.data.test is not None else run.data.train
    drawn = []
    for kind in pictures.available(run.trained):
        figure = pictures.draw(kind, run.trained, shown, run.history, seed=run.seed)
        content = plots.png(figure)
        write_atomically(folder / PLOTS / f"{kind}.png", content)
        drawn.append({"image": content, "caption": pictures.caption(kind, run.trained)})
    write_atomically(folder / METRICS_FILE, to_json(run.metrics))
    save_model(run.trained, folder)
    config = json.loads((folder / CONFIG).read_text())
    report.write_report(
        folder / REPORT,
        title=f"{run.trained.recipe.name} on {run.data.name}",
        config=config,
        metrics=described(run.metrics),  # type: ignore[arg-type]
        history=run.history,
        pictures=drawn,  # type: ignore[arg-type]
        notices=run.data.notices,
        history_unit=run.trained.recipe.unit,
    )


def read_history(folder: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """The lines of a run's history; a line cut short by a crash is left out."""
    lines: list[dict[str, Any]] = []
    try:
        text = (Path(folder) / HISTORY).read_text(encoding="utf-8")
    except OSError:
        return lines
    for line in text.splitlines():
        with contextlib.suppress(ValueError):
            lines.append(json.loads(line))
    return lines


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
    info = recipe_info(trained.recipe.name)
    data = load_data(source, data_dir=data_dir, standardize=info.standardize)
    if data.fingerprint() != facts.get("sha256"):
        raise DataError(f"{source} is not what {folder} was trained on any more; give DATA")
    return data


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
    trained = load_trained(folder, device=choose_device(device))
    own = source is None
    if own or split != "test":
        data = run_data(trained, folder, data_dir)
        validation, run_seed = trained.recipe.plan.validation, int(trained.info.get("seed", 0))
        training = pick_split(data, "train", validation, run_seed)
        if not own:
            raise OptionError("--split chooses a part of the run's own data; leave DATA out")
        examples = pick_split(data, split, validation, run_seed)
        name = data.name
    else:
        examples = load_examples(source, trained.spec, data_dir=data_dir)
        training, name, split = None, str(source), "all"
    values = evaluate(trained, examples, training, seed=seed)
    return {**values, "data": name, "split": split, "n": len(examples)}


def default_folder(data: str, recipe: str, root: str | os.PathLike[str] = "runs") -> Path:
    """``runs/DATA-RECIPE``, numbered when it is taken."""
    stem = f"{Path(data).stem}-{recipe}"
    names = (stem if i == 1 else f"{stem}-{i}" for i in range(1, 1_000_000))
    return next(Path(root) / name for name in names if not (Path(root) / name).exists())


def list_runs(root: str | os.PathLike[str] = "runs") -> list[dict[str, Any]]:
    """All complete runs under a folder, oldest first, each with what is worth comparing.

    Raises:
        RunFolderError: when there is no such folder.
    """
    top = Path(root)
    if not top.is_dir():
        raise RunFolderError(f"no folder {top}; autoencode train makes runs")
    configs = [p for p in top.glob("**/" + CONFIG) if not any(q.startswith(".") for q in p.parts)]
    found = []
    for path in sorted(configs, key=lambda p: p.stat().st_mtime):
        with contextlib.suppress(RunFolderError, DataError, ValueError):
            found.append(_summary(path.parent, load_config(path.parent)))
    return found


def _summary(folder: Path, config: Mapping[str, Any]) -> dict[str, Any]:
    metrics: dict[str, Any] = {}
    with contextlib.suppress(OSError, ValueError):
        metrics = json.loads((folder / METRICS_FILE).read_text())
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
        "written": time.strftime("%Y-%m-%d %H:%M", time.localtime((folder / CONFIG).stat().st_mtime)),
    }
