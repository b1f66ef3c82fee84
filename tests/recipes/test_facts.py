"""What recipes say of themselves is true of what they build, and nothing is left unsaid."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from autoencode.errors import IncompatibleError
from autoencode.nets import Read
from autoencode.nets.mlp import DictionaryDecoder
from autoencode.objectives import Staged
from autoencode.priors import HyperbolicNormal
from autoencode.recipes import RECIPES, Facts, build
from autoencode.recipes.any_size import takes_any_size
from autoencode.types import Batch, DataSpec

IMAGE, ROW = DataSpec((1, 12, 10)), DataSpec((30,))


def fits(name: str, spec: DataSpec) -> bool:
    try:
        build(name, spec)
    except IncompatibleError:
        return False
    return True


def networks_of(model: nn.Module) -> str:
    encoder = model.encoder.network if isinstance(model.encoder, Read) else model.encoder
    if isinstance(model.decoder, DictionaryDecoder):
        return "dictionary"
    return type(encoder).__name__.removesuffix("Encoder").lower()


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_says_what_is_true_of_it(name):
    info = RECIPES[name]
    assert info.facts is not None, f"{name} lacks facts: add facts=Facts(...) to its decorator"
    context = 3 if info.conditional else 0
    image, row = replace(IMAGE, context_dim=context), replace(ROW, context_dim=context)
    plain = image if info.facts.images_only else row
    recipe = build(name, image)
    x = torch.rand(8, *IMAGE.shape)
    given = torch.zeros(8, context) if context else None
    with torch.no_grad():
        latent = recipe.model.eval()(Batch.from_examples(x, given)).latent
        for parameter in recipe.model.decoder.parameters():
            parameter.mul_(100)
        mean = recipe.model.reconstruct(x, given)
    encoder = list(recipe.model.encoder.modules())
    found = Facts(
        unit=recipe.unit,
        variational=bool(latent.sites),
        networks=networks_of(recipe.model),
        hidden=any(next(module.parameters(recurse=False), None) is not None for module in encoder),
        images_only=not fits(name, row),
        unit_only=not fits(name, replace(image, kind="real")),
        bounded=bool(((mean >= 0) & (mean <= 1)).all()),
        context=fits(name, replace(plain, context_dim=3)),
        gaps=fits(name, replace(plain, gaps=True)),
        integers=latent.codes is not None,
        curved=isinstance(recipe.model.prior, HyperbolicNormal),
        critic=bool(recipe.helpers),
        layerwise=any(isinstance(update.objective, Staged) for update in recipe.updates),
        any_size=takes_any_size(recipe),
    )
    assert info.facts == found, f"{name}: its decorator should have facts={found}"
