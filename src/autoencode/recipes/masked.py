"""Autoencoders that see a part of each example."""

from __future__ import annotations

from autoencode.bottlenecks import Plain
from autoencode.errors import IncompatibleError, OptionError
from autoencode.likelihoods import IDENTITY, Gaussian
from autoencode.models import MaskedAutoencoder
from autoencode.nets.vit import PatchDecoder, PatchEncoder, Patches
from autoencode.objectives import WeightedSum, hidden_error
from autoencode.recipes.compose import NoiseOptions
from autoencode.recipes.deterministic import NO_NOISE
from autoencode.recipes.recipe import Recipe
from autoencode.training import Update
from autoencode.types import DataSpec


def mae(
    spec: DataSpec,
    patch: int = 4,
    width: int = 96,
    depth: int = 4,
    heads: int = 4,
    decoder_width: int = 64,
    decoder_depth: int = 2,
    hidden_share: float = 0.75,
    noise: NoiseOptions = NO_NOISE,
) -> Recipe:
    """A small vision transformer sees a quarter of an image's patches and is asked for the others.

    Masked Autoencoders Are Scalable Vision Learners (He et al., 2022), https://arxiv.org/abs/2111.06377

    The code has a token for each patch. Mean squared error of the hidden patches' pixels, which are not
    normalised by patch; places are learned. ViT-Large in the original: 16, 1024, 24, 16, 512 and 8.

    Args:
        patch: side of a patch.
        width: of a token.
        depth: blocks of the encoder.
        heads: of attention, in both; divide both widths.
        decoder_width: of a token in the decoder.
        decoder_depth: blocks of the decoder.
        hidden_share: of the patches that are hidden in training.
    """
    if not 0 < hidden_share < 1:
        raise OptionError(f"option hidden_share: must lie in (0, 1), got {hidden_share}")
    if noise.readable(spec).gaps or spec.context_dim:
        raise IncompatibleError(
            "a masked autoencoder takes complete images without a context; use conv for gaps"
        )
    patches = Patches(spec.shape, patch)
    model = MaskedAutoencoder(
        PatchEncoder(patches, width, depth, heads),
        PatchDecoder(patches, width, decoder_width, decoder_depth, heads),
        Plain(),
        Gaussian(len(spec.shape), IDENTITY),
        hidden_share,
    )
    objective = noise.wrap(WeightedSum({"hidden_mse": hidden_error}), spec)
    return Recipe(model, (Update(objective, (model,)),), spec)
