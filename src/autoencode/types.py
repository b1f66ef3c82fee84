"""The few types that every part shares, and the protocols between parts.

Conventions: ``S`` Monte-Carlo samples, ``B`` batch, ``D`` data shape, ``Z`` latent shape, ``C`` context
size. Axis 0 of everything inside a model is ``S`` (1 by default); no public method shows it. Everything
additive is in nats per example: summed over event axes, averaged over samples and batch.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from numpy.typing import NDArray
from torch import Tensor

from autoencode.errors import DataError, IncompatibleError

Array = NDArray[Any]
Kind = Literal["unit", "real"]
ColumnKind = Literal["real", "count", "boolean", "category", "date"]
Unknown = Literal["ignore", "error"]
Standardize = Literal["columns", "all_columns", "robust", "global", "unit", "none"]
Layout = Literal["row", "image", "sequence", "volume"]
Channels = Literal["first", "last"]  # axis of images and volumes as the user has them

#: In the matrix of a table the place of a category that training never saw.
UNSEEN = -1.0
# Values that a column is taken to have had where nobody counted.
_UNCOUNTED = 1000

# Columns of a table that may be said to be mostly zeros.
#: Columns, and share of zeros among the values, from which on a table is one of mostly zeros.
ZEROS_WIDTH, ZEROS_SHARE = 64, 0.9

# What the axes of one example are; their number tells them apart.
AXES: Mapping[Layout, tuple[str, ...]] = {
    "row": ("entries",),
    "sequence": ("steps", "features"),
    "image": ("channels", "height", "width"),
    "volume": ("channels", "depth", "height", "width"),
}


def layout_of(shape: tuple[int, ...]) -> Layout:
    """Tells the layout of examples by the number of their axes; more than four are a volume's.

    >>> layout_of((1, 28, 28)), layout_of((100, 6))
    ('image', 'sequence')
    """
    by_axes: dict[int, Layout] = {len(axes): layout for layout, axes in AXES.items()}
    return by_axes.get(max(1, len(shape)), "volume")


@dataclass(frozen=True)
class Column:
    """One named column of a table.

    The table's matrix holds numbers only: real values as they are, counts c as log(1 + c), booleans as
    0 and 1, categories by their place in ``categories`` (below 0 one that is none of them), dates as
    days since ``origin``.

    Attributes:
        name: the column's name.
        kind: what its values mean.
        categories: the values of a ``category`` column, in the order of their codes.
        origin: of a ``date`` column, days since 1970-01-01; 0 for the others.
        dtype: its type in the table, in narwhals' words (``Int8``); empty where that is not known.
        counts: how often each category came; empty where nobody counted.
        states: of a column of thousands of categories, which of fewer states stands for each in a
            model; empty where each stands for itself.
        text: how values were spelled that came as text: of numbers the decimal sign, the sign between
            thousands and the unit (``",|.|EUR"``), of dates their order (``"dmy"``) or ``"time"``;
            empty where they came as numbers and dates.
    """

    name: str
    kind: ColumnKind = "real"
    categories: tuple[str, ...] = ()
    origin: float = 0.0
    dtype: str = field(default="", compare=False)  # says nothing of what its values mean
    counts: tuple[int, ...] = field(default=(), compare=False)  # what values mean does not hang on it
    states: tuple[int, ...] = ()
    text: str = ""

    @property
    def n_states(self) -> int:
        """How many states a model knows of a column of categories."""
        return max(self.states) + 1 if self.states else len(self.categories)

    @property
    def unseen(self) -> float:
        """Probability of a category that never came, by how many came once (Good and Turing).

        (1 + categories that came once) / (1 + values): of columns whose categories all came again and
        again a new one is rare; where most came once it is nothing new.

        >>> Column("a", "category", ("x", "y"), counts=(5, 4)).unseen
        0.1
        """
        once = sum(count == 1 for count in self.counts)
        return (1 + once) / (1 + (sum(self.counts) or _UNCOUNTED))

    @property
    def numeric(self) -> bool:
        """Whether distances between its values mean something."""
        return self.kind in ("real", "date")


@dataclass(frozen=True)
class Support:
    """The values that training rows had in each entry, so that draws can be such values.

    Attributes:
        low, high: (D,) the least and the largest, of a table as its matrix has them.
        decimals: (D,) decimal places, 0 for whole numbers; -1 where they have more than are exact.
        values: (D,) all of them, rising, where they are few and come again and again; else empty.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    decimals: tuple[int, ...]
    values: tuple[tuple[float, ...], ...] = ()

    @property
    def binary(self) -> bool:
        """Whether every entry is 0 or 1."""
        return min(self.low) >= 0 and max(self.high) <= 1 and set(self.decimals) == {0}


