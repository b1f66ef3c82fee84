"""Every error that autoencode raises on purpose, and the exit code each one means on the command line.

    AutoencodeError            1
    ├── InputError             2   what the user gave cannot be used; the message says what to do
    │   ├── OptionError            an unknown or ill-fitting option, recipe, data set or device
    │   ├── DataError              an array or data file
    │   ├── RunFolderError         a run folder that exists, is missing or is half there
    │   ├── ModelFileError         a model file that cannot be trusted or does not fit
    │   ├── IncompatibleError      parts that do not belong together
    │   └── StorageError           a place that cannot be written (full disk, no permission)
    └── TrainingError          1   the run itself failed (diverged, say)

Messages are one line: what is wrong, where, and what to do.
"""

from __future__ import annotations

import difflib
import logging
import threading
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

_LISTED, _COMPARED = 12, 2000  # names in a message, and among which the nearest are looked for
_MOST_NAME = 60  # characters of a name in a message


class AutoencodeError(Exception):
    """Base of all errors raised on purpose.

    Attributes:
        alone: the number of the process, among many, that met this error by itself.
    """

    exit_code = 1
    alone: int | None = None


class InputError(AutoencodeError, ValueError):
    """An error in what the user gave: it cannot be used."""

    exit_code = 2


class OptionError(InputError):
    """An unknown or ill-fitting option, recipe, data set or device."""


class DataError(InputError):
    """An array or data file that cannot be learned from."""


class DataTypeError(DataError, TypeError):
    """Data of a type that no number can be made of."""


class RunFolderError(InputError):
    """A run folder that exists already, is missing or is half there."""


class ModelFileError(InputError):
    """A model file that cannot be trusted or does not fit its configuration."""


class IncompatibleError(InputError):
    """Parts that do not belong together, with the remedy in the message."""


class StorageError(InputError):
    """A place that cannot be written."""


class TrainingError(AutoencodeError):
    """A failure of training itself."""


class ThresholdWarning(UserWarning):
    """No threshold between usual rows and anomalies can be told from the rows alone."""


class DoctorWarning(UserWarning):
    """A warning that a model was trained whole and is not what it could be, with what to try.

    ``warnings.filterwarnings("ignore", category=DoctorWarning)`` silences it, and so does the option
    ``doctor=False`` of a training.

    Attributes:
        rule: the name of the doctor's rule.
        suggestion: what to try, as ``option=value``; several are parted by commas.
    """

    def __init__(self, rule: str, message: str, suggestion: str) -> None:
        super().__init__(f"{message}; try {suggestion}")
        self.rule, self.suggestion = rule, suggestion


def nearest(name: str, known: Iterable[str]) -> str:
    """Ends an error message about an unknown name: with the nearest known names, or some of all.

    >>> nearest("vea", ["vae", "mlp"])
    'did you mean vae?'
    >>> nearest("zzz", ["vae", "mlp"])
    'known: mlp, vae'
    """
    known = sorted(known)
    few = known if len(known) <= _COMPARED else []  # to compare with each takes time
    close = difflib.get_close_matches(name[:_MOST_NAME], few, n=3, cutoff=0.5)
    if close:
        return f"did you mean {' or '.join(name[:_MOST_NAME] for name in close)}?"
    listed = [name[:_MOST_NAME] for name in known[:_LISTED]]
    more = f" and {len(known) - _LISTED} more" if len(known) > _LISTED else ""
    return f"known: {', '.join(listed)}{more}"


_MOST_SAID = 1000
_logger, _said = logging.getLogger("autoencode"), set[str]()


def say_once(notices: Iterable[str]) -> None:
    """Says through the logger ``autoencode`` what was guessed of data, each line once in a process.

    ``logging.getLogger("autoencode").setLevel("ERROR")`` silences it. Commands say it on stderr.
    """
    for notice in notices:
        if notice not in _said:
            if len(_said) < _MOST_SAID:
                _said.add(notice)
            _logger.warning("%s", notice)


_filters = threading.RLock()


@contextmanager
def own_warnings(record: bool = False) -> Iterator[list[warnings.WarningMessage]]:
    """Lets a block set filters of its own for warnings, and with ``record`` lists them instead.

    Filters are the process's, and threads that put them back in another order than they set them would
    leave some behind; so one thread at a time is inside.
    """
    with _filters, warnings.catch_warnings(record=record) as caught:
        yield [] if caught is None else caught
