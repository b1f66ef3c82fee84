"""The choice of a variational recipe's likelihood p(x|z), by its name and the kind of data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from torch import nn

from autoencode.errors import IncompatibleError
from autoencode.likelihoods import (
    IDENTITY,
    SIGMOID,
    Bernoulli,
    Categorical,
    ContinuousBernoulli,
    DiscretizedLogistic,
    Gaussian,
    Laplace,
    Link,
    LogCosh,
    NegativeBinomial,
    Poisson,
)
from autoencode.likelihoods.columns import Mixed
from autoencode.likelihoods.gaussian_columns import GaussianColumns, Scales
from autoencode.types import DataSpec

LikelihoodName = Literal[
    "auto",
    "bernoulli",
    "continuous_bernoulli",
    "gaussian",
    "gaussian_columns",
    "gaussian_shared",
    "gaussian_learned",
    "laplace",
    "laplace_learned",
    "log_cosh",
    "log_cosh_learned",
    "logistic",
    "logistic_mixture",
    "categorical",
    "poisson",
    "negative_binomial",
    "zero_inflated",
]

SizeFactor = Literal["auto", "none", "observed"]

_MIXED = 5  # components of a mixture of logistics
#: Likelihoods of values in [0, 1].
SHARES: Mapping[str, Callable[[int], nn.Module]] = {
    "bernoulli": Bernoulli,
    "continuous_bernoulli": ContinuousBernoulli,
    "logistic": DiscretizedLogistic,
    "logistic_mixture": lambda dims: DiscretizedLogistic(dims, _MIXED),
    "categorical": Categorical,
}
_SCALED: Mapping[str, Callable[[int, Link, float], nn.Module]] = {
    "gaussian": Gaussian,
    "laplace": Laplace,
    # The loss of the paper, with a = 1 / scale.
    "log_cosh": lambda dims, link, scale: LogCosh(dims, link, scale, power=scale),
}
_LEARNED: Mapping[str, Callable[[int, Link], nn.Module]] = {
    "gaussian_shared": lambda dims, link: Gaussian(dims, link, "shared"),
    "gaussian_learned": lambda dims, link: Gaussian(dims, link, "learned"),
    "laplace_learned": lambda dims, link: Laplace(dims, link, "learned"),
    "log_cosh_learned": lambda dims, link: LogCosh(dims, link, "learned"),
}
#: Likelihoods of counts, which are learned from as they are.
COUNTS: Mapping[str, Callable[[int], nn.Module]] = {
    "poisson": Poisson,
    "negative_binomial": NegativeBinomial,
    "zero_inflated": lambda dims: NegativeBinomial(dims, zero_inflated=True),
}


def likelihood_of(spec: DataSpec, name: LikelihoodName, scale: float = 1.0) -> nn.Module:
    """Makes the likelihood of that name.

    Args:
        spec: the data.
        name: ``auto`` is bernoulli on pixels and booleans, gaussian_columns on measurements in rows
            and sequences, else gaussian.
        scale: of those whose scale is fixed.

    Raises:
        IncompatibleError: when the data are of another kind, or the likelihood has no fixed scale.
    """
    dims, unit = len(spec.shape), spec.kind == "unit"
    chosen: str = name if name != "auto" else _auto(spec, scale)
    if scale != 1 and (spec.mixed or chosen not in _SCALED):
        raise IncompatibleError(
            f"a fixed scale is for likelihood={', '.join(_SCALED)} and this one is "
            f"{'of mixed columns' if spec.mixed else chosen}; leave the option scale out"
        )
    if spec.mixed:
        if name not in ("auto", "gaussian", "gaussian_columns", "gaussian_learned"):
            raise IncompatibleError(
                f"likelihood={name} is for columns of one kind and these are mixed; use likelihood=auto"
            )
        scales: Scales = "fixed" if name == "gaussian" else "columns"
        return Mixed(spec, learned=name == "gaussian_learned", scales=scales)
    if chosen == "gaussian_columns":
        if unit or spec.layout not in ("row", "sequence"):
            raise IncompatibleError(
                "likelihood=gaussian_columns is for measurements in rows and sequences and these are "
                f"{'values in [0, 1]' if unit else spec.layout + 's'}; use likelihood=gaussian_shared"
            )
        return GaussianColumns(spec.shape)
    if chosen in SHARES:
        if not unit:
            raise IncompatibleError(
                f"likelihood={chosen} needs values in [0, 1] and these data have others; "
                "use likelihood=gaussian, or scale the data to [0, 1] and say standardize='unit'"
            )
        return SHARES[chosen](dims)
    if chosen in COUNTS:
        if unit or any(spec.offset) or set(spec.scale) != {1.0}:
            raise IncompatibleError(
                f"likelihood={chosen} needs counts 0, 1, 2, ... as they are and these data are scaled; "
                "use likelihood=gaussian, or load them with standardize='none'"
            )
        return COUNTS[chosen](dims)
    link = SIGMOID if unit else IDENTITY
    return _SCALED[chosen](dims, link, scale) if chosen in _SCALED else _LEARNED[chosen](dims, link)


def _auto(spec: DataSpec, scale: float) -> str:
    """Names the likelihood that suits the data."""
    if spec.kind == "unit":
        return "bernoulli"
    learned = spec.layout in ("row", "sequence") and scale == 1
    return "gaussian_columns" if learned else "gaussian"
