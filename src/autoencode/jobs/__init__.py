"""What is done with a run, or to a file with a run or a model that is trained on the file itself."""

from autoencode.jobs.anomalies import Found, anomalies
from autoencode.jobs.card import Asked, card_of
from autoencode.jobs.denoise import denoise
from autoencode.jobs.impute import impute

__all__ = ["Asked", "Found", "anomalies", "card_of", "denoise", "impute"]
