"""The training doctor: every rule on a run that has the fault and on one that has not."""

import copy
import json
import re
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from autoencode.bottlenecks import DiagonalGaussian, Plain
from autoencode.console.progress import Watcher
from autoencode.likelihoods import SIGMOID, Bernoulli, Gaussian
from autoencode.models import AutoencoderModule
from autoencode.nets import MLPDecoder, MLPEncoder
from autoencode.objectives import Linear, WeightedSum, kl, mean_squared_error, reconstruction
from autoencode.pictures.pages import write_report
from autoencode.priors import StandardNormal
from autoencode.randomness import epoch_order, seeded
from autoencode.runs import train
from autoencode.training import Diagnosis, Doctor, EpochRecord, TrainingPlan, Update, fit
from autoencode.training.doctor.checkup import examine, probe_of
from autoencode.training.doctor.rules import RULES, overfitting, rate_too_high
from autoencode.types import Batch, Latent, Losses, Pass, Progress

pytest_plugins = ["cli_runs"]

MSE = WeightedSum({"mse": mean_squared_error})
CPU = torch.device("cpu")


class Rows:
    """A source over a table."""

    def __init__(self, x: Tensor) -> None:
        self.x = x

    def __len__(self) -> int:
        return len(self.x)

    def shuffled(self, one: Pass) -> Iterator[Batch]:
        for index in epoch_order(len(self), one.seed, one.epoch).split(one.batch_size):
            yield Batch.from_examples(self.x[index])

    def batches(self, size: int) -> Iterator[Batch]:
        for start in range(0, len(self.x), size):
            yield Batch.from_examples(self.x[start : start + size])

    def mean(self) -> Tensor:
        return self.x.mean(0)


def unit_rows(n: int = 512, d: int = 16, rank: int = 3, seed: int = 0) -> Tensor:
    """Rows (n, d) in 0..1 that ``rank`` numbers explain."""
    g = torch.Generator().manual_seed(seed)
    return torch.sigmoid(2 * torch.randn(n, rank, generator=g) @ torch.randn(rank, d, generator=g))


def plain(d=16, z=3, hidden=32, decoder=None, link=SIGMOID, activation=None) -> AutoencoderModule:
    with seeded(0):
        return AutoencoderModule(
            MLPEncoder((d,), (hidden,)),
            decoder or MLPDecoder(z, (hidden,), (d,)),
            Plain(nn.Linear(hidden, z), activation),
            Gaussian(1, link),
        )


def vae(d=16, z=3, hidden=32, likelihood=None, decoder=None) -> AutoencoderModule:
    with seeded(0):
        return AutoencoderModule(
            MLPEncoder((d,), (hidden,)),
            decoder or MLPDecoder(z, (hidden,), (d,)),
            DiagonalGaussian(hidden, z),
            likelihood or Bernoulli(1),
            StandardNormal((z,)),
        )


def elbo(beta=1.0) -> WeightedSum:
    return WeightedSum({"reconstruction": reconstruction, "kl": kl}, kl=beta)


def diagnosed(model, objective, x, held_out=None, **figures) -> dict[str, Diagnosis]:
    """What stands after a short run."""
    plan = TrainingPlan(**{"epochs": 40, "batch_size": 64, "lr": 3e-3} | figures)
    records = fit(
        model,
        (Update(objective, (model,)),),
        Rows(x),
        plan,
        validation=None if held_out is None else Rows(held_out),
    )
    assert len(records) == plan.epochs
    return {diagnosis.rule: diagnosis for diagnosis in records[-1].diagnoses}


# Every rule on a real run


class Quantiser(nn.Module):
    """The nearest of a few fixed vectors, with a straight-through gradient."""

    def __init__(self, codebook: Tensor) -> None:
        super().__init__()
        self.n_codes = len(codebook)
        self.register_buffer("codebook", codebook)

    def forward(self, h, prior, n_samples=1):
        codes = torch.cdist(h, self.codebook).argmin(1)
        z = h + (self.codebook[codes] - h).detach()
        return Latent(z.unsqueeze(0), codes=codes.unsqueeze(0))

    def embed(self, h):
        return self.codebook[torch.cdist(h, self.codebook).argmin(1)]


