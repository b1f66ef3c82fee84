"""Networks that stand beside a factor analysis of rows with gaps, and the blend of what both expect."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from autoencode.nets.factor_analysis import UNBOUNDED, Factors
from autoencode.nets.reader import Read, Reader


class EncoderBesideFactors(nn.Module):
    """An encoder of rows x (B, D) whose last features are the factors expected of what is known of x.

    The network learns alone: in training mode zeros stand in the place of the factors.

    Args:
        network: (B, D) to features, through a reader of gaps.
        width: of these features.
        most: factors at most.
    """

    def __init__(self, network: Read, width: int, most: int) -> None:
        super().__init__()
        self.network = network
        read = self.reader.n_entries
        self.factors = Factors(read, max(1, min(read - 1, most)))
        self.features = width + self.factors.n_factors

    @property
    def reader(self) -> Reader:
        """What lays out the entries that the factors are of."""
        reader: Reader = self.network.reader  # type: ignore[assignment]
        return reader

    @property
    def n_passed(self) -> int:
        """How many of the features, the last ones, are factors, which a code passes on as they are."""
        return self.factors.n_factors

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        h = self.network(x, context)
        if self.training:
            scores = h.new_zeros(h.shape[0], self.n_passed)
        else:
            scores = self.factors(*self.reader.entries(x)).to(h.dtype)
        return torch.cat([h, scores], dim=1)


class DecoderBesideFactors(nn.Module):
    """A decoder of codes (N, Z) whose last entries are factors: a network's params and theirs, blended.

    Params are ``share * network + (1 - share) * factors``, with a share for each. In training mode, and
    until it is told lines, they are the network's alone.

    Args:
        network: (N, Z - n_factors) to params (N, P).
        n_factors: factors.
        size: P.

    Example:
        >>> decoder = DecoderBesideFactors(nn.Linear(2, 1), 1, 1).eval()
        >>> decoder.set_lines(torch.tensor([[2.0]]), torch.tensor([1.0]))
        >>> decoder.share.zero_()
        tensor([0.])
        >>> decoder(torch.tensor([[7.0, 7.0, 3.0]])).tolist()
        [[7.0]]
    """

    share: Tensor
    slope: Tensor
    middle: Tensor
    low: Tensor
    high: Tensor

    def __init__(self, network: nn.Module, n_factors: int, size: int) -> None:
        super().__init__()
        self.network = network
        self.n_factors = n_factors
        self.register_buffer("share", torch.ones(size))
        self.register_buffer("slope", torch.zeros(size, n_factors))
        self.register_buffer("middle", torch.zeros(size))
        self.register_buffer("low", torch.full((size,), -UNBOUNDED))
        self.register_buffer("high", torch.full((size,), UNBOUNDED))

    def forward(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        learned, expected = self.both(z, context)
        if self.training:
            return learned
        return expected + self.share * (learned - expected)

    def both(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Computes the params (N, P) of the network, and those that the factors expect."""
        code, scores = z.split([z.shape[1] - self.n_factors, self.n_factors], dim=1)
        learned = self.network(code) if context is None else self.network(code, context)
        expected = scores @ self.slope.T + self.middle
        return learned, expected.clamp(self.low, self.high)

    @torch.no_grad()
    def set_lines(
        self,
        slope: Tensor,
        middle: Tensor,
        low: Tensor | None = None,
        high: Tensor | None = None,
    ) -> None:
        """Sets the params that factors expect to ``slope @ factors + middle``, within a range."""
        self.slope.copy_(slope)
        self.middle.copy_(middle)
        if low is not None and high is not None:
            self.low.copy_(low)
            self.high.copy_(high)

    def told(self) -> str:
        """Says how much of the numbers is the network's; nothing before there are factors."""
        used = int(self.slope.any(dim=0).sum())
        blended = self.slope.any(dim=1)
        if not used:
            return ""
        share = float(self.share[blended].mean())
        return (
            f"numbers are guessed by the network ({share:.0%} in the mean of columns) and by {used} "
            "factors beside it, as held-out rows tell; gaps=zeros is the network alone"
        )

    def set_output_bias(self, params: Tensor) -> None:
        """Sets the bias of the network's output to ``params``, where training starts."""
        self.network.set_output_bias(params)  # type: ignore[operator]
