"""Run folders: training into one, reading them back, listing and comparing them.

::

    RUN/  config.json  model.safetensors  history.jsonl  metrics.json  plots/*.png  report.html

Whatever bears a run's name is complete (see ``staging``).
"""

from __future__ import annotations

import contextlib
import html
import json
import math
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from autoencode.data import Data, Examples, Resident, load_data, load_examples
from autoencode.data.download import OnBytes
from autoencode.errors import DataError, ModelFileError, OptionError, RunFolderError, TrainingError
from autoencode.evaluate.metrics import described, evaluate
from autoencode.files import storage_error, write_atomically
from autoencode.io import CONFIG, HISTORY, environment, load_config, load_trained, save_model, to_json
from autoencode.recipes import Recipe, build, recipe_info
from autoencode.recipes.catalogue import ScheduleName
from autoencode.staging import check_target, staged
from autoencode.trained import Trained, choose_device, fit_prior
from autoencode.training import EpochRecord, Observer, TrainingPlan, fit

METRICS_FILE, REPORT, PLOTS = "metrics.json", "report.html", "plots"
SPLITS = ("test", "validation", "train")
_MAX_SEED = 2**63 - 1
_LOWER = "try a lower learning rate"


@dataclass
class Run:
    """A trained model with its data, history and metrics; ``folder`` once it has been written."""

    trained: Trained
    data: Data
    history: list[dict[str, Any]]
    metrics: dict[str, float | None]
    seed: int
    folder: Path | None = None

    @property
    def diagnoses(self) -> list[dict[str, Any]]:
        """The faults that stood at the end of training, as in ``history.jsonl``."""
        return list(self.history[-1].get("diagnoses", ())) if self.history else []

    def split(self, name: str) -> Examples:
        """The test, validation or training examples of the run.

        Raises:
            OptionError: for another name.
            DataError: when this run has no such examples.
        """
        return pick_split(self.data, name, self.trained.recipe.plan.validation, self.seed)


def pick_split(data: Data, name: str, validation: float, seed: int) -> Examples:
    """One of the three parts of a data set, as training saw them."""
    _check_split(name)
    train, held_out = data.split(validation, seed)
    found = {"test": data.test, "validation": held_out, "train": train}[name]
    if found is None:
        raise DataError(f"{data.name} has no {name} examples; use --split train")
    return found


def _check_split(name: str, own: bool = True) -> None:
    if name not in SPLITS:
        raise OptionError(f"unknown split '{name}'; use {', '.join(SPLITS)}")
    if not own and name != "test":
        raise OptionError("--split chooses a part of the run's own data; leave DATA out")


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
    if not 0 <= seed <= _MAX_SEED:
        raise OptionError(f"the seed must lie in 0..2**63 - 1, got {seed}")
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
    with staged(target, overwrite) as folder:
        history = _History(observer or Observer(), folder)
        trained = Trained(built, facts)
        records = fit_recipe(built, data, seed, where, history)
        facts["training"] = _training_facts(records, built.plan, len(data.train))
        run = _finish(trained, data, records, seed)
        if folder is not None and target is not None:
            write_run(run, folder, target)
    run.folder = target
    return run


def fit_recipe(
    recipe: Recipe, data: Data, seed: int, device: Any, observer: Observer | None = None
) -> list[EpochRecord]:
    """Trains a recipe on the training part of some data, watching its validation part."""
    examples, held_out = data.split(recipe.plan.validation, seed)
    records = fit(
        recipe.model,
        recipe.updates,
        Resident(examples, data.spec, device),
        recipe.plan,
        validation=None if held_out is None else Resident(held_out, data.spec, device),
        seed=seed,
        device=device,
        observer=observer,
    )
    # The loss of the last step says nothing of the weights that this step left.
    if not all(bool(p.isfinite().all()) for p in recipe.model.parameters()):
        raise TrainingError(f"training diverged: weights are not finite; {_LOWER}")
    return records


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
    fit_prior(trained, training if len(training) > 1 else data.train, seed)
    judged = data.test if data.test is not None else training
    metrics = evaluate(trained, judged, training, seed=seed)
    bad = [k for k, value in metrics.items() if value is not None and not math.isfinite(value)]
    if bad:
        raise TrainingError(f"training diverged: {bad[0]} is {metrics[bad[0]]}; {_LOWER}")
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


