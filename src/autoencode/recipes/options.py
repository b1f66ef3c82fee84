"""The options of a recipe, read from its signature."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import re
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from autoencode.errors import OptionError, nearest
from autoencode.limits import Limit

_MOST = {int: 2**31, float: 1e36}  # what is far above overflows somewhere in torch
_MOST_NUMBERS = 1000  # in one option: each of them is a layer, which is made by itself
_SHOWN = 60  # characters of a value in a message
_BRACKETS = {"(": ")", "[": "]"}


@dataclass(frozen=True)
class Option:
    """One option of a recipe or a plan.

    Attributes:
        name: how it is called.
        default: its value where none is given.
        type: of its values: int, float, bool, a ``Literal`` or a tuple of numbers.
        help: what it means.
        group: the argument (a dataclass) that it belongs to, if any.
        limit: the range of the number, or of each number of a tuple.
    """

    name: str
    default: Any
    type: Any
    help: str
    group: str | None = None
    limit: Limit | None = None

    @property
    def choices(self) -> tuple[str, ...]:
        """The allowed words, empty for numbers."""
        return typing.get_args(self.type) if typing.get_origin(self.type) is Literal else ()

    @property
    def range(self) -> str | None:
        """The range in words, ``None`` where any number will do."""
        return None if self.limit is None else self.limit.words

    def parse(self, value: Any) -> Any:
        """A value of this option's type and range, from Python or from the command line.

        Where none is the default, ``none`` leaves it at that.

        Raises:
            OptionError: with what is expected.
        """
        if self.default is None and (value is None or str(value).lower() == "none"):
            return None
        try:
            found = _coerce(value, self.type)
        except (ValueError, TypeError, KeyError, OverflowError):
            raise OptionError(
                f"option {self.name}: expected {describe(self.type)}, got {_echo(value)}"
            ) from None
        self.check(found)
        return found

    def check(self, value: Any) -> None:
        """Refuses numbers outside the range before they become a strange failure later.

        Raises:
            OptionError: with what the number must be.
        """
        if isinstance(value, tuple) and len(value) > _MOST_NUMBERS:
            raise OptionError(
                f"option {self.name}: {len(value)} numbers, and there may be {_MOST_NUMBERS} at most"
            )
        for number in value if isinstance(value, tuple) else (value,):
            if type(number) not in _MOST:
                continue
            if abs(number) >= _MOST[type(number)]:
                raise OptionError(f"option {self.name}: {number:g} is too large")
            fault = None if self.limit is None else self.limit.fault(number)
            if fault is not None:
                raise OptionError(f"option {self.name}: {fault}, got {number}")


def describe(kind: Any) -> str:
    """Describes a type in words.

    >>> describe(tuple[int, ...])
    'whole numbers separated by commas'
    """
    if typing.get_origin(kind) is Literal:
        return " or ".join(map(str, typing.get_args(kind)))
    if typing.get_origin(kind) is tuple:
        return ("whole " if _entry(kind) is int else "") + "numbers separated by commas"
    return {int: "a whole number", float: "a number", bool: "true or false"}.get(kind, str(kind))


def _entry(kind: Any) -> Any:
    """The type of a tuple's entries."""
    return typing.get_args(kind)[0]


def _coerce(value: Any, kind: Any) -> Any:
    origin = typing.get_origin(kind)
    if origin is Literal:
        if value not in typing.get_args(kind):
            raise ValueError
        return value
    if origin is tuple:
        parts = _parts(value) if isinstance(value, str) else value
        return tuple(_coerce(part, _entry(kind)) for part in parts)
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


def _parts(text: str) -> list[str]:
    """The numbers of a text, which may stand in one pair of brackets and end with a comma.

    >>> _parts("[64, 32]"), _parts("64,32,"), _parts("()")
    (['64', '32'], ['64', '32'], [])
    """
    text = text.strip()
    if text[:1] in _BRACKETS or text[-1:] in _BRACKETS.values():
        if len(text) < 2 or _BRACKETS.get(text[0]) != text[-1]:
            raise ValueError
        text = text[1:-1].strip()
    parts = [part.strip() for part in text.removesuffix(",").split(",")]
    return [] if parts == [""] else parts


