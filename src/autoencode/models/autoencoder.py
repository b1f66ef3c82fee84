"""The model of encoder, bottleneck, decoder and likelihood that most recipes put together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from autoencode.errors import IncompatibleError
from autoencode.models import blending, linear_start
from autoencode.types import Batch, Distribution, Latent, ModelAccess, Observation, Output


def call(module: nn.Module, x: Tensor, context: Tensor | None) -> Tensor:
    """Calls a network with the context only where there is one, so that any module will do."""
    result: Tensor = module(x) if context is None else module(x, context)
    return result


def seen(p_x: Observation, x: Tensor) -> Observation:
    """Returns p(x|z) given what is known of x (B, *D) besides z, where the likelihood asks for such."""
    of: Callable[[Tensor], Observation] | None = getattr(p_x, "of", None)
    return p_x if of is None else of(x)


def _starting(module: nn.Module) -> Iterator[nn.Module]:
    """Yields the outermost parts of a module that start at examples."""
    for part in module.children():
        if hasattr(part, "start_at"):
            yield part
        else:
            yield from _starting(part)


@contextmanager
def _ordinary(x: Tensor, context: Tensor | None) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Leaves inference mode, in which no gradient can be taken; yields ordinary x and context."""
    with torch.inference_mode(False), torch.no_grad():
        yield x.clone(), None if context is None else context.clone()


