"""The one loop, its optimisers and its promises."""

import copy
import itertools
import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from autoencode.bottlenecks import Plain
from autoencode.errors import TrainingError
from autoencode.likelihoods import Gaussian
from autoencode.models import AutoencoderModule
from autoencode.objectives import Corrupted, WeightedSum, mean_squared_error
from autoencode.objectives.corrupt import gaussian
from autoencode.randomness import epoch_order, mix, seed_step, seeded
from autoencode.training import (
    Adam,
    Muon,
    Observer,
    Stepper,
    TorchOptimizer,
    TrainingPlan,
    Update,
    fit,
    optimizers,
    tuned,
)
from autoencode.training import processor as tuning
from autoencode.training.optimizers import orthogonalize
from autoencode.types import Batch, Pass, Progress

MSE = WeightedSum({"mse": mean_squared_error})
CPU = torch.device("cpu")


class Rows:
    """A source over a table that remembers which rows it was asked for."""

    def __init__(self, x: Tensor) -> None:
        self.x = x
        self.asked: list[Tensor] = []

    def __len__(self) -> int:
        return len(self.x)

    def shuffled(self, one: Pass) -> Iterator[Batch]:
        order = epoch_order(len(self), one.seed, one.epoch)
        for first in range(one.start * one.batch_size, len(self), one.batch_size):
            index = order[first : first + one.batch_size]
            self.asked.append(index.clone())
            yield Batch.from_examples(self.x[index])

    def batches(self, size: int) -> Iterator[Batch]:
        for start in range(0, len(self.x), size):
            yield Batch.from_examples(self.x[start : start + size])

    def mean(self) -> Tensor:
        return self.x.mean(0)


def table(n: int = 50, d: int = 6, seed: int = 0) -> Tensor:
    g = torch.Generator().manual_seed(seed)
    return torch.randn(n, 2, generator=g) @ torch.randn(2, d, generator=g)


def module(seed: int = 0) -> AutoencoderModule:
    with seeded(seed):
        encoder = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 2))
        return AutoencoderModule(encoder, nn.Linear(2, 6), Plain(), Gaussian(1))


def whole(model: nn.Module, objective=MSE) -> tuple[Update, ...]:
    return (Update(objective, (model,)),)


def weights(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


# Optimisers


def toy() -> list[nn.Parameter]:
    g = torch.Generator().manual_seed(0)
    return [nn.Parameter(torch.randn(s, generator=g)) for s in [(4, 3), (4,), (2, 3, 3, 3), ()]]


def give_gradients(parameters: list[nn.Parameter], step: int) -> None:
    g = torch.Generator().manual_seed(1000 + step)
    for p in parameters:
        p.grad = torch.randn(p.shape, generator=g)


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.5, 0.9)])
def test_adam_equals_torchs(weight_decay, betas):
    ours, theirs = toy(), toy()
    settings_ = {"lr": 0.05, "betas": betas, "weight_decay": weight_decay}
    a, b = Adam(ours, **settings_), torch.optim.AdamW(theirs, **settings_)
    plain = toy()
    c = torch.optim.Adam(plain, lr=0.05, betas=betas)
    for step in range(20):
        for parameters in (ours, theirs, plain):
            give_gradients(parameters, step)
        a.step()
        b.step()
        c.step()
        for p, q, r in zip(ours, theirs, plain, strict=True):
            torch.testing.assert_close(p, q, rtol=1e-5, atol=1e-6)
            if not weight_decay:
                torch.testing.assert_close(p, r, rtol=1e-5, atol=1e-6)


def test_adam_counts_the_steps_of_each_parameter_apart():
    ours, theirs = toy(), toy()
    a, b = Adam(ours, lr=0.05), torch.optim.Adam(theirs, lr=0.05)
    for step in range(12):
        for parameters in (ours, theirs):
            give_gradients(parameters, step)
            for i, p in enumerate(parameters):
                if step % (i + 1):  # only the first has a gradient at every step
                    p.grad = None
        a.step()
        b.step()
    for p, q in zip(ours, theirs, strict=True):
        torch.testing.assert_close(p, q, rtol=1e-5, atol=1e-6)
    state = a.state_dict()
    assert [int(state[f"steps.{i}"]) for i in range(4)] == [12, 6, 4, 3]
    assert len({t.untyped_storage().data_ptr() for t in state.values()}) == len(state)


