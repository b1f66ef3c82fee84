"""Situations that people have reported of tools of this field, rebuilt with small data.

Each figure stands beside what is right and, where there is one, the simple tool that a user would have
taken. ``rel`` is a mean squared error over the variance of each column, on rows that were held out. The
verdict is FAIL outside of what is right; WEAK where the simple tool is better by more than 2 %.
Rows are recorded in ``results/reported.jsonl``.

    python benchmarks/reported.py [--cases 1 2 4] [--no-record]
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
from _record import record, table
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import MinMaxScaler

from autoencode import AnomalyDetector, Autoencoder, train


@dataclass(frozen=True)
class Figure:
    """One figure of a case: its value, the range that is right, and what the simple tool has.

    ``less`` says whether less is better, for the comparison with the simple tool.
    """

    what: str
    value: float
    low: float = -math.inf
    high: float = math.inf
    simple: float | None = None
    tool: str = ""
    less: bool = True

    @property
    def verdict(self) -> str:
        if not self.low <= self.value <= self.high:
            return "FAIL"
        if self.simple is None:
            return "OK"
        behind = self.value > 1.02 * self.simple if self.less else self.value < 0.98 * self.simple
        return "WEAK" if behind else "OK"

    @property
    def right(self) -> str:
        if math.isinf(self.low):
            return "" if math.isinf(self.high) else f"<= {self.high:g}"
        return f">= {self.low:g}" if math.isinf(self.high) else f"{self.low:g} to {self.high:g}"


def rel(back, x, train) -> float:
    """Mean squared error in units of each column's variance."""
    return float((((np.asarray(back) - x) / train.std(0)) ** 2).mean())


def by_pca(train, x, n: int) -> float:
    pca = PCA(n).fit(train)
    return rel(pca.inverse_transform(pca.transform(x)), x, train)


def share_of_outliers() -> Iterator[Figure]:
    rng = np.random.default_rng(1)
    for share in (0, 0.005, 0.03, 0.05, 0.08, 0.10, 0.15, 0.20, 0.25):
        n, k = 1000, int(share * 1000)
        x = rng.normal(size=(n, 3)) @ rng.normal(size=(3, 8)) + 0.1 * rng.normal(size=(n, 8))
        x[:k] += 3 * rng.normal(size=(k, 8))
        found = AnomalyDetector(random_state=0).fit(x).predict(x) == -1
        forest = IsolationForest(random_state=0).fit(x).predict(x) == -1
        if k:
            yield Figure(
                f"{share:.1%} scattered: found",
                found[:k].mean(),
                0.95,
                1.0,
                forest[:k].mean(),
                "IsolationForest",
                less=False,
            )
        yield Figure(f"{share:.1%} scattered: clean rows called", found[k:].mean(), 0.0, 0.02)
    for share in (0.05, 0.10, 0.15):
        n, k = 1000, int(share * 1000)
        x = rng.normal(size=(n, 3)) @ rng.normal(size=(3, 8)) + 0.1 * rng.normal(size=(n, 8))
        x[:k] = x[:k] * 0.2 + 6 * rng.choice([-1, 1], 8)
        found = AnomalyDetector(random_state=0).fit(x).predict(x) == -1
        yield Figure(f"a group of {share:.0%}: found", found[:k].mean(), 0.95)
        yield Figure(f"a group of {share:.0%}: clean rows called", found[k:].mean(), 0.0, 0.02)


def people(rng, n=1000) -> pd.DataFrame:
    """A table of people with whole numbers, money, classes and months."""
    age = np.clip(rng.normal(35, 12, n), 18, 80).round().astype(int)
    return pd.DataFrame(
        {
            "age": age,
            "pregnancies": np.minimum(rng.poisson(np.clip((age - 18) / 12, 0, 4)), 15),
            "bp": rng.normal(70 + age * 0.3, 10, n).round().astype(int),
            "income": np.round(np.exp(rng.normal(7 + age * 0.02, 0.8, n)), 2),
            "sex": np.where(rng.random(n) < 0.3, "m", "f"),
            "rare": np.where(rng.random(n) < 0.02, "yes", "no"),
            "month": rng.integers(1, 13, n),
        }
    )


