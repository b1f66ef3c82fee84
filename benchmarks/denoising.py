"""Denoising: PSNR and SSIM of ``Denoiser`` beside the filters of scikit-image, on the same images.

For each corruption and level one ``Denoiser`` with its defaults is trained on clean MNIST images. The
parameters of each filter (``contenders``) are those with the highest PSNR on training images with the
same corruption. Then all see the same corrupted test images. The Wiener filter of scikit-image inverts
a known blur and is told it; it has none for noise, so the local one of SciPy is tried beside it.
``--set photo`` cuts two photographs of scikit-learn into tiles, one to train on as long as is the
default, one to test.

    pip install -c constraints.txt -r benchmarks/peers.txt
    python benchmarks/denoising.py [--set mnist photo] [--n 15000] [--epochs 4] [--seed 0]
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable

import numpy as np
import torch
from _record import record, table
from numpy.typing import NDArray
from scipy.signal import wiener as local_wiener
from skimage import filters, restoration
from skimage.metrics import structural_similarity
from skimage.morphology import disk
from sklearn.datasets import load_sample_images

from autoencode import Denoiser, load_data
from autoencode.objectives import CORRUPTIONS
from autoencode.randomness import seeded

Images = NDArray[np.float32]  # (N, H, W, C) in 0..1
CASES = {
    "mnist": {
        "gaussian": (0.2, 0.5),
        "salt_and_pepper": (0.1, 0.3),
        "masking": (0.3, 0.6),
        "blur": (1.0, 2.0),
    },
    "photo": {"gaussian": (0.1, 0.2), "salt_and_pepper": (0.1, 0.3)},
}
N_TUNE, N_TEST = 100, 2000


def median(x: Images, footprint: str) -> Images:
    shape = {"cross": disk(1), "3x3": np.ones((3, 3)), "5x5": np.ones((5, 5))}[footprint]
    return filters.median(x, shape[..., None])


def wiener(x: Images, size: int) -> Images:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.nan_to_num(np.stack([local_wiener(x[..., c], size) for c in range(x.shape[-1])], -1))


def inverse_wiener(x: Images, balance: float, blur: float) -> Images:
    at = np.arange(-6, 7)
    line = np.exp(-0.5 * (at / blur) ** 2) if blur else (at == 0).astype(float)
    kernel = np.outer(line, line) / line.sum() ** 2
    wide = np.pad(x, ((6, 6), (6, 6), (0, 0)), mode="edge")
    found = [restoration.wiener(wide[..., c], kernel, balance) for c in range(x.shape[-1])]
    return np.stack(found, -1)[6:-6, 6:-6]


def non_local_means(x: Images, h: float, patch_size: int) -> Images:
    return restoration.denoise_nl_means(x, patch_size, 7, h, channel_axis=-1)


def total_variation(x: Images, weight: float) -> Images:
    return restoration.denoise_tv_chambolle(x, weight, channel_axis=-1)


def grid(function: Callable[..., Images], **values: tuple) -> list[tuple[Callable[..., Images], dict]]:
    names = list(values)
    return [
        (function, dict(zip(names, one, strict=True))) for one in itertools.product(*values.values())
    ]


def contenders(corruption: str, level: float) -> dict[str, list]:
    """The filters and the grid of each."""
    blur = (level if corruption == "blur" else 0.0,)
    steps = (1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
    return {
        "median": grid(median, footprint=("cross", "3x3", "5x5")),
        "wiener": grid(wiener, size=(3, 5, 7)) + grid(inverse_wiener, balance=steps, blur=blur),
        "nl-means": grid(non_local_means, h=(0.05, 0.1, 0.2, 0.4, 0.8), patch_size=(3, 5)),
        "tv": grid(total_variation, weight=(0.03, 0.1, 0.2, 0.4, 0.8, 1.6)),
    }


def apply(function: Callable[..., Images], options: dict, x: Images) -> Images:
    return (
        np.stack([function(one, **options).reshape(one.shape) for one in x])
        .clip(0, 1)
        .astype(np.float32)
    )


def psnr(found: Images, clean: Images) -> float:
    return float(-10 * np.log10(np.square(found - clean, dtype=np.float64).mean()))


def measure(found: Images, clean: Images) -> dict[str, float]:
    ssim = [
        structural_similarity(a, b, channel_axis=-1, data_range=1.0)
        for a, b in zip(found, clean, strict=True)
    ]
    return {"psnr": psnr(found, clean), "ssim": float(np.mean(ssim))}


def corrupt(clean: Images, corruption: str, level: float, seed: int) -> Images:
    x = torch.from_numpy(np.moveaxis(clean, -1, 1).copy())
    with seeded(seed):
        noisy = CORRUPTIONS[corruption](x, level)
    return np.moveaxis(noisy.numpy(), 1, -1)


def images(name: str, n: int) -> tuple[Images, Images]:
    """Training and test images."""
    if name == "mnist":
        data = load_data("mnist")
        parts = (data.train.x[:n], data.test.x[:N_TEST])
    else:
        china, flower = load_sample_images().images
        parts = (tiles(china, 16), tiles(flower, 32))
    return tuple(np.moveaxis(part, 1, -1).astype(np.float32) / 255 for part in parts)


def tiles(image: NDArray[np.uint8], step: int, size: int = 32) -> NDArray[np.uint8]:
    seen = np.lib.stride_tricks.sliding_window_view(image, (size, size), axis=(0, 1))[::step, ::step]
    return seen.reshape(-1, *seen.shape[2:])


def case(name: str, corruption: str, level: float, args: argparse.Namespace) -> dict:
    train, clean = images(name, args.n)
    noisy = corrupt(clean, corruption, level, seed=1)
    rows = {"noisy": measure(noisy.clip(0, 1), clean)}
    tune = train[:: max(1, len(train) // N_TUNE)][:N_TUNE]
    tune_noisy = corrupt(tune, corruption, level, seed=2)
    for title, options in contenders(corruption, level).items():
        start = time.perf_counter()
        best = max(options, key=lambda one: psnr(apply(*one, tune_noisy), tune))
        rows[title] = measure(apply(*best, noisy), clean)
        rows[title] |= {"filter": best[0].__name__, "options": best[1]}
        rows[title]["seconds"] = time.perf_counter() - start
    start = time.perf_counter()
    plan = {"epochs": args.epochs} if name == "mnist" else {}
    ours = Denoiser(corruption, level, random_state=args.seed, device="cpu", **plan).fit(train)
    seconds = time.perf_counter() - start
    rows["Denoiser"] = {**measure(ours.transform(noisy), clean), "train_seconds": seconds}
    return {"set": name, "corruption": corruption, "level": level, "seed": args.seed, "rows": rows} | {
        "n_train": len(train),
        "n_test": len(clean),
        "recipe": ours.trained_.recipe.name,
        **plan,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--set", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--corruption", nargs="+")
    parser.add_argument("--n", type=int, default=15_000)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    lines = [["set", "corruption", "level", "noisy", "median", "wiener", "nl-means", "tv", "Denoiser"]]
    for name in args.set:
        for corruption, levels in CASES[name].items():
            for level in levels if corruption in (args.corruption or [corruption]) else ():
                row = case(name, corruption, level, args)
                record("denoising", row)
                found = [f"{one['psnr']:.2f} / {one['ssim']:.3f}" for one in row["rows"].values()]
                lines.append([name, corruption, str(level), *found])
                print(*lines[-1], flush=True)
    print(table(lines))


if __name__ == "__main__":
    main()
