"""The tutorial loop that everybody copies, on the four founding networks.

A Dataset that makes a PIL image and then a float tensor for each item (what torchvision's MNIST with
ToTensor does), a DataLoader, torch's Adam, ``loss.item()`` at each step.
"""

from __future__ import annotations

import itertools
import time
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

RECIPES = {"A": "mlp", "B": "vae", "C": "conv_small", "D": "conv_latent2"}
BATCH = {"A": 128, "B": 64, "C": 64, "D": 64}
LR = {"A": 1e-3, "B": 1e-3, "C": 1e-3, "D": 5e-4}


class Pictures(Dataset):
    """Images as a torchvision data set gives them."""

    def __init__(self, x: np.ndarray) -> None:
        self.x = x.reshape(-1, 28, 28)

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, i: int) -> torch.Tensor:
        image = Image.fromarray(self.x[i])
        array = np.array(image, np.uint8, copy=True)
        return torch.from_numpy(array).view(28, 28, 1).permute(2, 0, 1).contiguous().float().div(255)


def images(x: np.ndarray) -> torch.Tensor:
    """Bytes as the float32 images (N, 1, 28, 28) that every peer is given."""
    return torch.from_numpy(x.reshape(-1, 1, 28, 28).astype(np.float32) / 255)


def _mlp(*widths: int) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for a, b in itertools.pairwise(widths):
        layers += [nn.Linear(a, b), nn.ReLU()]
    return layers[:-1]


class Heads(nn.Module):
    """The encoder of B: mean and log-variance."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(784, 256)
        self.loc, self.log_var = nn.Linear(256, 20), nn.Linear(256, 20)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        h = F.relu(self.hidden(x.view(-1, 784)))
        return self.loc(h), self.log_var(h)


class VAE(nn.Module):
    def __init__(self, encoder: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        loc, log_var = self.encoder(x)
        z = loc + torch.randn_like(loc) * torch.exp(0.5 * log_var)
        return self.decoder(z), loc, log_var


def halves(name: str) -> tuple[nn.Module, nn.Module]:
    """Encoder and decoder, for peers that ask for both."""
    if name == "A":
        encoder, decoder = _mlp(784, 256, 64, 32), _mlp(32, 64, 256, 784)
        up = [*decoder, nn.Sigmoid(), nn.Unflatten(1, (1, 28, 28))]
        return nn.Sequential(nn.Flatten(), *encoder), nn.Sequential(*up)
    if name == "B":
        return Heads(), nn.Sequential(*_mlp(20, 256, 784), nn.Sigmoid())
    if name == "C":
        down = [nn.Conv2d(1, 16, 3, 2, 1), nn.ReLU(), nn.Conv2d(16, 32, 3, 2, 1), nn.ReLU()]
        up = [nn.ConvTranspose2d(32, 16, 3, 2, 1, output_padding=1), nn.ReLU()]
        up += [nn.ConvTranspose2d(16, 1, 3, 2, 1, output_padding=1), nn.Sigmoid()]
        return nn.Sequential(*down), nn.Sequential(*up)
    act = lambda: nn.LeakyReLU(0.01)  # noqa: E731
    down = [nn.Conv2d(1, 32, 3, 1, 1), act(), nn.Conv2d(32, 64, 3, 2, 1), act()]
    down += [nn.Conv2d(64, 64, 3, 2, 1), act(), nn.Conv2d(64, 64, 3, 1, 1), act()]
    down += [nn.Flatten(), nn.Linear(3136, 2)]
    up = [nn.Linear(2, 3136), nn.Unflatten(1, (64, 7, 7))]
    up += [nn.ConvTranspose2d(64, 64, 3, 1, 1), act()]
    up += [nn.ConvTranspose2d(64, 64, 3, 2, 1, output_padding=1), act()]
    up += [nn.ConvTranspose2d(64, 32, 3, 2, 1, output_padding=1), act()]
    up += [nn.ConvTranspose2d(32, 1, 3, 1, 1), nn.Sigmoid()]
    return nn.Sequential(*down), nn.Sequential(*up)


def network(name: str) -> nn.Module:
    encoder, decoder = halves(name)
    return VAE(encoder, decoder) if name == "B" else nn.Sequential(encoder, decoder)


def loss_from(name: str, output: Any, x: torch.Tensor) -> torch.Tensor:
    """The tutorial's loss of a network's output: B sums over the batch, the others average."""
    if name != "B":
        return F.mse_loss(output, x)
    guess, loc, log_var = output
    bce = F.binary_cross_entropy(guess, x.view(-1, 784), reduction="sum")
    kl = -0.5 * torch.sum(1 + log_var - loc.pow(2) - log_var.exp())
    return bce + kl


def loss_of(name: str, model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    return loss_from(name, model(x), x)


class Tutorial:
    """The loop, an epoch at a time; over a ``TensorDataset`` when told so."""

    def __init__(self, name: str, x: np.ndarray, tensors: bool = False) -> None:
        torch.manual_seed(0)
        self.name = name
        self.model = network(name)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=LR[name])
        data = TensorDataset(images(x)) if tensors else Pictures(x)
        self.loader = DataLoader(data, batch_size=BATCH[name], shuffle=True)

    def epoch(self) -> float:
        """Trains one epoch; its seconds."""
        start = time.perf_counter()
        self.model.train()
        running = 0.0
        for batch in self.loader:
            x = batch[0] if isinstance(batch, list) else batch
            self.optimizer.zero_grad()
            loss = loss_of(self.name, self.model, x)
            loss.backward()
            self.optimizer.step()
            running += loss.item()
        return time.perf_counter() - start

    def quality(self, x: np.ndarray) -> float:
        """MSE, or for B minus the ELBO in nats, on other images."""
        self.model.eval()
        torch.manual_seed(1)
        total = 0.0
        with torch.no_grad():
            for piece in images(x).split(1000):
                loss = float(loss_of(self.name, self.model, piece))
                total += loss if self.name == "B" else loss * len(piece)
        return total / len(x)