def synthetic_table() -> Iterator[Figure]:
    df = people(np.random.default_rng(0))
    for kinds in (None, {"pregnancies": "count"}):
        said = "" if kinds is None else ", a count declared"
        drawn = Autoencoder("vae", 4, random_state=0, column_kinds=kinds).fit(df).sample(1000)
        for name in ("age", "pregnancies", "bp", "income", "month"):
            yield Figure(f"sd of {name}{said}", drawn[name].std() / df[name].std(), 0.9, 1.1)
        yield Figure(f"correlation of age and bp (0.33){said}", drawn.age.corr(drawn.bp), 0.2, 0.45)
        for name, value in (("sex", "m"), ("rare", "yes")):
            off = abs((drawn[name] == value).mean() - (df[name] == value).mean())
            yield Figure(f"share of {name}={value}, off by{said}", off, 0.0, 0.02)
        whole = drawn[["age", "pregnancies", "bp", "month"]]
        yield Figure(
            f"whole numbers that are not whole{said}",
            float((whole != whole.round()).mean().mean()),
            0,
            0,
        )
        same = sum(drawn[name].dtype != df[name].dtype for name in df)
        yield Figure(f"columns of another dtype{said}", same, 0, 0)


def min_max() -> Iterator[Figure]:
    rng = np.random.default_rng(0)
    b = rng.normal(size=(1100, 3)) @ rng.normal(size=(3, 10)) + 0.1 * rng.normal(size=(1100, 10))
    a = MinMaxScaler().fit_transform(b[:1000])
    train, x = a[:800], a[800:]
    simple = by_pca(train, x, 3)
    for recipe in ("mlp", "vae", "beta_vae", "sigma_vae"):
        back = Autoencoder(recipe, 3, random_state=0).fit(train).reconstruct(x)
        # At four times the KL for 3 codes of 10 columns, collapse is the optimum once the scale is
        # learned: each halving of the error costs more (4 * 3 / 2 ln 2) than it gains (10 / 2 ln 2).
        high = 1.0 if recipe == "beta_vae" else 0.01
        yield Figure(
            f"{recipe} on min-max-scaled columns, rel", rel(back, x, train), 0, high, simple, "PCA"
        )


def rates() -> Iterator[Figure]:
    rng = np.random.default_rng(0)
    b = rng.normal(size=(1200, 3)) @ rng.normal(size=(3, 20)) / 3**0.5 + 0.05 * rng.normal(
        size=(1200, 20)
    )
    forms = {
        "as it is": b,
        "rates of 1 %": 0.01 + 5e-4 * b,
        "two scales in 0..1": np.clip(0.5 + 0.1 * b, 0, 1) * np.where(np.arange(20) < 10, 1, 0.01),
        "hundreds of thousands": 5e5 + 1e5 * b,
    }
    for name, x in forms.items():
        simple = by_pca(x[:1000], x[1000:], 3)
        if name == "two scales in 0..1":
            z = (x - x[:1000].mean(0)) / x[:1000].std(0)
            simple = by_pca(z[:1000], z[1000:], 3)
        for recipe in ("mlp", "vae"):
            back = Autoencoder(recipe, 3, random_state=0).fit(x[:1000]).reconstruct(x[1000:])
            yield Figure(
                f"{recipe}, {name}, rel", rel(back, x[1000:], x[:1000]), 0, 0.01, simple, "PCA"
            )


def low_contrast_16_bits() -> Iterator[Figure]:
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:100, :60]
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home) / "tif16"
        folder.mkdir()
        for i in range(60):
            wave = np.sin((rows + rng.uniform(0, 3)) / 6) * np.sin(columns / 5)
            image = 1200 + 200 * wave + 10 * rng.normal(size=rows.shape)
            Image.fromarray(image.astype("u2")).save(folder / f"l{i:02}.tif")
        with mock.patch.dict(os.environ, AUTOENCODE_CACHE=home):
            run = train(str(folder), "conv", latent_dim=8, epochs=100)
    learned, new = (part.x.reshape(len(part.x), -1) for part in (run.data.train, run.data.test))
    back = run.trained.reconstruct(run.data.test.x).reshape(len(new), -1)
    pca = PCA(8, random_state=0).fit(learned)
    # The waves lie on a plane, so that PCA is exact but for noise; 100 epochs here are 100 steps.
    errors = [
        float(((found - new) ** 2).mean())
        for found in (back, pca.inverse_transform(pca.transform(new)), learned.mean(0))
    ]
    yield Figure("levels in use of 462, after reading", len(np.unique(learned)), 400)
    yield Figure("mse of images of 16 bits", errors[0], 0, 0.5 * errors[2], errors[1], "PCA")


