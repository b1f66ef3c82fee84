"""An autoencoder of one linear layer each way, whose atoms start again where they are not used."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autoencode.models.autoencoder import AutoencoderModule
from autoencode.parallel import global_batch
from autoencode.types import Batch, Output


class DictionaryAutoencoder(AutoencoderModule):
    """An autoencoder x -> sparse z -> sum of z_i times atom i, whose dead units are revived.

    Towards Monosemanticity (Bricken et al., 2023),
    https://transformer-circuits.pub/2023/monosemantic-features: a unit that has not fired for many
    examples starts again at what is explained worst. Its atom and its weights in the encoder point from
    a reconstruction to the example. At first the encoder is the transposed decoder.

    Revivals depend on the weights, buffers and batches alone, so that a run that goes on does as one
    without a break.

    Args:
        encoder: flattens x.
        decoder: has ``atoms`` (D, Z) as weights.
        bottleneck: has the linear layer ``project`` (Z, D), and may have ``revive(units)``.
        likelihood: params to p(x|z).
        prior: p(z).
        patience: examples without firing after which a unit is dead.
    """

    idle: Tensor

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        bottleneck: nn.Module,
        likelihood: nn.Module,
        prior: nn.Module | None = None,
        *,
        patience: int,
    ) -> None:
        super().__init__(encoder, decoder, bottleneck, likelihood, prior)
        self.patience = patience
        self.register_buffer("idle", torch.zeros(self._atoms.shape[1]))
        with torch.no_grad():
            self._project.weight.copy_(F.normalize(self._atoms, dim=0).T)

    @property
    def _atoms(self) -> Tensor:
        atoms: Tensor = self.decoder.atoms  # type: ignore[assignment]
        return atoms

    @property
    def _project(self) -> Any:
        return self.bottleneck.project

    def complete(self, tensors: dict[str, Tensor], prefix: str) -> None:
        """Adds what files of earlier versions lack."""
        tensors.setdefault(f"{prefix}idle", torch.zeros(len(self.idle), device="cpu"))

    def forward(self, batch: Batch, n_samples: int = 1) -> Output:
        learns = self.training and torch.is_grad_enabled()
        if learns:
            self._revive(batch)
        output = super().forward(batch, n_samples)
        if learns:
            self._note(output.latent.z.detach()[0])
        return output

    @torch.no_grad()
    def _note(self, z: Tensor) -> None:
        """Counts the examples since each unit fired, by the whole batch z (B, Z)."""
        whole = global_batch(z)
        self.idle.copy_(torch.where((whole != 0).any(0), 0.0, self.idle + len(whole)))

    @torch.no_grad()
    def _revive(self, batch: Batch) -> None:
        """Lets dead units start at the examples of the whole batch that are explained worst."""
        dead = (self.idle >= self.patience).nonzero()[:, 0]
        if not len(dead):
            return
        left = global_batch((batch.target - self.reconstruct(batch.x, batch.context)).flatten(1))
        rows = left.square().sum(1).topk(min(len(dead), max(1, len(left) // 8))).indices
        dead, directions = dead[: len(rows)], F.normalize(left[rows], dim=1)
        self._atoms[:, dead] = directions.T
        self._project.weight[dead] = directions
        if self._project.bias is not None:
            self._project.bias[dead] = 0.0
        if revive := getattr(self.bottleneck, "revive", None):
            revive(dead)
        self.idle[dead] = 0.0
