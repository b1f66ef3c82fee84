"""Lists the runs under a folder."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from autoencode.data import Origin
from autoencode.errors import InputError, RunFolderError
from autoencode.trained.model_files import CONFIG, load_config, read_metrics


def list_runs(root: str | os.PathLike[str] = "runs") -> list[dict[str, Any]]:
    """Lists all complete runs under a folder, oldest first, with what is worth comparing.

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
        if (path.parent.parent / CONFIG).is_file():
            continue  # a part of another one
        # What is no run, or went away meanwhile, is not listed.
        with contextlib.suppress(InputError, OSError):
            written = path.stat().st_mtime
            found.append((written, _summary(path.parent, load_config(path.parent), written)))
    return [summary for _, summary in sorted(found, key=lambda pair: pair[0])]


def _summary(folder: Path, config: Mapping[str, Any], written: float) -> dict[str, Any]:
    metrics = read_metrics(folder)
    training = config.get("training", {})
    return {
        "run": str(folder),
        "recipe": config["recipe"],
        "data": Origin.from_dict(config.get("data")).name,
        "schedule": config.get("schedule"),
        "seed": config.get("seed"),
        "latent": config.get("latent_shape"),
        "epochs": training.get("epochs"),
        "seconds": training.get("seconds"),
        "mse": metrics.get("mse"),
        "elbo": metrics.get("elbo"),
        "written": _when(written),
    }


def _when(seconds: float) -> str:
    try:
        return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
    except (OverflowError, ValueError, OSError):  # a year that no calendar has
        return "-"
