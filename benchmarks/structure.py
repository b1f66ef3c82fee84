"""Prints how the package is built: rooms, loose modules, circles, imports upward, floors of ``data/``.

Counts every import, also those inside functions and under ``TYPE_CHECKING``.

    python benchmarks/structure.py [PATH/TO/src/autoencode]
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

SKIPPED = {"__init__", "__main__"}


def modules(root: Path) -> dict[str, Path]:
    """Dotted names below ``root`` and their files; a package bears the name of its folder."""
    found = {}
    for path in root.rglob("*.py"):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(path: Path, known: dict[str, Path], name: str) -> Iterator[str]:
    """The modules of the package that a file imports anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            wanted = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            wanted = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for full in wanted:
            if full.split(".")[0] != name:
                continue
            inner = full.removeprefix(name).lstrip(".")
            while inner not in known and "." in inner:
                inner = inner.rpartition(".")[0]
            yield inner if inner in known else ""


def arrows(root: Path) -> dict[str, set[str]]:
    """Each module and those that it imports, without itself."""
    known = modules(root)
    return {
        name: {other for other in imports(path, known, root.name) if other != name}
        for name, path in known.items()
    }


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Groups of modules that reach each other (Tarjan's strongly connected components)."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found = []

    def visit(node: str) -> None:
        order[node] = low[node] = len(order)
        stack.append(node)
        for other in sorted(graph[node]):
            if other not in order:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], order[other])
        if low[node] == order[node]:
            group = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(group) > 1:
                found.append(sorted(group))

    for node in sorted(graph):
        if node not in order:
            visit(node)
    return found


def floors(graph: dict[str, set[str]], folder: str) -> int:
    """The longest chain of imports among the files of a folder; a circle counts as one floor."""
    inside = {n: graph[n] for n in graph if n.startswith(folder + ".")}
    heights: dict[str, int] = {}
    group = {n: tuple(c) for c in circles({n: o & inside.keys() for n, o in inside.items()}) for n in c}

    def height(node: str) -> int:
        together = group.get(node, (node,))
        if node not in heights:
            below = {o for n in together for o in inside[n] if o in inside} - set(together)
            value = 1 + max((height(o) for o in below), default=0)
            heights.update(dict.fromkeys(together, value))
        return heights[node]

    return max(height(node) for node in inside)


def main() -> None:
    """Prints the figures."""
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent / "src/autoencode")
    graph = arrows(root)
    loose = sorted(p.stem for p in root.glob("*.py") if p.stem not in SKIPPED)
    folders = sorted(p.parent.name for p in root.glob("*/__init__.py"))
    upward = sorted(name for name, others in graph.items() if "" in others and name != "__main__")
    found = circles(graph)
    print(f"rooms: {len(loose) + len(folders)} ({len(folders)} folders, {len(loose)} loose modules)")
    print(f"loose modules: {', '.join(loose)}")
    print(f"circles: {len(found)}" + "".join(f"\n  {' '.join(group)}" for group in found))
    print(f"imports of the package's face from below: {len(upward)} {' '.join(upward)}")
    print(f"floors of data/: {floors(graph, 'data')}")


if __name__ == "__main__":
    main()
