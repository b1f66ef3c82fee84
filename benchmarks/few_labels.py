"""How many labels of MNIST's test images ``m2_vae`` guesses right, trained on few labels of 60 000.

Beside it logistic regression on the pixels of the same labelled images, and the paper's M2 (Kingma et
al., 2014, https://arxiv.org/abs/1406.5298, table 1), which had 50 000 images and 3 000 epochs.

    python benchmarks/few_labels.py [--labels 100 1000] [--epochs 10] [--seeds 0]
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
from _record import record, table

from autoencode import train
from autoencode.data import known_labels

PAPER = {100: 0.1197, 600: 0.0494, 1000: 0.0360, 3000: 0.0392}  # error rates


def regression(run: Any) -> float:
    """The error of logistic regression on the labelled images of a run."""
    from sklearn.linear_model import LogisticRegression

    names, known = known_labels(run.data.train.labels)
    x, x_test = (part.x.reshape(len(part), -1) / 255 for part in (run.data.train, run.data.test))
    fitted = LogisticRegression(max_iter=1000).fit(x[known], names[known])
    return float((fitted.predict(x_test) != run.data.test.labels.astype(str)).mean())


def measure(n_labels: int, epochs: int, seed: int) -> dict[str, Any]:
    start = time.perf_counter()
    run = train("mnist", "m2_vae", n_labels=n_labels, epochs=epochs, seed=seed, binarize=True)
    seconds = time.perf_counter() - start
    right = run.metrics["label_accuracy"]
    assert right is not None
    row = {"labels": n_labels, "epochs": epochs, "seed": seed, "seconds": round(seconds, 1)}
    return {**row, "error": 1 - right, "elbo": run.metrics["elbo"], "regression": regression(run)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--labels", nargs="+", type=int, default=[100, 1000])
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    given = parser.parse_args()
    rows = [["labels", "m2_vae", "logistic regression", "paper's M2", "seconds"]]
    for n in given.labels:
        found = [measure(n, given.epochs, seed) for seed in given.seeds]
        for row in found:
            record("few_labels", row)
        means = {k: np.mean([row[k] for row in found]) for k in ("error", "regression", "seconds")}
        paper = f"{100 * PAPER[n]:.2f} %" if n in PAPER else "-"
        errors = (f"{100 * means[k]:.2f} %" for k in ("error", "regression"))
        rows.append([str(n), *errors, paper, f"{means['seconds']:.0f}"])
    print(table(rows))


if __name__ == "__main__":
    main()
