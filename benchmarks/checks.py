"""scikit-learn's own checks of our estimators: how many pass, are skipped, fail.

The estimators are those of ``tests/estimators/test_estimator_checks.py``, where one check that is
skipped or fails is a failure. PyOD's AutoEncoder goes through the same checks where it is installed.

    python benchmarks/checks.py
"""

from __future__ import annotations

import os
import sys
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

os.environ["SCIPY_ARRAY_API"] = "1"  # read when scikit-learn is imported; without it a check is skipped

import sklearn
from _record import record, table
from sklearn.utils.estimator_checks import check_estimator

STATES = ("passed", "skipped", "failed", "xfail")


def ours() -> list[Any]:
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    from test_estimator_checks import ESTIMATORS

    return list(ESTIMATORS)


def theirs() -> list[Any]:
    try:
        from pyod.models.auto_encoder import AutoEncoder
    except ImportError:
        return []
    return [AutoEncoder(epoch_num=2, verbose=0)]


def measure(estimator: Any) -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = check_estimator(estimator, on_skip=None, on_fail=None)
    counts = Counter(result["status"] for result in results)
    shown = " ".join(str(estimator).split())
    return {"estimator": shown, **{state: counts[state] for state in STATES}}


def main() -> None:
    lines = [["estimator", *STATES]]
    for estimator in (*ours(), *theirs()):
        row = measure(estimator)
        record("checks", {**row, "scikit-learn": sklearn.__version__})
        lines.append([row["estimator"], *(str(row[state]) for state in STATES)])
    print(table(lines))


if __name__ == "__main__":
    main()
