"""The scikit-learn face: estimators over the one core."""

from autoencode.estimators.autoencoder import Autoencoder, load
from autoencode.estimators.denoiser import Denoiser

__all__ = ["Autoencoder", "Denoiser", "load"]
