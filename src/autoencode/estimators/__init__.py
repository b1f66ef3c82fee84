"""The scikit-learn face: estimators over the one core."""

from autoencode.estimators.anomaly import AnomalyDetector
from autoencode.estimators.autoencoder import Autoencoder, load
from autoencode.estimators.denoiser import Denoiser

__all__ = ["AnomalyDetector", "Autoencoder", "Denoiser", "load"]
