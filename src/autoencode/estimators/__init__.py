"""The scikit-learn face: estimators over the one core."""

from autoencode.estimators.anomaly import AnomalyDetector
from autoencode.estimators.autoencoder import Autoencoder, load

__all__ = ["AnomalyDetector", "Autoencoder", "load"]
