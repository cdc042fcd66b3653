"""The pictures of a report, as PNGs: the same study gives the same bytes."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from rlzoo.evaluation.plot import plain
from rlzoo.tuning.report import figures
from rlzoo.tuning.report.figures import Undrawable, limits

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from rlzoo.tuning.report.data import Importance, Report

DPI = 120
FAR = " What is far worse than all others stands at the edge."


class Picture(NamedTuple):
    """A picture, or why there is none.

    Attributes:
        name: of its file, without `.png`.
        title: what it shows.
        caption: how to read it.
        png: its bytes, None where there is nothing to draw.
        reason: why there is nothing.
    """

    name: str
    title: str
    caption: str
    png: bytes | None = None
    reason: str = ""


NAMES = ("pareto", "history", "importance", "slices", "parallel", "intermediate", "edf")
"""Of all pictures that a report can have."""


def draw(report: Report, importance: Importance) -> list[Picture]:
    """Every picture of a report, in the order in which they are read."""
    far = FAR if any(_is_far(report)) else ""
    found = [
        _picture(
            "history",
            "Optimization history",
            "Every trial by its number. Pruned trials stand where their last evaluation was; failed ones and"
            " draws that a constraint ruled out are left out." + far,
            lambda: figures.draw_history(report),
        ),
        _picture(
            "importance",
            "Hyperparameter importance",
            f"{importance.method}. A guide of where to look, not a measurement: it is rough below a hundred trials, and"
            " pruning took the worst away.",
            lambda: figures.draw_importance(report, importance),
        ),
        _picture(
            "slices",
            "Slices",
            "Scores of the complete trials over each parameter, later trials lighter." + far,
            lambda: figures.draw_slices(report),
        ),
        _picture(
            "parallel",
            "Parallel coordinates",
            "Each line is a complete trial, from parameter to parameter to its score, better ones lighter." + far,
            lambda: figures.draw_parallel(report, importance),
        ),
        _picture(
            "intermediate",
            "Learning curves",
            "The mean return of each evaluation on the way, over its steps; a cross is where a trial was pruned.",
            lambda: figures.draw_intermediate(report),
        ),
        _picture(
            "edf",
            "Distribution of scores",
            "The share of the complete trials that scored at most as much.",
            lambda: figures.draw_edf(report),
        ),
    ]
    if report.second:
        front = _picture(
            "pareto",
            "Pareto front",
            "Complete trials by both objectives, with the numbers of those that no other is better than in both." + far,
            lambda: figures.draw_pareto(report),
        )
        return [front, *found]
    return found


def _is_far(report: Report) -> Iterator[bool]:
    """Whether some scores, or second objectives, lie outside of what is shown."""
    last = [each.last for each in report.pruned]
    scores, seconds = [*(each.score for each in report.complete), *last], [each.second for each in report.complete]
    for values, less in ((scores, False), (seconds, True)):
        there = [value for value in values if value is not None]
        with suppress(Undrawable):
            low, high = limits(there, less_is_better=less) if there else (0.0, 0.0)
            yield bool(there) and (min(there) < low or max(there) > high)


def _picture(name: str, title: str, caption: str, figure: Callable[[], Figure]) -> Picture:
    with plain({"text.parse_math": False}), warnings.catch_warnings():  # a name with dollars in it is a name
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        file = io.BytesIO()
        try:
            figure().savefig(file, dpi=DPI, metadata={"Software": None})
        except Undrawable as why:
            return Picture(name, title, "", reason=str(why))
    return Picture(name, title, caption, file.getvalue())