def is_traced(like: Tensor) -> bool:
    """Whether torch only records what is computed from a tensor (``torch.export``, fake tensors).

    What is made meanwhile is no plain tensor, so none of it may be kept for later calls.
    """
    return torch.compiler.is_compiling() or type(like) is not Tensor


@functools.lru_cache(maxsize=32)
def _on_device(values: tuple[float, ...], device: torch.device, dtype: torch.dtype) -> Tensor:
    """Makes numbers a tensor on a device; cached, for a copy waits for the device."""
    with torch.inference_mode(False):  # so that it can be used in training as well
        return torch.tensor(values, dtype=dtype, device=device)


@dataclass(frozen=True)
class DataSpec:
    """A description of the data that a model was made for, stored beside its weights.

    Models see ``(raw - offset) / scale``; ``to_raw`` goes back.

    Attributes:
        shape: shape of one example: a row (entries,), a sequence (steps, features), an image (channels,
            height, width) or a volume (channels, depth, height, width).
        kind: ``unit`` for pixels and other values in [0, 1] (as the model sees them), ``real`` for
            measurements.
        offset, scale: one number for all entries, or one for each entry of ``shape`` (flattened).
        context_dim: width of the conditioning vector, 0 when there is none.
        columns: names and kinds of a table's columns; empty for data without names.
        classes: the labels that a conditional model knows, in the order of its context's entries.
        labelled: of a model that guesses missing labels, the share of the training examples whose label
            is known; ``None`` where all must be given. The context of a missing one is NaN.
        gaps: whether values may be missing. They are NaN, all the way to the network.
        noisy: whether what the encoder is given may lie outside the range, as noise leaves it.
        handle_unknown: what becomes of a category that training did not see: ``ignore`` takes it as
            none of those that are known, ``error`` refuses it.
        layout: what an example is, and so what its axes mean; the shape tells where it is left out.
        channels: which axis of the user's images or volumes the channels are, where that was said;
            ``None`` where it was guessed by their shape.
        given_shape: shape in which the user has an example, where that is another one and what is
            made comes back in it; empty otherwise.
        given_dtype: dtype of numpy in which the user has examples; empty where nobody looked.
        ragged: whether they came as a list of sequences of different lengths, NaN where one has ended.
        support: what values rows and sequences had in training; ``None`` where nobody looked.

    Raises:
        DataError: for a layout that the shape does not have.
    """

    shape: tuple[int, ...]
    kind: Kind = "unit"
    offset: tuple[float, ...] = (0.0,)
    scale: tuple[float, ...] = (1.0,)
    context_dim: int = 0
    columns: tuple[Column, ...] = ()
    gaps: bool = False
    classes: tuple[str, ...] = ()
    noisy: bool = False
    labelled: float | None = None
    layout: Layout = None  # type: ignore[assignment]  # never None once it is made
    given_shape: tuple[int, ...] = ()
    given_dtype: str = ""
    ragged: bool = False
    support: Support | None = None
    handle_unknown: Unknown = "ignore"
    channels: Channels | None = None

    def __post_init__(self) -> None:
        found = layout_of(self.shape)
        if self.layout is None:
            object.__setattr__(self, "layout", found)
        elif self.layout != found:
            raise DataError(
                f"an example of shape {self.shape} has the axes of a {found}, and the layout says "
                f"{self.layout!r}; leave the layout out, or give the shape that it has"
            )

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names of a table's columns; empty for data without names."""
        return tuple(column.name for column in self.columns)

    @property
    def mixed(self) -> bool:
        """Whether some columns are no plain numbers, so that each needs its own likelihood."""
        return not all(column.numeric for column in self.columns)

    @property
    def measured(self) -> bool:
        """Whether an example is a row of measurements, as a table of numbers has them."""
        return self.layout == "row" and self.kind == "real"

    @property
    def mostly_zeros(self) -> bool:
        """Whether rows were scaled as a wide table that is mostly zeros: most columns not centred."""
        moved = sum(offset != 0.0 for offset in self.offset)
        by_column = len(self.offset) == self.size >= ZEROS_WIDTH
        return self.measured and by_column and 2 * moved <= self.size

    @property
    def size(self) -> int:
        """Number of entries in one example."""
        return math.prod(self.shape)

    def _entries(self, values: tuple[float, ...], like: Tensor) -> Tensor:
        made = _on_device.__wrapped__ if is_traced(like) else _on_device
        wide = made(
            values, like.device, torch.float64 if like.dtype == torch.float64 else torch.float32
        )
        return wide.reshape(self.shape) if len(values) > 1 else wide

    def to_model(self, raw: Tensor) -> Tensor:
        """Converts raw values (B, *D) of any dtype to the float32 values that the model sees.

        float64 is scaled as such: what a column varies by must not be lost beside its mean, and the
        same values in other units are then the same to the last bit.
        """
        if raw.dtype == torch.float64:
            exact = (raw - self._entries(self.offset, raw)) / self._entries(self.scale, raw)
            return exact.to(torch.float32)
        x = raw.to(torch.float32)
        if self.offset != (0.0,):
            x = x - self._entries(self.offset, x)
        if self.scale == (1.0,):
            return x
        if len(self.scale) == 1:  # a plain number divides without a small tensor being made
            return x / self.scale[0] if x is raw else x.div_(self.scale[0])
        return x / self._entries(self.scale, x)

    def seen_on(self, device: torch.device | str, raw: Tensor) -> Tensor:
        """Converts raw values (B, *D) to what a model on this device sees; some have no float64."""
        if raw.dtype == torch.float64:
            return self.to_model(raw).to(device)
        return self.to_model(raw.to(device))

    def batch(self, x: Tensor, target: Tensor | None = None) -> Batch:
        """Makes a batch of examples x (B, *D) as the model sees them; known entries are the target.

        Args:
            x: what the encoder sees.
            target: (B, *D) what is to be explained, where that is not x itself.
        """
        target = x if target is None else target
        return Batch(x, target, mask=~torch.isnan(target) if self.gaps else None)

    def to_raw(self, x: Tensor) -> Tensor:
        """Converts the model's values (B, *D) to the units of the data."""
        return x * self._entries(self.scale, x) + self._entries(self.offset, x)


