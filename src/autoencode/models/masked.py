"""A model that sees a part of each example and is asked for the rest."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from autoencode.errors import IncompatibleError
from autoencode.models.autoencoder import AutoencoderModule
from autoencode.randomness import uniform_like
from autoencode.types import Batch, Latent, Output


class MaskedAutoencoder(AutoencoderModule):
    """An encoder that sees few patches of an image and a decoder that draws all of them.

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
        """Every patch as it is drawn from as many others as in training: (B, *D) to (B, *D).

        The patches fall into groups, the same for all images; each is drawn in sight of the next one.
        """
        count: int = self.patches.count
        order = torch.randperm(count, generator=torch.Generator().manual_seed(0)).to(x.device)
        groups = order.split(self.n_seen)
        drawn = torch.zeros_like(x)
        for asked, shown in zip(groups, (*groups[1:], groups[0]), strict=True):
            params, _, _ = self._draw(x, shown.expand(len(x), -1))
            mask = torch.zeros(1, count, dtype=torch.bool, device=x.device)
            mask[:, asked] = True
            drawn = torch.where(self._entries(mask), self.likelihood(params).mean, drawn)
        return drawn

    def _draw(self, x: Tensor, seen: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Params (N, ...) of images in sight of some patches (N, n), z and which are hidden (N, P)."""
        count: int = self.patches.count
        tokens = self.encoder(x, seen)
        hidden = torch.ones(len(seen), count, dtype=torch.bool, device=x.device)
        hidden = hidden.scatter(1, seen, False)
        places = seen.unsqueeze(-1).expand_as(tokens)
        z = tokens.new_zeros(len(seen), count, tokens.shape[2]).scatter(1, places, tokens)
        return self.decoder(z, hidden), z, hidden

    def forward(self, batch: Batch, n_samples: int = 1) -> Output:
        """p(x|z) for ``n_samples`` choices of what is seen: batch shape (S, B), event shape D."""
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
        """Hidden patches (N, P) as hidden entries (N, *D)."""
        patches = self.patches
        whole = hidden.unsqueeze(-1).expand(-1, -1, patches.entries)
        entries: Tensor = patches.join(whole)
        return entries
