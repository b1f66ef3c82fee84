"""The training loop."""

from __future__ import annotations

import contextlib
import functools
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from autoencode import parallel
from autoencode.errors import IncompatibleError, TrainingError
from autoencode.randomness import seed_step, seeded
from autoencode.training.best import PARTS, Best
from autoencode.training.cuda_graphs import Replayed, replayed
from autoencode.training.doctor.doctor import Doctor
from autoencode.training.gradients import Average
from autoencode.training.optimizers import OptimizerFactory
from autoencode.training.plan import TrainingPlan
from autoencode.training.precision import products
from autoencode.training.processor import tuned
from autoencode.training.records import EpochRecord
from autoencode.training.sharding import (
    OnShards,
    ShardedAverage,
    is_sharded,
    refuse_unfit,
    sharded,
)
from autoencode.training.starting import start
from autoencode.training.state import (
    Keeper,
    Position,
    Totals,
    TrainingState,
    collect,
    restore,
)
from autoencode.training.update import NonFiniteError, Stepper, Update
from autoencode.training.weight_average import WeightAverage
from autoencode.types import Batch, Model, Objective, Pass, Progress, Source

_STEPS_TO_ASK = 16
_TOGETHER = 1000  # held-out examples that are measured at once
_MOST_SKIPPED = 10  # steps one after the other, before training is given up


class Observer:
    """A base of observers of training; all methods may be overridden, only ``stop`` changes the run."""

    def start(self, n_steps: int, n_epochs: int) -> None:
        """Receives the length of training, once before the first step."""

    def step(self, step: int) -> None:
        """Receives the number of each step once it is taken; keep it cheap."""

    def epoch(self, record: EpochRecord) -> None:
        """Receives the record of each epoch once it is over."""

    def notice(self, text: str) -> None:
        """Receives one line that the user should know of how training is done."""

    def end(self) -> None:
        """Marks the end of training, once, before the model is measured and written."""

    def stop(self) -> bool:
        """Tells, after every step, whether training shall end there."""
        return False


def fit(
    model: nn.Module,
    updates: Sequence[Update],
    train: Source,
    plan: TrainingPlan,
    *,
    validation: Source | None = None,
    seed: int = 0,
    device: torch.device | str = "cpu",
    observer: Observer | None = None,
    keeper: Keeper | None = None,
    resume: TrainingState | None = None,
    helpers: Mapping[str, nn.Module] | None = None,
    warm: bool = False,
) -> list[EpochRecord]:
    """Trains a model in place and returns its history, one record for each epoch.

    The same arguments give the same weights, whatever the caller's random state is; that state is
    left as it was. Inside ``parallel.joined`` all processes train together, each on its rows of every
    batch, with the result of one process but for rounding.

    A run that goes on from a state that was kept ends, to the bit, as the same run
    does without a break.

    Args:
        model: moved to ``device``.
        updates: what is minimised and which modules move.
        train: training examples, on ``device``.
        plan: epochs, batch size, rates.
        validation: held-out examples, measured after each epoch, and before the first step where the
            best weights are kept.
        seed: of the order of examples and of all noise.
        device: where to train.
        observer: watches.
        keeper: keeps states to go on from; at the end of training and where it is stopped always.
        resume: the state to go on from; the other arguments must be those of the run that left it.
        helpers: modules that objectives use and updates own besides the model (a critic), by name;
            moved to ``device`` and kept in states.
        warm: whether the model has been trained before, so that nothing of it is set by the data
            before the first step.

    Returns:
        One record for each epoch (the last may be partial when the observer stopped it).

    Raises:
        TrainingError: when the loss stops being a finite number.
        ModelFileError: when ``resume`` is the state of another model.
    """
    device = torch.device(device)
    observer = observer or Observer()
    work = plan.batch_size * sum(p.numel() for p in model.parameters())
    # A compiled step draws from torch's generators.
    parts = () if plan.compile else (model, updates, helpers, type(train), type(validation))
    with seeded(seed, device, *parts), products(plan.precision, device):
        group = parallel.current()
        shard = plan.shard and group.world > 1
        if shard:
            refuse_unfit(plan, updates, model)
        helpers = dict(helpers or {})
        _prepare(model, helpers, None if shard else device)
        learned = warm or not plan.data_start
        if resume is None and not warm:
            with tuned(device, work):
                beside = validation if plan.keeps_best else None
                learned |= start(model, train, beside, plan, seed)
            for text in getattr(model, "told", list)():
                observer.notice(text)
        # What is read from disk comes in another order than what is in memory.
        about = f"{plan} on {len(train)} examples ({type(train).__name__}) with seed {seed}"
        if resume is not None:
            about += f" from {resume.position}"
        group.start(_held([model, *helpers.values()], updates), about)
        with contextlib.ExitStack() as stack:
            make: OptimizerFactory = plan.make_optimizer
            average: Callable[[Sequence[nn.Parameter]], Average] = Average
            if shard:
                model, updates = stack.enter_context(sharded(model, updates, device))
                make, average = (lambda owned: OnShards(owned, plan.make_optimizer)), ShardedAverage
            arranged, skip = plan.arrange(updates), plan.non_finite == "skip"
            stepper = Stepper(model, arranged, make, skip, average, helpers)  # type: ignore[arg-type]
            loop = _Loop(stepper, train, plan, validation, seed, device, work)
            return loop.run(observer, keeper, resume, learned)


