"""The tutorial loop that everybody copies, on the four founding networks.

A Dataset that makes a PIL image and then a float tensor for each item (what torchvision's MNIST with
ToTensor does), a DataLoader, torch's Adam, ``loss.item()`` at each step.
"""

from __future__ import annotations

import itertools
import time

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset

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


def _mlp(*widths: int) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for a, b in itertools.pairwise(widths):
        layers += [nn.Linear(a, b), nn.ReLU()]
    return layers[:-1]


class VAE(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(784, 256)
        self.loc, self.log_var = nn.Linear(256, 20), nn.Linear(256, 20)
        self.decoder = nn.Sequential(nn.Linear(20, 256), nn.ReLU(), nn.Linear(256, 784), nn.Sigmoid())

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        h = F.relu(self.hidden(x.view(-1, 784)))
        loc, log_var = self.loc(h), self.log_var(h)
        z = loc + torch.randn_like(loc) * torch.exp(0.5 * log_var)
        return self.decoder(z), loc, log_var


def network(name: str) -> nn.Module:
    if name == "A":
        encoder, decoder = _mlp(784, 256, 64, 32), _mlp(32, 64, 256, 784)
        return nn.Sequential(
            nn.Flatten(), *encoder, *decoder, nn.Sigmoid(), nn.Unflatten(1, (1, 28, 28))
        )
    if name == "B":
        return VAE()
    if name == "C":
        return nn.Sequential(
            nn.Conv2d(1, 16, 3, 2, 1),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, 2, 1),
            nn.ReLU(),
            nn.ConvTranspose2d(32, 16, 3, 2, 1, output_padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(16, 1, 3, 2, 1, output_padding=1),
            nn.Sigmoid(),
        )
    act = lambda: nn.LeakyReLU(0.01)  # noqa: E731
    down = [nn.Conv2d(1, 32, 3, 1, 1), act(), nn.Conv2d(32, 64, 3, 2, 1), act()]
    down += [nn.Conv2d(64, 64, 3, 2, 1), act(), nn.Conv2d(64, 64, 3, 1, 1), act()]
    up = [nn.ConvTranspose2d(64, 64, 3, 1, 1), act()]
    up += [nn.ConvTranspose2d(64, 64, 3, 2, 1, output_padding=1), act()]
    up += [nn.ConvTranspose2d(64, 32, 3, 2, 1, output_padding=1), act()]
    up += [nn.ConvTranspose2d(32, 1, 3, 1, 1), nn.Sigmoid()]
    middle = [nn.Flatten(), nn.Linear(3136, 2), nn.Linear(2, 3136), nn.Unflatten(1, (64, 7, 7))]
    return nn.Sequential(*down, *middle, *up)


def loss_of(name: str, model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    if name != "B":
        return F.mse_loss(model(x), x)
    guess, loc, log_var = model(x)
    bce = F.binary_cross_entropy(guess, x.view(-1, 784), reduction="sum")
    kl = -0.5 * torch.sum(1 + log_var - loc.pow(2) - log_var.exp())
    return bce + kl


class Tutorial:
    """The loop, an epoch at a time."""

    def __init__(self, name: str, x: np.ndarray) -> None:
        torch.manual_seed(0)
        self.name = name
        self.model = network(name)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=LR[name])
        self.loader = DataLoader(Pictures(x), batch_size=BATCH[name], shuffle=True)

    def epoch(self) -> float:
        """Trains one epoch; its seconds."""
        start = time.perf_counter()
        self.model.train()
        running = 0.0
        for x in self.loader:
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
            for piece in torch.from_numpy(x.reshape(-1, 1, 28, 28)).split(1000):
                images = piece.float() / 255
                loss = float(loss_of(self.name, self.model, images))
                total += loss if self.name == "B" else loss * len(images)
        return total / len(x)
