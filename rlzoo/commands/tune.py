"""`rlzoo tune`: search hyperparameters in a study that many workers share and that goes on where it stopped."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rlzoo.console import print_lines
from rlzoo.errors import ExitCode
from rlzoo.escape import shell

if TYPE_CHECKING:
    from rlzoo.cli import Arguments
    from rlzoo.tuning.final import Final
    from rlzoo.tuning.request import TuneRequest
    from rlzoo.tuning.search import Tuned


def main(arguments: Arguments) -> int:
    from rlzoo.tuning.request import plan

    request = plan(arguments.words)
    for notice in dict.fromkeys(request.notices):
        _say(f"note: {notice}")
    if arguments.dry_run:
        if arguments.json:
            print(json.dumps(plan_data(request)))
        else:
            _print_plan(request)
        return ExitCode.DONE
    from rlzoo.tuning.search import search

    tuned = search(request, arguments.words)
    if arguments.json:
        print(json.dumps(as_data(tuned), allow_nan=False))
    else:
        _print(tuned, request.config.second_objective)
    return ExitCode.DONE


def tune(*words: str) -> Tuned:
    """Search hyperparameters, as `rlzoo tune` does.

    Args:
        words: settings as on the command line: `"algo=ppo"`, `"env=CartPole"`, `"n_trials=40"`.

    Returns:
        The study: its folder, trials, and the comparison of the best on fresh seeds.

    Raises:
        ConfigError: naming everything that is wrong with the request; nothing was started or written.
        RlzooError: if it was stopped or failed; the same call goes on.
    """
    from rlzoo.tuning.request import plan
    from rlzoo.tuning.search import search

    return search(plan(words), words)


def as_data(tuned: Tuned) -> dict[str, Any]:
    """A study that has ended as plain data."""
    states = [trial["state"] for trial in tuned.trials]
    return {
        "folder": str(tuned.folder),
        "trials": {state: states.count(state) for state in dict.fromkeys(states)},
        "best": list(tuned.best),
        "final": None if tuned.final is None else _final_data(tuned.final),
        "cost": tuned.cost,
        "saved": None if tuned.saved is None else str(tuned.saved),
    }


def _final_data(final: Final) -> dict[str, Any]:
    return {
        "candidates": [
            {
                "label": each.label,
                "trial": each.trial,
                "settings": dict(each.settings),
                "scores": list(each.scores),
                "mean": each.mean if each.scores else None,
                "ci": None if each.interval is None else [each.interval.low, each.interval.high],
                "error": each.error,
                **({"second": each.second, "front": each in final.front} if each.seconds else {}),
            }
            for each in final.candidates
        ],
        "gain": None if final.gain is None else final.gain._asdict(),
    }


def _print(tuned: Tuned, second: str | None) -> None:
    from rlzoo.console import print_table
    from rlzoo.tuning.final import spent

    columns = ("trial", "score", *([second] if second else []), "values")
    rows = [
        (each["number"], each["score"], *([each["second"]] if second else []), _values(each["values"]))
        for each in tuned.best
    ]
    print_table(columns, rows, title="Pareto front" if second else "best trials")
    if tuned.final is not None:
        _print_final(tuned.final, second)
    states = [trial["state"] for trial in tuned.trials]
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    print_lines(f"trials: {counts}")
    print_lines(f"search cost: {spent(tuned.cost)}")
    if tuned.saved is not None:
        print_lines(f"saved: {tuned.saved}, which rlzoo train applies from here on")
    print_lines(f"study: {tuned.folder}")
    print_lines(f"its pictures: rlzoo tune report {shell(f'study={tuned.folder}')}")


def _print_final(final: Final, second: str | None) -> None:
    from rlzoo.console import print_table
    from rlzoo.tuning.final import may_be_chance, table_of

    print_table(*table_of(final.candidates, second), title="on fresh seeds")
    if final.gain is not None and not second:
        gain = final.gain
        interval = f"{gain.mean:.2f} [{gain.low:.2f}, {gain.high:.2f}]"
        print_lines(f"{final.winner.label} beats the defaults by {interval}{may_be_chance(gain)}")


def plan_data(request: TuneRequest) -> dict[str, Any]:
    """What a request would do, as plain data."""
    config, steps = request.config, request.train.total_timesteps
    candidates = config.top_k + 1 if config.top_k else 0  # with the defaults
    return {
        "study": request.study,
        "parameters": [
            {
                "name": each.name,
                "key": each.key,
                "range": _range(each.transform),
                "when": {name: list(values) for name, values in each.when.items()},
            }
            for each in request.space.parameters
        ],
        **{key: getattr(config, key) for key in ("n_trials", "workers", "sampler", "pruner", "objective", "storage")},
        "steps at most": config.n_trials * config.seeds_per_trial * steps,
        "and in the end": candidates * config.final_seeds * steps,
    }


def _print_plan(request: TuneRequest) -> None:
    from rlzoo.console import print_pairs, print_table

    data = plan_data(request)
    rows = [
        (each["name"], each["key"], each["range"], ", ".join(f"{k}: {_values_of(v)}" for k, v in each["when"].items()))
        for each in data.pop("parameters")
    ]
    print_table(("parameter", "setting", "range", "when"), rows, title=f"study {data.pop('study')}")
    print_pairs([(key, f"{value:,}" if isinstance(value, int) else value) for key, value in data.items()])


def _range(transform: Any) -> str:
    if hasattr(transform, "values"):
        return ", ".join(map(str, transform.values))
    kind = type(transform).__name__
    if kind == "OneMinus":
        return f"{1 - transform.high:g} to {1 - transform.low:g} (log of the distance from 1)"
    scale = " log" if getattr(transform, "log", False) else ""
    return f"{transform.low:g} to {transform.high:g}{scale} ({kind})"


def _values(values: dict[str, Any]) -> str:
    return " ".join(
        f"{name}={value:.4g}" if isinstance(value, float) else f"{name}={value}" for name, value in values.items()
    )


def _values_of(values: Sequence[Any]) -> str:
    return " or ".join(map(str, values))


def _say(text: str) -> None:
    from rlzoo.console import say

    say(text)
