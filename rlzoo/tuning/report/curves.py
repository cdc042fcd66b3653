"""Pictures of scores: over the trials, as a distribution, on the way to the end, and against a second objective."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any

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
    ends = limits([*values, *(each.last or 0.0 for each in cut)])
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
        ends = limits(values)
        ranked = sorted(values)
        shares = [(k + 1) / len(ranked) for k in range(len(ranked))]
        panel.step([ends[0], *clip(ranked, ends), ends[1]], [0, *shares, 1], where="post", color=BLUE, linewidth=1.6)
        panel.set_xlim(*ends)
        panel.set_ylim(0, 1.02)
        plain(panel, x=name, y="share of complete trials")
    return figure


def draw_intermediate(report: Report) -> Figure:
    """What the evaluations on the way brought, trial by trial."""
    if report.second:
        raise Undrawable("trials with two objectives report nothing on the way, as they are never pruned")
    shown = [each for each in report.trials if each.state in ("complete", "pruned") and each.evaluations]
    if not shown:
        raise Undrawable("no trial has reported an evaluation yet")
    best = report.best[0].number if report.best else None
    figure = new_figure(7.5, 4)
    axes = figure.subplots()
    ends = limits([value for each in shown for _, value in each.evaluations])
    styles = {"pruned": (GRAY, 0.55, 1.0, "pruned"), "complete": (BLUE, 0.45, 1.0, "complete")}
    named: set[str] = set()
    for each in sorted(shown, key=lambda one: (one.number == best, one.state == "complete", one.number)):
        color, alpha, width, name = styles[each.state]
        if each.number == best:
            color, alpha, width, name = ORANGE, 1.0, 2.2, f"the best: trial {best}"
        steps, values = [step + 1 for step, _ in each.evaluations], [value for _, value in each.evaluations]
        marker = "o" if len(steps) == 1 else ""  # one point is no line
        axes.plot(
            steps, clip(values, ends), color=color, alpha=alpha, linewidth=width, marker=marker, markersize=3,
            label=None if name in named else name,
        )  # fmt: skip
        if each.state == "pruned" and each.number != best:
            axes.plot(steps[-1], clip(values, ends)[-1], "x", color=color, markersize=5)
        named.add(name)
    axes.set_ylim(*ends)
    plain(axes, x=_steps_label(report), y="mean return")
    whole_numbers(axes.xaxis)
    axes.legend(**ABOVE)
    return figure


def _steps_label(report: Report) -> str:
    n_seeds = int(report.search.get("seeds_per_trial") or 1)
    if n_seeds == 1:
        return "evaluation"
    pruner = report.search.get("pruner")
    between = pruner == "wilcoxon" or (isinstance(pruner, dict) and "wilcoxon" in pruner)
    return "seed" if between else f"evaluation, of {n_seeds} seeds one after another"


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
    x_ends, y_ends = limits(across), limits(up)
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
