"""A critic of patches: signs of gradients, the adaptive weight by autograd, who moves what and when."""

import pytest
import torch
from torch import nn

from autoencode.errors import IncompatibleError, OptionError
from autoencode.objectives import (
    After,
    Discriminator,
    PatchCritic,
    balanced,
    examples_and_reconstructions,
    raising_logits,
    squared_error,
)
from autoencode.recipes import build
from autoencode.training.update import only
from autoencode.types import Batch, DataSpec, Progress

SPEC = DataSpec((1, 12, 8))
SMALL = {
    "channels": (4, 8),
    "n_codes": 6,
    "code_dim": 4,
    "critic_channels": (8, 16),
    "critic_from": 0.5,
}
LATE, EARLY = Progress(60, 100), Progress(40, 100)


@pytest.fixture(autouse=True)
def _from_a_seed():
    torch.manual_seed(0)


def made(**options):
    """A recipe whose codebook has started."""
    recipe = build("vq_patch_gan", SPEC, **{**SMALL, **options})
    batch = Batch.from_examples(torch.rand(16, *SPEC.shape))
    recipe.model(batch)
    return recipe, batch


def test_the_hinge_loss_is_its_formula_and_pushes_logits_apart():
    logits = {"real": torch.tensor([2.0, 0.3, -1.5]), "fake": torch.tensor([-2.0, 0.3, 1.5])}
    parameters = {name: value.clone().requires_grad_() for name, value in logits.items()}

    def critic(x):
        return parameters["real"] if bool(x.all()) else parameters["fake"]

    side = Discriminator(critic, lambda model, batch: (torch.ones(3), torch.zeros(3)), hinge=True)
    losses = side(None, None, Progress())
    expected = ((1 - logits["real"]).clamp_min(0) + (1 + logits["fake"]).clamp_min(0)).mean()
    torch.testing.assert_close(losses.total.detach(), expected)
    losses.total.backward()
    # Those on the right side of their margin are left alone; the others are pushed to it.
    assert (3 * parameters["real"].grad).tolist() == [0.0, -1.0, -1.0]
    assert (3 * parameters["fake"].grad).tolist() == [0.0, 1.0, 1.0]


def test_the_models_side_raises_the_logits_of_what_it_makes():
    recipe, batch = made()
    critic = recipe.helpers["critic"]
    output = recipe.model(batch)
    term = raising_logits(critic)
    value = term(recipe.model, batch, output, LATE)
    assert value.shape == (16,)
    torch.testing.assert_close(value, -critic(output.x_dist.mean[0]).flatten(1).mean(1))
    weights = recipe.model.decoder.output.weight
    (slope,) = torch.autograd.grad(value.mean(), weights)
    with torch.no_grad():
        weights.sub_(0.01 * slope / slope.norm())
        after = term(recipe.model, batch, recipe.model.eval()(batch), LATE).mean()
    assert float(after) < float(value.detach().mean())