def quantised(offset):
    """A run with 16 codes: some around the features, the others ``offset`` away."""
    with seeded(1):
        codebook = torch.randn(16, 3)
    codebook[4:] += offset
    model = plain()
    model.bottleneck = Quantiser(codebook)
    model.encoder = nn.Sequential(model.encoder, nn.Linear(32, 3), nn.LayerNorm(3))
    return diagnosed(model, MSE, unit_rows())


def with_bias(value, **options):
    """A run whose hidden units start from this bias."""
    model = plain(**options)
    nn.init.constant_(model.encoder.layers[0].bias, value)
    return diagnosed(model, MSE, unit_rows())


def with_output_bias(value):
    """A run whose sigmoid outputs start from this bias."""
    model = plain()
    nn.init.constant_(model.decoder.output.bias, value)
    return diagnosed(model, MSE, unit_rows(), lr=1e-4)


def test_saturated_outputs_are_cured_by_a_start_at_the_mean():
    """Which is the advice for a training that has none."""
    model = plain()
    nn.init.constant_(model.decoder.output.bias, 20.0)
    assert "saturated_outputs" not in diagnosed(model, MSE, unit_rows(), lr=1e-4, mean_start=True)


def noise_learned(n, epochs, **more):
    """Noise, of which a wide code can learn nothing but the examples by heart."""
    g = torch.Generator().manual_seed(3)
    x, held_out = torch.rand(n, 16, generator=g), torch.rand(200, 16, generator=g)
    figures = {"epochs": epochs, "batch_size": 8, "lr": 1e-2, **more}
    return diagnosed(plain(z=8, hidden=128), MSE, x, held_out, **figures)


FAULTY = {
    "range_mismatch": lambda: diagnosed(vae(), elbo(), 255 * unit_rows(), lr=1e-4),
    "kl_scale": lambda: diagnosed(vae(), elbo(1 / 64), unit_rows()),
    "rate_too_high": lambda: diagnosed(plain(link=SIGMOID), MSE, unit_rows(), lr=0.5, epochs=8),
    "posterior_collapse": lambda: diagnosed(vae(), elbo(50.0), unit_rows()),
    "dead_codes": lambda: quantised(100.0),
    "unused_dimensions": lambda: diagnosed(vae(z=24), elbo(), unit_rows(), epochs=150, lr=5e-3),
    "dead_units": lambda: with_bias(-100.0),
    "saturated_outputs": lambda: with_output_bias(-30.0),
    "overfitting": lambda: noise_learned(64, 60),
}
HEALTHY = {
    "range_mismatch": lambda: diagnosed(vae(), elbo(), unit_rows()),
    "kl_scale": lambda: diagnosed(vae(), elbo(), unit_rows()),
    "rate_too_high": lambda: diagnosed(plain(), MSE, unit_rows()),
    "posterior_collapse": lambda: diagnosed(vae(), elbo(), unit_rows()),
    "dead_codes": lambda: quantised(0.0),
    "unused_dimensions": lambda: diagnosed(vae(z=3), elbo(), unit_rows()),
    "dead_units": lambda: with_bias(0.0),
    "saturated_outputs": lambda: with_output_bias(0.0),
    "overfitting": lambda: diagnosed(plain(), MSE, unit_rows(), unit_rows(300, seed=0)[:, :16]),
}
FIGURES = {  # what the message must show of the fault
    "range_mismatch": "reaches 0 to 1",
    "kl_scale": "0.0156 is one over the batch size",
    "rate_too_high": "rose from",
    "posterior_collapse": "nats per example, 0 of 3 latent dimensions vary",
    "dead_codes": "of 16 codes are used by none",
    "unused_dimensions": "of 24 latent dimensions",
    "dead_units": "32 of 32 units of encoder.layers.1 (ReLU)",
    "saturated_outputs": "stand at 0 or 1",
    "overfitting": "validation was best in epoch",
}
CHANGES = {
    "range_mismatch": "divide the data by 255",
    "kl_scale": "beta=1",
    "rate_too_high": "lr=0.25",
    "posterior_collapse": "beta=1",
    "dead_codes": "a codebook of ",
    "unused_dimensions": "latent_dim=",
    "dead_units": "activation=leaky_relu",
    "saturated_outputs": "mean_start=true",
    "overfitting": "keep=best",
}


