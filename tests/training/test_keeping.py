"""Which weights training leaves: those of the last step, or the best on held-out examples."""

import copy
import json

import pytest
import torch
from torch import nn

from autoencode.bottlenecks import Plain
from autoencode.data import Examples, Resident
from autoencode.likelihoods import Gaussian
from autoencode.models import AutoencoderModule
from autoencode.objectives import Linear, WeightedSum, mean_squared_error
from autoencode.objectives.terms import ANY, NamedTerm
from autoencode.randomness import seeded
from autoencode.training import Observer, Stepper, TrainingPlan, TrainingState, Update, fit
from autoencode.training.best import Best, gain_is_sure
from autoencode.training.loop import evaluate_losses
from autoencode.training.state import Position
from autoencode.types import DataSpec, Progress

MSE = WeightedSum({"mse": mean_squared_error})
SPEC = DataSpec((6,), "real")


def rows(n, seed):
    g = torch.Generator().manual_seed(seed)
    factors, loadings = torch.randn(n, 2, generator=g), torch.randn(2, 6, generator=torch.Generator())
    x = factors @ loadings + 0.3 * torch.randn(n, 6, generator=g)
    return Resident(Examples(x.numpy()), SPEC)


TRAIN, HELD_OUT = rows(60, 0), rows(40, 1)


def model(seed=0):
    with seeded(seed):
        encoder = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 2))
        return AutoencoderModule(encoder, nn.Linear(2, 6), Plain(), Gaussian(1))


def trained(made, objective=MSE, **more):
    more = {"epochs": 12, "batch_size": 16, "lr": 0.03, "keep": "best"} | more
    given = {name: more.pop(name) for name in ("observer", "keeper", "resume") if name in more}
    plan = TrainingPlan(**more)
    return fit(made, [Update(objective, (made,))], TRAIN, plan, validation=HELD_OUT, **given)


def evaluated(made, objective=MSE):
    return evaluate_losses(made, objective, HELD_OUT, Progress(1, 1))


def loss(made, objective=MSE):
    return evaluated(made, objective)["loss"]


def weights(made):
    return {name: t.clone() for name, t in made.state_dict().items()}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


class Notices(Observer):
    def __init__(self):
        self.said = []

    def notice(self, text):
        self.said.append(text)


@pytest.mark.parametrize("lr", [1e-3, 0.03, 3.0])
@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_the_end_is_never_worse_than_the_start(lr, ema):
    made = model()
    start = loss(made)
    records = trained(made, lr=lr, ema=ema)
    lowest = min([start, *(record.validation["loss"] for record in records)])
    # Among epochs that are surely better the lowest counts, and here each that is better is surely so.
    assert loss(made) == pytest.approx(lowest, rel=1e-5)


@pytest.mark.parametrize(
    ("losses", "sure"),
    [
        ([0.9] * 8, True),
        ([1.0] * 8, False),
        ([0.1, *[1.02] * 7], False),  # one row's luck
        ([0.9] * 7 + [1.1], True),
        ([0.9] * 6 + [1.1] * 2, False),
        ([0.99] * 7 + [100.0], True),  # whose mean the other condition looks at
    ],
)
def test_a_gain_is_sure_where_most_parts_have_it(losses, sure):
    assert gain_is_sure([1.0] * 8, losses) == sure


def test_a_gain_that_may_be_luck_leaves_the_start():
    made = model()
    first = weights(made)
    best = Best(Stepper(made, [Update(MSE, (made,))], TrainingPlan().make_optimizer))
    at = Position()
    best.begin(at, 1.0, [1.0, 1.0, 1.0])
    with torch.no_grad():
        made.decoder.weight.zero_()
    at.epoch = 1
    best.compare(at, 0.7, lambda: [0.1, 0.98, 1.02])
    assert (at.best, at.best_epoch, at.kept, at.kept_epoch) == (0.7, 1, 1.0, 0)
    at.epoch = 2
    best.compare(at, 0.9, lambda: [0.9, 0.88, 0.92])
    assert (at.best, at.best_epoch, at.kept, at.kept_epoch) == (0.7, 1, 0.9, 2)
    assert not made.decoder.weight.any()
    at.epoch = 3
    made.load_state_dict(first)
    best.compare(at, 0.95, lambda: [0.95, 0.95, 0.95])
    best.put()
    assert not made.decoder.weight.any()


def test_a_start_that_nothing_beats_is_kept_and_said():
    made, observer = model(), Notices()
    first = weights(made)
    trained(made, lr=30.0, observer=observer)
    assert same(weights(made), first)
    assert [text for text in observer.said if "the start on held-out" in text]


def test_weights_are_compared_by_what_the_objective_names():
    size = NamedTerm(lambda model, batch, output, progress: output.x_dist.mean.square(), ANY)
    objective = WeightedSum({"mse": mean_squared_error}, size)
    made = model()
    records = trained(made, objective)
    assert records[-1].validation["loss"] < loss(made)
    assert records[-1].validation["error"] > evaluated(made, objective)["error"]
    assert "error" not in records[0].losses


def test_early_stopping_counts_the_start():
    made = model()
    first = weights(made)
    assert len(trained(made, lr=30.0, keep="auto", patience=3)) == 3
    assert same(weights(made), first)


def test_the_last_weights_are_left_unless_asked_otherwise():
    start = loss(model())
    for asked in ({"keep": "auto"}, {"keep": "last"}, {"keep": "last", "patience": 4}):
        made = model()
        trained(made, lr=30.0, **asked)
        assert loss(made) > start


def test_losses_whose_weights_move_are_compared_at_the_weights_of_the_end():
    """With the weight of a warm-up the first epoch would be the best whatever it learned."""
    rising = WeightedSum({"mse": mean_squared_error}, mse=Linear(0.0, 1.0))
    made = model()
    start = loss(made, rising)
    records = trained(made, rising, lr=1e-3)
    losses = [record.validation["loss"] for record in records]
    assert min(losses) < start
    assert loss(made, rising) == pytest.approx(min(losses), rel=1e-5)


class All:
    def __init__(self):
        self.states = []

    def due(self):
        return True

    def keep(self, state):
        tensors = {name: t.clone() for name, t in state.tensors.items()}
        facts = json.loads(json.dumps(state.facts()))
        self.states.append(TrainingState.from_dict(facts, tensors))


@pytest.mark.parametrize("lr", [0.03, 30.0])  # the best is an epoch, the start
def test_a_run_that_goes_on_keeps_the_same_best(lr):
    keeper, whole = All(), model()
    trained(whole, lr=lr, keeper=keeper)
    for state in copy.copy(keeper.states[::7]):
        again = model(seed=5)
        trained(again, lr=lr, resume=state)
        assert same(weights(again), weights(whole)), state.position


@pytest.mark.parametrize("data_start", [True, False])
def test_parts_take_their_first_values_from_data_unless_training_goes_on(data_start, monkeypatch):
    made, asked = model(), []
    monkeypatch.setattr(made, "start_at_data", asked.append, raising=False)
    trained(made, epochs=1, data_start=data_start)
    assert bool(asked) == data_start
