"""Recipes with a critic: of codes against the prior, or of reconstructions against examples."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor, nn

from autoencode.bottlenecks import Plain, Quantised
from autoencode.errors import IncompatibleError
from autoencode.likelihoods import IDENTITY, SIGMOID, Gaussian
from autoencode.limits import Count, NotNegative, Part, Stride
from autoencode.models import AutoencoderModule
from autoencode.nets import NetOptions
from autoencode.objectives import (
    After,
    Discriminator,
    ImageCritic,
    PatchCritic,
    WeightedSum,
    balanced,
    codes_and_prior,
    examples_and_made,
    examples_and_reconstructions,
    feature_error,
    fooling,
    kl,
    passing_for_real,
    raising_logits,
    reconstruction,
    squared_error,
)
from autoencode.objectives.terms import SUM_SQUARED
from autoencode.priors import StandardNormal
from autoencode.recipes.built import Recipe
from autoencode.recipes.disentangled import DEFAULT_BODY, code_critic
from autoencode.recipes.quantised import commitment, moving
from autoencode.recipes.registry import SSE, Facts, recipe
from autoencode.recipes.shared.latent import LatentOptions, complete_numbers, latent_model, recipe_of
from autoencode.recipes.shared.networks import ConvNetworks, Networks
from autoencode.recipes.shared.plain import (
    DEFAULT_NET,
    ERRORS,
    NO_NOISE,
    NoiseOptions,
    PlainLoss,
    Terms,
    plain,
)
from autoencode.recipes.shared.schedules import adam, tuned
from autoencode.training import Update
from autoencode.types import DataSpec, Model

_CRITIC_NET = NetOptions(activation="leaky_relu", normalization="group")


def _project(networks: Networks, features: int, latent_dim: int) -> nn.Module:
    """Makes the layer from features to the code; the user's encoder gives the code itself."""
    if networks.own:
        return Plain()
    return Plain(networks.options.make_linear(features, latent_dim))


@recipe(
    paper=adam(100, 1e-3, 100),
    fast=tuned(lr=1e-3, batch_size=128, epochs=20),
    widest=0.5,
    facts=Facts(critic=True),
)
def aae(
    spec: DataSpec,
    latent_dim: Count = 8,
    critic_weight: NotNegative = 1.0,
    critic_hidden: tuple[Count, ...] = (256, 256),
    body: LatentOptions = DEFAULT_BODY,
    net: NetOptions = DEFAULT_NET,
    noise: NoiseOptions = NO_NOISE,
    networks: Networks | None = None,
) -> Recipe:
    """A deterministic code that a critic cannot tell from draws of the prior.

    Adversarial Autoencoders (Makhzani et al., 2015), https://arxiv.org/abs/1511.05644

    The paper's reconstruction and generator phases are one update of encoder and decoder here.

    Args:
        latent_dim: width of the code.
        critic_weight: weight of fooling the critic beside -log p(x|z).
        critic_hidden: widths of the critic's hidden layers.
    """
    spec, networks = body.ready(spec, noise, net, networks)

    def bottleneck(features: int) -> nn.Module:
        return _project(networks, features, latent_dim)

    model = latent_model(spec, networks, body, latent_dim, bottleneck)
    critic = code_critic(latent_dim, critic_hidden)
    objective = WeightedSum(
        {"reconstruction": reconstruction, "fooling": fooling(critic)}, fooling=critic_weight
    )
    return recipe_of(
        spec,
        model,
        networks,
        (objective, ()),
        (Discriminator(critic, codes_and_prior), (critic,)),
        body=body,
        noise=noise,
        helpers={"critic": critic},
    )


@recipe(
    paper=adam(100, 1e-3, 100),
    fast=tuned(lr=1e-3, batch_size=128, epochs=20),
    widest=0.5,
    facts=Facts(unit=SSE, gaps=False, critic=True),
)
def wae_gan(
    spec: DataSpec,
    latent_dim: Count = 8,
    critic_weight: NotNegative = 10.0,
    critic_hidden: tuple[Count, ...] = (256, 256),
    hidden: tuple[Count, ...] = (256,),
    net: NetOptions = DEFAULT_NET,
    noise: NoiseOptions = NO_NOISE,
    networks: Networks | None = None,
) -> Recipe:
    """Squared error, and codes that a critic cannot tell from draws of the prior.

    Wasserstein Auto-Encoders (Tolstikhin et al., 2017), https://arxiv.org/abs/1711.01558

    Args:
        latent_dim: width of the code.
        critic_weight: weight of fooling the critic, the paper's lambda.
        critic_hidden: widths of the critic's hidden layers.
        hidden: widths of the encoder's hidden layers; the decoder mirrors them.
    """
    complete_numbers(spec, "wae_gan")
    body = LatentOptions(hidden)
    spec, networks = body.ready(spec, noise, net, networks)
    model = _squared_model(spec, networks, latent_dim)
    critic = code_critic(latent_dim, critic_hidden)
    objective = WeightedSum(
        {"sse": squared_error, "fooling": fooling(critic, SUM_SQUARED)}, fooling=critic_weight
    )
    return recipe_of(
        spec,
        model,
        networks,
        (objective, ()),
        (Discriminator(critic, codes_and_prior), (critic,)),
        body=body,
        noise=noise,
        helpers={"critic": critic},
    )


def _squared_model(spec: DataSpec, networks: Networks, latent_dim: int) -> AutoencoderModule:
    """Makes a model with a deterministic code whose decoder gives means."""
    encoder, features = networks.encoder(spec)
    link = SIGMOID if spec.kind == "unit" else IDENTITY
    model = AutoencoderModule(
        encoder,
        networks.decoder(latent_dim, spec, 1),
        _project(networks, features, latent_dim),
        Gaussian(len(spec.shape), link),
        StandardNormal((latent_dim,)),
    )
    networks.options.initialize(model)
    return model


