"""The training plan: epochs, learning rate, batch size and the other figures of a training run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Literal

from torch import nn

from autoencode.limits import AtLeast, Count, NotNegative, Part, Positive
from autoencode.training.optimizers import Adam, Muon, Optimizer
from autoencode.training.precision import Bfloat16, Compiled
from autoencode.training.update import Update
from autoencode.types import Objective


@dataclass(frozen=True)
class TrainingPlan:
    """The figures of a training run.

    Attributes:
        epochs: passes over the training data.
        batch_size: examples in each step.
        lr: peak learning rate (of matrices and kernels, with Muon).
        optimizer: adam, or muon (matrices and kernels of convolutions by Muon, the rest by Adam at a
            quarter of the rate).
        warmup: share of the steps over which the rate grows from zero.
        decay: constant rate after that, or linear to zero at the last step.
        mean_start: set the output's bias so that training starts at the mean of the data.
        data_start: give parts their first values from training examples where they have such (vectors
            of a codebook, components of a prior, a linear path); without it training goes on from the
            weights that are there.
        weight_decay: decoupled weight decay.
        min_steps: small data get more epochs until there are that many steps.
        validation: share of the training data that is held out to watch; a share of 1/60 of MNIST
            is 1 000 images.
        patience: stop after so many epochs without a lower validation loss; 0 trains to the end.
        keep: last leaves the weights of the last step; best those of the lowest validation loss, or
            the start, before any step, where no epoch was surely better; auto is best with patience,
            else last. Where nothing is held out the last are left.
        ema: decay of an average of the weights over the steps, which is what is measured and kept in
            their place; 0.999 looks back some 1000 steps, 0 averages nothing.
        non_finite: what to do when a loss or, with skip, a gradient is not finite: stop, or skip the
            step and go on at half the rate.
        doctor: look for faults of training now and then, and say what could be changed.
        precision: of the products inside the networks while they train: float32; tf32, which rounds
            what CUDA GPUs multiply to 10 bits and is float32 elsewhere; or bf16, which
            pays for large networks where there are bfloat16 units (AMX, AVX512-BF16, tensor cores)
            and costs no quality that was seen beside the seed's (``benchmarks/``).
        replay: auto replays whole steps as one CUDA graph where there is a GPU and where they can
            be recorded, off does not; the processor knows no graphs.
        shard: spread weights, gradients and Adam's moments over the processes that torchrun started
            (FSDP2), for networks that are too large for one GPU; slower than whole copies.
        compile: compile forward and backward passes at the first step, which takes seconds up to a
            minute; pays, if at all, in long trainings of small MLPs. Needs a C++ compiler.
    """

    epochs: Count = 10
    batch_size: Count = 128
    lr: Positive = 1e-3
    optimizer: Literal["adam", "muon"] = "adam"
    warmup: Part = 0.0
    decay: Literal["constant", "linear"] = "constant"
    mean_start: bool = False
    data_start: bool = True
    weight_decay: NotNegative = 0.0
    min_steps: Annotated[int, AtLeast(0)] = 0
    validation: Part = 1 / 60
    patience: Annotated[int, AtLeast(0)] = 0
    keep: Literal["auto", "last", "best"] = "auto"
    ema: Part = 0.0
    non_finite: Literal["stop", "skip"] = "stop"
    doctor: bool = True
    precision: Literal["float32", "tf32", "bf16"] = "float32"
    replay: Literal["auto", "off"] = "auto"
    shard: bool = False
    compile: bool = False

    @property
    def keeps_best(self) -> bool:
        """Whether the weights of the lowest validation loss are what training leaves."""
        return self.keep == "best" or (self.keep == "auto" and self.patience > 0)

    def n_epochs(self, n_train: int) -> int:
        """Computes the number of epochs: at least ``epochs``, more where ``min_steps`` asks for it."""
        per_epoch = math.ceil(n_train / self.batch_size)
        return max(self.epochs, math.ceil(self.min_steps / per_epoch))

    def rate(self, step: int, n_steps: int) -> float:
        """Computes the factor on the learning rate at a step, in (0, 1].

        >>> TrainingPlan(warmup=0.2, decay="linear").rate(99, 100)
        0.0125
        """
        rising = math.ceil(self.warmup * n_steps)
        if step < rising:
            return (step + 1) / rising
        if self.decay == "constant":
            return 1.0
        return (n_steps - step) / (n_steps - rising)

    def make_optimizer(self, parameters: Sequence[nn.Parameter]) -> Optimizer:
        """Makes the optimiser over these parameters."""
        if self.optimizer == "muon":
            return Muon(parameters, lr=self.lr, adam_lr=self.lr / 4, weight_decay=self.weight_decay)
        return Adam(parameters, lr=self.lr, weight_decay=self.weight_decay)

    def arrange(self, updates: Sequence[Update]) -> tuple[Update, ...]:
        """Wraps the updates in the arithmetic that ``precision`` and ``compile`` ask for."""
        return tuple(
            replace(update, objective=self._arithmetic(update.objective)) for update in updates
        )

    def _arithmetic(self, objective: Objective) -> Objective:
        if self.precision == "bf16":
            objective = Bfloat16(objective)
        return Compiled(objective) if self.compile else objective
