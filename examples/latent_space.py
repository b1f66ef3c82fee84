"""A code of two numbers, to be looked at: where images lie, and what lies between them.

Trains ``mlp_latent2`` and draws the codes of held-out images, coloured by label, and a grid of decoded
codes: once over the range where the codes lie, once over a range that is given.

Expected: ``latent.png`` with one cloud for each digit (some overlap), ``grid.png`` with digits that
change smoothly, and ``grid_range.png``. Far from all codes the decoder shows no digits: nothing taught
it what to do there.

    python examples/latent_space.py [--fast] [--out DIR] [--range=-5,10,-10,5]

``--fast`` uses the bundled digits and few epochs; otherwise MNIST where it is on this machine (in
``$AUTOENCODE_DATA`` or the cache folder), else the digits.
"""

import argparse
from pathlib import Path

import numpy as np
from sklearn.neighbors import KNeighborsClassifier

from autoencode import train
from autoencode.data import data_folder
from autoencode.pictures import of_runs as pictures
from autoencode.pictures import plots


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fast", action="store_true", help="digits, short training")
    parser.add_argument("--out", type=Path, default=Path("examples_out"))
    parser.add_argument("--range", default="-5,10,-10,5", help="x0,x1,y0,y1 of the second grid")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    mnist = not args.fast and (data_folder() / "mnist").is_dir()

    options = {"epochs": 40, "batch_size": 128} if args.fast else {}
    run = train("mnist" if mnist else "digits", "mlp_latent2", **options)
    trained, test = run.trained, run.data.test
    x0, x1, y0, y1 = (float(part) for part in args.range.split(","))
    for name, kind, extent in (
        ("latent", "latent", None),
        ("grid", "grid", None),
        ("grid_range", "grid", (x0, x1, y0, y1)),
    ):
        figure = pictures.draw(kind, trained, test, run.history, extent=extent)
        plots.save(figure, args.out / f"{name}.png")

    z, z_test = trained.embed(run.data.train), trained.embed(test)
    low, high = np.quantile(z_test, [0.01, 0.99], axis=0)
    print(f"{run.data.name}: 98 % of the codes lie in {low.round(1)} .. {high.round(1)}")
    neighbours = KNeighborsClassifier(15).fit(z, run.data.train.labels)
    share = neighbours.score(z_test, test.labels)
    print(f"15 nearest neighbours in the code of two numbers name {share:.1%} of held-out images")


if __name__ == "__main__":
    main()
