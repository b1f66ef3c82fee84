"""Anomaly scores of a trained model: what they are, how rare they are, and what makes them."""

from autoencode.anomaly.calibrate import Tail, benjamini_hochberg, conformal_pvalues, fence
from autoencode.anomaly.explain import Explanation, explained
from autoencode.anomaly.learned import Learned
from autoencode.anomaly.memory import Memory, row_keys
from autoencode.anomaly.robust import typical_rows
from autoencode.anomaly.scores import SCORES, Scorer
from autoencode.anomaly.seen import Seen, plain_rows, see, standardized_entries

__all__ = [
    "SCORES",
    "Explanation",
    "Learned",
    "Memory",
    "Scorer",
    "Seen",
    "Tail",
    "benjamini_hochberg",
    "conformal_pvalues",
    "explained",
    "fence",
    "plain_rows",
    "row_keys",
    "see",
    "standardized_entries",
    "typical_rows",
]
