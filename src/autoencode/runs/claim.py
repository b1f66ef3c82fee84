"""The claim of one training to its run folder, from its first step to its last.

::

    RUN/  resume/  run.json, checkpoints, lock      while it is trained, and as long as it can go on

A run that is complete has no ``resume`` folder. A training that fails before its first checkpoint
leaves nothing; after it, the folder stays and ``autoencode train --resume RUN`` goes on, as it does
when the model is written and something fails after it. A run that is overwritten steps aside, and comes
back should the new one leave nothing.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autoencode.errors import ModelFileError, RunFolderError
from autoencode.files.atomic import storage_error, sweep, sync_folder
from autoencode.runs.request import Request
from autoencode.trained.model_files import CONFIG, HISTORY, PLOTS, RESUME, load_config
from autoencode.training.checkpoints import LOCK, RUN_FILE, Checkpoints, locked

_PASSING = re.compile(r"\.[0-9a-f]{32}\.partial")
_OLD = re.compile(r"\.[0-9a-f]{32}\.old")


@dataclass
class Claim:
    """A claim to a run folder, to which no other process writes.

    Attributes:
        folder: the run folder.
        replaces: the hidden folder beside it where the overwritten run waits.
        complete: set it when everything is written; the means to go on are removed then.
        writes: whether it is this process that writes; others of its job only read.
    """

    folder: Path
    replaces: Path | None = None
    complete: bool = False
    writes: bool = True

    @property
    def resume(self) -> Path:
        return self.folder / RESUME


def check_target(out: Path, overwrite: bool) -> Path:
    """Checks that a run folder can be written, before any work, and returns its path.

    Raises:
        RunFolderError: when it exists and is not to be overwritten, or is not a run.
        StorageError: when there can be no such folder.
    """
    try:
        if not _there(out):
            return out
        if not overwrite and is_unfinished(out):
            raise RunFolderError(
                f"{out} holds an unfinished training; autoencode train --resume {out} goes on, "
                "--overwrite starts anew"
            )
        if not overwrite:
            raise RunFolderError(f"{out} exists; pass --overwrite, or another folder with --out")
        if out.name in ("", "..") or os.path.ismount(out):
            raise RunFolderError(f"{out} cannot be replaced; choose a folder inside it")
        if not out.is_dir() or (any(out.iterdir()) and not _is_run(out)):
            raise RunFolderError(f"{out} is not a run folder, so it is not overwritten")
    except OSError as error:
        raise storage_error(out, error) from error
    return out


def is_unfinished(folder: Path) -> bool:
    """Tells whether a folder holds an unfinished training that can go on."""
    return (folder / RESUME / RUN_FILE).is_file()


def _there(path: Path) -> bool:
    return path.exists() or path.is_symlink()


def _is_run(folder: Path) -> bool:
    """Tells whether a folder holds a run, so that no other files are ever replaced."""
    if is_unfinished(folder):
        return True
    try:
        load_config(folder)
    except (RunFolderError, ModelFileError):
        return False
    return True


@contextlib.contextmanager
def claim_new(target: Path, overwrite: bool, request: Request) -> Iterator[Claim]:
    """Makes a new run folder for the block that trains it.

    It appears with its lock held and with what was asked for in it, so that whatever happens from then
    on, the training can start again or go on.

    Args:
        target: the run folder.
        overwrite: a run that stands there steps aside.
        request: what ``resume`` needs to know of the run.

    Raises:
        RunFolderError: when it is there, or another process trains it.
        StorageError: when it cannot be written.
    """
    stage = target.parent / f".{uuid.uuid4().hex}.partial"
    missing = [folder for folder in target.parents if not folder.exists()]
    claim = Claim(target)
    try:
        (stage / RESUME).mkdir(parents=True)
        with locked(stage / RESUME):
            _sweep(target.parent)
            if overwrite and _there(target):
                _refuse_locked(target)
                claim.replaces = stage.with_suffix(".old")
            old = None if claim.replaces is None else claim.replaces.name
            Checkpoints(stage / RESUME, {}).start({**request.as_dict(), "replaces": old})
            if claim.replaces is not None:
                target.rename(claim.replaces)
            _appear(stage, target)
            with _kept(claim, fresh=True):
                yield claim
    except OSError as error:
        raise storage_error(f"the run {target}", error) from error
    finally:
        shutil.rmtree(stage, ignore_errors=True)
        _settle(claim, missing)


@contextlib.contextmanager
def claim_again(target: Path) -> Iterator[tuple[Claim, Request]]:
    """Claims an unfinished run folder to go on with; yields the claim and what was asked for.

    Raises:
        RunFolderError: when there is no unfinished run, or another process trains it.
        ModelFileError: when what was asked for is damaged.
        StorageError: when it cannot be written.
    """
    if not target.is_dir():
        raise RunFolderError(f"no run folder at {target}; autoencode runs lists those there are")
    if not is_unfinished(target):
        raise RunFolderError(f"{target} has no unfinished training; autoencode train starts one")
    _refuse_links(target)
    claim = Claim(target)
    try:
        with locked(claim.resume):
            facts = Checkpoints(claim.resume, {}).request()
            claim.replaces = _waiting(facts.get("replaces"), target)
            tidy(target)
            with _kept(claim, fresh=False):
                yield claim, Request.from_dict(facts, claim.resume / RUN_FILE)
    except OSError as error:
        raise storage_error(f"the run {target}", error) from error
    finally:
        _settle(claim, [])


def _waiting(name: Any, target: Path) -> Path | None:
    """Where the run waits that this one replaces; it is removed in the end, so no other name is taken.

    Raises:
        ModelFileError: when what the file names is no name that ``claim_new`` gives.
    """
    if name is None:
        return None
    if not isinstance(name, str) or not _OLD.fullmatch(name):
        raise ModelFileError(
            f"{target / RESUME / RUN_FILE} names a folder that no training puts aside; it is not to be "
            "trusted, train again"
        )
    return target.parent / name


def _refuse_links(target: Path) -> None:
    """Refuses links where a training writes and removes, for it makes none and they lead elsewhere.

    Raises:
        ModelFileError: with the link.
    """
    inside = (RESUME, PLOTS, HISTORY, f"{RESUME}/{LOCK}")
    found = next((target / name for name in inside if (target / name).is_symlink()), None)
    if found is not None:
        raise ModelFileError(
            f"{found} is a link, and what it leads to would be written over; copy the run without links"
        )


@contextlib.contextmanager
def read_claim(target: Path) -> Iterator[tuple[Claim, Request]]:
    """Yields a claim for the other processes of a job, whose first one has ``claim_again``."""
    if not is_unfinished(target):
        raise RunFolderError(f"{target} has no unfinished training; autoencode train starts one")
    yield Claim(target, writes=False), read_request(target)


def read_request(folder: Path) -> Request:
    """Reads what an unfinished run was asked for.

    Raises:
        RunFolderError: when there is nothing to go on from.
        ModelFileError: when it is damaged.
    """
    place = folder / RESUME
    return Request.from_dict(Checkpoints(place, {}).request(), place / RUN_FILE)


@contextlib.contextmanager
def _kept(claim: Claim, fresh: bool) -> Iterator[None]:
    """Removes what is not worth keeping when the block is left, and says how to go on otherwise."""
    try:
        yield
    except BaseException as error:
        whole = (claim.folder / CONFIG).is_file()  # trained, and then something else failed
        if whole or Checkpoints(claim.resume, {}).any():
            error.add_note(f"autoencode train --resume {claim.folder} goes on")
        elif fresh:
            shutil.rmtree(claim.folder, ignore_errors=True)
        raise
    if claim.complete:
        (claim.resume / RUN_FILE).unlink()  # first, so that no half of it is ever gone on from
        tidy(claim.folder)


def tidy(folder: Path) -> None:
    """Removes what killed processes left in a run folder that no other process writes to."""
    for place in (folder, folder / PLOTS):
        sweep(place)
    if not is_unfinished(folder):
        shutil.rmtree(folder / RESUME, ignore_errors=True)


def _refuse_locked(folder: Path) -> None:
    if (folder / RESUME).is_dir():
        with locked(folder / RESUME):
            pass


def _appear(stage: Path, target: Path) -> None:
    try:
        stage.rename(target)
    except FileExistsError:
        raise _exists(target) from None
    except OSError as error:
        if _there(target):  # a folder with something in it, which another process was first to make
            raise _exists(target) from None
        raise error
    sync_folder(target.parent)


def _exists(target: Path) -> RunFolderError:
    return RunFolderError(f"{target} exists; pass --overwrite, or another folder with --out")


def _sweep(parent: Path) -> None:
    """Removes folders that processes which were killed had just begun."""
    for path in parent.glob(".*.partial"):
        if _PASSING.fullmatch(path.name) and not path.is_symlink():
            with contextlib.suppress(RunFolderError, OSError), locked(path / RESUME):
                shutil.rmtree(path, ignore_errors=True)


def _settle(claim: Claim, missing: list[Path]) -> None:
    """Restores or removes the overwritten run, and removes folders that were made in vain."""
    old = claim.replaces
    with contextlib.suppress(OSError):
        if old is not None and _there(old):
            if not _there(claim.folder):
                old.rename(claim.folder)
            elif old.is_symlink():
                old.unlink()
            else:
                shutil.rmtree(old, ignore_errors=True)
        for folder in missing:
            folder.rmdir()  # refuses, and so ends this, when there is anything in it
