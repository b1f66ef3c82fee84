"""A plain autoencoder and a VAE as generators, compared without a downloaded network.

Both have the same networks and code width. The VAE is sampled from its prior, the plain one from a
Gaussian fitted to its codes (``Trained.sample`` does both). Three numbers, in 50 principal components:

* nearest: mean distance of 2 000 samples to the nearest training image, divided by that of held-out
  images. Nonsense makes it larger; blur may move it either way.
* AUROC real: how well 15 nearest neighbours tell samples from held-out images; 0.5 is "cannot".
* AUROC decoded: the same against held-out images sent through the model, so blur is on both sides. It
  takes the mean code of a VAE, without the posterior's noise, which counts against the VAE.

Expected: four pictures ``samples_*.png`` and a table. On MNIST (4 epochs, seed 0, one run each):

    code model   nearest  AUROC real  AUROC decoded
       2    ae      0.94       0.918          0.781
       2   vae      1.14       0.935          0.701
      20    ae      1.39       0.865          0.853
      20   vae      1.24       0.874          0.858

So neither wins throughout. At 2 the VAE's codes fit its prior better, but its images are blurrier. At
20 its samples lie nearer to real images, the AUROCs are about equal, and both make many non-digits.

    python examples/generation_limits.py [--fast] [--out DIR]

``--fast`` uses the bundled digits; otherwise MNIST where it is on this machine, else the digits.
"""

import argparse
from pathlib import Path

import numpy as np
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

from autoencode import train
from autoencode.data import data_folder
from autoencode.pictures import plots
from autoencode.runs import Run
from autoencode.trained.trained import flat

N = 2000


def two_sample_auroc(samples: np.ndarray, real: np.ndarray) -> float:
    """How well 15 nearest neighbours tell the two apart, on halves they were not fitted on."""
    both = np.concatenate([samples, real])
    made = np.repeat([1, 0], [len(samples), len(real)])
    judge = KNeighborsClassifier(15)
    order = np.random.default_rng(0).permutation(len(both))
    scores = cross_val_predict(judge, both[order], made[order], cv=2, method="predict_proba")[:, 1]
    return float(roc_auc_score(made[order], scores))


def measure(run: Run) -> dict[str, float]:
    """The three numbers, in the first 50 principal components of the training images."""
    train_x, test_x = run.data.train.x[:20_000], run.data.test.x[:N]
    train_x, test_x = flat(train_x).astype(np.float32), flat(test_x).astype(np.float32)
    samples = flat(run.trained.sample(len(test_x), seed=1, mean=True))
    decoded = flat(run.trained.reconstruct(run.data.test.x[:N]))
    pca = PCA(50, random_state=0).fit(train_x)
    real, made, own = (pca.transform(x) for x in (test_x, samples, decoded))
    nearest = NearestNeighbors(n_neighbors=1).fit(pca.transform(train_x))
    away = [float(nearest.kneighbors(x)[0].mean()) for x in (made, real)]
    return {
        "nearest": away[0] / away[1],
        "AUROC real": two_sample_auroc(made, real),
        "AUROC decoded": two_sample_auroc(made, own),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fast", action="store_true", help="digits, short training")
    parser.add_argument("--out", type=Path, default=Path("examples_out"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    mnist = not args.fast and (data_folder() / "mnist").is_dir()
    data = "mnist" if mnist else "digits"
    options = {"hidden": (256,)} | ({"epochs": 4} if mnist else {})
    if args.fast:
        options |= {"epochs": 20, "batch_size": 128}
    print(f"{data}: {'code':>4} {'model':>5}   nearest  AUROC real  AUROC decoded")
    for width in (2, 20):
        for name, recipe in (("ae", "mlp"), ("vae", "vae")):
            run = train(data, recipe, latent_dim=width, **options)
            values = measure(run)
            row = (
                f"{values['nearest']:9.2f} {values['AUROC real']:11.3f} {values['AUROC decoded']:14.3f}"
            )
            print(f"{'':{len(data)}}  {width:4d} {name:>5} {row}", flush=True)
            top = run.trained.spec.scale[0]
            made = run.trained.sample(64, mean=True).reshape(64, *run.trained.spec.shape)
            figure = plots.samples(made / top, title=f"{name}, code of {width}")
            plots.save(figure, args.out / f"samples_{name}_{width}.png")


if __name__ == "__main__":
    main()
