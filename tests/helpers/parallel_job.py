"""What each process of the tests in test_parallel.py runs: python parallel_job.py OUT.

Every case trains a small model; ``states`` gives its weights and losses, in one process or in many.
"""

import sys
from pathlib import Path

import torch
from torch import nn

from autoencode import parallel
from autoencode.bottlenecks import DiagonalGaussian, Plain
from autoencode.likelihoods import Gaussian
from autoencode.models import AutoencoderModule
from autoencode.nets import MLPDecoder, MLPEncoder
from autoencode.nets.layers import NetOptions
from autoencode.objectives import (
    CORRUPTIONS,
    Corrupted,
    ImportanceWeighted,
    WeightedSum,
    kl,
    mean_squared_error,
    reconstruction,
)
from autoencode.objectives.terms import NATS, NamedTerm
from autoencode.parallel import batch_sum, global_batch
from autoencode.priors import StandardNormal
from autoencode.randomness import epoch_order
from autoencode.recipes import build
from autoencode.training import TorchOptimizer, TrainingPlan, Update, fit
from autoencode.types import Batch, DataSpec, Losses

D, Z = 6, 3
ELBO = {"reconstruction": reconstruction, "kl": kl}


class Rows:
    """Examples in memory; the last batch is as small as it comes."""

    def __init__(self, x, masked=False, labelled=False):
        self.x = x
        self.context = None
        if labelled:  # every third example, of two classes
            self.context = torch.full((len(x), 2), torch.nan)
            self.context[::3] = torch.eye(2)[(x[::3, 0] > 0).long()]
        self.mask = torch.rand(x.shape, generator=torch.Generator().manual_seed(5)) > 0.3
        self.masked = masked

    def __len__(self):
        return len(self.x)

    def batch(self, index):
        mask = self.mask[index] if self.masked else None
        context = None if self.context is None else self.context[index]
        return Batch(self.x[index], self.x[index], context, mask)

    def shuffled(self, one):
        for index in epoch_order(len(self), one.seed, one.epoch).split(one.batch_size):
            yield self.batch(index[one.rank :: one.world])

    def batches(self, size):
        for index in torch.arange(len(self)).split(size):
            yield self.batch(index)

    def mean(self):
        return self.x.mean(0)


def vae(dropout=0.0):
    options = NetOptions(dropout=dropout)
    return AutoencoderModule(
        MLPEncoder((D,), (8,), options),
        MLPDecoder(Z, (8,), (D,), options=options),
        DiagonalGaussian(8, Z),
        Gaussian(1),
        StandardNormal((Z,)),
    )


def plain():
    encoder, decoder = MLPEncoder((D,), (8,)), MLPDecoder(Z, (8,), (D,))
    return AutoencoderModule(encoder, decoder, Plain(nn.Linear(8, Z)), Gaussian(1))


# Terms that couple the examples of a batch


def _kernel(a, b):
    return (-(a[:, None] - b[None]).square().sum(-1)).exp().mean()


def _mmd(model, batch, output, progress):
    """Maximum mean discrepancy between codes and draws from the prior, over the whole batch."""
    z = output.latent.z[0]
    prior = global_batch(model.prior_distribution(None).rsample(torch.Size((len(z),))))
    z = global_batch(z)
    return _kernel(z, z) + _kernel(prior, prior) - 2 * _kernel(z, prior)


def _total_correlation(model, batch, output, progress):
    """Each example's own draw against the mixture of all posteriors of the batch."""
    site = output.latent.sites["z"]
    z, q = site.z[0], site.posterior  # this process's draws ...
    loc, log_scale = global_batch(q.loc), global_batch(q.log_scale)  # ... and everyone's posteriors
    every = -0.5 * ((z[:, None] - loc) * (-log_scale).exp()).square() - log_scale  # (b, B, Z)
    return every.sum(-1).logsumexp(1) - every.logsumexp(1).sum(-1)


def _dip(model, batch, output, progress):
    """The covariance of the codes, which shall be the identity."""
    mean = global_batch(output.latent.sites["z"].posterior.loc)
    centred = mean - mean.mean(0)
    covariance = centred.T @ centred / len(mean)
    return (covariance - torch.eye(Z)).square().sum()


