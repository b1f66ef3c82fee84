"""What a training leaves: a ``Run``, and its files in a folder."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autoencode.data import Data, Examples
from autoencode.evaluate.metrics import described
from autoencode.files.atomic import storage_error, write_atomically
from autoencode.files.sealed import to_json
from autoencode.runs.data import pick_split
from autoencode.trained import Trained, save_model
from autoencode.trained.model_files import (
    CONFIG,
    HISTORY,
    METRICS_FILE,
    PLOTS,
    REPORT,
    model_config,
    write_history,
)
from autoencode.training import EpochRecord, Observer


@dataclass
class Run:
    """A trained model with its data, history and metrics; ``folder`` once it has been written.

    A run that was stopped is not ``complete`` and has no metrics. ``notices`` say what a user should
    know of how it went on.
    """

    trained: Trained
    data: Data
    history: list[dict[str, Any]]
    metrics: dict[str, float | None]
    seed: int
    folder: Path | None = None
    notices: list[str] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether training went to its end."""
        return bool(self.trained.info["training"]["complete"])

    @property
    def diagnoses(self) -> list[dict[str, Any]]:
        """The faults that stood at the end of training, as in ``history.jsonl``."""
        return list(self.history[-1].get("diagnoses", ())) if self.history else []

    def split(self, name: str) -> Examples:
        """The test, validation or training examples of the run; of training examples in a store some.

        Raises:
            OptionError: for another name.
            DataError: when this run has no such examples.
        """
        return pick_split(self.data, name, self.trained.recipe.plan.validation, self.seed)


class History(Observer):
    """Writes ``history.jsonl`` line by line, remembers notices and being stopped, passes all on."""

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


def write_run(run: Run, folder: Path) -> None:
    """Writes model, history, metrics, pictures and report of a run into a folder that exists.

    The configuration goes first and comes last: a folder that has one is whole.
    """
    (folder / CONFIG).unlink(missing_ok=True)
    write_history(run.history, folder)
    if run.complete:
        _write_report(run, folder)
        write_atomically(folder / METRICS_FILE, to_json(run.metrics))
    save_model(run.trained, folder)


def _write_report(run: Run, folder: Path) -> None:
    from autoencode.pictures import of_runs as pictures
    from autoencode.pictures import pages as report
    from autoencode.pictures import plots

    (folder / PLOTS).mkdir(exist_ok=True)
    shown = run.data.test if run.data.test is not None else run.data.train.bounded()
    drawn = []
    for kind in pictures.available(run.trained):
        figure = pictures.draw(kind, run.trained, shown, run.history, seed=run.seed)
        content = plots.png(figure)
        write_atomically(folder / PLOTS / f"{kind}.png", content)
        drawn.append({"image": content, "caption": pictures.caption(kind, run.trained)})
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
        notices=run.data.notices,
        history_unit=run.trained.recipe.unit,
        diagnoses=run.diagnoses if run.trained.recipe.plan.doctor else None,
    )


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
