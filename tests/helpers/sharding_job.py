"""What each process of the tests in test_sharding.py runs: python sharding_job.py OUT.

Every case trains a small recipe, sharded where there are several processes.
"""

import sys
from pathlib import Path

import torch

from autoencode import DataSpec, build, parallel
from autoencode.data import Examples, Resident
from autoencode.training import fit, sharding
from autoencode.training.state import TrainingState

SPEC = DataSpec((1, 8, 8))
MLP = {"hidden": (16, 9), "latent_dim": 3}  # 9 and 3 rows cannot be halved
# Of 85 examples in batches of 16 the last batch has five; of 81 one, and none for the other process.
CASES = {
    "mlp": ("mlp", MLP, 85),
    "one_row_left": ("mlp", MLP, 81),
    "vae": ("vae", MLP, 85),
    "one_row_left_vae": ("vae", MLP, 81),
    "layernorm": ("mlp", MLP | {"normalization": "layer", "dropout": 0.2}, 85),
    "denoising": ("mlp", MLP | {"noise": "gaussian"}, 85),
    "conv": ("conv", {"channels": (8, 6), "latent_dim": 3}, 85),
    "patience": ("vae", MLP | {"patience": 2, "lr": 0.1}, 85),
}
FIGURES = {"epochs": 3, "batch_size": 16, "min_steps": 0, "lr": 3e-3, "optimizer": "adam"}


class Kept:
    """States after some steps, by step; ``due`` on the process that writes alone, as in a run."""

    def __init__(self):
        self.states = {}

    def due(self):
        return True

    def keep(self, state):
        tensors = {name: t.clone() for name, t in state.tensors.items()}
        self.states[state.position.step] = TrainingState(state.position, state.records, tensors)


def source(n):
    x = torch.rand(n, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    return Resident(Examples(x.numpy()), SPEC)


def train(case, keeper=None, resume=None):
    name, options, n = CASES[case]
    recipe = build(name, SPEC, seed=0, shard=True, **{**FIGURES, "weight_decay": 0.01, **options})
    records = fit(
        recipe.model,
        recipe.updates,
        source(n),
        recipe.plan,
        validation=source(7),
        seed=3,
        keeper=keeper,
        resume=resume,
    )
    found = {key: value.clone() for key, value in recipe.model.state_dict().items()}
    for i, record in enumerate(records):
        losses = record.losses | {f"validation_{k}": v for k, v in record.validation.items()}
        found |= {f"{k}@{i}": torch.tensor(v, dtype=torch.float64) for k, v in losses.items()}
    return found


def main(out):
    sizes = []
    local = sharding.OnShards.__init__

    def noting(self, parameters, make):
        local(self, parameters, make)
        parts = sum(part.numel() for part in self._parts)
        sizes.append([parts, sum(p.numel() for p in self.parameters)])

    sharding.OnShards.__init__ = noting
    with parallel.joined() as group:
        found = {case: train(case) for case in CASES}
        keeper = Kept()
        found["kept"] = train("vae", keeper if group.leads else None)
        if group.leads:
            kept = {step: (s.facts(), dict(s.tensors)) for step, s in keeper.states.items()}
            torch.save(kept, Path(out) / "states.pt")
        group.meet()
        facts, tensors = torch.load(Path(out) / "states.pt", weights_only=False)[16]
        found["resumed"] = train("vae", resume=TrainingState.from_dict(facts, tensors))
        found["sizes"] = {str(i): torch.tensor(pair) for i, pair in enumerate(sizes)}
        torch.save(found, Path(out) / f"{group.rank}.pt")


if __name__ == "__main__":
    main(sys.argv[1])
