"""The estimator in five minutes: codes, reconstructions, new examples, saving and loading.

Trains a VAE with a code of eight numbers on images of digits and compares its reconstruction error
with that of PCA of the same width.

Expected: codes of shape (N, 8), a mean squared error (pixels 0..1) near or below PCA's, and the
pictures ``quickstart_reconstructions.png`` and ``quickstart_samples.png`` in the output folder.

    python examples/quickstart.py [--fast] [--out DIR]

``--fast`` uses the bundled digits and few epochs; otherwise MNIST where it is on this machine (in
``$AUTOENCODE_DATA`` or the cache folder), else the digits.
"""

import argparse
from pathlib import Path

import numpy as np
from sklearn.decomposition import PCA

from autoencode import Autoencoder, load, load_data
from autoencode.data import data_folder
from autoencode.pictures import plots
from autoencode.trained.trained import flat


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fast", action="store_true", help="digits, short training")
    parser.add_argument("--out", type=Path, default=Path("examples_out"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    mnist = not args.fast and (data_folder() / "mnist").is_dir()

    data = load_data("mnist" if mnist else "digits")
    x, x_test = (part.x / data.spec.scale[0] for part in (data.train, data.test))  # 0..1
    print(f"{data.name}: {len(x)} images to learn from, {len(x_test)} held out")

    # fit, transform and inverse_transform are scikit-learn's; images may be 0..255 as well.
    ae = Autoencoder("vae", n_components=8, epochs=60 if args.fast else None, random_state=0).fit(x)
    z = ae.transform(x_test)
    back = ae.inverse_transform(z)
    print(f"codes {z.shape}, reconstructions {back.shape}")

    pca = PCA(8, random_state=0).fit(flat(x))
    linear = pca.inverse_transform(pca.transform(flat(x_test)))
    mse = float(np.mean((x_test - back) ** 2))
    mse_pca = float(np.mean((flat(x_test) - linear) ** 2))
    print(f"mean squared error: VAE {mse:.4f}, PCA of the same width {mse_pca:.4f}")

    plots.save(
        plots.reconstructions(x_test[:10], back[:10]),
        args.out / "quickstart_reconstructions.png",
    )
    plots.save(plots.samples(ae.sample(64)), args.out / "quickstart_samples.png")

    ae.save(args.out / "quickstart_model")
    again = load(args.out / "quickstart_model")
    print(f"loaded again, same codes: {np.array_equal(again.transform(x_test), z)}")


if __name__ == "__main__":
    main()