def _echo(value: Any) -> str:
    """A value as a message shows it: no more of it than tells which it is."""
    shown = repr(value[:_SHOWN] if isinstance(value, str | list | tuple) else value)
    return shown if len(shown) <= _SHOWN + 2 else f"{shown[:_SHOWN]}..."


def _finite(value: float) -> float:
    if value - value != 0:
        raise ValueError
    return value


@functools.cache
def options_of(function: Callable[..., Any]) -> dict[str, Option]:
    """Lists the options of a recipe function or a dataclass by name; groups are opened.

    ``spec`` and ``networks`` are no options: they are given in Python only.
    """
    helps = _documented(function)
    hints = typing.get_type_hints(function, include_extras=True)
    found: dict[str, Option] = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if name in ("spec", "networks"):
            continue
        kind, limit = _parted(hints[name])
        if dataclasses.is_dataclass(kind) and isinstance(kind, type):
            for inner in options_of(kind).values():
                _refuse_twice(inner.name, found)
                default = getattr(parameter.default, inner.name)
                found[inner.name] = dataclasses.replace(inner, default=default, group=name)
        else:
            _refuse_twice(name, found)
            help_text = helps.get(name, "")
            found[name] = Option(name, parameter.default, kind, help_text, limit=limit)
    return found


def _refuse_twice(name: str, found: Mapping[str, Option]) -> None:
    """Raises ``TypeError`` for an option that is there already, of which one would get no value."""
    if name in found:
        raise TypeError(f"two options are called {name}")


def _parted(kind: Any) -> tuple[Any, Limit | None]:
    """A type without its ``None``, and the range in it.

    >>> from autoencode.limits import Count
    >>> _parted(tuple[Count, ...] | None)
    (tuple[int, ...], AtLeast(low=1, most=None))
    """
    if isinstance(kind, types.UnionType) or typing.get_origin(kind) is typing.Union:
        members = [arg for arg in typing.get_args(kind) if arg is not type(None)]
        return _parted(members[0]) if len(members) == 1 else (kind, None)
    if typing.get_origin(kind) is Annotated:
        plain, *extras = typing.get_args(kind)
        return plain, next((extra for extra in extras if isinstance(extra, Limit)), None)
    if typing.get_origin(kind) is tuple:
        entry, limit = _parted(_entry(kind))
        return types.GenericAlias(tuple, (entry, ...)), limit
    return kind, None


def _documented(documented: Any) -> dict[str, str]:
    """Reads what the docstring's Args or Attributes section says of each name."""
    text = inspect.getdoc(documented) or ""
    section = re.search(r"^(?:Args|Attributes):\n((?:[ \n].*\n?)*)", text, re.MULTILINE)
    if section is None:
        return {}
    entries = re.split(r"^    (\w[\w, ]*): ", section.group(1), flags=re.MULTILINE)[1:]
    pairs = zip(entries[::2], entries[1::2], strict=True)
    return {name: " ".join(body.split()) for names, body in pairs for name in names.split(", ")}


def resolve(known: Mapping[str, Option], given: Mapping[str, Any], what: str) -> dict[str, Any]:
    """Gives every option its value: the given ones parsed, the others at their defaults.

    Raises:
        OptionError: for an unknown option (with the nearest names) or an ill-typed value.
    """
    for name in given:
        if name not in known:
            raise OptionError(f"{what} has no option '{name}'; {nearest(name, known)}")
    return {name: option.parse(given.get(name, option.default)) for name, option in known.items()}


def arguments(
    function: Callable[..., Any], known: Mapping[str, Option], values: Mapping[str, Any]
) -> dict[str, Any]:
    """Makes the arguments of a function call, with options put back into their groups."""
    direct: dict[str, Any] = {}
    groups: dict[str, dict[str, Any]] = {}
    for name, option in known.items():
        if option.group is None:
            direct[name] = values[name]
        else:
            groups.setdefault(option.group, {})[name] = values[name]
    hints = typing.get_type_hints(function)
    return direct | {group: hints[group](**inner) for group, inner in groups.items()}
