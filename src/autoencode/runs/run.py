"""The result of a training: a ``Run``, and its files in a folder."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autoencode.data import Data, Examples
from autoencode.errors import TrainingError
from autoencode.evaluate.case import Case
from autoencode.evaluate.measures import in_words
from autoencode.evaluate.metrics import described, measured
from autoencode.files.atomic import storage_error, write_atomically
from autoencode.files.regular import read_regular
from autoencode.files.sealed import to_json
from autoencode.trained import Trained, save_model
from autoencode.trained.fit import LOWER_RATE
from autoencode.trained.model_files import (
    CONFIG,
    HISTORY,
    LEFT_OUT,
    METRICS_FILE,
    PLOTS,
    REPORT,
    WEIGHTS,
    model_config,
    write_history,
)
from autoencode.training import EpochRecord, Observer


@dataclass
class Run:
    """A trained model with its data, history and metrics; ``folder`` once it has been written.

    A run that was stopped is not ``complete`` and has no metrics. ``notices`` say what a user should
    know of how it went on; ``left_out`` why measures and pictures are missing that failed or were too
    dear, by their names.
    """

    trained: Trained
    data: Data
    history: list[dict[str, Any]]
    metrics: dict[str, float | None]
    seed: int
    folder: Path | None = None
    notices: list[str] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether training went to its end."""
        return bool(self.trained.info.get("training", {}).get("complete", True))

    @property
    def diagnoses(self) -> list[dict[str, Any]]:
        """The faults that the doctor found after the last epoch, as in ``history.jsonl``."""
        return list(self.history[-1].get("diagnoses", ())) if self.history else []

    def leave_out(self, name: str, why: str) -> None:
        """Notes that a measure or a picture is missing, and why."""
        self.left_out[name] = why
        self.notices.append(_left_out(name, why))

    def split(self, name: str) -> Examples:
        """Returns the test, validation or training examples of the run; of a store, some of them.

        Raises:
            OptionError: for another name.
            DataError: when this run has no such examples.
        """
        return self.data.part(name, self.trained.recipe.plan.validation, self.seed)


class History(Observer):
    """An observer that writes ``history.jsonl``, remembers notices and passes every call on."""

    def __init__(self, inner: Observer, folder: Path | None, records: tuple[EpochRecord, ...]) -> None:
        self.inner = inner
        self.stopped = False
        self.notices: list[str] = []
        self.path = None if folder is None else folder / HISTORY
        self.start, self.step, self.end = inner.start, inner.step, inner.end  # type: ignore[method-assign]
        if folder is not None and records:
            write_history([record.as_dict() for record in records], folder)

    def epoch(self, record: EpochRecord) -> None:
        if self.path is not None:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(record.as_dict()) + "\n")
        self.inner.epoch(record)

    def notice(self, text: str) -> None:
        self.notices.append(text)
        self.inner.notice(text)

    def stop(self) -> bool:
        self.stopped = self.stopped or self.inner.stop()
        return self.stopped


def write_model(run: Run, folder: Path) -> Callable[[], None]:
    """Writes model and history of a run into a folder that exists, which then is a run, but unmeasured.

    The configuration goes first and comes last: a folder that has one can be loaded.

    Returns:
        What puts the model back that stood there before, or nothing in its place.
    """
    before: dict[str, bytes] = {}
    if (folder / CONFIG).is_file():
        before = {name: read_regular(folder / name) for name in (WEIGHTS, CONFIG)}
    for name in (CONFIG, METRICS_FILE, REPORT):  # those of another model
        (folder / name).unlink(missing_ok=True)
    write_history(run.history, folder)
    save_model(run.trained, folder)

    def take_back() -> None:
        for name in (CONFIG, WEIGHTS):
            (folder / name).unlink(missing_ok=True)
        for name, content in before.items():
            write_atomically(folder / name, content)

    return take_back


def measure(run: Run, examples: Examples, training: Examples) -> None:
    """Measures a run: a measure that fails or is too dear is left out, and a notice says so.

    Args:
        run: what was trained; its ``metrics`` and ``left_out`` are set.
        examples: what it is judged by.
        training: what it was trained on.

    Raises:
        TrainingError: when a figure is not finite, for then training diverged.
    """
    run.metrics, left_out = measured(Case(run.trained, examples, training, run.seed))
    for name, why in left_out.items():
        run.leave_out(name, why)
    bad = [k for k, value in run.metrics.items() if value is not None and not math.isfinite(value)]
    if bad:
        raise TrainingError(f"training diverged: {bad[0]} is {run.metrics[bad[0]]}; {LOWER_RATE}")


def write_measures(run: Run, folder: Path) -> None:
    """Writes metrics, pictures and report beside the model of a run.

    The metrics come first. A picture that cannot be drawn is left out, as a measure is.
    """
    _write_metrics(run, folder)
    known = len(run.left_out)
    drawn = _draw(run, folder)
    if len(run.left_out) > known:
        _write_metrics(run, folder)
    _write_report(run, folder, drawn)


def _write_metrics(run: Run, folder: Path) -> None:
    left_out = {LEFT_OUT: run.left_out} if run.left_out else {}
    write_atomically(folder / METRICS_FILE, to_json({**run.metrics, **left_out}))


def _draw(run: Run, folder: Path) -> list[dict[str, Any]]:
    """Draws and writes the pictures of a run; those there are, with captions."""
    from autoencode.pictures import of_runs as pictures
    from autoencode.pictures import plots
    from autoencode.pictures.of_views import figure_of

    (folder / PLOTS).mkdir(exist_ok=True)
    shown = run.data.test if run.data.test is not None else run.data.train.bounded()
    drawn = []
    for kind in pictures.available(run.trained):
        try:
            seen = pictures.view(kind, run.trained, shown, seed=run.seed)
            if seen is None:
                figure = pictures.draw(kind, run.trained, shown, run.history, seed=run.seed)
            else:
                figure = figure_of(seen)
            content = plots.png(figure)
        except Exception as error:
            run.leave_out(f"{kind}.png", in_words(error))
            continue
        write_atomically(folder / PLOTS / f"{kind}.png", content)
        form = {"image": content} if seen is None else {"view": seen}
        drawn.append({**form, "caption": pictures.caption(kind, run.trained)})
    return drawn


def _write_report(run: Run, folder: Path, drawn: list[dict[str, Any]]) -> None:
    from autoencode.pictures import pages as report

    # A file name may hold bytes that are no text, which a page cannot show.
    config = json.dumps(model_config(run.trained), ensure_ascii=False)
    title = f"{run.trained.recipe.name} on {run.data.name}"
    report.write_report(
        folder / REPORT,
        title=title.encode(errors="replace").decode(),
        config=json.loads(config.encode(errors="replace")),
        metrics=described(run.metrics),  # type: ignore[arg-type]
        history=run.history,
        pictures=drawn,  # type: ignore[arg-type]
        notices=(*run.data.notices, *map(_left_out, run.left_out, run.left_out.values())),
        history_unit=run.trained.recipe.unit,
        diagnoses=run.diagnoses if run.trained.recipe.plan.doctor else None,
    )


def _left_out(name: str, why: str) -> str:
    return f"{name} was left out: {why}"


def plots_folder(folder: str | os.PathLike[str]) -> Path:
    """Finds the folder of a run's pictures, and makes it if it is not there.

    Raises:
        StorageError: when it cannot be made.
    """
    target = Path(folder) / PLOTS
    try:
        target.mkdir(exist_ok=True)
    except OSError as error:
        raise storage_error(target, error) from error
    return target
