"""The figures of a report, drawn by matplotlib in colours that everybody can tell apart."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from rlzoo.tuning.progress import reports_per_seed
from rlzoo.tuning.report.axes import round_numbers

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from rlzoo.tuning.report.axes import Axis
    from rlzoo.tuning.report.data import Importance, Report, Trial

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


SCORES = {
    "last": "mean of the last {n_last} evaluations",
    "best": "best evaluation",
    "final": "evaluation at the end",
    "area": "mean of all evaluations",
}
SECONDS = {"wall_time": "seconds of training", "size": "parameters of the network"}
ABOVE = {"loc": "lower left", "bbox_to_anchor": (0, 1), "ncols": 4, "frameon": False, "fontsize": SMALL}
"""Where a legend hides nothing."""
GRID = "grid"
"""Where every trial's values come from, so that none is special."""


def score_label(report: Report) -> str:
    """What the score is."""
    meaning = SCORES.get(report.search["objective"], str(report.search["objective"]))
    return f"score: {meaning.format(n_last=report.search.get('n_last'))}"


def second_label(report: Report) -> str:
    """What the second objective is."""
    return SECONDS.get(report.second or "", report.second or "")


def draw_history(report: Report) -> Figure:
    """Scores over the numbers of the trials, with the best so far."""
    if not report.complete and not any(each.last is not None for each in report.pruned):
        raise Undrawable("no trial has a score yet")
    figure = new_figure(7.5, 4 if not report.second else 6)
    panels = figure.subplots(2 if report.second else 1, 1, sharex=True, squeeze=False)[:, 0]
    _history(panels[0], report, [each.score or 0.0 for each in report.complete], max, pruned=True)
    plain(panels[0], y=score_label(report))
    panels[0].legend(**ABOVE)
    if report.second:
        _history(panels[1], report, [each.second or 0.0 for each in report.complete], min, pruned=False)
        plain(panels[1], y=second_label(report))
    panels[-1].set_xlabel("trial")
    whole_numbers(panels[-1].xaxis)
    return figure


def _history(axes: Any, report: Report, values: Sequence[float], better: Any, *, pruned: bool) -> None:
    cut = [each for each in report.pruned if each.last is not None] if pruned else []
    ends = limits([*values, *(each.last or 0.0 for each in cut)], less_is_better=better is min)
    if cut:
        heights = clip([each.last or 0.0 for each in cut], ends)
        axes.scatter(
            [each.number for each in cut], heights, marker="x", s=24, color=GRAY, linewidths=1.2, clip_on=False,
            label="pruned, at its last evaluation",
        )  # fmt: skip
    if values:
        numbers = [each.number for each in report.complete]
        axes.scatter(numbers, clip(values, ends), s=26, color=BLUE, label="complete", clip_on=False)
        axes.step(
            numbers, clip(list(accumulate(values, better)), ends), where="post", color=ORANGE, linewidth=1.6,
            label="best so far",
        )  # fmt: skip
    heights_of = dict(zip([each.number for each in report.complete], values, strict=True))
    heights_of |= {each.number: each.last or 0.0 for each in cut}
    begun = [each for each in report.trials if each.enqueued not in (None, GRID) and each.number in heights_of]
    if begun:
        heights = clip([heights_of[each.number] for each in begun], ends)
        names = ", ".join(dict.fromkeys(str(each.enqueued) for each in begun))
        axes.scatter(
            [each.number for each in begun], heights, marker="D", s=70, facecolors="none", edgecolors=GREEN,
            linewidths=1.6, label=f"to begin with: {names}",
        )  # fmt: skip
    axes.set_ylim(*ends)


def draw_edf(report: Report) -> Figure:
    """The share of the complete trials up to each score."""
    if len(report.complete) < 2:
        raise Undrawable(f"it takes 2 complete trials, and there {_are(len(report.complete))}")
    columns = [(score_label(report), [each.score or 0.0 for each in report.complete])]
    if report.second:
        columns.append((second_label(report), [each.second or 0.0 for each in report.complete]))
    figure = new_figure(7.5, 3.4)
    for panel, (name, values) in zip(figure.subplots(1, len(columns), squeeze=False)[0], columns, strict=True):
        ends = limits(values, less_is_better=name != score_label(report))
        ranked = sorted(values)
        shares = [(k + 1) / len(ranked) for k in range(len(ranked))]
        panel.step([ends[0], *clip(ranked, ends), ends[1]], [0, *shares, 1], where="post", color=BLUE, linewidth=1.6)
        panel.set_xlim(*ends)
        panel.set_ylim(0, 1.02)
        plain(panel, x=name, y="share of complete trials")
    return figure


