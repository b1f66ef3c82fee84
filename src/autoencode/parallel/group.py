"""Processes that train one model together as a single process would.

Each process holds the same model and takes the rows ``rank::world`` of each batch. What is computed is
what one process would compute on the whole batch: gradients are averaged over all its examples, noise
is drawn for the whole batch and each process keeps its rows, and a term that couples the examples of a
batch asks for all of them with ``global_batch``. In one process all of this is the identity.
"""

from __future__ import annotations

import contextlib
import gc
import os
import platform
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from autoencode import launch
from autoencode.errors import AutoencodeError, OptionError, TrainingError

if TYPE_CHECKING:
    from torch.distributed.distributed_c10d import Store

_TIMEOUT = 120.0  # seconds that a process waits for the others in one exchange
_PATIENCE = 6 * 3600.0  # the same for what may take long: a download, reading data
_LAST_WORDS = 2.0  # seconds to hear what the others say of a failure


@dataclass(frozen=True)
class Share:
    """The rows ``rank::world`` of a batch of ``total`` examples: what one process computes."""

    rank: int
    world: int
    total: int

    @property
    def rows(self) -> int:
        """Number of rows of this share; 0 where a batch is smaller than the number of processes."""
        return len(range(self.rank, self.total, self.world))

    @property
    def weight(self) -> float:
        """Fraction of the batch in this share, by which a mean over its rows counts."""
        return self.rows / self.total

    def of(self, whole: Tensor, axis: int = 0) -> Tensor:
        """Selects the rows of this share from a tensor that has the whole batch along ``axis``."""
        return whole.movedim(axis, 0)[self.rank :: self.world].movedim(0, axis)


class Group:
    """The processes of a job; this class stands for one process alone.

    Attributes:
        rank: this process's number, from 0.
        world: how many there are.
    """

    rank = 0
    world = 1

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes files and prints messages."""
        return self.rank == 0

    def share(self, total: int) -> Share:
        """Returns this process's share of a batch of ``total`` examples."""
        return Share(self.rank, self.world, total)

    def sum_(self, tensor: Tensor) -> Tensor:
        """Sums a tensor over all processes, in place; the result has the same bits on each."""
        return tensor

    def gather(self, tensor: Tensor) -> Tensor:
        """Stacks tensors of one shape from all processes: (world, ...)."""
        return tensor[None]

    def collect(self, rows: Tensor) -> list[Tensor]:
        """Collects on process 0 the tensors of all, which may differ in length; elsewhere nothing."""
        return [rows]

    def any(self, flag: bool) -> bool:
        """Tells whether the flag is set on any process."""
        return flag

    def start(self, tensors: Sequence[Tensor], about: str) -> None:
        """Waits for all processes and gives the tensors the values that they have on process 0.

        Args:
            tensors: parameters and buffers, in the same order on all processes.
            about: describes the job; must be the same everywhere.

        Raises:
            OptionError: when a process was started for another job.
        """

    def check_equal(self, tensors: Sequence[Tensor]) -> None:
        """Raises ``TrainingError`` when the tensors are not the same on all processes."""

    @contextlib.contextmanager
    def in_turn(self) -> Iterator[None]:
        """Lets one process of each machine through the block before the others of that machine.

        So that what the first one downloads is there for the rest.
        """
        yield

    def meet(self) -> None:
        """Waits until all processes have come here, for hours if need be."""


class _Consequence(TrainingError):
    """An error raised because another process failed, which reports it; all exit with the same code."""

    def __init__(self, rank: str, exit_code: int) -> None:
        super().__init__(f"process {rank} ended with an error; its message says why")
        self.exit_code = exit_code


