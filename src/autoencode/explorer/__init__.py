"""A page that shows a model's latent space and decodes every place of it.

``plane`` chooses what of the codes is seen, ``columns`` what points are coloured by, ``originals`` how
an example is shown, ``decoding`` how the page decodes; ``scene`` puts them together, ``pack`` makes
bytes of them and ``page`` one file. The program of the page is built from ``web/``.
"""

from autoencode.explorer.explorer import Explorer, explore

__all__ = ["Explorer", "explore"]
