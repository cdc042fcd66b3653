"""`rlzoo tune`: search hyperparameters in a study that many workers share and that goes on where it stopped."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rlzoo.cli.command import Answer, Entry
from rlzoo.console import print_lines, print_pairs, print_table, say
from rlzoo.redaction import shell

if TYPE_CHECKING:
    from rlzoo.cli.main import Arguments
    from rlzoo.tuning.final import Final
    from rlzoo.tuning.request import TuneRequest
    from rlzoo.tuning.search import Tuned


def _tune(arguments: Arguments) -> Answer:
    from rlzoo.tuning.request import plan

    request = plan(arguments.words)
    for notice in dict.fromkeys(request.notices):
        say(f"note: {notice}")
    if arguments.dry_run:
        return Answer(plan_data(request), lambda: _print_plan(request))
    from rlzoo.tuning.search import search

    tuned = search(request, arguments.words)
    return Answer(as_data(tuned), lambda: _print(tuned, request.config.second_objective))


main = Entry(_tune)


def as_data(tuned: Tuned) -> dict[str, Any]:
    """A study that has ended as plain data."""
    from rlzoo.tuning.final import data_of

    states = [trial["state"] for trial in tuned.trials]
    return {
        "folder": str(tuned.folder),
        "trials": {state: states.count(state) for state in dict.fromkeys(states)},
        "best": list(tuned.best),
        "final": None if tuned.final is None else data_of(tuned.final),
        "cost": tuned.cost,
        "saved": None if tuned.saved is None else str(tuned.saved),
    }


def _print(tuned: Tuned, second: str | None) -> None:
    from rlzoo.tuning.final import spent

    columns = ("trial", "score", *([second] if second else []), "values")
    rows = [
        (each["number"], each["score"], *([each["second"]] if second else []), _values(each["values"]))
        for each in tuned.best
    ]
    print_table(columns, rows, title="Pareto front" if second else "best trials")
    if tuned.final is not None:
        print_final(tuned.final, second, "" if second else tuned.final.verdict)
    states = [trial["state"] for trial in tuned.trials]
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    print_lines(f"trials: {counts}")
    print_lines(f"search cost: {spent(tuned.cost)}")
    if tuned.saved is not None:
        print_lines(f"saved: {tuned.saved}, which rlzoo train applies from here on")
    print_lines(f"study: {tuned.folder}")
    print_lines(f"its pictures: rlzoo tune report {shell(f'study={tuned.folder}')}")


def print_final(final: Final, second: str | None, verdict: str) -> None:
    """Print the race and the comparison at the end of a study; `second` is its second objective."""
    from rlzoo.tuning.final import table_of

    if final.raced:
        print_table(*table_of(final.raced, None), title="race on fresh seeds")
    if final.candidates:
        print_table(
            *table_of(final.candidates, second),
            title="compared on other fresh seeds" if final.raced else "on fresh seeds",
        )
    if verdict:
        print_lines(verdict)


def plan_data(request: TuneRequest) -> dict[str, Any]:
    """What a request would do, as plain data."""
    from rlzoo.tuning.race import cost

    config, steps = request.config, request.train.total_timesteps
    several = config.second_objective is not None
    in_the_end = (config.top_k + 1) * config.final_seeds if several else cost(config.top_k, config.final_seeds)
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
        "and in the end": in_the_end * steps if config.top_k else 0,
    }


def _print_plan(request: TuneRequest) -> None:
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
