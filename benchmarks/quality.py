"""Quality on MNIST's test images at the founding settings and with the default schedule.

Each row trains one recipe as ``autoencode train mnist --recipe NAME --schedule S --epochs N --seed K``
does and measures the 10 000 test images. Rows are recorded in ``results/quality.jsonl``; those that are
there already for this version of the plan are not trained again (``--again`` does).

    python benchmarks/quality.py [--recipes mlp vae] [--schedules fast paper] [--seeds 0 1 2]
"""

from __future__ import annotations

import argparse
import statistics
from dataclasses import asdict

from _record import record, recorded, table

from autoencode import TrainingPlan, train
from autoencode.recipes import RECIPES

# recipe: (metric, epochs, goal at the founding settings, goal with the default schedule)
GOALS = {
    "mlp": ("mse", 12, 0.0101, 0.0050),
    "vae": ("-elbo", 10, 106.6, 104.5),
    "conv_small": ("mse", 10, 0.00036, 0.00030),
    "conv_latent2": ("mse", 5, 0.0416, 0.0395),
}


def plan_of(recipe: str, schedule: str) -> dict[str, object]:
    return asdict(RECIPES[recipe].plan(schedule))


def known(recipe: str, schedule: str, seed: int) -> dict | None:
    key = (recipe, schedule, seed, plan_of(recipe, schedule))
    rows = recorded("quality")
    default = asdict(TrainingPlan())  # of figures that came later, and change nothing at that

    def key_of(row: dict) -> tuple:
        return row["recipe"], row["schedule"], row["seed"], default | row["plan"]

    found = [row for row in rows if key_of(row) == key]
    return found[-1] if found else None


def measure(recipe: str, schedule: str, seed: int) -> dict:
    metric, epochs, *_ = GOALS[recipe]
    run = train("mnist", recipe, schedule=schedule, seed=seed, epochs=epochs)
    value = run.metrics["mse"] if metric == "mse" else -run.metrics["elbo"]
    row = {
        "recipe": recipe,
        "schedule": schedule,
        "seed": seed,
        "epochs": epochs,
        "metric": metric,
        "test": value,
        "validation": run.history[-1].get("validation_loss"),
        "pca_mse": run.metrics["pca_mse"],
        "train_seconds": run.trained.info["training"]["seconds"],
        "plan": plan_of(recipe, schedule),
    }
    record("quality", row)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--recipes", nargs="+", default=list(GOALS))
    parser.add_argument("--schedules", nargs="+", default=["paper", "fast"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--show", action="store_true", help="print what is recorded, train nothing")
    options = parser.parse_args()
    lines = [["recipe", "schedule", "epochs", "metric", "goal", "each seed", "mean"]]
    for recipe in options.recipes:
        metric, epochs, *goals = GOALS[recipe]
        for schedule in options.schedules:
            goal = goals[0] if schedule == "paper" else goals[1]
            values = []
            for seed in options.seeds:
                row = None if options.again else known(recipe, schedule, seed)
                if row is None and not options.show:
                    row = measure(recipe, schedule, seed)
                    print(recipe, schedule, seed, row["test"], flush=True)
                if row is not None:
                    values.append(row["test"])
            each = " ".join(f"{v:.5g}" for v in values) or "not measured"
            mean = f"{statistics.mean(values):.5g}" if values else "-"
            lines.append([recipe, schedule, str(epochs), metric, f"<= {goal}", each, mean])
    print(table(lines))


if __name__ == "__main__":
    main()
