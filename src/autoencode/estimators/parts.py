"""The rows that an estimator was given in parts, from which it learns when it is first asked."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import numpy as np

from autoencode.data import apply_spec
from autoencode.data.reservoir import Reservoir
from autoencode.data.values.as_given import template_of
from autoencode.data.values.frames import decode, encode, is_frame, to_frame, widened
from autoencode.types import DataSpec

ROOM, ROOM_BYTES = 10_000, 64 << 20


class Parts:
    """A fair sample of all rows that came in parts, up to 10 000 of them or 64 MB.

    Args:
        spec: of the first part; what later ones have besides (gaps, categories, another range) is
            taken up.
        seed: of the sample.
        template: a table without rows, which tells the library of what ``whole`` gives; ``None`` for
            arrays.
    """

    def __init__(self, spec: DataSpec, seed: int, template: Any = None) -> None:
        self.spec = replace(spec, kind="real", offset=(0.0,), scale=(1.0,), gaps=True)
        self.template = template
        room = max(1, min(ROOM, ROOM_BYTES // (8 * spec.size)))
        self.sample = Reservoir(room, seed)

    def add(self, X: Any) -> None:
        """Adds a part.

        Raises:
            DataError: when it has other columns or another shape, or values that cannot be learned.
        """
        if is_frame(X) and self.spec.columns:
            self.template = template_of(X)
            self.spec = replace(self.spec, columns=widened(self.spec.columns, X))
            self.sample.add(encode(X, self.spec.columns, "this part"))
        else:
            self.sample.add(apply_spec(X, self.spec, "this part"))

    def whole(self) -> Any:
        """Gives the sample as data to fit on: an array (M, *D), or a table."""
        rows, columns = self.sample.rows, self.spec.columns
        if not columns:
            return rows
        named = decode(rows.reshape(len(rows), -1).astype(np.float64), columns)
        for column in columns:
            if column.kind == "count":
                named[column.name] = np.rint(named[column.name])
        return to_frame(named, self.template)


_one_at_a_time = threading.RLock()


class LearnsWhenAsked:
    """A base of estimators whose fitted attributes are learned from ``Parts`` at their first use.

    ``partial_fit`` only remembers rows; the first attribute or method that needs the model trains it.
    So a hundred parts cost no more than one, and the result does not depend on when it was asked for.
    """

    _LEARNED = (
        *("trained_", "history_", "n_iter_", "offset_", "doubt_"),
        *("_learned", "_rows", "_calibration"),
    )

    def __getattr__(self, name: str) -> Any:
        known = self.__dict__
        if name in self._LEARNED and known.get("_parts") is not None and not known.get("_learning"):
            with _one_at_a_time:
                if name not in known:
                    self._learn_parts()
            return getattr(self, name)
        return object.__getattribute__(
            self, name
        )  # raises what a property raised, or that there is none

    def _learn_parts(self) -> None:
        parts = self.__dict__["_parts"]
        self.__dict__["_learning"] = True
        try:
            self._fit(parts.whole())
        finally:
            del self.__dict__["_learning"]
        self._parts = parts

    def _forget(self) -> None:
        """Forgets what was learned, to be learned again when it is asked for."""
        for name in self._LEARNED:
            self.__dict__.pop(name, None)