class AutoencoderModule(nn.Module):
    """The model x -> encoder -> h -> bottleneck -> z -> decoder -> params -> likelihood -> p(x|z).

    ::

        x ──► encoder ──► h ──► bottleneck ──► z ──► decoder ──► params ──► likelihood ──► p(x|z)
                                    ▲
                       prior(posterior, context)

    A bottleneck with ``asks_model`` gets the way from z to log p(x|z) as well (``ModelAccess``).

    Any ``nn.Module`` pair serves as encoder and decoder; with a context they are called with two
    arguments. The parts do not know each other.

    Args:
        encoder: (B, *D) to features (B, F), or straight to a code.
        decoder: latents (N, *Z) to params (N, n_params * D0, ...).
        bottleneck: features to a ``Latent``.
        likelihood: params to p(x|z).
        prior: p(z); ``None`` for a plain autoencoder until one is fitted to its codes.

    Attributes:
        sampler: what latents are drawn from for samples where that is not the prior: the distribution
            of the codes of training rows, which scores and further training do not know of.
        marginals: brings the draws (N, *D) of p(x|z) to the distribution that each entry has.

    Example:
        >>> from torch import nn
        >>> from autoencode.bottlenecks import Plain
        >>> from autoencode.likelihoods import Gaussian
        >>> model = AutoencoderModule(nn.Linear(4, 2), nn.Linear(2, 4), Plain(), Gaussian(1))
        >>> model.embed(torch.zeros(3, 4)).shape, model.reconstruct(torch.zeros(3, 4)).shape
        (torch.Size([3, 2]), torch.Size([3, 4]))
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        bottleneck: nn.Module,
        likelihood: nn.Module,
        prior: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.bottleneck = bottleneck
        self.decoder = decoder
        self.likelihood = likelihood
        self.prior = prior
        self.sampler: nn.Module | None = None
        self.marginals: nn.Module | None = None

    def forward(self, batch: Batch, n_samples: int = 1) -> Output:
        """Computes p(x|z) for ``n_samples`` draws of z: batch shape (S, B), event shape D."""
        latent = self.encode(batch.x, batch.context, n_samples)
        x_dist = self._decode_samples(self._read(latent), batch.context)
        return Output(latent, seen(x_dist, batch.target))

    def _decode_samples(self, z: Tensor, context: Tensor | None) -> Observation:
        """Decodes latents (S, B, *Z) into p(x|z): batch shape (S, B), event shape D.

        Args:
            z: the latents.
            context: (B, C), or (S, B, C) where it is another one for each sample.
        """
        samples, size = z.shape[:2]
        if context is not None and context.dim() == 3:
            context = context.flatten(0, 1)
        elif context is not None and samples > 1:
            context = context.repeat(samples, 1)
        params = call(self.decoder, z.flatten(0, 1), context)
        x_dist: Observation = self.likelihood(params.view(samples, size, *params.shape[1:]))
        return x_dist

    def _read(self, latent: Latent) -> Tensor:
        """Selects what the decoder reads of a latent, (S, B, ...)."""
        return latent.z

    def encode(self, x: Tensor, context: Tensor | None = None, n_samples: int = 1) -> Latent:
        """Encodes x (B, *D) into a latent: draws z (S, B, *Z) and the sites they come from."""
        if self.asks_model and torch.is_inference_mode_enabled():
            with _ordinary(x, context) as given:
                return self.encode(*given, n_samples)
        h = call(self.encoder, x, context)
        lent = (self._lent(x, context),) if self.asks_model else ()
        latent: Latent = self.bottleneck(h, self.prior_distribution(context), n_samples, *lent)
        return latent

    def embed(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Computes one deterministic z for each x: (B, *D) to (B, *Z)."""
        if self.asks_model and torch.is_inference_mode_enabled():
            with _ordinary(x, context) as given:
                return self.embed(*given)
        h = call(self.encoder, x, context)
        lent = (self._lent(x, context),) if self.asks_model else ()
        z: Tensor = self.bottleneck.embed(h, *lent)  # type: ignore[operator]
        return z

    @property
    def asks_model(self) -> bool:
        """Whether the bottleneck needs the rest of the model."""
        return bool(getattr(self.bottleneck, "asks_model", False))

    def _lent(self, x: Tensor, context: Tensor | None) -> ModelAccess:
        mask = ~x.isnan()

        def log_likelihood(z: Tensor) -> Tensor:
            return self._decode_samples(z, context).log_prob(x, mask)

        return ModelAccess(log_likelihood, self.encoder)

    def codes(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Computes the integers (B, *G) that a quantised bottleneck makes of x (B, *D).

        Raises:
            IncompatibleError: when the bottleneck has none.
        """
        chosen: Callable[[Tensor], Tensor] | None = getattr(self.bottleneck, "codes", None)
        if chosen is None:
            raise IncompatibleError(
                "this model's codes are no integers; embed gives them, and quantised recipes (vqvae) "
                "have integer ones"
            )
        return chosen(call(self.encoder, x, context))

    def decode(self, z: Tensor, context: Tensor | None = None) -> Observation:
        """Decodes latents (B, *Z) into p(x|z): batch shape (B,), event shape D."""
        x_dist: Observation = self.likelihood(call(self.decoder, z, context))
        return x_dist

    def explained(self, x: Tensor, context: Tensor | None = None) -> Observation:
        """Computes p(x|z) at ``embed(x)``: batch shape (B,), event shape D."""
        return seen(self.decode(self.embed(x, context), context), x)

    def reconstruct(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Computes the mean of p(x|z) at ``embed(x)``: (B, *D) to (B, *D)."""
        return self.explained(x, context).mean

    def sample(self, n: int, context: Tensor | None = None, *, mean: bool | None = None) -> Tensor:
        """Samples n new examples (n, *D) from the prior, as the model sees them.

        Args:
            n: how many.
            context: (n, C) what the model is conditioned on.
            mean: whether they are the means of p(x|z) at draws of z; false for draws from p(x|z). By
                default the likelihood says what makes examples: draws of columns, means of pixels.

        Raises:
            IncompatibleError: when the model has no prior.
        """
        if mean is None:
            mean = not getattr(self.likelihood, "draws", False)
        x_dist = self.decode(self.sample_latent(n, context), context)
        return x_dist.mean if mean else self.drawn(x_dist)

    def drawn(self, x_dist: Observation) -> Tensor:
        """Draws an example from each p(x|z) of a sample, (n, *D)."""
        drawn = x_dist.sample()
        if self.marginals is None:
            return drawn
        brought: Tensor = self.marginals(drawn)
        return brought

    def sample_latent(self, n: int, context: Tensor | None = None) -> Tensor:
        """Draws z for samples n times, (n, *Z); integer codes are looked up."""
        if self.sampler is None:
            prior = self.prior_distribution(context)
        else:
            prior = self.sampler(self.posterior, context)
        if prior is None:
            raise IncompatibleError(
                "a plain autoencoder has no prior to sample from; "
                "fit one to its codes with fit_prior(model, x)"
            )
        with torch.no_grad():
            drawn = prior.rsample(torch.Size((n,)))
            if drawn.is_floating_point():
                return drawn
            z: Tensor = self.bottleneck.lookup(drawn)  # type: ignore[operator]
            return z

    def prior_distribution(self, context: Tensor | None) -> Distribution | None:
        """Returns p(z), or ``None`` when the model has no prior."""
        if self.prior is None:
            return None
        prior: Distribution = self.prior(self.posterior, context)
        return prior

    @property
    def posterior(self) -> Callable[[Tensor], Distribution] | None:
        """The function from examples (B, *D) to q(z|x); ``None`` where the bottleneck has none."""
        if not hasattr(self.bottleneck, "posterior"):
            return None
        return lambda x: self.bottleneck.posterior(self.encoder(x))  # type: ignore[operator]

    def start_at_data(self, examples: Callable[[int], Tensor]) -> None:
        """Gives training examples to the parts whose first values are taken from them.

        Args:
            examples: a number to that many training examples (or all there are), (n, *D).
        """
        for part in _starting(self):
            start: Callable[[Tensor], None] = part.start_at  # type: ignore[assignment]
            start(examples(part.n_examples))  # type: ignore[arg-type]

    def told(self) -> list[str]:
        """Lists what parts chose by the training examples, of which a user should know."""
        parts = (getattr(part, "told", None) for part in self.modules() if part is not self)
        said = [tell() for tell in parts if tell is not None]
        return [text for text in dict.fromkeys(said) if text]

    def start_at_lines(self, examples: Callable[[int], Batch]) -> bool:
        """Sets the linear paths of encoder and decoder to PCA of training examples.

        Args:
            examples: a number to that many training examples, or all there are.

        Returns:
            Whether the parts have such paths; else they stay as they are.
        """
        return linear_start.start_at_lines(self, examples)

    @property
    def blended(self) -> bool:
        """Whether a factor analysis stands beside the network."""
        return getattr(self.encoder, "factors", None) is not None

    def blend(self, examples: Callable[[int], Batch], held_out: Batch | None, anew: bool) -> None:
        """Blends the network, after training, with a factor analysis that stands beside it, if any.

        Args:
            examples: a number to that many training examples, or all there are.
            held_out: examples that tell the share of each.
            anew: whether the factors are fitted; else the share alone.
        """
        blending.blend(self, examples, held_out, anew)

    def start_at_mean(self, mean: Tensor) -> None:
        """Sets the decoder's output bias so that training starts at the data's mean (*D).

        Does nothing for a decoder of the user's own, whose last layer is not known.
        """
        set_output = getattr(self.decoder, "set_output_bias", None)
        params = getattr(self.likelihood, "params_for_mean", None)
        if set_output is not None and params is not None:
            set_output(params(mean))
