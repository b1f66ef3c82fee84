"""Models of one recipe for images of any size: those whose weights do not depend on it.

Such a model is built once more for another size and takes the weights of the trained one, which both
then share. What a pixel of the result depends on lies around it, not farther than ``reach``, unless a
layer looks at the whole image, as group normalisation does.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor, nn

from autoencode.errors import AutoencodeError, IncompatibleError
from autoencode.models import AutoencoderModule
from autoencode.recipes.built import Recipe
from autoencode.recipes.catalogue import build

_OTHER = (8, 12)  # pixels that an image is larger by, to try a model
# Layers whose result at a place depends on all places.
_EVERYWHERE = (nn.GroupNorm, nn.LayerNorm, nn.InstanceNorm2d, nn.MultiheadAttention)
_CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)


def at_size(recipe: Recipe, height: int, width: int) -> AutoencoderModule:
    """Builds the model of a recipe for images of another size, with the same weights.

    Networks of the user's own are taken as they are.

    Example:
        >>> from autoencode import DataSpec, build
        >>> model = at_size(build("conv_small", DataSpec((1, 28, 28))), 40, 31)
        >>> model.reconstruct(torch.zeros(1, 1, 40, 31)).shape
        torch.Size([1, 1, 40, 31])

    Raises:
        IncompatibleError: the weights are for images of the recipe's own size.
    """
    spec = recipe.spec
    if spec.layout != "image" or len(spec.offset) > 1 or len(spec.scale) > 1 or spec.context_dim:
        raise _refused(recipe)
    if recipe.custom or spec.shape[1:] == (height, width):
        return recipe.model
    other = replace(spec, shape=(spec.shape[0], height, width), given_shape=())
    try:
        with torch.device("meta"):  # no memory for weights that are there already
            model = build(recipe.name, other, **recipe.options).model
    except AutoencodeError as error:
        raise _refused(recipe) from error
    known, wanted = _weights(recipe.model), _weights(model)
    if {name: t.shape for name, t in known.items()} != {name: t.shape for name, t in wanted.items()}:
        raise _refused(recipe)
    model.prior = None
    model.load_state_dict(known, assign=True)
    _lend_buffers(recipe.model, model)
    return model.eval()


def takes_any_size(recipe: Recipe) -> bool:
    """Tells whether a recipe's model takes images of any size, by trying another one."""
    if recipe.spec.layout != "image":
        return False
    channels, height, width = recipe.spec.shape
    size = (height + _OTHER[0], width + _OTHER[1])
    try:
        model = at_size(recipe, *size)
        with torch.no_grad():
            x = torch.zeros(1, channels, *size, device=next(model.parameters()).device)
            return bool(model.eval().reconstruct(x).shape == x.shape)
    except (IncompatibleError, RuntimeError, KeyError):
        return False


def reach(recipe: Recipe) -> int | None:
    """Computes how far at most, in pixels, what a pixel of the result depends on is from it.

    ``None`` where it depends on the whole image, or nobody knows.
    """
    parts = list(_parts(recipe.model))
    if recipe.custom or any(isinstance(part, _EVERYWHERE) for part in parts):
        return None
    stride = stride_of(recipe)
    around = [part for part in parts if isinstance(part, _CONVOLUTIONS)]
    return stride * sum(max(p.kernel_size) // 2 * max(map(int, p.dilation)) for p in around)


def stride_of(recipe: Recipe) -> int:
    """Computes the pixels along a side for which a model has one place on its coarsest map."""
    convolutions = (part for part in _parts(recipe.model) if isinstance(part, nn.Conv2d))
    return math.prod(max(part.stride) for part in convolutions)


def bytes_of_pixel(recipe: Recipe) -> int:
    """Measures what a model holds at most for each pixel of an image: all its maps together, bytes."""
    held = 0

    def count(_: nn.Module, __: object, output: object) -> None:
        nonlocal held
        held += output.numel() * output.element_size() if isinstance(output, Tensor) else 0

    layers = [part for part in _parts(recipe.model) if not any(part.children())]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    try:
        x = recipe.probe(recipe.model.reconstruct)
    finally:
        for hook in hooks:
            hook.remove()
    return -(-held // math.prod((len(x), *recipe.spec.shape[1:])))


def _parts(model: nn.Module) -> list[nn.Module]:
    """The modules that an image goes through."""
    return [part for name, part in model.named_modules() if not name.startswith(("prior", "sampler"))]


def _lend_buffers(trained: nn.Module, model: nn.Module) -> None:
    """Gives a model the buffers of a trained one that no file holds, such as the levels of a code."""
    own = dict(trained.named_buffers())
    for name, buffer in list(model.named_buffers()):
        if buffer.is_meta:
            place, _, last = name.rpartition(".")
            model.get_submodule(place)._buffers[last] = own[name]


def _weights(model: nn.Module) -> dict[str, Tensor]:
    outside = ("prior.", "sampler.", "marginals.")
    return {name: t for name, t in model.state_dict().items() if not name.startswith(outside)}


def _refused(recipe: Recipe) -> IncompatibleError:
    size = "x".join(map(str, recipe.spec.shape[1:]))
    return IncompatibleError(
        f"recipe '{recipe.name}' takes images of {size} alone; bring them to that size, or train a "
        "recipe for any size (conv_skip, conv_small)"
    )
