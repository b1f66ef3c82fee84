"""Transformer blocks, and a transformer over rows of integers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from autoencode.errors import IncompatibleError


class Memory:
    """The keys and values that a causal block has seen, each (N, heads, t, width / heads)."""

    def __init__(self) -> None:
        self._seen: tuple[Tensor, Tensor] | None = None

    def extend(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Appends keys and values; returns all of them so far."""
        if self._seen is not None:
            keys = torch.cat([self._seen[0], keys], dim=2)
            values = torch.cat([self._seen[1], values], dim=2)
        self._seen = keys, values
        return self._seen


class Block(nn.Module):
    """A transformer block: self-attention and a two-layer network, each with LayerNorm and shortcut.

    Args:
        width: of a token.
        heads: of attention; divide the width.
        causal: each token sees itself and those before it only.
    """

    def __init__(self, width: int, heads: int, causal: bool = False) -> None:
        super().__init__()
        if width % heads:
            raise IncompatibleError(f"width must be a multiple of heads, got {width} and {heads}")
        self.heads, self.causal = heads, causal
        self.before, self.after = nn.LayerNorm(width), nn.LayerNorm(width)
        # A bias of the keys would change nothing, and its gradient would be noise.
        self.queries, self.keys = nn.Linear(width, width), nn.Linear(width, width, bias=False)
        self.values, self.out = nn.Linear(width, width), nn.Linear(width, width)
        self.network = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(
        self, tokens: Tensor, memory: Memory | None = None, seen: Tensor | None = None
    ) -> Tensor:
        """Transforms tokens (N, t, width); with a memory, one token that follows those in it.

        Args:
            tokens: what comes.
            memory: of the tokens before.
            seen: (N, t) which tokens the others may look at; each may look at itself. All by default.
        """
        given = self.before(tokens)
        q, k, v = (
            one(given).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for one in (self.queries, self.keys, self.values)
        )
        if memory is not None:
            k, v = memory.extend(k, v)
        causal = self.causal and memory is None
        allowed = None
        if seen is not None:
            itself = torch.eye(seen.shape[1], dtype=torch.bool, device=seen.device)
            allowed = (seen.unsqueeze(1) | itself).unsqueeze(1)
        looked = F.scaled_dot_product_attention(q, k, v, attn_mask=allowed, is_causal=causal)
        tokens = tokens + self.out(looked.transpose(1, 2).flatten(2))
        result: Tensor = tokens + self.network(self.after(tokens))
        return result


class CausalTransformer(nn.Module):
    """A transformer from rows of integers (N, T) to logits (N, T, K), each given those before it.

    Attention Is All You Need (Vaswani et al., 2017), https://arxiv.org/abs/1706.03762, the decoder
    without an encoder and with LayerNorm before each part, as in GPT-2.

    Args:
        books: (T,) for each place the number of the codebook that its integer is from, from 0: the same
            integer means another thing in another book.
        n_values: K, integers are 0 to K - 1.
        width: of a token.
        depth: blocks.
        heads: of attention; divide the width.
    """

    place_books: Tensor

    def __init__(
        self, books: Sequence[int], n_values: int, width: int = 96, depth: int = 3, heads: int = 4
    ) -> None:
        super().__init__()
        self.length, self.n_values = len(books), n_values
        n_books = max(books) + 1
        self.values = nn.Embedding(n_books * n_values, width)
        nn.init.normal_(self.values.weight, std=0.02)
        self.start = nn.Parameter(0.02 * torch.randn(width))
        self.places = nn.Parameter(0.02 * torch.randn(self.length, width))
        self.blocks = nn.ModuleList(Block(width, heads, causal=True) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.heads = nn.ModuleList(nn.Linear(width, n_values) for _ in range(n_books))
        self.books = tuple(books)
        self.register_buffer("place_books", torch.tensor(self.books), persistent=False)

    def forward(self, codes: Tensor) -> Tensor:
        tokens = self.values(codes[:, :-1] + self.n_values * self.place_books[:-1])
        start = self.start.expand(len(codes), 1, -1)
        h = torch.cat([start, tokens], dim=1) + self.places
        for block in self.blocks:
            h = block(h)
        h = self.norm(h)
        if len(self.heads) == 1:
            return self._logits(0, h)
        # The places of each book together, and back into their order.
        sorted_ = [self._logits(b, h[:, self.place_books == b]) for b in range(len(self.heads))]
        return torch.cat(sorted_, dim=1)[:, self.place_books.argsort(stable=True).argsort()]

    def _logits(self, book: int, h: Tensor) -> Tensor:
        logits: Tensor = self.heads[book](h)
        return logits

    def begin(self, n: int) -> tuple[Tensor, list[Memory]]:
        """Starts n empty rows of integers (n, 0) and their empty memories, for ``following``."""
        codes = torch.zeros(n, 0, dtype=torch.long, device=self.start.device)
        return codes, [Memory() for _ in self.blocks]

    def following(self, codes: Tensor, memories: Sequence[Memory]) -> Tensor:
        """Computes the logits (N, K) of the next integer of each row.

        Args:
            codes: (N, t) the integers so far, one more at each call, from none.
            memories: of the places before; they change.
        """
        place = codes.shape[1]
        if place:
            token = self.values(codes[:, -1] + self.n_values * self.books[place - 1])
        else:
            token = self.start.expand(len(codes), -1)
        h = (token + self.places[place]).unsqueeze(1)
        for block, memory in zip(self.blocks, memories, strict=True):
            h = block(h, memory)
        return self._logits(self.books[place], self.norm(h[:, 0]))
