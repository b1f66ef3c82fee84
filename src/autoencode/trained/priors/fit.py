"""Fits a prior to the codes of a trained model."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from autoencode.data import Examples, ExampleSet
from autoencode.data.values.moments import column_quantiles
from autoencode.errors import TrainingError
from autoencode.files.sparse_rows import bytes_of
from autoencode.models.marginals import Marginals
from autoencode.priors import StandardNormal
from autoencode.randomness import drawing
from autoencode.trained.priors import (
    FITTED,
    OF_INTEGERS,
    OF_MODEL,
    Integers,
    prior_for,
    prior_of,
    prior_of_model,
)
from autoencode.trained.trained import PutOff, Trained
from autoencode.types import Array, Batch

_PRIOR_ROWS, _PRIOR_MANY = 10_000, 100_000
# The largest code and the fewest rows for which a mixture of ten full covariances is fitted.
_MIXED_CODES, _MIXED_ROWS = 64, 100
_MOST_MAPPED = 4096  # entries of an example whose quantiles are kept
# Rows whose errors are measured: so many entries of them at most, but not fewer rows than these.
_MOST_MEASURED, _FEWEST_MEASURED = 1 << 25, 100
_KEPT_BYTES = 64 << 20  # of rows that wait until a prior is fitted to their codes


def fit_prior(
    trained: Trained,
    examples: Examples,
    seed: int = 0,
    kind: str | None = None,
    n_components: int | None = None,
) -> Trained:
    """Gives a model a prior that is fitted to the codes of some examples, to sample from.

    Where codes are draws from a posterior, it is fitted to a draw for each example, since that is what
    the decoder has learned to read; their means are closer together.

    Without ``kind`` a model of pixels that has a prior keeps it. A model of measurements in rows or
    sequences is made ready for draws: a mixture is fitted to its codes, the prior of a plain model and
    the ``sampler`` of one whose own prior is N(0, I), since codes of tables come in groups; and the
    spread of columns that no scale was learned for is measured. Draws of columns are then brought to
    the quantiles of the examples, whatever the prior.

    Args:
        trained: the model; changed in place.
        examples: whose codes; up to 10 000 of them, 100 000 for a mixture, pseudo-inputs and integers.
        seed: which, and of the fit.
        kind: normal (N(0, I), not fitted), gaussian, mixture (of Gaussians), maf, iaf, two_stage or
            sphere, for any model; vamp, the mean of the model's own posteriors at 500 learned
            pseudo-inputs, for one with Gaussian posteriors; autoregressive, a transformer over the
            integer codes of a quantised one; manifold, for an rhvae. By default gaussian for a plain
            autoencoder of pixels, and a model that has a prior already keeps it; see above for tables.
        n_components: Gaussians of a mixture; by default as many as leave 20 codes for each of their
            numbers (mean and covariance), 10 to 50. More take longer to fit, and samples gain by them.

    Raises:
        OptionError: for an unknown kind.
        IncompatibleError: for a kind that is not for this model's codes, ``n_components`` of another
            kind than mixture, or less than 1.
        DataError: for fewer than two codes for each Gaussian.

    Example:
        >>> from autoencode import fit_prior, load_data, train
        >>> run = train("digits", "vae", epochs=1)
        >>> better = fit_prior(run.trained, run.data.train, kind="mixture")
        >>> better.sample(2).shape
        (2, 1, 8, 8)
    """
    nothing_asked = kind is None and n_components is None
    if nothing_asked:
        if len(examples) < 2 or not _wants_fit(trained):
            return trained
        if trained.draws:
            return _ready_for_draws(trained, examples, seed)
    _measure_spread(trained, examples, seed)
    kind = kind or "gaussian"
    prior_for(trained.recipe, kind, n_components)  # refuses before any work what cannot be fitted
    most = _PRIOR_ROWS if kind in FITTED and kind != "mixture" else _PRIOR_MANY
    few = _some(examples, most, seed)
    if kind in OF_MODEL:
        return _given(trained, prior_of_model(kind, trained.recipe, few, seed), examples, seed)
    if kind in OF_INTEGERS:
        codes = torch.from_numpy(trained.codes(few)).to(trained.device)
    else:
        codes = torch.from_numpy(_drawn(trained, few, seed))
    if not bool(torch.isfinite(codes).all()):
        raise TrainingError("training diverged: its codes are not finite; try a lower learning rate")
    integers = Integers.from_recipe(trained.recipe)
    return _given(trained, prior_of(kind, codes, seed, integers, n_components), examples, seed)


def _given(trained: Trained, prior: nn.Module, examples: Examples, seed: int) -> Trained:
    """Gives a model a prior that was fitted, in the place of one that was put off."""
    if trained.put_off is not None:
        trained.put_off.drop()  # waits for a thread that is at it; does nothing inside its own work
    trained.recipe.model.prior = prior.to(trained.device)
    trained.recipe.model.sampler = trained.recipe.model.marginals = None
    if trained.draws:
        _bring_to_marginals(trained, examples, seed)
    return trained


def _some(examples: Examples, most: int, seed: int) -> Examples:
    """Takes some of the rows, whatever their order, in their order."""
    if len(examples) <= most:
        return examples
    return examples.take(np.sort(np.random.default_rng(seed).permutation(len(examples))[:most]))


def _wants_fit(trained: Trained) -> bool:
    """Tells whether anything is to be fitted before a model is sampled from, when nobody says what."""
    model = trained.recipe.model
    if model.prior is None:
        return True
    return trained.draws and type(model.prior) is StandardNormal and model.sampler is None


def _ready_for_draws(trained: Trained, examples: Examples, seed: int) -> Trained:
    """Makes a model of columns ready for draws: where codes lie, and how far rows lie from means."""
    _measure_spread(trained, examples, seed)
    codes = torch.from_numpy(_drawn(trained, _some(examples, _PRIOR_ROWS, seed), seed))
    if not bool(torch.isfinite(codes).all()):
        raise TrainingError("training diverged: its codes are not finite; try a lower learning rate")
    flat = codes.flatten(1).shape[1]
    # A mixture has no fewer than ten Gaussians, of which each takes a few codes to have a shape.
    kind = "mixture" if flat <= _MIXED_CODES and len(codes) >= _MIXED_ROWS else "gaussian"
    found = prior_of(kind, codes, seed)
    if trained.recipe.model.prior is None:
        return _given(trained, found, examples, seed)
    if trained.put_off is not None:
        trained.put_off.drop()
    trained.recipe.model.sampler = found.to(trained.device)
    _bring_to_marginals(trained, examples, seed)
    return trained


def _bring_to_marginals(trained: Trained, examples: Examples, seed: int) -> None:
    """Fits the map that gives each number's draws the quantiles that it has in some rows."""
    net, spec = trained.recipe.model, trained.spec
    if spec.kind != "real" or spec.size > _MOST_MAPPED or getattr(net.likelihood, "discrete", False):
        return
    moved = [column.numeric for column in spec.columns] or [True] * spec.size
    if not any(moved):
        return
    few = _some(examples, _PRIOR_ROWS, seed)
    batches = list(trained._batches(few))
    net.marginals = None
    with drawing(seed, trained.device, net), torch.inference_mode():
        made = [
            net.sample(len(batch.x), batch.context, mean=False)
            for _ in range(max(1, _PRIOR_ROWS // len(few)))
            for batch in batches
        ]
    marginals = Marginals(spec.size)
    levels = marginals.levels.numpy()
    quantiles = [
        torch.from_numpy(
            column_quantiles(torch.cat(rows).flatten(1).cpu().numpy(), levels, middle=True)
        )
        for rows in (made, [batch.target for batch in batches])
    ]
    marginals.fit(quantiles[0], quantiles[1], torch.tensor(moved))
    net.marginals = marginals.to(trained.device)


def _measure_spread(trained: Trained, examples: Examples, seed: int) -> None:
    """Measures how far rows lie from their reconstructions, where the likelihood draws by that."""
    measure = getattr(trained.recipe.model.likelihood, "measure", None)
    if measure is None:
        return
    net = trained.recipe.model
    most = max(_FEWEST_MEASURED, min(_PRIOR_ROWS, _MOST_MEASURED // trained.spec.size))
    few = _some(examples, most, seed)

    def squares(batch: Batch) -> torch.Tensor:
        return (net.reconstruct(batch.x, batch.context) - batch.target).square()

    found = trained._through(trained._batches(few), squares)
    measure(torch.from_numpy(np.nanmean(found, axis=0)).to(trained.device))


def fit_prior_later(trained: Trained, examples: ExampleSet, seed: int = 0) -> None:
    """Gives a model the prior of ``fit_prior`` when it is first needed, to the bit.

    The rows that it will be fitted to are copied; where they take more than 64 MB, it is fitted now.

    Args:
        trained: the model; a model that has a prior already keeps it.
        examples: whose codes.
        seed: which, and of the fit.
    """
    if len(examples) < 2 or not _wants_fit(trained):
        return
    rows = examples.bounded()
    few = _some(rows, _PRIOR_ROWS, seed)
    values = few.values
    if bytes_of(values) * (1 if few.held_target is None else 2) > _KEPT_BYTES:
        fit_prior(trained, few, seed)
        return
    target = None if few.target is None else few.target.copy()
    kept = Examples(values.copy(), few.labels, target=target)
    trained.put_off = PutOff(lambda: fit_prior(trained, kept, seed))


def fit_prior_again(trained: Trained, examples: ExampleSet, seed: int = 0) -> None:
    """Fits what a model of columns draws by anew when it is next needed, since it has learned more.

    A prior of the model's own stays, and so does one that was asked for by another kind than the usual.
    """
    model = trained.recipe.model
    if len(examples) < 2 or not trained.draws:
        return
    if trained.put_off is not None:
        trained.put_off.drop()
    model.sampler = model.marginals = None
    if not trained.stochastic and getattr(model.prior, "kind", None) in ("gaussian", "mixture"):
        model.prior = None
    fit_prior_later(trained, examples, seed)


def _drawn(trained: Trained, examples: Examples, seed: int) -> Array:
    """Computes what the decoder reads of each example in training, (N, *Z), drawn where codes are."""
    if not trained.stochastic:
        return trained.embed(examples)
    net = trained.recipe.model
    with drawing(seed, trained.device, net):
        return trained._through(trained._batches(examples), lambda b: net(b).latent.z[0])
