"""Tables as users have them: an input and an output for each named column, and words for categories.

"age", "pet", ...  ──► numbers, places of words ──► x (batch, columns) ──► the part
the part ──► x (batch, columns) ──► columns of numbers and words ──► "age", "pet", ...
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from autoencode.export.ports import Part, Port
from autoencode.types import UNSEEN, Array, ColumnKind

#: What the numbers of a column of some kind are; those of categories are words.
UNITS: Mapping[ColumnKind, str] = {
    "real": "as in the table",
    "count": "a whole number from 0 on",
    "boolean": "0 false, 1 true",
    "category": "a word",
    "date": "days since 1970-01-01 UTC",
}
_ML, _ML_VERSION = "ai.onnx.ml", 3  # where ONNX has the operation that looks words up


@dataclass(frozen=True)
class Named:
    """One input or output of a file.

    Attributes:
        name: what it is called there.
        dtype: string, float32, float64, int64 or bool.
        shape: of one example.
        unit: what its values mean.
        words: the words that it knows; empty for numbers.
        missing: how a missing value is written, where there is a way.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    unit: str
    words: tuple[str, ...] = ()
    missing: str = ""


def named(part: Part, words: bool = True) -> tuple[list[list[Named]], list[list[Named]]]:
    """Lists what the inputs and the outputs of a part become in a file, for each port.

    An output is called as its port or column, and ``_out`` comes behind it where an input is called so.

    Args:
        part: the part.
        words: whether columns stand apart and categories are words; else both stay numbers.
    """
    taken: set[str] = set()
    sides = []
    for ports in (part.inputs, part.outputs):
        side = []
        for port in ports:
            entries = _entries(port, words)
            renamed = []
            for entry in entries:
                name = entry.name
                while name in taken:
                    name += "_out" if ports is part.outputs else "_in"
                taken.add(name)
                renamed.append(Named(name, *_rest(entry)))
            side.append(renamed)
        sides.append(side)
    return sides[0], sides[1]


def _rest(entry: Named) -> tuple[Any, ...]:
    return entry.dtype, entry.shape, entry.unit, entry.words, entry.missing


def _entries(port: Port, words: bool) -> list[Named]:
    if port.words and words:
        return [Named(port.name, "string", (), port.unit, port.words, "any other word")]
    if port.columns and words:
        return [
            Named(column.name, "string", (), UNITS["category"], column.categories, "any other word")
            if column.kind == "category"
            else Named(column.name, port.dtype, (), UNITS[column.kind], (), "NaN")
            for column in port.columns
        ]
    missing = {"float32": "NaN", "float64": "NaN", "int64": "-1"}.get(port.dtype, "")
    return [Named(port.name, port.dtype, port.shape, port.unit, port.words, missing)]


def spelled(port: Port, names: Sequence[Named], values: Array) -> dict[str, Array]:
    """Writes numbers (N, ...) of a port as a file with words takes them."""
    if port.words and names[0].dtype == "string":
        return {names[0].name: _words(values, port.words)}
    if port.columns and len(port.shape) == 1 and names[0].shape == ():
        return {
            name.name: _words(values[:, i], name.words)
            if name.dtype == "string"
            else values[:, i].copy()
            for i, name in enumerate(names)
        }
    return {names[0].name: values}


def read(port: Port, names: Sequence[Named], found: Mapping[str, Array]) -> Array:
    """Reads what a file with words gave for a port as numbers (N, ...) again."""
    if not port.columns or names[0].shape != ():
        return found[names[0].name]
    columns = []
    for name in names:
        values = found[name.name]
        if name.dtype == "string":
            places = {word: float(i) for i, word in enumerate(name.words)}
            values = np.array([places.get(str(word), np.nan) for word in values])
        columns.append(values.astype(np.float64))
    return np.stack(columns, axis=1)


def _words(places: Array, words: Sequence[str]) -> Array:
    known = np.array([*words, ""], dtype=object)
    gone = np.isnan(places) | (places < 0) if places.dtype.kind == "f" else places < 0
    spelled: Array = known[np.where(gone, len(words), places).astype(int)]
    return spelled


