"""Codes of some examples and, where the code is stochastic, the posteriors they are means of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from autoencode.data import Examples, Resident
from autoencode.distributions.basic import Normal
from autoencode.randomness import seeded
from autoencode.trained import Trained
from autoencode.trained.trained import CHUNK, flat
from autoencode.training.processor import tuned
from autoencode.types import Array, Latent

ACTIVE_NATS = 0.01  # of KL; a dimension with less has collapsed to the prior


@dataclass(frozen=True, eq=False)
class Codes:
    """Codes of N examples in D dimensions.

    Attributes:
        z: (N, D) what ``Trained.embed`` gives, flat.
        scale: (N, D) standard deviations of q(z|x), ``None`` unless it is a diagonal Gaussian.
        nats: (D,) mean KL(q(z_j|x) || p(z_j)), ``None`` unless it has a closed form for each dimension.
    """

    z: Array
    scale: Array | None = None
    nats: Array | None = None

    @property
    def activity(self) -> Array:
        """Activity of each dimension (D,): its KL in nats, or else the codes' standard deviation."""
        return self.z.std(axis=0) if self.nats is None else self.nats

    @property
    def active(self) -> Array:
        """Dimensions (D,) in use, as a mask: more than 0.01 nats, or codes that vary at all."""
        return self.activity > (0.0 if self.nats is None else ACTIVE_NATS)


def codes_of(trained: Trained, examples: Examples) -> Codes:
    """Computes the codes of some examples.

    Example:
        >>> from autoencode import train
        >>> run = train("digits", "vae", latent_dim=4, epochs=1)
        >>> found = codes_of(run.trained, run.data.test)
        >>> found.z.shape, found.scale.shape, found.nats.shape
        ((359, 4), (359, 4), (4,))

    Args:
        trained: the model.
        examples: raw examples that fit its ``spec``.
    """
    z = flat(trained.embed(examples)).astype(np.float64)
    scales: list[Array] = []
    nats: Array | None = np.zeros(z.shape[1])
    source = Resident(examples, trained.spec, trained.device)
    noise = seeded(0, trained.device, trained.model)
    with tuned(trained.device), noise, torch.inference_mode():
        for batch in source.batches(CHUNK):
            posterior = _posterior(trained.model(batch).latent, z.shape[1])
            if posterior is None:
                return Codes(z)
            q, kl = posterior
            scales.append(q.scale.expand_as(q.loc).flatten(1).cpu().numpy())
            if nats is not None and kl is not None:
                nats = nats + kl.expand_as(q.loc).flatten(1).double().sum(0).cpu().numpy() / len(z)
            else:
                nats = None
    return Codes(z, np.concatenate(scales).astype(np.float64), nats)


def _posterior(latent: Latent, width: int) -> tuple[Normal, torch.Tensor | None] | None:
    """Gives the posterior of the whole code and its KL by dimension, if it is a diagonal Gaussian."""
    if len(latent.sites) != 1:
        return None
    (site,) = latent.sites.values()
    q = site.posterior
    if not isinstance(q, Normal) or q.loc.dim() != site.z.dim() - 1 or q.loc[0].numel() != width:
        return None
    return q, q.kl_entries(site.prior)
