"""Recipes of plain fully connected autoencoders."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from autoencode.limits import Count
from autoencode.nets import NetOptions
from autoencode.nets.factor_analysis import MOST_FACTORS
from autoencode.recipes.built import Recipe
from autoencode.recipes.registry import MSE, Facts, recipe
from autoencode.recipes.shared.facts import MEANS, SQUARES
from autoencode.recipes.shared.networks import DenseNetworks, Networks
from autoencode.recipes.shared.plain import (
    DEFAULT_NET,
    NO_NOISE,
    CodeActivation,
    NoiseOptions,
    OutputRange,
    SquaredLoss,
    plain,
)
from autoencode.recipes.shared.schedules import TABLES, adam, tuned
from autoencode.types import DataSpec

# What is linear a factor analysis beside the layers knows.
DROPOUT = NetOptions(dropout=0.2, shortcut="none")
GUESSING = NoiseOptions("missing", 0.3)
GapFilling = Literal["factors", "zeros"]
# What the layers cannot guess is what finds anomalies; a linear path beside them would pass it on.
SMOOTH_NET = NetOptions(activation="silu", shortcut="none")
HIDDEN_ENTRIES = NoiseOptions(noise_level=0.2)


@recipe(
    paper=adam(12, 1e-3, 128),
    fast=tuned(lr=0.01, batch_size=256, optimizer="muon"),
    tables=TABLES,
    widest=0.5,
    facts=Facts(unit=MSE, hidden=False, bounded=False),
)
def linear(
    spec: DataSpec,
    latent_dim: Count = 32,
    loss: SquaredLoss = "mse",
    net: NetOptions = DEFAULT_NET,
    noise: NoiseOptions = NO_NOISE,
    networks: Networks | None = None,
) -> Recipe:
    """One linear layer each way; at its optimum the code spans PCA's subspace, of scaled columns.

    Neural Networks and Principal Component Analysis: Learning from Examples Without Local Minima
    (Baldi & Hornik, 1989), https://doi.org/10.1016/0893-6080(89)90014-2

    Args:
        latent_dim: width of the code.
        loss: mse (mean over entries) or sse (sum over entries).
    """
    networks = networks or DenseNetworks((), net)
    return plain(
        spec,
        networks,
        latent_dim=latent_dim,
        code_activation="none",
        output="identity",
        loss=loss,
        noise=noise,
    )


@recipe(
    paper=adam(12, 1e-3, 128),
    fast=tuned(
        lr=0.02,
        batch_size=512,
        optimizer="muon",
        min_steps=300,  # more learn small data by heart
    ),
    tables=TABLES,
    widest=0.5,
    facts=MEANS,
)
def mlp(
    spec: DataSpec,
    hidden: tuple[Count, ...] = (256, 64),
    latent_dim: Count = 32,
    code_activation: CodeActivation = "none",
    output: OutputRange = "auto",
    loss: SquaredLoss = "mse",
    net: NetOptions = DEFAULT_NET,
    noise: NoiseOptions = NO_NOISE,
    networks: Networks | None = None,
) -> Recipe:
    """Fully connected layers around an unbounded code, mirrored; sigmoid output on pixels.

    Reducing the Dimensionality of Data with Neural Networks (Hinton & Salakhutdinov, 2006),
    https://doi.org/10.1126/science.1127647

    Args:
        hidden: widths of the encoder's hidden layers; the decoder mirrors them.
        latent_dim: width of the code.
        code_activation: none, or tanh, sigmoid (bounded code), relu (positive code).
        output: sigmoid or clip for data in [0, 1], identity for any; auto decides by the data.
        loss: mse (mean over entries) or sse (sum over entries).
    """
    networks = networks or DenseNetworks(hidden, net)
    return plain(
        spec,
        networks,
        latent_dim=latent_dim,
        code_activation=code_activation,
        output=output,
        loss=loss,
        noise=noise,
    )


@recipe(
    paper=adam(10, 1e-3),
    fast=tuned(lr=0.016, batch_size=256, optimizer="muon"),
    tables=TABLES,
    widest=0.5,
    facts=MEANS,
)
def mlp_small(
    spec: DataSpec,
    hidden: tuple[Count, ...] = (128,),
    latent_dim: Count = 64,
    code_activation: CodeActivation = "relu",
    output: OutputRange = "auto",
    loss: SquaredLoss = "mse",
    net: NetOptions = DEFAULT_NET,
    noise: NoiseOptions = NO_NOISE,
    networks: Networks | None = None,
) -> Recipe:
    """One hidden layer each way and a ReLU on the code as well: the tutorials' first autoencoder.

    Learning Internal Representations by Error Propagation (Rumelhart, Hinton & Williams, 1986),
    https://doi.org/10.7551/mitpress/5236.003.0012

    Args:
        hidden: widths of the encoder's hidden layers; the decoder mirrors them.
        latent_dim: width of the code.
        code_activation: relu as in the original, none, or tanh, sigmoid (bounded code).
        output: sigmoid or clip for data in [0, 1], identity for any; auto decides by the data.
        loss: mse (mean over entries) or sse (sum over entries).
    """
    return mlp(spec, hidden, latent_dim, code_activation, output, loss, net, noise, networks)


@recipe(
    paper=adam(20, 1e-3, 128),
    fast=tuned(lr=4e-3, batch_size=128),
    tables=TABLES,
    facts=SQUARES,
)
def mlp_latent2(
    spec: DataSpec,
    hidden: tuple[Count, ...] = (512,),
    latent_dim: Count = 2,
    code_activation: CodeActivation = "none",
    output: OutputRange = "auto",
    loss: SquaredLoss = "sse",
    net: NetOptions = DEFAULT_NET,
    noise: NoiseOptions = NO_NOISE,
    networks: Networks | None = None,
) -> Recipe:
    """A code of two numbers, to be looked at: latent scatter and decoded grid.

    Reducing the Dimensionality of Data with Neural Networks (Hinton & Salakhutdinov, 2006),
    https://doi.org/10.1126/science.1127647

    Args:
        hidden: widths of the encoder's hidden layers; the decoder mirrors them.
        latent_dim: width of the code.
        code_activation: none, or tanh, sigmoid (bounded code), relu (positive code).
        output: sigmoid or clip for data in [0, 1], identity for any; auto decides by the data.
        loss: sse (sum over entries) as in the original, or mse (mean over entries).
    """
    return mlp(spec, hidden, latent_dim, code_activation, output, loss, net, noise, networks)


@recipe(
    paper=adam(500, 1e-3, 500),
    fast=tuned(lr=4e-3, batch_size=128, epochs=12, min_steps=1500),
    tables={"validation": 0.1},
    standardize="all_columns",
    facts=MEANS,
)
def mlp_impute(
    spec: DataSpec,
    hidden: tuple[Count, ...] = (256,),
    latent_dim: Count = 256,
    code_activation: CodeActivation = "relu",
    output: OutputRange = "auto",
    loss: SquaredLoss = "mse",
    gaps: GapFilling = "factors",
    net: NetOptions = DROPOUT,
    noise: NoiseOptions = GUESSING,
    networks: Networks | None = None,
) -> Recipe:
    """Guesses hidden entries of a table from the others, through a wide code: to fill gaps.

    MIDA: Multiple Imputation using Denoising Autoencoders (Gondara & Wang, 2018),
    https://arxiv.org/abs/1705.02737

    As there, the layers are wide rather than narrow, entries are hidden while training, and the target
    is what is known of the row. Otherwise than there, the network is told which entries are missing,
    units of all hidden layers are dropped, not inputs alone, and one filling with expected values takes
    the place of several; for draws take ``vae``. Columns are always standardised, those of flattened
    pictures too. What rows of measurements have in a gap is guessed by a factor analysis as well, which
    is exact where they are Gaussian. The last numbers of the code are its factors, and after training a
    tenth of the rows, held out, tells the share of each in every column.

    Args:
        hidden: widths of the encoder's hidden layers; the decoder mirrors them.
        latent_dim: width of the code.
        code_activation: relu (positive code), none, or tanh, sigmoid (bounded code).
        output: sigmoid or clip for data in [0, 1], identity for any; auto decides by the data.
        loss: mse (mean over entries) or sse (sum over entries).
        gaps: factors (a factor analysis stands beside the network for rows of measurements) or zeros
            (the network alone, which reads zeros in the place of gaps).
    """
    beside = gaps == "factors" and output != "sigmoid"  # params are then what is expected itself
    factors = min(MOST_FACTORS, latent_dim // 2) if beside else 0
    networks = networks or DenseNetworks(hidden, net, factors)
    return mlp(spec, hidden, latent_dim, code_activation, output, loss, net, noise, networks)


@recipe(
    paper=adam(20, 1e-3, 128),
    fast=tuned(
        lr=1e-2,
        batch_size=128,
        epochs=1,
        min_steps=140,
        warmup=0.0,
        validation=0.0,
        mean_start=False,
        doctor=False,
    ),
    facts=MEANS,
)
def mlp_masked(
    spec: DataSpec,
    hidden: tuple[Count, ...] = (128,),
    latent_dim: Count = 64,
    code_activation: CodeActivation = "none",
    output: OutputRange = "auto",
    loss: SquaredLoss = "mse",
    net: NetOptions = SMOOTH_NET,
    noise: NoiseOptions = HIDDEN_ENTRIES,
    networks: Networks | None = None,
) -> Recipe:
    """A wide code that must guess a fifth of the entries from the others; finds anomalies in tables.

    Extracting and Composing Robust Features with Denoising Autoencoders (Vincent et al., 2008),
    https://www.cs.toronto.edu/~larocheh/publications/icml-2008-denoising-autoencoders.pdf

    With noise=auto entries are masked by zeros, in data with gaps or categories hidden.

    Args:
        hidden: widths of the encoder's hidden layers; the decoder mirrors them.
        latent_dim: width of the code, wider than most tables: what is not to be passed through is
            kept out by the noise.
        code_activation: none, or tanh, sigmoid (bounded code), relu (positive code).
        output: sigmoid or clip for data in [0, 1], identity for any; auto decides by the data.
        loss: mse (mean over entries) or sse (sum over entries).
    """
    if noise.noise == "auto":
        noise = replace(noise, noise="missing" if spec.gaps or spec.mixed else "masking")
    return mlp(spec, hidden, latent_dim, code_activation, output, loss, net, noise, networks)
