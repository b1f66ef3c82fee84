"""Pretraining: an autoencoder learns from all images, a classifier from few labels.

Three ways to use what it learned: as a step of a scikit-learn pipeline, as a frozen body of one's own
torch model, and as a body that is trained further (``encoder_``).

Expected: with 50 labels the classifiers on the codes are about as good as the one on pixels or a few
per cent better. ``benchmarks/README.md`` has the figures for MNIST.

    python examples/pretraining.py [--fast] [--out DIR]

``--fast`` trains for a shorter time.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from autoencode import Autoencoder

LABELS = 50


def train_head(net: nn.Module, x: np.ndarray, y: np.ndarray, steps: int) -> nn.Module:
    """A few steps of your own, on whatever parameters are not frozen."""
    torch.manual_seed(0)
    optimizer = torch.optim.Adam([p for p in net.parameters() if p.requires_grad], 2e-3)
    images, classes = torch.from_numpy(x), torch.from_numpy(y)
    for _ in range(steps):
        loss = nn.functional.cross_entropy(net(images), classes)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return net


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fast", action="store_true", help="short training")
    parser.add_argument("--out", type=Path, default=Path("examples_out"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    images, labels = load_digits().images.astype(np.float32), load_digits().target
    x, x_test, y, y_test = train_test_split(images, labels, test_size=0.3, random_state=0)
    few, y_few = x[:LABELS], y[:LABELS]

    # All images, no labels.
    options = {"noise": "masking", "noise_level": 0.3}
    epochs = 20 if args.fast else 100
    ae = Autoencoder("mlp", 32, epochs=epochs, options=options, random_state=0).fit(x)

    flat = (x[:LABELS].reshape(LABELS, -1), x_test.reshape(len(x_test), -1))
    pixels = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(flat[0], y_few)
    scores = {"pixels": pixels.score(flat[1], y_test)}

    # The codes in a pipeline: the autoencoder is trained already, so it only transforms.
    head = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    head.fit(ae.transform(few), y_few)
    scores["codes"] = head.score(ae.transform(x_test), y_test)

    # The encoder as a torch module, frozen and then trained with the rest.
    for name, frozen in (("frozen body", True), ("fine-tuned body", False)):
        body = ae.encoder_.requires_grad_(not frozen)
        net = train_head(nn.Sequential(body, nn.Linear(32, 10)), few, y_few, 200)
        with torch.no_grad():
            guess = net(torch.from_numpy(x_test)).argmax(1).numpy()
        scores[name] = float((guess == y_test).mean())

    lines = [f"{name:16s} {100 * score:5.1f} %" for name, score in scores.items()]
    print(f"test accuracy with {LABELS} labels")
    print("\n".join(lines))
    (args.out / "pretraining.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
