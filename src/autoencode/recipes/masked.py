"""Recipes of autoencoders that see a part of each example."""

from __future__ import annotations

from torch import nn

from autoencode.bottlenecks import Plain
from autoencode.errors import IncompatibleError
from autoencode.likelihoods import IDENTITY, SIGMOID, Gaussian
from autoencode.likelihoods.columns import Mixed
from autoencode.limits import Count, Depth, InnerPart, NotNegative
from autoencode.models import MaskedAutoencoder, MaskedColumns
from autoencode.nets.columns import ColumnDecoder, ColumnEncoder
from autoencode.nets.vit import PatchDecoder, PatchEncoder, Patches
from autoencode.objectives import WeightedSum, hidden_error, hidden_nats, seen_error, seen_nats
from autoencode.recipes.built import Recipe
from autoencode.recipes.registry import MSE, Facts, recipe
from autoencode.recipes.shared.plain import NO_NOISE, NoiseOptions
from autoencode.recipes.shared.schedules import adam, tuned
from autoencode.training import Update
from autoencode.types import DataSpec


@recipe(
    paper=adam(800, 1.5e-4, 128),
    fast=tuned(lr=2e-3, batch_size=128, epochs=20),
    width="width and patch: it has a token for each patch",
    facts=Facts(unit=MSE, networks="patch", images_only=True, bounded=False, context=False, gaps=False),
)
def mae(
    spec: DataSpec,
    patch: Count = 4,
    width: Count = 96,
    depth: Depth = 4,
    heads: Count = 4,
    decoder_width: Count = 64,
    decoder_depth: Depth = 2,
    hidden_share: InnerPart = 0.75,
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
    _check_heads(heads, decoder_width)
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


@recipe(
    paper=adam(600, 1e-3, 64),
    fast=tuned(lr=2e-3, batch_size=128, epochs=12, min_steps=1500),
    standardize="all_columns",
    width="width: it has a token for each column",
    facts=Facts(unit=MSE, networks="column", context=False),
)
def mae_table(
    spec: DataSpec,
    width: Count = 64,
    depth: Depth = 3,
    heads: Count = 4,
    decoder_width: Count = 64,
    decoder_depth: Depth = 1,
    hidden_share: InnerPart = 0.5,
    seen_weight: NotNegative = 1.0,
    noise: NoiseOptions = NO_NOISE,
) -> Recipe:
    """A small transformer sees some columns of each row of a table and is asked for the others.

    ReMasker: Imputing Tabular Data with Masked Autoencoding (Du, Melis & Wang, 2024),
    https://arxiv.org/abs/2309.13793

    Missing values are hidden like those that training hides anew at every step, so a table with gaps is
    learned from as it is, and ``impute`` fills it. Squared errors of what is hidden and of what is seen
    count the same, as in the paper. It bears another name because they are averaged over each row
    first, numbers are standardised (in the paper they lie in [0, 1]), and tables of more than numbers
    are learned in nats, each column by the likelihood of its kind. The code has a token for each
    column. The paper's encoder has 8 blocks, its decoder 4.

    Args:
        width: of a token.
        depth: blocks of the encoder.
        heads: of attention, in both; divide both widths.
        decoder_width: of a token in the decoder.
        decoder_depth: blocks of the decoder.
        hidden_share: of each row's known columns that are hidden in training.
        seen_weight: of the error of what is seen.
    """
    _check_heads(heads, decoder_width)
    if spec.context_dim:
        raise IncompatibleError("mae_table takes no context; use cvae for data with labels")
    spec = noise.readable(spec)
    if spec.mixed:
        mixed = Mixed(spec, scales="shared")
        p_x: nn.Module = mixed
        terms = {"hidden_nats": hidden_nats, "seen_nats": seen_nats}
        owners: tuple[int, ...] = mixed.owners
        shape: tuple[int, ...] = (mixed.width,)
    else:
        p_x = Gaussian(len(spec.shape), SIGMOID if spec.kind == "unit" else IDENTITY)
        terms = {"hidden_mse": hidden_error, "seen_mse": seen_error}
        owners, shape = tuple(range(spec.size)), spec.shape
    model = MaskedColumns(
        ColumnEncoder(spec, width, depth, heads),
        ColumnDecoder(owners, shape, width, decoder_width, decoder_depth, heads),
        Plain(),
        p_x,
        hidden_share,
    )
    seen = next(name for name in terms if name.startswith("seen"))
    objective = noise.wrap(WeightedSum(terms, **{seen: seen_weight}), spec, for_gaps="none")
    return Recipe(model, (Update(objective, (model,)),), spec)


def _check_heads(heads: int, decoder_width: int) -> None:
    """What the encoder's blocks say of ``width`` themselves."""
    if decoder_width % heads:
        raise IncompatibleError(
            f"decoder_width must be a multiple of heads, got {decoder_width} and {heads}"
        )
