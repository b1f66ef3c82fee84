"""What priors of codes are trained on by the one loop."""

from __future__ import annotations

from torch import Tensor, nn

from autoencode.data import Examples, Resident
from autoencode.objectives.terms import NATS
from autoencode.types import Batch, DataSpec, Distribution, Losses, Model, Output, Progress


class NegativeLogDensity:
    """Minus the log-density of the batch under a prior, which is all that a flow learns from."""

    unit = NATS

    def __init__(self, prior: nn.Module) -> None:
        self.prior = prior

    def __call__(self, model: Model, batch: Batch, progress: Progress) -> Losses:
        density: Distribution = self.prior(None, None)
        loss = -density.log_prob(batch.target).mean()
        return Losses(loss, {"nll": loss.detach()})

    def check(self, output: Output) -> None:
        """A prior has no output to be checked."""


def codes_as_data(z: Tensor) -> Resident:
    """Codes (N, *Z) as training data."""
    codes = z.detach().float().cpu().numpy()
    return Resident(Examples(codes), DataSpec(tuple(z.shape[1:]), "real"), z.device)