@recipe(
    paper=adam(100, 3.6e-5, 8),
    fast=tuned(lr=1e-3, batch_size=128, epochs=20),
    width="code_dim and strides",
    facts=Facts(
        unit=SSE,
        networks="conv",
        images_only=True,
        context=False,
        gaps=False,
        integers=True,
        critic=True,
        any_size=True,
    ),
)
def vq_patch_gan(
    spec: DataSpec,
    channels: tuple[Count, ...] = (32, 64),
    strides: tuple[Stride, ...] = (2, 2),
    n_codes: Count = 512,
    code_dim: Count = 64,
    codebook_decay: Part = 0.99,
    commitment_weight: NotNegative = 0.25,
    critic_weight: NotNegative = 0.8,
    critic_from: Part = 0.25,
    critic_channels: tuple[Count, ...] = (32, 64),
    critic_strides: tuple[Stride, ...] = (2, 2),
    loss: PlainLoss = "sse",
    net: NetOptions = DEFAULT_NET,
    noise: NoiseOptions = NO_NOISE,
) -> Recipe:
    """``vqvae`` whose reconstructions a critic of patches cannot tell from images.

    Taming Transformers for High-Resolution Image Synthesis (Esser, Rombach & Ommer, 2021),
    https://arxiv.org/abs/2012.09841

    The paper's VQGAN without its perceptual loss (LPIPS), which needs a network trained on ImageNet:
    here errors of pixels stand in its place, so only the critic asks for textures, and they are
    smoother than in the original. The adaptive weight is the paper's. Its second stage is
    ``fit_prior(kind="autoregressive")``.

    Args:
        channels: output channels of the encoder's 3x3 convolutions; the decoder mirrors them.
        strides: their strides.
        n_codes: vectors in the codebook.
        code_dim: their width.
        codebook_decay: of the running means.
        commitment_weight: beta in the paper.
        critic_weight: of the critic's side, where 1 makes its gradient at the decoder's last layer as
            long as that of the error.
        critic_from: share of training before the critic takes part.
        critic_channels: output channels of the critic's 3x3 convolutions.
        critic_strides: their strides; each position of the last map judges a patch.
        loss: sse, mse or nll.
    """
    complete_numbers(spec, "vq_patch_gan")
    if len(critic_channels) != len(critic_strides):
        raise IncompatibleError(
            "critic_channels and critic_strides must have the same length, got "
            f"{critic_channels} and {critic_strides}"
        )
    body = ConvNetworks(critic_channels, critic_strides, _CRITIC_NET, spatial=True)
    critic = PatchCritic(body.encoder(spec)[0], critic_channels[-1])
    weight = After(critic_from, critic_weight)
    raising = balanced(raising_logits(critic), ERRORS[loss], _last_weights)
    terms: Terms = {**commitment(commitment_weight), "raising_logits": (raising, weight)}
    recipe = plain(
        spec,
        ConvNetworks(channels, strides, net, spatial=True),
        latent_dim=code_dim,
        loss=loss,
        noise=noise,
        bottleneck=lambda project: Quantised(project, moving(n_codes, code_dim, codebook_decay)),
        terms=terms,
    )
    telling = Discriminator(
        critic, examples_and_reconstructions, hinge=True, weight=After(critic_from, 1.0)
    )
    critics_turn = Update(noise.wrap(telling, recipe.spec), (critic,))
    return replace(recipe, updates=(*recipe.updates, critics_turn), helpers={"critic": critic})


@recipe(
    paper=adam(100, 3e-4),
    fast=tuned(lr=5e-4, batch_size=128, epochs=20),
    widest=1,
    facts=Facts(variational=True, gaps=False, critic=True),
)
def vae_gan(
    spec: DataSpec,
    latent_dim: Count = 20,
    gamma: NotNegative = 1.0,
    body: LatentOptions = LatentOptions(likelihood="gaussian"),  # noqa: B008
    net: NetOptions = DEFAULT_NET,
    noise: NoiseOptions = NO_NOISE,
    networks: Networks | None = None,
) -> Recipe:
    """Errors measured in the features of a critic, which learns to tell examples from what is made.

    Autoencoding beyond pixels using a learned similarity metric (Larsen et al., 2015),
    https://arxiv.org/abs/1512.09300

    Encoder: KL + feature error. Decoder: gamma * feature error, and passing for real. Critic: telling
    examples from reconstructions and samples.

    Args:
        latent_dim: width of z.
        gamma: weight of the feature error for the decoder, beside fooling the critic.
    """
    complete_numbers(spec, "vae_gan")
    spec, networks = body.ready(spec, noise, net, networks)
    model = latent_model(spec, networks, body, latent_dim)
    # The critic sees x alone.
    critic = ImageCritic(*body.networks(net).encoder(replace(spec, context_dim=0)))
    similar = feature_error(critic)
    for_encoder = WeightedSum({"kl": kl, "feature_error": similar})
    for_decoder = WeightedSum(
        {"decoder_feature_error": similar, "passing": passing_for_real(critic)},
        decoder_feature_error=gamma,
    )
    return recipe_of(
        spec,
        model,
        networks,
        (for_encoder, (model.encoder, model.bottleneck)),
        (for_decoder, (model.decoder, model.likelihood)),
        (Discriminator(critic, examples_and_made), (critic,)),
        body=body,
        noise=noise,
        helpers={"critic": critic},
    )


def _last_weights(model: Model) -> Tensor:
    weights: Tensor = model.decoder.output.weight  # type: ignore[attr-defined]
    return weights
