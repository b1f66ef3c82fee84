"""Anomaly scores of a trained model: what they are, how rare they are, and what makes them."""

from autoencode.anomaly.apart import gap, gap_of, rows_apart
from autoencode.anomaly.calibrate import (
    Tail,
    benjamini_hochberg,
    conformal_pvalues,
    fence,
    none_stands_out,
    null_pvalues,
)
from autoencode.anomaly.explain import Explanation, explained
from autoencode.anomaly.judgement import Judgement, ScoredRows
from autoencode.anomaly.memory import Memory, row_keys, typical_rows
from autoencode.anomaly.reconstructed import (
    Reconstructed,
    expected_rows,
    plain_rows,
    reconstruct_rows,
    standardized_entries,
)
from autoencode.anomaly.scored_model import Calibration, ScoredModel
from autoencode.anomaly.scores import SCORES, Scorer

__all__ = [
    "SCORES",
    "Calibration",
    "Explanation",
    "Judgement",
    "Memory",
    "Reconstructed",
    "ScoredModel",
    "ScoredRows",
    "Scorer",
    "Tail",
    "benjamini_hochberg",
    "conformal_pvalues",
    "expected_rows",
    "explained",
    "fence",
    "gap",
    "gap_of",
    "none_stands_out",
    "null_pvalues",
    "plain_rows",
    "reconstruct_rows",
    "row_keys",
    "rows_apart",
    "standardized_entries",
    "typical_rows",
]
