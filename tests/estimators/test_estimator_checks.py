"""scikit-learn's own checks of an estimator, all of them."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from autoencode import AnomalyDetector, Autoencoder, Denoiser

SMALL = {"n_components": 2, "epochs": 2, "device": "cpu", "options": {"hidden": (8,)}}

ESTIMATORS = [
    Autoencoder("mlp", **SMALL),
    Autoencoder("vae", **SMALL),
    Denoiser(**SMALL),
    Denoiser("masking", **SMALL),
    AnomalyDetector(device="cpu"),
    AnomalyDetector("vae", measure="likelihood", calibration=0.0, **SMALL),
]


@parametrize_with_checks(ESTIMATORS)
def test_scikit_learns_checks(estimator, check):
    try:
        check(estimator)
    except pytest.skip.Exception as skipped:
        pytest.fail(f"skipped: {skipped}")
