"""Networks of your own in a recipe, and a training loop of your own around a recipe.

First a pair of ``nn.Module`` is handed to the estimator: the recipe adds the bottleneck, the likelihood
and the objective. Then the same pair is trained by a plain Python loop over ``Stepper.step``.

Expected: two mean squared errors on held-out images (pixels 0..1), both far below that of the mean
image; your own modules stay untrained, because recipes copy them.

    python examples/own_networks.py [--fast] [--out DIR]

``--fast`` trains for few steps; both modes use the bundled digits.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import nn

from autoencode import Autoencoder, Progress, build, load_data
from autoencode.data import Resident
from autoencode.pictures import plots


def networks() -> tuple[nn.Module, nn.Module]:
    """An encoder (B, 1, 8, 8) -> (B, 6) and a decoder back; neither knows anything of autoencode."""
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(64, 48), nn.SiLU(), nn.Linear(48, 6))
    decoder = nn.Sequential(
        nn.Linear(6, 48), nn.SiLU(), nn.Linear(48, 64), nn.Sigmoid(), nn.Unflatten(1, (1, 8, 8))
    )
    return encoder, decoder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fast", action="store_true", help="few steps")
    parser.add_argument("--out", type=Path, default=Path("examples_out"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    n_steps = 300 if args.fast else 3000

    data = load_data("digits")
    x, test = (part.x / data.spec.scale[0] for part in (data.train, data.test))  # 0..1

    def mse(real: np.ndarray, guess: np.ndarray) -> float:
        return float(np.mean((real - guess) ** 2))

    print(f"mean image: {mse(test, x.mean(0)):.4f}")

    # 1. In the estimator. Both networks are copied; ``n_components`` says how wide the code is.
    torch.manual_seed(0)
    encoder, decoder = networks()
    ae = Autoencoder(
        "mlp", encoder=encoder, decoder=decoder, n_components=6, random_state=0,
        options={"min_steps": n_steps},
    ).fit(x)  # fmt: skip
    back = ae.reconstruct(test)
    print(f"estimator:  {mse(test, back):.4f}")
    plots.save(plots.reconstructions(test[:10], back[:10]), args.out / "own_networks.png")

    # 2. In a loop of your own: a recipe's stepper takes a batch and moves the model once.
    recipe = build("mlp", data.spec, encoder=encoder, decoder=decoder, latent_dim=6)
    stepper = recipe.stepper()
    source = Resident(data.train, data.spec)
    generator = torch.Generator().manual_seed(0)
    for step in range(n_steps):
        index = torch.randint(len(source), (128,), generator=generator)
        rate = recipe.plan.rate(step, n_steps)  # warm-up and decay, as the plan says
        losses = stepper.step(source.batch(index), Progress(step, n_steps, len(source)), rate)
    held_out = Resident(data.test, data.spec).batch(torch.arange(len(data.test))).x
    with torch.no_grad():
        error = (recipe.model.eval().reconstruct(held_out) - held_out).square().mean()
    print(f"own loop:   {float(error):.4f} (last training loss {float(losses['loss']):.4f})")


if __name__ == "__main__":
    main()
