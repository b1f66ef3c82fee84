"""What a function must look like to be a recipe."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Collection
from typing import Any, Literal

from autoencode.errors import OptionError
from autoencode.recipes.options import options_of

# What `build` takes beside the options.
_TAKEN = ("name", "spec", "schedule", "seed", "encoder", "decoder")
_FIRST = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_KINDS = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def check_signature(function: Any, figures: Collection[str]) -> None:
    """Refuses a function that cannot be called with a ``spec`` and options.

    Args:
        function: whatever was decorated.
        figures: the names of the training plan's figures, which options cannot have.

    Raises:
        OptionError: with what to write.
    """
    name = getattr(function, "__name__", "")
    if not inspect.isfunction(function) or not name.isidentifier():
        raise OptionError(f"a recipe is a function with a name of its own, got {function!r}")
    parameters = inspect.signature(function).parameters
    first = next(iter(parameters.values()), None)
    if first is None or first.name != "spec" or first.kind not in _FIRST:
        raise OptionError(f"recipe '{name}': the first argument must be spec, the DataSpec")
    for argument, parameter in list(parameters.items())[1:]:
        if argument == "networks":
            if parameter.default is parameter.empty:
                raise OptionError(f"recipe '{name}': networks has no default; write networks=None")
        else:
            _check_parameter(f"recipe '{name}': option {argument}", parameter)
    try:
        options = options_of(function)
    except (NameError, TypeError, AttributeError, IndexError) as error:
        raise OptionError(f"recipe '{name}': its types cannot be read: {error}") from None
    for option in options.values():
        if option.name in figures or option.name in _TAKEN:
            raise OptionError(
                f"recipe '{name}': option {option.name} is a name that training uses; choose another"
            )
        if not _known(option.type):
            raise OptionError(
                f"recipe '{name}': option {option.name} is of type {_word(option.type)}; use int, "
                "float, bool, Literal, a tuple[int, ...] or a dataclass of such"
            )
        try:
            option.parse(option.default)
        except OptionError as error:
            raise OptionError(f"recipe '{name}', by default: {error}") from None


def _check_parameter(what: str, parameter: inspect.Parameter) -> None:
    if parameter.kind not in _KINDS:
        raise OptionError(f"{what} has no name of its own; write out what it takes")
    if parameter.annotation is parameter.empty:
        example = (
            type(parameter.default).__name__ if parameter.default is not parameter.empty else "int"
        )
        raise OptionError(f"{what} has no type; write {parameter.name}: {example} = ...")
    if parameter.default is parameter.empty:
        raise OptionError(f"{what} has no default; write {parameter.name}: ... = ...")


def _known(kind: Any) -> bool:
    """Whether values of a type can be given as text and kept in a file."""
    origin = typing.get_origin(kind)
    if origin is Literal:
        return all(isinstance(word, str) for word in typing.get_args(kind))
    if origin is tuple:
        entry, *rest = typing.get_args(kind)
        return entry in (int, float) and rest == [...]
    return kind in (int, float, bool)


def _word(kind: Any) -> str:
    return kind.__name__ if isinstance(kind, type) and typing.get_origin(kind) is None else str(kind)
