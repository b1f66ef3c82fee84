"""The encoder half of a trained model, as a module of its own."""

from __future__ import annotations

import copy

from torch import Tensor, nn

from autoencode.errors import IncompatibleError
from autoencode.models.autoencoder import AutoencoderModule, call
from autoencode.types import DataSpec


class Encoder(nn.Module):
    """The encoder half of a model: x (B, ...) in the data's own units to its deterministic z (B, *Z).

    A body for other networks: ``nn.Sequential(encoder, nn.Linear(latent_dim, 10))``. Freeze it with
    ``encoder.requires_grad_(False)``, or fine-tune it. A conditional model takes the context (B, C) as
    a second input; one that guesses labels may go without.

    Args:
        encoder: (B, *D) to features.
        bottleneck: features to z by its ``embed``.
        spec: how the encoder sees the data.
        whole: the model they are of, where it embeds in a way of its own or the bottleneck asks for the
            rest of it.
    """

    def __init__(
        self,
        encoder: nn.Module,
        bottleneck: nn.Module,
        spec: DataSpec,
        whole: AutoencoderModule | None = None,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.bottleneck = bottleneck
        self.spec = spec
        self.whole = whole

    @classmethod
    def from_model(cls, model: AutoencoderModule, spec: DataSpec) -> Encoder:
        """Copies a model's encoder and bottleneck, ready to be trained further."""
        copied = copy.deepcopy(model)
        own_way = type(model).embed is not AutoencoderModule.embed
        whole = copied if own_way or copied.asks_model else None
        made = cls(copied.encoder, copied.bottleneck, spec, whole)
        return made.train(model.training).requires_grad_(True)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        if self.spec.labelled is None:
            check_context(self.spec, context)
        seen = self.spec.to_model(x.reshape(x.shape[0], *self.spec.shape))
        if self.whole is not None:
            return self.whole.embed(seen, context)
        z: Tensor = self.bottleneck.embed(call(self.encoder, seen, context))  # type: ignore[operator]
        return z


def check_context(spec: DataSpec, context: Tensor | None) -> None:
    """Raises ``IncompatibleError`` where a conditional model gets no context."""
    if spec.context_dim and context is None:
        raise IncompatibleError(
            f"this model is conditional on labels; give the context (B, {spec.context_dim}), a one in "
            "the place of each label, as a second argument"
        )
