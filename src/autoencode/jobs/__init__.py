"""Jobs on a file, done with a run or with a model that is trained on the file itself."""

from autoencode.jobs.anomalies import AnomalyReport, anomalies
from autoencode.jobs.denoise import denoise
from autoencode.jobs.embed import embed
from autoencode.jobs.impute import impute

__all__ = ["AnomalyReport", "anomalies", "denoise", "embed", "impute"]