def units_kept() -> Iterator[Figure]:
    x = np.random.default_rng(0).normal(size=(500, 16))
    for width, options, k in (
        (64, {"k": 3}, 3),
        (24, {"k": 3}, 3),
        (8, {}, None),
        (64, {"k": 3, "k_eval": 5}, 5),
    ):
        ae = Autoencoder("topk", width, random_state=0, epochs=5, options=options).fit(x)
        kept = (ae.transform(x) != 0).sum(1).mean()
        yield Figure(
            f"topk of {width} with {options or 'its defaults'}: units on", kept, k or 1, k or width
        )
    ae = Autoencoder("batch_topk", 64, random_state=0, options={"k": 3}).fit(x)
    yield Figure("batch_topk with k=3: units on", (ae.transform(x) != 0).sum(1).mean(), 2.5, 3.5)


def any_batch_exported() -> Iterator[Figure]:
    import onnxruntime

    from autoencode.export import onnx_bytes

    x = load_digits().images
    for recipe in ("conv", "vae", "mlp"):
        model = Autoencoder(recipe, 8, epochs=2, random_state=0).fit(x)
        parts = {
            part: onnxruntime.InferenceSession(onnx_bytes(model.trained_, part))
            for part in ("encoder", "decoder")
        }
        off = 0.0
        for n in (1, 4, 7, 500):
            given = x[:n].astype("f4")
            (codes,) = parts["encoder"].run(None, {"x": given})
            (back,) = parts["decoder"].run(None, {"z": codes})
            off = max(off, float(np.abs(codes - model.transform(given)).max()))
            off = max(off, float(np.abs(back - model.inverse_transform(codes)).max()) / 16)
        yield Figure(f"{recipe}: ONNX from Python, batches of 1 to 500", off, high=1e-5)


def few_rows() -> Iterator[Figure]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(480, 3)) @ rng.normal(size=(3, 15)) + 0.4 * rng.normal(size=(480, 15))
    x = np.c_[x, np.sin(x[:, :5])]
    train, test = x[:80], x[80:]
    simple = by_pca(train, test, 3)
    for stopped in (False, True):
        for recipe in ("mlp", "vae", "linear", "denoising"):
            ae = Autoencoder(recipe, 3, random_state=0, early_stopping=stopped, validation_fraction=0.2)
            error = rel(ae.fit(train).reconstruct(test), test, train)
            said = ", early stopping" if stopped else ""
            yield Figure(f"{recipe}{said}, 80 rows, rel", error, 0, 1, simple, "PCA")


def going_on() -> Iterator[Figure]:
    rng = np.random.default_rng(0)
    w = rng.normal(size=(3, 12))
    x = rng.normal(size=(400, 3)) @ w + 0.1 * rng.normal(size=(400, 12))
    new = 3 + 1.5 * (rng.normal(size=(400, 3)) @ w + 0.1 * rng.normal(size=(400, 12)))

    def error(ae, on):
        return float(((ae.reconstruct(on) - on) ** 2).mean() / on.var(0).mean())

    chunks = Autoencoder("mlp", 3, random_state=0)
    for _ in range(40):
        for part in np.split(x, 4):
            chunks.partial_fit(part)
    whole = Autoencoder("mlp", 3, random_state=0, epochs=40).fit(x)
    yield Figure(
        "40 times four chunks, rel", error(chunks, x), 0, 0.02, max(error(whole, x), 0.005), "fit"
    )
    for recipe in ("mlp", "vae"):
        ae = Autoencoder(recipe, 3, random_state=0, warm_start=True).fit(x)
        before = error(ae, x)
        yield Figure(
            f"{recipe}: error after five more epochs over before",
            error(ae.set_params(epochs=5).fit(x), x) / before,
            0,
            1.01,
        )
        fresh = Autoencoder(recipe, 3, random_state=0, epochs=5).fit(new)
        moved = error(ae.fit(new), new) / error(fresh, new)
        yield Figure(f"{recipe}: shifted data, over a fresh fit of five epochs", moved, 0, 1.5)
    y = np.r_[np.zeros(400), np.ones(20)]
    rows = np.r_[new * 0 + x, 3 * rng.normal(size=(20, 12)) @ np.diag(x.std(0))]
    detector = AnomalyDetector(random_state=0)
    for part in np.array_split(x, 4):
        detector.partial_fit(part)
    fitted = AnomalyDetector(random_state=0).fit(x)
    yield Figure(
        "detector in four chunks, AUC",
        roc_auc_score(y, -detector.score_samples(rows)),
        0.9,
        1.0,
        roc_auc_score(y, -fitted.score_samples(rows)),
        "fit",
        less=False,
    )


