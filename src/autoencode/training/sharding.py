"""Sharded training of large networks: weights, gradients and optimiser states over processes (FSDP2).

Each layer of torch's own (linear, convolutional) is sharded by itself: its weights are gathered when it
is called and let go afterwards, and its gradients are summed to the process that keeps that part. So
objectives may call any method of a model. All else, small as it is, stays whole on every process.

The model that is trained is a copy; what was learnt is put back at the end.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from autoencode import parallel
from autoencode.errors import IncompatibleError
from autoencode.parallel import Share
from autoencode.training.gradients import Average
from autoencode.training.optimizers import Optimizer
from autoencode.training.plan import TrainingPlan
from autoencode.training.update import Update

# What they return shares no memory with their weights, which are gone after the call.
_LAYERS = (
    nn.Linear,
    *(nn.Conv1d, nn.Conv2d, nn.Conv3d),
    *(nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d),
)


def is_sharded(tensor: Tensor) -> bool:
    """Tells whether each process holds only a part of a tensor."""
    return hasattr(tensor, "full_tensor")


def gather_whole(tensor: Any) -> Tensor:
    """Returns the whole of a tensor, on the CPU where it was sharded; every process must call it."""
    found: Tensor = tensor.full_tensor().cpu() if is_sharded(tensor) else tensor
    return found


def gathered(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Gathers whole tensors on the process that writes; elsewhere sharded ones become empty."""
    found = {}
    for name, tensor in tensors.items():
        value = gather_whole(tensor)
        kept = parallel.current().leads or not is_sharded(tensor)
        found[name] = value if kept else value.new_empty(0)
    return found


def put(tensor: Tensor, value: Tensor) -> None:
    """Writes a whole value into a tensor, each process the part that it holds."""
    _local(tensor).copy_(_part(value, tensor) if is_sharded(tensor) else value)


def _local(tensor: Any) -> Tensor:
    found: Tensor = tensor.to_local() if is_sharded(tensor) else tensor
    return found


def _part(value: Tensor, like: Any) -> Tensor:
    """Selects the part of a whole value that this process holds."""
    rows = torch.chunk(value, like.device_mesh.size())
    rank = like.device_mesh.get_local_rank()
    return rows[rank] if rank < len(rows) else value[:0]


def refuse_unfit(plan: TrainingPlan, updates: Sequence[Update], model: nn.Module) -> None:
    """Refuses a training that cannot be sharded.

    Raises:
        IncompatibleError: with what to change.
    """
    names = [name for name, _ in model.named_parameters(remove_duplicate=False)]
    reasons = {
        "Muon works on whole matrices; use --set optimizer=adam": plan.optimizer != "adam",
        "it has several updates, which freeze each other's layers": len(updates) > 1,
        "it brings an optimiser of its own": any(u.optimizer is not None for u in updates),
        "non_finite=skip looks at whole gradients": plan.non_finite == "skip",
        "compile=true does not see through it": plan.compile,
        "ema averages whole weights": plan.ema > 0,
        "two of its layers share a weight": len(names) != len(list(model.parameters())),
    }
    for reason, true in reasons.items():
        if true:
            raise IncompatibleError(f"shard=true cannot be used here: {reason}")


@contextmanager
def sharded(
    model: nn.Module, updates: Sequence[Update], device: torch.device
) -> Iterator[tuple[nn.Module, tuple[Update, ...]]]:
    """Yields a sharded copy of a model and its updates; the model gets the trained weights at the end.

    Args:
        model: the same on all processes; stays where it is.
        updates: what is minimised.
        device: where the shards lie.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    twin, turns = copy.deepcopy((model, tuple(updates)))
    mesh = init_device_mesh(device.type, (parallel.current().world,))
    for parameter in twin.parameters():
        parameter.data = parameter.data.contiguous()  # what is sharded has to be
    for layer in list(twin.modules()):
        if isinstance(layer, _LAYERS):
            part = fully_shard(layer, mesh=mesh, reshard_after_forward=True)
            # A plain sum: the loss bears this process's share of the batch.
            part.set_gradient_divide_factor(1.0)
            part.set_force_sum_reduction_for_comms(True)
    twin.to(device)
    yield twin, turns
    kept = model.state_dict()
    for name, value in twin.state_dict().items():
        kept[name].copy_(gather_whole(value.detach()))


class ShardedAverage(Average):
    """An ``Average`` of tensors that are whole on every process; sharded ones are summed already.

    Args:
        parameters: all of them.
    """

    def __init__(self, parameters: Sequence[nn.Parameter]) -> None:
        super().__init__([p for p in parameters if not is_sharded(p)])
        self._device = parameters[0].device

    def _allocate(self, n_losses: int) -> None:
        if self.parameters:
            super()._allocate(n_losses)
            return
        self._tail = torch.zeros(n_losses, device=self._device)
        self._flats = {torch.float32: self._tail}

    def weighed(self, total: Tensor, share: Share) -> Tensor:
        """Returns the loss times this process's weight: sharded gradients are summed."""
        return total * share.weight

    def _weigh(self, n_losses: int, share: Share) -> None:
        self._tail[:n_losses].mul_(share.weight)


class OnShards:
    """An optimiser of the parts that each process holds, for optimisers that work entry by entry.

    Args:
        parameters: sharded and whole ones.
        make: makes the optimiser of the parts.
    """

    def __init__(
        self, parameters: Sequence[nn.Parameter], make: Callable[[Sequence[nn.Parameter]], Optimizer]
    ) -> None:
        self.parameters = list(parameters)
        # Parameters of their own over the same memory.
        self._parts = [nn.Parameter(_local(p.detach())) for p in self.parameters]
        self._inner = make(self._parts)

    def step(self, factor: float = 1.0) -> None:
        """Moves every part by its gradient."""
        for part, parameter in zip(self._parts, self.parameters, strict=True):
            part.grad = None if parameter.grad is None else _local(parameter.grad)
        self._inner.step(factor)

    def zero_grad(self) -> None:
        """Forgets the gradients."""
        for tensor in (*self._parts, *self.parameters):
            tensor.grad = None

    def state_dict(self) -> dict[str, Tensor]:
        """Returns the state by name, sharded as the parameters are."""
        return {
            name: value if like is None else _as_part(value, like)
            for name, value, like in self._named(self._inner.state_dict())
        }

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Loads a whole ``state_dict``, each process its part."""
        own = {name: like for name, _, like in self._named(self._inner.state_dict())}
        parts = {}
        for name, value in state.items():
            like = own.get(name)
            parts[name] = value if like is None else _part(value, like)
        self._inner.load_state_dict(parts)

    def _named(self, state: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor, Any]]:
        """Yields each tensor with the sharded parameter that it belongs to, if there is one."""
        for name, value in state.items():
            number = next((int(word) for word in name.split(".") if word.isdigit()), None)
            like = None if number is None else self.parameters[number]
            sharded = like is not None and is_sharded(like) and value.shape == _local(like).shape
            yield name, value, like if sharded else None


def _as_part(value: Tensor, like: Any) -> Tensor:
    """Wraps this process's part as a sharded tensor like ``like``."""
    from torch.distributed.tensor import DTensor

    found: Tensor = DTensor.from_local(
        value, like.device_mesh, like.placements, shape=like.shape, stride=like.stride()
    )
    return found
