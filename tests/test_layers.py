"""Who may import whom: the arrows of docs/architecture.md, read from the source."""

import ast
from pathlib import Path

import pytest

import autoencode

ROOT = Path(autoencode.__file__).parent
PARTS = {"nets", "likelihoods", "mixed", "priors", "bottlenecks"}
CORE = {"types", "errors", "randomness", "parallel", "launch"}
BELOW_RECIPES = CORE | PARTS | {"distributions", "densities", "models", "objectives", "training"}
BELOW_TRAINED = BELOW_RECIPES | {"recipes", "data", "files"}

# What each top-level module or package may import of ours, besides itself.
ALLOWED = {
    "errors": set(),
    "launch": {"errors"},
    "parallel": {"errors", "launch"},
    "randomness": {"parallel"},
    "types": {"errors"},
    "files": {"errors"},
    "sealed": {"errors"},
    "distributions": {"types", "randomness"},
    "densities": CORE | {"distributions"},
    **dict.fromkeys(PARTS, CORE | {"distributions", "densities"}),
    "models": CORE,
    "objectives": CORE | {"distributions"},
    "training": CORE | {"distributions"},
    "recipes": BELOW_RECIPES,
    "data": CORE | {"files"},
    "fitting": BELOW_TRAINED,
    "trained": BELOW_TRAINED | {"fitting"},
    "io": BELOW_TRAINED | {"sealed", "fitting", "trained", "__version__"},
    "checkpoints": CORE | {"files", "sealed", "training"},
    "claims": CORE | {"checkpoints", "files", "io"},
    "shards": BELOW_TRAINED | {"trained"},
    "past": BELOW_TRAINED | {"trained", "fitting", "io", "evaluate"},
    "evaluate": BELOW_TRAINED | {"trained", "io"},
    "record": BELOW_TRAINED | {"sealed", "trained", "io", "evaluate", "past"},
    "runs": BELOW_TRAINED
    | {*("sealed", "trained", "io", "checkpoints", "claims", "evaluate", "past", "record")},
    "console": set(),
    "progress": CORE | {"console", "training"},
    "outputs": BELOW_TRAINED | {"trained", "past", "evaluate"},
    "jobs": BELOW_TRAINED | {"evaluate", "anomaly", "trained", "io", "past", "outputs", "estimators"},
    "anomaly": BELOW_TRAINED | {"trained"},
    "estimators": BELOW_TRAINED
    | {"trained", "anomaly", "io", "sealed", "checkpoints", "evaluate", "runs", "progress"}
    | {"__version__"},
    "cli": BELOW_TRAINED
    | {"trained", "io", "evaluate", "past", "record", "runs", "shards", "estimators", "console"}
    | {"progress", "outputs", "jobs", "__version__"},
    "__main__": {"cli"},
    # It names everything and imports nothing until it is asked to.
    "__init__": BELOW_TRAINED | {"trained", "io", "evaluate", "runs", "estimators"},
}

# The only places for each of these libraries.
OUTSIDE = {
    "sklearn": {
        "estimators",
        "data/catalogue",
        "priors/fitted",
        "evaluate/disentanglement",
        "evaluate/representation",
    },
    "click": {"cli"},
    "rich": {"progress"},
    "matplotlib": {"evaluate"},
    "jinja2": {"evaluate"},
    "safetensors": {"io", "checkpoints"},
    "filelock": {"checkpoints"},
    "PIL": {"data/images", "outputs"},
}

MODULES = sorted(path.relative_to(ROOT).with_suffix("").as_posix() for path in ROOT.rglob("*.py"))


def imports(module):
    """The (name, depth in functions) of everything that a module imports, in full."""
    tree = ast.parse((ROOT / f"{module}.py").read_text(encoding="utf-8"))
    lazy = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, id(node) in lazy) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import"
            assert node.module is not None
            if node.module == "autoencode":
                yield from ((f"autoencode.{alias.name}", id(node) in lazy) for alias in node.names)
            else:
                yield node.module, id(node) in lazy


def top(module):
    return module.split("/")[0]


def test_every_module_has_a_rule():
    assert {top(module) for module in MODULES} == set(ALLOWED)


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_what_lies_below_it(module):
    ours = {name.split(".")[1] for name, _ in imports(module) if name.startswith("autoencode.")}
    wrong = ours - ALLOWED[top(module)] - {top(module)}
    assert not wrong, f"{module} imports {', '.join(sorted(wrong))}"


@pytest.mark.parametrize("module", MODULES)
def test_a_library_is_imported_only_in_its_place(module):
    for name, lazy in imports(module):
        places = OUTSIDE.get(name.split(".")[0])
        if places is None:
            continue
        assert places & {module, top(module)}, f"{module} imports {name}"
        if name.startswith("sklearn") and top(module) != "estimators":
            assert lazy, f"{module} imports {name} before it is needed"


def test_the_rules_have_no_cycle_but_the_names_of_the_package():
    """So that the table above is an order, whatever it allows."""
    left = {name: set(allowed) - {"__version__"} for name, allowed in ALLOWED.items()}
    while left:
        free = [name for name, allowed in left.items() if not allowed & left.keys()]
        assert free, f"a cycle among {sorted(left)}"
        for name in free:
            del left[name]
