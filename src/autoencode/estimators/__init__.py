"""Estimators with the interface of scikit-learn, over the one core."""

from autoencode.estimators.anomaly import AnomalyDetector
from autoencode.estimators.autoencoder import Autoencoder
from autoencode.estimators.denoiser import Denoiser
from autoencode.estimators.loading import load
from autoencode.estimators.scoring import reconstruction_scorer

__all__ = ["AnomalyDetector", "Autoencoder", "Denoiser", "load", "reconstruction_scorer"]