def test_every_rule_has_a_run_with_the_fault_and_one_without():
    names = {rule.__name__ for rule in RULES}
    assert names == FAULTY.keys() == HEALTHY.keys() == FIGURES.keys() == CHANGES.keys()


@pytest.mark.parametrize("rule", FAULTY)
def test_a_run_with_the_fault_is_told_so_with_a_figure_and_a_change(rule):
    found = FAULTY[rule]()
    assert rule in found, found
    assert FIGURES[rule] in found[rule].message
    assert found[rule].suggestion.startswith(CHANGES[rule])
    assert "\n" not in found[rule].message + found[rule].suggestion


@pytest.mark.parametrize("rule", HEALTHY)
def test_a_run_without_the_fault_is_told_nothing(rule):
    assert HEALTHY[rule]() == {}


# Variants of a fault


class Own:
    """An objective of the user's own: two terms and a weight that nobody is told of."""

    unit = "own"

    def __init__(self, weight: float = 1.0, error: str = "squares", kl_mean: bool = False) -> None:
        self.weight, self.error, self.kl_mean = weight, error, kl_mean

    def __call__(self, model, batch, progress):
        output = model(batch)
        mean, (site,) = output.x_dist.mean[0], output.latent.sites.values()
        entropy = nn.functional.binary_cross_entropy(mean, batch.target, reduction="none")
        error = {
            "squares": lambda: (mean - batch.target).square().mean(),
            "entropy": lambda: entropy.mean(),
            "sum": lambda: entropy.sum(1).mean(),
        }[self.error]()
        divergence = site.kl().mean() / (site.z.shape[-1] if self.kl_mean else 1)
        terms = {"error": error.detach(), "kl": divergence.detach()}
        return Losses(error + self.weight * divergence, terms)

    def check(self, output): ...


@pytest.mark.parametrize(
    ("error", "beta", "cure"), [("squares", "20", "0.05"), ("entropy", "40", "0.025")]
)
def test_a_mean_error_beside_a_summed_kl_is_told_with_the_weight_it_amounts_to(error, beta, cure):
    model = vae(d=40, likelihood=Gaussian(1, SIGMOID) if error == "squares" else None)
    found = diagnosed(model, Own(error=error), unit_rows(d=40))["kl_scale"]
    assert "'error' is a mean over 40 entries" in found.message
    assert f"means {beta} in nats" in found.message
    assert found.suggestion == f"sum both terms, or weight kl by {cure}"


def test_a_summed_error_beside_a_mean_kl_is_told_as_well():
    found = diagnosed(vae(z=32), Own(error="sum", kl_mean=True), unit_rows())["kl_scale"]
    assert "the KL term is not a sum" in found.message
    # 1/32 lies between 0.0312 and 0.0313, so the last bit of the sums decides which is printed.
    weight = re.search(r"means (\S+) in nats", found.message)
    assert float(weight.group(1)) == pytest.approx(1 / 32, rel=0.005)
    assert found.suggestion == "sum both terms, or weight kl by 32"


@pytest.mark.parametrize(
    "objective",
    [
        Own(1 / 40),  # makes up for the mean
        Own(error="sum"),
        Own(error="entropy", kl_mean=True),  # two means nearly make up for each other
    ],
    ids=["weighted", "sums", "means"],
)
def test_terms_of_ones_own_that_fit_together_are_no_fault(objective):
    likelihood = Gaussian(1, SIGMOID) if objective.error == "squares" else None
    model = vae(d=40, z=32, likelihood=likelihood)
    assert "kl_scale" not in diagnosed(model, objective, unit_rows(d=40), epochs=5)