def mixed_table() -> Iterator[Figure]:
    rng = np.random.default_rng(0)
    n = 1500
    z = rng.normal(size=(n, 4))
    df = pd.DataFrame(
        {
            f"num{i}": 10 ** rng.uniform(-3, 6) * (z @ rng.normal(size=4) + 0.2 * rng.normal(size=n))
            + 10 ** rng.uniform(0, 4)
            for i in range(14)
        }
    )
    for i in range(8):
        k = int(rng.integers(2, 7))
        df[f"cat{i}"] = [
            f"v{j}" for j in (2 * z @ rng.normal(size=(4, k)) + rng.gumbel(size=(n, k))).argmax(1)
        ]
    train, test = df[:1200], df[1200:]
    numbers = [name for name in df if name.startswith("num")]
    center, spread = train[numbers].mean(), train[numbers].std()
    scaled = [((part[numbers] - center) / spread).to_numpy() for part in (train, test)]
    simple = by_pca(*scaled, 4)
    for recipe in ("mlp", "vae"):
        back = Autoencoder(recipe, 4, random_state=0).fit(train).reconstruct(test)
        error = (((back[numbers] - test[numbers]) / train[numbers].std()) ** 2).to_numpy().mean()
        right = (back.filter(like="cat") == test.filter(like="cat")).to_numpy().mean()
        yield Figure(f"{recipe}: numbers, rel", error, 0, 0.02, simple, "PCA of the numbers alone")
        mode = (test.filter(like="cat") == train.filter(like="cat").mode().iloc[0]).to_numpy().mean()
        yield Figure(f"{recipe}: categories right", right, 0.75, 1, mode, "the mode", less=False)


def many_categories() -> Iterator[Figure]:
    rng = np.random.default_rng(0)
    for k in (300, 1500):
        codes = rng.integers(0, k, 3000)
        df = pd.DataFrame(
            {
                "zip": [f"z{c}" for c in codes],
                "a": codes / k + 0.05 * rng.normal(size=3000),
                "b": rng.normal(size=3000),
            }
        )
        back = Autoencoder("mlp", 4, epochs=20, random_state=0).fit(df).reconstruct(df)
        yield Figure(
            f"{k} categories right", (back.zip == df.zip).mean(), 0.4 if k == 1500 else 0.75, 1
        )
        yield Figure(f"{k} categories: a, rel", ((back.a - df.a) ** 2).mean() / df.a.var(), 0, 0.25)
        yield Figure(f"{k} categories: b, rel", ((back.b - df.b) ** 2).mean() / df.b.var(), 0, 0.25)


def gaussian_gaps() -> Iterator[Figure]:
    r = np.random.default_rng(123)
    w = r.normal(scale=0.5, size=(10, 10))
    r.normal(size=10)
    strong = w[:, :3] @ w[:, :3].T * 4 + 0.05 * np.eye(10)
    for name, share in (("strong", 0.3), ("strong", 0.05)):
        x = r.multivariate_normal(np.zeros(10), strong, size=1000)
        hidden = r.random(x.shape) < share
        hidden[hidden.all(1)] = False
        y = np.where(hidden, np.nan, x)
        filled = np.asarray(Autoencoder(random_state=0).fit(y).impute(y))
        other = IterativeImputer(random_state=0).fit_transform(y)
        root = [float((((f - x)[hidden]) ** 2).mean() ** 0.5) for f in (filled, other)]
        yield Figure(
            f"{name} dependence, {share:.0%} missing, rmse",
            root[0],
            0,
            0.5,
            root[1],
            "IterativeImputer",
        )


