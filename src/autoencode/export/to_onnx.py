"""A part as an ONNX model: numbers in, numbers out."""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from autoencode.errors import AutoencodeError, IncompatibleError, OptionError, own_warnings
from autoencode.export.decompose import table
from autoencode.export.ports import Part, Port
from autoencode.export.string_columns import named

OPSETS = (18, 25)  # what torch writes well, and the newest that onnxruntime reads
OPSET = 20
_EXAMPLES = 3  # that are traced; of one, torch takes the number for a constant
_MOST = 1 << 40  # examples of one batch
_FLOAT, _UNKNOWN = 1, -1  # dtypes in the numbering of ONNX
_NEEDED = ("onnx", "onnxscript", "onnxruntime")


def needed() -> None:
    """Refuses to go on without the libraries of the extra ``export``.

    Raises:
        OptionError: with the command that installs them.
    """
    for name in _NEEDED:
        try:
            importlib.import_module(name)
        except ImportError:
            raise OptionError(
                f"ONNX files need {name}, which is not installed; pip install 'autoencode[export]'"
            ) from None


def program_of(part: Part) -> torch.export.ExportedProgram:
    """Traces a part by ``torch.export``, for any number of examples.

    Raises:
        IncompatibleError: when torch cannot trace it, with the reason in one line.
    """
    given = tuple(_example(port) for port in part.inputs)
    many = {0: torch.export.Dim("batch", min=1, max=_MOST)}
    module = part.module.eval().requires_grad_(False)
    try:
        with quiet():
            with torch.no_grad():
                module(*given)  # what is computed once must be there: it cannot be recorded
            return torch.export.export(module, given, dynamic_shapes=(many,) * len(given))
    except Exception as error:
        raise _refusal(part, error) from error


def to_onnx(part: Part, opset: int = OPSET) -> Any:
    """Converts a part to an ONNX model whose inputs and outputs are numbers, named as by ``named``.

    Raises:
        OptionError: without the libraries, or for an opset that cannot be written.
        IncompatibleError: when it cannot be exported.
    """
    needed()
    if not OPSETS[0] <= opset <= OPSETS[1]:
        raise OptionError(f"opset must lie in {OPSETS[0]}..{OPSETS[1]}, got {opset}")
    program, (inputs, outputs) = program_of(part), named(part, words=False)
    try:
        with quiet():
            found = torch.onnx.export(
                program.run_decompositions(table()),
                dynamo=True,
                opset_version=opset,
                input_names=[port[0].name for port in inputs],
                output_names=[port[0].name for port in outputs],
                verbose=False,
                optimize=False,  # which takes minutes for many nodes; onnxruntime does it in a second
                custom_translation_table={torch.ops.aten.scalar_tensor.default: _exact_number},
            )
            assert found is not None
            model = found.model_proto
    except Exception as error:
        raise _refusal(part, error) from error
    _forget_where(model)
    _name_the_batch(model)
    return model


def _exact_number(s: Any, dtype: int = _FLOAT, **_: Any) -> Any:
    """Writes a number in a dtype of ONNX; torch's own way takes float64 through float32."""
    import onnx_ir
    import onnxscript

    opset: Any = onnxscript.opset18
    dtype = _FLOAT if dtype == _UNKNOWN else dtype
    if isinstance(s, onnx_ir.Value):
        return opset.Cast(s, to=dtype)
    return opset.Constant(value=onnx_ir.tensor(s, dtype=onnx_ir.DataType(dtype)))


def _example(port: Port) -> Tensor:
    dtype = getattr(torch, port.dtype)
    return torch.zeros(_EXAMPLES, *port.shape, dtype=dtype)


def _forget_where(model: Any) -> None:
    """Takes out of a model where in the source its nodes came from, with the paths of this machine."""
    graphs = [model.graph, *model.functions]
    for graph in graphs:
        del graph.metadata_props[:]
        for node in graph.node:
            del node.metadata_props[:]
            node.doc_string = ""
            graphs.extend(attribute.g for attribute in node.attribute if attribute.HasField("g"))
        for value in [*getattr(graph, "value_info", ()), *getattr(graph, "initializer", ())]:
            del value.metadata_props[:]
    del model.metadata_props[:]


def _name_the_batch(model: Any) -> None:
    for value in [*model.graph.input, *model.graph.output]:
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    del model.graph.value_info[:]


def _refusal(part: Part, error: BaseException) -> AutoencodeError:
    """Makes the error of what cannot be exported: the innermost reason, in one line."""
    inner = error
    while inner.__cause__ is not None:
        inner = inner.__cause__
    if isinstance(inner, AutoencodeError):
        return IncompatibleError(f"{part.name} cannot be exported: {inner}")
    reason = next(
        (line.strip() for line in str(inner).splitlines() if line.strip()), type(inner).__name__
    )
    return IncompatibleError(
        f"{part.name} cannot be exported: {reason[:300]}; use another recipe, or networks of which "
        "torch.export can trace all"
    )


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keeps what torch and onnxscript say of themselves from the user."""
    loggers = [
        logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir", "torch.export")
    ]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with own_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
