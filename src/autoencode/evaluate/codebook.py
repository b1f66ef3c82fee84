"""Measures of how quantised codes use their codebooks."""

from __future__ import annotations

import torch
from torch import Tensor

from autoencode.evaluate.case import Case
from autoencode.evaluate.measures import Figure, Measure, Result, Section


def perplexity(counts: Tensor) -> float:
    """Computes how many codes, used equally often, have the entropy of these counts (K,).

    >>> round(perplexity(torch.tensor([5, 5, 5, 5, 0, 0])), 6)
    4.0
    """
    shares = counts.double() / counts.sum()
    return float(torch.special.entr(shares).sum().exp())


def usage(case: Case) -> list[Tensor]:
    """Counts how often the examples use the codes of each codebook, (K,) for each."""
    bottleneck = case.trained.model.bottleneck
    total: list[Tensor] = []
    for batch in case.batches():
        codes = case.trained.model(batch).latent.codes[0].flatten(1).cpu()
        books = torch.tensor(bottleneck.books(codes.shape[1]))  # type: ignore[operator]
        size: int = bottleneck.n_codes  # type: ignore[assignment]
        counts = [
            torch.bincount(codes[:, books == book].flatten(), minlength=size) for book in books.unique()
        ]
        total = [a + b for a, b in zip(total, counts, strict=True)] if total else counts
    return total


def _measured(case: Case) -> Result:
    counts = usage(case)
    mean = sum(perplexity(each) for each in counts) / len(counts)
    size = len(counts[0])
    several = "" if len(counts) == 1 else f"mean and sum over {len(counts)} codebooks of {size}; "
    n = int(counts[0].sum())
    dead = sum(int((each == 0).sum()) for each in counts)
    total = sum(len(each) for each in counts)
    values = {"codebook_perplexity": mean, "dead_codes": dead, "codebook_size": total}
    few = "; too few to use all" if n < size else ""
    return Result(values, how=f"{several}{n} codes of {len(case.examples)} examples{few}")


def _no_codes(case: Case) -> str | None:
    if hasattr(case.trained.model.bottleneck, "books"):
        return None
    return "the code is not quantised"


USAGE = Measure(
    "codebook",
    (
        Figure(
            "codebook_perplexity",
            "codes",
            "exp of the entropy of the codes' frequencies: so many used equally often",
        ),
        Figure("dead_codes", "codes", "of all codebooks, which no example uses", "lower"),
        Figure("codebook_size", "codes", "of all codebooks together"),
    ),
    _measured,
    _no_codes,
    source="Neural Discrete Representation Learning (van den Oord et al., 2017), "
    "https://arxiv.org/abs/1711.00937",
)
CODEBOOK = Section("Codebook", (USAGE,))