def columns_to_blame() -> Iterator[Figure]:
    rng = np.random.default_rng(0)
    w = rng.normal(size=(3, 10))
    make = lambda n: rng.normal(size=(n, 3)) @ w + 0.1 * rng.normal(size=(n, 10))  # noqa: E731
    train, test = make(1000), make(100)
    moved = rng.integers(0, 10, 100)
    test[np.arange(100), moved] += 1.5 * train.std(0)[moved]
    detector = AnomalyDetector(random_state=0).fit(train)
    yield Figure(
        "the moved column has the largest share",
        (detector.explain(test).shares.argmax(1) == moved).mean(),
        0.97,
    )


def one_to_three_columns() -> Iterator[Figure]:
    rng = np.random.default_rng(0)
    for width in (2, 3):
        x = rng.normal(size=(300, 1)) @ rng.normal(size=(1, width)) + 0.1 * rng.normal(
            size=(300, width)
        )
        codes = Autoencoder(random_state=0).fit(x).transform(x)
        yield Figure(f"codes of {width} columns", codes.shape[1], 1, width - 1)


def codes_for_a_classifier() -> Iterator[Figure]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1500, 6)) @ rng.normal(size=(6, 30)) + 0.3 * rng.normal(size=(1500, 30))
    y = (x[:, :5].sum(1) + x[:, 3] * x[:, 7] / 3 > 0).astype(int)
    train, test = slice(0, 1000), slice(1000, None)
    pca = PCA(16).fit(x[train])
    ae = Autoencoder("mlp", 16, random_state=0).fit(x[train])
    aucs = []
    for code in (ae.transform, pca.transform):
        z, new = code(x[train]), code(x[test])
        model = LogisticRegression(max_iter=5000).fit((z - z.mean(0)) / z.std(0), y[train])
        aucs.append(roc_auc_score(y[test], model.decision_function((new - z.mean(0)) / z.std(0))))
    yield Figure(
        "logistic regression on 16 codes, AUC", aucs[0], aucs[1] - 0.01, 1, aucs[1], "PCA", less=False
    )


def counts_of_uneven_depth() -> Iterator[Figure]:
    rng = np.random.default_rng(0)
    profile = rng.gamma(0.5, 1, size=200) * rng.lognormal(0, 0.6, size=(5, 200))
    group = rng.integers(0, 5, 800)
    rate = (
        profile[group]
        / profile[group].sum(1, keepdims=True)
        * rng.lognormal(np.log(150), 1, 800)[:, None]
    )
    x = rng.poisson(rate * rng.gamma(5, 0.2, size=rate.shape)).astype(float)
    x = x[:, x[:500].sum(0) > 0]
    logs = np.log1p(x / np.maximum(x.sum(1, keepdims=True), 1) * np.median(x.sum(1)))
    ae = Autoencoder("vae", 8, random_state=0, options={"likelihood": "negative_binomial"}).fit(x[:500])
    scores = []
    for z in (ae.transform(x), PCA(8, random_state=0).fit(logs[:500]).transform(logs)):
        z = (z - z[:500].mean(0)) / (z[:500].std(0) + 1e-9)
        scores.append(
            LogisticRegression(max_iter=5000).fit(z[:500], group[:500]).score(z[500:], group[500:])
        )
    yield Figure(
        "groups from codes of counts, accuracy",
        scores[0],
        0,
        1,
        scores[1],
        "PCA of log counts",
        less=False,
    )


def a_hair_outside() -> Iterator[Figure]:
    rng = np.random.default_rng(0)
    x = rng.random((300, 5))
    x[0], x[1] = 0, 1
    for how in ("columns", "unit"):
        model = Autoencoder("mlp", 2, epochs=5, random_state=0, standardize=how).fit(x)
        refused = 0
        for value in (1 + 1e-7, 1.001, 1.05, 1.3, -0.2):
            new = x[:3].copy()
            new[2, 1] = value
            try:
                refused += not np.isfinite(model.transform(new)).all()
            except ValueError:
                refused += 1
        yield Figure(f"{how}: batches of five refused for one value", refused, high=0)


