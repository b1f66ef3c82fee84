"""Model classes: how parts are wired. Most autoencoders are recipes over the first one."""

from autoencode.models.autoencoder import AutoencoderModule

__all__ = ["AutoencoderModule"]
