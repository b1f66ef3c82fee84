"""ONNX files of every recipe beside Python: how near they are, how large, and which are refused.

Each recipe is trained for an epoch on a few digits, or on rows with gaps where it takes no images, and
its parts are exported, each checked on rows that were not trained on.

    python benchmarks/export.py [--recipes vae vqvae ...] [--parts encoder decoder reconstruct]
"""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from dataclasses import replace

import numpy as np
from _record import record, recorded, table
from sklearn.datasets import load_digits

from autoencode.data import Data, Examples, prepare
from autoencode.errors import InputError
from autoencode.recipes import RECIPES, build
from autoencode.trained import Trained
from autoencode.trained.fit import fit_recipe

TRAINED, CHECKED = 256, 512
SMALL = {
    "vdvae": {"width": 8, "inner": 4, "blocks": (1,)},
    "ladder_vae": {"latent_dims": (4, 3), "hidden": (8, 6)},
}


def digits() -> Data:
    images, labels = load_digits(return_X_y=True)
    x, spec, _ = prepare(images[: TRAINED + CHECKED].reshape(-1, 8, 8))
    return parted(x.bounded().x, labels.astype(str), spec)


def rows() -> Data:
    rng = np.random.default_rng(0)
    n = TRAINED + CHECKED
    x = rng.normal(size=(n, 3)) @ rng.normal(size=(3, 8)) + 0.1 * rng.normal(size=(n, 8))
    labels = (x[:, 0] > 0).astype(int).astype(str)
    x[rng.random(x.shape) < 0.1] = np.nan
    kept, spec, _ = prepare(x * 10 + 100, gaps=True)
    return parted(kept.bounded().x, labels, spec)


def parted(x: np.ndarray, labels: np.ndarray, spec: object) -> Data:
    train, test = slice(TRAINED), slice(TRAINED, TRAINED + CHECKED)
    train, test = (Examples(x[part], labels[part]) for part in (train, test))
    return Data("data", train, test, spec, ())


def trained(name: str, kinds: dict[str, Data]) -> tuple[Trained, Data, str]:
    """Trains a recipe on the first kind of data that it takes."""
    info = RECIPES[name]
    for kind, data in kinds.items():
        spec = data.spec
        if info.conditional:
            classes = tuple(sorted(set(data.train.labels)))
            share = 0.5 if info.guesses else None
            spec = replace(spec, context_dim=len(classes), classes=classes, labelled=share)
        try:
            recipe = build(name, spec, seed=0, epochs=1, **SMALL.get(name, {}))
        except InputError as error:
            reason = error
            continue
        fit_recipe(recipe, replace(data, spec=spec), 0, "cpu")
        return Trained(recipe), data, kind
    raise reason


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--recipes", nargs="*", default=list(RECIPES))
    parser.add_argument("--parts", nargs="*", default=["encoder", "decoder", "reconstruct"])
    options = parser.parse_args()
    kinds = {"images": digits(), "rows": rows()}
    for name in options.recipes:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model, data, kind = trained(name, kinds)
            for part in options.parts:
                row = {"recipe": name, "data": kind, "part": part}
                start = time.perf_counter()
                with tempfile.TemporaryDirectory() as folder:
                    try:
                        done = model.export(f"{folder}/files", part, data=data.test)
                        parity = done.parity[part]
                        row |= {"largest": parity.worst, "differing": parity.differing}
                        row |= {"rows": parity.rows, "bytes": done.files[part].stat().st_size}
                    except InputError as error:
                        row["refused"] = str(error)
                row["seconds"] = round(time.perf_counter() - start, 1)
                record("export", row)
                print(row, flush=True)
    print(table(summary()))


def summary() -> list[list[str]]:
    """Rows of a table: for each recipe and part the last that was recorded."""
    last = {(row["recipe"], row["part"]): row for row in recorded("export")}
    names = dict.fromkeys(recipe for recipe, _ in last)
    parts = list(dict.fromkeys(part for _, part in last))
    lines = [["recipe", *parts]]
    for name in names:
        cells = [last.get((name, part)) for part in parts]
        lines.append([name, *(_cell(row) for row in cells)])
    return lines


def _cell(row: dict[str, object] | None) -> str:
    if row is None:
        return ""
    return "refused" if "refused" in row else f"{row['largest']:.1e}"


if __name__ == "__main__":
    main()