@dataclass(frozen=True)
class Batch:
    """A batch of examples, as a model and its objectives take it.

    Attributes:
        x: (B, *D) what the encoder sees.
        target: (B, *D) what must be explained; differs from ``x`` when it was corrupted.
        context: (B, C) what the model is conditioned on; NaN where it may be missing and is.
        mask: (B, *D) true where ``target`` was observed; ``None`` when everything was. What is
            missing is NaN in ``x`` and ``target``.
    """

    x: Tensor
    target: Tensor
    context: Tensor | None = None
    mask: Tensor | None = None

    @classmethod
    def from_examples(cls, x: Tensor, context: Tensor | None = None) -> Batch:
        """Makes a batch whose examples are to be reconstructed as they are."""
        return cls(x, x, context)

    def rows(self, first: int, step: int) -> Batch:
        """Returns every ``step``-th example, beginning with the one numbered ``first``."""
        x = self.x[first::step]
        return Batch(
            x,
            x if self.target is self.x else self.target[first::step],
            None if self.context is None else self.context[first::step],
            None if self.mask is None else self.mask[first::step],
        )

    def to(self, device: torch.device | str) -> Batch:
        """Copies the batch to another device."""
        x = self.x.to(device)
        return Batch(
            x,
            x if self.target is self.x else self.target.to(device),
            None if self.context is None else self.context.to(device),
            None if self.mask is None else self.mask.to(device),
        )


