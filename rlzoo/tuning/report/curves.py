"""Pictures of scores: over the trials, as a distribution, on the way to the end, and against a second objective."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from rlzoo.tuning.objective import reports_per_seed
from rlzoo.tuning.report.canvas import (
    BLUE,
    GRAY,
    GREEN,
    ORANGE,
    SMALL,
    Undrawable,
    clip,
    limits,
    new_figure,
    plain,
    whole,
    whole_numbers,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from rlzoo.tuning.report.data import Report, Trial

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
            marker = "o" if len(steps) == 1 else ""  # one point is no line
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
