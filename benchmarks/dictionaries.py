"""How many atoms of a known dictionary are found, beside scikit-learn's dictionary learning.

Rows are sums of a few atoms of length 1 with random coefficients, and noise. An atom is found when the
cosine between it and one of the learned atoms is above 0.9, matched one to one. ``L0`` is the number of
units that are on, ``dead`` the share of units that are never on, ``error`` that of held-out rows over
their variance.

Where coefficients have both signs the recipes have twice as many units, for theirs have one sign;
scikit-learn's have both.

    python benchmarks/dictionaries.py [--models topk sklearn ...] [--settings wide ...] [--seeds 0 1]
"""

from __future__ import annotations

import argparse
import time
import warnings
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from _record import record, table
from scipy.optimize import linear_sum_assignment

from autoencode import Autoencoder

MODELS = ("sparse", "topk", "batch_topk", "jumprelu", "matryoshka_sparse", "sklearn")
_ALPHAS = (0.1, 0.2, 0.4)  # of scikit-learn's, of which the one with the best held-out atoms counts


@dataclass(frozen=True)
class Setting:
    """A dictionary and what is made of it."""

    name: str
    columns: int = 64
    atoms: int = 128
    least: int = 3
    most: int = 5
    noise: float = 0.03
    rows: int = 5000
    signed: bool = False

    @property
    def units(self) -> int:
        """Units of a recipe, which adds atoms only: one that is subtracted as well takes two."""
        return self.atoms * (1 + self.signed)


SETTINGS = (
    Setting("wide"),
    Setting("narrow", columns=32, atoms=40, least=2, most=4),
    Setting("dense", least=5, most=8, rows=10_000),
    Setting("noisy", noise=0.1),
    Setting("many rows", rows=20_000, least=2, most=5),
    Setting("signed", signed=True),
)


def make(setting: Setting, seed: int, held_out: int = 1000) -> tuple[Any, Any, Any]:
    """Makes training rows, held-out rows and the atoms (M, D)."""
    rng = np.random.default_rng(seed)
    atoms = rng.normal(size=(setting.atoms, setting.columns))
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    n = setting.rows + held_out
    order = rng.random((n, setting.atoms)).argsort(1)
    active = order < rng.integers(setting.least, setting.most + 1, n)[:, None]
    codes = active * rng.uniform(0.5, 1.5, active.shape)
    if setting.signed:
        codes *= rng.choice([-1.0, 1.0], active.shape)
    x = codes @ atoms + setting.noise * rng.normal(size=(n, setting.columns))
    return x[: setting.rows], x[setting.rows :], atoms


def n_found(learned: Any, atoms: Any, signed: bool) -> int:
    """Counts the true atoms (M, D) that one of the learned (K, D) is."""
    length = np.linalg.norm(learned, axis=1, keepdims=True)
    cosine = learned / np.maximum(length, 1e-12) @ atoms.T
    cosine = np.abs(cosine) if signed else cosine
    pairs = linear_sum_assignment(-cosine)
    return int((cosine[pairs] > 0.9).sum())


def by_recipe(name: str, setting: Setting, x: Any, new: Any, seed: int) -> tuple[Any, Any, Any]:
    """Learns by a recipe; returns atoms, the codes of new rows and their reconstruction."""
    options = {"k": (setting.least + setting.most) // 2} if "topk" in name or "mat" in name else {}
    model = Autoencoder(name, setting.units, random_state=seed, options=options).fit(x)
    return model.components_, model.transform(new), model.reconstruct(new)


def by_sklearn(setting: Setting, x: Any, new: Any, seed: int) -> tuple[Any, Any, Any]:
    """Learns by scikit-learn at the penalty that leaves about as many units on as are."""
    from sklearn.decomposition import MiniBatchDictionaryLearning

    mean, wanted, found = x.mean(0), (setting.least + setting.most) / 2, []
    for alpha in _ALPHAS:
        learner = MiniBatchDictionaryLearning(
            setting.atoms,
            alpha=alpha,
            batch_size=256,
            max_iter=20,
            random_state=seed,
            fit_algorithm="cd",
            transform_algorithm="lasso_cd",
            positive_code=not setting.signed,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            codes = learner.fit(x - mean).transform(new - mean)
        made = learner.components_, codes, codes @ learner.components_ + mean
        found.append((abs((codes != 0).sum(1).mean() - wanted), made))
    return min(found, key=lambda pair: pair[0])[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=MODELS)
    parser.add_argument("--settings", nargs="+", default=[s.name for s in SETTINGS])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    asked = parser.parse_args()
    lines = [["setting", "model", "seed", "found", "L0", "dead", "error", "seconds"]]
    for setting in (s for s in SETTINGS if s.name in asked.settings):
        for seed in asked.seeds:
            x, new, atoms = make(setting, seed)
            for name in asked.models:
                start = time.perf_counter()
                learned, codes, back = (
                    by_sklearn(setting, x, new, seed)
                    if name == "sklearn"
                    else by_recipe(name, setting, x, new, seed)
                )
                figures = {
                    "found": n_found(learned, atoms, setting.signed),
                    "l0": float((codes != 0).sum(1).mean()),
                    "dead": float((codes == 0).all(0).mean()),
                    "error": float(((back - new) ** 2).mean() / new.var(0).mean()),
                    "seconds": time.perf_counter() - start,
                }
                record(
                    "dictionaries",
                    {**asdict(setting), "model": name, "seed": seed, "units": len(learned), **figures},
                )
                words = [f"{figures['l0']:.1f}", f"{figures['dead']:.3f}", f"{figures['error']:.4f}"]
                found = f"{figures['found']} of {setting.atoms}"
                lines.append(
                    [setting.name, name, str(seed), found, *words, f"{figures['seconds']:.0f}"]
                )
                print(lines[-1], flush=True)
    print(table(lines))


if __name__ == "__main__":
    main()