class Distribution(Protocol):
    """The part of ``torch.distributions.Distribution`` that the core relies on.

    Any torch distribution (or a zuko flow) can stand where a prior is asked for.
    """

    @property
    def mean(self) -> Tensor: ...
    def log_prob(self, value: Tensor) -> Tensor: ...
    def rsample(self, sample_shape: torch.Size = ...) -> Tensor: ...


class Observation(Protocol):
    """The distribution p(x|z) of data given latents, with batch shape (S, B) and event shape D."""

    @property
    def mean(self) -> Tensor: ...
    def entries(self, target: Tensor, mask: Tensor | None = None) -> Tensor:
        """Computes the log-probability of each entry, (S, B, *D) in nats; zero where mask is false."""

    def log_prob(self, target: Tensor, mask: Tensor | None = None) -> Tensor:
        """Computes the log-probability of each example, (S, B) in nats: the sum of its entries."""

    def sample(self) -> Tensor: ...


@runtime_checkable
class HasKL(Protocol):
    """A posterior that knows closed forms of KL(self || prior), ``None`` where it has none."""

    def kl(self, prior: Distribution) -> Tensor | None: ...


@runtime_checkable
class HasDetached(Protocol):
    """A posterior that can be evaluated with its parameters held fixed."""

    def detached(self) -> Distribution: ...


@dataclass(frozen=True)
class Site:
    """One latent variable: a draw from its posterior q(z|x) and the prior p(z) to compare it with.

    Attributes:
        z: (S, B, *Z) the draw.
        posterior: q(z|x), batch shape (B,) or (S, B), event shape Z.
        prior: p(z), batch shape () or one that broadcasts against the posterior's.
    """

    z: Tensor
    posterior: Distribution
    prior: Distribution

    def log_ratio(self) -> Tensor:
        """Computes log q(z|x) - log p(z) at the draw, (S, B), nats."""
        return self.posterior.log_prob(self.z) - self.prior.log_prob(self.z)

    def path_log_ratio(self) -> Tensor:
        """Computes ``log_ratio``, (S, B), with a gradient for q through the draw alone, nats.

        Raises:
            IncompatibleError: when the posterior cannot hold its parameters fixed.
        """
        detached: Callable[[], Distribution] | None = getattr(self.posterior, "detached", None)
        if detached is None:
            raise IncompatibleError(
                f"{type(self.posterior).__name__} has no path derivative; use gradient=standard"
            )
        return detached().log_prob(self.z) - self.prior.log_prob(self.z)

    def kl(self) -> Tensor:
        """Computes KL(q(z|x) || p(z)) in nats: the closed form where there is one, else ``log_ratio``.

        Broadcasts against (S, B).
        """
        # isinstance(posterior, HasKL) says the same at a hundred times the cost.
        closed_form: Callable[[Distribution], Tensor | None] | None
        closed_form = getattr(self.posterior, "kl", None)
        exact = closed_form(self.prior) if closed_form is not None else None
        return self.log_ratio() if exact is None else exact


@dataclass(frozen=True)
class Latent:
    """The latent that a bottleneck makes of the encoder's features.

    Attributes:
        z: (S, B, *Z) what the decoder reads.
        sites: the stochastic variables by name; empty when the bottleneck is deterministic.
        penalties: the bottleneck's own losses by name, (S, B), nats.
        codes: (S, B, *G) integers of a quantised bottleneck.
        views: other codes of the same examples that a term may ask for, by name, (S, B, ...).
    """

    z: Tensor
    sites: Mapping[str, Site] = field(default_factory=dict)
    penalties: Mapping[str, Tensor] = field(default_factory=dict)
    codes: Tensor | None = None
    views: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class ModelAccess:
    """The parts of a model that a bottleneck borrows when its posterior follows p(x, z).

    Attributes:
        log_likelihood: latents (S, B, *Z) to log p(x|z) of what the encoder saw, (S, B), nats.
        features: examples (N, *D) to the encoder's features (N, F).
    """

    log_likelihood: Callable[[Tensor], Tensor]
    features: Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Output:
    """The output of a model for a batch: the latent and p(x|z), batch shape (S, B), event shape D."""

    latent: Latent
    x_dist: Observation