class _Many(Group):
    """A group of several processes, connected by torch.distributed."""

    def __init__(self, place: launch.Place, device: torch.device, store: Store, timeout: float) -> None:
        self.rank, self.world, self.local_rank = place.rank, place.world, place.local_rank
        self.device, self.store, self.timeout = device, store, timeout
        self._names = 0

    def sum_(self, tensor: Tensor) -> Tensor:
        from torch import distributed

        with self._exchange():
            distributed.all_reduce(tensor)
        return tensor

    def gather(self, tensor: Tensor) -> Tensor:
        from torch import distributed

        gathered = tensor.new_empty((self.world, *tensor.shape))
        with self._exchange():
            distributed.all_gather(list(gathered.unbind()), tensor.contiguous())
        return gathered

    def collect(self, rows: Tensor) -> list[Tensor]:
        from torch import distributed

        lengths = self.gather(torch.tensor(len(rows))).tolist()
        with self._exchange():
            if not self.leads:
                if len(rows):
                    distributed.send(rows.contiguous(), 0)
                return []
            found = [rows, *(rows.new_empty((n, *rows.shape[1:])) for n in lengths[1:])]
            for rank, part in enumerate(found):
                if rank and len(part):
                    distributed.recv(part, rank)
        return found

    def any(self, flag: bool) -> bool:
        return bool(self.sum_(torch.tensor([float(flag)])).item())

    def start(self, tensors: Sequence[Tensor], about: str) -> None:
        from torch import distributed

        self._same(about)
        self.meet()
        with torch.no_grad(), self._exchange():
            for tensor in tensors:
                # A copy, because collectives ask for memory without gaps.
                values = tensor.detach().contiguous()
                distributed.broadcast(values, 0)
                tensor.copy_(values)

    def _same(self, about: str) -> None:
        key = self._new("about")
        if self.leads:
            self.store.set(key, about)
        self._wait([key])
        first = self.store.get(key).decode()
        if first != about:
            raise OptionError(
                f"process {self.rank} was started for another job than process 0: "
                f"{about} against {first}; give all the same command and data"
            )

    def check_equal(self, tensors: Sequence[Tensor]) -> None:
        if not tensors:
            return
        with torch.no_grad():
            sums = torch.stack([t.detach().double().sum().cpu() for t in tensors])
        different = (self.gather(sums) != sums).any(1).nonzero().flatten().tolist()
        if different:
            raise TrainingError(
                f"the weights of process {self.rank} are not those of {different} any more; "
                "a module draws or branches by itself, see docs/distributed.md"
            )

    @contextlib.contextmanager
    def in_turn(self) -> Iterator[None]:
        # Where machines share a name, the first of any of them lets all go on.
        key = self._new(f"turn/{platform.node()}")
        if self.local_rank:
            self._wait([key])
        try:
            yield
        finally:  # also after an error, which the others then find themselves
            if not self.local_rank:
                self.store.set(key, "done")

    def meet(self) -> None:
        name = self._new("meet")
        keys = [f"{name}/{rank}" for rank in range(self.world)]
        self.store.set(keys[self.rank], "here")
        self._wait(keys)

    def _wait(self, keys: list[str]) -> None:
        """Waits until the other processes have set some keys, unless one of them fails first."""
        until, pause = time.monotonic() + _PATIENCE, 0.001
        while not self.store.check(keys):
            if self.store.check(["failed"]):
                rank, code = self.store.get("failed").decode().split()
                raise _Consequence(rank, int(code))
            if time.monotonic() > until:
                raise TrainingError(f"the other processes did not come within {_PATIENCE:.0f} s")
            time.sleep(pause)
            pause = min(1.0, 2 * pause)

    def _new(self, name: str) -> str:
        """Makes a key that is unique in the job and the same on all processes."""
        self._names += 1
        return f"{name}/{self._names}"

    @contextlib.contextmanager
    def _exchange(self) -> Iterator[None]:
        """Turns the failure of a collective call into an error that names who did not answer."""
        started = time.monotonic()
        try:
            yield
        except RuntimeError as error:
            waited = time.monotonic() - started
            missing = self._missing() if waited >= self.timeout else []
            if missing:
                who = f"process {', '.join(map(str, missing))} did not answer for {waited:.0f} s"
            else:
                who = "lost contact with another process"
            reason = str(error).splitlines()[0]
            raise TrainingError(f"{who}; it says why if it can ({reason})") from None

    def _missing(self) -> list[int]:
        """Finds the processes that hang: those that do not report that time is up."""
        keys = [f"waiting/{rank}" for rank in range(self.world)]
        with contextlib.suppress(RuntimeError):
            self.store.set(keys[self.rank], "yes")
            time.sleep(_LAST_WORDS)
            return [rank for rank, key in enumerate(keys) if not self.store.check([key])]
        return []

    def note_failure(self, error: BaseException) -> None:
        """Tells the other processes of a failure; marks an error that process 0 does not share."""
        with contextlib.suppress(RuntimeError):
            self.store.set("failed", f"{self.rank} {getattr(error, 'exit_code', 1)}")
            if self.leads:
                self.store.set("error", str(error))
        if self.leads or not isinstance(error, AutoencodeError) or isinstance(error, _Consequence):
            return
        error.alone = self.rank
        with contextlib.suppress(RuntimeError):
            self.store.wait(["error"], timedelta(seconds=_LAST_WORDS))
            if self.store.get("error").decode() == str(error):
                error.alone = None

    def leave(self) -> None:
        from torch import distributed

        gc.collect()  # gloo's threads must not find tensors to free when the interpreter ends
        distributed.destroy_process_group()


