"""A model of examples whose class is known for some of them only."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from autoencode.models.autoencoder import AutoencoderModule, call, seen
from autoencode.types import Batch, Latent, Observation, Output, Site


class SemiSupervisedAutoencoder(AutoencoderModule):
    """An autoencoder with two latent variables: the class y and a continuous code z.

    ::

        x ──► classifier ──► guess ──► q(y|x) ──► y ──┬──────────────┐
        x ─────────────────────────────► encoder(x, y) ──► q(z|x,y) ──► z ──► decoder(z, y) ──► p(x|y,z)

    Semi-supervised Learning with Deep Generative Models (Kingma et al., 2014), model M2,
    https://arxiv.org/abs/1406.5298. A context is y, one-hot, and NaN where it is not known; without
    one no y is. ``forward`` draws y where it is not known, so that the sites ``y`` and ``z`` give the
    bound on log p(x) there and the one on log p(x, y) elsewhere. ``embed`` and ``reconstruct`` take the
    likeliest class in its place.

    Args:
        encoder: (x, y) to features.
        decoder: (z, y) to params.
        bottleneck: features to q(z|x,y); has ``posterior``.
        likelihood: params to p(x|y,z).
        prior: p(z).
        classifier: x to features.
        guess: those features to q(y|x).
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        bottleneck: nn.Module,
        likelihood: nn.Module,
        prior: nn.Module,
        classifier: nn.Module,
        guess: nn.Module,
    ) -> None:
        super().__init__(encoder, decoder, bottleneck, likelihood, prior)
        self.classifier = classifier
        self.guess = guess

    def class_log_probs(self, x: Tensor) -> Tensor:
        """Computes log q(y|x) of examples (B, *D) for each class, (B, C), nats."""
        guess: Any = self.guess
        found: Tensor = guess.log_probs(self.classifier(x))
        return found

    def given(self, x: Tensor, y: Tensor) -> Output:
        """Computes p(x|y,z) at one draw of z for each of several classes of the same examples.

        Args:
            x: (B, *D).
            y: (S, B, C), one-hot.

        Returns:
            Batch shape (S, B), with the one site ``z``.
        """
        latent = self._latent(x, y)
        return Output(latent, self._decode_samples(latent.z, y))

    def _latent(self, x: Tensor, y: Tensor) -> Latent:
        samples, size = y.shape[:2]
        every = x if samples == 1 else x.repeat(samples, *(1,) * (x.dim() - 1))
        h = call(self.encoder, every, y.flatten(0, 1)).unflatten(0, (samples, size))
        bottleneck: Any = self.bottleneck
        q = bottleneck.posterior(h)
        z = q.rsample()
        prior = self.prior_distribution(None)
        assert prior is not None  # it is an argument that must be given
        return Latent(z, {"z": Site(z, q, prior)})

    def encode(self, x: Tensor, context: Tensor | None = None, n_samples: int = 1) -> Latent:
        """Draws y and z, (S, B, ...); ``views["y"]`` has y, which the decoder reads as well."""
        y: Site = self.guess(self.classifier(x), context, n_samples)
        latent = self._latent(x, y.z)
        return Latent(latent.z, {"y": y, **latent.sites}, views={"y": y.z})

    def forward(self, batch: Batch, n_samples: int = 1) -> Output:
        """Computes p(x|y,z) for ``n_samples`` draws of y and z: batch shape (S, B), event shape D."""
        latent = self.encode(batch.x, batch.context, n_samples)
        x_dist = self._decode_samples(latent.z, latent.views["y"])
        return Output(latent, seen(x_dist, batch.target))

    def _likeliest(self, x: Tensor, context: Tensor | None) -> Tensor:
        guess: Any = self.guess
        y: Tensor = guess.most_likely(self.classifier(x), context)
        return y

    def embed(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Computes the mean of q(z|x,y) at the known or likeliest class: (B, *D) to (B, *Z)."""
        return super().embed(x, self._likeliest(x, context))

    def explained(self, x: Tensor, context: Tensor | None = None) -> Observation:
        """Computes p(x|y,z) at ``embed(x)`` and the same class: batch shape (B,), event shape D."""
        y = self._likeliest(x, context)
        return seen(self.decode(super().embed(x, y), y), x)
