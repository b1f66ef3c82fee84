"""A folder of exported parts with a manifest, written whole or not at all."""

from __future__ import annotations

import hashlib
import io
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch

from autoencode.errors import IncompatibleError, OptionError, RunFolderError, nearest
from autoencode.export.parity import Parity, Way, compare
from autoencode.export.ports import PARTS, Exportable, Part
from autoencode.export.string_columns import Named, named, read, spelled, with_names
from autoencode.export.to_onnx import OPSET, needed, program_of, quiet, to_onnx
from autoencode.files.atomic import new_folder, write_atomically
from autoencode.files.sealed import seal
from autoencode.types import Array
from autoencode.version import __version__

MANIFEST = "manifest.json"
Format = Literal["onnx", "pt2"]
_LIBRARIES = ("torch", "onnx", "onnxruntime")
_MOST_BYTES = 2**31 - 1  # of one ONNX file


@dataclass(frozen=True)
class Exported:
    """What was exported.

    Attributes:
        folder: where it lies.
        files: the file of each part, by name.
        parity: how each was checked.
        left_out: why parts are not there, by name; empty when parts were asked for by name.
    """

    folder: Path
    files: Mapping[str, Path]
    parity: Mapping[str, Parity]
    left_out: Mapping[str, str]


def export(
    model: Exportable,
    folder: str | os.PathLike[str],
    part: str | Sequence[str] = "all",
    *,
    data: Any = None,
    source: str = "",
    format: Format = "onnx",
    opset: int = OPSET,
    overwrite: bool = False,
) -> Exported:
    """Exports parts of a model into a new folder, each checked against Python; see ``Trained.export``.

    Args:
        model: a ``Trained`` or an estimator.
        folder: what is written.
        part: one of ``PARTS``, several, or all that the model has.
        data: examples by which files are checked; ``None`` for those that the model has at hand.
        source: what to call these data.
        format: onnx, or pt2 of ``torch.export``.
        opset: of ONNX.
        overwrite: whether an exported folder that is there is replaced.

    Raises:
        OptionError: for an unknown part or format, or without the libraries.
        RunFolderError: the folder is there.
        IncompatibleError: a part that was asked for cannot be exported, or differs from Python.
        DataError: the data do not fit.
        StorageError: the folder cannot be written.
    """
    names = _names(part)
    if format not in get_args(Format):
        raise OptionError(f"unknown format {format!r}; {nearest(str(format), get_args(Format))}")
    form = format
    target = Path(folder)
    _refuse_taken(target, overwrite)
    if form == "onnx":
        needed()
    rows, where = model.rows_to_check(data)
    made: dict[str, _File] = {}
    left_out: dict[str, str] = {}
    for name in names:
        try:
            made[name] = _made(model.part(name), form, opset, rows, source or where)
        except IncompatibleError as error:
            if part != "all":
                raise
            left_out[name] = str(error)
    if not made:
        raise IncompatibleError(f"no part can be exported: {next(iter(left_out.values()))}")
    with new_folder(target, overwrite=overwrite) as inside:
        for name, file in made.items():
            write_atomically(inside / f"{name}.{form}", file.content)
        manifest = _manifest(made, left_out, form, opset)
        write_atomically(inside / MANIFEST, seal(manifest))
    files = {name: target / f"{name}.{form}" for name in made}
    return Exported(target, files, {name: file.parity for name, file in made.items()}, left_out)


@dataclass(frozen=True)
class _File:
    """One file: its bytes, what they are of, and how they were checked."""

    content: bytes
    part: Part
    parity: Parity


def _names(part: str | Sequence[str]) -> list[str]:
    if part == "all":
        return list(PARTS)
    names = [part] if isinstance(part, str) else list(part)
    for name in names:
        if name not in PARTS:
            raise OptionError(f"unknown part {name!r}; {nearest(str(name), [*PARTS, 'all'])}")
    return names