def _prepare(model: nn.Module, helpers: Mapping[str, nn.Module], device: torch.device | None) -> None:
    """Puts a model and its helpers where they are trained."""
    for helper in helpers.values():
        helper.to(device).train()
    if device is not None:
        model.to(device)
        if any(isinstance(module, nn.Conv2d) for module in model.modules()):
            model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def _held(models: Sequence[nn.Module], updates: Sequence[Update]) -> list[Tensor]:
    """Lists all parameters and buffers of the models and of the updates' modules, each once."""
    modules = [*(module for update in updates for module in update.modules), *models]
    tensors = [t for m in modules for t in (*m.parameters(), *m.buffers())]
    return list({id(t): t for t in tensors}.values())


class _Loop:
    """The state of one run of ``fit``."""

    def __init__(
        self,
        stepper: Stepper,
        train: Source,
        plan: TrainingPlan,
        validation: Source | None,
        seed: int,
        device: torch.device,
        work: int,
    ) -> None:
        self.stepper, self.train, self.validation = stepper, train, validation
        self.plan, self.seed, self.device = plan, seed, device
        self.tuned = functools.partial(tuned, device, work)  # entered for each computation, see Turns
        self.model: nn.Module = stepper.model  # type: ignore[assignment]
        self.n = len(train)
        self.n_epochs = plan.n_epochs(self.n)
        self.n_steps = self.n_epochs * math.ceil(self.n / plan.batch_size)
        self.at = Position()
        self.steps: Stepper | Replayed = stepper
        self.totals = Totals()
        self.records: list[EpochRecord] = []
        self.best = Best(stepper)
        self.compares = (plan.keeps_best or plan.patience > 0) and validation is not None
        self.average = WeightAverage(self.model, plan.ema) if plan.ema else None
        self.group = parallel.current()
        self.sharded = any(map(is_sharded, stepper.parameters))
        self.doctor = (
            Doctor(stepper.updates, plan, train, validation, seed, device)
            if plan.doctor and not self.sharded  # it looks at weights, which are elsewhere
            else None
        )

    def run(
        self, observer: Observer, keeper: Keeper | None, resume: TrainingState | None, learned: bool
    ) -> list[EpochRecord]:
        """Trains; ``learned`` says that the start is no random one, but has learned of the data."""
        if resume is not None:
            self.best.weights = restore(self.stepper, resume.tensors, self.average)
            self.at, self.records = replace(resume.position), list(resume.records)
        elif self.compares:
            parts = self._losses_of_parts() if learned else ()
            self.best.begin(self.at, _compared(self._validate()), parts)
        self.steps = replayed(self.stepper, self.plan, self.device, observer.notice)
        observer.start(self.n_steps, self.n_epochs)
        stopped = False
        while self.at.epoch < self.n_epochs and not self._impatient() and not stopped:
            stopped = self._epoch(observer, keeper)
            observer.epoch(self.records[-1])
        if not stopped:
            # In case what comes after training is interrupted.
            self._keep(keeper, at_once=True)
        if self.average is not None:
            self.average.put()
        if not stopped and self.plan.keeps_best and self.best.weights:
            self.best.put()
            if self.records and self.at.kept_epoch == 0:
                observer.notice("no epoch was surely better than the start on held-out rows: it stays")
        self.model.eval()
        observer.end()
        return self.records

    def _epoch(self, observer: Observer, keeper: Keeper | None) -> bool:
        """Trains the rest of an epoch and adds its record; tells whether it was stopped."""
        self.model.train()
        at, start, before, stopped = self.at, time.perf_counter(), self.at.seconds, False
        self.totals = Totals(at.sums)
        rank, world = self.group.rank, self.group.world
        one = Pass(self.seed, at.epoch, self.plan.batch_size, at.batch, rank, world)
        for batch in self.train.shuffled(one):
            size = self._size(len(batch.x))
            losses = self._step(batch, size)
            self.totals.add(losses, size)
            for name in losses:  # an update may take its turn at some steps only
                at.seen[name] = at.seen.get(name, 0) + size
            at.batch += 1
            observer.step(at.step)
            stopped = self._stop(observer)
            at.seconds = before + time.perf_counter() - start
            self._keep(keeper, at_once=stopped)
            if stopped:
                break
        at.seconds = before + time.perf_counter() - start
        self.group.check_equal([p for p in self.stepper.parameters if not is_sharded(p)])
        with contextlib.nullcontext() if self.average is None else self.average.in_place():
            self._close_epoch(stopped)
        return stopped

    def _close_epoch(self, stopped: bool) -> None:
        at = self.at
        means = {name: total / at.seen[name] for name, total in self.totals.floats().items()}
        self._check_finite(means)
        rate = self._rate(max(0, at.step - 1))
        held_out = self._validate() if self.validation is not None else {}
        self._check_finite(held_out or means)
        record = EpochRecord(at.epoch + 1, at.step, means, held_out, rate, at.seconds)
        self.records.append(record)
        if self.doctor is not None:
            last = stopped or record.epoch == self.n_epochs
            with self.tuned():
                found = self.doctor.diagnose(self.model, self.records, last)
            self.records[-1] = replace(record, diagnoses=found)
        self.totals = Totals()
        self.at = replace(at, epoch=at.epoch + 1, batch=0, sums={}, seen={}, seconds=0.0)
        if self.compares:
            self.best.compare(self.at, _compared(held_out), self._losses_of_parts)

    def _impatient(self) -> bool:
        waited = self.at.epoch - self.at.best_epoch
        return bool(self.plan.patience) and self.at.best is not None and waited >= self.plan.patience

    def _size(self, rows: int) -> int:
        """Computes the size of this batch over all processes; this one has ``rows`` examples of it."""
        if self.group.world == 1:
            return rows
        size = min(self.plan.batch_size, self.n - self.at.batch * self.plan.batch_size)
        if rows != self.group.share(size).rows:
            raise IncompatibleError(
                f"process {self.group.rank} got {rows} examples of a batch of {size} and should have "
                f"{self.group.share(size).rows}; the source must give the rows rank::world of a Pass"
            )
        return size

    def _stop(self, observer: Observer) -> bool:
        """Tells whether any process shall stop here; all learn of it at the same step."""
        wish = observer.stop()
        # Asking costs an exchange, and on a GPU the steps that could have been queued meanwhile.
        if self.device.type != "cpu" and self.at.step % _STEPS_TO_ASK and self.group.world > 1:
            return False
        return self.group.any(wish)

    def _step(self, batch: Batch, size: int) -> Mapping[str, Tensor | float]:
        at = self.at
        seed_step(self.seed, at.step, self.device)
        progress = Progress(at.step, self.n_steps, self.n)
        try:
            with self.tuned():
                losses = self.steps.step(batch, progress, self._rate(at.step), size)
        except NonFiniteError as error:
            self._skip(error)
            return {}
        finally:
            at.step += 1
            if self.average is not None:
                self.average.update(at.step)
        at.skipped = 0
        if self.device.type != "cpu":
            return losses
        # Reading a scalar costs a microsecond here; elsewhere it would stall the queue.
        return {name: value.item() for name, value in losses.items()}

    def _rate(self, step: int) -> float:
        return self.plan.rate(step, self.n_steps) * self.at.slowed

    def _skip(self, error: NonFiniteError) -> None:
        """Counts a non-finite step as skipped and halves the rate, or gives up after too many."""
        self.at.skipped += 1
        if self.plan.non_finite == "stop" or self.at.skipped > _MOST_SKIPPED:
            self._diverged(f"{error} at step {self.at.step}")
        self.at.slowed /= 2

    def _check_finite(self, losses: Mapping[str, float]) -> None:
        bad = [name for name, value in losses.items() if not math.isfinite(value)]
        if bad:
            self._diverged(f"{', '.join(bad)} became {losses[bad[0]]} in epoch {self.at.epoch + 1}")
        if not losses:
            self._diverged(f"every step of epoch {self.at.epoch + 1} was skipped")

    def _diverged(self, what: str) -> None:
        skipping = "" if self.plan.non_finite == "skip" else " or non_finite=skip"
        raise TrainingError(
            f"training diverged: {what}; try a lower learning rate than {self.plan.lr:g}{skipping}"
        )

    def _keep(self, keeper: Keeper | None, at_once: bool) -> None:
        """Keeps a state if it is due; sharded tensors have to be gathered by all processes."""
        due = keeper is not None and (at_once or keeper.due())
        if self.sharded:
            if not at_once and self.at.step % _STEPS_TO_ASK:
                return
            due = self.group.any(due)
        if due:
            state = self._state()
            if keeper is not None:
                keeper.keep(state)

    def _state(self) -> TrainingState:
        at = replace(self.at, sums=self.totals.floats(), seen=dict(self.at.seen))
        tensors = collect(self.stepper, self.best.weights, self.average)
        return TrainingState(at, tuple(self.records), tensors)

    def _validate(self) -> dict[str, float]:
        """Measures the losses of the held-out examples."""
        return self._on_held_out(_TOGETHER)[0]

    def _losses_of_parts(self) -> list[float]:
        """Measures what each part of the held-out examples is compared by, many times as long."""
        assert self.validation is not None
        return self._on_held_out(min(_TOGETHER, math.ceil(len(self.validation) / PARTS)))[1]

    def _on_held_out(self, size: int) -> tuple[dict[str, float], list[float]]:
        """Measures the held-out examples, ``size`` at once, with the same noise each time."""
        assert self.validation is not None
        seed_step(self.seed, -1, self.device)
        objective = self.stepper.updates[0].objective
        # Losses under weights that move cannot be compared, so there the weights are those of the end.
        step = self.n_steps if self.compares else self.at.step
        progress = Progress(step, self.n_steps, self.n)
        with self.tuned():
            return _measured(self.model, objective, self.validation, progress, size)