class Codebook(nn.Module):
    """Nearest of some vectors, which follow the mean of what chose them: counts are of all rows."""

    def __init__(self):
        super().__init__()
        self.register_buffer("vectors", torch.randn(5, Z))
        self.scale = nn.Parameter(torch.ones(()))

    def term(self, model, batch, output, progress):
        z = output.latent.z[0]
        chosen = torch.cdist(z.detach(), self.vectors).argmin(1)
        loss = (z - self.scale * self.vectors[chosen]).square().sum(-1)
        if self.training:
            one_hot = nn.functional.one_hot(chosen, 5).float()
            counts, sums = batch_sum(one_hot.sum(0)), batch_sum(one_hot.T @ z.detach())
            self.vectors = self.vectors.lerp(sums / counts.clamp_min(1)[:, None], 0.1)
        return loss


class Critic:
    """Two players: the model pleases a critic, which learns to tell examples apart every other step."""

    unit = "score"

    def __init__(self, critic, side):
        self.critic, self.side = critic, side

    def __call__(self, model, batch, progress):
        score = self.critic(model(batch).x_dist.mean[0]).mean()
        if self.side == "model":
            error = mean_squared_error(model, batch, model(batch), progress)
            return Losses(error - score, {"error": error.detach()})
        gap = score - self.critic(batch.target).mean()
        return Losses(gap, {"gap": gap.detach()})

    def check(self, output): ...


def _coupled(term, weight=1.0):
    return WeightedSum(ELBO | {"coupled": NamedTerm(term, NATS)}, coupled=weight)


MSE = WeightedSum({"mse": mean_squared_error})


def _sgd(parameters):
    return TorchOptimizer(torch.optim.SGD(parameters, lr=0.1, momentum=0.9))


def _one(model, objective, **options):
    return model, (Update(objective, (model,), **options),)


def _with_codebook():
    model = plain()
    model.book = Codebook()
    terms = {"reconstruction": reconstruction, "book": NamedTerm(model.book.term, NATS)}
    return _one(model, WeightedSum(terms))


def _with_critic():
    model, critic = plain(), nn.Sequential(nn.Linear(D, 4), nn.Tanh(), nn.Linear(4, 1))
    model.critic = critic
    parts = (model.encoder, model.bottleneck, model.decoder)
    return model, (
        Update(Critic(critic, "model"), parts),
        Update(Critic(critic, "critic"), (critic,), every=2),
    )


def _images():
    options = {"dropout": 0.2}
    recipe = build("conv", DataSpec((1, 8, 8)), channels=(8, 8), latent_dim=3, **options)
    return recipe.model, recipe.updates


def _recipe(name, shape=(D,), **options):
    recipe = build(name, DataSpec(shape, "real"), **options)
    return recipe.model, recipe.updates


def _with_patches():
    options = {"channels": (4, 8), "critic_channels": (8,), "critic_strides": (2,), "critic_from": 0.1}
    return _recipe("vq_patch_gan", (1, 8, 8), n_codes=6, code_dim=3, codebook_decay=0.8, **options)


def _with_labels():
    spec = DataSpec((D,), "real", context_dim=2, classes=("a", "b"), labelled=1 / 3)
    recipe = build("m2_vae", spec, latent_dim=Z, hidden=(8,))
    return recipe.model, recipe.updates


_QUANTISED = {"hidden": (8,), "positions": 2, "n_codes": 6, "code_dim": 3}


# Recipes with noise or terms of their own kind.
RECIPES = {
    "factor_vae": {"critic_hidden": (8,)},
    "beta_tcvae": {"stratified": True},
    "beta_vae_capacity": {},
    "beta_vae": {"free_bits": 0.2},
    "info_vae": {"mmd_weight": 10.0},
    "dip_vae_ii": {},
    "vae_gan": {},
    "aae": {"critic_hidden": (8,)},
    "piwae": {"n_samples": 2, "n_groups": 2},
    "iwae": {"gradient": "dreg", "n_samples": 3},
    "iwae_two_layers": {"top_hidden": (8,), "latent_dim": 4, "top_dim": 2},
    "vmf_vae": {"latent_dim": 3},
    "gumbel_vae": {"n_variables": 2},
    "iaf_vae": {"flow_hidden": 8},
    "mog_vae": {"n_components": 3},
}

