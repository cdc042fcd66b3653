"""Pictures of the parameters: which mattered, how the scores lie along each, and the trials across all of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rlzoo.tuning.report.axes import round_numbers
from rlzoo.tuning.report.canvas import (
    BLUE,
    ORANGE,
    SHADES,
    SMALL,
    TINY,
    Undrawable,
    clip,
    limits,
    new_figure,
    plain,
    whole_numbers,
)
from rlzoo.tuning.report.curves import score_label, second_label

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from rlzoo.tuning.report.axes import Axis
    from rlzoo.tuning.report.data import Report, Trial
    from rlzoo.tuning.report.importance import Importance

COLUMNS = 4
MAX_AXES = 14
"""Parameters side by side; of more the most important ones."""
MAX_BARS = 25
UNUSED = -0.13
"""Where a trial passes a parameter that it has not; its axis is from 0 to 1."""
STEPPED = ("choice", "two")
"""Scales with few values, each shared by many trials."""
SPREAD = 0.18
"""How far trials with the same value are drawn apart, in steps."""


def draw_importance(report: Report, importance: Importance) -> Figure:
    """The share of each parameter in reaching the best scores."""
    if not importance.shares:
        raise Undrawable("; ".join(f"{name}: {why}" for name, why in importance.reason.items()))
    tables = {name: dict(list(shares.items())[:MAX_BARS]) for name, shares in importance.shares.items()}
    rows = max(map(len, tables.values()))
    figure = new_figure(7.5, 0.9 + 0.27 * rows)
    for panel, (name, shares) in zip(figure.subplots(1, len(tables), squeeze=False)[0], tables.items(), strict=True):
        places = list(range(len(shares)))[::-1]
        panel.barh(places, list(shares.values()), color=BLUE, height=0.7)
        for place, share in zip(places, shares.values(), strict=True):
            panel.text(share, place, f" {share:.0%}", va="center", fontsize=SMALL)
        panel.set_yticks(places, list(shares), fontsize=SMALL)
        panel.set_xlim(0, max(shares.values()) * 1.15)
        plain(panel, x=f"importance for the {'score' if name == 'score' else second_label(report)}")
        panel.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        panel.grid(visible=False, axis="y")
    return figure


def draw_slices(report: Report) -> Figure:
    """The scores of the complete trials over the values of each parameter."""
    axes = _drawable(report)
    from matplotlib.colors import Normalize

    rows = math.ceil(len(axes) / COLUMNS)
    columns = min(COLUMNS, len(axes))
    figure = new_figure(max(2.4 * columns + 0.8, 4.5), 2.1 * rows + 0.3)
    panels = figure.subplots(rows, columns, sharey=True, squeeze=False)
    ends = limits([each.score or 0.0 for each in report.complete])
    numbers = [each.number for each in report.complete]
    shades = Normalize(min(numbers), max(max(numbers), min(numbers) + 1))
    dots = None
    for panel, axis in zip(panels.flat, axes, strict=False):
        having = [each for each in report.complete if axis.name in each.values]
        x = [each.values[axis.name].position + _apart(axis, each.number) for each in having]
        y = clip([each.score or 0.0 for each in having], ends)
        dots = panel.scatter(
            x,
            y,
            c=[each.number for each in having],
            cmap=SHADES,
            norm=shades,
            s=20,
            edgecolors="black",
            linewidths=0.3,
            clip_on=False,
        )
        plain(panel)
        panel.set_title(axis.name, fontsize=SMALL + 1)
        _mark(panel, axis, having)
        panel.tick_params(labelsize=TINY)
        panel.set_ylim(*ends)
    for panel in panels.flat[len(axes) :]:
        panel.set_visible(False)
    figure.supylabel(score_label(report), fontsize=SMALL + 1)
    assert dots is not None
    bar = figure.colorbar(dots, ax=panels, label="trial", aspect=30, pad=0.01)
    bar.ax.tick_params(labelsize=TINY)
    whole_numbers(bar.ax.yaxis)
    return figure


def _apart(axis: Axis, number: int) -> float:
    """A little to the side, so that trials with the same choice do not hide each other."""
    return ((number * 0.618) % 1 - 0.5) * 2 * SPREAD if axis.scale in STEPPED else 0.0


def _mark(panel: Any, axis: Axis, having: Sequence[Any]) -> None:
    low, high = _ends(axis, having)
    margin = 0.5 if axis.scale in STEPPED else 0.05 * (high - low) or 0.5
    panel.set_xlim(low - margin, high + margin)
    places = [place for place, _ in axis.ticks()]
    texts = [text for _, text in axis.ticks()]
    panel.set_xticks(places, texts)
    if sum(map(len, texts)) > 22:
        for text in panel.get_xticklabels():
            text.set(rotation=30, horizontalalignment="right", rotation_mode="anchor")


def draw_parallel(report: Report, importance: Importance) -> Figure:
    """The complete trials as lines across the values of all parameters, to their scores."""
    axes = _drawable(report)
    if len(report.complete) < 2:
        raise Undrawable("it takes 2 complete trials, and there is 1")
    from matplotlib.collections import LineCollection
    from matplotlib.colors import Normalize

    axes = _foremost(axes, importance.shares.get("score", {}))
    figure = new_figure(max(7.5, 1.0 * (len(axes) + 1)), 4.6)
    panel = figure.subplots()
    ends = limits([each.score or 0.0 for each in report.complete])
    ranked = sorted(report.complete, key=lambda each: (each.score or 0.0, -each.number))
    lines = [[*enumerate(_heights(each, axes, report)), (len(axes), _part(each.score, ends))] for each in ranked]
    scores = clip([each.score or 0.0 for each in ranked], ends)
    shades = Normalize(*ends)
    drawn = LineCollection(lines, cmap=SHADES, norm=shades, linewidths=1.2, alpha=0.7)
    drawn.set_array(scores)
    panel.add_collection(drawn)
    panel.plot(*zip(*lines[-1], strict=True), color=ORANGE, linewidth=2.4, label=f"the best: trial {ranked[-1].number}")
    some = any(height == UNUSED for line in lines for _, height in line)
    _scales(panel, axes, report, ends, some=some)
    panel.legend(loc="lower right", bbox_to_anchor=(1, 1.1), frameon=False, fontsize=SMALL)
    return figure


def _scales(panel: Any, axes: Sequence[Axis], report: Report, ends: tuple[float, float], *, some: bool) -> None:
    """The upright lines with their marks."""
    box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.6}
    for place, axis in enumerate(axes):
        panel.axvline(place, ymin=0, ymax=1, color="black", linewidth=0.7)
        for position, text in axis.ticks():
            height = _part(position, _ends(axis, report.complete))
            panel.text(place + 0.04, height, text, fontsize=TINY, va="center", bbox=box, zorder=4)
    panel.axvline(len(axes), color="black", linewidth=0.7)
    for score in round_numbers(*ends):
        panel.text(len(axes) + 0.04, _part(score, ends), f"{score:g}", fontsize=TINY, va="center", bbox=box, zorder=4)
    names = [axis.name for axis in axes]
    panel.set_xticks(range(len(axes) + 1), [*names, "score"], fontsize=SMALL, rotation=25, ha="left")
    panel.xaxis.tick_top()
    panel.tick_params(axis="x", length=0)
    panel.set_xlim(-0.1, len(axes) + 0.5)
    panel.set_ylim(UNUSED - 0.05 if some else -0.04, 1.04)
    panel.set_yticks([UNUSED] if some else [], ["not used"] if some else [], fontsize=TINY)
    panel.spines[:].set_visible(False)


def _heights(trial: Trial, axes: Sequence[Axis], report: Report) -> list[float]:
    """Where the line of a trial passes each axis."""
    found = []
    for axis in axes:
        cell = trial.values.get(axis.name)
        ends = _ends(axis, report.complete)
        found.append(UNUSED if cell is None else _part(cell.position + _apart(axis, trial.number) / 2, ends))
    return found


def _part(value: float | None, ends: tuple[float, float]) -> float:
    """How far along a range a value is, from 0 to 1."""
    low, high = ends
    return 0.5 if high == low or value is None else min(max((value - low) / (high - low), 0.0), 1.0)


def _ends(axis: Axis, trials: Sequence[Any]) -> tuple[float, float]:
    """The ends of the range, and of what lies outside of it: values that a study began with, or took from another."""
    there = [each.values[axis.name].position for each in trials if axis.name in each.values]
    low, high = axis.ends
    margin = SPREAD if axis.scale in STEPPED else 0.0
    return min([low, *there]) - margin, max([high, *there]) + margin


def _drawable(report: Report) -> list[Axis]:
    """The parameters that complete trials have."""
    if not report.complete:
        raise Undrawable("no trial is complete yet")
    found = [axis for axis in report.axes if any(axis.name in each.values for each in report.complete)]
    if not found:
        raise Undrawable("no complete trial has a parameter")
    return found


def _foremost(axes: Sequence[Axis], shares: Mapping[str, float]) -> list[Axis]:
    if len(axes) <= MAX_AXES:
        return list(axes)
    kept = sorted(axes, key=lambda axis: -shares.get(axis.name, 0.0))[:MAX_AXES]
    return [axis for axis in axes if axis in kept]