@pytest.mark.parametrize(
    ("beta", "origin"),
    [
        (1 / 16, "one over the entries of an example"),
        (1 / 512, "one over the number of examples"),
        (48 / 512, "the share of a batch in the data"),
        (16.0, "the entries of an example"),
    ],
)
def test_the_kl_weight_gives_away_where_it_comes_from(beta, origin):
    found = diagnosed(vae(), elbo(beta), unit_rows(), epochs=2, batch_size=48)
    assert f"is {origin}" in found["kl_scale"].message


@pytest.mark.parametrize("beta", [0.3, 0.5, 2.0, 4.0])
def test_an_ordinary_beta_is_no_fault(beta):
    assert "kl_scale" not in diagnosed(vae(), elbo(beta), unit_rows(), epochs=2)


def test_a_weight_that_moves_gives_nothing_away():
    objective = WeightedSum(
        {"reconstruction": reconstruction, "kl": kl}, kl=Linear(0.0, 1 / 64, until=0.5)
    )
    assert "kl_scale" not in diagnosed(vae(), objective, unit_rows(), epochs=4)


def squashed(z, d, activation):
    return nn.Sequential(nn.Linear(z, 32), nn.ReLU(), nn.Linear(32, d), activation)


@pytest.mark.parametrize(
    ("x", "model", "objective", "change"),
    [
        (2 * unit_rows() - 1, vae(), elbo(), "map the data to 0..1 with (x + 1) / 2"),
        (2 * unit_rows() - 1, plain(), MSE, "map the data to 0..1 with (x + 1) / 2"),
        (255 * unit_rows(), plain(), MSE, "divide the data by 255"),
        (16 * unit_rows(), vae(), elbo(), "divide the data by 16"),
        (5 * unit_rows() - 2, vae(), elbo(), "likelihood=gaussian"),
        (5 * unit_rows() - 2, plain(), MSE, "output=identity"),
        (unit_rows() / 255, vae(), elbo(), "multiply the data by 255"),
        (
            255 * unit_rows(),
            plain(decoder=squashed(3, 16, nn.Tanh()), link=Gaussian(1).link),
            MSE,
            "divide the data by 255",
        ),
        (
            unit_rows(),
            vae(decoder=squashed(3, 16, nn.Sigmoid())),
            elbo(),
            "leave out the decoder's last activation, the likelihood has its own",
        ),
    ],
    ids=["-1..1", "-1..1 mse", "255 mse", "16", "real", "real mse", "twice", "tanh", "two sigmoids"],
)
def test_data_out_of_reach_come_with_their_own_remedy(x, model, objective, change):
    found = diagnosed(copy.deepcopy(model), objective, x, epochs=1, lr=1e-4)["range_mismatch"]
    said, _, factor = found.suggestion.rpartition(" by ")
    expected, _, wanted = change.rpartition(" by ")
    assert said == expected
    assert not said or float(factor) == pytest.approx(float(wanted), rel=0.02)


@pytest.mark.parametrize(
    ("x", "model", "objective"),
    [
        (unit_rows(), plain(link=Gaussian(1).link), MSE),
        (100 * unit_rows() - 50, plain(link=Gaussian(1).link), MSE),
        (2 * unit_rows() - 1, plain(decoder=squashed(3, 16, nn.Tanh()), link=Gaussian(1).link), MSE),
        ((unit_rows() > 0.5).float(), vae(), elbo()),
    ],
    ids=["linear", "linear real", "tanh", "binary"],
)
def test_data_within_reach_are_no_fault(x, model, objective):
    found = diagnosed(copy.deepcopy(model), objective, x, epochs=1, lr=1e-4)
    assert "range_mismatch" not in found


