"""The peers on torch, each as its users call it: an epoch at a time on the tutorial's networks.

A peer is a function ``(model, x) -> epoch`` where x are bytes (N, 28, 28) and ``epoch()`` trains once
through them and returns the seconds. Anything that a framework does before its first epoch is left out.
"""

from __future__ import annotations

import importlib.util
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from _tutorial import BATCH, LR, Tutorial, halves, images, loss_from, loss_of, network

Epoch = Callable[[], float]


@dataclass(frozen=True)
class Peer:
    """A contender: which packages it needs, for which models it is measured, how it is made."""

    make: Callable[[str, np.ndarray], Epoch]
    needs: tuple[str, ...] = ()
    models: str = "ABCD"

    @property
    def installed(self) -> bool:
        return all(importlib.util.find_spec(name) for name in self.needs)


def tensor_dataset(model: str, x: np.ndarray) -> Epoch:
    return Tutorial(model, x, tensors=True).epoch


def lightning(model: str, x: np.ndarray) -> Epoch:
    import torch
    from lightning.pytorch import Callback, LightningModule, Trainer
    from torch.utils.data import DataLoader, TensorDataset

    class Module(LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net = network(model)

        def training_step(self, batch: Any, _: int) -> torch.Tensor:
            return loss_of(model, self.net, batch[0])

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.Adam(self.parameters(), lr=LR[model])

    class Clock(Callback):
        def on_train_epoch_start(self, *_: Any) -> None:
            self.start = time.perf_counter()

        def on_train_epoch_end(self, *_: Any) -> None:
            self.seconds = time.perf_counter() - self.start

    module, clock = Module(), Clock()
    loader = DataLoader(TensorDataset(images(x)), batch_size=BATCH[model], shuffle=True)
    quiet = dict.fromkeys(
        ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False
    )

    def epoch() -> float:
        Trainer(accelerator="cpu", max_epochs=1, callbacks=[clock], **quiet).fit(module, loader)
        return clock.seconds

    return epoch


def skorch(model: str, x: np.ndarray) -> Epoch:
    import torch
    from skorch import NeuralNet

    class Net(NeuralNet):
        def get_loss(self, y_pred: Any, y_true: Any, X: Any = None, training: bool = False) -> Any:
            return loss_from(model, y_pred, X)

    net = Net(
        network(model),
        torch.nn.MSELoss,
        optimizer=torch.optim.Adam,
        lr=LR[model],
        batch_size=BATCH[model],
        max_epochs=1,
        iterator_train__shuffle=True,
        train_split=None,
        verbose=0,
    ).initialize()
    floats = images(x).numpy()

    def epoch() -> float:
        start = time.perf_counter()
        net.partial_fit(floats, None)
        return time.perf_counter() - start

    return epoch


def pythae(model: str, x: np.ndarray) -> Epoch:
    """Its ``train_step``, an epoch without the copy of the best model that follows it."""
    import torch
    from pythae.data.datasets import BaseDataset
    from pythae.models import AE, VAE, AEConfig, VAEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder
    from pythae.trainers import BaseTrainer, BaseTrainerConfig

    down, up = halves(model)

    class Encoder(BaseEncoder):
        def __init__(self) -> None:
            super().__init__()
            self.net = down

        def forward(self, batch: torch.Tensor) -> ModelOutput:
            if model != "B":
                return ModelOutput(embedding=self.net(batch))
            loc, log_var = self.net(batch)
            return ModelOutput(embedding=loc, log_covariance=log_var)

    class Decoder(BaseDecoder):
        def __init__(self) -> None:
            super().__init__()
            self.net = up

        def forward(self, z: torch.Tensor) -> ModelOutput:
            return ModelOutput(reconstruction=self.net(z))

    shape = {"input_dim": (1, 28, 28), "latent_dim": {"A": 32, "B": 20, "C": 32, "D": 2}[model]}
    if model == "B":
        config = VAEConfig(**shape, reconstruction_loss="bce")
        module = VAE(config, encoder=Encoder(), decoder=Decoder())
    else:
        module = AE(AEConfig(**shape), encoder=Encoder(), decoder=Decoder())
    trainer = BaseTrainer(
        module,
        BaseDataset(images(x), torch.zeros(len(x))),
        training_config=BaseTrainerConfig(
            output_dir=tempfile.mkdtemp(),
            num_epochs=1,
            learning_rate=LR[model],
            per_device_train_batch_size=BATCH[model],
        ),
    )
    trainer.prepare_training()

    def epoch() -> float:
        start = time.perf_counter()
        trainer.train_step(1)
        return time.perf_counter() - start

    return epoch


def pyod(model: str, x: np.ndarray) -> Epoch:
    """Its own defaults (batch norm, dropout, weight decay, standardised rows) with our widths."""
    from pyod.models.auto_encoder import AutoEncoder
    from pyod.models.vae import VAE

    figures = {"epoch_num": 1, "batch_size": BATCH[model], "lr": LR[model], "verbose": 0}
    flat = images(x).flatten(1).numpy()

    def epoch() -> float:
        if model == "A":
            detector = AutoEncoder(hidden_neuron_list=[256, 64, 32], **figures)
        else:
            widths = {"encoder_neuron_list": [256], "decoder_neuron_list": [256], "latent_dim": 20}
            detector = VAE(**widths, **figures)
        train, seconds = detector.train, []

        def timed(loader: Any) -> None:
            start = time.perf_counter()
            train(loader)
            seconds.append(time.perf_counter() - start)

        detector.train = timed  # its fit scores the training rows afterwards
        detector.fit(flat)
        return seconds[0]

    return epoch


PEERS = {
    "TensorDataset": Peer(tensor_dataset),
    "Lightning": Peer(lightning, ("lightning",)),
    "skorch": Peer(skorch, ("skorch",)),
    "Pythae": Peer(pythae, ("pythae",)),
    "PyOD": Peer(pyod, ("pyod", "tqdm"), "AB"),
}
