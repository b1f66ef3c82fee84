"""Quantisers without a codebook, which read the code off the vector's entries."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from autoencode.bottlenecks.codebooks import exact
from autoencode.bottlenecks.quantised import Choice, straight_through
from autoencode.errors import IncompatibleError
from autoencode.parallel import global_batch

_MAX_BITS = 16  # the entropy of the mean needs every code's probability


class FiniteScalar(nn.Module):
    """A quantiser that bounds every entry of the vector and rounds it to one of a few levels.

    Finite Scalar Quantization: VQ-VAE Made Simple (Mentzer et al., 2023), https://arxiv.org/abs/2309.15505

    Args:
        levels: how many for each entry, at least 2; the code takes their product of values.

    >>> FiniteScalar([3, 2]).lookup(torch.arange(6)).tolist()
    [[-1.0, -1.0], [0.0, -1.0], [1.0, -1.0], [-1.0, 0.0], [0.0, 0.0], [1.0, 0.0]]
    """

    n_books = 1
    sizes: Tensor
    places: Tensor

    def __init__(self, levels: Sequence[int]) -> None:
        super().__init__()
        if not levels or min(levels) < 2:
            raise IncompatibleError(f"every entry needs at least 2 levels, got {tuple(levels)}")
        if math.prod(levels) >= 2**31:
            raise IncompatibleError(f"levels {tuple(levels)} make more codes than an integer can count")
        self.dim, self.n_codes = len(levels), math.prod(levels)
        places = [math.prod(levels[:i]) for i in range(len(levels))]
        self.register_buffer("sizes", torch.tensor(levels), persistent=False)
        self.register_buffer("places", torch.tensor(places), persistent=False)

    def bound(self, vectors: Tensor) -> Tensor:
        """Bounds entries to (-L/2, L/2), half a step lower for even L, to round to L values."""
        half = (self.sizes - 1) * (1 - 1e-3) / 2
        offset = torch.where(self.sizes % 2 == 1, 0.0, 0.5)
        shift = torch.tan(offset / half)
        return (vectors + shift).tanh() * half - offset

    def forward(self, vectors: Tensor, move: bool = False) -> Choice:
        bounded = self.bound(vectors)
        half = self.sizes // 2
        # Rounding alone is passed through; the bound has its own gradient.
        z = straight_through(bounded, bounded.round()) / half
        digits = (bounded.detach().round() + half).long()
        return Choice(z, (digits * self.places).sum(-1))

    def lookup(self, codes: Tensor) -> Tensor:
        """Looks up the vectors (..., D) of codes (...)."""
        half = self.sizes // 2
        digits = codes.unsqueeze(-1) // self.places % self.sizes
        return (digits - half) / half


class LookupFree(nn.Module):
    """A quantiser that takes the sign of every entry of the vector: a code of D bits.

    Language Model Beats Diffusion: Tokenizer is Key to Visual Generation (Yu et al., 2023),
    https://arxiv.org/abs/2310.05737. Penalties: ``entropy``, E[H(q(c|z))] - H(E[q(c|z)]) in nats with
    q(c|z) = softmax(-|z - c|² / temperature) over all codes c, which wants sure choices and all
    codes in use (expectations over positions and the whole batch); ``commitment``, as in VQ-VAE.

    Args:
        n_bits: D; there are 2^D codes.
        temperature: of q(c|z), above 0.
    """

    n_books = 1
    places: Tensor

    def __init__(self, n_bits: int, temperature: float = 1.0) -> None:
        super().__init__()
        if not 1 <= n_bits <= _MAX_BITS:
            raise IncompatibleError(
                f"a code of {n_bits} bits is outside 1..{_MAX_BITS}: the entropy looks at each of its "
                "2^bits values; use fewer bits, or fsq"
            )
        if not temperature > 0:
            raise IncompatibleError(f"the temperature must be above 0, got {temperature}")
        self.dim, self.n_codes, self.temperature = n_bits, 2**n_bits, temperature
        self.register_buffer("places", 2 ** torch.arange(n_bits), persistent=False)

    def forward(self, vectors: Tensor, move: bool = False) -> Choice:
        bits = vectors.detach() > 0
        signs = bits.to(vectors.dtype) * 2 - 1
        penalties = {
            "entropy": self._entropy(vectors),
            "commitment": (vectors - signs).square().sum(-1).mean(-1),
        }
        codes = (bits * self.places).sum(-1)
        return Choice(straight_through(vectors, signs), codes, penalties)

    def _entropy(self, vectors: Tensor) -> Tensor:
        """Computes E[H(q)] - H(E[q]) for each example (B,); the second part is over the batch."""
        logits = 4 * vectors / self.temperature  # of each bit: -|z - 1|² + |z + 1|²
        # Bits are independent given z: the entropy is the sum of theirs ...
        each = F.binary_cross_entropy_with_logits(logits, logits.sigmoid(), reduction="none")
        # ... and q is the product of those of its halves, whose mean takes one small matrix product.
        left, right = (_choices(half) for half in logits.split([self.dim // 2, -(-self.dim // 2)], -1))
        with exact(vectors):
            q = (left.transpose(1, 2) @ right / vectors.shape[1]).flatten(1)
        mean = global_batch(q).mean(0)
        return each.sum(-1).mean(-1) + (mean * mean.clamp_min(1e-20).log()).sum()

    def lookup(self, codes: Tensor) -> Tensor:
        """Looks up the vectors (..., D) of codes (...)."""
        bits = codes.unsqueeze(-1) // self.places % 2
        return 2.0 * bits - 1.0


def _choices(logits: Tensor) -> Tensor:
    """Computes the probabilities of all settings of independent bits: (B, P, n) to (B, P, 2^n)."""
    total = logits.new_ones(*logits.shape[:-1], 1)
    for bit in logits.unbind(-1):
        p = bit.sigmoid().unsqueeze(-1)
        total = torch.cat([total * (1 - p), total * p], dim=-1)
    return total
