"""Settings of the processor that make training faster without changing what is computed.

Two of them, both measured (see ``benchmarks/``):

* oneDNN multiplies large float32 matrices faster than MKL on AMD processors; small ones it makes wait
  twice as long (0.1 ms more for each layer and step), so it is left out there. The switch that chooses
  it is named after bfloat16, and on processors with AMX it would really round to it; so its error is
  measured first, and the switch is put back afterwards. It is the process's: threads that want it
  otherwise take turns, since the last bits of a product depend on it.
* glibc returns every freed block of more than a few hundred kilobytes to the system and faults it in
  again at the next step. Larger thresholds keep it. This is a setting of the whole process that cannot
  be read back, so it stays; ``AUTOENCODE_MALLOC=0`` leaves it alone.
"""

from __future__ import annotations

import ctypes
import functools
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from autoencode.training.settings import Turns

_LARGE = 8_000_000  # multiplications of a pass; from there on oneDNN has caught up with MKL
# float32 products have a relative error near 3e-7 here and bfloat16 ones near 3e-3.
_MAX_ERROR = 2e-6
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3


@contextmanager
def tuned(device: torch.device, work: int = _LARGE) -> Iterator[None]:
    """Sets up fast float32 arithmetic for a block that trains or embeds on this device.

    Args:
        device: where.
        work: multiplications of one pass through the network, where that is known: entries of its
            weights times rows of a batch.
    """
    if device.type != "cpu":
        yield
        return
    _keep_freed_memory()
    if not _onednn_is_exact():
        yield
        return
    with _onednn.held("bf16" if work >= _LARGE else None):
        yield


def _read() -> str:
    found: str = torch.backends.mkldnn.matmul.fp32_precision  # type: ignore[attr-defined]
    return found


def _write(value: str) -> None:
    torch.backends.mkldnn.matmul.fp32_precision = value  # type: ignore[attr-defined]


_onednn = Turns(_read, _write)
_measuring = threading.Lock()


def _onednn_is_exact() -> bool:
    """Tells whether the oneDNN route computes true float32 products on this processor."""
    with _measuring:  # nobody computes while it is measured, for that takes the switch
        return _measured()


@functools.cache
def _measured() -> bool:
    if not torch.backends.mkldnn.is_available():
        return False
    matmul = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(64, 256, generator=generator)
    b = torch.randn(256, 64, generator=generator)
    exact = a.double() @ b.double()
    before = matmul.fp32_precision
    try:
        matmul.fp32_precision = "bf16"
        error = ((a @ b).double() - exact).abs().max() / exact.abs().max()
    finally:
        matmul.fp32_precision = before
    return bool(error < _MAX_ERROR)


@functools.cache
def _keep_freed_memory() -> None:
    """Lets glibc keep freed blocks instead of returning them at every step."""
    if not sys.platform.startswith("linux") or os.environ.get("AUTOENCODE_MALLOC") == "0":
        return
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):  # another C library (musl): nothing to tune
        return
    mallopt(_M_MMAP_THRESHOLD, 1 << 25)
    mallopt(_M_TRIM_THRESHOLD, (1 << 31) - 1)
    mallopt(_M_TOP_PAD, 1 << 26)
