"""The style of all figures, worn while one is drawn and while it is saved.

Private to the modules that draw.
"""

from __future__ import annotations

import functools
import threading
import warnings
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import matplotlib
import matplotlib.style
from matplotlib.font_manager import fontManager

from autoencode.errors import own_warnings

DPI = 120

_INK, _GREY = "#333333", "#888888"
_STYLE: dict[str, Any] = {
    **dict.fromkeys(("figure.dpi", "savefig.dpi"), DPI),
    **dict.fromkeys(("font.size", "axes.labelsize", "figure.labelsize"), 9.0),
    **dict.fromkeys(("xtick.labelsize", "ytick.labelsize", "legend.fontsize"), 8.5),
    **dict.fromkeys(("text.color", "axes.labelcolor"), _INK),
    **dict.fromkeys(("xtick.labelcolor", "ytick.labelcolor"), _INK),
    **dict.fromkeys(("axes.edgecolor", "xtick.color", "ytick.color"), _GREY),
    **dict.fromkeys(("axes.spines.top", "axes.spines.right", "legend.frameon"), False),
    "figure.titlesize": 11.0,
    "figure.titleweight": "bold",
    "figure.constrained_layout.w_pad": 0.08,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.axisbelow": True,
    "grid.color": "#ececec",
    "text.parse_math": False,  # names are other people's text
}
# Names in other scripts than those of matplotlib's own font take the first of these that is installed.
_OTHER_SCRIPTS = (
    *("Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans", "Arial Unicode MS", "PingFang SC"),
    *("Hiragino Sans", "Microsoft YaHei", "Yu Gothic", "WenQuanYi Micro Hei", "Unifont"),
)
# On top of matplotlib's defaults, so that nobody's matplotlibrc changes a report. Ticks are made
# while drawing, which is why saving wears the style too.
_LOCK = threading.Lock()  # the style is set for the whole process while a figure is drawn
P = ParamSpec("P")
T = TypeVar("T")


def styled(draw: Callable[P, T]) -> Callable[P, T]:
    """Wraps a function that draws, so that nobody's settings change what it draws."""

    @functools.wraps(draw)
    def worn(*args: P.args, **kwargs: P.kwargs) -> T:
        family = {"font.family": ["DejaVu Sans", *_other_fonts()]}
        # In this order: whoever has filters of warnings set may draw.
        with own_warnings(), _LOCK, matplotlib.style.context(["default", _STYLE, family]):
            # A letter that no font has is a box, which says so; the pages have the name itself.
            warnings.filterwarnings("ignore", message="Glyph .* missing from font")
            return draw(*args, **kwargs)

    return worn


@functools.cache
def _other_fonts() -> list[str]:
    installed = {font.name for font in fontManager.ttflist}
    return [name for name in _OTHER_SCRIPTS if name in installed]
