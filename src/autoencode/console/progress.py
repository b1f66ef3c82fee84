"""Progress on stderr: a bar on a terminal, a line an epoch elsewhere."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from autoencode.console.lines import note, number, printable
from autoencode.training import EpochRecord, Observer

_REDRAW = 0.1  # seconds
_LINES = 20


class Watcher(Observer):
    """An observer that shows the progress of training and passes on the wish to stop."""

    def __init__(self, quiet: bool) -> None:
        self.quiet = quiet
        self.stopping = False
        self.training = False
        self._n_epochs = 0
        self._next = 0.0
        self._told: set[str] = set()
        console = Console(stderr=True)
        self._bar: Progress | None = None
        if console.is_terminal and not quiet:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.completed}/{task.total} steps"),
                TimeRemainingColumn(),
                TextColumn("{task.fields[losses]}"),
                console=console,
                transient=True,
            )

    def __enter__(self) -> Watcher:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.training = False
        if self._bar is not None:
            self._bar.stop()

    def start(self, n_steps: int, n_epochs: int) -> None:
        self.training = True
        self._n_epochs = n_epochs
        if self._bar is not None:
            self._task = self._bar.add_task(f"epoch 1/{n_epochs}", total=n_steps, losses="")

    def end(self) -> None:
        self.training = False

    def step(self, step: int) -> None:
        if self._bar is None:
            return
        now = time.monotonic()
        if now >= self._next:
            self._next = now + _REDRAW
            self._bar.update(self._task, completed=step)

    def epoch(self, record: EpochRecord) -> None:
        losses = f"loss {number(record.losses['loss'])}"
        if record.validation:
            losses += f", validation {number(record.validation['loss'])}"
        if self._bar is not None:
            following = min(record.epoch + 1, self._n_epochs)
            self._bar.update(
                self._task,
                completed=record.step,
                description=f"epoch {following}/{self._n_epochs}",
                losses=losses,
            )
        elif not self.quiet and self._worth_a_line(record.epoch):
            note(f"epoch {record.epoch}/{self._n_epochs}  {losses}  {record.seconds:.1f} s")

        if not self.quiet:
            self._tell(record)

    def _tell(self, record: EpochRecord) -> None:
        """Prints a line for each diagnosis that was not there before."""
        for diagnosis in record.diagnoses:
            if diagnosis.rule in self._told:
                continue
            self._told.add(diagnosis.rule)
            line = f"doctor: epoch {record.epoch}: {diagnosis.message}"
            if self._bar is not None:
                self._bar.console.print(printable(line), markup=False, highlight=False, soft_wrap=True)
            else:
                note(line)

    def _worth_a_line(self, epoch: int) -> bool:
        """Tells whether to print an epoch: the first, the last and some twenty between them."""
        return epoch in (1, self._n_epochs) or epoch % -(-self._n_epochs // _LINES) == 0

    def stop(self) -> bool:
        return self.stopping


class _Several(Observer):
    """An observer that passes every call on to several observers; any of them may stop training."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self.observers = observers

    def start(self, n_steps: int, n_epochs: int) -> None:
        for observer in self.observers:
            observer.start(n_steps, n_epochs)

    def step(self, step: int) -> None:
        for observer in self.observers:
            observer.step(step)

    def epoch(self, record: EpochRecord) -> None:
        for observer in self.observers:
            observer.epoch(record)

    def end(self) -> None:
        for observer in self.observers:
            observer.end()

    def stop(self) -> bool:
        wishes = [observer.stop() for observer in self.observers]  # all are asked, each time
        return any(wishes)


@contextlib.contextmanager
def watched(observer: Observer | None, verbose: bool) -> Iterator[Observer | None]:
    """Yields the observer, joined with ``verbose`` by one that shows progress."""
    if not verbose:
        yield observer
        return
    with Watcher(quiet=False) as watcher:
        yield watcher if observer is None else _Several((watcher, observer))


class Download:
    """A progress display of the bytes of a download."""

    def __init__(self, quiet: bool) -> None:
        self.quiet = quiet
        self._bar: Progress | None = None

    def __enter__(self) -> Download:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def progress(self, done: int, total: int | None) -> None:
        """Shows how many bytes have come, and how many are expected."""
        if self.quiet:
            return
        if self._bar is None:
            columns = (TextColumn("downloading"), BarColumn(), DownloadColumn())
            self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self._task = self._bar.add_task("", total=total)
            self._bar.start()
        self._bar.update(self._task, completed=done, total=total)
        if total is not None and done >= total:
            self._bar.stop()
            self._bar = None


class Measuring:
    """A display of which measure is taken and how far it is: a bar on a terminal, else a line each."""

    def __init__(self, quiet: bool) -> None:
        self.quiet = quiet
        self._now = ""
        self._next = 0.0
        console = Console(stderr=True)
        self._bar: Progress | None = None
        if console.is_terminal and not quiet:
            columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
            self._bar = Progress(*columns, console=console, transient=True)

    def __enter__(self) -> Measuring:
        if self._bar is not None:
            self._bar.start()
            self._task = self._bar.add_task("", total=None)
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def progress(self, name: str, done: int, total: int) -> None:
        """Shows the name of a measure when it begins (``done`` is 0) and its progress."""
        if self._bar is None:
            if not self.quiet and name != self._now:
                note(f"measuring {name}")
            self._now = name
            return
        now = time.monotonic()
        if name != self._now:
            self._now, self._next = name, 0.0
            self._bar.reset(self._task, description=name, total=None)
        if total and now >= self._next:
            self._next = now + _REDRAW
            self._bar.update(self._task, completed=done, total=total)
