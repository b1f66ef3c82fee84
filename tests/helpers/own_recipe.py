"""The source of a module with a recipe of the user's own."""

MINE = """
import autoencode
from torch import nn
from autoencode import AutoencoderModule, Recipe, Update
from autoencode.bottlenecks import Plain
from autoencode.likelihoods import SIGMOID, Gaussian
from autoencode.nets import MLPDecoder, MLPEncoder
from autoencode.objectives import WeightedSum, mean_squared_error


@autoencode.recipe(source="A title (Name, 2026), https://example.org", fast=dict(epochs=3, lr=3e-3))
def tiny(spec, latent_dim: int = 4):
    model = AutoencoderModule(
        MLPEncoder(spec.shape, (8,)),
        MLPDecoder(latent_dim, (8,), spec.shape),
        Plain(nn.Linear(8, latent_dim), nn.Tanh()),
        Gaussian(len(spec.shape), SIGMOID),
    )
    return Recipe(model, (Update(WeightedSum({"mse": mean_squared_error}), (model,)),), spec)


def undecorated(spec):
    return tiny(spec)
"""
