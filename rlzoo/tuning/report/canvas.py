"""What the pictures of a report share: figures, colours that everybody can tell apart, and ranges to look at."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, GRAY = "#0072B2", "#D55E00", "#009E73", "#8A8A8A"
"""Of the palette of Okabe and Ito."""
SHADES = "cividis"
"""A scale of colours that is read alike with any kind of colour vision."""
SMALL, TINY = 8, 7
"""Sizes of letters besides the usual one."""
FENCE = 6.0
"""Times the distance between the quartiles, beyond which a value is not allowed to squeeze all others together."""


class Undrawable(Exception):  # noqa: N818 - nothing went wrong
    """There is nothing to draw; the message says why."""


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, in inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def plain(axes: Any, *, x: str = "", y: str = "") -> Any:
    """Axes in the style of all pictures."""
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_axisbelow(True)
    return axes


def whole_numbers(axis: Any) -> None:
    """Mark whole numbers only."""
    axis.get_major_locator().set_params(integer=True)


def limits(values: Sequence[float], *, less_is_better: bool = False) -> tuple[float, float]:
    """The range to show: of all values, unless bad ones lie so far away that nothing could be seen of the others."""
    low, high = min(values), max(values)
    if len(values) >= 4:
        first, _, third = statistics.quantiles(values, n=4, method="inclusive")
        reach = FENCE * (third - first)
        if reach > 0:
            low, high = (low, min(high, third + reach)) if less_is_better else (max(low, first - reach), high)
    return whole([low, high])


def whole(values: Sequence[float]) -> tuple[float, float]:
    """The range of all values, with a margin."""
    low, high = min(values), max(values)
    if not math.isfinite(high - low):
        raise Undrawable("the numbers lie too far apart")
    margin = 0.05 * (high - low) or max(abs(high) * 0.05, 0.5)
    return low - margin, high + margin


def clip(values: Sequence[float], ends: tuple[float, float]) -> list[float]:
    """The values, those outside of a range at its ends: they stay in the picture."""
    return [min(max(value, ends[0]), ends[1]) for value in values]
