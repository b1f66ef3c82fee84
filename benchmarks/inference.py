"""Codes of MNIST's training images with A: ``embed`` beside the ways that people copy.

Interleaved rounds in one process, medians. Then one image by itself: ``transform`` beside an exported
encoder in onnxruntime.

    python benchmarks/inference.py [--rounds 7] [--images 60000] [--one-row-only]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from _record import record, table
from _tutorial import Pictures, images
from torch.utils.data import DataLoader, TensorDataset

from autoencode.data import load_data
from autoencode.recipes import build
from autoencode.trained import Trained

GOAL = 3.0


def contenders(x: np.ndarray) -> dict[str, Callable[[], object]]:
    trained = Trained(build("mlp", load_data("mnist").spec))
    encode = trained.model.embed
    tensors = TensorDataset(images(x))

    def loader(data: object, size: int) -> Callable[[], torch.Tensor]:
        def all_codes() -> torch.Tensor:
            trained.model.eval()
            with torch.no_grad():
                batches = DataLoader(data, batch_size=size)
                return torch.cat([encode(b[0] if isinstance(b, list) else b) for b in batches])

        return all_codes

    return {
        "DataLoader over pictures, 128": loader(Pictures(x), 128),
        "DataLoader over a TensorDataset, 128": loader(tensors, 128),
        "DataLoader over a TensorDataset, 1000": loader(tensors, 1000),
        "autoencode": lambda: trained.embed(x),
    }


def one_row(x: np.ndarray, calls: int = 500) -> None:
    """Prints and records the latency of one image, medians of interleaved calls."""
    import onnxruntime

    from autoencode import Autoencoder
    from autoencode.export import onnx_bytes

    model = Autoencoder("mlp", epochs=1, random_state=0, device="cpu").fit(x[:1000])
    session = onnxruntime.InferenceSession(onnx_bytes(model, "encoder"))
    one = x[:1]
    given = {"x": one.astype(np.float32).reshape(1, *session.get_inputs()[0].shape[1:])}
    ways = {"transform": lambda: model.transform(one), "onnxruntime": lambda: session.run(None, given)}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(calls):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - start)
    medians = {name: 1000 * statistics.median(values) for name, values in seconds.items()}
    record("inference", {"model": "A", "rows": 1, "calls": calls, "milliseconds": medians})
    print(table([["one image", "ms"], *([name, f"{ms:.3f}"] for name, ms in medians.items())]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--images", type=int, default=60000)
    parser.add_argument("--one-row-only", action="store_true")
    options = parser.parse_args()
    x = load_data("mnist").train.x[: options.images]
    one_row(x)
    if options.one_row_only:
        return
    ways = contenders(x)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(options.rounds + 1):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            if turn:  # the first warms up
                seconds[name].append(time.perf_counter() - start)
    record("inference", {"model": "A", "rows": len(x), "seconds": seconds})
    lines = [["way", "images/s", "autoencode is faster by"]]
    for name, values in seconds.items():
        faster = statistics.median(a / b for a, b in zip(values, seconds["autoencode"], strict=True))
        speed = f"{len(x) / statistics.median(values):,.0f}"
        lines.append([name, speed, f"{faster:.2f}x"])
    lines[2][2] += f" (goal {GOAL:g}x)"
    print(table(lines))


if __name__ == "__main__":
    main()
