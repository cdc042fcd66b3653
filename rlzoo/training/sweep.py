"""The jobs of a sweep: hand them to a launcher, report each as it ends, and show the aggregate over seeds."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from rlzoo.console import print_table, say
from rlzoo.envs.seeding import draw_seed
from rlzoo.errors import ExitCode
from rlzoo.evaluation.evaluate import OverSeeds, checkpoint_text, number
from rlzoo.launchers import Job, launch, sweep_exit_code
from rlzoo.training.preflight import Request
from rlzoo.training.request import job_of


def train_many(requests: Sequence[Request], own: Mapping[str, str]) -> int:
    """Train every request, with the command's own words; returns the sweep's exit code."""
    requests = [with_seed(request) for request in requests]
    first = requests[0].config
    labels = label(requests)
    jobs = [
        Job(job_of(request, own), "rlzoo.training.request:run_job", name)
        for request, name in zip(requests, labels, strict=True)
    ]
    say(f"{len(jobs)} job{'s' if len(jobs) > 1 else ''}, {first.n_jobs} at a time, launcher {first.launcher['name']}")

    def report(result: Any) -> None:
        say(f"job {result.index + 1}/{len(jobs)} {labels[result.index]}: {outcome(result)}")

    results = launch(jobs, first.launcher, n_jobs=first.n_jobs, runs_dir=first.runs_dir, on_result=report)
    code = sweep_exit_code(results)
    if code != ExitCode.HUNG_UP:  # else nobody is there to read it
        print_jobs(labels, results)
        print_aggregate(requests, results)
    return code


def with_seed(request: Request) -> Request:
    """The request with its seed drawn, so that the job can be named by it."""
    if request.config.seed is not None:
        return request
    return dataclasses.replace(request, config=dataclasses.replace(request.config, seed=draw_seed()))


def label(requests: Sequence[Request]) -> list[str]:
    """What tells each job from the others: the words that they do not share, and the seed."""
    seeds = [f"seed={request.config.seed}" for request in requests]
    return [" ".join(filter(None, pair)) for pair in zip(settings(requests), seeds, strict=True)]


def settings(requests: Sequence[Request]) -> list[str]:
    """The words of each job that not all jobs share, without its seed."""
    words = [[w for w in r.composition.words if not w.startswith(("seed=", "n_seeds="))] for r in requests]
    shared = set(words[0]).intersection(*words)
    return [" ".join(word for word in own if word not in shared) for own in words]


def outcome(result: Any) -> str:
    """How a job ended, in a line."""
    if result.exit_code != 0:
        return f"failed ({result.exit_code}): {result.error}"
    last = _last(result)
    score = f"{number(last['mean_reward'])} ± {number(last['std_reward'])}"
    which = checkpoint_text(last["checkpoint"], last["num_timesteps"], last.get("trained_timesteps"))
    return f"{score} over {last['n_episodes']} episodes of {which}: {result.run}"


def _last(result: Any) -> Mapping[str, Any]:
    """The final evaluation of the last checkpoint: seeds are compared by it, whatever ships."""
    evaluations = result.result["evaluations"]
    found: Mapping[str, Any] = next(
        (entry for entry in reversed(evaluations) if entry["checkpoint"] == "last"), evaluations[-1]
    )
    return found


def print_jobs(labels: Sequence[str], results: Sequence[Any]) -> None:
    """Print how every job ended."""
    rows = [(name, outcome(result)) for name, result in zip(labels, results, strict=True)]
    print_table(("job", "result"), rows, title="jobs")


def print_aggregate(requests: Sequence[Request], results: Sequence[Any]) -> None:
    """Print, for every setting trained with several seeds, the statistics over these training seeds."""
    rows = aggregate(settings(requests), [request.config.seed for request in requests], results)
    if rows:
        columns = (
            *("setting", "seeds", "mean over seeds", "std over seeds", "seeds' means, or IQM [95 % CI]", "range"),
            "steps",
        )
        print_table(columns, rows, title="over training seeds: the mean return of each run's last checkpoint")


def aggregate(names: Sequence[str], seeds_of: Sequence[int | None], results: Sequence[Any]) -> list[tuple[object, ...]]:
    """One row for each setting with finished runs of at least two seeds; a seed counts once, however often it ran."""
    found: Mapping[str, dict[int | None, tuple[float, int]]] = defaultdict(dict)
    asked_for: Mapping[str, set[int | None]] = defaultdict(set)
    for setting, seed, result in zip(names, seeds_of, results, strict=True):
        asked_for[setting].add(seed)
        if result.exit_code == 0 and (mean := _last(result)["mean_reward"]) is not None:  # null is not finite
            found[setting][seed] = mean, _last(result)["num_timesteps"]
    rows: list[tuple[object, ...]] = []
    for setting, by_seed in found.items():
        if len(by_seed) < 2:
            continue
        values, steps = zip(*by_seed.values(), strict=True)
        seeds = OverSeeds(values)
        wanted = len(asked_for[setting])
        n_seeds = len(values) if len(values) == wanted else f"{len(values)} of {wanted}"
        span = f"{min(values):.2f} to {max(values):.2f}"
        first, last = min(steps), max(steps)
        trained = f"{last:,}" if first == last else f"{first:,} to {last:,}"
        rows.append((setting or "all jobs", n_seeds, seeds.mean, seeds.std, seeds.spread, span, trained))
    return rows
