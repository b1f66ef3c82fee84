"""How much code a named model takes: lines of the recipes, and of the parts that they share.

Lines that hold code: no blank lines, comments or docstrings. A recipe's own lines are those of its
function; what several recipes share in ``recipes/`` is counted once, below.

    python benchmarks/lines.py [--each]
"""

from __future__ import annotations

import argparse
import ast
import inspect
import statistics
import textwrap
from pathlib import Path

from _record import table

import autoencode
from autoencode.recipes import RECIPES

ROOT = Path(autoencode.__file__).parent
PARTS = (
    *("nets", "likelihoods", "bottlenecks", "priors", "distributions", "models", "objectives"),
    *("randomness", "training"),
)


def lines_of_code(source: str) -> int:
    """How many lines of a module hold code.

    >>> lines_of_code("def f(x):\\n\\n    # why\\n    return x")
    2
    """
    kept: set[int] = set()
    tree = ast.parse(source)
    said = {id(node.body[0]) for node in ast.walk(tree) if _docstring(node)}
    text = source.splitlines()
    for node in tree.body:
        kept |= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
        kept |= {d.lineno for d in getattr(node, "decorator_list", ())}
    for node in ast.walk(tree):
        if id(node) in said:
            kept -= set(range(node.lineno, node.end_lineno + 1))  # type: ignore[attr-defined]
    return sum(bool(text[i - 1].strip()) and not text[i - 1].strip().startswith("#") for i in kept)


def _docstring(node: ast.AST) -> bool:
    holds = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    return isinstance(node, holds) and ast.get_docstring(node, clean=False) is not None


def lines_under(part: str) -> tuple[int, int]:
    """Files and lines of code of a package, or of a module."""
    folder = ROOT / part
    files = sorted(folder.rglob("*.py")) if folder.is_dir() else [folder.with_suffix(".py")]
    return len(files), sum(lines_of_code(file.read_text(encoding="utf-8")) for file in files)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--each", action="store_true", help="the lines of every recipe")
    each = parser.parse_args().each
    own = {
        name: lines_of_code(textwrap.dedent(inspect.getsource(info.function)))
        for name, info in RECIPES.items()
    }
    if each:
        print(table([["recipe", "lines"], *[[name, str(n)] for name, n in own.items()]]))
        return
    files, total = lines_under("recipes")
    values = sorted(own.values())
    rows = [
        [f"the functions of {len(own)} recipes", "", str(sum(values))],
        ["one of them (median; largest)", "", f"{statistics.median(values):g}; {values[-1]}"],
        ["what they share in recipes/", "", str(total - sum(values))],
        ["recipes/ in all", str(files), str(total)],
    ]
    for part in PARTS:
        files, lines = lines_under(part)
        rows.append([f"{part}/" if (ROOT / part).is_dir() else part, str(files), str(lines)])
    print(table([["what", "files", "lines of code"], *rows]))


if __name__ == "__main__":
    main()
