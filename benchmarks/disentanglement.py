"""beta-TCVAE beside beta-VAE on sprites: which of them gives each known factor a dimension of its own?

Both are trained by the same code on the same images with the same networks, steps and rates
(``SHARED``); they differ in the objective alone. First the weight: every model at each of the same
weights on two seeds, with the curve of MIG and reconstruction against it. Then ten other seeds at the
weight that was best on the first two, one for each model, compared seed by seed: a seed decides the
initial weights and the order of the images, the same for both. Figures are of the 4 608 test images.

    python benchmarks/disentanglement.py [--models beta_vae beta_tcvae] [--show]

Rows are recorded in ``results/disentanglement.jsonl``; those that are there are not trained again, so a
run that was interrupted goes on.
"""

from __future__ import annotations

import argparse
import itertools
import time

import numpy as np
from _record import record, recorded, table

from autoencode import train
from autoencode.evaluate.codes import codes_of
from autoencode.evaluate.disentanglement import measure
from autoencode.evaluate.factors import gaps, mutual_information, posterior_information

# What is weighed, and the options beside it. The stratified estimate of q(z) is one of the two of
# the paper of beta-TCVAE; the other one needs batches of thousands (``--models beta_tcvae_weighted``).
MODELS = {
    "beta_vae": ("beta_vae", "beta", {}),
    "beta_tcvae": ("beta_tcvae", "tc_weight", {"stratified": True}),
    "beta_tcvae_weighted": ("beta_tcvae", "tc_weight", {"stratified": False}),
    "factor_vae": ("factor_vae", "tc_weight", {}),
}
SHARED = {
    "latent_dim": 10,
    "hidden": (128, 128),
    "epochs": 20,
    "batch_size": 256,
    "lr": 4e-3,
    "validation": 0.0,
    "doctor": False,
}
WEIGHTS = (1.0, 2.0, 4.0, 6.0, 8.0)
CHOOSING, JUDGING = (100, 101), tuple(range(10))
CHOSEN_BY = "posterior_mig"  # the paper's own MIG
SHOWN = ("posterior_mig", "mig", "disentanglement", "completeness", "informativeness", "sap")
SHOWN = (*SHOWN, "modularity", "factor_vae_score", "beta_vae_score", "reconstruction", "kl", "active")


def key(model: str, weight: float, seed: int) -> list:
    return [model, weight, seed, {name: _plain(value) for name, value in SHARED.items()}]


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def found(model: str, weight: float, seed: int) -> dict | None:
    wanted = key(model, weight, seed)
    rows = (row for row in recorded("disentanglement") if row["key"] == wanted)
    return next(rows, None)


def trained(model: str, weight: float, seed: int, show: bool) -> dict | None:
    """The row of one training, from the record where it is there."""
    row = found(model, weight, seed)
    if row is not None or show:
        return row
    recipe, weighed, more = MODELS[model]
    start = time.process_time()
    run = train("sprites", recipe, seed=seed, device="cpu", **{weighed: weight}, **more, **SHARED)
    seconds = time.process_time() - start
    test = run.data.test
    codes = codes_of(run.trained, test)
    used = codes.active
    each = {
        "mig": mutual_information(codes.z[:, used], test.factors),
        "posterior_mig": posterior_information(codes.z[:, used], codes.scale[:, used], test.factors),
    }
    row = {
        "key": key(model, weight, seed),
        **measure(codes, test.factors),
        "gaps": {
            name: dict(zip(test.factors.names, gaps(one, test.factors).round(4), strict=True))
            for name, one in each.items()
        },
        "reconstruction": run.metrics["reconstruction"],
        "kl": run.metrics["kl"],
        "active": int(used.sum()),
        "cpu_seconds": round(seconds, 1),
    }
    record("disentanglement", row)
    print(model, weight, seed, f"{row[CHOSEN_BY]:.3f}", f"{seconds:.0f} s", flush=True)
    return row


def curve(models: list[str], show: bool) -> tuple[list[list[str]], dict[str, float]]:
    """MIG and reconstruction against the weight, and each model's best weight."""
    lines = [["model", "weight", "MIG, each seed", "histogram MIG", "reconstruction", "KL", "active"]]
    best: dict[str, tuple[float, float]] = {}
    for model, weight in itertools.product(models, WEIGHTS):
        if weight == 1 and model != "beta_vae":
            continue  # the same objective: the ELBO
        rows = [trained(model, weight, seed, show) for seed in CHOOSING]
        rows = [row for row in rows if row is not None]
        if not rows:
            continue

        def mean(name: str, rows: list[dict] = rows) -> float:
            return float(np.mean([row[name] for row in rows]))

        each = " ".join(f"{row[CHOSEN_BY]:.3f}" for row in rows)
        figures = [f"{mean('mig'):.3f}", f"{mean('reconstruction'):.2f}", f"{mean('kl'):.2f}"]
        lines.append([model, f"{weight:g}", each, *figures, f"{mean('active'):.1f}"])
        best[model] = max(best.get(model, (-1.0, 0.0)), (mean(CHOSEN_BY), weight))
    return lines, {model: weight for model, (_, weight) in best.items()}


def judged(weights: dict[str, float], show: bool) -> list[list[str]]:
    """Each model at its weight over ten seeds: means and standard deviations."""
    rows: dict[str, dict[int, dict]] = {model: {} for model in weights}
    for seed, (model, weight) in itertools.product(JUDGING, weights.items()):
        row = trained(model, weight, seed, show)
        if row is not None:
            rows[model][seed] = row
    lines = [["", *(f"{model}, weight {weight:g}" for model, weight in weights.items())]]
    for name in SHOWN:
        cells = [[row[name] for row in rows[model].values()] for model in weights]
        spread = [f"{np.mean(c):.3f} ± {np.std(c, ddof=1):.3f}" if len(c) > 1 else "-" for c in cells]
        lines.append([name, *spread])
    first = next(iter(weights))
    for model in list(weights)[1:]:
        both = sorted(rows[first].keys() & rows[model].keys())
        for name in (CHOSEN_BY, "mig") if both else ():
            pairs = [(rows[model][seed][name], rows[first][seed][name]) for seed in both]
            print(f"{name}, {model} - {first}: {paired(pairs)}")
    return lines


def paired(pairs: list[tuple[float, float]]) -> str:
    """Differences seed by seed, and the share of all choices of signs whose mean is as far from 0."""
    difference = np.array([a - b for a, b in pairs])
    signs = np.array(list(itertools.product((-1, 1), repeat=len(difference))))
    means = np.abs((signs * difference).mean(axis=1))
    p = float((means >= abs(difference.mean()) - 1e-12).mean())
    spread = difference.std(ddof=1) if len(difference) > 1 else float("nan")
    return (
        f"{difference.mean():+.3f} ± {spread:.3f}, above in {int((difference > 0).sum())} of "
        f"{len(difference)} seeds, sign-flip p = {p:.2g}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--models", nargs="+", default=["beta_vae", "beta_tcvae"], choices=MODELS)
    parser.add_argument("--show", action="store_true", help="print what is recorded, train nothing")
    options = parser.parse_args()
    lines, best = curve(options.models, options.show)
    print(table(lines), flush=True)
    print(table(judged(best, options.show)))


if __name__ == "__main__":
    main()
