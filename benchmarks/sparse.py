"""Sparse matrices: do codes separate topics as TruncatedSVD's do, and how much memory is taken.

    python benchmarks/sparse.py [--parts topics memory] [--rows 1000000] [--columns 30000]
        [--steps 20] [--transform 0]

``topics``: texts of two kinds as TF-IDF. The documentation of installed packages, whose topic is the
package, and a corpus drawn from a topic model. Codes of 16 numbers by the default recipe and by
TruncatedSVD, learned from 70 % of the texts: the accuracy of a logistic regression on the others' codes
(standardised), and k-means against the topics (normalised mutual information, the mean of three runs).

``memory``: a random matrix of words, in a process of its own: ``fit(epochs=1)``, ended after some steps
(0 for all), and ``transform`` of the first rows (``--transform``; 0 for all). The peak of the memory,
less the matrix.
"""

from __future__ import annotations

import argparse
import ast
import json
import resource
import subprocess
import sys
import sysconfig
import time
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse
from _record import record, table

from autoencode import Autoencoder, Observer

WIDTH = 16
PACKAGES = ("numpy", "scipy", "sklearn", "torch", "pandas", "matplotlib", "networkx", "sympy")
FEWEST_WORDS, TEXTS_OF_EACH = 30, 600
KIB = 1024


def documented(package: str) -> list[str]:
    """The docstrings of an installed package that are long enough to be about something."""
    found = []
    for path in sorted((Path(sysconfig.get_paths()["purelib"]) / package).rglob("*.py")):
        if "tests" in path.parts:
            continue
        try:
            tree = ast.parse(path.read_text(errors="ignore"))
        except (SyntaxError, ValueError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module):
                text = ast.get_docstring(node)
                if text and len(text.split()) >= FEWEST_WORDS:
                    found.append(text)
    chosen = np.random.default_rng(0).permutation(len(found))[:TEXTS_OF_EACH]
    return [found[i] for i in chosen]


def documentation(min_df: int) -> tuple[Any, np.ndarray]:
    """TF-IDF of docstrings, and the number of the package that each is of."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts = [documented(package) for package in PACKAGES]
    topics = np.repeat(np.arange(len(texts)), [len(some) for some in texts])
    words = TfidfVectorizer(min_df=min_df, stop_words="english")
    return words.fit_transform([text for some in texts for text in some]), topics


def topic_model(n: int = 3000, n_words: int = 4000, n_topics: int = 10) -> tuple[Any, np.ndarray]:
    """TF-IDF of texts drawn from a topic model, and the chief topic of each."""
    from sklearn.feature_extraction.text import TfidfTransformer

    rng = np.random.default_rng(0)
    words = rng.dirichlet(np.full(n_words, 0.05), n_topics)
    common = rng.dirichlet(np.full(n_words, 0.05))  # what is said whatever it is about
    shares = rng.dirichlet(np.full(n_topics, 0.15), n)
    chances = 0.4 * shares @ words + 0.6 * common
    lengths = rng.integers(30, 120, n)
    counts = [rng.multinomial(length, chance) for length, chance in zip(lengths, chances, strict=True)]
    return TfidfTransformer().fit_transform(scipy.sparse.csr_array(np.array(counts))), shares.argmax(1)


def judged(
    codes: np.ndarray, topics: np.ndarray, train: np.ndarray, rest: np.ndarray
) -> dict[str, float]:
    """How well codes (N, Z) separate topics."""
    from sklearn.cluster import KMeans
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import normalized_mutual_info_score
    from sklearn.preprocessing import StandardScaler

    scaled = StandardScaler().fit(codes[train]).transform(codes)
    model = LogisticRegression(max_iter=2000).fit(scaled[train], topics[train])
    found = [
        normalized_mutual_info_score(
            topics, KMeans(len(set(topics)), n_init=5, random_state=seed).fit_predict(codes)
        )
        for seed in range(3)
    ]
    return {"accuracy": model.score(scaled[rest], topics[rest]), "nmi": float(np.mean(found))}


def measure_topics(min_df: int, recipes: list[str]) -> None:
    from sklearn.decomposition import TruncatedSVD
    from sklearn.model_selection import train_test_split

    rows = [["texts", "codes", "accuracy", "NMI", "seconds"]]
    corpora = {"documentation": documentation(min_df), "topic model": topic_model()}
    for name, (x, topics) in corpora.items():
        train, rest = train_test_split(
            np.arange(len(topics)), test_size=0.3, random_state=0, stratify=topics
        )
        makers = {"TruncatedSVD": TruncatedSVD(WIDTH, random_state=0)}
        makers |= {recipe: Autoencoder(recipe, WIDTH, random_state=0) for recipe in recipes}
        for maker, made in makers.items():
            start = time.perf_counter()
            codes = made.fit(x[train]).transform(x)
            seconds = time.perf_counter() - start
            figures = judged(codes, topics, train, rest)
            described = f"{name}, {x.shape[0]} x {x.shape[1]}"
            row = {"part": "topics", "texts": described, "codes": maker, **figures, "seconds": seconds}
            record("sparse", row)
            cells = [f"{figures['accuracy']:.3f}", f"{figures['nmi']:.3f}", f"{seconds:.0f}"]
            rows.append([described, maker, *cells])
            print(rows[-1], flush=True)
    print(table(rows))


def words(n: int, n_columns: int, density: float) -> Any:
    """A random matrix of words (n, n_columns): float32, some words far more often than others."""
    rng = np.random.default_rng(0)
    each, step = max(1, round(density * n_columns)), 10_000
    indices, values = np.empty(n * each, np.int32), np.empty(n * each, np.float32)
    indptr, end = np.zeros(n + 1, np.int64), 0
    for start in range(0, n, step):
        rows = min(step, n - start)
        drawn = np.sort((n_columns * rng.random((rows, each)) ** 2).astype(np.int32), axis=1)
        first = np.diff(drawn, axis=1, prepend=-1) > 0  # each word of a text once
        kept = int(first.sum())
        indices[end : end + kept] = drawn[first]
        values[end : end + kept] = rng.random(kept, dtype=np.float32) + 0.1
        indptr[start + 1 : start + rows + 1] = end + np.cumsum(first.sum(1))
        end += kept
    parts = (values[:end].copy(), indices[:end].copy(), indptr.astype(np.int32))
    return scipy.sparse.csr_array(parts, shape=(n, n_columns))


class Ends(Observer):
    """Ends training after some steps; 0 for none."""

    def __init__(self, steps: int) -> None:
        self.steps, self.taken = steps, 0

    def step(self, step: int) -> None:
        self.taken = step

    def stop(self) -> bool:
        return bool(self.steps) and self.taken >= self.steps


def peak() -> int:
    """Bytes at most in memory so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KIB


