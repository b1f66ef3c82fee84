"""The environment that a model was trained in: versions and processor."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

import torch

from autoencode.version import __version__


def environment() -> dict[str, Any]:
    """Records the versions and the hardware in use."""
    import numpy

    return {
        "autoencode": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "platform": platform.platform(),
        "processor": _processor(),
        "threads": torch.get_num_threads(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((s.split(":", 1)[1].strip() for s in lines if s.startswith("model name")), "")
