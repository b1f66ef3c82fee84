"""What is true of the recipes of a kind, where many share it."""

from __future__ import annotations

from autoencode.recipes.registry import MSE, SSE, Facts

#: Dense layers around a plain code, by the mean or by the sum of squares.
MEANS, SQUARES = Facts(unit=MSE), Facts(unit=SSE)
#: Convolutions around a plain code.
MAPS = Facts(unit=MSE, networks="conv", images_only=True, context=False)
#: Codes of integers, on the places of a feature map.
GRIDS = Facts(unit=SSE, networks="conv", integers=True, any_size=True)
#: One linear layer each way, without bounds.
DICTIONARY = Facts(unit=SSE, networks="dictionary", hidden=False, bounded=False)
#: Dense layers around a code that is drawn.
LATENT = Facts(variational=True)
