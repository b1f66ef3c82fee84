"""Threads that call at once get what each would get alone."""

import ast
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

import autoencode
from autoencode import Autoencoder, DataSpec, build
from autoencode.data import Examples, Resident
from autoencode.errors import own_warnings
from autoencode.recipes import RECIPES
from autoencode.trained import Trained
from autoencode.training import Observer, fit

CPU = torch.device("cpu")
N = 8  # threads
IMAGES = np.random.default_rng(0).random((16, 1, 8, 8)).astype(np.float32)
ROWS = IMAGES.reshape(16, 64)
LABELS = np.array(["a", "b"] * 8)
CLASSES = {"cvae": None, "m2_vae": 0.5}  # and the share that is known


def at_once(functions):
    """What the functions return, each called in a thread of its own at the same moment."""
    barrier = threading.Barrier(len(functions))

    def call(function):
        barrier.wait()
        return function()

    with ThreadPoolExecutor(len(functions)) as pool:
        return list(pool.map(call, functions))


def data_for(recipe):
    if recipe not in CLASSES:
        return DataSpec((1, 8, 8)), Examples(IMAGES)
    spec = DataSpec((1, 8, 8), classes=("a", "b"), context_dim=2, labelled=CLASSES[recipe])
    return spec, Examples(IMAGES, labels=LABELS)


def started(recipe, seed=1):
    """A model as it starts, with examples: what other threads do to it shows without training."""
    spec, examples = data_for(recipe)
    built = build(recipe, spec, seed=seed)
    built.model.eval()
    return Trained(built), examples


def same(found, expected):
    """But for the last bits, which hang on memory on some processors; noise of another call differs."""
    return all(np.allclose(a, b, rtol=1e-5, atol=2e-6) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize(
    "recipe",
    [
        *("vae", "cvae", "m2_vae", "flow_vae", "vmf_vae", "gumbel_vae", "mog_vae", "ladder_vae"),
        *("vdvae", "mae", "vqvae"),
    ],
)
def test_a_shared_model_gives_every_thread_what_it_gives_one(recipe):
    trained, x = started(recipe)

    def calls(seed):
        found = [trained.score_samples(x, 4, seed), trained.embed(x)]
        return [*found, trained.sample(3, seed)] if trained.model.prior is not None else found

    state = torch.get_rng_state()
    expected = [calls(seed) for seed in range(N)]
    for _ in range(2):
        found = at_once([lambda seed=seed: calls(seed) for seed in range(N)])
        assert all(map(same, found, expected))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("recipe", "options"),
    [
        ("vae", {}),
        ("mlp", {"dropout": 0.3, "noise": "gaussian"}),
        ("conv", {"dropout": 0.3}),
        ("vqvae", {}),
        ("factor_vae", {}),
    ],
)
def test_fits_at_once_give_what_each_gives_alone(recipe, options):
    def fitted(seed):
        x = IMAGES[:, 0] if recipe in ("conv", "vqvae") else ROWS
        model = Autoencoder(recipe, options=options, epochs=2, batch_size=8, random_state=seed)
        model.fit(x)
        return [model.transform(x), model.score_samples(x), model.sample(2, seed)]

    state = torch.get_rng_state()
    expected = [fitted(seed) for seed in range(4)]
    found = at_once([lambda seed=seed: fitted(seed) for seed in range(4)])
    assert all(map(same, found, expected))
    assert torch.equal(torch.get_rng_state(), state)


def test_two_fits_can_show_their_progress(capsys):
    def fitted(seed):
        return Autoencoder("mlp_small", epochs=2, random_state=seed, verbose=True).fit(ROWS)

    alone = [fitted(seed).transform(ROWS) for seed in range(2)]
    together = [m.transform(ROWS) for m in at_once([lambda s=s: fitted(s) for s in range(2)])]
    assert same(together, alone)


def test_what_other_threads_draw_from_torch_changes_nothing_and_is_left_alone():
    trained, x = started("vae")
    expected, done = trained.score_samples(x), threading.Event()

    def draw():
        drawn = []
        while not done.is_set() or len(drawn) < 10:
            drawn.append(torch.rand(3))
        return torch.stack(drawn)

    def score():
        try:
            return [trained.score_samples(x) for _ in range(20)]
        finally:
            done.set()

    torch.manual_seed(3)
    drawn, scores = at_once([draw, score])
    assert same(scores, [expected] * 20)
    torch.manual_seed(3)
    assert torch.equal(drawn, torch.stack([torch.rand(3) for _ in drawn]))


class Watches(Observer):
    def __init__(self):
        self.states = []

    def step(self, step):
        self.states.append(torch.get_rng_state())


@pytest.mark.parametrize("recipe", RECIPES)
def test_no_part_of_a_recipe_draws_from_the_process(recipe, monkeypatch):
    def borrows(*args, **kwargs):
        pytest.fail("torch's default generator was borrowed")

    monkeypatch.setattr(torch.random, "fork_rng", borrows)
    state = torch.get_rng_state()
    trained, x = started(recipe)
    built, watches = trained.recipe, Watches()
    source = Resident(x, built.spec, CPU)
    plan = built.with_plan(epochs=1, min_steps=0, batch_size=8, precision="float32").plan
    fit(built.model, built.updates, source, plan, helpers=built.helpers, observer=watches)
    assert watches.states
    trained.score_samples(x)
    if built.model.prior is not None:
        trained.sample(2)
    assert all(torch.equal(one, state) for one in [*watches.states, torch.get_rng_state()])


DRAWS = {
    *("rand", "randn", "rand_like", "randn_like", "randint", "randperm", "normal", "bernoulli"),
    *("multinomial", "poisson", "manual_seed", "fork_rng", "bernoulli_", "normal_", "uniform_"),
    *("exponential_", "dropout", "dropout2d"),
}


def draws_by_itself(call):
    """Whether a call is one of torch that draws from the process's generator."""
    called, given = ast.unparse(call.func), {keyword.arg for keyword in call.keywords}
    if called.startswith(("nn.Dropout", "torch.distributions.")):
        return "MultivariateNormal" not in called  # whose draws are made beside it
    of_torch = called.startswith(("torch.", "F.", "nn.functional.")) or called.endswith("_")
    own_generator = "generator" in given or "Generator()" in called
    return of_torch and called.rpartition(".")[2] in DRAWS and not own_generator


def draws_of(path):
    """Where a file draws from the process's generator, outside of what builds networks."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    building = set()
    for node in ast.walk(tree):
        init = isinstance(node, ast.FunctionDef) and node.name == "__init__"
        if init or (isinstance(node, ast.Call) and ast.unparse(node.func) == "nn.Parameter"):
            building |= set(ast.walk(node))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node not in building and draws_by_itself(node):
            yield f"{path.name}:{node.lineno} {ast.unparse(node.func)}"


def test_every_draw_goes_through_randomness():
    root = Path(autoencode.__file__).parent
    files = [path for path in root.rglob("*.py") if path.parent.name != "randomness"]
    found = [line for path in files for line in draws_of(path)]
    assert found == []


def test_filters_of_warnings_are_put_back_by_threads_that_overlap():
    import warnings

    before, inside = list(warnings.filters), threading.Event()

    def first():
        with own_warnings():
            warnings.simplefilter("ignore")
            inside.wait(0.2)

    def second():
        with own_warnings():
            warnings.simplefilter("always")
            inside.set()

    at_once([first, second])
    assert warnings.filters == before