def test_targets_that_were_not_observed_are_not_judged():
    x = unit_rows(64)
    mask = torch.rand(x.shape, generator=torch.Generator().manual_seed(0)) < 0.7
    batch = Batch(x, torch.where(mask, x, 999.0), mask=mask)
    history = [EpochRecord(1, 1, {"loss": 1.0})]
    checkup = examine(vae(), elbo(), batch, history, TrainingPlan(), Progress(1, 1, 64))
    assert checkup is not None
    assert [rule.__name__ for rule in RULES if rule(checkup)] == []
    checkup = examine(
        vae(), elbo(), Batch(x, batch.target), history, TrainingPlan(), Progress(1, 1, 64)
    )
    assert [rule.__name__ for rule in RULES if rule(checkup)] == ["range_mismatch"]


def test_units_of_a_saturated_tanh_are_dead_and_leaky_ones_are_not():
    for activation, expected in ((nn.Tanh(), "lr=0.0015"), (nn.LeakyReLU(0.01), None)):
        model = plain()
        model.encoder.layers[1] = activation
        nn.init.constant_(model.encoder.layers[0].bias, -100.0)
        found = diagnosed(model, MSE, unit_rows()).get("dead_units")
        assert (found and found.suggestion) == expected


def test_dead_dimensions_of_a_plain_code_are_told_once():
    model = plain(z=8, activation=nn.ReLU())
    with torch.no_grad():
        model.bottleneck.project.bias[:2], model.bottleneck.project.bias[2:] = 5.0, -100.0
    found = diagnosed(model, MSE, unit_rows())
    assert found.keys() == {"unused_dimensions"}
    assert found["unused_dimensions"].message == "6 of 8 latent dimensions are unused"
    assert found["unused_dimensions"].suggestion == "latent_dim=3"


# When it looks, and what it leaves alone