def evaluate_losses(
    model: nn.Module, objective: Objective, source: Source, progress: Progress, size: int = _TOGETHER
) -> dict[str, float]:
    """Computes the objective's losses averaged over the examples of a source, without training."""
    return _measured(model, objective, source, progress, size)[0]


def _measured(
    model: nn.Module, objective: Objective, source: Source, progress: Progress, size: int
) -> tuple[dict[str, float], list[float]]:
    """Computes the mean losses, and what each ``size`` examples are compared by."""
    was_training = model.training
    model.eval()
    sums: dict[str, float] = {}
    parts, rows = list[float](), list[int]()
    with torch.no_grad():
        for batch in source.batches(size):
            with parallel.sharing(len(batch.x)) as share:
                mine = batch if share is None else batch.rows(share.rank, share.world)
                losses = objective(_as_model(model), mine, progress)
            error = {} if losses.error is None else {"error": losses.error}
            for name, value in {"loss": losses.total, **losses.terms, **error}.items():
                # A mean over no rows is not a number, and counts for nothing.
                weighted = float(value) * len(mine.x) if len(mine.x) else 0.0
                sums[name] = sums.get(name, 0.0) + weighted
                if name == ("error" if error else "loss"):
                    parts.append(weighted)
            rows.append(len(batch.x))
    model.train(was_training)
    found = torch.tensor([*sums.values(), *parts], dtype=torch.float64)
    totals = parallel.current().sum_(found).tolist()
    means = {name: total / len(source) for name, total in zip(sums, totals, strict=False)}
    return means, [total / n for total, n in zip(totals[len(sums) :], rows, strict=True)]


def _compared(held_out: Mapping[str, float]) -> float:
    """Gives the figure of held-out losses by which epochs are compared."""
    return held_out.get("error", held_out["loss"])


def _as_model(module: nn.Module) -> Model:
    return module  # type: ignore[return-value]
