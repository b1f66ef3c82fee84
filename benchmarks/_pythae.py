"""Pythae's generative models as its users train them and draw from them, for ``samples.py``.

Its training pipeline, its own networks (one hidden layer of 512 ReLU units each way), its samplers, and
the weights that its trainer found best. What is asked for is what its configurations take; everything
else is as it comes. Where its objective is not the paper's, ``samples.py`` says so.
"""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
from typing import Any

import numpy as np
import torch
from torch import Tensor

HIDDEN = (512,)  # of its default networks, both ways
LR = 1e-3  # of its own configurations for MNIST; its trainers' 1e-4 is far too slow for few epochs


class Peer:
    """One of its models: trained by ``fit``; codes, reconstructions and samples in [0, 1].

    Args:
        name: of the class in ``pythae.models``.
        config: of that class, beside the shapes.
        latent_dim: width of the code.
        shape: of one image.
        seed: of the weights, the order, the noise and the draws.
    """

    def __init__(
        self, name: str, config: dict[str, Any], latent_dim: int, shape: tuple[int, ...], seed: int
    ) -> None:
        from pythae import models

        self.seed = seed
        named = getattr(models, f"{name}_Config", None) or getattr(models, f"{name}Config")
        torch.manual_seed(seed)
        self.model = getattr(models, name)(named(input_dim=shape, latent_dim=latent_dim, **config))

    def fit(self, x: Tensor, epochs: int, batch_size: int) -> None:
        """Trains on images (N, *shape) by its pipeline and keeps the weights with the least loss."""
        from pythae import pipelines, trainers

        figures = {
            "num_epochs": epochs,
            "per_device_train_batch_size": batch_size,
            "seed": self.seed,
            "no_cuda": True,
        }
        if self.model.model_name == "RAE_L2":  # the decoder's weights decay, so it has its own Adam
            rates = {"encoder_learning_rate": LR, "decoder_learning_rate": LR}
            make = trainers.CoupledOptimizerTrainerConfig
        else:
            rates, make = {"learning_rate": LR}, trainers.BaseTrainerConfig
        with _quiet(), tempfile.TemporaryDirectory() as folder:
            config = make(output_dir=folder, **figures, **rates)
            pipeline = pipelines.TrainingPipeline(model=self.model, training_config=config)
            pipeline(train_data=x)
            self.model = pipeline.trainer._best_model.eval()

    @torch.no_grad()
    def reconstruct(self, x: Tensor) -> Tensor:
        """Through the code, the posterior's mean; its own ``reconstruct`` draws one at random."""
        return self.model.decoder(self.model.encoder(x).embedding).reconstruction

    @torch.no_grad()
    def sample(self, n_components: int, n: int, x: Tensor) -> Tensor:
        """N images by its sampler: of a mixture fitted to x, of the standard normal if that is 0."""
        from pythae import samplers

        torch.manual_seed(self.seed)
        np.random.seed(self.seed)  # noqa: NPY002  its mixture draws from numpy's global state
        with _quiet():
            if not n_components:
                return samplers.NormalSampler(self.model).sample(n)
            config = samplers.GaussianMixtureSamplerConfig(n_components=n_components)
            fitted = samplers.GaussianMixtureSampler(self.model, config)
            fitted.fit(x)
            return fitted.sample(n)


@contextlib.contextmanager
def _quiet() -> Any:
    """Without its bars and log lines."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.disable(before)
