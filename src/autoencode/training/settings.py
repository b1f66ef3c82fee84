"""Settings of the process that a block changes, where several threads may be in such blocks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

_PATIENCE = 1.0  # seconds that a thread lets others go first before it joins those of its own wish


@dataclass(eq=False)
class _Wish:
    value: Any
    thread: int = field(default_factory=threading.get_ident)


class Setting:
    """A setting that blocks change and put back, whatever the order in which threads leave them.

    While blocks of several threads overlap, the newest one's wish holds; the last to leave puts back
    what was there before the first.

    Args:
        read, write: the setting.
        by_thread: whether each thread has a value of its own, that of the process being where it
            starts (torch's number of threads).
    """

    def __init__(
        self, read: Callable[[], Any], write: Callable[[Any], object], by_thread: bool = False
    ) -> None:
        self._read, self._write, self._by_thread = read, write, by_thread
        self._lock = threading.Lock()
        self._wishes: list[_Wish] = []
        self._before: Any = None

    @contextmanager
    def held(self, value: Any) -> Iterator[None]:
        """Sets it for a block."""
        wish = _Wish(value)
        with self._lock:
            if not self._wishes:
                self._before = self._read()
            self._wishes.append(wish)
            self._put(value)
        try:
            yield
        finally:
            with self._lock:
                self._wishes.remove(wish)
                self._put(self._standing(wish.thread))

    def _standing(self, thread: int) -> Any:
        """What holds for a thread that has left a block."""
        all_ = [w for w in self._wishes if not self._by_thread or w.thread == thread]
        return all_[-1].value if all_ else self._before

    def _put(self, value: Any) -> None:
        if self._read() != value:
            self._write(value)


class Turns:
    """A setting on which the last bits of results depend: threads of different wishes take turns.

    Threads that wish for the same value compute together. One that wishes for another waits until they
    have left, and those that come meanwhile let it go first. Blocks are to be short, a step or a chunk.

    Args:
        read, write: the setting.
    """

    def __init__(self, read: Callable[[], Any], write: Callable[[Any], object]) -> None:
        self._read, self._write = read, write
        self._changed = threading.Condition()
        self._here = threading.local()
        self._inside, self._value, self._before = 0, None, None
        self._waiting: list[Any] = []

    @contextmanager
    def held(self, value: Any) -> Iterator[None]:
        """Sets it for a block; ``None`` for one that takes it as it finds it."""
        outer = getattr(self._here, "wish", ())
        if outer and value in (None, outer[0]):
            yield
            return
        if outer:  # what is around this block does not compute meanwhile
            self._leave()
        self._enter(value)
        try:
            yield
        finally:
            self._leave()
            if outer:
                self._enter(outer[0])

    def _enter(self, value: Any) -> None:
        with self._changed:
            self._waiting.append(value)
            # Who is inside may wait for this very thread, so nobody lets others go first for ever.
            self._changed.wait_for(lambda: not self._inside or self._next(value), _PATIENCE)
            self._changed.wait_for(lambda: not self._inside or self._value == value)
            self._waiting.remove(value)
            if not self._inside:
                self._value, self._before = value, self._read()
                if value is not None:
                    self._write(value)
            self._inside += 1
        self._here.wish = (value,)

    def _next(self, value: Any) -> bool:
        return self._value == value and all(other == value for other in self._waiting)

    def _leave(self) -> None:
        self._here.wish = ()
        with self._changed:
            self._inside -= 1
            if not self._inside:
                if self._value is not None:
                    self._write(self._before)
                self._changed.notify_all()