def test_adam_without_any_gradient_moves_nothing():
    parameters = toy()
    optimizer = Adam(parameters)
    optimizer.step()
    assert all(torch.equal(p, q) for p, q in zip(parameters, toy(), strict=True))
    assert int(optimizer.state_dict()["steps.0"]) == 0
    Adam([]).step()


def test_a_factor_scales_the_rate_of_that_step():
    for make in (
        lambda ps, lr: Adam(ps, lr=lr),
        lambda ps, lr: Muon(ps, lr=lr, adam_lr=lr / 4),
        lambda ps, lr: TorchOptimizer(torch.optim.SGD(ps, lr=lr)),
    ):
        whole_rate, half_rate = toy(), toy()
        a, b = make(whole_rate, 0.05), make(half_rate, 0.1)
        for step in range(3):
            give_gradients(whole_rate, step)
            give_gradients(half_rate, step)
            a.step(1.0)
            b.step(0.5)
        for p, q in zip(whole_rate, half_rate, strict=True):
            torch.testing.assert_close(p, q, rtol=1e-6, atol=1e-7)


OPTIMIZERS = {
    "adam": lambda ps: Adam(ps, lr=0.05, weight_decay=0.01),
    "muon": lambda ps: Muon(ps, lr=0.05),
    "torch_adam": lambda ps: TorchOptimizer(torch.optim.Adam(ps, lr=0.05)),
    "torch_sgd": lambda ps: TorchOptimizer(torch.optim.SGD(ps, lr=0.05, momentum=0.9)),
    "torch_rmsprop": lambda ps: TorchOptimizer(torch.optim.RMSprop(ps, lr=0.05)),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_stored_state_goes_on_bit_by_bit(name):
    through, first = toy(), toy()
    optimizer, stopped = OPTIMIZERS[name](through), OPTIMIZERS[name](first)
    for step in range(4):
        give_gradients(through, step)
        optimizer.step(0.7)
        give_gradients(first, step)
        stopped.step(0.7)
    state = {key: value.clone() for key, value in stopped.state_dict().items()}
    assert all(isinstance(value, Tensor) for value in state.values())
    again = [nn.Parameter(p.detach().clone()) for p in first]
    resumed, fresh_again = OPTIMIZERS[name](again), [nn.Parameter(p.detach().clone()) for p in first]
    resumed.load_state_dict(state)
    fresh = OPTIMIZERS[name](fresh_again)
    for step in range(4, 8):
        for parameters, one in ((through, optimizer), (again, resumed), (fresh_again, fresh)):
            give_gradients(parameters, step)
            one.step(0.7)
    assert all(torch.equal(p, q) for p, q in zip(through, again, strict=True))
    assert not all(torch.equal(p, q) for p, q in zip(through, fresh_again, strict=True))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_zero_grad_forgets_every_gradient(name):
    parameters = toy()
    optimizer = OPTIMIZERS[name](parameters)
    give_gradients(parameters, 0)
    optimizer.zero_grad()
    assert all(p.grad is None for p in parameters)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_parameters_without_a_gradient_stay(name):
    parameters = toy()
    before = [p.detach().clone() for p in parameters]
    optimizer = OPTIMIZERS[name](parameters)
    optimizer.step()
    assert all(torch.equal(p, q) for p, q in zip(parameters, before, strict=True))
    give_gradients(parameters, 0)
    parameters[0].grad = parameters[1].grad = None
    optimizer.step()
    moved = [not torch.equal(p, q) for p, q in zip(parameters, before, strict=True)]
    assert moved == [False, False, True, True]


@pytest.mark.parametrize("shapes", [[(4, 3)], [(4,)]], ids=["matrices only", "vectors only"])
def test_muon_takes_matrices_or_vectors_alone(shapes):
    parameters = [nn.Parameter(torch.randn(shape)) for shape in shapes]
    before = [p.detach().clone() for p in parameters]
    optimizer = Muon(parameters)
    give_gradients(parameters, 0)
    optimizer.step()
    assert not any(torch.equal(p, q) for p, q in zip(parameters, before, strict=True))


@given(st.integers(2, 40), st.integers(2, 40), st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_orthogonalize_makes_all_singular_values_about_one(rows, columns, seed):
    g = torch.Generator().manual_seed(seed)
    rank = min(rows, columns)
    u = torch.linalg.qr(torch.randn(rows, rank, generator=g)).Q
    v = torch.linalg.qr(torch.randn(columns, rank, generator=g)).Q
    spectrum = 0.1 + 0.9 * torch.rand(rank, generator=g)
    result = orthogonalize(37.0 * (u * spectrum) @ v.T)
    assert result.shape == (rows, columns)
    values = torch.linalg.svdvals(result)
    assert 0.6 < float(values.min()) <= float(values.max()) < 1.3
    # It keeps the singular vectors: in their frame the result is diagonal and positive.
    inner = u.T @ result @ v
    torch.testing.assert_close(inner, torch.diag(inner.diagonal()), rtol=0, atol=2e-3)
    assert bool((inner.diagonal() > 0).all())


def test_orthogonalize_equals_the_plain_iteration():
    x = torch.randn(7, 12, generator=torch.Generator().manual_seed(0)).double()
    expected = x / (x @ x.T).norm().sqrt()
    for a, b, c in optimizers._QUINTICS:
        gram = expected @ expected.T
        expected = a * expected + (b * gram + c * gram @ gram) @ expected
    torch.testing.assert_close(orthogonalize(x), expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(orthogonalize(x.T), expected.T, rtol=1e-5, atol=1e-6)


def test_each_quintic_is_the_best_for_what_the_one_before_left():
    """Minimax polynomials touch their greatest error four times, with alternating signs.

    The coefficients are rounded to four digits, hence the tolerance.
    """
    low, high = 0.003, 1.0
    for a, b, c in optimizers._QUINTICS:
        x = np.linspace(low, high, 200_001)
        error = 1 - (a * x + b * x**3 + c * x**5)
        inner = np.flatnonzero(np.diff(np.sign(np.diff(error)))) + 1
        touched = error[[0, *inner, -1]]
        assert len(touched) == 4
        assert np.all(np.sign(touched) == [1, -1, 1, -1])
        np.testing.assert_allclose(abs(touched), abs(touched).max(), rtol=3e-2)
        low, high = 1 - abs(touched).max(), 1 + abs(touched).max()
    assert (low, high) == (pytest.approx(0.8, abs=0.01), pytest.approx(1.2, abs=0.01))


@given(st.integers(1, 6), st.integers(1, 6), st.sampled_from([1, 3]))
def test_muon_takes_a_kernel_as_the_matrix_that_it_is_to_a_patch(m, n, side):
    generator = torch.Generator().manual_seed(m * n)
    start, grad = torch.randn(2, m, n, side, side, generator=generator)
    kernel, matrix = nn.Parameter(start.clone()), nn.Parameter(start.flatten(1))
    kernel.grad = grad.to(memory_format=torch.channels_last)
    matrix.grad = grad.flatten(1)
    for parameter in (kernel, matrix):
        Muon([parameter]).step()
    torch.testing.assert_close(kernel.flatten(1), matrix)


def test_orthogonalize_multiplies_no_numbers_that_are_not_normal():
    """Momenta of hardly used inputs decay to such numbers, and products with them are slow."""
    x = torch.randn(6, 20, generator=torch.Generator().manual_seed(0))
    x[:, 4:9], zeros = 1e-20, x.clone()  # the square of 1e-20 is not normal in float32
    zeros[:, 4:9] = 0.0
    assert torch.equal(orthogonalize(x), orthogonalize(zeros))
    assert torch.equal(orthogonalize(x.T), orthogonalize(zeros.T))


def test_orthogonalize_of_zeros_is_zero():
    assert not orthogonalize(torch.zeros(3, 5)).any()


def test_muon_moves_matrices_by_about_adams_step_and_the_rest_by_adam():
    ours, theirs = toy(), toy()
    before = [p.detach().clone() for p in ours]
    matrices = [i for i, p in enumerate(ours) if p.dim() in optimizers.MATRICES]
    rest = [i for i in range(len(ours)) if i not in matrices]
    muon, adam = Muon(ours, lr=0.02, adam_lr=0.005), Adam([theirs[i] for i in rest], lr=0.005)
    for step in range(3):
        give_gradients(ours, step)
        give_gradients(theirs, step)
        muon.step()
        adam.step()
    assert matrices
    assert rest
    for i in rest:
        torch.testing.assert_close(ours[i], theirs[i])
    for i in matrices:
        change = (ours[i].detach() - before[i]) / 3
        assert 0.05 * 0.02 < float(change.square().mean().sqrt()) < 0.5 * 0.02


def test_muon_finds_the_minimum_of_a_quadratic():
    target = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    weight = nn.Parameter(torch.zeros(6, 4))
    muon = Muon([weight], lr=0.1)
    for step in range(200):
        (weight - target).square().sum().backward()
        muon.step(1 - step / 200)
        muon.zero_grad()
    assert float((weight - target).abs().max().detach()) < 0.05


# The plan


def test_a_constant_rate_is_one_throughout():
    assert {TrainingPlan().rate(step, 50) for step in range(50)} == {1.0}


@given(st.integers(1, 500), st.floats(0, 0.99), st.sampled_from(["constant", "linear"]))
def test_the_rate_rises_then_stays_or_falls_and_never_reaches_zero(n, warmup, decay):
    plan = TrainingPlan(warmup=warmup, decay=decay)
    rates = [plan.rate(step, n) for step in range(n)]
    assert all(0 < rate <= 1 for rate in rates)
    rising = math.ceil(warmup * n)
    up, down = rates[:rising], rates[rising:]
    assert all(a < b for a, b in itertools.pairwise(up))
    if decay == "linear":
        assert all(a > b for a, b in itertools.pairwise(down))
    else:
        assert set(down) <= {1.0}
    assert max(rates) == pytest.approx(1)


def test_a_linear_schedule_falls_in_equal_steps_to_one_step_above_zero():
    plan = TrainingPlan(warmup=0.2, decay="linear")
    rates = [plan.rate(step, 10) for step in range(10)]
    assert rates == pytest.approx([0.5, 1, 1, 7 / 8, 6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8])


@pytest.mark.parametrize(
    ("n", "epochs", "min_steps", "expected"),
    [(100, 3, 0, 3), (100, 3, 50, 5), (100, 3, 51, 6), (101, 3, 50, 5), (1, 2, 7, 7), (9, 9, 5, 9)],
)
def test_small_data_get_more_epochs_until_there_are_enough_steps(n, epochs, min_steps, expected):
    plan = TrainingPlan(epochs=epochs, batch_size=10, min_steps=min_steps)
    assert plan.n_epochs(n) == expected


def test_the_plan_makes_the_optimizer_that_it_names():
    parameters = toy()
    adam = TrainingPlan(lr=0.3, weight_decay=0.2).make_optimizer(parameters)
    assert (type(adam), adam.lr, adam.weight_decay) == (Adam, 0.3, 0.2)
    muon = TrainingPlan(lr=0.4, optimizer="muon").make_optimizer(parameters)
    assert (type(muon), muon.lr, muon._adam.lr) == (Muon, 0.4, 0.1)


# Randomness


@given(st.integers(0, 300), st.integers(0, 10_000), st.integers(0, 50))
def test_an_epochs_order_is_a_permutation(n, seed, epoch):
    assert sorted(epoch_order(n, seed, epoch).tolist()) == list(range(n))


def test_an_epochs_order_depends_on_seed_and_epoch_only():
    order = epoch_order(100, 3, 5)
    torch.rand(9)
    assert torch.equal(order, epoch_order(100, 3, 5))
    others = [epoch_order(100, 3, 6), epoch_order(100, 4, 5), epoch_order(100, 5, 3)]
    assert not any(torch.equal(order, other) for other in others)


def test_the_noise_of_a_step_depends_on_seed_and_step_only():
    def draw(seed: int, step: int) -> list[float]:
        seed_step(seed, step, CPU)
        return torch.rand(4).tolist()

    with seeded(0):
        first = draw(1, 2)
        assert draw(1, 2) == first
        assert len({tuple(draw(seed, step)) for seed in range(4) for step in range(-1, 4)}) == 20


@given(st.lists(st.integers(0, 2**40), min_size=1, max_size=3, unique=True))
def test_mixed_seeds_are_63_bit_and_depend_on_order(values):
    assert 0 <= mix(*values) < 2**63
    if len(values) > 1:
        assert mix(*values) != mix(*reversed(values))


def test_a_seeded_block_gives_the_callers_state_back_even_after_an_error():
    torch.manual_seed(5)
    before = torch.get_rng_state()

    def fail() -> None:
        with seeded(1):
            torch.rand(3)
            raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        fail()
    assert torch.equal(before, torch.get_rng_state())


# The loop


class Recorder(Observer):
    def __init__(self, stop_at: int | None = None) -> None:
        self.started: tuple[int, int] | None = None
        self.steps: list[int] = []
        self.records: list = []
        self.stop_at = stop_at

    def start(self, n_steps, n_epochs):
        self.started = (n_steps, n_epochs)

    def step(self, step):
        self.steps.append(step)

    def epoch(self, record):
        self.records.append(record)

    def stop(self):
        return self.stop_at is not None and len(self.steps) >= self.stop_at


def test_every_example_comes_once_in_each_epoch_the_last_partial_batch_too():
    rows = Rows(table(10))
    model = module()
    fit(model, whole(model), rows, TrainingPlan(epochs=2, batch_size=4))
    assert [len(index) for index in rows.asked] == [4, 4, 2] * 2
    for epoch in (rows.asked[:3], rows.asked[3:]):
        assert sorted(torch.cat(epoch).tolist()) == list(range(10))
    assert not torch.equal(torch.cat(rows.asked[:3]), torch.cat(rows.asked[3:]))


def test_the_last_partial_batch_moves_the_weights():
    moved = []

    class Watching(Recorder):
        def step(self, step):
            moved.append(weights(model))

    model = module()
    moved.append(weights(model))
    fit(model, whole(model), Rows(table(10)), TrainingPlan(epochs=1, batch_size=4), observer=Watching())
    assert len(moved) == 4
    assert not any(same(a, b) for a, b in itertools.pairwise(moved))


def test_a_batch_larger_than_the_data_is_all_of_them():
    rows, model = Rows(table(3)), module()
    records = fit(model, whole(model), rows, TrainingPlan(epochs=2, batch_size=100))
    assert [len(index) for index in rows.asked] == [3, 3]
    assert records[-1].step == 2


def test_the_history_holds_one_record_per_epoch():
    model, watcher = module(), Recorder()
    plan = TrainingPlan(epochs=3, batch_size=20, warmup=0.5, decay="linear")
    records = fit(
        model,
        whole(model),
        Rows(table(50)),
        plan,
        validation=Rows(table(13, seed=1)),
        observer=watcher,
    )
    assert watcher.started == (9, 3)
    assert watcher.steps == list(range(1, 10))
    assert watcher.records == records
    assert [(r.epoch, r.step) for r in records] == [(1, 3), (2, 6), (3, 9)]
    assert [r.lr_factor for r in records] == [plan.rate(step, 9) for step in (2, 5, 8)]
    assert all(set(r.losses) == set(r.validation) == {"loss", "mse"} for r in records)
    assert all(r.seconds >= 0 for r in records)
    line = records[0].as_dict()
    assert list(line) == [
        "epoch",
        "step",
        "loss",
        "mse",
        "validation_loss",
        "validation_mse",
        "lr_factor",
        "seconds",
    ]
    assert line["validation_mse"] == records[0].validation["mse"]


def test_training_losses_are_averages_over_the_epochs_examples():
    # With a rate of (almost) zero nothing moves, so the epoch's average is the loss of all data.
    x, model = table(50), module()
    (record,) = fit(model, whole(model), Rows(x), TrainingPlan(epochs=1, batch_size=16, lr=1e-30))
    with torch.no_grad():
        expected = float((model.reconstruct(x) - x).square().mean())
    assert record.losses["mse"] == pytest.approx(expected, rel=1e-5)
    assert record.losses["loss"] == pytest.approx(expected, rel=1e-5)


def test_validation_is_measured_on_the_weights_at_the_epochs_end_and_changes_nothing():
    held_out = table(2345, seed=1)  # more than one chunk, the last of them partial
    plan = TrainingPlan(epochs=2, batch_size=16)
    with_it, without = module(), module()
    noisy = Corrupted(MSE, gaussian, 0.3)
    records = fit(with_it, whole(with_it), Rows(table()), plan, validation=Rows(held_out))
    fit(without, whole(without), Rows(table()), plan)
    assert same(weights(with_it), weights(without))
    with torch.no_grad():
        expected = float((with_it.reconstruct(held_out) - held_out).square().mean())
    assert records[-1].validation["mse"] == pytest.approx(expected, rel=1e-5)
    a, b = module(), module()
    fit(a, whole(a, noisy), Rows(table()), plan, validation=Rows(held_out))
    fit(b, whole(b, noisy), Rows(table()), plan)
    assert same(weights(a), weights(b))


def test_terms_of_a_rare_update_are_averaged_over_its_own_turns():
    model = module()
    updates = (
        Update(MSE, (model.encoder,)),
        Update(WeightedSum({"rare": mean_squared_error}), (model.decoder,), every=3),
    )
    x = table(40)
    (record,) = fit(model, updates, Rows(x), TrainingPlan(epochs=1, batch_size=10, lr=1e-30))
    assert set(record.losses) == {"loss", "mse", "rare"}
    assert record.losses["loss"] == record.losses["mse"]
    assert record.losses["rare"] == pytest.approx(record.losses["mse"], rel=0.5)


def test_a_first_update_that_takes_some_turns_only_can_be_fitted():
    model = module()
    updates = (
        Update(MSE, (model.encoder,), every=2),
        Update(WeightedSum({"other": mean_squared_error}), (model.decoder,)),
    )
    records = fit(model, updates, Rows(table(40)), TrainingPlan(epochs=2, batch_size=10))
    assert set(records[0].losses) == {"loss", "mse", "other"}
    assert records[0].losses["loss"] == pytest.approx(records[0].losses["mse"])


def test_stop_ends_training_after_the_step_it_was_asked_in():
    model, watcher = module(), Recorder(stop_at=4)
    records = fit(
        model,
        whole(model),
        Rows(table(50)),
        TrainingPlan(epochs=5, batch_size=20),
        observer=watcher,
    )
    assert watcher.steps == [1, 2, 3, 4]
    assert [(r.epoch, r.step) for r in records] == [(1, 3), (2, 4)]
    assert watcher.records == records
    assert not model.training


def test_the_model_is_left_in_evaluation_mode():
    model = module()
    fit(model, whole(model), Rows(table(8)), TrainingPlan(epochs=1))
    assert not model.training


def test_the_model_trains_in_training_mode_even_after_a_validation():
    seen = []

    class Watching(WeightedSum):
        def __call__(self, model, batch, progress):
            seen.append((model.training, torch.is_grad_enabled()))
            return super().__call__(model, batch, progress)

    model = module().eval()
    objective = Watching({"mse": mean_squared_error})
    plan = TrainingPlan(epochs=2, batch_size=50, doctor=False)
    fit(model, whole(model, objective), Rows(table()), plan, validation=Rows(table()))
    assert seen == [(True, True), (False, False)] * 2


def test_progress_counts_the_steps_of_the_whole_run():
    seen = []

    class Watching(WeightedSum):
        def __call__(self, model, batch, progress):
            seen.append(progress)
            return super().__call__(model, batch, progress)

    model = module()
    plan = TrainingPlan(epochs=1, batch_size=20, min_steps=5, doctor=False)
    fit(model, whole(model, Watching({"mse": mean_squared_error})), Rows(table(50)), plan)
    assert seen == [Progress(step, 6, 50) for step in range(6)]


def test_fitting_depends_on_the_seed_and_leaves_the_callers_random_state():
    plan, noisy = TrainingPlan(epochs=2, batch_size=16), Corrupted(MSE, gaussian, 0.3)
    results = []
    for seed in (1, 1, 2):
        model = module()
        torch.manual_seed(len(results))
        before = torch.get_rng_state()
        fit(model, whole(model, noisy), Rows(table()), plan, seed=seed)
        assert torch.equal(before, torch.get_rng_state())
        results.append(weights(model))
    assert same(results[0], results[1])
    assert not same(results[0], results[2])


@pytest.mark.parametrize("optimizer", ["adam", "muon"])
def test_an_own_loop_over_the_same_batches_gives_what_fit_gives(optimizer):
    x = table(50)
    plan = TrainingPlan(epochs=3, batch_size=16, lr=0.01, optimizer=optimizer)
    fitted, own = module(), module()
    fit(fitted, whole(fitted), Rows(x), plan, seed=4)
    stepper = Stepper(own, whole(own), plan.make_optimizer)
    with tuned(CPU):
        for epoch in range(3):
            for index in epoch_order(50, 4, epoch).split(16):
                stepper.step(Batch.from_examples(x[index]))
    assert same(weights(fitted), weights(own))


def test_mean_start_is_a_figure_of_the_plan():
    from autoencode.recipes import build
    from autoencode.types import DataSpec

    x = 5 + table(40)
    biases = []
    for mean_start in (False, True):
        figures = {"mean_start": mean_start, "lr": 1e-30, "epochs": 1}
        recipe = build("mlp", DataSpec((6,), "real"), shortcut="none", **figures)
        fit(recipe.model, recipe.updates, Rows(x), recipe.plan)
        biases.append(recipe.model.decoder.output.bias.detach())
    torch.testing.assert_close(biases[1], x.mean(0))
    assert float(biases[0].abs().max()) < 1


# Failures


@pytest.mark.parametrize("optimizer", ["adam", "muon"])
def test_a_diverged_run_names_the_term_the_step_and_a_lower_rate(optimizer):
    model = module()
    plan = TrainingPlan(epochs=50, batch_size=10, lr=1e25, optimizer=optimizer)
    message = r"diverged: mse became (nan|inf) at step \d+; try a lower learning rate than 1e\+25"
    with pytest.raises(TrainingError, match=message):
        fit(model, whole(model), Rows(table()), plan)


def test_a_term_that_is_not_finite_is_named_at_its_step():
    class Breaks(WeightedSum):
        def __call__(self, model, batch, progress):
            losses = super().__call__(model, batch, progress)
            if progress.step == 3:
                losses.total.data.fill_(math.inf)
                losses.terms["fragile"].fill_(math.nan)
            return losses

    model, watcher = module(), Recorder()
    terms = {"sturdy": mean_squared_error, "fragile": mean_squared_error}
    with pytest.raises(TrainingError, match=r"fragile became nan at step 3.*lower.*0\.001"):
        fit(
            model,
            whole(model, Breaks(terms)),
            Rows(table(50)),
            TrainingPlan(batch_size=10),
            observer=watcher,
        )
    assert watcher.steps == [1, 2, 3]


def test_a_failed_run_leaves_random_state_and_tuning_as_they_were():
    torch.manual_seed(3)
    before = torch.get_rng_state(), torch.backends.mkldnn.matmul.fp32_precision
    model = module()
    plan = TrainingPlan(epochs=50, batch_size=10, lr=1e25)
    with pytest.raises(TrainingError):
        fit(model, whole(model), Rows(table()), plan)
    assert torch.equal(before[0], torch.get_rng_state())
    assert torch.backends.mkldnn.matmul.fp32_precision == before[1]


# Tuning


@pytest.mark.parametrize("exact", [True, False])
def test_tuning_is_put_back_afterwards_even_after_an_error(monkeypatch, exact):
    monkeypatch.setattr(tuning, "_onednn_is_exact", lambda: exact)
    matmul = torch.backends.mkldnn.matmul
    before = matmul.fp32_precision
    with tuned(CPU):
        assert matmul.fp32_precision == ("bf16" if exact else before)
        with tuned(CPU):
            assert matmul.fp32_precision == ("bf16" if exact else before)
        assert matmul.fp32_precision == ("bf16" if exact else before)
    assert matmul.fp32_precision == before
    with pytest.raises(RuntimeError, match="on purpose"), tuned(CPU):
        raise RuntimeError("on purpose")
    assert matmul.fp32_precision == before


def test_a_precision_that_the_user_chose_is_given_back():
    matmul = torch.backends.mkldnn.matmul
    before = matmul.fp32_precision
    try:
        matmul.fp32_precision = "ieee"
        with tuned(CPU):
            pass
        assert matmul.fp32_precision == "ieee"
    finally:
        matmul.fp32_precision = before


def test_products_are_float32_where_the_fast_route_is_taken():
    a, b = torch.randn(200, 300), torch.randn(300, 100)
    exact = a.double() @ b.double()
    with tuned(CPU):
        error = ((a @ b).double() - exact).abs().max() / exact.abs().max()
    assert float(error) < 2e-6


def test_another_device_is_not_tuned(monkeypatch):
    monkeypatch.setattr(tuning, "_onednn_is_exact", lambda: pytest.fail("asked"))
    with tuned(torch.device("meta")):
        pass


def test_a_copy_of_a_model_can_be_trained_beside_it():
    model = module()
    twin = copy.deepcopy(model)
    before = weights(model)
    fit(twin, whole(twin), Rows(table()), TrainingPlan(epochs=1))
    assert same(before, weights(model))