_group: Group = Group()
_share: Share | None = None


def current() -> Group:
    """Returns the group that this process belongs to: itself alone, unless ``joined``."""
    return _group


def current_share() -> Share | None:
    """Returns this process's share of the batch being computed, ``None`` in one process."""
    return _share


@contextlib.contextmanager
def joined(device: torch.device | str = "cpu") -> Iterator[Group]:
    """Connects to the other processes of the job for the length of a block.

    Does nothing in one process. ``cuda`` means the GPU with this process's number on its machine.
    An exchange that takes longer than ``$AUTOENCODE_TIMEOUT`` seconds (120) ends the job.

    Example:
        >>> with joined("cpu") as group:
        ...     group.world
        1

    Raises:
        OptionError: when the launcher's variables contradict each other, or no GPU is left.
    """
    global _group
    place = launch.place()
    if place.world == 1 or _group.world > 1:
        yield _group
        return
    group = _connect(place, torch.device(device))
    _group = group
    try:
        yield group
    except BaseException as error:
        group.note_failure(error)
        raise
    finally:
        _group = Group()
        group.leave()


@contextlib.contextmanager
def sharing(total: int) -> Iterator[Share | None]:
    """Computes on this process's rows of a batch of ``total`` examples; ``None`` in one process."""
    global _share
    if _group.world == 1:
        yield None
        return
    before, _share = _share, _group.share(total)
    try:
        yield _share
    finally:
        _share = before


def _connect(place: launch.Place, device: torch.device) -> _Many:
    from torch import distributed

    if device.type == "mps" or device.index is not None:
        raise OptionError(
            f"device '{device}' cannot be shared by {place.world} processes; use --device cuda "
            "(a GPU for each) or cpu"
        )
    if device.type == "cuda":
        _take_gpu(place)
    try:
        timeout = float(os.environ.get("AUTOENCODE_TIMEOUT") or _TIMEOUT)
    except ValueError:
        raise OptionError("AUTOENCODE_TIMEOUT must be a number of seconds") from None
    limit = timedelta(seconds=timeout)
    try:
        store, _, _ = next(distributed.rendezvous("env://", timeout=limit))
        # torchrun's store outlives a job that it starts again, with all that was said in it.
        store = distributed.PrefixStore(f"attempt {place.restarts}", store)
        distributed.init_process_group(
            # Flags and counts are on the CPU, whatever the model is on.
            backend="cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo",
            store=distributed.PrefixStore("torch", store),
            rank=place.rank,
            world_size=place.world,
            timeout=limit,
        )
    except (RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise _alone(
            f"no connection to the other processes within {timeout:.0f} s: {reason}; check "
            "MASTER_ADDR and MASTER_PORT, and that all are started",
            place,
        ) from None
    return _Many(place, device, distributed.PrefixStore("autoencode", store), timeout)


def _take_gpu(place: launch.Place) -> None:
    count = torch.cuda.device_count()
    if place.local_rank >= count:
        raise _alone(
            f"no GPU is left for process {place.local_rank} of this machine, which has {count}; "
            f"use --nproc-per-node {count}, or --device cpu",
            place,
        )
    torch.cuda.set_device(place.local_rank)


def _alone(message: str, place: launch.Place) -> OptionError:
    error = OptionError(message)
    error.alone = place.rank or None
    return error
