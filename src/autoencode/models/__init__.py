"""Model classes, which wire the parts together; most recipes use ``AutoencoderModule``."""

from autoencode.models.autoencoder import AutoencoderModule
from autoencode.models.decoder import Decoder
from autoencode.models.dictionary import DictionaryAutoencoder
from autoencode.models.encoder import Encoder
from autoencode.models.hierarchy import HierarchicalAutoencoder
from autoencode.models.masked import MaskedAutoencoder, MaskedColumns
from autoencode.models.semi_supervised import SemiSupervisedAutoencoder

__all__ = [
    "AutoencoderModule",
    "Decoder",
    "DictionaryAutoencoder",
    "Encoder",
    "HierarchicalAutoencoder",
    "MaskedAutoencoder",
    "MaskedColumns",
    "SemiSupervisedAutoencoder",
]
