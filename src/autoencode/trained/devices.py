"""The choice of the device that a model computes on."""

from __future__ import annotations

import torch

from autoencode.errors import IncompatibleError


def choose_device(name: str) -> torch.device:
    """Chooses a device: ``auto`` is CUDA where there is one, else MPS, else the CPU.

    Raises:
        IncompatibleError: for a device that this machine does not have.
    """
    present = {"cpu": True, "cuda": torch.cuda.is_available()}
    present["mps"] = torch.backends.mps.is_available()
    if name == "auto":
        return torch.device(next(d for d in ("cuda", "mps", "cpu") if present[d]))
    kind, _, index = name.partition(":")
    if kind not in present or not (index.isdecimal() or name == kind):
        raise IncompatibleError(f"unknown device '{name}'; use auto, cpu, cuda or mps")
    count = torch.cuda.device_count() if kind == "cuda" else 1
    if not present[kind] or int(index or 0) >= count:
        raise IncompatibleError(f"device '{name}' is not available here; use auto or cpu")
    return torch.device(name)