@dataclass(frozen=True)
class Losses:
    """One scalar to minimise, and the named scalars that it is made of (before their weights).

    Attributes:
        total: what is minimised.
        terms: what it is made of.
        error: what the held-out examples of two epochs are compared by, where that is not the total.
    """

    total: Tensor
    terms: Mapping[str, Tensor]
    error: Tensor | None = None


@dataclass(frozen=True)
class Progress:
    """The point that training has reached, which every term and every schedule is given.

    Attributes:
        step: the step about to be taken, from 0.
        n_steps: how many there will be in all.
        n_train: number of training examples.
    """

    step: int = 0
    n_steps: int = 1
    n_train: int = 1

    @property
    def fraction(self) -> float:
        """Share of training that is over, in [0, 1]."""
        return min(1.0, self.step / max(1, self.n_steps))


@dataclass(frozen=True)
class Pass:
    """One pass over training data, described so that its batches can be made again from any of them on.

    Attributes:
        seed: of the order.
        epoch: from 0; each has an order of its own.
        batch_size: examples in a batch, over all processes together; the last may be smaller.
        start: how many batches to leave out, to go on in the middle.
        rank, world: this process's number and how many share each batch; rows ``rank::world`` of a
            batch are its own.
    """

    seed: int
    epoch: int
    batch_size: int
    start: int = 0
    rank: int = 0
    world: int = 1


class Source(Protocol):
    """A source of training or validation examples, in memory or on disk."""

    def __len__(self) -> int: ...
    def shuffled(self, one: Pass) -> Iterator[Batch]:
        """Yields the batches of one pass, in an order that depends on nothing but the pass."""

    def batches(self, size: int) -> Iterator[Batch]:
        """Yields all examples in order, ``size`` at a time."""

    def mean(self) -> Tensor:
        """Computes the mean example (*D) as the model sees it."""


class Bottleneck(Protocol):
    """A module from features (B, F) to a latent; ``embed`` gives one deterministic z, (B, *Z)."""

    def __call__(self, h: Tensor, prior: Distribution | None, n_samples: int) -> Latent: ...
    def embed(self, h: Tensor) -> Tensor: ...


class Prior(Protocol):
    """A module that gives p(z), from the model's posterior (a VampPrior needs it) and a context."""

    def __call__(
        self, posterior: Callable[[Tensor], Distribution] | None, context: Tensor | None
    ) -> Distribution: ...


class Likelihood(Protocol):
    """A module that turns the decoder's output (S, B, n_params * D) into p(x|z).

    One that gives probabilities of values, no density, has an attribute ``discrete`` that is true. One
    of columns, whose samples are draws and no means, has an attribute ``draws`` that is true.
    """

    n_params: int

    def __call__(self, params: Tensor) -> Observation: ...


@runtime_checkable
class Model(Protocol):
    """The part of a model that objectives and the training loop rely on."""

    def __call__(self, batch: Batch, n_samples: int = 1) -> Output: ...
    def embed(self, x: Tensor, context: Tensor | None = None) -> Tensor: ...


@runtime_checkable
class Generative(Model, Protocol):
    """A model that can also go from latents to data."""

    def decode(self, z: Tensor, context: Tensor | None = None) -> Observation: ...
    def sample(self, n: int, context: Tensor | None = None, *, mean: bool | None = None) -> Tensor: ...


class Objective(Protocol):
    """A loss for one update to minimise, with its unit."""

    unit: str

    def __call__(self, model: Model, batch: Batch, progress: Progress) -> Losses: ...
    def check(self, output: Output) -> None:
        """Raises ``IncompatibleError`` when the model's output cannot serve this objective."""


Term = Callable[[Model, Batch, Output, Progress], Tensor]

__all__ = [
    "Batch",
    "Bottleneck",
    "Column",
    "ColumnKind",
    "DataSpec",
    "Distribution",
    "Generative",
    "HasDetached",
    "HasKL",
    "Kind",
    "Latent",
    "Layout",
    "Likelihood",
    "Losses",
    "Model",
    "ModelAccess",
    "Objective",
    "Observation",
    "Output",
    "Pass",
    "Prior",
    "Progress",
    "Site",
    "Source",
    "Standardize",
    "Support",
    "Term",
    "is_traced",
    "layout_of",
]
