"""Recipes whose codes have few units on: dictionaries with atoms of length 1, and k-sparse codes."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

from autoencode.bottlenecks import BatchTopK, JumpReLU, Plain, TopK
from autoencode.bottlenecks.sparse import check_k
from autoencode.limits import Count, Depth, InnerPart, Natural, NotNegative, Positive
from autoencode.models import AutoencoderModule, DictionaryAutoencoder
from autoencode.nets import NetOptions, reader_for
from autoencode.objectives import l1, nested, penalty, revival, sparsity
from autoencode.recipes.built import Recipe
from autoencode.recipes.registry import SSE, Facts, recipe
from autoencode.recipes.shared.facts import DICTIONARY
from autoencode.recipes.shared.networks import DenseNetworks, DictionaryNetworks, Networks, Widths
from autoencode.recipes.shared.plain import DEFAULT_NET, NO_NOISE, NoiseOptions, PlainLoss, Terms, plain
from autoencode.recipes.shared.schedules import adam, tuned
from autoencode.types import DataSpec

_PATIENCE = 5000  # examples
# Atoms of a table have few entries, each of which is larger than in atoms of an image.
_TABLES = {"lr": 0.01}


def _started(
    spec: DataSpec, networks: Networks, patience: int | None
) -> Callable[..., AutoencoderModule]:
    """Chooses how a dictionary is put together: for numbers of a table so that dead units start again.

    Args:
        spec: the data.
        networks: make encoder and decoder.
        patience: examples without firing after which a unit starts again; by default 5000, and none for
            images; 0 for none.
    """
    if patience is None:
        patience = 0 if spec.layout == "image" else _PATIENCE
    linear = isinstance(networks, DenseNetworks) and not networks.hidden
    if not (patience and linear) or reader_for(spec) is not None or spec.context_dim:
        return AutoencoderModule
    return partial(DictionaryAutoencoder, patience=patience)


def _typical(spec: DataSpec) -> float:
    """Computes the length that a row of standardised columns has."""
    return math.sqrt(spec.size)


@recipe(
    paper=adam(20, 1e-3, 128),
    fast=tuned(lr=3e-3, batch_size=128, epochs=10),
    tables=_TABLES,
    facts=DICTIONARY,
)
def sparse(
    spec: DataSpec,
    latent_dim: Count = 512,
    l1_weight: NotNegative | None = None,
    revive_after: Natural | None = None,
    net: NetOptions = DEFAULT_NET,
    noise: NoiseOptions = NO_NOISE,
    networks: Networks | None = None,
) -> Recipe:
    """A dictionary: ReLU units that are few because their sum is a loss, and atoms of length 1.

    Sparse Autoencoders Find Highly Interpretable Features in Language Models (Cunningham et al., 2023),
    https://arxiv.org/abs/2309.08600

    Squared error plus the L1 norm of the code. Weights are not tied.

    Args:
        latent_dim: number of atoms; may exceed the width of the data.
        l1_weight: of the sum of the units, alpha in the paper; by default 0.1 for images, else an
            eighth of the length that a row of standardised columns has.
        revive_after: examples without firing after which a unit starts again at what is explained
            worst; 0 for never, as by default for images, else 5000.
    """
    usual = 0.1 if spec.layout == "image" else _typical(spec) / 8
    terms: Terms = {"l1": (l1, _or(l1_weight, usual))}
    networks = networks or DictionaryNetworks(options=net)
    return plain(
        spec,
        networks,
        latent_dim=latent_dim,
        code_activation="relu",
        output="identity",
        loss="sse",
        noise=noise,
        terms=terms,
        make=_started(spec, networks, revive_after),
    )


@recipe(
    paper=adam(50, 1e-3, 128),
    fast=tuned(lr=1e-2, batch_size=128, epochs=10),
    facts=Facts(unit=SSE, hidden=False),
)
def sparse_kl(
    spec: DataSpec,
    widths: Widths = Widths(()),  # noqa: B008
    latent_dim: Count = 196,
    loss: PlainLoss = "sse",
    target: InnerPart = 0.1,
    sparsity_weight: NotNegative = 3.0,
    net: NetOptions = DEFAULT_NET,
    noise: NoiseOptions = NO_NOISE,
    networks: Networks | None = None,
) -> Recipe:
    """Sigmoid units that are on in a small share of the examples, by a KL divergence.

    Sparse autoencoder: CS294A lecture notes (Ng, 2011),
    https://web.stanford.edu/class/cs294a/sparseAutoencoder.pdf

    The notes halve the squared error and decay the weights as well (weight_decay). A unit's mean is
    that of the batch.

    Args:
        latent_dim: number of units.
        loss: sse, mse or nll.
        target: the mean activation that each unit shall have, rho in the notes, where it is 0.05.
        sparsity_weight: of the sum of the divergences, beta in the notes.
    """
    return plain(
        spec,
        widths.networks(net, networks),
        latent_dim=latent_dim,
        code_activation="sigmoid",
        loss=loss,
        noise=noise,
        terms={"sparsity": (sparsity(target), sparsity_weight)},
    )


@recipe(
    paper=adam(50, 1e-3, 128),
    fast=tuned(lr=2e-3, batch_size=128, epochs=10),
    tables=_TABLES,
    facts=Facts(unit=SSE, hidden=False, bounded=False),
)
def topk(
    spec: DataSpec,
    widths: Widths = Widths(()),  # noqa: B008
    latent_dim: Count = 1000,
    k: Count | None = None,
    k_eval: Count | None = None,
    revive_after: Natural | None = None,
    loss: PlainLoss = "sse",
    net: NetOptions = DEFAULT_NET,
    noise: NoiseOptions = NO_NOISE,
    networks: Networks | None = None,
) -> Recipe:
    """Only the k largest units of each example's code stay.

    k-Sparse Autoencoders (Makhzani & Frey, 2013), https://arxiv.org/abs/1312.5663

    Linear units and squared error. Weights are not tied, and k is not annealed.

    Args:
        latent_dim: number of units; 1000 on MNIST in the original.
        k: units that stay; by default 25, as for reconstruction on MNIST in the original, or a quarter
            of latent_dim where that is less.
        k_eval: the same after training; by default k. The original found somewhat more to do better for
            classifying.
        revive_after: as of the recipe sparse.
        loss: sse, mse or nll.
    """
    k = _kept(k, 25, latent_dim)
    if k_eval is not None:
        check_k(k_eval, latent_dim, "k_eval")
    networks = widths.networks(net, networks)
    return plain(
        spec,
        networks,
        latent_dim=latent_dim,
        output="identity" if loss != "nll" else "auto",
        loss=loss,
        noise=noise,
        bottleneck=lambda project: Plain(project, TopK(k, k_eval)),
        make=_started(spec, networks, revive_after),
    )


@recipe(
    paper=adam(20, 3e-4, 128),
    fast=tuned(lr=2e-3, batch_size=128, epochs=10),
    tables=_TABLES,
    facts=DICTIONARY,
)
def batch_topk(
    spec: DataSpec,
    latent_dim: Count = 1024,
    k: Count | None = None,
    k_dead: Count = 512,
    patience_dead: Count = 100_000,
    revival_weight: NotNegative = 1 / 32,
    revive_after: Natural | None = None,
    net: NetOptions = DEFAULT_NET,
    noise: NoiseOptions = NO_NOISE,
    networks: Networks | None = None,
) -> Recipe:
    """A dictionary of which the k times B largest units of a batch of B examples stay.

    BatchTopK Sparse Autoencoders (Bussmann et al., 2024), https://arxiv.org/abs/2412.06410

    Squared error, and that of what dead units make of the error that is left. After training a
    threshold decides, the running mean of the smallest unit that stayed.

    Args:
        latent_dim: number of atoms.
        k: units that stay, on average over examples; by default 32, or a quarter of latent_dim where
            that is less.
        k_dead: the largest units of the dead that are taught by the error that is left.
        patience_dead: examples without firing after which a unit is dead.
        revival_weight: of the dead units' squared error, alpha in the paper.
        revive_after: as of the recipe sparse.
    """
    terms: Terms = {"revival": (revival, revival_weight)}
    return _of_batch(
        spec, latent_dim, k, k_dead, patience_dead, revive_after, terms, net, noise, networks
    )


@recipe(
    paper=adam(20, 7e-5, 128),
    fast=tuned(lr=2e-3, batch_size=128, epochs=10),
    tables=_TABLES,
    facts=DICTIONARY,
)
def jumprelu(
    spec: DataSpec,
    latent_dim: Count = 1024,
    l0_weight: NotNegative | None = None,
    threshold: Positive | None = None,
    bandwidth: Positive | None = None,
    revive_after: Natural | None = None,
    net: NetOptions = DEFAULT_NET,
    noise: NoiseOptions = NO_NOISE,
    networks: Networks | None = None,
) -> Recipe:
    """A dictionary whose units jump from 0 at thresholds that are learned; the loss counts them.

    Jumping Ahead: Improving Reconstruction Fidelity with JumpReLU Sparse Autoencoders (Rajamanoharan et
    al., 2024), https://arxiv.org/abs/2407.14435

    Squared error plus the number of units that are on, with straight-through gradients for the
    thresholds. Threshold and bandwidth are 0.001 in the original, whose data have a mean squared norm
    of 1.

    Args:
        latent_dim: number of atoms.
        l0_weight: of the number of units that are on, lambda in the paper; by default 0.3 for images,
            else a 32nd of the squared length that a row of standardised columns has.
        threshold: what every unit's threshold starts from; by default 0.1 for images, else an eighth of
            that length.
        bandwidth: width of the kernel that estimates the derivative by a threshold, epsilon in the
            paper; by default 0.1 for images, else a quarter of that length.
        revive_after: as of the recipe sparse.
    """
    length = _typical(spec)
    image = spec.layout == "image"
    l0_weight = _or(l0_weight, 0.3 if image else length**2 / 32)
    threshold = _or(threshold, 0.1 if image else length / 8)
    bandwidth = _or(bandwidth, 0.1 if image else length / 4)
    networks = networks or DictionaryNetworks(options=net)
    return plain(
        spec,
        networks,
        latent_dim=latent_dim,
        output="identity",
        loss="sse",
        noise=noise,
        bottleneck=lambda project: JumpReLU(project, latent_dim, threshold, bandwidth),
        terms={"l0": (penalty("l0"), l0_weight)},
        make=_started(spec, networks, revive_after),
    )


def _or(given: float | None, usual: float) -> float:
    return usual if given is None else given


def _kept(k: int | None, usual: int, latent_dim: int) -> int:
    """Returns how many units stay: k, or by default the usual number, of few units a quarter."""
    if k is None:
        return min(usual, max(1, latent_dim // 4))
    check_k(k, latent_dim)
    return k


def _of_batch(
    spec: DataSpec,
    latent_dim: int,
    k: int | None,
    k_dead: int,
    patience: int,
    revive_after: int | None,
    terms: Terms,
    net: NetOptions,
    noise: NoiseOptions,
    networks: Networks | None,
) -> Recipe:
    k = _kept(k, 32, latent_dim)
    networks = networks or DictionaryNetworks(options=net)
    return plain(
        spec,
        networks,
        latent_dim=latent_dim,
        output="identity",
        loss="sse",
        noise=noise,
        bottleneck=lambda project: BatchTopK(project, latent_dim, k, k_dead, patience),
        terms=terms,
        make=_started(spec, networks, revive_after),
    )


@recipe(
    paper=adam(20, 3e-4, 128),
    fast=tuned(lr=2e-3, batch_size=128, epochs=10),
    tables=_TABLES,
    facts=DICTIONARY,
)
def matryoshka_sparse(
    spec: DataSpec,
    latent_dim: Count = 1024,
    k: Count | None = None,
    n_nested: Depth = 5,
    k_dead: Count = 512,
    patience_dead: Count = 100_000,
    revival_weight: NotNegative = 1 / 32,
    revive_after: Natural | None = None,
    net: NetOptions = DEFAULT_NET,
    noise: NoiseOptions = NO_NOISE,
    networks: Networks | None = None,
) -> Recipe:
    """``batch_topk`` whose first units have to reconstruct alone: dictionaries inside a dictionary.

    Learning Multi-Level Features with Matryoshka Sparse Autoencoders (Bussmann et al., 2025),
    https://arxiv.org/abs/2503.17547

    The loss is the sum of the squared errors from the first m atoms, for each size m.

    Args:
        latent_dim: number of atoms.
        k: units that stay, on average over examples; by default 32, or a quarter of latent_dim where
            that is less.
        n_nested: sizes; each is half of the next one, and the largest is latent_dim.
        k_dead: the largest units of the dead that are taught by the error that is left.
        patience_dead: examples without firing after which a unit is dead.
        revival_weight: of the dead units' squared error, alpha in the paper.
        revive_after: as of the recipe sparse.
    """
    sizes = sorted({math.ceil(latent_dim / 2**i) for i in range(n_nested)})
    terms: Terms = {"sse": (nested(sizes), 1.0), "revival": (revival, revival_weight)}
    return _of_batch(
        spec, latent_dim, k, k_dead, patience_dead, revive_after, terms, net, noise, networks
    )
