"""An objective that is a weighted sum of named terms."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from autoencode.errors import IncompatibleError
from autoencode.objectives.schedule import Constant, WeightSchedule
from autoencode.objectives.terms import ANY, NamedTerm
from autoencode.types import Batch, Losses, Model, Output, Progress


class WeightedSum:
    """The objective sum of weight * mean(term) over named terms.

    Args:
        terms: named terms; all in the same unit, but for regularisers, which are pure numbers.
        compared_by: what the weights of two epochs are compared by on held-out examples, the total by
            default.
        weights: a number or a schedule for any of them, 1 by default.

    Raises:
        IncompatibleError: when terms of different units would be added, or a weight has no term.

    Example:
        >>> from autoencode.objectives import kl, reconstruction
        >>> beta_elbo = WeightedSum({"reconstruction": reconstruction, "kl": kl}, kl=4.0)
        >>> beta_elbo.unit
        'nats per example'
    """

    def __init__(
        self,
        terms: Mapping[str, NamedTerm],
        compared_by: NamedTerm | None = None,
        /,
        **weights: float | WeightSchedule,
    ) -> None:
        if not terms:
            raise IncompatibleError("an objective needs at least one term")
        units = {name: term.unit for name, term in terms.items() if term.unit != ANY}
        if len(set(units.values())) > 1:
            listed = ", ".join(f"{name} ({unit})" for name, unit in units.items())
            raise IncompatibleError(
                f"terms of different units cannot be added: {listed}; use reconstruction "
                "(nats) beside kl, with the likelihood that fits the data"
            )
        unknown = set(weights) - set(terms)
        if unknown:
            raise IncompatibleError(f"weights without a term: {', '.join(sorted(unknown))}")
        self.terms = dict(terms)
        self.compared_by = compared_by
        self.unit = next(iter(units.values()), "penalty")
        self._weights: dict[str, WeightSchedule] = {
            name: weight if callable(weight) else Constant(float(weight))
            for name, weight in weights.items()
        }

    def with_term(self, name: str, term: NamedTerm, new: str) -> WeightedSum:
        """Returns the sum with another term, called ``new``, in the place and at the weight of one."""
        names = {one: new if one == name else one for one in self.terms}
        terms = {names[one]: term if one == name else kept for one, kept in self.terms.items()}
        weights = {names[one]: weight for one, weight in self._weights.items()}
        return WeightedSum(terms, self.compared_by, **weights)

    def __call__(self, model: Model, batch: Batch, progress: Progress) -> Losses:
        return self.losses(model, batch, model(batch), progress)

    def losses(self, model: Model, batch: Batch, output: Output, progress: Progress) -> Losses:
        """Computes the losses of an output that was computed already."""
        total: Tensor | None = None
        values: dict[str, Tensor] = {}
        for name, term in self.terms.items():
            value = term(model, batch, output, progress)
            if value.dim():
                value = value.mean()
            values[name] = value.detach()
            if name in self._weights:
                value = value * self._weights[name](progress)
            total = value if total is None else total + value
        assert total is not None  # an objective has at least one term
        if self.compared_by is None or getattr(model, "training", False):
            return Losses(total, values)
        return Losses(total, values, self.compared_by(model, batch, output, progress).mean())

    def weights(self, progress: Progress) -> dict[str, float]:
        """Returns the weight of each term at this point of training."""
        one: WeightSchedule = Constant(1.0)
        return {name: self._weights.get(name, one)(progress) for name in self.terms}

    def check(self, output: Output) -> None:
        """Raises ``IncompatibleError`` when a term asks for what the bottleneck does not give."""
        for name, term in self.terms.items():
            if term.needs_sites and not output.latent.sites:
                raise IncompatibleError(
                    f"the term '{name}' needs a stochastic bottleneck and this one is "
                    "deterministic; use DiagonalGaussian, or leave the term out"
                )
            missing = None if term.demand is None else term.demand(output)
            if missing is not None:
                raise IncompatibleError(f"the term '{name}' {missing}")
