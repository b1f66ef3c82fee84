"""Checkpoints: states of a training run in a folder, from which it goes on to the bit.

::

    FOLDER/  run.json                    what was asked for: data, recipe, options, seed
             000004690.safetensors       weights, optimisers
             000004690.json              position, history, versions, SHA-256 of the tensors
             lock                        held by the one process that writes here

A generation is whole once its ``.json`` is there, which is written last. Two are kept, so that whatever
happens to one while it is written, or to the disk afterwards, the one before it is still there. No
pickle: tensors are safetensors, the rest is JSON.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from autoencode.errors import InputError, ModelFileError, OptionError, RunFolderError, TrainingError
from autoencode.files.atomic import storage_error, sweep, sync_folder, write_atomically
from autoencode.files.regular import read_regular
from autoencode.files.sealed import read_json, seal, unseal
from autoencode.training import TrainingState

FORMAT_VERSION = 1
RUN_FILE, LOCK = "run.json", "lock"
_NUMBERED = re.compile(r"[0-9]+\.(json|safetensors)")
_KEPT = 2
_EVERY = 30.0  # seconds
_SHARE = 0.02  # of the time may go into checkpoints


class Checkpoints:
    """A ``Keeper`` that writes training states into a folder.

    Args:
        folder: where; it exists.
        environment: versions and hardware, for the record.
        every: seconds between two states; more where writing one takes long, so that no more than
            2 % of the time goes into it.
    """

    def __init__(self, folder: Path, environment: Mapping[str, Any], every: float = _EVERY) -> None:
        self.folder = folder
        self.environment = dict(environment)
        self.every = every
        self.seconds = 0.0
        self._cost = 0.0
        self._last = time.monotonic()

    def start(self, request: Mapping[str, Any]) -> None:
        """Writes down what the run was asked for, before its first step.

        Raises:
            StorageError: when it cannot be written.
        """
        write_atomically(self.folder / RUN_FILE, _sealed(request))

    def request(self) -> dict[str, Any]:
        """Reads what the run was asked for, as ``start`` wrote it.

        Raises:
            RunFolderError: when there is nothing to go on from.
            ModelFileError: when it is damaged.
        """
        return _unsealed(self.folder / RUN_FILE)

    def due(self) -> bool:
        """Tells whether it is time for the next checkpoint."""
        return time.monotonic() - self._last >= max(self.every, self._cost / _SHARE)

    def keep(self, state: TrainingState) -> None:
        """Writes a state and removes all but the last two.

        Raises:
            StorageError: when it cannot be written; those before it are as they were.
            TrainingError: when it is not finite, and so no state to go on from.
        """
        start = time.monotonic()
        _refuse_non_finite(state.tensors)
        name = f"{state.position.step:012d}"
        content = safetensors.torch.save(_plain(state.tensors))
        facts = {
            "state": state.facts(),
            "tensors_sha256": hashlib.sha256(content).hexdigest(),
            "environment": self.environment,
        }
        self._make_way(name)
        write_atomically(self.folder / f"{name}.safetensors", content)
        write_atomically(self.folder / f"{name}.json", _sealed(facts))
        self._forget()
        self._last = time.monotonic()
        self._cost = self._last - start
        self.seconds += self._cost

    def latest(self) -> tuple[TrainingState | None, dict[str, Any], list[str]]:
        """Reads the newest sound state, the environment that wrote it, and notices about unsound ones.

        Returns:
            ``None`` for the state when none was kept yet: the run starts at its beginning.

        Raises:
            ModelFileError: when there are states and none of them is sound.
        """
        notices: list[str] = []
        names = self._names()
        for name in names:
            try:
                state, environment = self._read(name)
            except InputError as error:  # damaged, or not to be read at all
                notices.append(f"{error}; going on from the one before it")
            else:
                return state, environment, notices
        if names:
            raise ModelFileError(f"no checkpoint in {self.folder} is sound; train again")
        return None, self.environment, []

    def any(self) -> bool:
        """Tells whether the folder holds a checkpoint."""
        return bool(self._names())

    def _names(self) -> list[str]:
        """Lists the names of the checkpoints, newest first."""
        found = [path.stem for path in self.folder.glob("*.json") if _is_numbered(path)]
        return sorted(found, reverse=True)

    def _read(self, name: str) -> tuple[TrainingState, dict[str, Any]]:
        facts = _unsealed(self.folder / f"{name}.json")
        path = self.folder / f"{name}.safetensors"
        try:
            content = read_regular(path, times=2)
        except OSError as error:
            raise ModelFileError(f"cannot read {path}: {error.strerror}") from None
        if hashlib.sha256(content).hexdigest() != facts.get("tensors_sha256"):
            raise ModelFileError(f"{path} was altered or damaged (SHA-256 differs)")
        try:
            tensors = safetensors.torch.load(content)
            return TrainingState.from_dict(facts["state"], tensors), dict(facts["environment"])
        except (safetensors.SafetensorError, LookupError, TypeError, ValueError) as error:
            raise ModelFileError(f"{path} cannot be used: {error}") from None

    def _make_way(self, name: str) -> None:
        """Removes what stands where a checkpoint is to be written, so that no half is beside another.

        A folder that took such a name steps aside; it goes with the folder when the run is complete.
        """
        for path in (self.folder / f"{name}.json", self.folder / f"{name}.safetensors"):
            if path.is_dir() and not path.is_symlink():
                path.rename(path.with_name(f"{path.name}.{uuid.uuid4().hex}.aside"))
            else:
                path.unlink(missing_ok=True)

    def _forget(self) -> None:
        names = self._names()
        gone = names[_KEPT:]
        for path in self.folder.iterdir():
            if not _is_numbered(path):  # not written here, whatever it is
                continue
            orphan = path.suffix == ".safetensors" and path.stem not in names
            if orphan or path.stem in gone:
                with contextlib.suppress(OSError):
                    path.unlink()
        sweep(self.folder)
        sync_folder(self.folder)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keeps every other process from writing a folder; released when the process ends in any way.

    Args:
        folder: a ``resume`` folder that exists.

    Raises:
        RunFolderError: when another process holds it.
        StorageError: when there can be no lock.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(folder / LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise RunFolderError(
            f"another process is training {folder.parent}; wait for it, or use another folder"
        ) from None
    except OSError as error:
        raise storage_error(folder, error) from error
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def kept_in(
    folder: str | os.PathLike[str], request: Mapping[str, Any], environment: Mapping[str, Any]
) -> Iterator[tuple[Checkpoints, dict[str, Any], TrainingState | None]]:
    """Opens the checkpoints of a training in a folder of its own; yields them and the state to resume.

    When the block succeeds the folder is empty again, and removed.

    Args:
        folder: made if it is not there.
        request: what the training is; its ``seed`` is that of the training that was interrupted.
        environment: versions and hardware, for the record.

    Raises:
        RunFolderError: when another process trains there.
        OptionError: when another training was interrupted there.
        ModelFileError: when what is there cannot be trusted or used.
        StorageError: when it cannot be written.
    """
    place = Path(folder)
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(place, error) from error
    with locked(place):
        keeper, found = Checkpoints(place, environment), dict(request)
        if (place / RUN_FILE).exists():
            found = {k: v for k, v in keeper.request().items() if k != "format_version"}
            if changed := sorted(k for k in request if k != "seed" and found.get(k) != request[k]):
                raise OptionError(
                    f"{place} holds checkpoints of a training with another {changed[0]}; "
                    "remove the folder to start anew"
                )
        else:
            if others := sorted(path.name for path in place.iterdir() if not _is_ours(path)):
                raise OptionError(
                    f"{place} holds {others[0]}, which is no checkpoint; give a folder of its own"
                )
            keeper.start(request)
        yield keeper, found, keeper.latest()[0]
        (place / RUN_FILE).unlink()
        for path in place.iterdir():
            if _is_ours(path):
                path.unlink()
        with contextlib.suppress(OSError):  # whatever else came there meanwhile stays
            place.rmdir()


def _is_ours(path: Path) -> bool:
    """Whether a file in a folder of checkpoints was written by them, whole or not."""
    return _is_numbered(path) or path.name in (RUN_FILE, LOCK) or path.name.endswith(".part")


def _is_numbered(path: Path) -> bool:
    """Whether a file has the name of a checkpoint's."""
    return bool(_NUMBERED.fullmatch(path.name))


def _plain(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies tensors into contiguous memory of their own, as the file format needs."""
    return {name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()}


def _refuse_non_finite(tensors: Mapping[str, Tensor]) -> None:
    for name, t in tensors.items():
        if t.is_floating_point() and not bool(t.isfinite().all()):
            raise TrainingError(
                f"training diverged: {name} is not finite any more; try a lower learning rate"
            )


def _sealed(content: Mapping[str, Any]) -> bytes:
    return seal({"format_version": FORMAT_VERSION, **content})


def _unsealed(path: Path) -> dict[str, Any]:
    try:
        value, written = read_json(path)
    except FileNotFoundError:
        raise RunFolderError(f"there is no {path}: nothing to go on from; train again") from None
    except OSError as error:
        raise RunFolderError(f"cannot read {path}: {error.strerror}") from None
    if value.get("format_version") != FORMAT_VERSION:
        version = str(value.get("format_version"))[:20]
        raise ModelFileError(
            f"{path} has format {version} and this version reads {FORMAT_VERSION}; "
            "use the version that wrote it"
        )
    return unseal(value, written, path)