def with_names(model: Any, part: Part) -> Any:
    """Gives an ONNX model of a part the inputs and outputs that ``named`` lists."""
    from onnx import compose, helper

    inputs, outputs = named(part)
    names = [entry.name for side in (inputs, outputs) for port in side for entry in port]
    prefix = "in/"
    while any(name.startswith(prefix) for name in names):
        prefix = f"_{prefix}"
    model = compose.add_prefix(model, prefix)
    graph, before, after = model.graph, [], []
    inside = named(part, words=False)
    for port, entries, plain in zip(part.inputs, inputs, inside[0], strict=True):
        before.extend(_front(port, entries, f"{prefix}{plain[0].name}"))
    for port, entries, plain in zip(part.outputs, outputs, inside[1], strict=True):
        after.extend(_back(port, entries, f"{prefix}{plain[0].name}"))
    nodes = [*before, *graph.node, *after]
    for field in (graph.node, graph.input, graph.output):
        del field[:]
    graph.node.extend(nodes)
    graph.input.extend(_value(entry) for port in inputs for entry in port)
    graph.output.extend(_value(entry) for port in outputs for entry in port)
    if all(one.domain != _ML for one in model.opset_import):
        model.opset_import.append(helper.make_opsetid(_ML, _ML_VERSION))
    return model


def _value(entry: Named) -> Any:
    from onnx import TensorProto, helper

    types = {
        "string": TensorProto.STRING,
        "float32": TensorProto.FLOAT,
        "float64": TensorProto.DOUBLE,
        "int64": TensorProto.INT64,
        "bool": TensorProto.BOOL,
    }
    return helper.make_tensor_value_info(entry.name, types[entry.dtype], ["batch", *entry.shape])


def _front(port: Port, names: Sequence[Named], inside: str) -> list[Any]:
    """Makes the nodes from a port's inputs to the tensor ``inside`` that the part takes."""
    from onnx import TensorProto, helper

    if port.words:
        looked_up = helper.make_node(
            "LabelEncoder",
            [names[0].name],
            [inside],
            domain=_ML,
            keys_strings=list(port.words),
            values_int64s=list(range(len(port.words))),
            default_int64=-1,
        )
        return [looked_up]
    if not port.columns:
        return [helper.make_node("Identity", [names[0].name], [inside])]
    nodes, parts = [_constant(f"{inside}/axis", [1])], []
    for i, name in enumerate(names):
        value = name.name
        if name.dtype == "string":
            value = f"{inside}/{i}/places"
            gap = [] if "" in name.words else [""]
            nodes.append(
                helper.make_node(
                    "LabelEncoder",
                    [name.name],
                    [f"{value}32"],
                    domain=_ML,
                    keys_strings=[*name.words, *gap],
                    values_floats=[*map(float, range(len(name.words))), *(math.nan for _ in gap)],
                    default_float=float(UNSEEN),
                )
            )
            nodes.append(helper.make_node("Cast", [f"{value}32"], [value], to=TensorProto.DOUBLE))
        parts.append(f"{inside}/{i}")
        nodes.append(helper.make_node("Unsqueeze", [value, f"{inside}/axis"], [parts[-1]]))
    return [*nodes, helper.make_node("Concat", parts, [inside], axis=1)]


def _back(port: Port, names: Sequence[Named], inside: str) -> list[Any]:
    """Makes the nodes from the tensor ``inside`` that the part gives to the outputs of its port."""
    from onnx import TensorProto, helper

    if not port.columns:
        return [helper.make_node("Identity", [inside], [names[0].name])]
    nodes = []
    for i, name in enumerate(names):
        place = f"{inside}/{i}/place"
        value = f"{inside}/{i}/out" if name.dtype == "string" else name.name
        nodes.append(_constant(place, i))
        nodes.append(helper.make_node("Gather", [inside, place], [value], axis=1))
        if name.dtype == "string":
            nodes.append(helper.make_node("Cast", [value], [f"{value}32"], to=TensorProto.FLOAT))
            nodes.append(
                helper.make_node(
                    "LabelEncoder",
                    [f"{value}32"],
                    [name.name],
                    domain=_ML,
                    keys_floats=[float(place) for place in range(len(name.words))],
                    values_strings=list(name.words),
                    default_string="",
                )
            )
    return nodes


def _constant(name: str, value: Any) -> Any:
    from onnx import helper, numpy_helper

    tensor = numpy_helper.from_array(np.array(value, np.int64), name)
    return helper.make_node("Constant", [], [name], value=tensor)
