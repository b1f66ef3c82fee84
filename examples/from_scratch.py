"""An autoencoder whose layers are written out from tensor operations, against torch's own.

``layers=scratch`` builds an MLP from ``autoencode.nets.scratch``: a linear layer of a matrix product
and a sum, ReLU of a comparison, sigmoid of a tanh. ``docs/from_scratch.md`` explains each line.

Expected: the same weights give the same output and the same gradients as torch's layers to about 1e-6,
and both models reach about the same error (their initial weights differ).

    python examples/from_scratch.py [--fast] [--out DIR]

``--fast`` trains for few steps; both modes use the bundled digits.
"""

import argparse
from pathlib import Path

import torch
from torch import nn

from autoencode import train
from autoencode.nets import scratch
from autoencode.pictures import of_runs as pictures
from autoencode.pictures import plots


def largest_difference() -> tuple[float, float]:
    """Largest difference of output and of gradients between our layers and torch's."""
    torch.manual_seed(0)
    ours = nn.Sequential(
        scratch.Linear(64, 32), scratch.ReLU(), scratch.Linear(32, 64), scratch.Sigmoid()
    )
    theirs = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 64), nn.Sigmoid())
    theirs.load_state_dict(ours.state_dict())
    x = torch.rand(100, 64)
    outputs = [net(x) for net in (ours, theirs)]
    for y in outputs:
        (y - x).square().sum().backward()
    values = (outputs[0] - outputs[1]).abs().max()
    pairs = zip(ours.parameters(), theirs.parameters(), strict=True)
    gradients = max(((a.grad - b.grad).abs().max() / b.grad.abs().max()).item() for a, b in pairs)
    return values.item(), gradients


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fast", action="store_true", help="few steps")
    parser.add_argument("--out", type=Path, default=Path("examples_out"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)

    values, gradients = largest_difference()
    print(f"largest difference to torch: output {values:.1e}, gradients (relative) {gradients:.1e}")

    options = {"epochs": 25 if args.fast else 200, "batch_size": 128, "latent_dim": 8}
    for layers in ("scratch", "torch"):
        run = train("digits", "mlp", layers=layers, **options)
        mse = run.metrics["mse"]
        print(f"layers={layers:8} mse {mse:.4f} (PCA of the same width {run.metrics['pca_mse']:.4f})")
        if layers == "scratch":
            figure = pictures.draw("reconstructions", run.trained, run.data.test, run.history)
            plots.save(figure, args.out / "from_scratch.png")


if __name__ == "__main__":
    main()
