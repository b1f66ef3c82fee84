"""Objectives to minimise: named terms, weights, schedules, bounds, adversarial losses, corruption."""

from autoencode.objectives.adversarial import (
    Discriminator,
    ImageCritic,
    PatchCritic,
    balanced,
    codes_and_permuted,
    codes_and_prior,
    density_ratio,
    examples_and_made,
    examples_and_reconstructions,
    feature_error,
    fooling,
    passing_for_real,
    raising_logits,
)
from autoencode.objectives.binarize import (
    Binarized,
    binarized,
)
from autoencode.objectives.bounds import (
    DoublyReparameterized,
    ImportanceWeighted,
    StickingTheLanding,
    log_weights,
)
from autoencode.objectives.codes import (
    half_square,
    hidden_error,
    hidden_nats,
    l1,
    nested,
    penalty,
    revival,
    seen_error,
    seen_nats,
    sparsity,
)
from autoencode.objectives.corrupt import CORRUPTIONS, Corrupted, OwnCorruption
from autoencode.objectives.discrepancies import (
    mmd,
    prior_mmd,
    sliced_wasserstein,
    squared_mmd,
)
from autoencode.objectives.divergences import (
    capacity,
    dip,
    free_bits,
    total_correlation,
)
from autoencode.objectives.jacobians import (
    contraction,
    decoder_weights,
    smoothness,
)
from autoencode.objectives.labels import SemiSupervised
from autoencode.objectives.objective import WeightedSum
from autoencode.objectives.schedule import (
    After,
    Constant,
    Cyclical,
    Linear,
    WeightSchedule,
)
from autoencode.objectives.similarity import dissimilarity, ms_ssim, ssim
from autoencode.objectives.stages import (
    LayerError,
    Staged,
)
from autoencode.objectives.terms import (
    column_errors,
    kl,
    mean_squared_error,
    penalties,
    reconstruction,
    squared_error,
)

__all__ = [
    "CORRUPTIONS",
    "After",
    "Binarized",
    "Constant",
    "Corrupted",
    "Cyclical",
    "Discriminator",
    "DoublyReparameterized",
    "ImageCritic",
    "ImportanceWeighted",
    "LayerError",
    "Linear",
    "OwnCorruption",
    "PatchCritic",
    "SemiSupervised",
    "Staged",
    "StickingTheLanding",
    "WeightSchedule",
    "WeightedSum",
    "balanced",
    "binarized",
    "capacity",
    "codes_and_permuted",
    "codes_and_prior",
    "column_errors",
    "contraction",
    "decoder_weights",
    "density_ratio",
    "dip",
    "dissimilarity",
    "examples_and_made",
    "examples_and_reconstructions",
    "feature_error",
    "fooling",
    "free_bits",
    "half_square",
    "hidden_error",
    "hidden_nats",
    "kl",
    "l1",
    "log_weights",
    "mean_squared_error",
    "mmd",
    "ms_ssim",
    "nested",
    "passing_for_real",
    "penalties",
    "penalty",
    "prior_mmd",
    "raising_logits",
    "reconstruction",
    "revival",
    "seen_error",
    "seen_nats",
    "sliced_wasserstein",
    "smoothness",
    "sparsity",
    "squared_error",
    "squared_mmd",
    "ssim",
    "total_correlation",
]