def draw_intermediate(report: Report) -> Figure:
    """What the evaluations on the way brought, trial by trial; several seeds of a trial are as many lines."""
    if report.second:
        raise Undrawable("trials with two objectives report nothing on the way, as they are never pruned")
    shown = [each for each in report.trials if each.state in ("complete", "pruned") and each.evaluations]
    if not shown:
        raise Undrawable("no trial has reported an evaluation yet")
    best = report.best[0].number if report.best else None
    figure = new_figure(7.5, 4)
    axes = figure.subplots()
    styles = {"pruned": (GRAY, 0.55, 1.0, "pruned"), "complete": (BLUE, 0.45, 1.0, "complete")}
    named: set[str] = set()
    for each in sorted(shown, key=lambda one: (one.number == best, one.state == "complete", one.number)):
        color, alpha, width, name = styles[each.state]
        if each.number == best:
            color, alpha, width, name = ORANGE, 1.0, 2.2, f"the best: trial {best}"
        for line in lines_of(report, each):
            steps, values = zip(*line, strict=True)
            marker = "o" if len(steps) == 1 else ""  # one point is not a line
            axes.plot(
                steps, values, color=color, alpha=alpha, linewidth=width, marker=marker, markersize=3,
                label=None if name in named else name,
            )  # fmt: skip
            named.add(name)
        if each.state == "pruned" and each.number != best:
            axes.plot(steps[-1], values[-1], "x", color=color, markersize=5)
    axes.set_ylim(*whole([value for each in shown for _, value in each.evaluations]))
    axes.set_xlim(left=0)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    plain(axes, x="training seed" if _is_between_seeds(report) else "environment steps", y="mean return")
    axes.legend(**ABOVE)
    return figure


def lines_of(report: Report, trial: Trial) -> list[list[tuple[int, float]]]:
    """The evaluations of a trial by the environment steps that they were due at, seed by seed.

    What is compared between seeds is a score for each seed, by its number.
    """
    if _is_between_seeds(report):
        return [[(number + 1, value) for number, value in trial.evaluations]]
    train = report.request.get("train", {})
    total, freq = int(train.get("total_timesteps") or 0), train.get("eval", {}).get("freq")
    freq = max(1, total // 10) if freq == "auto" else int(freq or 1)
    several = int(report.search.get("seeds_per_trial") or 1) > 1
    per_seed = reports_per_seed(total, freq) if several else math.inf
    lines: dict[float, list[tuple[int, float]]] = {}
    for number, value in trial.evaluations:
        lines.setdefault(number // per_seed, []).append((int(number % per_seed + 1) * freq, value))
    return list(lines.values())


def _is_between_seeds(report: Report) -> bool:
    pruner = report.search.get("pruner")
    return pruner == "wilcoxon" or (isinstance(pruner, dict) and "wilcoxon" in pruner)


def draw_pareto(report: Report) -> Figure:
    """Scores against the second objective, with the trials that no other is better than in both."""
    if not report.complete:
        raise Undrawable("no trial is complete yet")
    front = report.best
    chosen = {each.number for each in front}
    others = [each for each in report.complete if each.number not in chosen]
    figure = new_figure(7.5, 4.4)
    axes = figure.subplots()
    across, up = _pairs(report.complete)
    x_ends, y_ends = limits(across, less_is_better=True), limits(up)
    if min(across) > 0 and max(across) > 30 * min(across):
        axes.set_xscale("log")
        x_ends = (min(across) / 1.3, max(across) * 1.3)
    x, y = _pairs(others)
    axes.scatter(clip(x, x_ends), clip(y, y_ends), s=26, color=GRAY, alpha=0.8, label="complete", clip_on=False)
    x, y = _pairs(sorted(front, key=lambda each: each.second or 0.0))
    x, y = clip(x, x_ends), clip(y, y_ends)
    axes.step([*x, x_ends[1]], [*y, y[-1]], where="post", color=ORANGE, linewidth=1.2, alpha=0.8)
    axes.scatter(x, y, s=46, color=ORANGE, label="no other is better in both", zorder=3, clip_on=False)
    for each in front:
        spot = (clip([each.second or 0.0], x_ends)[0], clip([each.score or 0.0], y_ends)[0])
        axes.annotate(str(each.number), spot, xytext=(5, -10), textcoords="offset points", fontsize=SMALL)
    axes.set_xlim(*x_ends)
    axes.set_ylim(*y_ends)
    plain(axes, x=second_label(report), y=score_label(report))
    axes.legend(**ABOVE)
    return figure


def _pairs(trials: Sequence[Trial]) -> tuple[list[float], list[float]]:
    return [each.second or 0.0 for each in trials], [each.score or 0.0 for each in trials]


def _are(count: int) -> str:
    return f"is {count}" if count == 1 else f"are {count}"


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
