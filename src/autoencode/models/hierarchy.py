"""An autoencoder whose latents stand one below the other."""

from __future__ import annotations

from torch import Tensor

from autoencode.models.autoencoder import AutoencoderModule
from autoencode.types import Latent, Observation


class HierarchicalAutoencoder(AutoencoderModule):
    """An autoencoder with a top-down chain of latents; the decoder reads the state at its end.

    ::

        x ──► encoder ──► h ──► path: z_L, ..., z_1 ──► state ──► decoder ──► params ──► p(x|z)

    z is all latents flat and side by side, the top one first. The code (``embed``) is the means of
    their posteriors, each in sight of the means above. ``decode`` walks down the path with the latents
    given, so draws of any prior over z can be decoded. The bottleneck gives ``views["state"]`` and has
    ``state(z)``.

    Args:
        encoder: (B, *D) to the features of all layers (B, F).
        decoder: the last state (N, ...) to params.
        bottleneck: the path, with the priors and the posteriors of all layers.
        likelihood: params to p(x|z).
        prior: p(z) as the path has it.
    """

    def _read(self, latent: Latent) -> Tensor:
        return latent.views["state"]

    def decode(self, z: Tensor, context: Tensor | None = None) -> Observation:
        """Decodes latents (B, Z) into p(x|z): batch shape (B,), event shape D."""
        state: Tensor = self.bottleneck.state(z)  # type: ignore[operator]
        x_dist: Observation = self.likelihood(self.decoder(state))
        return x_dist
