"""Training of one model by several processes: their group, their shares of a batch, the whole batch."""

from autoencode.parallel.batch import batch_sum, batch_weight, global_batch
from autoencode.parallel.group import Group, Share, current, current_share, joined, sharing

__all__ = [
    "Group",
    "Share",
    "batch_sum",
    "batch_weight",
    "current",
    "current_share",
    "global_batch",
    "joined",
    "sharing",
]
