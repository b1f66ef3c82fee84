"""Who may import whom: the arrows of docs/architecture.md, read from the source.

Every import counts, also those inside functions and under ``TYPE_CHECKING``.
"""

import ast
import importlib.util
from pathlib import Path

import pytest

import autoencode

ROOT = Path(autoencode.__file__).parent
HOUSE = Path(__file__).parents[2]

# From the bottom to the top: a part imports only what stands on lines above its own.
FLOORS = (
    {"errors", "version"},
    {"launch", "limits", "types", "files"},
    {"dtypes"},
    {"reading"},
    {"parallel"},
    {"randomness"},
    {"distributions"},
    {"nets", "likelihoods", "priors", "bottlenecks"},
    {"models", "objectives", "training", "data", "export"},
    {"recipes", "console"},
    {"trained"},
    {"evaluate", "anomaly"},
    {"pictures"},
    {"runs", "estimators"},
    {"jobs"},
    {"explorer"},
    {"cli"},
)
# What a part may not see although it stands lower: parts are put together by recipes alone, the loop
# and the objectives know a model by its protocol, and data know nothing of models.
BLIND = {
    "objectives": {"nets", "likelihoods", "priors", "bottlenecks"},
    "training": {"nets", "likelihoods", "priors", "bottlenecks"},
    "models": {"nets", "likelihoods", "priors", "bottlenecks", "distributions"},
    "data": {"nets", "likelihoods", "priors", "bottlenecks", "distributions"},
    "recipes": {"data"},
    "console": {"data", "models", "objectives", "distributions"},
}

# The only places for each of these libraries.
OUTSIDE = {
    "sklearn": {
        "estimators",
        "data/formats/named",
        "priors/fitted",
        "evaluate/disentanglement",
        "evaluate/representation",
    },
    "click": {"cli"},
    "rich": {"console/progress"},
    "matplotlib": {"pictures"},
    "jinja2": {"pictures"},
    "safetensors": {"trained/model_files", "training/checkpoints"},
    "filelock": {"training/checkpoints"},
    "PIL": {"data/formats/image_pixels", "jobs/picture_files"},
}

MODULES = sorted(path.relative_to(ROOT).with_suffix("").as_posix() for path in ROOT.rglob("*.py"))


def structure():
    spec = importlib.util.spec_from_file_location("structure", HOUSE / "benchmarks/structure.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


STRUCTURE = structure()
ARROWS = STRUCTURE.arrows(ROOT)


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
            yield node.module, id(node) in lazy


def room(name):
    """The part that a module (``data.formats.npy``) belongs to."""
    return name.split(".")[0]


def floor(name):
    return next((i for i, rooms in enumerate(FLOORS) if name in rooms), None)


INSIDE = sorted(name for name in ARROWS if room(name) not in ("", "__main__"))


def test_every_part_has_a_floor():
    assert {room(name) for name in INSIDE} == set().union(*FLOORS)


@pytest.mark.parametrize("name", INSIDE)
def test_a_module_imports_only_what_lies_below_it(name):
    own = room(name)
    for other in ARROWS[name]:
        theirs = room(other)
        if theirs == own:
            continue
        assert theirs, f"{name} imports the face of the package"
        assert floor(theirs) < floor(own), f"{name} imports {other}"
        assert theirs not in BLIND.get(own, ()), f"{name} imports {other}"


def test_the_face_of_the_package_imports_nothing_of_it_but_its_version():
    lazy_or_types = {
        node.module
        for node in ast.parse((ROOT / "__init__.py").read_text(encoding="utf-8")).body
        if isinstance(node, ast.ImportFrom)
    }
    assert {n for n in lazy_or_types if n.startswith("autoencode")} == {"autoencode.version"}


def test_no_modules_import_each_other_in_a_circle():
    assert STRUCTURE.circles(ARROWS | {"": set()}) == []


def test_few_modules_stand_outside_of_folders():
    assert len([m for m in MODULES if "/" not in m and not m.startswith("__")]) <= 6


def test_data_has_six_floors_at_most():
    assert STRUCTURE.floors(ARROWS, "data") <= 6


# A basename may stand in two folders where it means the same in both.
SAME_EVERYWHERE = {
    *("adversarial", "bounds", "columns", "deterministic", "gaussian", "hamiltonian", "hierarchy"),
    *("hyperbolic", "masked", "quantised", "sparse", "spherical"),  # a family, and its parts
    *("anomalies", "denoise", "embed", "export", "impute"),  # a command, and its job
    *("labels", "codes", "binarize", "options", "learned", "fit", "loading", "autoencoder"),
}


def test_a_basename_means_one_thing():
    seen = {}
    for module in MODULES:
        folder, _, name = module.rpartition("/")
        if name != "__init__":
            seen.setdefault(name, []).append(folder)
    twice = {name for name, folders in seen.items() if len(folders) > 1}
    assert twice <= SAME_EVERYWHERE


@pytest.mark.parametrize("module", MODULES)
def test_a_library_is_imported_only_in_its_place(module):
    for name, lazy in imports(module):
        places = OUTSIDE.get(name.split(".")[0])
        if places is None:
            continue
        assert places & {module, module.split("/")[0]}, f"{module} imports {name}"
        if name.startswith("sklearn") and module.split("/")[0] != "estimators":
            assert lazy, f"{module} imports {name} before it is needed"
