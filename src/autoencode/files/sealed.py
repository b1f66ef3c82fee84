"""JSON files that carry their own SHA-256, so that every alteration is noticed.

A sealed file is one JSON object, written in one way only, whose ``sha256`` is that of everything else
in it. So any other byte is noticed, also one that JSON would read as the same.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from autoencode.errors import ModelFileError
from autoencode.files.regular import read_regular

_SEAL = "sha256"
_TIMES = 60  # the bytes of a file that it takes at most once it is read


def to_json(value: Any) -> bytes:
    """Encodes a value as the JSON that is written to files: indented, and never NaN."""
    return (json.dumps(value, indent=2, allow_nan=False) + "\n").encode()


def seal(content: Mapping[str, Any]) -> bytes:
    """Encodes content as the bytes of a sealed file, with its SHA-256."""
    return to_json({**content, _SEAL: hashlib.sha256(to_json(content)).hexdigest()})


def parse_json(written: bytes | str) -> Any:
    """Decodes JSON in which no name stands twice, for one of the two would be lost in silence.

    Raises:
        ValueError: when it is no such JSON.
        RecursionError: when it is nested beyond measure.
    """
    return json.loads(written, object_pairs_hook=_without_doubles)


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands twice")
    return found


def read_json(path: Path) -> tuple[dict[str, Any], bytes]:
    """Reads the JSON object in a file; returns it and the file's bytes.

    Raises:
        ModelFileError: when it is no JSON object.
        DataError: when it would not fit into memory.
        OSError: when it cannot be read.
    """
    written = read_regular(path, times=_TIMES)
    try:
        value = parse_json(written)
    except (ValueError, RecursionError):
        raise ModelFileError(f"{path} is damaged (not valid JSON); train again") from None
    if not isinstance(value, dict):
        raise ModelFileError(f"{path} is damaged (not a JSON object); train again")
    return value, written


def unseal(value: Mapping[str, Any], written: bytes, path: Path) -> dict[str, Any]:
    """Returns the content of a sealed file after checking its SHA-256.

    Args:
        value: what ``read_json`` made of it.
        written: its bytes.
        path: for the message.

    Raises:
        ModelFileError: when it is not as it was written.
    """
    content = {key: entry for key, entry in value.items() if key != _SEAL}
    try:
        whole = seal(content) == written
    except (ValueError, RecursionError):  # NaN, or nested beyond measure
        whole = False
    if not whole:
        raise ModelFileError(f"{path} was altered or damaged (SHA-256 differs); train again")
    return content