def _refuse_taken(target: Path, overwrite: bool) -> None:
    if not target.exists():
        return
    if not overwrite:
        raise RunFolderError(f"{target} exists already; choose another folder, or overwrite it")
    if not (target / MANIFEST).is_file() and any(target.iterdir() if target.is_dir() else [target]):
        raise RunFolderError(f"{target} is no exported folder, and is not replaced; choose another")


def _made(part: Part, form: Format, opset: int, rows: Any, source: str) -> _File:
    if form == "pt2":
        buffer = io.BytesIO()
        program = program_of(part)
        with quiet():
            torch.export.save(program, buffer)
        content = buffer.getvalue()
        way = _pt2_way(content)
    else:
        model = with_names(to_onnx(part, opset), part)
        if model.ByteSize() > _MOST_BYTES:
            raise IncompatibleError(
                f"{part.name} is larger than the 2 GB of an ONNX file; use format pt2, or a smaller one"
            )
        content = model.SerializeToString()
        way = _onnx_way(content, part)
    return _File(content, part, compare(part, way, rows, source))


def _onnx_way(content: bytes, part: Part) -> Way:
    """Runs an ONNX file by onnxruntime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors alone
    options.intra_op_num_threads = torch.get_num_threads()
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors have no common class
        reason = str(error).strip().splitlines()[0][:300]
        raise IncompatibleError(
            f"{part.name} cannot be exported: onnxruntime cannot run it ({reason}); use another opset, "
            "or format pt2"
        ) from error
    inputs, outputs = named(part)

    def run(given: Sequence[Array]) -> list[Array]:
        feed: dict[str, Array] = {}
        for port, entries, values in zip(part.inputs, inputs, given, strict=True):
            feed |= spelled(port, entries, np.ascontiguousarray(values))
        names = [entry.name for port in outputs for entry in port]
        found = dict(zip(names, session.run(names, feed), strict=True))
        return [read(port, own, found) for port, own in zip(part.outputs, outputs, strict=True)]

    return run


def _pt2_way(content: bytes) -> Way:
    """Runs a file of ``torch.export``."""
    program = torch.export.load(io.BytesIO(content)).module()

    def run(given: Sequence[Array]) -> list[Array]:
        with torch.no_grad():
            found = program(*(torch.from_numpy(np.ascontiguousarray(one)) for one in given))
        return [one.numpy() for one in found]

    return run


def _manifest(
    made: Mapping[str, _File], left_out: Mapping[str, str], form: Format, opset: int
) -> dict[str, Any]:
    versions = {"autoencode": __version__, "python": platform.python_version()}
    versions |= {name: metadata.version(name) for name in _LIBRARIES if _is_there(name, form)}
    return {
        "format": form,
        **({"opset": opset} if form == "onnx" else {}),
        "versions": versions,
        "parts": {name: _described(name, file, form) for name, file in made.items()},
        "left_out": dict(left_out),
    }


def _is_there(name: str, form: Format) -> bool:
    return name == "torch" or form == "onnx"


def _described(name: str, file: _File, form: Format) -> dict[str, Any]:
    words = form == "onnx"
    inputs, outputs = (
        [_entry(entry) for port in side for entry in port] for side in named(file.part, words)
    )
    if not words:  # a table stays a matrix, and words stay places
        ports = (*file.part.inputs, *file.part.outputs)
        for port, entry in zip(ports, (*inputs, *outputs), strict=True):
            if port.columns:
                entry["columns"] = [asdict(column) for column in port.columns]
    limit = {} if file.part.limit is None else {"threshold": file.part.limit}
    return {
        "file": f"{name}.{form}",
        "does": PARTS[name],
        "sha256": hashlib.sha256(file.content).hexdigest(),
        "bytes": len(file.content),
        "inputs": inputs,
        "outputs": outputs,
        **limit,
        "parity": file.parity.as_dict(),
    }


def _entry(entry: Named) -> dict[str, Any]:
    found = {
        "name": entry.name,
        "dtype": entry.dtype,
        "shape": ["batch", *entry.shape],
        "unit": entry.unit,
    }
    if entry.words:
        found["words"] = list(entry.words)
    return found | ({"missing": entry.missing} if entry.missing else {})
