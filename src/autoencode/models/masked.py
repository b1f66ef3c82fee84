"""Models that see a part of each example and reconstruct the rest."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from autoencode.errors import IncompatibleError
from autoencode.models.autoencoder import AutoencoderModule
from autoencode.randomness import uniform_like
from autoencode.types import Batch, Latent, Observation, Output


@functools.lru_cache(maxsize=32)
def _groups(count: int, size: int) -> tuple[tuple[int, ...], ...]:
    """Deals numbers below ``count`` into groups of a size, the last may be smaller; always the same.

    They are plain numbers, found once, so that what torch records of a model (``torch.export``) has no
    permutation in it.
    """
    order = torch.randperm(count, generator=torch.Generator().manual_seed(0), device="cpu")
    return tuple(tuple(group.tolist()) for group in order.split(size))


class MaskedAutoencoder(AutoencoderModule):
    """An autoencoder whose encoder sees few patches of an image and whose decoder draws all of them.

    ::

        x ──► patches ──► those that are seen ──► encoder ──► tokens ──┐
                                                  unseen token ────────┴──► decoder ──► p(x|z)

    Masked Autoencoders Are Scalable Vision Learners (He et al., 2022), https://arxiv.org/abs/2111.06377.
    ``z`` has a token for each patch, zeros where it was hidden; ``views["hidden"]`` says which
    entries of x were (S, B, *D). ``embed`` sees all patches. ``reconstruct`` draws each
    patch from others, since what is seen is never asked for in training.

    Args:
        encoder: (images, numbers of the patches seen) to tokens; has ``patches``.
        decoder: (tokens of all patches, which are hidden) to params.
        bottleneck: passes tokens on.
        likelihood: params to p(x|z).
        hidden_share: of the patches that are hidden, in (0, 1).
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        bottleneck: nn.Module,
        likelihood: nn.Module,
        hidden_share: float = 0.75,
    ) -> None:
        super().__init__(encoder, decoder, bottleneck, likelihood)
        patches: Any = encoder.patches  # cuts images and joins them
        self.patches = patches
        count: int = self.patches.count
        self.n_seen = max(1, round(count * (1 - hidden_share)))
        if self.n_seen >= count:
            raise IncompatibleError(
                f"of {count} patches none would be hidden; use smaller patches or a larger hidden_share"
            )

    def reconstruct(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Reconstructs every patch from as many others as in training: (B, *D) to (B, *D).

        The patches fall into groups, the same for all images; each is drawn in sight of the next one.
        """
        count: int = self.patches.count
        groups = [torch.tensor(group, device=x.device) for group in _groups(count, self.n_seen)]
        drawn = torch.zeros_like(x)
        for asked, shown in zip(groups, (*groups[1:], groups[0]), strict=True):
            params, _, _ = self._draw(x, shown.expand(x.shape[0], -1))
            mask = torch.zeros(1, count, dtype=torch.bool, device=x.device)
            mask[:, asked] = True
            drawn = torch.where(self._entries(mask), self.likelihood(params).mean, drawn)
        return drawn

    def _draw(self, x: Tensor, seen: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Decodes images given some patches (N, n); returns params, z and what is hidden (N, P)."""
        count: int = self.patches.count
        tokens = self.encoder(x, seen)
        hidden = torch.ones(seen.shape[0], count, dtype=torch.bool, device=x.device)
        hidden = hidden.scatter(1, seen, False)
        places = seen.unsqueeze(-1).expand_as(tokens)
        z = tokens.new_zeros(seen.shape[0], count, tokens.shape[2]).scatter(1, places, tokens)
        return self.decoder(z, hidden), z, hidden

    def forward(self, batch: Batch, n_samples: int = 1) -> Output:
        """Computes p(x|z) for ``n_samples`` random choices of what is seen: batch (S, B), event D."""
        x, size = batch.x, len(batch.x)
        count: int = self.patches.count
        draws = uniform_like(x.new_empty((size, n_samples, count)))
        seen = draws.transpose(0, 1).flatten(0, 1).argsort(1)[:, : self.n_seen]
        every = x if n_samples == 1 else x.repeat(n_samples, *(1,) * (x.dim() - 1))
        params, z, hidden = self._draw(every, seen)
        view = self._entries(hidden)
        shape = (n_samples, size)
        latent = Latent(z.unflatten(0, shape), views={"hidden": view.unflatten(0, shape)})
        return Output(latent, self.likelihood(params.unflatten(0, shape)))

    def _entries(self, hidden: Tensor) -> Tensor:
        """Turns hidden patches (N, P) into hidden entries (N, *D)."""
        patches = self.patches
        whole = hidden.unsqueeze(-1).expand(-1, -1, patches.entries)
        entries: Tensor = patches.join(whole)
        return entries


class MaskedColumns(AutoencoderModule):
    """An autoencoder whose encoder sees some columns of each row and whose decoder gives all of them.

    ::

        x ──► tokens of columns ──► encoder, in sight of those that are seen ──┐
                                                      unseen token ────────────┴──► decoder ──► p(x|z)

    Values that are missing are hidden like those that training hides. ``z`` has a token for each
    column, zeros where it was hidden; ``views["hidden"]`` says which entries of x were (S, B, *D).
    ``embed`` sees all that is known. ``reconstruct`` tells what is missing by all that is known, and
    what is known by other columns, as in training.

    Args:
        encoder: (rows, which columns are hidden) to tokens.
        decoder: tokens to params; ``columns`` says which column each is of.
        bottleneck: passes tokens on.
        likelihood: params to p(x|z).
        hidden_share: of the known columns that are hidden, in (0, 1); at least one is, and one is not
            where there are two.
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        bottleneck: nn.Module,
        likelihood: nn.Module,
        hidden_share: float = 0.5,
    ) -> None:
        super().__init__(encoder, decoder, bottleneck, likelihood)
        self.hidden_share = hidden_share

    def _n_hidden(self, known: Tensor) -> Tensor:
        """Computes how many columns to hide of each number of known ones."""
        wanted = (known * self.hidden_share).round().long()
        return torch.minimum(wanted, known - 1).clamp_min(1)

    def _group_size(self, count: int) -> int:
        """Computes what ``_n_hidden`` does of one number, without a tensor."""
        wanted = int(np.rint(np.float32(count) * np.float32(self.hidden_share)))
        return max(1, min(wanted, count - 1))

    def forward(self, batch: Batch, n_samples: int = 1) -> Output:
        """Computes p(x|z) for ``n_samples`` random choices of what is seen: batch (S, B), event D."""
        x, size = batch.x, len(batch.x)
        missing = x.flatten(1).isnan()
        draws = uniform_like(x.new_empty((size, n_samples, missing.shape[1]))).transpose(0, 1)
        order = draws.masked_fill(missing, 1.0).argsort(-1).argsort(-1)
        hidden = missing | (order < self._n_hidden((~missing).sum(1, keepdim=True)))
        every = x if n_samples == 1 else x.repeat(n_samples, *(1,) * (x.dim() - 1))
        z = self._tokens(every, hidden.flatten(0, 1)).unflatten(0, (n_samples, size))
        view = hidden.unflatten(2, x.shape[1:])
        return Output(Latent(z, views={"hidden": view}), self._decode_samples(z, None))

    def _tokens(self, x: Tensor, hidden: Tensor) -> Tensor:
        z: Tensor = self.bottleneck.embed(self.encoder(x, hidden))  # type: ignore[operator]
        return z

    def explained(self, x: Tensor, context: Tensor | None = None) -> Observation:
        """Computes p(x|z) with every column predicted from others: batch (B,), event D.

        The columns fall into groups, the same for all rows; each is told in sight of the others. So the
        log-probability of a row is the sum of those of its columns, each given columns beside it.
        """
        missing = x.flatten(1).isnan()
        params = self.decoder(self._tokens(x, missing))
        columns: Tensor = self.decoder.columns  # type: ignore[assignment]
        count = missing.shape[1]
        for group in _groups(count, self._group_size(count)):
            asked = torch.zeros(missing.shape[1], dtype=torch.bool, device=x.device)
            asked[torch.tensor(group, device=x.device)] = True
            told = self.decoder(self._tokens(x, missing | asked))
            # What is missing is told by all that is known.
            here = asked[columns] & ~missing[:, columns]
            params = torch.where(here.view_as(params), told, params)
        x_dist: Observation = self.likelihood(params)
        return x_dist
