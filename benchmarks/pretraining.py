"""Pretraining: MNIST test accuracy against the number of labels, with and without an autoencoder.

The autoencoder (``RECIPE``, chosen on the validation part among a few) sees the first ``--n`` training
images without labels. Then, for each number of labels (the first of a shuffle by seed):

- pixels, PCA (32 or 64 components, as the validation part says), ours frozen: logistic regression on
  standardised features, its strength chosen on the validation part;
- ours fine-tuned: ``encoder_`` and a linear layer, trained together;
- from scratch: the same network from fresh weights, trained in the same way.

The validation part is 2 000 other training images; the 10 000 test images are measured once.

    python benchmarks/pretraining.py [--labels 100 1000 10000] [--seeds 0 1 2] [--n 20000]
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections.abc import Callable

import numpy as np
import torch
from _record import record, table
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from autoencode import Autoencoder, DataSpec, build, load_data
from autoencode.models import Encoder

Array = NDArray[np.float32]
RECIPE = "conv"
OPTIONS = {"noise": "gaussian", "noise_level": 0.5}
EPOCHS, BATCH = 4, 128
STEPS = 400  # of fine-tuning, and of training from scratch, at any number of labels
VALIDATION = slice(58_000, 60_000)


def logistic(x: Array, y: Array, parts: dict[str, Array], labels: dict[str, Array]) -> dict:
    """Accuracy on each part of the strength that does best on the validation part."""
    found = []
    for strength in (0.001, 0.01, 0.1, 1.0) if len(x) <= 1000 else (0.001, 0.01):
        model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=100))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(x, y)
        found.append({name: model.score(parts[name], labels[name]) for name in parts})
    return max(found, key=lambda scores: scores["validation"])


def network(body: nn.Module, x: NDArray[np.uint8], y: Array, seed: int) -> Callable[[Array], Array]:
    """The body and a linear layer, trained; a function from images to classes."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        with torch.no_grad():
            width = body(torch.zeros(2, *x.shape[1:])).flatten(1).shape[1]
        net = nn.Sequential(body, nn.Flatten(), nn.Linear(width, 10))
        optimizer = torch.optim.Adam(net.parameters(), 1e-3)
        schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1, 0, STEPS)
        images, classes = torch.from_numpy(x), torch.from_numpy(y.astype(np.int64))
        for _ in range(STEPS):
            rows = torch.randint(len(x), (64,))
            loss = nn.functional.cross_entropy(net(images[rows]), classes[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()

    def predict(images: Array) -> Array:
        with torch.no_grad():
            pieces = torch.from_numpy(images).split(500)
            return torch.cat([net(piece).argmax(1) for piece in pieces]).numpy()

    return predict


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--labels", nargs="+", type=int, default=[100, 1000, 10_000])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--n", type=int, default=20_000)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    args = parser.parse_args()
    data = load_data("mnist")
    x, y = data.train.x, data.train.labels
    parts = {"validation": x[VALIDATION], "test": data.test.x}
    labels = {"validation": y[VALIDATION], "test": data.test.labels}
    start = time.perf_counter()
    ours = Autoencoder(
        RECIPE, epochs=args.epochs, batch_size=BATCH, options=OPTIONS, random_state=0, device="cpu"
    ).fit(x[: args.n])
    seconds = time.perf_counter() - start
    scores: dict[tuple[str, int], list[float]] = {}
    for seed in args.seeds:
        for n in args.labels:
            rows = np.random.default_rng(seed).permutation(VALIDATION.start)[:n]
            row = measure(ours, x[: args.n], x[rows], y[rows], parts, labels, seed)
            about = {"recipe": RECIPE, "options": OPTIONS, "epochs": args.epochs, "n_images": args.n}
            record("pretraining", {**about, "labels": n, "seed": seed, "seconds": seconds, **row})
            for name, found in row.items():
                scores.setdefault((name, n), []).append(found["test"])
            print(seed, n, {name: round(found["test"], 4) for name, found in row.items()}, flush=True)
    lines = [["features", *[f"{n} labels" for n in args.labels]]]
    for name in row:
        lines.append([name, *[_shown(scores[name, n]) for n in args.labels]])
    print(table(lines))


def _shown(values: list[float]) -> str:
    spread = f" ± {100 * statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{100 * statistics.mean(values):.1f}{spread}"


def measure(
    ours: Autoencoder, images: Array, x: Array, y: Array, parts: dict, labels: dict, seed: int
) -> dict[str, dict[str, float]]:
    """Accuracy of each contender on each part."""

    def flat(a: Array) -> Array:
        return a.reshape(len(a), -1) / np.float32(255)

    found = {"pixels": logistic(flat(x), y, {k: flat(v) for k, v in parts.items()}, labels)}
    components = []
    for n in (32, 64):
        pca = PCA(n, random_state=0).fit(flat(images[:10_000]))
        seen = {k: pca.transform(flat(v)) for k, v in parts.items()}
        components.append(logistic(pca.transform(flat(x)), y, seen, labels))
    found["PCA"] = max(components, key=lambda scores: scores["validation"])
    seen = {k: ours.transform(v) for k, v in parts.items()}
    found["ours, frozen"] = logistic(ours.transform(x), y, seen, labels)
    fresh = build(RECIPE, DataSpec((1, 28, 28), scale=(255.0,)), seed=1000 + seed, **OPTIONS)
    bodies = {
        "ours, fine-tuned": ours.encoder_,
        "from scratch": Encoder.from_model(fresh.model, fresh.spec),
    }
    for name, body in bodies.items():
        predict = network(body, x, y, seed)
        found[name] = {k: float((predict(v) == labels[k]).mean()) for k, v in parts.items()}
    return found


if __name__ == "__main__":
    main()