def new_category() -> Iterator[Figure]:
    for seed in range(3):
        rng = np.random.default_rng(seed)
        kinds = rng.choice(["tcp", "udp", "icmp"], 600)
        sizes = rng.lognormal(3, 0.5, 600) * np.where(kinds == "tcp", 5, 1)
        frame = pd.DataFrame({"proto": kinds, "bytes": sizes, "n": rng.poisson(4, 600)})
        detector = AnomalyDetector(random_state=0).fit(frame)
        flagged = (detector.predict(frame) == -1).mean()
        usual = frame[detector.predict(frame) == 1].iloc[:100]
        new = usual.assign(proto="gre")
        found = (detector.predict(new) == -1).mean()
        yield Figure(f"seed {seed}: share of rows with a new category found", found, 1)
        yield Figure(f"seed {seed}: share of training rows called anomalous", flagged, high=0.02)
        named = np.mean([detector.explain(new).top(i, 1)[0][0] == "proto" for i in range(5)])
        yield Figure(f"seed {seed}: share of these whose first reason is its column", named, 1)


def shape_that_comes_back() -> Iterator[Figure]:
    images = load_digits().images[:200]
    recipes = ("mlp", "conv", "vae", "linear", "topk")
    for said, x in (
        ("digits", images),
        ("digits / 16", images / 16),
        ("digits, bytes", images.astype("u1")),
    ):
        others = 0
        for recipe in recipes:
            ae = Autoencoder(recipe, 4, epochs=1, random_state=0).fit(x)
            made = (ae.reconstruct(x), ae.inverse_transform(ae.transform(x)), ae.sample(200))
            others += sum(((one - x.astype(float)) ** 2).shape != x.shape for one in made)
            others += ae.sample(1).dtype != x.dtype
        yield Figure(f"{said}: results of another shape or type, {len(recipes)} recipes", others, 0, 0)


def lengths_that_differ() -> Iterator[Figure]:
    rng = np.random.default_rng(0)
    steps = [np.arange(rng.integers(20, 61)) for _ in range(400)]
    waves = [np.sin(rng.uniform(0.1, 0.4) * t + rng.uniform(0, 2 * np.pi)) for t in steps]
    train, test = waves[:320], waves[320:]
    back = Autoencoder("mlp", 4, random_state=0).fit(train).reconstruct(test)
    yield Figure("sequences of another length", sum(map(len, back)) - sum(map(len, test)), 0, 0)
    filled = [np.pad(one, (0, 60 - len(one))) for one in waves]
    pca = PCA(4).fit(filled[:320])
    lines = pca.inverse_transform(pca.transform(filled[320:]))
    error, simple = (
        np.mean(np.concatenate([(a[: len(b)] - b) ** 2 for a, b in zip(found, test, strict=True)]))
        for found in (back, lines)
    )
    yield Figure("squared error of known steps (variance 0.5)", error, 0, 0.1, simple, "zeros, PCA(4)")


CASES: dict[str, Callable[[], Iterator[Figure]]] = {
    "1": share_of_outliers,
    "2": synthetic_table,
    "4": min_max,
    "5": rates,
    "7": a_hair_outside,
    "8": new_category,
    "10": low_contrast_16_bits,
    "12": units_kept,
    "13": any_batch_exported,
    "15": few_rows,
    "17": going_on,
    "18": mixed_table,
    "19": many_categories,
    "23": gaussian_gaps,
    "24": lengths_that_differ,
    "32": columns_to_blame,
    "35": one_to_three_columns,
    "36": shape_that_comes_back,
    "codes": codes_for_a_classifier,
    "counts": counts_of_uneven_depth,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--no-record", action="store_true")
    options = parser.parse_args()
    rows = [["case", "figure", "value", "right", "simple tool", "verdict"]]
    failed = False
    for name in options.cases:
        started = time.perf_counter()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                figures = list(CASES[name]())
        except Exception as error:
            rows.append(
                [name, CASES[name].__name__, f"{type(error).__name__}: {error}"[:200], "", "", "FAIL"]
            )
            failed = True
            print(rows[-1], file=sys.stderr)
            continue
        seconds = time.perf_counter() - started
        for figure in figures:
            failed |= figure.verdict == "FAIL"
            simple = "" if figure.simple is None else f"{figure.simple:.4g} ({figure.tool})"
            rows.append(
                [name, figure.what, f"{figure.value:.4g}", figure.right, simple, figure.verdict]
            )
            if not options.no_record:
                record(
                    "reported",
                    {
                        "case": name,
                        **vars(figure),
                        "verdict": figure.verdict,
                        "low": figure.right,
                        "high": None,
                        "seconds": round(seconds, 1),
                    },
                )
        print(f"case {name}: {seconds:.0f} s", file=sys.stderr)
    print(table(rows))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
