"""A base class of observations with independent entries, which sums over those observed."""

from __future__ import annotations

from torch import Tensor

from autoencode.distributions.basic import sum_event


class Entries:
    """The distribution p(x|z) of entries independent given z; batch shape (S, B), event shape D.

    Args:
        event_dims: how many trailing axes belong to one example.
    """

    #: What stands in for entries that were not observed: any value of positive probability.
    filler = 0.0

    def __init__(self, event_dims: int) -> None:
        self.event_dims = event_dims

    def each(self, target: Tensor) -> Tensor:
        """Computes the log-probability (or density) of each entry, nats; target is (B, *D)."""
        raise NotImplementedError

    def entries(self, target: Tensor, mask: Tensor | None = None) -> Tensor:
        """Computes the log-probability (or density) of each entry, nats; zero where mask is false."""
        if mask is None:
            return self.each(target)
        return self.each(target.masked_fill(~mask, self.filler)) * mask

    def log_prob(self, target: Tensor, mask: Tensor | None = None) -> Tensor:
        """Computes the log-probability in nats, summed over the event (or its observed entries)."""
        return sum_event(self.entries(target, mask), self.event_dims)