class Norms(nn.Module):
    """An encoder with everything that looking could move: buffers, dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(16, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.3), nn.Linear(32, 32)
        )

    def forward(self, x):
        return self.net(x)


def restless() -> AutoencoderModule:
    model = vae()
    with seeded(5):
        model.encoder = Norms()
    return model


@pytest.mark.parametrize("held_out", [None, unit_rows(300, seed=1)], ids=["train", "held out"])
def test_training_is_bit_identical_with_and_without_the_doctor(held_out):
    results = []
    for doctor in (True, False):
        model = restless()
        plan = TrainingPlan(epochs=12, batch_size=4, doctor=doctor)
        validation = None if held_out is None else Rows(held_out)
        records = fit(
            model, (Update(elbo(), (model,)),), Rows(unit_rows(128)), plan, validation=validation
        )
        losses = [(record.losses, record.validation) for record in records]
        results.append((model.state_dict(), losses))
    (first, losses), (second, other_losses) = results
    assert losses == other_losses
    assert all(torch.equal(first[name], second[name]) for name in first | second)


def test_looking_moves_nothing_and_leaves_no_hook_behind():
    model = restless()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    torch.manual_seed(7)
    state = torch.get_rng_state()
    records = [EpochRecord(1, 1, {"loss": 1.0})]
    updates = (Update(elbo(), (model,)),)
    doctor = Doctor(updates, TrainingPlan(epochs=1), Rows(unit_rows()), None, 0, CPU)
    assert doctor.diagnose(model, records, last=True) == ()
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert model.training
    assert not any(module._forward_hooks for module in model.modules())
    assert all(p.grad is None for p in model.parameters())


def test_the_last_epoch_is_always_looked_at_and_the_others_as_time_allows():
    def every(n, batch_size, held_out=None):
        validation = None if held_out is None else Rows(torch.zeros(held_out, 1))
        plan = TrainingPlan(batch_size=batch_size)
        return Doctor((), plan, Rows(torch.zeros(n, 1)), validation, 0, CPU).every

    assert every(59_000, 256, 1000) == 1
    assert every(59_000, 64, 1000) == 1
    assert every(1_414, 64, 24) > 20  # digits: the probe is as large as an epoch
    assert every(100, 64) >= 100
    assert "range_mismatch" in diagnosed(vae(), elbo(), 255 * unit_rows(), epochs=1, lr=1e-4)


@pytest.mark.parametrize(("n", "epochs"), [(512, 120), (3_000, 40), (60_000, 3)])
def test_the_doctor_looks_at_one_example_for_a_hundred_that_are_trained(n, epochs):
    looked = []

    class Counting(WeightedSum):
        def __call__(self, model, batch, progress):
            if not model.training:
                looked.append(len(batch.x))
            return super().__call__(model, batch, progress)

    model = plain(d=2, z=1, hidden=2)
    objective = Counting({"mse": mean_squared_error})
    plan = TrainingPlan(epochs=epochs, batch_size=256, lr=1e-3)
    fit(model, (Update(objective, (model,)),), Rows(torch.rand(n, 2)), plan)
    assert sum(looked[:-1]) <= 0.01 * n * epochs  # the last check is always due
    assert len(looked) >= 1


def test_a_diagnosis_stands_since_its_epoch_and_goes_when_it_is_cured():
    model, x = vae(), unit_rows()
    doctor = Doctor((Update(elbo(), (model,)),), TrainingPlan(batch_size=2), Rows(x), None, 0, CPU)
    records: list[EpochRecord] = []
    seen = []
    for epoch in range(1, 5 * doctor.every + 1):
        if epoch == 2 * doctor.every:
            doctor._probe = Batch.from_examples(255 * x)
        if epoch == 4 * doctor.every:
            doctor._probe = Batch.from_examples(x)
        records.append(EpochRecord(epoch, epoch, {"loss": 1.0}))
        found = doctor.diagnose(model, records)
        records[-1] = EpochRecord(epoch, epoch, {"loss": 1.0}, diagnoses=found)
        seen.append([(d.rule, d.epoch) for d in found])
    k = doctor.every
    assert seen[: 2 * k - 1] == [[]] * (2 * k - 1)
    assert seen[2 * k - 1 : 4 * k - 1] == [[("range_mismatch", 2 * k)]] * (2 * k)
    assert seen[4 * k - 1 :] == [[]] * (k + 1)


def test_a_doctor_that_comes_later_says_the_same_from_the_records():
    model, x = vae(), 255 * unit_rows()
    new = lambda: Doctor(  # noqa: E731
        (Update(elbo(), (model,)),), TrainingPlan(batch_size=2), Rows(x), None, 0, CPU
    )
    first = new()
    records = [EpochRecord(e, e, {"loss": 1.0}) for e in range(1, first.every + 1)]
    records[-1] = EpochRecord(first.every, 1, {"loss": 1.0}, diagnoses=first.diagnose(model, records))
    for e in range(first.every + 1, 2 * first.every + 1):
        records.append(EpochRecord(e, e, {"loss": 1.0}))
        found = first.diagnose(model, records)
        assert found == new().diagnose(model, records)
        assert [d.epoch for d in found] == [first.every]
        records[-1] = EpochRecord(e, e, {"loss": 1.0}, diagnoses=found)


def test_nothing_is_judged_in_the_first_steps_but_what_cannot_change():
    found = diagnosed(vae(z=24), elbo(50.0), unit_rows(), epochs=2)
    assert found == {}
    found = diagnosed(vae(), elbo(1 / 64), 255 * unit_rows(), epochs=1, lr=1e-4)
    assert found.keys() == {"range_mismatch", "kl_scale"}


def test_an_objective_that_never_calls_the_model_is_left_alone():
    class Aloof(Own):
        def __call__(self, model, batch, progress):
            loss = model.embed(batch.x).square().mean()
            return Losses(loss, {"size": loss.detach()})

    assert diagnosed(plain(), Aloof(1.0), unit_rows(), epochs=2) == {}


def test_a_probe_is_spread_over_data_that_are_sorted():
    x = torch.arange(15_000.0).unsqueeze(1)
    probe = probe_of(Rows(x), 1000).x
    assert 900 <= len(probe) <= 1020
    assert probe.max() > 14_000
    context = torch.arange(100.0).unsqueeze(1)

    class Conditioned(Rows):
        def batches(self, size):
            for start in range(0, 100, size):
                part = slice(start, start + size)
                yield Batch(self.x[part], -self.x[part], context[part], self.x[part] > 0)

    batch = probe_of(Conditioned(x[:100]), 20)
    assert torch.equal(batch.target, -batch.x)
    assert batch.context is not None
    assert batch.mask is not None
    assert torch.equal(batch.context, batch.x)
    assert len(batch.mask) == len(batch.x) == 20


def test_loss_rules_leave_runs_with_several_updates_and_moving_weights_alone():
    losses = [1.0, 0.2, 3.0]
    history = [EpochRecord(i + 1, i + 1, {"loss": v}) for i, v in enumerate(losses)]
    plan, batch, progress = TrainingPlan(), Batch.from_examples(unit_rows(64)), Progress(3, 3, 64)
    moving = WeightedSum({"reconstruction": reconstruction, "kl": kl}, kl=Linear(0.0, 1.0))

    def rules(objective, alone):
        checkup = examine(vae(), objective, batch, history, plan, progress, alone)
        assert checkup is not None
        return [rule.__name__ for rule in RULES if rule(checkup)]

    assert rules(elbo(), True) == ["rate_too_high"]
    assert rules(elbo(), False) == rules(moving, True) == []


@pytest.mark.parametrize(
    ("losses", "told"),
    [
        ([9.0, 5.0, *[1.0, 1.05] * 8], "in 5 of the last 10 epochs"),
        ([9.0, 5.0, *[1.0, 1.01] * 8], None),  # noise at a constant rate
        ([20.0 - i + i % 2 * 1.5 for i in range(16)], None),  # unsteady, but on its way
        ([-5.0 - i for i in range(16)], None),
        ([1.0, 0.3, 0.2, 0.4], "rose from 0.2 to 0.4"),
        ([1.0], None),
    ],
)
def test_a_rate_is_too_high_where_the_loss_climbs_or_gets_nowhere(losses, told):
    history = [EpochRecord(i + 1, i + 1, {"loss": v}) for i, v in enumerate(losses)]
    batch, plan, progress = Batch.from_examples(unit_rows(64)), TrainingPlan(lr=0.1), Progress(1, 9, 64)
    checkup = examine(plain(), MSE, batch, history, plan, progress)
    found = rate_too_high(checkup)
    assert (found is None) == (told is None)
    assert found is None or (told in found.message and found.suggestion == "lr=0.05")


@pytest.mark.parametrize(
    ("held_out", "trained", "best"),
    [
        ([9, 5, 4, 5, 6, 6], [9, 5, 4, 3, 2, 1], 3),
        ([9, 5, 4, 5, 6, 6], [9, 5, 4, 4, 4, 4], None),  # nothing was learned by heart
        ([9, 5, 4, 3.9, 3.8, 3.8], [9, 5, 4, 3, 2, 1], None),
        ([0.9, 0.1, 0.01, 0.02, 0.02, 0.02], [0.9, 0.1, 0.01, 0.005, 0.001, 0.001], 3),
        ([9, 5, -1, -0.9, -0.9, -0.9], [9, 5, -1, -2, -3, -4], None),  # far below what was won
        ([9, 5, -1, 1, 1, 1], [9, 5, -1, -2, -3, -4], 3),
    ],
)
def test_overfitting_is_a_validation_loss_that_rises_while_the_other_falls(held_out, trained, best):
    history = [
        EpochRecord(i + 1, i + 1, {"loss": float(t)}, {"loss": float(v)})
        for i, (v, t) in enumerate(zip(held_out, trained, strict=True))
    ]
    progress = Progress(1000, 1000, 64)
    checkup = examine(
        plain(), MSE, Batch.from_examples(unit_rows(64)), history, TrainingPlan(), progress
    )
    found = overfitting(checkup)
    assert (found and found.suggestion) == (best and "keep=best")


# Where it is told


BAD = ("--recipe", "vae", "--epochs", "10", "--set", "beta=100", "--set", "likelihood=gaussian")
BAD += ("--batch-size", "1")


def test_history_report_and_json_hold_what_was_found(cli, table, tmp_path):
    result = cli("train", table, *BAD, "--set", "hidden=8", "--out", "r", "--json")
    assert result.code == 0
    found = {one["rule"]: one for one in result.json["diagnoses"]}
    assert found["posterior_collapse"]["suggestion"] == "beta=1"
    lines = [json.loads(line) for line in (tmp_path / "r/history.jsonl").read_text().splitlines()]
    assert lines[-1]["diagnoses"] == result.json["diagnoses"]
    assert "diagnoses" not in lines[0]
    page = (tmp_path / "r/report.html").read_text()
    assert '<h2 id="doctor">Doctor</h2>' in page
    assert "the posterior has collapsed" in page
    assert ">beta=1<" in page
    assert ">diagnoses<" not in page


def test_the_command_line_tells_a_fault_once_and_what_stands_at_the_end(cli, table):
    result = cli("train", table, *BAD, "--set", "hidden=8")
    told = [line for line in result.err.splitlines() if line.startswith("doctor: ")]
    live = [line for line in told if line.startswith("doctor: epoch")]
    final = [line for line in told if "; try " in line]
    assert len(live) == len(final) == len(told) / 2 > 0
    assert "the posterior has collapsed" in live[0]
    assert final[0].endswith("; try beta=1")


def test_quiet_is_quiet_about_faults(cli, table):
    given = ("--set", "hidden=8", "--set", "latent_dim=3", "--set", "keep=last")
    assert cli("train", table, *BAD, *given, "--quiet").err == ""


def test_the_doctor_can_be_sent_away(cli, table, tmp_path):
    result = cli("train", table, *BAD, "--set", "hidden=8", "--set", "doctor=false", "--out", "r")
    assert "doctor" not in result.err
    assert '<h2 id="doctor">' not in (tmp_path / "r/report.html").read_text()
    assert "diagnoses" not in (tmp_path / "r/history.jsonl").read_text()


def test_a_fault_that_comes_back_is_not_told_again(capsys):
    watcher = Watcher(quiet=False)
    watcher.start(3, 3)
    fault = Diagnosis("dead_units", "31 of 32 units [of encoder]", "lr=1", 1)
    for epoch, found in enumerate([(fault,), (), (fault,)]):
        watcher.epoch(EpochRecord(epoch + 1, epoch + 1, {"loss": 1.0}, diagnoses=found))
    assert capsys.readouterr().err.count("doctor: epoch 1: 31 of 32 units [of encoder]") == 1


def test_a_bar_tells_a_fault_above_itself(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    with Watcher(quiet=False) as watcher:
        assert watcher._bar is not None
        watcher.start(3, 3)
        fault = Diagnosis("dead_units", "31 of 32 units [of encoder]", "lr=1", 1)
        watcher.epoch(EpochRecord(1, 1, {"loss": 1.0}, diagnoses=(fault,)))
    assert "doctor: epoch 1: 31 of 32 units [of encoder]" in capsys.readouterr().err


def test_a_healthy_report_says_that_nothing_was_found(tmp_path):
    given = {"title": "t", "config": {}, "metrics": [], "history": [], "pictures": []}
    for diagnoses, expected in (([], "found nothing"), (None, None)):
        write_report(tmp_path / "r.html", **given, diagnoses=diagnoses)
        page = (tmp_path / "r.html").read_text()
        assert ('id="doctor"' in page) == (expected is not None)
        assert expected is None or expected in page


def test_a_run_gives_its_diagnoses_in_python():
    x = np.asarray(unit_rows(200))
    run = train(x, "vae", standardize="unit", hidden=(8,), beta=1 / 64, epochs=2, batch_size=64)
    assert [one["rule"] for one in run.diagnoses] == ["kl_scale"]
    assert run.diagnoses == run.history[-1]["diagnoses"]
