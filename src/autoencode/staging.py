"""A folder that appears whole or not at all.

A run is written into a folder beside its final place and takes its name when it is complete, so that
whatever bears the name is whole and a failed run leaves nothing behind.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

from autoencode.errors import ModelFileError, RunFolderError
from autoencode.files import storage_error
from autoencode.io import load_config


def check_target(out: Path, overwrite: bool) -> Path:
    """The run folder to write, refused before any work when it cannot be.

    Raises:
        RunFolderError: when it exists and is not to be overwritten, or is not a run.
        StorageError: when there can be no such folder.
    """
    try:
        if not _there(out):
            return out
        if not overwrite:
            raise RunFolderError(f"{out} exists; pass --overwrite, or another folder with --out")
        if out.name in ("", "..") or os.path.ismount(out):
            raise RunFolderError(f"{out} cannot be replaced; choose a folder inside it")
        if not out.is_dir() or (any(out.iterdir()) and not _is_run(out)):
            raise RunFolderError(f"{out} is not a run folder, so it is not overwritten")
    except OSError as error:
        raise storage_error(out, error) from error
    return out


def _there(path: Path) -> bool:
    return path.exists() or path.is_symlink()


def _is_run(folder: Path) -> bool:
    """Whether a run stands there, so that nobody's other files are ever replaced."""
    try:
        load_config(folder)
    except (RunFolderError, ModelFileError):
        return False
    return True


@contextlib.contextmanager
def staged(target: Path | None, overwrite: bool) -> Iterator[Path | None]:
    """A folder beside the target that takes its name when the block succeeds, else disappears.

    The run that is overwritten steps aside only then, and comes back should the last step fail.
    """
    if target is None:
        yield None
        return
    stage = target.parent / f".{uuid.uuid4().hex}.partial"
    old = stage.with_suffix(".old")
    missing = [folder for folder in target.parents if not folder.exists()]
    try:
        stage.mkdir(parents=True)
        yield stage
        if overwrite and _there(target):
            target.rename(old)
        stage.rename(target)
    except OSError as error:
        raise storage_error(f"the run {target}", error) from error
    finally:
        shutil.rmtree(stage, ignore_errors=True)
        _settle(old, target, missing)


def _settle(old: Path, target: Path, missing: list[Path]) -> None:
    """Brings the old run back or removes it, and folders that were made for nothing."""
    with contextlib.suppress(OSError):
        if _there(old):
            if not _there(target):
                old.rename(target)
            elif old.is_symlink():
                old.unlink()
            else:
                shutil.rmtree(old, ignore_errors=True)
        for folder in missing:
            folder.rmdir()  # refuses, and so ends this, when there is anything in it
