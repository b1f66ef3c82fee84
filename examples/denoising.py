"""Denoising: the encoder sees a noisy image, the decoder must give the clean one.

Any recipe denoises with ``noise=gaussian``, ``masking`` or ``salt_and_pepper``. Here Gaussian noise is
put on held-out images, which are then sent through the model.

Expected: the PSNR against the clean images rises by several dB, and the picture ``denoising.png``
shows noisy images above their reconstructions. A model trained without noise is the control.

    python examples/denoising.py [--fast] [--out DIR]

``--fast`` uses the bundled digits and few epochs; otherwise MNIST where it is on this machine (in
``$AUTOENCODE_DATA`` or the cache folder), else the digits.
"""

import argparse
import math
from pathlib import Path

import numpy as np
import torch

from autoencode import train
from autoencode.data import data_folder
from autoencode.pictures import plots

LEVEL = 0.4  # standard deviation, in pixels 0..1


def psnr(clean: np.ndarray, other: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB, of pixels 0..1."""
    return -10 * math.log10(float(np.mean((clean - other) ** 2)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fast", action="store_true", help="digits, short training")
    parser.add_argument("--out", type=Path, default=Path("examples_out"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    mnist = not args.fast and (data_folder() / "mnist").is_dir()
    data = "mnist" if mnist else "digits"
    options = {"epochs": 25, "batch_size": 128} if args.fast else {}

    denoiser = train(data, "mlp", noise="gaussian", noise_level=LEVEL, **options)
    control = train(data, "mlp", **options)

    # The noise reaches below 0 and above 1, where raw images cannot be: so the torch model itself.
    spec = denoiser.trained.spec
    clean = spec.to_model(torch.from_numpy(denoiser.data.test.x))
    noisy = clean + LEVEL * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        restored = denoiser.trained.model.reconstruct(noisy).numpy()
        untaught = control.trained.model.reconstruct(noisy).numpy()
    x = clean.numpy()
    print(f"{data}, Gaussian noise of {LEVEL}")
    print(f"noisy image:                   {psnr(x, noisy.numpy()):6.2f} dB")
    print(f"autoencoder without noise:     {psnr(x, untaught):6.2f} dB")
    print(f"denoising autoencoder:         {psnr(x, restored):6.2f} dB")
    picture = plots.reconstructions(noisy[:10].clamp(0, 1).numpy(), restored[:10])
    plots.save(picture, args.out / "denoising.png")
    print(f"picture: {args.out / 'denoising.png'}")


if __name__ == "__main__":
    main()
