"""The options of a recipe: read off its signature, so that they are written down once."""

from __future__ import annotations

import dataclasses
import inspect
import re
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from autoencode.errors import OptionError, nearest


@dataclass(frozen=True)
class Option:
    """One option: its name, default, type and help, and the group (a dataclass) it belongs to."""

    name: str
    default: Any
    type: Any
    help: str
    group: str | None = None

    @property
    def choices(self) -> tuple[str, ...]:
        """The allowed words, empty for numbers."""
        return typing.get_args(self.type) if typing.get_origin(self.type) is Literal else ()

    def parse(self, value: Any) -> Any:
        """A value of this option's type, from Python or from the command line.

        Raises:
            OptionError: with what is expected.
        """
        try:
            return _coerce(value, self.type)
        except (ValueError, TypeError, KeyError, OverflowError):
            raise OptionError(
                f"option {self.name}: expected {describe(self.type)}, got {value!r}"
            ) from None


def describe(kind: Any) -> str:
    """A type in words.

    >>> describe(tuple[int, ...])
    'whole numbers separated by commas'
    """
    if typing.get_origin(kind) is Literal:
        return " or ".join(map(str, typing.get_args(kind)))
    if typing.get_origin(kind) is tuple:
        return "whole numbers separated by commas"
    return {int: "a whole number", float: "a number", bool: "true or false"}.get(kind, str(kind))


def _coerce(value: Any, kind: Any) -> Any:
    origin = typing.get_origin(kind)
    if origin is Literal:
        if value not in typing.get_args(kind):
            raise ValueError
        return value
    if origin is tuple:
        parts = value.strip("()[] ").split(",") if isinstance(value, str) else value
        parts = [p for p in parts if not (isinstance(p, str) and not p.strip())]
        return tuple(_positive(_coerce(part, int)) for part in parts)
    if kind is bool:
        words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
        return value if isinstance(value, bool) else words[str(value).lower()]
    if kind is int:
        if isinstance(value, bool) or float(value) != int(float(value)):
            raise ValueError
        return int(float(value))
    if kind is float and not isinstance(value, bool):
        return _finite(float(value))
    raise ValueError


def _positive(value: int) -> int:
    if value < 1:
        raise ValueError
    return value


def _finite(value: float) -> float:
    if value - value != 0:
        raise ValueError
    return value


def options_of(function: Callable[..., Any]) -> dict[str, Option]:
    """The options of a recipe function or a dataclass, by name; groups are opened.

    ``spec`` and ``networks`` are no options: they are given in Python only.
    """
    helps = _documented(function)
    hints = typing.get_type_hints(function)
    found: dict[str, Option] = {}
    for name, parameter in inspect.signature(function).parameters.items():
        kind = hints[name]
        if name in ("spec", "networks"):
            continue
        if dataclasses.is_dataclass(kind) and isinstance(kind, type):
            for inner in options_of(kind).values():
                default = getattr(parameter.default, inner.name)
                found[inner.name] = dataclasses.replace(inner, default=default, group=name)
        else:
            found[name] = Option(name, parameter.default, _plain(kind), helps.get(name, ""))
    return found


def _plain(kind: Any) -> Any:
    """A type without its ``None``."""
    if isinstance(kind, types.UnionType):
        return next(arg for arg in typing.get_args(kind) if arg is not type(None))
    return kind


def _documented(documented: Any) -> dict[str, str]:
    """What the docstring's Args or Attributes section says of each name."""
    text = inspect.getdoc(documented) or ""
    section = re.search(r"^(?:Args|Attributes):\n((?:[ \n].*\n?)*)", text, re.MULTILINE)
    if section is None:
        return {}
    entries = re.split(r"^    (\w[\w, ]*): ", section.group(1), flags=re.MULTILINE)[1:]
    pairs = zip(entries[::2], entries[1::2], strict=True)
    return {name: " ".join(body.split()) for names, body in pairs for name in names.split(", ")}


def resolve(known: Mapping[str, Option], given: Mapping[str, Any], what: str) -> dict[str, Any]:
    """Every option with its value: the given ones parsed, the others at their defaults.

    Raises:
        OptionError: for an unknown option (with the nearest names) or an ill-typed value.
    """
    for name in given:
        if name not in known:
            raise OptionError(f"{what} has no option '{name}'; {nearest(name, known)}")
    return {
        name: option.parse(given[name]) if name in given else option.default
        for name, option in known.items()
    }


def arguments(
    function: Callable[..., Any], known: Mapping[str, Option], values: Mapping[str, Any]
) -> dict[str, Any]:
    """The arguments that the function is called with, options put back into their groups."""
    direct: dict[str, Any] = {}
    groups: dict[str, dict[str, Any]] = {}
    for name, option in known.items():
        if option.group is None:
            direct[name] = values[name]
        else:
            groups.setdefault(option.group, {})[name] = values[name]
    hints = typing.get_type_hints(function)
    return direct | {group: hints[group](**inner) for group, inner in groups.items()}