@pytest.mark.parametrize("critic_weight", [0.8, 3.0])
def test_the_weight_of_the_critic_is_the_ratio_of_gradients_at_the_last_layer(critic_weight):
    recipe, batch = made(critic_weight=critic_weight)
    model, critic = recipe.model.eval(), recipe.helpers["critic"]
    objective = recipe.updates[0].objective
    output = model(batch)
    weights = model.decoder.output.weight
    error = (output.x_dist.mean[0] - batch.x).square().flatten(1).sum(1).mean()
    raising = -critic(output.x_dist.mean[0]).mean()
    slopes = [torch.autograd.grad(v, weights, retain_graph=True)[0] for v in (error, raising)]
    factor = slopes[0].norm() / (slopes[1].norm() + 1e-4)
    commitment = output.latent.penalties["commitment"].mean()
    expected = error + 0.25 * commitment + critic_weight * factor * raising
    losses = objective(model, batch, LATE)
    torch.testing.assert_close(losses.total, expected)
    torch.testing.assert_close(losses.terms["raising_logits"], (factor * raising).detach())
    # The factor is a number, so the gradient is that of the terms alone.
    parameters = list(model.decoder.parameters())
    with only(parameters, [*model.parameters(), *critic.parameters()]):
        found = torch.autograd.grad(objective(model, batch, LATE).total, parameters)
    fixed = error + critic_weight * float(factor) * raising
    for a, b in zip(found, torch.autograd.grad(fixed, parameters), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_a_balanced_term_is_no_larger_than_its_bound_and_nothing_outside_of_training():
    recipe, batch = made()
    model, output = recipe.model, recipe.model(batch)
    flat = nn.Conv2d(1, 1, 1)
    with torch.no_grad():
        flat.weight.fill_(1e-9)
    term = raising_logits(flat)
    bounded = balanced(term, squared_error, lambda m: m.decoder.output.weight, most=7.0)
    value = term(model, batch, output, LATE).mean()
    torch.testing.assert_close(bounded(model, batch, output, LATE), 7.0 * value)
    with torch.no_grad():
        assert float(bounded(model, batch, output, LATE)) == 0.0


def test_before_its_time_the_critic_neither_learns_nor_is_listened_to():
    recipe, batch = made(lr=1e-3)
    critic = recipe.helpers["critic"]
    alone = build("vqvae", SPEC, channels=(4, 8), n_codes=6, code_dim=4, lr=1e-3, optimizer="adam")
    with torch.no_grad():
        pairs = zip(alone.model.state_dict().values(), recipe.model.state_dict().values(), strict=True)
        for mine, theirs in pairs:
            mine.copy_(theirs)
    before = {name: p.clone() for name, p in critic.named_parameters()}
    for r in (recipe, alone):
        r.stepper().step(batch, EARLY)
    assert all(torch.equal(p, before[name]) for name, p in critic.named_parameters())
    for (name, p), q in zip(recipe.model.named_parameters(), alone.model.parameters(), strict=True):
        torch.testing.assert_close(p, q, msg=name)
    recipe.stepper().step(batch, LATE)
    moved = [name for name, p in critic.named_parameters() if not torch.equal(p, before[name])]
    assert len(moved) >= len(before) - 1  # both margins may push the last bias alike


def test_the_critics_turn_reaches_nothing_of_the_model():
    recipe, batch = made()
    model, critic = recipe.model.train(), recipe.helpers["critic"]
    buffers = {name: b.clone() for name, b in model.named_buffers()}
    recipe.updates[1].objective(model, batch, LATE).total.backward()
    assert all(p.grad is None for p in model.parameters())
    assert all(p.grad is not None for p in critic.parameters())
    assert all(torch.equal(b, buffers[name]) for name, b in model.named_buffers())
    real, fake = examples_and_reconstructions(model, batch)
    assert torch.equal(real, batch.x)
    assert not fake.requires_grad


def test_a_logit_sees_its_patch_and_nothing_else():
    recipe, _ = made(critic_channels=(8,), critic_strides=(2,))
    critic: PatchCritic = recipe.helpers["critic"].eval()
    critic.body = critic.body.layers[0]  # without the normalisation, which sees everything
    x = torch.rand(1, 1, 28, 28, requires_grad=True)
    logits = critic(x)
    assert logits.shape == (1, 1, 14, 14)
    logits[0, 0, 7, 7].backward()
    rows = x.grad[0, 0].abs().sum(1).nonzero().flatten()
    assert (int(rows.min()), int(rows.max())) == (11, 17)  # 3 + 2 * 2 pixels


def test_the_critic_learns_to_tell_images_from_blurred_reconstructions():
    recipe, batch = made(critic_from=0.0)
    stepper = recipe.stepper()
    losses = [float(stepper.step(batch, LATE)["critic"]) for _ in range(60)]
    assert losses[0] == pytest.approx(2.0, abs=0.5)
    assert min(losses) < 0.7 * losses[0]


def test_a_schedule_that_begins_late_is_zero_before():
    weight = After(0.25, 3.0)
    assert [weight(Progress(step, 8)) for step in range(4)] == [0.0, 0.0, 3.0, 3.0]
    assert After(0.0, 3.0)(Progress()) == 3.0


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"critic_channels": (8, 8, 8)}, IncompatibleError, "the same length"),
        ({"critic_channels": (), "critic_strides": ()}, IncompatibleError, "at least one layer"),
        ({"critic_from": 1.0}, OptionError, r"critic_from: must lie in \[0, 1\)"),
        ({"critic_weight": -1}, OptionError, "critic_weight: must not be negative"),
        ({"n_codes": 1}, OptionError, "at least 2 vectors"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        build("vq_patch_gan", SPEC, **{**SMALL, **options})


def test_what_is_no_image_is_refused_with_a_remedy():
    with pytest.raises(IncompatibleError, match="need images"):
        build("vq_patch_gan", DataSpec((30,)))
