"""The handling of Ctrl-C and SIGTERM by commands."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any, Self


class Interrupted(BaseException):
    """A signal that ended the program; no ``Exception``, so that nothing takes it for a failure.

    Attributes:
        remark: what the user should know, if anything is known.
    """

    def __init__(self, signal_number: int, remark: str | None = None) -> None:
        super().__init__(signal_number)
        self.exit_code = 128 + signal_number
        self.remark = remark


class Signals:
    """A context manager that lets Ctrl-C and SIGTERM end a block with nothing left half-done.

    An exception that a handler raises is lost where Python calls it inside a callback of the
    interpreter, which is not rare while large libraries are imported; so ``received`` remembers it.
    Handlers can be set by the main thread only; elsewhere the block runs as it is.
    """

    received = 0  # of the whole program

    def __init__(self) -> None:
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number_ in (signal.SIGINT, signal.SIGTERM):
                self._before[number_] = signal.signal(number_, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number_, handler in self._before.items():
            signal.signal(number_, handler)

    def _handle(self, number_: int, frame: FrameType | None) -> None:
        Signals.received = number_
        raise Interrupted(number_)

    @staticmethod
    def check() -> None:
        """Ends the program now if a signal has arrived that did not end it."""
        if Signals.received:
            raise Interrupted(Signals.received)
