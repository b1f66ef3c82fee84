"""Tells whether a computation has code in it that may draw from torch's default generator by itself."""

from __future__ import annotations

import functools
import sys
import types
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from torch import Tensor, nn

from autoencode.randomness.redirected import DRAWING

_KNOWN = sys.stdlib_module_names | {"autoencode", "torch", "numpy"}
_LEAVES = (Tensor, str, bytes, int, float, complex, type(None), np.ndarray, np.generic)
_PLAIN = {*_LEAVES, bool, nn.Parameter}
# Modules of torch that draw by themselves; ours have functions of ``draws`` in their place.
_DRAWING = (
    *(nn.modules.dropout._DropoutNd, nn.RReLU, nn.MultiheadAttention, nn.RNNBase),
    *(nn.FractionalMaxPool2d, nn.FractionalMaxPool3d),
)
_FUNCTIONS = (types.FunctionType, types.BuiltinFunctionType, types.MethodDescriptorType)
_READING = "autoencode.data."  # examples, with files and tables that are of no interest here
_OF_MODULES = set(vars(nn.Module()))  # what every module has
_HOOKS = tuple(name for name in _OF_MODULES if name.endswith("_hooks"))


def is_own_code(parts: Iterable[object]) -> bool:
    """Whether anything in models, objectives and functions is neither of this package nor known.

    Looks through attributes, containers and what functions have enclosed. Whatever it does not know may
    draw from torch's default generator. So do some modules of torch (dropout), which count as the
    user's own, since this package uses none of them. Takes some microseconds for each module.
    """
    waiting, seen, known = list(parts), set[int](), set[type]()
    while waiting:
        thing = waiting.pop()
        kind = type(thing)
        if kind in _PLAIN or id(thing) in seen or isinstance(thing, _LEAVES):
            continue
        seen.add(id(thing))
        if kind not in known:  # of a class that was not met before
            home = _home(thing)
            if _is_foreign(thing, home) or _draws(thing, home):
                return True
            if home.startswith(_READING):
                continue
            if isinstance(thing, nn.Module):
                known.add(kind)
        waiting += _of_module(thing) if isinstance(thing, nn.Module) else _inside(thing)
    return False


def _is_foreign(thing: object, home: str) -> bool:
    """Whether code was written elsewhere: by the user, in a string, or by torch from the user's own."""
    if home.startswith(("torch.jit", "torch.fx")):
        return True
    made = home == "builtins" and isinstance(thing, nn.Module | types.FunctionType)
    return made or home.partition(".")[0] not in _KNOWN


def _of_module(module: nn.Module) -> list[object]:
    """The parts of a module, what it was given and the hooks that hang on it."""
    held = vars(module)
    found: list[object] = [held[name] for name in _HOOKS if held.get(name)]
    found += held["_modules"].values()
    found += [held[name] for name in held.keys() - _OF_MODULES if type(held[name]) not in _PLAIN]
    return found


def _home(thing: object) -> str:
    """The module where a function or class, or the class of anything else, was written."""
    if isinstance(thing, types.ModuleType):
        return thing.__name__
    written = thing if isinstance(thing, type | types.FunctionType) else type(thing)
    return written.__module__ or ""


def _draws(thing: object, home: str) -> bool:
    """Whether something of torch draws by itself: a module, or a function that was given as a part."""
    if isinstance(thing, _FUNCTIONS):
        return thing in DRAWING
    return isinstance(thing, _DRAWING) and not home.startswith("autoencode")


def _inside(thing: Any) -> Iterable[object]:
    """What something is made of."""
    if isinstance(thing, Mapping):
        return thing.values()
    if isinstance(thing, list | tuple | set | frozenset):
        return thing
    if isinstance(thing, functools.partial):
        return (thing.func, *thing.args, *thing.keywords.values())
    if isinstance(thing, types.MethodType):
        return (thing.__func__, thing.__self__)
    if isinstance(thing, types.FunctionType):
        return (*_enclosed(thing), *(thing.__defaults__ or ()))
    if isinstance(thing, type | types.ModuleType):
        return ()
    return list(getattr(thing, "__dict__", {}).values())


def _enclosed(function: Callable[..., Any]) -> list[object]:
    found = []
    for cell in getattr(function, "__closure__", None) or ():
        try:
            found.append(cell.cell_contents)
        except ValueError:  # a name that has no value yet
            continue
    return found
