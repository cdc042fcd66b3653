"""Pictures of what a run measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from rlzoo.config.fields import LARGEST
from rlzoo.errors import RlzooError
from rlzoo.redaction import one_line
from rlzoo.runs import tables
from rlzoo.runs.run import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TRAINING = "rollout/ep_rew_mean"
DPI = 120


class Curve(NamedTuple):
    """Numbers over environment steps; `spread` is a standard deviation, or None."""

    steps: tuple[int, ...]
    means: tuple[float, ...]
    spread: tuple[float, ...] | None = None


def learning_curve(run: Run, path: Path) -> bool:
    """Draw the returns of a training and of its evaluations over environment steps, as a PNG.

    The same numbers give the same bytes.

    Returns:
        Whether there is a picture: not without matplotlib (the extra `plot`), nor where nothing was measured.
    """
    training, evaluations = training_curve(run), evaluation_curve(run)
    if not (training.steps or evaluations.steps) or find_spec("matplotlib") is None:
        return False
    with plain():
        _figure(run, training, evaluations).savefig(path, dpi=DPI, metadata={"Software": None})
    return True


@contextmanager
def plain(settings: Any = None) -> Iterator[None]:
    """Within it matplotlib draws with its own settings and these.

    A style of the user's would give other bytes, and a `matplotlibrc` of the current folder may have programs run.
    """
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(settings or {})
        yield


def _figure(run: Run, training: Curve, evaluations: Curve) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    if training.steps:
        marker = "o" if len(training.steps) == 1 else ""  # one point is not a line
        axes.plot(
            training.steps,
            training.means,
            color="tab:gray",
            linewidth=1.2,
            marker=marker,
            label="training, recent episodes",
        )
    if evaluations.steps:
        assert evaluations.spread is not None
        low, high = _band(evaluations)
        axes.fill_between(evaluations.steps, low, high, color="tab:blue", alpha=0.15, linewidth=0)
        axes.plot(
            evaluations.steps,
            evaluations.means,
            color="tab:blue",
            marker="o",
            markersize=4,
            label="evaluation, ± std over episodes",
        )
        best = run.checkpoint("best")
        with suppress(RlzooError):  # a damaged one is not marked
            if best.exists() and best.was_selected and best.num_timesteps in evaluations.steps:
                mean = evaluations.means[evaluations.steps.index(best.num_timesteps)]
                axes.plot(best.num_timesteps, mean, "*", color="tab:orange", markersize=14, label="best, which ships")
    values = run.read_config()
    title = f"{values['algo']['name']} on {values['env']['id']}, seed {values['seed']}"
    axes.set_title(one_line(title), parse_math=False)
    axes.set_xlabel("environment steps")
    axes.set_ylabel("return of an episode")
    axes.xaxis.set_major_formatter(lambda value, _: _short(value))
    axes.grid(alpha=0.3)
    axes.legend(loc="best", framealpha=0.8)
    return figure


def training_curve(run: Run) -> Curve:
    """What the training's own recent episodes brought."""
    return _curve(_rows(run.metrics_file), "step", TRAINING)


def evaluation_curve(run: Run) -> Curve:
    """What the evaluations on the way brought."""
    return _curve(_rows(run.evaluations_file), "timesteps", "mean_reward", "std_reward")


def _rows(path: Path) -> list[dict[str, str]]:
    """The rows of a table; none if it is not there or cannot be read: an agent plays without its curve."""
    try:
        return tables.read(path)[1]
    except RlzooError:
        return []


def _curve(rows: Sequence[dict[str, str]], step: str, mean: str, spread: str | None = None) -> Curve:
    """The rows that have a number that can be drawn in every one of these columns."""
    names = [step, mean, *([spread] if spread else [])]
    numbers = [[tables.number(row.get(name)) for name in names] for row in rows]
    drawn = (row for row in numbers if all(abs(number) <= LARGEST for number in row))  # NaN is not
    columns: Any = list(zip(*drawn, strict=True)) or [()] * len(names)
    return Curve(tuple(map(int, columns[0])), columns[1], columns[2] if spread else None)


def _band(curve: Curve) -> tuple[list[float], list[float]]:
    pairs = list(zip(curve.means, curve.spread or (), strict=True))
    return [mean - std for mean, std in pairs], [mean + std for mean, std in pairs]


def _short(value: float) -> str:
    """A number of steps as people write it: 1500000 is 1.5M."""
    for size, sign in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{sign}"
    return f"{value:g}"