def fit_and_transform(n: int, n_columns: int, density: float, steps: int, rows: int) -> dict[str, Any]:
    """What ``memory`` measures, in this process."""
    x = words(n, n_columns, density)
    size = x.data.nbytes + x.indices.nbytes + x.indptr.nbytes
    made, start = peak(), time.perf_counter()
    watch = Ends(steps)
    model = Autoencoder(n_components=WIDTH, epochs=1, random_state=0, observer=watch).fit(x)
    fitted, middle = peak(), time.perf_counter()
    rows = rows or n
    codes = model.transform(x if rows == n else x[:rows])
    assert codes.shape == (rows, WIDTH)
    assert np.isfinite(codes).all()
    return {
        "matrix": f"{n} x {n_columns}, {x.nnz / n / n_columns:.2%}",
        "matrix_bytes": size,
        "steps": watch.taken,
        "transformed": rows,
        "made_peak": made,
        "fit_peak": fitted,
        "peak": peak(),
        "fit_seconds": middle - start,
        "transform_seconds": time.perf_counter() - middle,
    }


def measure_memory(arguments: argparse.Namespace) -> None:
    names = ("rows", "columns", "density", "steps", "transform")
    asked = [str(getattr(arguments, name)) for name in names]
    done = subprocess.run(
        [sys.executable, __file__, "--serve", *asked], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    found = json.loads(done.stdout.splitlines()[-1])
    found["above_matrix_gb"] = (found["peak"] - found["matrix_bytes"]) / 1e9
    record("sparse", {"part": "memory", **found})
    print(json.dumps(found, indent=1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--parts", nargs="+", default=["topics", "memory"])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--columns", type=int, default=30_000)
    parser.add_argument("--density", type=float, default=0.002)
    parser.add_argument("--steps", type=int, default=20, help="of training; 0 for all of an epoch")
    parser.add_argument("--transform", type=int, default=0, help="rows; 0 for all")
    parser.add_argument("--min-df", type=int, default=2, help="texts that a word must be in")
    parser.add_argument("--recipes", nargs="+", default=["auto"])
    parser.add_argument("--serve", nargs=5)
    arguments = parser.parse_args()
    if arguments.serve:
        n, n_columns, density, steps, rows = arguments.serve
        found = fit_and_transform(int(n), int(n_columns), float(density), int(steps), int(rows))
        print(json.dumps(found))
        return
    if "topics" in arguments.parts:
        measure_topics(arguments.min_df, arguments.recipes)
    if "memory" in arguments.parts:
        measure_memory(arguments)


if __name__ == "__main__":
    main()
