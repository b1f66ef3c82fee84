"""What the package promises: its names, their documentation, and how fast it starts."""

import doctest
import importlib
import inspect
import pkgutil
import random
import subprocess
import sys

import numpy as np
import pytest
import torch

import autoencode

MODULES = sorted(
    info.name
    for info in pkgutil.walk_packages(autoencode.__path__, "autoencode.")
    if not info.name.endswith("__main__")
)
NAMES = [name for name in autoencode.__all__ if name != "__version__"]

# A change of this list is a change of the public API: say so in CHANGELOG.md.
PUBLIC = [
    *("AnomalyDetector", "AutoencodeError", "Autoencoder", "AutoencoderModule", "Batch", "DataSpec"),
    *(
        "Denoiser",
        "DoctorWarning",
        "Observer",
        "Progress",
        "RECIPES",
        "Recipe",
        "Run",
        "Stepper",
        "Trained",
    ),
    *("TrainingPlan", "Update"),
    "__version__",
    *("build", "explore", "fit", "fit_prior", "load", "load_data", "load_trained", "recipe"),
    *("reconstruction_scorer", "resume", "train"),
]


def test_the_public_names_are_these():
    assert sorted(autoencode.__all__) == PUBLIC
    assert dir(autoencode) == PUBLIC
    assert len(set(autoencode.__all__)) == len(autoencode.__all__)


@pytest.mark.parametrize("name", NAMES)
def test_every_name_resolves_to_what_its_home_has(name):
    value = getattr(autoencode, name)
    assert value is getattr(importlib.import_module(autoencode._HOMES[name]), name)
    assert value is getattr(autoencode, name)


def test_no_name_is_that_of_a_module():
    """Importing the module would put it in the name's place."""
    modules = {info.name for info in pkgutil.iter_modules(autoencode.__path__)}
    assert not modules & set(autoencode.__all__)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = autoencode.nonsense


def test_type_checkers_see_the_same_names():
    source = inspect.getsource(autoencode)
    for name, home in autoencode._HOMES.items():
        assert f"    from {home} import {name} as {name}\n" in source


@pytest.mark.parametrize("name", [name for name in NAMES if name != "RECIPES"])
def test_every_public_name_is_documented(name):
    value = getattr(autoencode, name)
    assert (inspect.getdoc(value) or "").strip()
    if inspect.isclass(value):
        for method, function in vars(value).items():
            if not method.startswith("_") and inspect.isfunction(function):
                assert inspect.getdoc(function), f"{name}.{method}"


@pytest.mark.parametrize("module", MODULES)
def test_every_module_and_its_public_parts_are_documented(module):
    loaded = importlib.import_module(module)
    assert (loaded.__doc__ or "").strip()
    for name, value in vars(loaded).items():
        own = getattr(value, "__module__", None) == module
        if own and not name.startswith("_") and inspect.isclass(value):
            assert (inspect.getdoc(value) or "").strip(), f"{module}.{name}"


@pytest.mark.parametrize("module", ["autoencode", *MODULES])
def test_the_examples_in_the_documentation_run(module, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002  an estimator without random_state draws from it
    loaded = importlib.import_module(module)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        names = {"torch": torch, "np": np}
        failed, _ = doctest.testmod(
            loaded, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE, extraglobs=names
        )
    assert failed == 0
    assert list(tmp_path.iterdir()) == []


def python(*arguments):
    return subprocess.run(
        [sys.executable, *arguments], check=True, capture_output=True, text=True
    ).stdout


@pytest.mark.parametrize("start", ["import autoencode", "import autoencode.cli"])
def test_importing_loads_nothing_heavy(start):
    heavy = ["torch", "numpy", "sklearn", "scipy", "matplotlib", "PIL", "jinja2", "safetensors", "rich"]
    code = f"{start}, sys; print([name for name in {heavy} if name in sys.modules])"
    assert python("-c", code).strip() == "[]"


@pytest.mark.parametrize("start", [("-c", "import autoencode"), ("-m", "autoencode", "--help")])
def test_starting_loads_few_modules(start):
    """Work is counted, for a clock would measure the machine; benchmarks/imports.py has one."""
    listed = subprocess.run(
        [sys.executable, "-X", "importtime", *start], check=True, capture_output=True, text=True
    ).stderr
    modules = {line.rpartition("|")[2].strip() for line in listed.splitlines()}
    assert len(modules) < 200
