"""The decoder half of a trained model, as a module of its own."""

from __future__ import annotations

import copy

from torch import Tensor, nn

from autoencode.models.autoencoder import AutoencoderModule, call
from autoencode.models.encoder import check_context
from autoencode.types import DataSpec


class Decoder(nn.Module):
    """Codes z (B, *Z) to the mean of p(x|z), (B, *D), in the data's own units; the twin of ``Encoder``.

    Codes are those that ``Encoder`` makes, of a quantised model the vectors and not the integers. A
    column of categories becomes the number of the likeliest one. A conditional model takes the context
    (B, C) as a second input.

    Args:
        decoder: (B, *Z) to params.
        likelihood: params to p(x|z).
        spec: the units of the data.
        whole: the model they are of, where it decodes in a way of its own.
    """

    def __init__(
        self,
        decoder: nn.Module,
        likelihood: nn.Module,
        spec: DataSpec,
        whole: AutoencoderModule | None = None,
    ) -> None:
        super().__init__()
        self.decoder = decoder
        self.likelihood = likelihood
        self.spec = spec
        self.whole = whole

    @classmethod
    def from_model(cls, model: AutoencoderModule, spec: DataSpec) -> Decoder:
        """A copy of a model's decoder and likelihood, ready to be trained further."""
        if type(model).decode is AutoencoderModule.decode:
            made = cls(*copy.deepcopy((model.decoder, model.likelihood)), spec)
        else:
            whole = copy.deepcopy(model)
            made = cls(whole.decoder, whole.likelihood, spec, whole)
        return made.train(model.training).requires_grad_(True)

    def forward(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        check_context(self.spec, context)
        if self.whole is not None:
            x_dist = self.whole.decode(z, context)
        else:
            x_dist = self.likelihood(call(self.decoder, z, context))
        return self.spec.to_raw(x_dist.mean)