def write_run(run: Run, folder: Path, final: Path | None = None) -> None:
    """Writes model, metrics, pictures and report of a run into a folder that exists.

    Args:
        run: what to write.
        folder: where.
        final: the name that the folder will have, for the report.
    """
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
    # A file name may hold bytes that are no text, which a page cannot show.
    config = json.dumps(json.loads((folder / CONFIG).read_text()), ensure_ascii=False)
    title = f"{run.trained.recipe.name} on {run.data.name}"
    report.write_report(
        folder / REPORT,
        title=title.encode(errors="replace").decode(),
        config=json.loads(config.encode(errors="replace")),
        metrics=described(run.metrics),  # type: ignore[arg-type]
        history=run.history,
        pictures=drawn,  # type: ignore[arg-type]
        notices=run.data.notices,
        history_unit=run.trained.recipe.unit,
        diagnoses=run.diagnoses if run.trained.recipe.plan.doctor else None,
    )
    if final is not None:
        _rename_in_report(folder / REPORT, folder, final)


def _rename_in_report(report: Path, folder: Path, final: Path) -> None:
    """Puts the run's final name into a page that was written under a passing one."""
    name = html.escape(json.dumps(final.name)[1:-1])
    page = report.read_text(encoding="utf-8").replace(folder.name, name)
    write_atomically(report, page.encode(errors="replace"))


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
    info = recipe_info(trained.recipe.name)
    data = load_data(source, data_dir=data_dir, standardize=info.standardize)
    if data.fingerprint() != facts.get("sha256"):
        raise DataError(f"{source} is not what {folder} was trained on any more; give DATA")
    return data


def examples_for(
    trained: Trained,
    folder: str | os.PathLike[str],
    source: Any = None,
    split: str = "test",
    data_dir: str | os.PathLike[str] | None = None,
) -> Examples:
    """A part of the run's own data, or other data (their test part where they have one, else all).

    Raises:
        OptionError: for an unknown split, or one of other data.
        DataError: when the data cannot be read or do not fit.
    """
    _check_split(split, own=source is None)
    if source is not None:
        return load_examples(source, trained.spec, data_dir=data_dir)
    data = run_data(trained, folder, data_dir)
    return pick_split(data, split, trained.recipe.plan.validation, trained.info.get("seed", 0))


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
    _check_split(split, own=source is None)
    trained = load_trained(folder, device=choose_device(device))
    training = None
    if source is None:
        data = run_data(trained, folder, data_dir)
        validation, run_seed = trained.recipe.plan.validation, trained.info.get("seed", 0)
        training = pick_split(data, "train", validation, run_seed)
        examples = pick_split(data, split, validation, run_seed)
        name = data.name
    else:
        examples = load_examples(source, trained.spec, data_dir=data_dir)
        name, split = str(source), "all"
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
    found = []
    for path in top.glob("**/" + CONFIG):
        if any(part.startswith(".") for part in path.relative_to(top).parts):
            continue  # a run that is not complete
        # What is no run, or went away meanwhile, is not listed.
        with contextlib.suppress(RunFolderError, ModelFileError, OSError):
            written = path.stat().st_mtime
            found.append((written, _summary(path.parent, load_config(path.parent), written)))
    return [summary for _, summary in sorted(found, key=lambda pair: pair[0])]


def _summary(folder: Path, config: Mapping[str, Any], written: float) -> dict[str, Any]:
    metrics: Any = None
    with contextlib.suppress(OSError, ValueError, RecursionError):
        metrics = json.loads((folder / METRICS_FILE).read_text(encoding="utf-8"))
    if not isinstance(metrics, dict):
        metrics = {}
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