# What makes model and updates, and how many examples they learn from in batches of 16: of 85 the last
# batch has five, three for one process and two for the other; of 81 one, and none for the other.
CASES = {
    "plain": (lambda: _one(plain(), MSE), 85),
    "sgd": (lambda: _one(plain(), MSE, optimizer=_sgd), 85),
    "masked": (lambda: _one(plain(), MSE), 85),
    "one_row_left": (lambda: _one(plain(), MSE), 81),
    "vae": (lambda: _one(vae(), WeightedSum(ELBO)), 85),
    "muon": (lambda: _one(vae(), WeightedSum(ELBO)), 85),
    "dropout": (lambda: _one(vae(dropout=0.3), ImportanceWeighted(2)), 85),
    "importance": (lambda: _one(vae(), ImportanceWeighted(3)), 85),
    **{
        name: (lambda name=name: _one(plain(), Corrupted(MSE, CORRUPTIONS[name], 0.3)), 85)
        for name in CORRUPTIONS
        if name not in ("missing", "blur")  # a network that reads gaps, and images
    },
    "mmd": (lambda: _one(vae(), _coupled(_mmd, 10.0)), 85),
    "mmd_one_row_left": (lambda: _one(vae(), _coupled(_mmd, 10.0)), 81),
    "total_correlation": (lambda: _one(vae(), _coupled(_total_correlation)), 85),
    "dip": (lambda: _one(vae(), _coupled(_dip)), 85),
    "codebook": (_with_codebook, 85),
    "critic": (_with_critic, 85),
    "images": (_images, 85),
    **{f"recipe_{n}": (lambda n=n, o=o: _recipe(n, hidden=(8,), **o), 85) for n, o in RECIPES.items()},
    "vqvae": (lambda: _recipe("vqvae", **_QUANTISED, codebook_decay=0.8), 85),
    "rvq_one_row_left": (lambda: _recipe("rvq", **_QUANTISED, n_levels=2), 81),
    "lfq": (lambda: _recipe("lfq", hidden=(8,), positions=2, n_bits=3), 85),
    "batch_topk": (lambda: _recipe("batch_topk", latent_dim=12, k=2, patience_dead=20), 85),
    "wae_mmd": (lambda: _recipe("wae_mmd", hidden=(8,), latent_dim=Z), 81),
    "swae": (lambda: _recipe("swae", hidden=(8,), latent_dim=Z), 85),
    "sparse_kl": (lambda: _recipe("sparse_kl", latent_dim=Z), 85),
    "contractive": (lambda: _recipe("contractive", latent_dim=Z, jacobian="estimate"), 85),
    "mae": (lambda: _recipe("mae", (1, 8, 8), width=8, depth=1, decoder_width=8), 85),
    "ladder_vae": (lambda: _recipe("ladder_vae", latent_dims=(3, 2), hidden=(8, 6)), 85),
    "mae_table": (lambda: _recipe("mae_table", width=8, depth=1, decoder_width=8, heads=2), 81),
    "m2_vae": (_with_labels, 85),
    "m2_vae_one_row_left": (_with_labels, 81),
    "ema": (lambda: _one(vae(), WeightedSum(ELBO)), 85),
    "vq_patch_gan": (_with_patches, 81),
}


def train(name):
    make, n = CASES[name]
    torch.manual_seed(0)
    model, updates = make()
    x = torch.rand(n, 1, 8, 8) if name in ("images", "mae", "vq_patch_gan") else torch.randn(n, D)
    optimizer = "muon" if name == "muon" else "adam"
    ema = 0.9 if name == "ema" else 0.0
    plan = TrainingPlan(epochs=2, batch_size=16, lr=3e-3, optimizer=optimizer, ema=ema)
    labelled = name.startswith("m2_vae")
    rows, held_out = Rows(x, name == "masked", labelled), Rows(x[:7], labelled=labelled)
    return fit(model, updates, rows, plan, validation=held_out, seed=3), model


def states():
    """{case: {name: tensor}}: weights, buffers and the losses of every epoch."""
    found = {}
    for name in CASES:
        records, model = train(name)
        found[name] = {key: value.clone() for key, value in model.state_dict().items()}
        for i, record in enumerate(records):
            losses = record.losses | {f"validation_{k}": v for k, v in record.validation.items()}
            found[name] |= {f"{k}@{i}": torch.tensor(v, dtype=torch.float64) for k, v in losses.items()}
    return found


def main(out):
    with parallel.joined() as group:
        found = states()
        torch.save(found, Path(out) / f"{group.rank}.pt")


if __name__ == "__main__":
    main(sys.argv[1])
