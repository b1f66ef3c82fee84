"""Steps that are recorded and replayed: the results of steps that are not.

No GPU is needed: a recorder that calls the recorded step again, from the same tensors, stands in for a
CUDA graph. What it cannot show is that CUDA records these steps, and how fast they are.
"""

import pytest
import torch
from torch import nn

from autoencode import DataSpec, build
from autoencode.data import Examples, Resident
from autoencode.objectives import Linear, WeightedSum, kl, mean_squared_error, reconstruction
from autoencode.objectives.terms import NATS, NamedTerm
from autoencode.randomness.noise import generator_for
from autoencode.training import Observer, Stepper, TorchOptimizer, TrainingPlan, Update, fit, loop
from autoencode.training import cuda_graphs as replay_module
from autoencode.training.cuda_graphs import CudaGraphs, Replayed, recorder_for
from autoencode.training.precision import products
from autoencode.training.state import Totals, collect, restore
from autoencode.types import Batch, Losses
from parallel_job import Codebook, plain, vae

N, BATCH, EPOCHS = 85, 16, 3
FULL = EPOCHS * (N // BATCH)
SPEC = DataSpec((1, 8, 8))


class Again:
    """Calls the recorded step again. What recording itself moved is put back, as with a graph."""

    def __init__(self, stepper):
        self.stepper = stepper
        self.warmed = self.recorded = self.replays = 0

    def warm(self, step):
        self.warmed += 1
        return step()

    def record(self, step):
        self.recorded += 1
        state = {name: t.clone() for name, t in collect(self.stepper, {}).items()}
        generator = generator_for(torch.device("cpu")) or torch.default_generator
        noise = generator.get_state()
        losses = {name: value.clone() for name, value in step().items()}
        restore(self.stepper, state)
        generator.set_state(noise)

        def replay():
            self.replays += 1
            for name, value in step().items():
                losses[name].copy_(value)

        return replay, losses


class Notices(Observer):
    def __init__(self):
        self.texts = []

    def notice(self, text):
        self.texts.append(text)


@pytest.fixture
def replaying(monkeypatch):
    """Makes ``fit`` replay on the CPU; holds the recorders."""
    made = []

    def replayed(stepper, plan, device, tell):
        made.append(Again(stepper))
        return Replayed(stepper, plan.batch_size, made[-1], tell)

    def switch(on):
        monkeypatch.setattr(loop, "replayed", replayed if on else replay_module.replayed)
        return made

    return switch


def rows(n=N):
    return torch.rand(n, 1, 8, 8, generator=torch.Generator().manual_seed(0)).numpy()


def run(name, keeper=None, resume=None, **options):
    options = {"epochs": EPOCHS, "batch_size": BATCH, "min_steps": 0, **options}
    recipe = build(name, SPEC, seed=0, **options)
    notices = Notices()
    records = fit(
        recipe.model,
        recipe.updates,
        Resident(Examples(rows()), SPEC),
        recipe.plan,
        validation=Resident(Examples(rows(20)), SPEC),
        seed=1,
        observer=notices,
        keeper=keeper,
        resume=resume,
    )
    losses = [(r.losses, r.validation, r.lr_factor) for r in records]
    return {n: t.clone() for n, t in recipe.model.state_dict().items()}, losses, notices.texts


ADAM = {"optimizer": "adam"}
CASES = {
    "mlp": ("mlp", ADAM | {"hidden": (16,)}),
    "vae": ("vae", ADAM | {"hidden": (16,)}),
    "dropout": ("mlp", ADAM | {"hidden": (16,), "dropout": 0.3}),
    "denoising": ("mlp", ADAM | {"hidden": (16,), "noise": "masking"}),
    "conv": ("conv_small", ADAM),
    "schedule": ("mlp_small", ADAM | {"warmup": 0.3, "decay": "linear", "weight_decay": 0.1}),
}


@pytest.mark.parametrize("case", CASES)
def test_a_run_of_replayed_steps_has_the_bits_of_one_of_steps_as_they_are(case, replaying):
    name, options = CASES[case]
    replaying(False)
    expected = run(name, **options)
    made = replaying(True)
    weights, losses, notices = run(name, **options)
    assert (made[0].warmed, made[0].recorded, made[0].replays) == (3, 1, FULL - 3)
    assert notices == expected[2] == []
    assert losses == expected[1]
    for key, value in expected[0].items():
        assert torch.equal(weights[key], value), key


def test_muon_replays_the_bits_of_steps_with_the_same_rates(replaying, monkeypatch):
    """Its rate is a tensor there, whose product rounds otherwise and is then added without fusing."""
    options = {"optimizer": "muon", "warmup": 0.2, "decay": "linear"}
    made = replaying(True)
    weights, losses, _ = run("mlp_small", **options)
    monkeypatch.setattr(replay_module, "_WARM_UP", 10**6)
    expected, as_they_are, _ = run("mlp_small", **options)
    assert [recorder.replays for recorder in made] == [FULL - 3, 0]
    assert losses == as_they_are
    for key, value in expected.items():
        assert torch.equal(weights[key], value), key
    replaying(False)
    assert run("mlp_small", **options)[1][-1][1]["loss"] == pytest.approx(
        losses[-1][1]["loss"], rel=1e-4
    )


class All:
    def __init__(self):
        self.states = []

    def due(self):
        return True

    def keep(self, state):
        tensors = {name: t.clone() for name, t in state.tensors.items()}
        self.states.append(type(state)(state.position, state.records, tensors))


def test_a_run_goes_on_from_every_step_to_the_same_bits(replaying):
    replaying(True)
    keeper = All()
    expected, losses, _ = run("vae", keeper, **ADAM, hidden=(8,))
    for state in keeper.states[::3]:
        weights, again, _ = run("vae", resume=state, **ADAM, hidden=(8,))
        assert again == losses
        for key, value in expected.items():
            assert torch.equal(weights[key], value), (state.position.step, key)


# What cannot be replayed is done as it is, and said


def module_run(model, updates, plan=None):
    notices = Notices()
    x = torch.randn(N, 6, generator=torch.Generator().manual_seed(0)).numpy()
    source = Resident(Examples(x), DataSpec((6,), "real"))
    plan = plan or TrainingPlan(epochs=2, batch_size=BATCH)
    fit(model, updates, source, plan, seed=1, observer=notices)
    return {n: t.clone() for n, t in model.state_dict().items()}, notices.texts


def moving():
    model = vae()
    return model, WeightedSum({"reconstruction": reconstruction, "kl": kl}, kl=Linear(0.0, 1.0))


def with_codebook():
    model = plain()
    model.book = Codebook()
    terms = {"reconstruction": reconstruction, "book": NamedTerm(model.book.term, NATS)}
    return model, WeightedSum(terms)


def simple():
    return plain(), WeightedSum({"mse": mean_squared_error})


def sgd(parameters):
    return TorchOptimizer(torch.optim.SGD(parameters, lr=0.1))


@pytest.mark.parametrize(
    ("make", "options", "plan", "reason"),
    [
        (moving, {}, {}, "an objective changes with the step"),
        (with_codebook, {}, {}, "a module replaces one of its buffers"),
        (simple, {"optimizer": sgd}, {}, "its optimiser is not one of ours"),
        (simple, {"every": 2}, {}, "an update takes its turn at some steps only"),
        (simple, {}, {"non_finite": "skip"}, "non_finite=skip looks at every step"),
    ],
)
def test_what_cannot_be_replayed_is_done_as_it_is_and_said_once(make, options, plan, reason, replaying):
    def once(on):
        made = replaying(on)
        torch.manual_seed(0)
        model, objective = make()
        figures = TrainingPlan(epochs=2, batch_size=BATCH, **plan)
        weights, texts = module_run(model, (Update(objective, (model,), **options),), figures)
        return weights, texts, made

    expected, silent, _ = once(False)
    weights, texts, made = once(True)
    assert silent == []
    assert len(texts) == 1
    assert reason in texts[0]
    assert made[0].replays == 0
    for key, value in expected.items():
        assert torch.equal(weights[key], value), key


class Refusing(Again):
    """As CUDA refuses a step that waits for the device: in the middle of it."""

    def record(self, step):
        self.stepper.parameters[0].grad = torch.ones_like(self.stepper.parameters[0])
        raise RuntimeError("CUDA error: operation not permitted when stream is capturing\nmore\n")


def test_a_recording_that_fails_leaves_no_gradient_and_is_said(monkeypatch):
    def once(on):
        if on:
            monkeypatch.setattr(
                loop,
                "replayed",
                lambda stepper, plan, device, tell: Replayed(stepper, BATCH, Refusing(stepper), tell),
            )
        torch.manual_seed(0)
        model, objective = simple()
        return module_run(model, (Update(objective, (model,)),))

    expected, _ = once(False)
    weights, texts = once(True)
    (text,) = texts
    assert text.endswith("operation not permitted when stream is capturing")
    for key, value in expected.items():
        assert torch.equal(weights[key], value), key


def test_two_updates_and_masked_batches_are_replayed():
    torch.manual_seed(0)
    model = plain()
    critic = nn.Linear(6, 1)
    model.critic = critic

    class Score:
        unit = "score"

        def __call__(self, model, batch, progress):
            return Losses(critic(batch.target).mean().square(), {})

        def check(self, output): ...

    parts = (model.encoder, model.bottleneck, model.decoder)
    updates = (
        Update(WeightedSum({"mse": mean_squared_error}), parts),
        Update(Score(), (critic,)),
    )

    def after(replay):
        torch.manual_seed(1)
        state = {n: t.clone() for n, t in model.state_dict().items()}
        stepper = Stepper(model, updates, TrainingPlan().make_optimizer)
        recorder = Again(stepper)
        texts = []
        steps = Replayed(stepper, 8, recorder, texts.append) if replay else stepper
        losses = []
        for i in range(10):
            x = torch.randn(8 if i % 4 else 5, 6)
            mask = torch.rand(x.shape) > 0.3
            found = steps.step(Batch(x, x + 1, mask=mask))
            losses.append({name: float(value) for name, value in found.items()})
        weights = {n: t.clone() for n, t in model.state_dict().items()}
        model.load_state_dict(state)
        return weights, losses, recorder.replays, texts

    expected, losses, _, _ = after(False)
    weights, again, replays, texts = after(True)
    assert (replays, texts) == (4, [])
    assert again == losses
    for key, value in expected.items():
        assert torch.equal(weights[key], value), key


# Small parts


def test_only_gpus_record_and_off_is_off():
    assert recorder_for(torch.device("cpu")) is None
    assert isinstance(recorder_for(torch.device("cuda")), CudaGraphs)
    stepper = object()
    off = TrainingPlan(replay="off")
    assert replay_module.replayed(stepper, off, torch.device("cuda"), print) is stepper


def test_totals_of_scalars_on_a_device_are_those_of_numbers():
    numbers, scalars = Totals({"loss": 1.5}), Totals({"loss": 1.5})
    for i, size in enumerate((16, 16, 5)):
        losses = {"loss": 0.5 + i} | ({"sometimes": 2.0} if i == 1 else {})
        numbers.add(losses, size)
        scalars.add({name: torch.tensor(value) for name, value in losses.items()}, size)
    assert (
        numbers.floats()
        == scalars.floats()
        == {"loss": 1.5 + 0.5 * 16 + 1.5 * 16 + 2.5 * 5, "sometimes": 32.0}
    )


def test_totals_do_not_keep_the_scalars_themselves():
    totals, loss = Totals(), torch.tensor(2.0)
    totals.add({"loss": loss}, 3)
    loss.fill_(100.0)  # a replay writes its losses into the same tensors
    assert totals.floats() == {"loss": 6.0}


@pytest.mark.parametrize("precision", ["float32", "tf32", "bf16"])
def test_products_on_gpus_are_what_was_asked_for_and_put_back(precision):
    settings = (torch.backends.cuda.matmul, torch.backends.cudnn.conv)
    before = [setting.fp32_precision for setting in settings]
    expected = "tf32" if precision == "tf32" else "ieee"
    with products(precision, torch.device("cuda")):
        assert [setting.fp32_precision for setting in settings] == [expected] * 2
    assert [setting.fp32_precision for setting in settings] == before
    with products("tf32", torch.device("cpu")):
        assert [setting.fp32_precision for setting in settings] == before
