"""The scikit-learn face: estimators over the one core."""

from autoencode.estimators.autoencoder import Autoencoder, load

__all__ = ["Autoencoder", "load"]
